//! The local logs that entries join.

use minicbor::{Decode, Encode};

/// A local actor's number, given in the order of creation, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct ActorNo(#[n(0)] pub u32);

/// Which of an actor's two logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Side {
    /// What the actor published.
    #[n(0)]
    Outbox,
    /// What reached the actor.
    #[n(1)]
    Inbox,
}

/// One local log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct LogId {
    /// Whose.
    #[n(0)]
    pub actor: ActorNo,
    /// Which.
    #[n(1)]
    pub side: Side,
}

impl LogId {
    /// The outbox log of `actor`.
    #[must_use]
    pub const fn outbox(actor: ActorNo) -> Self {
        Self {
            actor,
            side: Side::Outbox,
        }
    }

    /// The inbox log of `actor`.
    #[must_use]
    pub const fn inbox(actor: ActorNo) -> Self {
        Self {
            actor,
            side: Side::Inbox,
        }
    }
}

/// A log and the place in it, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Joined {
    /// The log.
    #[n(0)]
    pub log: LogId,
    /// The place.
    #[n(1)]
    pub seq: u64,
}
