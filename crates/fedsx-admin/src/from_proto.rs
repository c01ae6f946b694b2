//! Reads what came in: messages into the node's words. Everything here is refused, never repaired.

use fedsx_core::actor::ActorKind;
use fedsx_core::entry::{LogId, Side};
use fedsx_core::limits::{self, DOCUMENT_OUT_BYTES};
use fedsx_core::notation::{self, Notation};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_node::NewActor;

use crate::deliveries::Selection;
use crate::proto;

/// The longest display name, summary or `who`, bytes.
const TEXT_BYTES: usize = 4_096;
/// The longest idempotency key, bytes.
const KEY_BYTES: usize = 256;

/// What to publish, read.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) actor: String,
    pub(crate) document: Map,
    pub(crate) to: Vec<String>,
    pub(crate) visibility: proto::Visibility,
    pub(crate) idempotency_key: Option<String>,
}

/// A new actor.
pub(crate) fn new_actor(request: proto::CreateActorRequest) -> Result<NewActor, Refusal> {
    let kind = match proto::ActorKind::try_from(request.kind) {
        Ok(proto::ActorKind::Unspecified | proto::ActorKind::Person) => ActorKind::Person,
        Ok(proto::ActorKind::Service) => ActorKind::Service,
        Ok(proto::ActorKind::Group) => ActorKind::Group,
        Err(_) => return Err(malformed("kind must be a person, a service or a group")),
    };
    for text in [&request.display_name, &request.summary]
        .into_iter()
        .flatten()
    {
        bounded("a display name or summary", text, TEXT_BYTES)?;
    }
    Ok(NewActor {
        name: request.name,
        kind,
        display_name: request.display_name,
        summary: request.summary,
        manual_approval: request.manual_approval,
    })
}

/// A document to be published.
pub(crate) fn document(json: &[u8]) -> Result<Map, Refusal> {
    match notation::read(Notation::Json, json, DOCUMENT_OUT_BYTES) {
        Ok(Value::Map(document)) => Ok(document),
        Ok(_) => Err(malformed("the document must be an object")),
        Err(error) => {
            let detail = format!("the document: {error}");
            Err(Refusal {
                detail,
                ..error.into()
            })
        }
    }
}

/// A publication.
pub(crate) fn publish(request: proto::PublishRequest) -> Result<Publish, Refusal> {
    let document = document(&request.document_json)?;
    if request.to.len() > limits::RECIPIENTS {
        return Err(Refusal::new(
            Code::TooLarge,
            format!("more than {} recipients", limits::RECIPIENTS),
        ));
    }
    for who in &request.to {
        bounded("a recipient", who, TEXT_BYTES)?;
    }
    if let Some(key) = &request.idempotency_key {
        bounded("the idempotency key", key, KEY_BYTES)?;
    }
    let visibility = proto::Visibility::try_from(request.visibility)
        .map_err(|_| malformed("visibility must be public, followers or direct"))?;
    Ok(Publish {
        actor: request.actor,
        document,
        to: request.to,
        visibility,
        idempotency_key: request.idempotency_key,
    })
}

/// Which of an actor's logs.
pub(crate) fn log(actor: &Actor, side: i32) -> Result<LogId, Refusal> {
    let side = match proto::Side::try_from(side) {
        Ok(proto::Side::Outbox) => Side::Outbox,
        Ok(proto::Side::Inbox) => Side::Inbox,
        Ok(proto::Side::Unspecified) | Err(_) => {
            return Err(malformed("side must be the outbox or the inbox"));
        }
    };
    Ok(LogId {
        actor: actor.no,
        side,
    })
}

/// Someone named.
pub(crate) fn who(text: &str) -> Result<(), Refusal> {
    bounded("the other actor", text, TEXT_BYTES)
}

/// Something named by its CID or URL.
pub(crate) fn what(text: &str) -> Result<(), Refusal> {
    bounded("the CID or URL", text, TEXT_BYTES)
}

/// Which dead letters.
pub(crate) fn selection(selection: Option<proto::Selection>) -> Result<Selection, Refusal> {
    use proto::selection::Which;
    match selection.and_then(|selection| selection.which) {
        Some(Which::Id(id)) if !id.is_empty() => Ok(Selection::Id(id)),
        Some(Which::Host(host)) if !host.is_empty() => Ok(Selection::Host(host)),
        Some(Which::All(true)) => Ok(Selection::All),
        _ => Err(malformed("name a dead letter, a host, or all")),
    }
}

fn bounded(what: &str, text: &str, bytes: usize) -> Result<(), Refusal> {
    if text.len() <= bytes {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::TooLarge,
            format!("{what} is longer than {bytes} bytes"),
        ))
    }
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(Code::Malformed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_must_say_which() {
        use proto::selection::Which;
        let of =
            |which| selection(Some(proto::Selection { which })).map_err(|refusal| refusal.code);
        assert_eq!(
            of(Some(Which::Id("7".into()))),
            Ok(Selection::Id("7".into()))
        );
        assert_eq!(of(Some(Which::All(true))), Ok(Selection::All));
        for wrong in [
            None,
            Some(Which::All(false)),
            Some(Which::Host(String::new())),
        ] {
            assert_eq!(of(wrong), Err(Code::Malformed));
        }
        assert!(selection(None).is_err());
    }

    #[test]
    fn a_publication_is_bounded() {
        let with = |document: &[u8], to: usize| {
            let request = proto::PublishRequest {
                actor: "alice".into(),
                document_json: document.to_vec(),
                to: vec!["bob".into(); to],
                ..Default::default()
            };
            publish(request)
                .map(|publish| publish.document)
                .map_err(|refusal| refusal.code)
        };
        assert_eq!(
            with(br#"{"type":"Note"}"#, 1),
            Ok([("type", "Note")].into())
        );
        assert_eq!(with(b"[]", 0), Err(Code::Malformed));
        assert_eq!(with(br#"{"a":1,"a":1}"#, 0), Err(Code::Malformed));
        assert_eq!(with(b"{}", 1_001), Err(Code::TooLarge));
    }
}
