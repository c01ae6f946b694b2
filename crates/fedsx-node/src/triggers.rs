//! Triggers: what follows from the entries of the journal, published after they were appended (design,
//! section 8.2, "Triggers").
//!
//! A task walks the journal in order, off the writer and, as far as it reads and evaluates, off the
//! runtime; what a trigger makes is published before the next entry is looked at. Here and not beside
//! the deliveries, because what says that an activity is derived must be in nobody else's hands, and
//! nothing is sent. Invariants: a trigger makes one activity at most of another, because the entry that
//! holds it says so, wherever the process ends; the place that is kept only spares work. A trigger that
//! fails is settled and holds up no other.

mod walker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fedsx_core::definition::Kind;
use fedsx_core::entry::Control;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::Authority;
use fedsx_core::state::StateError;
use fedsx_core::trigger::{Derivation, Settled};
use fedsx_core::value::Map;
use fedsx_store::projections::{ProjectionError, Projections};
use fedsx_store::{AppendError, ReadError};
use tokio_util::sync::CancellationToken;

use crate::{Node, fault};
use walker::{Step, Walker};

/// How long one waits that could not be published for a reason of our own.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one is tried that fails by a fault of our own.
const TRIES: usize = 3;
/// How often the place is kept.
const KEEP: Duration = Duration::from_millis(250);

/// The triggers of an instance. A clone is the same.
#[derive(Clone, Debug)]
pub struct Triggers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rows: Projections,
    met: AtomicU64,
    published: AtomicU64,
    failed: AtomicU64,
    ended: AtomicU64,
}

/// Why triggers ended.
#[derive(Debug, thiserror::Error)]
pub enum TriggersFailed {
    /// The journal or the index can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The index can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The place can't be read or kept.
    #[error(transparent)]
    Rows(#[from] ProjectionError),
    /// Nothing can be appended.
    #[error("the writer is gone")]
    Writer,
}

/// What is to be done about an activity and a trigger.
#[derive(Debug)]
enum Verdict {
    /// Publish this as the local actor of that name.
    Publish(String, Map, Derivation),
    /// Nothing comes of it.
    Settle(Settled),
}

impl Triggers {
    /// None has met anything.
    pub(crate) fn new(rows: Projections) -> Self {
        Self(Arc::new(Shared {
            rows,
            met: AtomicU64::new(0),
            published: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }))
    }

    /// The offset up to which the journal was met, in this process; 0 before there are triggers.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.0.met.load(Ordering::Relaxed)
    }

    /// Activities published, activities at which a trigger failed, and chains that ended, since the
    /// process began.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        let Shared {
            published,
            failed,
            ended,
            ..
        } = &*self.0;
        [published, failed, ended].map(|count| count.load(Ordering::Relaxed))
    }

    /// Meets the journal until `stop`.
    ///
    /// # Errors
    /// When something can't be read, or nothing can be appended.
    pub async fn run(self, node: Node, stop: CancellationToken) -> Result<(), TriggersFailed> {
        let mut registry = node.watch_registry();
        while !has_triggers(&node) {
            registry.mark_unchanged();
            // One may have come in between.
            if has_triggers(&node) {
                break;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = registry.changed() => if changed.is_err() { return Ok(()) },
            }
        }
        let mut applied = node.view().watch();
        let mut kept = tokio::time::Instant::now();
        let mut walker = Walker::begin(node.clone(), self.0.rows.triggers_met()?)?;
        loop {
            applied.mark_unchanged();
            let step;
            (walker, step) = walk(walker).await;
            let is_idle = match step? {
                Step::Idle => true,
                Step::Passed { ended } => {
                    self.0.ended.fetch_add(ended, Ordering::Relaxed);
                    false
                }
                Step::Due(verdicts) => {
                    for verdict in verdicts {
                        if !self.carry_out(&node, verdict, &stop).await? {
                            return self.keep(walker.settled_through());
                        }
                    }
                    walker.carried_out();
                    false
                }
            };
            let through = walker.settled_through();
            self.0.met.store(through, Ordering::Relaxed);
            if stop.is_cancelled() {
                return self.keep(through);
            }
            if kept.elapsed() >= KEEP {
                self.0.rows.set_triggers_met(through)?;
                kept = tokio::time::Instant::now();
            }
            if is_idle {
                tokio::select! {
                    () = stop.cancelled() => return self.keep(through),
                    changed = applied.changed() => if changed.is_err() {
                        return self.keep(through);
                    },
                }
            }
        }
    }

    fn keep(&self, through: u64) -> Result<(), TriggersFailed> {
        self.0.rows.set_triggers_met(through)?;
        Ok(self.0.rows.flush()?)
    }

    /// Does what a trigger says, so that it is done with the activity; `false` when it was stopped.
    async fn carry_out(
        &self,
        node: &Node,
        verdict: Verdict,
        stop: &CancellationToken,
    ) -> Result<bool, TriggersFailed> {
        let (source, trigger) = match &verdict {
            Verdict::Settle(settled) => (settled.source, settled.trigger),
            Verdict::Publish(.., Derivation { derived, .. }) => (derived.source, derived.trigger),
        };
        // One entry may be met in parts, and a trigger in more than one of them.
        let is_settled = || node.view().state().is_settled(&source, &trigger);
        if is_settled()? {
            return Ok(true);
        }
        let settled = match verdict {
            Verdict::Settle(settled) => settled,
            Verdict::Publish(actor, document, derivation) => {
                match publish(node, &actor, &document, &derivation, stop).await {
                    None => return Ok(false),
                    Some(Ok(())) => {
                        self.0.published.fetch_add(1, Ordering::Relaxed);
                        return Ok(true);
                    }
                    Some(Err(_)) if is_settled()? => return Ok(true),
                    Some(Err(refusal)) => Settled::failed(source, trigger, &refusal.to_string()),
                }
            }
        };
        if let Some(error) = &settled.error {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
            let trigger = fedsx_core::cid::Cid::of_document(settled.trigger);
            tracing::warn!(%trigger, error, "a trigger failed");
        }
        settle(node, settled, stop).await
    }
}

/// Whether anything may follow from an entry: as long as nothing may, entries are not even read.
fn has_triggers(node: &Node) -> bool {
    let registry = node.registry();
    let mut triggers = registry.active(Some(Kind::Trigger));
    triggers.any(|active| active.authority == Authority::Local)
}

/// One step on a thread that may read and evaluate.
async fn walk(mut walker: Walker) -> (Walker, Result<Step, ReadError>) {
    let walking = tokio::task::spawn_blocking(move || {
        let step = walker.step();
        (walker, step)
    });
    match walking.await {
        Ok(both) => both,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Publishes; nothing when it was stopped. Where it is our own overload or fault it is tried again.
async fn publish(
    node: &Node,
    actor: &str,
    document: &Map,
    derivation: &Derivation,
    stop: &CancellationToken,
) -> Option<Result<(), Refusal>> {
    let mut faults = 0;
    loop {
        let published = match node.actor(actor) {
            Ok(actor) => node.publish_derived(&actor, document, derivation).await,
            Err(refusal) => Err(refusal),
        };
        match published {
            Ok(_) => return Some(Ok(())),
            Err(refusal) => match refusal.code {
                Code::QueueFull => {}
                Code::Internal if faults < TRIES => faults += 1,
                _ => return Some(Err(refusal)),
            },
        }
        stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
    }
}

/// Says that nothing comes of an activity; `false` when it was stopped.
async fn settle(
    node: &Node,
    settled: Settled,
    stop: &CancellationToken,
) -> Result<bool, TriggersFailed> {
    loop {
        let control = Control::TriggerSettled(settled.clone());
        let appended = match node.writer().control(control, Bytes::new(), node.now_ms()) {
            Ok(answer) => answer.wait().await,
            Err(error) => Err(error),
        };
        match appended {
            Ok(_) => return Ok(true),
            Err(AppendError::Stopped) => return Err(TriggersFailed::Writer),
            Err(error) => tracing::warn!(error = %fault::append(error), "not settled yet"),
        }
        let pause = tokio::time::sleep(PAUSE);
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(false);
        }
    }
}
