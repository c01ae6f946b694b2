//! By which keys an export says that its activities are signed.

use super::check::wrong;
use super::{Check, Entry};
use crate::actor::ActorLog;
use crate::entry::Authenticated;
use crate::envelope::Document;
use crate::key::{KeyRecord, PublicKey, RsaPublicKey};
use crate::proof::{self, Presented};
use crate::refusal::{Code, Refusal};

impl Check {
    /// The actor's keys, current and superseded, as of what was seen.
    #[must_use]
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The actor's RSA keys by id, as of what was seen.
    #[must_use]
    pub fn rsa_keys(&self) -> &[(String, RsaPublicKey)] {
        &self.rsa_keys
    }

    /// The actor's log, as of what was seen.
    #[must_use]
    pub fn log(&self) -> Option<&ActorLog> {
        self.log.as_ref()
    }
}

/// Whether the keys after an update go on from those before it: none is lost or changed, one ends only by this
/// update, and begins with it. A recovery key that it reveals does both.
pub(super) fn follows_from(
    before: &[KeyRecord],
    after: &[KeyRecord],
    (published_ms, update): (i64, &str),
    revealed: Option<&KeyRecord>,
) -> Result<(), Refusal> {
    for old in before {
        let Some(new) = after.iter().find(|key| key.id == old.id) else {
            return Err(wrong(format!("the key {} is lost on the way", old.id)));
        };
        let same = new == old;
        let ended = old.is_current()
            && (new.superseded_ms, new.superseded_by.as_deref())
                == (Some(published_ms), Some(update))
            && (&new.key, new.created_ms) == (&old.key, old.created_ms);
        if !same && !ended {
            return Err(wrong(format!("the key {} is changed on the way", old.id)));
        }
    }
    for new in after {
        let is_new = !before.iter().any(|key| key.id == new.id);
        let fits = revealed == Some(new) || new.is_current();
        if is_new && (new.created_ms != Some(published_ms) || !fits) {
            return Err(wrong(format!("the key {} begins at another time", new.id)));
        }
    }
    Ok(())
}

/// An activity of a peer that had a proof: by the key that it was verified by when it was received.
pub(super) fn verify_by_named(entry: &Entry, document: &Document) -> Result<(), Refusal> {
    if !matches!(
        entry.authenticated,
        Authenticated::Local | Authenticated::Proof
    ) {
        return Ok(());
    }
    let bad = |why: &str| Refusal::new(Code::BadSignature, why);
    let named = entry.key.as_deref().map(PublicKey::parse);
    let Some(Ok(key)) = named else {
        return Err(bad("a proved activity names no key"));
    };
    let verifies = proof::examine(&document.map)
        .iter()
        .any(|presented| match presented {
            Presented::Verifiable(proof) => proof.verify(&document.digest, &key).is_ok(),
            _ => false,
        });
    match verifies {
        true => Ok(()),
        false => Err(bad("the proof of an activity does not verify")),
    }
}
