//! Writes what goes out: stored entries, actors, relations and deliveries as messages.

use std::collections::BTreeMap;

use fedsx_core::actor::ActorKind;
use fedsx_core::canonical::jcs_map;
use fedsx_core::cid::{Cid, cid};
use fedsx_core::entry::{Activity, ActorNo, Joined, LogId, Side};
use fedsx_core::key::KeyRecord;
use fedsx_core::notation::Notation;
use fedsx_core::refusal::Refusal;
use fedsx_core::registry::{Active, Registry};
use fedsx_core::state::Actor;
use fedsx_node::{MainKeyRotation, Rotation};
use fedsx_store::{Stored, View};

use crate::deliveries::{DeadLetter, DeliveryRecord, Lane};
use crate::proto;
use crate::refused::internal;

/// Places named in one entry; a shared-inbox activity may have joined more logs.
const PLACES: usize = 100;

/// Writes entries; remembers the actors' names between them.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    view: &'a View,
    names: BTreeMap<ActorNo, String>,
}

impl<'a> Entries<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        Self {
            view,
            names: BTreeMap::new(),
        }
    }

    /// An activity as an entry; `None` for a control entry. `seq` is its place in the log asked for;
    /// without one, in the first it joined.
    pub(crate) fn entry(
        &mut self,
        stored: &Stored,
        seq: Option<u64>,
    ) -> Result<Option<proto::Entry>, Refusal> {
        let Some(activity) = stored.activity() else {
            return Ok(None);
        };
        let first = activity.joined.first().map_or(0, |joined| joined.seq);
        let state = match (stored.erased, activity.backfilled) {
            (true, _) => "erased",
            (false, true) => "backfilled",
            (false, false) => "stored",
        };
        Ok(Some(proto::Entry {
            cid: Cid::of_document(activity.digest).to_string(),
            seq: seq.unwrap_or(first),
            offset: stored.header.offset,
            state: state.to_owned(),
            document_json: document_json(stored, activity)?,
            received_ms: stored.header.received_ms,
            authenticated: activity.authenticated.as_str().to_owned(),
            visibility: activity.visibility.as_str().to_owned(),
            places: self.places(activity)?,
        }))
    }

    fn places(&mut self, activity: &Activity) -> Result<Vec<proto::Place>, Refusal> {
        let named = activity.joined.iter().take(PLACES);
        named.map(|joined| self.place(*joined)).collect()
    }

    fn place(&mut self, joined: Joined) -> Result<proto::Place, Refusal> {
        let no = joined.log.actor;
        let actor = match self.names.get(&no) {
            Some(name) => name.clone(),
            None => {
                let actor = self.view.state().actor(no).map_err(internal)?;
                let name = actor.map(|actor| actor.name).unwrap_or_default();
                self.names.insert(no, name.clone());
                name
            }
        };
        let side = match joined.log.side {
            Side::Outbox => proto::Side::Outbox,
            Side::Inbox => proto::Side::Inbox,
        };
        Ok(proto::Place {
            actor,
            side: side.into(),
            seq: joined.seq,
        })
    }
}

fn document_json(stored: &Stored, activity: &Activity) -> Result<Vec<u8>, Refusal> {
    match activity.notation {
        Notation::Json if !stored.erased => Ok(stored.document.to_vec()),
        _ => Ok(jcs_map(&stored.map().map_err(internal)?)),
    }
}

/// An actor with its document and its figures.
pub(crate) fn actor(view: &View, host: &str, actor: &Actor) -> Result<proto::Actor, Refusal> {
    let totals = view.state().relation_totals(actor.no).map_err(internal)?;
    let len = |log| view.state().log_len(log).map_err(internal);
    let document = view.actor_document(actor).map_err(internal)?;
    let before = actor.document.offset.saturating_sub(1);
    let stored = view.tail(before).next(1).map_err(internal)?;
    let entry = match stored.first() {
        Some(stored) => Entries::new(view).entry(stored, None)?,
        None => None,
    };
    let entry = entry.map(|entry| proto::Entry {
        cid: cid(&document).to_string(),
        state: match actor.is_gone() {
            true => "deleted",
            false => "active",
        }
        .to_owned(),
        document_json: jcs_map(&document),
        ..entry
    });
    let kind = match actor.kind {
        ActorKind::Person => proto::ActorKind::Person,
        ActorKind::Service => proto::ActorKind::Service,
        ActorKind::Group => proto::ActorKind::Group,
        // None of them is made here.
        ActorKind::Application | ActorKind::Organization => proto::ActorKind::Unspecified,
    };
    Ok(proto::Actor {
        name: actor.name.clone(),
        url: actor.url.clone(),
        kind: kind.into(),
        manual_approval: actor.manual_approval,
        handle: format!("acct:{}@{host}", actor.name),
        followers: totals.followers,
        following: totals.following,
        outbox: len(LogId::outbox(actor.no))?,
        inbox: len(LogId::inbox(actor.no))?,
        entry,
        deleted_ms: actor.gone_ms,
    })
}

/// What publishing answered.
pub(crate) fn published(published: fedsx_node::Published) -> proto::Published {
    proto::Published {
        id: published.id,
        cid: published.cid.to_string(),
        seq: published.seq,
        offset: published.offset,
    }
}

/// A key, without what peers know of it.
pub(crate) fn key(key: &KeyRecord) -> proto::Key {
    proto::Key {
        id: key.id.clone(),
        multibase: key.key.multibase().to_owned(),
        created_ms: key.created_ms.unwrap_or_default(),
        superseded_ms: key.superseded_ms,
        superseded_by: key.superseded_by.clone().unwrap_or_default(),
        ..proto::Key::default()
    }
}

/// A rotation of the key that signs documents.
pub(crate) fn rotation(done: Rotation) -> proto::RotateKeyResponse {
    proto::RotateKeyResponse {
        key: Some(key(&done.key)),
        published: Some(published(done.published)),
        rsa: None,
    }
}

/// A rotation of the RSA key.
pub(crate) fn main_key_rotation(done: MainKeyRotation) -> proto::RotateKeyResponse {
    proto::RotateKeyResponse {
        key: None,
        published: Some(published(done.published)),
        rsa: Some(proto::RsaKey {
            id: done.key_id,
            pem: done.pem,
            former_until_ms: done.former_until_ms,
        }),
    }
}

/// A definition.
pub(crate) fn definition(registry: &Registry, active: &Active) -> proto::Definition {
    let definition = &active.definition;
    let create = active.create.map(Cid::of_document);
    proto::Definition {
        kind: definition.kind().as_str().to_owned(),
        name: definition.name().to_owned(),
        cid: definition.cid().to_string(),
        authority: active.authority.as_str().to_owned(),
        doc: definition.doc().unwrap_or_default().to_owned(),
        offset: active.offset,
        defined_by: create.map(|cid| cid.to_string()).unwrap_or_default(),
        active: registry.is_active(active),
        document_json: jcs_map(definition.map()),
    }
}

/// A lane.
pub(crate) fn lane(lane: Lane) -> proto::Lane {
    proto::Lane {
        host: lane.host,
        state: lane.state,
        queued: lane.queued,
        set_aside: lane.set_aside,
        in_flight: lane.in_flight,
        failures: lane.failures,
        next_try_ms: lane.next_try_ms,
        last_error: lane.last_error.unwrap_or_default(),
        oldest_offset: lane.oldest_offset,
        missed_from: lane.missed_from,
    }
}

/// The account of a delivery.
pub(crate) fn record(record: DeliveryRecord) -> proto::DeliveryRecord {
    proto::DeliveryRecord {
        host: record.host,
        actor: record.actor,
        recipient: record.recipient,
        state: record.state.to_owned(),
        status: record.status.map_or(0, u32::from),
        answer: record.answer,
        failures: record.failures,
        at_ms: record.at_ms,
    }
}

/// A delivery that was given up.
pub(crate) fn dead_letter(letter: DeadLetter) -> proto::DeadLetter {
    proto::DeadLetter {
        id: letter.id,
        host: letter.host,
        inbox: letter.inbox,
        cid: letter.cid,
        actor: letter.actor,
        offset: letter.offset,
        status: letter.status.map_or(0, u32::from),
        answer: letter.answer,
        at_ms: letter.at_ms,
    }
}
