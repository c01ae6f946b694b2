//! What this instance watches of the logs of those whom it follows: the last checkpoint that went on from the one
//! before, kept in the journal, and the evidence where one did not.
//!
//! The claim, and no more: a rewritten log is detected by everyone who kept a checkpoint of it, a forked one once two of
//! those have compared. A checkpoint that was looked at is countersigned, and the log is told so. Compared is with those
//! whose cosignature the log shows and with those who were heard of lately, who may be on the other side of a fork.
//! Invariant: nothing becomes the kept checkpoint but the first that was seen, one that the kept one is proved to be the
//! beginning of, and the first of a log that its actor's document names anew. Deliberately absent: a judgement of logs
//! that are merely short, slow or silent: each of these is told, and none is evidence. Design, section 10.

mod compared;
mod cosigned;
mod held;
mod pass;
mod read;
mod verified;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use fedsx_core::entry::Control;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::StateError;
use fedsx_core::transparency::{
    Fork, JudgeError, Judged, NoteError, Witnessed, judge, tiles_to_judge,
};
use fedsx_discovery::document::FetchError;

use crate::{Node, fault};

pub(crate) use cosigned::Cosigned;
pub use held::{Asked, Declared};
pub use pass::WitnessOptions;
pub(crate) use read::Head;
pub use read::LogError;
pub use verified::{Verification, Verified};

/// Hosts heard of lately that are remembered.
const CONTACTS: usize = 64;

/// What is remembered of watching.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    contacts: Mutex<VecDeque<String>>,
}

/// What a look at a log found, beside what was kept of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing was kept: it is now.
    First,
    /// It is as it was.
    Same,
    /// It has grown.
    Grown,
    /// Its actor declared a further log, of which this is the first that was seen.
    Another,
    /// It is shorter than it was.
    Behind,
    /// It contradicts what was kept.
    Forked,
}

impl Outcome {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Same => "same",
            Self::Grown => "grown",
            Self::Another => "another",
            Self::Behind => "behind",
            Self::Forked => "forked",
        }
    }
}

/// A look at a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The URL of its actor.
    pub peer: String,
    /// Its origin.
    pub origin: String,
    /// Its size now, leaves.
    pub size: u64,
    /// Its size when it was looked at before, where that was kept.
    pub before: Option<u64>,
    /// What was found.
    pub outcome: Outcome,
}

impl Node {
    /// Remembers a host that something came from, for comparing.
    pub(crate) fn heard_from(&self, host: &str) {
        let contacts = &self.0.watching.contacts;
        let mut contacts = contacts.lock().unwrap_or_else(PoisonError::into_inner);
        if contacts.iter().any(|known| known == host) {
            return;
        }
        if contacts.len() >= CONTACTS {
            contacts.pop_front();
        }
        contacts.push_back(host.to_owned());
    }

    /// Looks at the log of a remote actor: keeps its checkpoint where it goes on from the one before, or the evidence
    /// where it does not, and countersigns it.
    ///
    /// # Errors
    /// [`LogError`], when nothing could be found out; then nothing has changed.
    pub async fn witness(&self, peer: &str) -> Result<Seen, LogError> {
        Ok(self.look_at_log(peer).await?.1)
    }

    /// As [`Self::witness`], with the checkpoint that was looked at.
    pub(crate) async fn look_at_log(&self, peer: &str) -> Result<(Head, Seen), LogError> {
        let head = self.log_head(peer).await?;
        let kept = self.0.view.state().witnessed(peer)?;
        let before = kept.as_ref().map(Witnessed::checkpoint).transpose()?;
        let outcome = match (&kept, &before) {
            (Some(_), Some(before)) if before.origin != head.checkpoint.origin => Outcome::Another,
            (Some(kept), Some(before)) => {
                let needed = tiles_to_judge(before.size, head.checkpoint.size);
                let mut tiles = self.log_tiles(&head, needed).await?;
                match judge(kept, &head.witnessed, &mut tiles)? {
                    Judged::Same => Outcome::Same,
                    Judged::Grown => Outcome::Grown,
                    Judged::Behind => Outcome::Behind,
                    Judged::Forked(fork) => {
                        self.keep_fork(peer, fork).await?;
                        Outcome::Forked
                    }
                }
            }
            _ => Outcome::First,
        };
        if matches!(outcome, Outcome::First | Outcome::Grown | Outcome::Another) {
            let witnessed = Box::new(head.witnessed.clone());
            let peer = peer.to_owned();
            self.control(Control::LogWitnessed { peer, witnessed })
                .await?;
        }
        if !matches!(outcome, Outcome::Behind | Outcome::Forked) {
            self.send_cosignature(&head).await;
        }
        let seen = Seen {
            peer: peer.to_owned(),
            origin: head.checkpoint.origin.clone(),
            size: head.checkpoint.size,
            before: before.map(|before| before.size),
            outcome,
        };
        Ok((head, seen))
    }

    /// Keeps the evidence that a log contradicts itself, unless it is kept already.
    async fn keep_fork(&self, peer: &str, fork: Box<Fork>) -> Result<(), LogError> {
        let most = fedsx_core::limits::FORKS_PER_ACTOR;
        let known = self.0.view.state().forks(peer, most)?;
        tracing::error!(
            peer,
            "a log contradicts itself; `fedsx log forks` lists the evidence"
        );
        if known.contains(&fork) || known.len() >= most {
            return Ok(());
        }
        let peer = peer.to_owned();
        Ok(self.control(Control::LogForked { peer, fork }).await?)
    }

    /// What this instance kept of the log of an actor, with its own cosignature: what others compare theirs with.
    ///
    /// # Errors
    /// `not-found`, where it keeps nothing of it.
    pub fn witnessed(&self, actor: &str) -> Result<String, Refusal> {
        let kept = self.0.view.state().witnessed(actor).map_err(fault::state)?;
        let kept = kept.ok_or_else(|| {
            let why = "nothing of that actor's log is kept here";
            Refusal::new(Code::NotFound, why)
        })?;
        let damaged = |error| fault::internal("a kept checkpoint can't be read", &error);
        let mut note = kept.note().map_err(damaged)?;
        if let Some(by_us) = self.cosign(&note) {
            note.add(by_us);
        }
        Ok(note.to_string())
    }
}
