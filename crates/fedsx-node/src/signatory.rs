//! Who signs a request: a local actor, or the instance itself, in whichever scheme its receiver takes.
//!
//! Ed25519 as RFC 9421 has it; RSA in the older scheme, whose key is looked up only when a host asks for it. The
//! actor that is the instance itself is made at the first start, as every actor is: keys first, then the document
//! that follows from them. It is in no table and no log, so that nobody can list, move or delete it. Deliberately
//! absent: rotation of its keys.

use std::fmt;
use std::sync::Arc;

use fedsx_core::actor::{InstanceActor, ed25519_key_id, list_log_key, log_key_id, rsa_key_id};
use fedsx_core::address::Instance;
use fedsx_core::cid::Digest;
use fedsx_core::http_signature::{Scheme, SignedHeaders, sign_cavage, sign_rfc9421_with};
use fedsx_core::key::{Ed25519Signer, KeyRecord, RsaPublicKey, RsaSigner as _, spki_to_pem};
use fedsx_core::refusal::Refusal;
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::client::{OlderKey, SignRequests, Unsent, Unsigned};
use fedsx_discovery::clock::Clock;
use fedsx_store::View;
use fedsx_store::vault::{RsaKey, Vault, VaultError};

use crate::Node;

/// Signs requests as one actor.
struct Signatory {
    ed25519: Arc<Ed25519Signer>,
    rsa: Rsa,
    clock: Clock,
}

/// Where the RSA key is.
enum Rsa {
    AtHand(Arc<RsaKey>),
    /// The one that the actor's document lists.
    Of {
        actor: Box<Actor>,
        view: View,
        vault: Arc<Vault>,
    },
}

impl Rsa {
    fn key(&self) -> Result<Arc<RsaKey>, Unsigned> {
        let failed = |error: &dyn fmt::Display| Unsigned::Key(error.to_string());
        match self {
            Self::AtHand(key) => Ok(Arc::clone(key)),
            Self::Of { actor, view, vault } => {
                let document = view.actor_document(actor).map_err(|error| failed(&error))?;
                let spki = rsa_spki(&document)
                    .ok_or_else(|| failed(&"the actor's document lists no RSA key"))?;
                let key = vault.rsa(&rsa_key_id(&actor.url), &spki);
                key.map_err(|error| failed(&error))?
                    .ok_or_else(|| failed(&"the vault lacks the RSA key of the actor's document"))
            }
        }
    }
}

impl Signatory {
    /// The RSA keys by which hosts may go, while there are several: first the one before the present one, which a
    /// host takes until it has heard of that, and last those that are older yet.
    fn rsa_keys(&self) -> Result<Vec<OlderKey>, Unsigned> {
        let Rsa::Of { actor, vault, .. } = &self.rsa else {
            return Ok(Vec::new());
        };
        let now_ms = (self.clock)();
        let former = actor.former_rsa.iter().flatten().rev();
        let mut keys = Vec::new();
        for former in former.filter(|key| now_ms < key.until_ms) {
            let key = vault.rsa(&rsa_key_id(&actor.url), &former.spki);
            keys.extend(key.map_err(|error| Unsigned::Key(error.to_string()))?);
        }
        if !keys.is_empty() {
            keys.insert(1, self.rsa.key()?);
        }
        Ok(keys.into_iter().map(|key| self.by(key)).collect())
    }

    fn by(&self, key: Arc<RsaKey>) -> OlderKey {
        OlderKey {
            id: key.key_id().to_owned(),
            fingerprint: Digest::of(key.spki()),
            signer: Arc::new(Self {
                ed25519: Arc::clone(&self.ed25519),
                rsa: Rsa::AtHand(key),
                clock: Arc::clone(&self.clock),
            }),
        }
    }
}

impl SignRequests for Signatory {
    fn sign(&self, scheme: Scheme, request: &Unsent<'_>) -> Result<SignedHeaders, Unsigned> {
        let Unsent {
            method,
            url,
            body,
            fields,
        } = *request;
        let now_ms = (self.clock)();
        Ok(match scheme {
            Scheme::Rfc9421 => sign_rfc9421_with(
                method,
                url,
                body,
                fields,
                &*self.ed25519,
                now_ms.div_euclid(1_000),
            )?,
            Scheme::Cavage => sign_cavage(method, url, body, fields, &*self.rsa.key()?, now_ms)?,
        })
    }

    fn older_keys(&self) -> Vec<OlderKey> {
        self.rsa_keys().unwrap_or_else(|error| {
            // The present one goes without them.
            tracing::error!(%error, "keys that were replaced can't be had");
            Vec::new()
        })
    }
}

impl fmt::Debug for Signatory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signatory").field(&self.ed25519).finish()
    }
}

/// The RSA key that an actor's document lists, `SubjectPublicKeyInfo` DER.
pub(crate) fn rsa_spki(document: &Map) -> Option<Vec<u8>> {
    let pem = document.get("publicKey")?.get("publicKeyPem");
    let key = RsaPublicKey::from_pem(pem.and_then(Value::as_str)?).ok()?;
    Some(key.as_spki_der().to_vec())
}

/// The actor that is the instance itself.
#[derive(Debug)]
pub struct Itself {
    document: Map,
    signatory: Arc<Signatory>,
    log: Arc<Ed25519Signer>,
}

impl Itself {
    /// The instance's own actor; at the first start its keys are made, durably.
    ///
    /// # Errors
    /// When they can't be, or not be read.
    pub fn open(instance: &Instance, vault: &Vault, clock: Clock) -> Result<Self, VaultError> {
        let url = instance.own_actor_url();
        let id = ed25519_key_id(&url, 1);
        vault.create_ed25519(&id)?;
        let rsa = vault.create_rsa(&rsa_key_id(&url))?;
        let log_id = log_key_id(&url, 1);
        vault.create_ed25519(&log_id)?;
        let unusable = || VaultError::Unusable { key_id: id.clone() };
        let ed25519 = vault.signer(&id)?.ok_or_else(unusable)?;
        let log = vault.signer(&log_id)?.ok_or_else(unusable)?;
        let key = KeyRecord {
            key: ed25519.public_key(),
            id,
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        let mut document = InstanceActor {
            instance,
            keys: &[key],
            rsa_pem: &spki_to_pem(rsa.spki()),
        }
        .document();
        list_log_key(&mut document, &url, &log_id, &log.public_key());
        let signatory = Arc::new(Signatory {
            ed25519,
            rsa: Rsa::AtHand(rsa),
            clock,
        });
        Ok(Self {
            document,
            signatory,
            log,
        })
    }

    /// Its document, which is served to whoever asks: two instances that both ask for signatures would wait for
    /// each other otherwise.
    #[must_use]
    pub fn document(&self) -> &Map {
        &self.document
    }

    /// Signs what this instance saw of the logs of others.
    pub(crate) fn log_signer(&self) -> &Ed25519Signer {
        &self.log
    }

    /// Signs requests as the instance.
    #[must_use]
    pub fn signatory(&self) -> Arc<dyn SignRequests> {
        self.signatory.clone()
    }
}

impl Node {
    /// Signs requests as a local actor, with its present keys.
    ///
    /// # Errors
    /// `internal`, when the vault has no such key.
    pub fn signatory(&self, actor: &Actor) -> Result<Arc<dyn SignRequests>, Refusal> {
        Ok(Arc::new(Signatory {
            ed25519: self.signing_key(&actor.keys)?.0,
            rsa: Rsa::Of {
                actor: Box::new(actor.clone()),
                view: self.0.view.clone(),
                vault: Arc::clone(&self.0.vault),
            },
            clock: Arc::clone(&self.0.clock),
        }))
    }

    /// The actor that is the instance itself; none in a node that nobody serves.
    #[must_use]
    pub fn itself(&self) -> Option<&Itself> {
        self.0.itself.get()
    }

    /// Has the instance be this actor. Set once; later calls change nothing.
    pub fn be(&self, itself: Itself) {
        // A second one would be of the same keys.
        let _already = self.0.itself.set(itself);
    }
}
