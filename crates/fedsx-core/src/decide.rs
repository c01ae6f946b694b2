//! What becomes of an input: `decide(facts, input) → entry, refusal or need` (design, section 5).
//!
//! The stages stand in the order of the pipeline, the first refusal ends it, and this is the one
//! place where policy, blocks, peers' documents and the clock are seen. Pure: what is missing comes
//! back as a [`Need`], is fetched by the caller, and the input comes again.

pub mod authority;
pub mod erase;
pub mod group;
pub mod ingest;
pub mod publish;
pub mod schema;

use std::sync::Arc;

use bytes::Bytes;

use crate::actor::PeerActor;
use crate::address::Instance;
use crate::cid::Digest;
use crate::entry::{Activity, Authenticated, Joined, LogId};
use crate::evidence::Need;
use crate::refusal::Refusal;
use crate::state::{State, StateError};

/// Peers' documents, as far as they are known now.
pub trait Peers {
    /// The actor's document, when there is a fresh one.
    fn peek(&self, actor: &str) -> Option<Arc<PeerActor>>;

    /// Whether the document of `actor`, which may be local, names `other` in `alsoKnownAs`; `None` when there is
    /// none at hand.
    fn also_known_as(&self, actor: &str, other: &str) -> Option<bool>;
}

/// What is known when deciding.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The applied state.
    pub state: &'a dyn State,
    /// Peers' documents.
    pub peers: &'a dyn Peers,
    /// This instance's addresses.
    pub instance: &'a Instance,
    /// The newest offset that the state certainly shows.
    pub applied: u64,
    /// Now, Unix milliseconds.
    pub now_ms: i64,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("now_ms", &self.now_ms)
            .finish_non_exhaustive()
    }
}

/// An activity ready to be appended; the writer gives it its offset and its places in the logs.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The header, with no log joined yet.
    pub activity: Activity,
    /// The logs to join.
    pub logs: Vec<LogId>,
    /// The document's bytes.
    pub payload: Bytes,
    /// When it was received, Unix milliseconds.
    pub received_ms: i64,
    /// Nothing was kept under its `id` as of this offset; `None` where that was not looked up.
    pub new_as_of: Option<u64>,
    /// The definitions active as of this offset judged it; `None` where none that can change do.
    pub judged_as_of: Option<u64>,
}

/// What becomes of an inbound activity.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It is to be appended.
    Append(Box<Draft>),
    /// It is here already: 202, no effect.
    Replay,
    /// It means nothing here: 202, nothing stored. The reason is for the log.
    Dropped(&'static str),
    /// Something has to be fetched first.
    Need(Need),
}

/// Why deciding failed.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The input's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store's.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What the writer finds when it looks again at a draft, right before it appends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recheck {
    /// Append it; it joins these logs.
    Append(Vec<Joined>),
    /// It is here already, in all its logs.
    Replay,
    /// It is here already, but joins these logs anew.
    Place(Vec<Joined>),
    /// It is here without a proof, and this copy has one.
    AttachProof,
    /// Another document with a proof is kept under its `id`.
    Equivocation {
        /// That document.
        kept: Digest,
        /// Whether this one is worth keeping as evidence.
        evidence: bool,
    },
    /// What it was decided on has changed: decide again.
    Changed,
}

/// Looks again at what can have changed since a draft was decided: replay, equivocation, what is
/// defined, what is deleted, and the number and name of a new actor. `next_seq` gives the next place in a log.
///
/// # Errors
/// When the state can't be read.
pub fn recheck(
    state: &dyn State,
    draft: &Draft,
    next_seq: &mut dyn FnMut(LogId) -> Result<u64, StateError>,
) -> Result<Recheck, StateError> {
    let activity = &draft.activity;
    let mut join = |logs: &mut dyn Iterator<Item = LogId>| -> Result<Vec<Joined>, StateError> {
        logs.map(|log| {
            Ok(Joined {
                log,
                seq: next_seq(log)?,
            })
        })
        .collect()
    };
    if let Some(seen) = state.seen(&activity.digest)? {
        if !seen.proved && authority::is_proved(activity.authenticated) {
            return Ok(Recheck::AttachProof);
        }
        let mut missing = Vec::new();
        for log in &draft.logs {
            if !state.in_log(&activity.digest, *log)? {
                missing.push(*log);
            }
        }
        if missing.is_empty() {
            return Ok(Recheck::Replay);
        }
        return Ok(Recheck::Place(join(&mut missing.into_iter())?));
    }
    if let Some(other) = state.digest_of_id(&activity.id)? {
        if !ingest::is_equivocation(state, activity.authenticated, &other)? {
            return Ok(Recheck::Replay);
        }
        let evidence = activity.authenticated == Authenticated::Proof
            && state.has_evidence_room(&activity.actor, &activity.id)?;
        return Ok(Recheck::Equivocation {
            kept: other,
            evidence,
        });
    }
    if let Some(derived) = &activity.derived
        && state.is_settled(&derived.source, &derived.trigger)?
    {
        return Ok(Recheck::Replay);
    }
    let is_defined_since = match draft.judged_as_of {
        Some(offset) => state.last_defined()? > offset,
        None => false,
    };
    let is_changed = is_defined_since || erase::is_deleted(state, activity)?;
    if is_changed || authority::changed(state, activity)? {
        return Ok(Recheck::Changed);
    }
    Ok(Recheck::Append(join(&mut draft.logs.iter().copied())?))
}
