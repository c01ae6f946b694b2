//! The log of an actor, as its document names it: where it is, and the key that signs its checkpoints.
//!
//! Invariant: the key is in `logKey` alone, so that it proves no activity, and the log lies on the actor's origin, below
//! the actor's URL. Design, section 10.

use crate::address::{Origin, is_loopback_authority};
use crate::key::PublicKey;
use crate::transparency::{NoteError, NoteKey, Role};
use crate::value::{Map, Value};

/// The member that names the key.
const LOG_KEY: &str = "logKey";
/// The member that says where the log is, where it is not the first.
const LOG: &str = "log";

/// The log of an actor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActorLog {
    /// The URL below which it is served, without a slash at its end.
    pub url: String,
    /// The id of the key.
    pub key_id: String,
    /// The key.
    pub key: PublicKey,
}

impl ActorLog {
    /// The log that the document of an actor names.
    #[must_use]
    pub fn of(document: &Map) -> Option<Self> {
        let actor = document.get("id")?.as_str()?;
        let (key_id, key) = multikey(document, actor)?;
        let url = match document.get(LOG) {
            None => first_log(actor),
            Some(url) => {
                let url = url.as_str()?;
                let below = url.strip_prefix(&first_log(actor))?.strip_prefix('/')?;
                let number: u64 = below.parse().ok()?;
                (number > 1 && number.to_string() == below).then(|| url.to_owned())?
            }
        };
        Some(Self { url, key_id, key })
    }

    /// The origin of its checkpoints: its URL without the scheme.
    #[must_use]
    pub fn origin(&self) -> &str {
        without_scheme(&self.url)
    }

    /// Where its newest checkpoint is served.
    #[must_use]
    pub fn checkpoint_url(&self) -> String {
        format!("{}/checkpoint", self.url)
    }

    /// The key that its checkpoints are verified by.
    ///
    /// # Errors
    /// When the origin can't be the name of a key.
    pub fn note_key(&self) -> Result<NoteKey, NoteError> {
        NoteKey::new(self.origin(), self.key.clone(), Role::Log)
    }
}

/// The id and the key by which an actor, or an instance, signs notes.
fn multikey(document: &Map, controller: &str) -> Option<(String, PublicKey)> {
    let key = document.get(LOG_KEY)?.as_map()?;
    let text = |member| key.get(member).and_then(Value::as_str);
    let id = text("id")?;
    let is_own = text("type") == Some("Multikey")
        && text("controller") == Some(controller)
        && Origin::of(id).is_some()
        && Origin::of(id) == Origin::of(controller);
    let multibase = text("publicKeyMultibase").filter(|_| is_own)?;
    Some((id.to_owned(), PublicKey::parse(multibase).ok()?))
}

/// The key by which the instance cosigns whose own actor has this document.
#[must_use]
pub fn cosigner(document: &Map) -> Option<NoteKey> {
    let id = document.get("id")?.as_str()?;
    let (_, key) = multikey(document, id)?;
    NoteKey::new(without_scheme(id), key, Role::Cosigner).ok()
}

/// Where the first log of an actor is.
#[must_use]
pub fn first_log(actor: &str) -> String {
    format!("{actor}/log")
}

/// A URL as names of keys have it.
#[must_use]
pub fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// The URL of which that is the name: over http where the host is a loopback address.
#[must_use]
pub fn with_scheme(name: &str) -> String {
    let host = name.split('/').next().unwrap_or_default();
    match is_loopback_authority(host) {
        true => format!("http://{name}"),
        false => format!("https://{name}"),
    }
}

/// The id of the key that signs an actor's log for as long as its `number`th key signs its activities.
#[must_use]
pub fn log_key_id(actor: &str, number: u32) -> String {
    format!("{actor}#log-{number}")
}

/// Has the document of an actor, or of an instance, name the key by which it signs notes.
pub fn list_log_key(document: &mut Map, controller: &str, id: &str, key: &PublicKey) {
    let key = Map::from([
        ("id", id),
        ("type", "Multikey"),
        ("controller", controller),
        ("publicKeyMultibase", key.multibase()),
    ]);
    document.insert(LOG_KEY, key);
}

/// Has the document of an actor begin a further log, whose URL is told.
#[must_use]
pub fn begin_log(document: &mut Map, actor: &str) -> String {
    let before = ActorLog::of(document).map_or_else(|| first_log(actor), |log| log.url);
    let number: u64 = before
        .strip_prefix(&first_log(actor))
        .and_then(|below| below.strip_prefix('/')?.parse().ok())
        .unwrap_or(1);
    let url = format!("{}/{}", first_log(actor), number + 1);
    document.insert(LOG, url.as_str());
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Ed25519Signer;

    const ALICE: &str = "https://a.example/actors/alice";

    fn document() -> Map {
        let mut document = Map::from([("id", ALICE)]);
        let id = log_key_id(ALICE, 1);
        let key = Ed25519Signer::new(&*id, &[3; 32]).public_key();
        list_log_key(&mut document, ALICE, &id, &key);
        document
    }

    #[test]
    fn a_document_names_its_log_and_each_one_after_it() {
        let mut document = document();
        let origin = |document: &Map| ActorLog::of(document).map(|log| log.origin().to_owned());
        assert_eq!(
            origin(&document).as_deref(),
            Some("a.example/actors/alice/log")
        );
        for url in ["/2", "/3"].map(|number| first_log(ALICE) + number) {
            assert_eq!(begin_log(&mut document, ALICE), url);
            assert_eq!(ActorLog::of(&document).map(|log| log.url), Some(url));
        }
    }

    #[test]
    fn a_log_lies_below_its_actor_and_its_key_is_its_own() {
        for url in ["https://b.example/log/2", "/1", "/02", "/x", "/2/", ""] {
            let mut document = document();
            let url = match url.starts_with("https") {
                true => url.to_owned(),
                false => first_log(ALICE) + url,
            };
            document.insert(LOG, url);
            assert_eq!(ActorLog::of(&document), None);
        }
        for (member, value) in [
            ("controller", "https://a.example/actors/bob"),
            ("id", "https://b.example/actors/alice#log-1"),
            ("type", "Key"),
            ("publicKeyMultibase", "z6Mk"),
        ] {
            let mut document = document();
            let mut key = document
                .get(LOG_KEY)
                .and_then(Value::as_map)
                .expect("one")
                .clone();
            key.insert(member, value);
            document.insert(LOG_KEY, key);
            assert_eq!(ActorLog::of(&document), None);
        }
    }
}
