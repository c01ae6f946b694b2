//! What is kept of subscriptions and triggers.

use minicbor::{Decode, Encode};

use super::At;
use crate::cid::Digest;
use crate::entry::ActorNo;

/// What a local actor selects from its own logs, for as long as it does.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Subscription {
    /// Whose.
    #[n(0)]
    pub actor: ActorNo,
    /// The `Subscribe`.
    #[n(1)]
    pub subscribe: Digest,
    /// The name of the `DefineSubscription`.
    #[n(2)]
    pub name: String,
    /// Its version, where that was named; else what the name means at the time.
    #[n(3)]
    pub version: Option<Digest>,
    /// The offset of the `Subscribe`.
    #[n(4)]
    pub from: u64,
    /// The offset at which it ended, exclusive.
    #[n(5)]
    pub until: Option<u64>,
    /// The entry of the `Subscribe`, whose document has the parameters.
    #[n(6)]
    pub at: At,
}

/// What a trigger came to so far.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct TriggerTotals {
    /// Activities that it made.
    #[n(0)]
    pub published: u64,
    /// Activities that it made nothing of, its function having been asked.
    #[n(1)]
    pub nothing: u64,
    /// Activities of which nothing came because there were too many from one actor.
    #[n(2)]
    pub limited: u64,
    /// Activities at which it failed.
    #[n(3)]
    pub failed: u64,
    /// The entry that says how it failed last.
    #[n(4)]
    pub last_failure: Option<At>,
}
