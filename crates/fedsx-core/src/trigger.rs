//! Triggers: what follows from an entry, as a pure function of the entry and the journal before it
//! (design, section 8.2, "Triggers").
//!
//! A trigger follows entries in the logs of the actor who defined it, above its own `Create`. It is done
//! with an activity by the entry that carries both ([`Derived`]), or by one that says that nothing comes
//! of it ([`Settled`]); where a predicate says no, nothing is kept, because it says so again. Invariants:
//! what a trigger publishes is for nobody whom its source was not for (`audience`), and no chain of
//! triggers is without end (`chain`). Deliberately absent: publishing, and the order in which entries are
//! looked at (node).

mod audience;
mod chain;
mod standing;

use minicbor::{Decode, Encode};

use crate::cid::{Cid, Digest};
use crate::limits::{TRIGGER_ERROR_BYTES, TRIGGERED_PER_HOUR};

pub use audience::{Source, address};
pub use chain::{Chain, chain};
pub use standing::{Due, Met, Ran, Standing, Subscribed, Trigger};

const HOUR_MS: i64 = 3_600_000;

/// What an activity follows from.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Derived {
    /// The digest of the activity that the trigger met.
    #[n(0)]
    pub source: Digest,
    /// The digest of the trigger.
    #[n(1)]
    pub trigger: Digest,
    /// Whose activity that was.
    #[n(2)]
    pub source_actor: String,
}

/// How an activity that a trigger makes comes to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Derivation {
    /// What it follows from.
    pub derived: Derived,
    /// All activities that it follows from, root first: its `causedBy`.
    pub ancestors: Vec<Cid>,
}

/// That nothing comes of an activity.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Settled {
    /// The digest of the activity that the trigger met.
    #[n(0)]
    pub source: Digest,
    /// The digest of the trigger.
    #[n(1)]
    pub trigger: Digest,
    /// Why.
    #[n(2)]
    pub reason: Reason,
    /// What went wrong, where something did.
    #[n(3)]
    pub error: Option<String>,
}

impl Settled {
    /// The account of a failure, its length bounded.
    #[must_use]
    pub fn failed(source: Digest, trigger: Digest, error: &str) -> Self {
        let end = error.floor_char_boundary(TRIGGER_ERROR_BYTES);
        Self {
            source,
            trigger,
            reason: Reason::Failed,
            error: Some(error[..end].to_owned()),
        }
    }
}

/// Why nothing comes of an activity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Reason {
    /// `then` answered nil.
    #[n(0)]
    Nothing,
    /// The trigger has made as much of its actor's activities as it may in an hour.
    #[n(1)]
    Limited,
    /// The trigger failed, or what it made was refused.
    #[n(2)]
    Failed,
}

impl Reason {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

/// Whether a trigger may make something more, now, of activities of an actor of which it made something
/// at these times.
#[must_use]
pub fn has_room(spent_ms: &[i64], now_ms: i64) -> bool {
    lately(spent_ms, now_ms).count() < TRIGGERED_PER_HOUR
}

/// The times with one more, as far back as they count.
#[must_use]
pub fn spend(spent_ms: &[i64], now_ms: i64) -> Vec<i64> {
    let mut times: Vec<i64> = lately(spent_ms, now_ms).chain([now_ms]).collect();
    // More than that can't be looked at.
    let excess = times.len().saturating_sub(TRIGGERED_PER_HOUR);
    times.drain(..excess);
    times
}

fn lately(spent_ms: &[i64], now_ms: i64) -> impl Iterator<Item = i64> {
    let since_ms = now_ms.saturating_sub(HOUR_MS);
    spent_ms
        .iter()
        .copied()
        .filter(move |time_ms| *time_ms > since_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_hour_sees_more_than_allowed(pauses_ms in prop::collection::vec(0_i64..200_000, 0..300)) {
            let (mut now_ms, mut spent, mut made) = (0, Vec::new(), Vec::new());
            for pause_ms in pauses_ms {
                now_ms += pause_ms;
                if has_room(&spent, now_ms) {
                    spent = spend(&spent, now_ms);
                    made.push(now_ms);
                }
                prop_assert!(spent.len() <= TRIGGERED_PER_HOUR);
            }
            for (at, from_ms) in made.iter().enumerate() {
                let within = made[at..].iter().filter(|time_ms| **time_ms < from_ms + HOUR_MS);
                prop_assert!(within.count() <= TRIGGERED_PER_HOUR);
            }
        }
    }

    #[test]
    fn after_an_hour_there_is_room_again() {
        let spent: Vec<i64> = (0..60).collect();
        assert!(!has_room(&spent, 100));
        assert!(has_room(&spent, HOUR_MS));
        assert!(has_room(&spent[1..], 100));
    }
}
