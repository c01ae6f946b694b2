//! Recovery: an actor's document that names other keys than before, and a key that it had committed to.
//!
//! An actor commits to a recovery key once. From then on a document that commits to another one stands only on an
//! `Update` by the key itself, which reveals it, replaces every key and commits to the next. The revealed key is
//! listed as one that begins and ends with that `Update`, so that it signs nothing else. Deliberately absent: how
//! the `Update` is known to be that key's (`evidence.rs`). Design, section 6.

use super::PeerActor;
use crate::key::{Commitment, KeyRecord};
use crate::refusal::{Code, Refusal};

/// The id of an actor's revealed recovery key, and the ids of those revealed later.
#[must_use]
pub fn recovery_key_id(actor: &str, keys: &[KeyRecord]) -> String {
    let stem = format!("{actor}#recovery");
    let before = keys.iter().filter(|key| key.id.starts_with(&stem)).count();
    match before {
        0 => stem,
        more => format!("{stem}-{}", more + 1),
    }
}

/// A document beside what its actor had committed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Succession {
    /// It says the same.
    Same,
    /// It says that the `Update` of this `id` changed it.
    By(String),
    /// It says nothing of how it came to be changed.
    Broken,
}

impl PeerActor {
    /// How this document stands to what its actor had committed to. What is left of a deleted actor commits to
    /// nothing.
    #[must_use]
    pub fn succession(&self, before: &Commitment) -> Succession {
        if self.is_gone() || self.recovery.as_ref() == Some(before) {
            return Succession::Same;
        }
        let update = self
            .revealed(before)
            .and_then(|key| key.superseded_by.clone());
        update.map_or(Succession::Broken, Succession::By)
    }

    /// The key that was committed to, where it has been revealed.
    #[must_use]
    pub fn revealed(&self, before: &Commitment) -> Option<&KeyRecord> {
        let stem = format!("{}#recovery", self.id);
        let mut keys = self.keys.iter();
        keys.find(|key| key.id.starts_with(&stem) && Commitment::to(&key.key) == *before)
    }

    /// What the actor commits to by an `Update` of that `id` and `published` whose object is this document; and the
    /// key that has to have signed it.
    ///
    /// # Errors
    /// `not-authorised`, when it does not do what a recovery does.
    pub fn recovers(
        &self,
        before: &Commitment,
        update: &str,
        published_ms: i64,
    ) -> Result<(Commitment, &KeyRecord), Refusal> {
        let refuse = |why| Err(Refusal::new(Code::NotAuthorised, why));
        let Some(key) = self.revealed(before) else {
            return refuse("the recovery key that was committed to is not revealed");
        };
        let ends_with_it = key.superseded_by.as_deref() == Some(update)
            && (key.created_ms, key.superseded_ms) == (Some(published_ms), Some(published_ms));
        if !ends_with_it {
            return refuse("the recovery key is listed for something else than its `Update`");
        }
        let mut current = self.keys.iter().filter(|key| key.is_current());
        if !current.all(|key| key.created_ms == Some(published_ms)) {
            return refuse("a recovery replaces every key");
        }
        match &self.recovery {
            Some(next) if next != before => Ok((next.clone(), key)),
            _ => refuse("a recovery commits to another recovery key"),
        }
    }
}
