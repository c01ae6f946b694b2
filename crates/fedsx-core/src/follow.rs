//! The follow table: what each input does to the relation of a local actor with a peer (design,
//! section 7), for both directions and both sides of the wire.
//!
//! Pure and total: every (relation, input) has an outcome, and the test prints all of them as one
//! page. Who may give an input is judged before (`decide/authority.rs`); blocks are kept beside the
//! relation and refuse a `Follow` before it reaches this table.

mod partial;
pub mod synchronization;

use minicbor::{Decode, Encode};

use crate::limits::EARLY_UNDO_MS;

pub use partial::Partial;

/// Which way a relation points, seen from the local actor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    /// The peer follows the local actor.
    #[n(0)]
    Follower,
    /// The local actor follows the peer.
    #[n(1)]
    Following,
}

/// How far a relation has come.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// There is none.
    #[default]
    #[n(0)]
    None,
    /// Asked for, not answered.
    #[n(1)]
    Pending,
    /// Accepted.
    #[n(2)]
    Accepted,
    /// Asked for by the local actor, and not taken by the peer's server. It was never taken back: once it is taken
    /// after all, by another try or from another hand, it counts.
    #[n(3)]
    Refused,
}

impl Phase {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// An `Undo` that came before its `Follow`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct EarlyUndo {
    /// The id of the `Follow` that it undoes.
    #[n(0)]
    pub id: String,
    /// Until when it is remembered, Unix milliseconds.
    #[n(1)]
    pub until_ms: i64,
}

/// The relation of one local actor with one peer in one direction.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Relation {
    /// How far it has come.
    #[n(0)]
    pub phase: Phase,
    /// The id of the `Follow` it stands on.
    #[n(1)]
    pub id: Option<String>,
    /// The id before that one: what names it is stale.
    #[n(2)]
    pub previous: Option<String>,
    /// An `Undo` that came early.
    #[n(3)]
    pub early_undo: Option<EarlyUndo>,
    /// When the present phase began, Unix milliseconds.
    #[n(4)]
    pub since_ms: i64,
    /// Where a remote follower receives.
    #[n(5)]
    pub inbox: Option<String>,
    /// Its shared inbox.
    #[n(6)]
    pub shared_inbox: Option<String>,
    /// The id that was accepted, where the local actor has said another `Follow` since: a `Reject` of that one
    /// leaves the new one to be answered.
    #[n(8)]
    pub accepted: Option<String>,
    /// When the newest `Follow` or `Undo` of it was said, Unix milliseconds: a `Follow` that was said before and comes
    /// behind it says nothing any more.
    #[n(9)]
    pub said_ms: Option<i64>,
}

/// When an input was said, and when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Its `published`, Unix milliseconds; where it has none, when it came.
    pub published_ms: i64,
    /// When it came, Unix milliseconds.
    pub now_ms: i64,
}

impl Times {
    /// Said and come at once.
    #[must_use]
    pub const fn at(now_ms: i64) -> Self {
        Self {
            published_ms: now_ms,
            now_ms,
        }
    }
}

/// What happens to a relation. Which follow an answer means is given by its `id`, by the pair (the
/// Follow was embedded), or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input<'a> {
    /// A `Follow` with this id.
    Follow {
        /// Its id.
        id: &'a str,
    },
    /// The followed accepts.
    Accept(Which<'a>),
    /// The followed rejects or removes.
    Reject(Which<'a>),
    /// The follower takes it back.
    Undo(Which<'a>),
    /// The local actor blocks the peer.
    BlockedByUs,
    /// The peer blocks the local actor.
    BlockedByThem,
    /// The peer's actor is deleted, or its inbox is gone.
    PeerGone,
    /// The peer's server would not take the `Follow` with this id.
    Refused {
        /// Its id.
        id: &'a str,
    },
    /// The peer's server took the `Follow` with this id after all.
    Taken {
        /// Its id.
        id: &'a str,
    },
    /// The peer's server does not know of the accepted follow that stands on this id.
    Lost {
        /// Its id.
        id: &'a str,
    },
}

/// Which follow is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Which<'a> {
    /// The id given.
    pub id: Option<&'a str>,
    /// Whether the pair was given with it.
    pub pair: bool,
}

/// What is owed to the peer, published by a worker and settled by its entry.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Owed {
    /// `Accept` of the peer's follow.
    #[n(0)]
    Accept {
        /// The id of the Follow.
        #[n(0)]
        id: String,
    },
    /// `Reject` of the peer's follow.
    #[n(1)]
    Reject {
        /// The id of the Follow.
        #[n(0)]
        id: String,
    },
    /// `Undo` of the local actor's follow.
    #[n(2)]
    Undo {
        /// The id of the Follow.
        #[n(0)]
        id: String,
    },
    /// The peer moved: a `Follow` of the actor it is now, then `Undo` of the follow of the peer.
    #[n(3)]
    Refollow {
        /// The id of the Follow.
        #[n(0)]
        id: String,
        /// The actor it is now.
        #[n(1)]
        target: String,
    },
}

/// What an input led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The relation afterwards.
    pub relation: Relation,
    /// What is now owed to the peer, if anything.
    pub owed: Option<Owed>,
    /// Whether the input meant anything; an ignored one changes nothing and is not kept.
    pub ignored: bool,
}

/// The table. `manual` says whether the local actor answers follows by hand.
#[must_use]
pub fn step(
    direction: Direction,
    manual: bool,
    relation: &Relation,
    input: Input<'_>,
    times: Times,
) -> Outcome {
    let now_ms = times.now_ms;
    match input {
        Input::Follow { id } => follow(direction, manual, relation, id, times),
        Input::Accept(which) if relation.is_answered(direction, which) => {
            let mut next = relation.clone();
            next.accepted = None;
            if next.phase != Phase::Accepted {
                next.phase = Phase::Accepted;
                next.since_ms = now_ms;
            }
            changed(next, None)
        }
        Input::Reject(which) if relation.is_answered(direction, which) => {
            changed(relation.ended(now_ms), None)
        }
        Input::Undo(which) if relation.is_undone(which, times) => {
            let ended = relation.ended(now_ms).said(times);
            match which.id {
                // Meant by the pair: a follow under the id that stands beside it may still come.
                Some(id) if relation.id.as_deref() != Some(id) => {
                    changed(ended.remembering(id, now_ms), None)
                }
                _ => changed(ended, None),
            }
        }
        Input::Undo(which) => early_undo(relation, which, times),
        Input::Reject(which) if which.id.is_some() && relation.accepted.as_deref() == which.id => {
            let mut next = relation.clone();
            next.accepted = None;
            next.phase = Phase::Pending;
            next.since_ms = now_ms;
            changed(next, None)
        }
        // Of several that were asked for, the last that was accepted is the one that a Reject may mean.
        Input::Accept(which) if relation.is_accepted_later(which) => {
            let mut next = relation.clone();
            next.accepted = which.id.map(str::to_owned);
            changed(next, None)
        }
        Input::Accept(_) | Input::Reject(_) => ignored(relation),
        Input::Refused { id } => by_server(relation, id, Phase::Refused, now_ms),
        Input::Taken { id } if relation.phase == Phase::Refused => {
            by_server(relation, id, Phase::Pending, now_ms)
        }
        // Still wanted, and nobody's yet.
        Input::Lost { id } if relation.phase == Phase::Accepted => {
            by_server(relation, id, Phase::Pending, now_ms)
        }
        Input::Taken { .. } | Input::Lost { .. } => ignored(relation),
        Input::BlockedByUs | Input::BlockedByThem | Input::PeerGone => {
            ended_by_block(direction, relation, input, now_ms)
        }
    }
}

fn follow(
    direction: Direction,
    manual: bool,
    relation: &Relation,
    id: &str,
    times: Times,
) -> Outcome {
    let now_ms = times.now_ms;
    if relation.is_said_after(times)
        || relation
            .early_undo
            .as_ref()
            .is_some_and(|undo| undo.id == id && now_ms < undo.until_ms)
        || relation.previous.as_deref() == Some(id)
    {
        return ignored(relation);
    }
    let mut next = relation.clone().said(times);
    if next.id.as_deref() != Some(id) {
        if direction == Direction::Following && next.phase == Phase::Accepted {
            next.accepted = next.accepted.or_else(|| next.id.clone());
        }
        next.previous = next.id.replace(id.to_owned()).or(next.previous);
    }
    if matches!(next.phase, Phase::None | Phase::Refused) {
        next.phase = Phase::Pending;
        next.since_ms = now_ms;
    }
    let answered = next.phase == Phase::Accepted || !manual;
    let owed =
        (direction == Direction::Follower && answered).then(|| Owed::Accept { id: id.to_owned() });
    changed(next, owed)
}

/// What the peer's server made of the follow with this id, which nobody has answered, or not any more.
fn by_server(relation: &Relation, id: &str, phase: Phase, now_ms: i64) -> Outcome {
    if relation.id.as_deref() != Some(id) || relation.phase == phase {
        return ignored(relation);
    }
    let mut next = relation.clone();
    next.accepted = None;
    next.phase = phase;
    next.since_ms = now_ms;
    changed(next, None)
}

fn early_undo(relation: &Relation, which: Which<'_>, times: Times) -> Outcome {
    match which.id {
        // Naming a follow that was replaced or has ended already says nothing new.
        Some(id) if relation.previous.as_deref() != Some(id) => {
            let next = relation.clone().said(times);
            changed(next.remembering(id, times.now_ms), None)
        }
        _ => ignored(relation),
    }
}

fn ended_by_block(
    direction: Direction,
    relation: &Relation,
    input: Input<'_>,
    now_ms: i64,
) -> Outcome {
    if relation.phase == Phase::None {
        return ignored(relation);
    }
    let owed = match (input, direction, &relation.id) {
        (Input::BlockedByUs, Direction::Follower, Some(id)) => {
            Some(Owed::Reject { id: id.clone() })
        }
        // What was not taken is not to be taken back.
        (Input::BlockedByUs, Direction::Following, Some(id))
            if relation.phase != Phase::Refused =>
        {
            Some(Owed::Undo { id: id.clone() })
        }
        _ => None,
    };
    changed(relation.ended(now_ms), owed)
}

fn changed(relation: Relation, owed: Option<Owed>) -> Outcome {
    Outcome {
        relation,
        owed,
        ignored: false,
    }
}

fn ignored(relation: &Relation) -> Outcome {
    Outcome {
        relation: relation.clone(),
        owed: None,
        ignored: true,
    }
}

impl Relation {
    /// Whether an answer means the follow this relation stands on. What the local actor asked for it gave
    /// an id itself: another of that kind beside the pair is one of its older follows, answered late or twice.
    fn is_answered(&self, direction: Direction, which: Which<'_>) -> bool {
        let is_older = match (which.id, self.id.as_deref()) {
            (Some(id), Some(own)) => {
                direction == Direction::Following && id != own && are_siblings(id, own)
            }
            _ => false,
        };
        self.is_meant(which) && !is_older
    }

    /// Whether an answer accepts an own follow that was said between the accepted one and the newest.
    fn is_accepted_later(&self, which: Which<'_>) -> bool {
        match (which.id, self.id.as_deref(), self.accepted.as_deref()) {
            (Some(id), Some(own), Some(accepted)) => {
                self.phase == Phase::Accepted && id != accepted && are_siblings(id, own)
            }
            _ => false,
        }
    }

    /// Whether an `Undo` means the follow this relation stands on. By the pair alone it means none that was said
    /// after it.
    fn is_undone(&self, which: Which<'_>, times: Times) -> bool {
        let is_older = self.is_said_after(times) && which.id != self.id.as_deref();
        self.is_meant(which) && !is_older
    }

    /// Whether a newer word was heard.
    fn is_said_after(&self, times: Times) -> bool {
        self.said_ms
            .is_some_and(|said_ms| times.published_ms < said_ms)
    }

    /// Whether an id, a pair or both may mean the follow this relation stands on: by its id, or by the pair unless
    /// the id beside the pair is one that was replaced. (Some servers make up a new id when they
    /// embed a Follow in its Undo, so an unknown id beside the right pair still counts.)
    fn is_meant(&self, which: Which<'_>) -> bool {
        if self.phase == Phase::None {
            return false;
        }
        match which.id {
            Some(id) if self.id.as_deref() == Some(id) => true,
            Some(id) => which.pair && self.previous.as_deref() != Some(id),
            None => which.pair,
        }
    }

    fn ended(&self, now_ms: i64) -> Self {
        Self {
            phase: Phase::None,
            id: None,
            previous: self.id.clone().or_else(|| self.previous.clone()),
            early_undo: self.early_undo.clone(),
            since_ms: now_ms,
            inbox: None,
            shared_inbox: None,
            accepted: None,
            said_ms: self.said_ms,
        }
    }

    /// The newest word. A clock that was ahead keeps out nothing that is said once it is right.
    fn said(mut self, times: Times) -> Self {
        let said_ms = times.published_ms.min(times.now_ms);
        self.said_ms = self.said_ms.max(Some(said_ms));
        self
    }

    fn remembering(mut self, id: &str, now_ms: i64) -> Self {
        self.early_undo = Some(EarlyUndo {
            id: id.to_owned(),
            until_ms: now_ms + EARLY_UNDO_MS,
        });
        self
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.phase == Phase::None && self.previous.is_none() && self.early_undo.is_none()
    }
}

/// Whether two ids differ in their last segment alone, as those do that one actor gives its activities.
fn are_siblings(one: &str, other: &str) -> bool {
    match (one.rsplit_once('/'), other.rsplit_once('/')) {
        (Some((one, _)), Some((other, _))) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
