//! Rotation of a local actor's key: the new key is durable first, then an `Update` signed by the key that it
//! replaces says so.
//!
//! Invariant: wherever the process ends, the vault holds the key that the actor's row names. A key that no `Update`
//! told of is taken by the next rotation. Deliberately absent: the RSA key (`main_key`). Design, section 6.

use std::sync::{Arc, PoisonError};

use fedsx_core::actor::{ed25519_key_id, list_log_key, log_key_id, next_key_number};
use fedsx_core::key::{KeyRecord, PublicKey, rotated};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};

use crate::document::{Amended, ByUpdate};
use crate::{Node, Published, fault};

/// A rotation that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// The key from here on.
    pub key: KeyRecord,
    /// The `Update`.
    pub published: Published,
}

impl Node {
    /// Replaces the Ed25519 keys of a local actor, that of its log too. Returns when the new document is served; what is published from
    /// then on is signed by the new key.
    ///
    /// # Errors
    /// `no-such-actor`; `conflict` when other rotations keep coming between, or the document has no room for
    /// a further key.
    pub async fn rotate_key(&self, name: &str) -> Result<Rotation, Refusal> {
        let actor = self.actor(name)?;
        let mut tries = 0;
        loop {
            let number = {
                let pen = self.pen_of(actor.no)?;
                let pen = pen.lock().unwrap_or_else(PoisonError::into_inner);
                next_key_number(&self.keys_at(&pen, actor.no)?)
            };
            let key_id = ed25519_key_id(&actor.url, number);
            let key = self.make_key(key_id.clone()).await?;
            let log_key_id = log_key_id(&actor.url, number);
            let log_key = self.make_key(log_key_id.clone()).await?;
            let new = (key_id, key);
            let mut begun = None;
            let replace = |amended: &mut Amended, update: ByUpdate<'_>| {
                if next_key_number(&amended.keys) != number {
                    let why = "the key was rotated by somebody else meanwhile";
                    return Err(Refusal::new(Code::Conflict, why));
                }
                if amended.keys.len() >= limits::KEYS {
                    let why = format!("an actor has at most {} keys in all", limits::KEYS);
                    return Err(Refusal::new(Code::Conflict, why));
                }
                amended.keys = rotated(&amended.keys, new, update.published_ms, update.id);
                list_log_key(&mut amended.document, &actor.url, &log_key_id, &log_key);
                begun = amended.keys.last().cloned();
                Ok(())
            };
            match self.amend(&actor, replace).await {
                Ok(published) => {
                    let key = begun.expect("asked once where it is published");
                    return Ok(Rotation { key, published });
                }
                Err(refusal) if refusal.code == Code::Conflict && tries < 3 => tries += 1,
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// A key of that id in the vault, durable; one that is there already is kept.
    pub(crate) async fn make_key(&self, key_id: String) -> Result<PublicKey, Refusal> {
        let vault = Arc::clone(&self.0.vault);
        let made = self.aside(move || vault.create_ed25519(&key_id));
        match made.await {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => Err(fault::internal("a key can't be made", &error)),
            Err(error) => Err(fault::internal("a key was not made", &error)),
        }
    }
}
