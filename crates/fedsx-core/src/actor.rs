//! Actor documents: those of this instance, built from plain facts, and peers', read strictly.
//!
//! Invariant: a document built here reads back as a peer's with the same keys. Deliberately absent:
//! where documents come from, and secret keys.
//! Sources: ActivityPub section 4.1, design sections 3 and 6, FEP-521a (Multikeys in actors).

use minicbor::{Decode, Encode};

use crate::address::{ActorName, Instance};
use crate::context;
use crate::key::KeyRecord;
use crate::time::format_rfc3339_ms;
use crate::value::{Map, Value};

mod instance;
mod log;
mod peer;
mod profile;
mod recovery;
mod tombstone;

pub use instance::InstanceActor;
pub use log::{
    ActorLog, begin_log, cosigner, first_log, list_log_key, log_key_id, with_scheme, without_scheme,
};
pub use peer::{ActorError, PeerActor, RsaRecord};
pub use profile::set_profile;
pub use recovery::{Succession, recovery_key_id};
pub use tombstone::tombstone;

/// The kinds of actors of ActivityStreams. Entries of the journal hold the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum ActorKind {
    /// A person.
    #[n(0)]
    Person,
    /// A service, such as a bot.
    #[n(1)]
    Service,
    /// A group, which announces what it accepts.
    #[n(2)]
    Group,
    /// An application; here the instance itself.
    #[n(3)]
    Application,
    /// An organization; found among peers only.
    #[n(4)]
    Organization,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Person,
        Self::Service,
        Self::Group,
        Self::Application,
        Self::Organization,
    ];

    /// As `type` of a document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "Person",
            Self::Service => "Service",
            Self::Group => "Group",
            Self::Application => "Application",
            Self::Organization => "Organization",
        }
    }

    /// The kind a document's `type` names, in exactly this spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The id of an actor's `number`th Ed25519 key, from 1.
#[must_use]
pub fn ed25519_key_id(actor: &str, number: u32) -> String {
    format!("{actor}#ed25519-{number}")
}

/// The number of the next Ed25519 key of an actor that has these: one is never given twice.
#[must_use]
pub fn next_key_number(keys: &[KeyRecord]) -> u32 {
    let number = |key: &KeyRecord| key.id.rsplit_once("#ed25519-")?.1.parse::<u32>().ok();
    keys.iter().filter_map(number).max().unwrap_or(0) + 1
}

/// The id of an actor's RSA key, always the same.
#[must_use]
pub fn rsa_key_id(actor: &str) -> String {
    format!("{actor}#main-key")
}

/// The facts an actor's document is built from.
#[derive(Clone, Copy, Debug)]
pub struct LocalActor<'a> {
    /// The instance that hosts it.
    pub instance: &'a Instance,
    /// Its name.
    pub name: &'a ActorName,
    /// Its kind.
    pub kind: ActorKind,
    /// The name shown to people; the plain name stands in.
    pub display_name: Option<&'a str>,
    /// What it says of itself, HTML.
    pub summary: Option<&'a str>,
    /// Whether follows wait for its decision.
    pub manually_approves: bool,
    /// Its Ed25519 keys, current and superseded.
    pub keys: &'a [KeyRecord],
    /// Its RSA key, PEM.
    pub rsa_pem: Option<&'a str>,
    /// When it was made, Unix milliseconds.
    pub published_ms: i64,
}

impl LocalActor<'_> {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        self.instance.actor_url(self.name.as_str())
    }

    /// Its document.
    #[must_use]
    pub fn document(&self) -> Map {
        let (id, name) = (self.id(), self.name.as_str());
        let endpoints = Map::from([("sharedInbox", self.instance.shared_inbox())]);
        let mut document = Map::from([
            ("@context", context::of_actor()),
            ("id", Value::from(id.as_str())),
            ("type", Value::from(self.kind.as_str())),
            ("preferredUsername", Value::from(name)),
            ("name", Value::from(self.display_name.unwrap_or(name))),
            ("url", Value::from(id.as_str())),
            ("inbox", self.instance.inbox_url(name).into()),
            ("outbox", self.instance.outbox_url(name).into()),
            ("followers", self.instance.followers_url(name).into()),
            ("following", self.instance.following_url(name).into()),
            ("endpoints", endpoints.into()),
            ("manuallyApprovesFollowers", self.manually_approves.into()),
            ("published", format_rfc3339_ms(self.published_ms).into()),
        ]);
        list_keys(&mut document, &id, self.keys);
        if self.kind == ActorKind::Group {
            name_controllers(&mut document, self.instance, name);
        }
        if let Some(summary) = self.summary {
            document.insert("summary", summary);
        }
        if let Some(pem) = self.rsa_pem {
            list_rsa_key(&mut document, &id, pem);
        }
        document
    }
}

/// Has the document of the actor `id` list this RSA key and no other.
pub fn list_rsa_key(document: &mut Map, id: &str, pem: &str) {
    let key = Map::from([
        ("id", rsa_key_id(id)),
        ("owner", id.to_owned()),
        ("publicKeyPem", pem.to_owned()),
    ]);
    document.insert("publicKey", key);
}

/// Has the document of a group name the collection of those who control it (FEP-1b12).
pub fn name_controllers(document: &mut Map, instance: &Instance, name: &str) {
    document.insert("attributedTo", instance.controllers_url(name));
}

/// Has the document of the actor `id` list these Ed25519 keys and no others: current ones in
/// `assertionMethod`, superseded ones in `keyHistory`, the newest first, because readers look at so many only.
pub fn list_keys(document: &mut Map, id: &str, keys: &[KeyRecord]) {
    let listed = |current: bool| -> Vec<Value> {
        let keys = keys.iter().rev().filter(|key| key.is_current() == current);
        keys.map(|key| multikey(id, key)).collect()
    };
    document.insert("assertionMethod", listed(true));
    match listed(false) {
        none if none.is_empty() => document.remove("keyHistory"),
        superseded => document.insert("keyHistory", superseded),
    };
}

fn multikey(controller: &str, key: &KeyRecord) -> Value {
    let mut multikey = Map::from([
        ("id", key.id.clone()),
        ("type", "Multikey".to_owned()),
        ("controller", controller.to_owned()),
        ("publicKeyMultibase", key.key.multibase().to_owned()),
    ]);
    let times = [
        ("created", key.created_ms),
        ("superseded", key.superseded_ms),
    ];
    for (member, time) in times {
        if let Some(ms) = time {
            multikey.insert(member, format_rfc3339_ms(ms));
        }
    }
    if let Some(update) = &key.superseded_by {
        multikey.insert("supersededBy", update.as_str());
    }
    multikey.into()
}

#[cfg(test)]
mod tests;
