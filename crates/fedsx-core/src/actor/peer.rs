//! A peer's actor document, read strictly: what is kept of it can be used without a second look.
//!
//! Invariant (FEP-fe34): every key kept lies on the actor's origin, is embedded in the document and
//! names the actor as its controller. What this instance has no use for stays in `document`; a key of
//! an unknown kind is left out, a broken address it must rely on refuses the whole document.

use crate::address::{Origin, http_url};
use crate::key::{Commitment, KeyRecord, PublicKey, RsaPublicKey};
use crate::limits;
use crate::time::parse_rfc3339_ms;
use crate::value::{Map, Value};

use super::{ActorKind, ActorLog};

/// Aliases looked at in one document.
pub(super) const ALIASES: usize = 64;
/// RSA keys looked at in one document.
const RSA_KEYS: usize = 4;
/// The longest name kept, bytes.
pub(super) const NAME_BYTES: usize = 512;

/// Why a document is no actor that can be dealt with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ActorError {
    /// `type` names no actor.
    #[error("`type` names neither an actor nor a Tombstone")]
    Type,
    /// A member that must be an absolute `http(s)` URL is missing or none.
    #[error("`{0}` must be an absolute http or https URL")]
    Url(&'static str),
}

/// An RSA key of a peer, for HTTP signatures.
#[derive(Clone, Debug)]
pub struct RsaRecord {
    /// The key's id, as signatures name it.
    pub id: String,
    /// The key.
    pub key: RsaPublicKey,
}

/// What a peer's document says of it.
#[derive(Clone, Debug)]
pub struct PeerActor {
    /// Its id.
    pub id: String,
    /// Its kind; none in a Tombstone.
    pub kind: Option<ActorKind>,
    /// `preferredUsername`.
    pub name: Option<String>,
    /// `name`, shown to people; not yet cleaned of markup.
    pub display_name: Option<String>,
    /// Where its deliveries go, on whatever origin; missing in a Tombstone only.
    pub inbox: Option<String>,
    /// The inbox it shares with others of its origin.
    pub shared_inbox: Option<String>,
    /// Its outbox.
    pub outbox: Option<String>,
    /// Its followers collection, on its origin.
    pub followers: Option<String>,
    /// The collection of whom it follows, on its origin.
    pub following: Option<String>,
    /// `manuallyApprovesFollowers`.
    pub manually_approves: bool,
    /// `alsoKnownAs`, as far as these are URLs.
    pub also_known_as: Vec<String>,
    /// `movedTo`.
    pub moved_to: Option<String>,
    /// Ed25519 keys: those of `assertionMethod`, then the superseded ones of `keyHistory`.
    pub keys: Vec<KeyRecord>,
    /// RSA keys.
    pub rsa_keys: Vec<RsaRecord>,
    /// `recoveryDigest`: the key by which it would replace all others.
    pub recovery: Option<Commitment>,
    /// Its log, where it keeps one.
    pub log: Option<ActorLog>,
    /// The document as received.
    pub document: Map,
}

impl PeerActor {
    /// Reads an actor's document or the Tombstone that took its place.
    ///
    /// # Errors
    /// [`ActorError`].
    pub fn parse(document: &Map) -> Result<Self, ActorError> {
        let id = url(document, "id").ok_or(ActorError::Url("id"))?;
        let origin = Origin::of(&id).ok_or(ActorError::Url("id"))?;
        let mut types = items(document, "type").filter_map(Value::as_str);
        let kind = items(document, "type")
            .filter_map(Value::as_str)
            .find_map(ActorKind::parse);
        let inbox = url(document, "inbox");
        match kind {
            None if !types.any(|name| name == "Tombstone") => return Err(ActorError::Type),
            Some(_) if inbox.is_none() => return Err(ActorError::Url("inbox")),
            _ => {}
        }
        let on_origin = |url: &String| Origin::of(url).as_ref() == Some(&origin);
        let endpoints = document.get("endpoints").and_then(Value::as_map);
        Ok(Self {
            kind,
            name: text(document, "preferredUsername"),
            display_name: text(document, "name"),
            inbox,
            shared_inbox: endpoints
                .and_then(|endpoints| url(endpoints, "sharedInbox"))
                .filter(on_origin),
            outbox: url(document, "outbox"),
            followers: url(document, "followers").filter(on_origin),
            following: url(document, "following").filter(on_origin),
            manually_approves: flag(document, "manuallyApprovesFollowers"),
            also_known_as: items(document, "alsoKnownAs")
                .take(ALIASES)
                .filter_map(url_of)
                .collect(),
            moved_to: url(document, "movedTo"),
            keys: ed25519_keys(document, &id, &origin),
            rsa_keys: rsa_keys(document, &id, &origin),
            recovery: document
                .get("recoveryDigest")
                .and_then(|digest| Commitment::parse(digest.as_str()?)),
            log: ActorLog::of(document),
            document: document.clone(),
            id,
        })
    }

    /// Whether only a Tombstone is left of it. Its keys still verify what it once signed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.kind.is_none()
    }

    /// The Ed25519 key of this id, current or superseded.
    #[must_use]
    pub fn find_key(&self, key_id: &str) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.id == key_id)
    }

    /// The RSA key of this id.
    #[must_use]
    pub fn find_rsa_key(&self, key_id: &str) -> Option<&RsaPublicKey> {
        let found = self.rsa_keys.iter().find(|key| key.id == key_id);
        found.map(|found| &found.key)
    }

    /// Where a delivery to it goes that others of its origin may get as well.
    #[must_use]
    pub fn shared_or_own_inbox(&self) -> Option<&str> {
        self.shared_inbox.as_deref().or(self.inbox.as_deref())
    }
}

fn items<'a>(document: &'a Map, member: &str) -> impl Iterator<Item = &'a Value> {
    document.get(member).into_iter().flat_map(Value::items)
}

fn flag(document: &Map, member: &str) -> bool {
    document.get(member).and_then(Value::as_bool) == Some(true)
}

fn text(document: &Map, member: &str) -> Option<String> {
    let text = document.get(member)?.as_str()?;
    (!text.is_empty() && text.len() <= NAME_BYTES).then(|| text.to_owned())
}

fn url(document: &Map, member: &str) -> Option<String> {
    url_of(document.get(member)?)
}

fn url_of(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    http_url(text).map(|_| text.to_owned())
}

fn ed25519_keys(document: &Map, actor: &str, origin: &Origin) -> Vec<KeyRecord> {
    let current = items(document, "assertionMethod").map(|key| (key, false));
    let history = items(document, "keyHistory").map(|key| (key, true));
    let mut keys: Vec<KeyRecord> = Vec::new();
    for (key, superseded) in current.chain(history).take(limits::KEYS) {
        let read = key.as_map().and_then(|key| multikey(key, actor, origin));
        let Some(key) = read else { continue };
        // History without an end says nothing of when the key was in force.
        let ended = !superseded || key.superseded_ms.is_some();
        if ended && keys.iter().all(|known| known.id != key.id) {
            keys.push(key);
        }
    }
    keys
}

fn multikey(key: &Map, actor: &str, origin: &Origin) -> Option<KeyRecord> {
    let is_multikey = items(key, "type").any(|name| name.as_str() == Some("Multikey"));
    let controller = key.get("controller")?.as_str()?;
    if !is_multikey || controller != actor {
        return None;
    }
    // Controlled Identifiers 1.0 ends a key by `expires` or `revoked`, fed-sx by `superseded`.
    let ends = [
        instant(key, "superseded")?,
        instant(key, "expires")?,
        instant(key, "revoked")?,
    ];
    Some(KeyRecord {
        id: owned_id(key, origin)?,
        key: PublicKey::parse(key.get("publicKeyMultibase")?.as_str()?).ok()?,
        created_ms: instant(key, "created")?,
        superseded_ms: ends.into_iter().flatten().min(),
        superseded_by: url(key, "supersededBy"),
    })
}

/// The instant of a member, `Some(None)` when it is absent; `None` when it can't be read, for a
/// key whose times are unclear must not count as valid at any time.
fn instant(key: &Map, member: &str) -> Option<Option<i64>> {
    match key.get(member) {
        None | Some(Value::Nil) => Some(None),
        Some(value) => parse_rfc3339_ms(value.as_str()?).map(Some),
    }
}

fn owned_id(key: &Map, origin: &Origin) -> Option<String> {
    url(key, "id").filter(|id| Origin::of(id).as_ref() == Some(origin))
}

fn rsa_keys(document: &Map, actor: &str, origin: &Origin) -> Vec<RsaRecord> {
    let read = |key: &Value| {
        let key = key.as_map()?;
        let owner = key.get("owner").or_else(|| key.get("controller"))?;
        if owner.as_str()? != actor {
            return None;
        }
        Some(RsaRecord {
            id: owned_id(key, origin)?,
            key: RsaPublicKey::from_pem(key.get("publicKeyPem")?.as_str()?).ok()?,
        })
    };
    let looked_at = items(document, "publicKey").take(RSA_KEYS);
    looked_at.filter_map(read).collect()
}
