//! The actor that is the instance itself, by whose signature it asks others for documents.
//!
//! Invariant: its document follows from the instance's URL and its keys alone, so that nothing but the keys is
//! kept. It says nothing, follows nobody and takes nothing in: it has no log. Sources: ActivityPub section 4.1;
//! `Application` at `/actor`, named by the host, is how Mastodon does it.

use crate::address::Instance;
use crate::context;
use crate::key::KeyRecord;
use crate::value::{Map, Value};

use super::{ActorKind, list_keys, list_rsa_key};

/// The facts the document of the instance's own actor is built from.
#[derive(Clone, Copy, Debug)]
pub struct InstanceActor<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// Its Ed25519 keys.
    pub keys: &'a [KeyRecord],
    /// Its RSA key, PEM.
    pub rsa_pem: &'a str,
}

impl InstanceActor<'_> {
    /// Its document.
    #[must_use]
    pub fn document(&self) -> Map {
        let (id, name) = (self.instance.own_actor_url(), self.instance.own_name());
        let mut document = Map::from([
            ("@context", context::of_actor()),
            ("id", Value::from(id.as_str())),
            ("type", Value::from(ActorKind::Application.as_str())),
            ("preferredUsername", name.as_str().into()),
            ("name", self.instance.authority().into()),
            ("url", id.as_str().into()),
            ("inbox", format!("{id}/inbox").into()),
            ("outbox", format!("{id}/outbox").into()),
            // A Follow is never accepted, and servers show by this that one may wait.
            ("manuallyApprovesFollowers", true.into()),
        ]);
        list_keys(&mut document, &id, self.keys);
        list_rsa_key(&mut document, &id, self.rsa_pem);
        document
    }
}
