//! Backfill: the history of whom a local actor follows, fetched from the followed's outbox (design, section 9.5).
//!
//! What is due is a fold of the journal, so that it is owed wherever the process ends; how far it has come is kept
//! apart and may be lost. Pages are asked for as the actor who follows, so that what followers may read comes along.
//! Every activity is verified like any other, and entered as history: it changes nothing that the kernel trusts, is
//! answered by nobody and fires no trigger. Invariants: one backfill of an actor and a peer, one of a host at a time,
//! a few in all; pages, bytes, activities and tries are bounded. Deliberately absent: history of local actors, which
//! is here; what a peer's group passed on, of which nothing but the group's word is asked for.

mod against;
mod answer;
mod check;
mod enter;
mod record;
mod source;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fedsx_core::backfill::{Answer, Backfill, Ended, Mode, Outcome};
use fedsx_core::entry::{ActorNo, Control};
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{Actor, host};
use fedsx_store::Appended;
use fedsx_store::backfill::{Progress, Progresses};
use fedsx_store::ledger::LedgerError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::{Node, fault};

use record::Record;
use walk::{Halt, Walk};

/// Backfills that are looked at for one to begin.
const LOOKED_AT: usize = 4_096;
/// How long the loop sleeps at most before it looks again.
const GLANCE_MS: i64 = 60_000;
/// Tries in a row after which one has failed.
const TRIES: u32 = 12;
/// Of all that waits, what was met that is remembered.
const REMEMBERED: usize = 2 << 20;
/// The pause after a fault of our own.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX_MS: i64 = 6 * 3_600_000;
/// Why one failed whose source has nothing where it said.
const NOT_THERE: &str = "a page of its outbox is not there";
/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX_S: u32 = 24 * 3_600;

/// How backfills are run.
#[derive(Clone, Debug)]
pub struct BackfillOptions {
    /// What of the past is asked for by who does not say.
    pub usual: Option<Mode>,
    /// How many at once.
    pub concurrent: usize,
    /// The pause after the first try that failed, doubled after each further one, milliseconds.
    pub retry_ms: i64,
}

impl Default for BackfillOptions {
    fn default() -> Self {
        Self {
            usual: None,
            concurrent: 4,
            retry_ms: 30_000,
        }
    }
}

/// A backfill, and how far it has come.
#[derive(Clone, Debug)]
pub struct BackfillStatus {
    /// The URL of whose history it is.
    pub peer: String,
    /// What was asked for, and what came of it.
    pub backfill: Backfill,
    /// How far it has come; all of it is zero once it has ended.
    pub progress: Progress,
    /// How many activities are to be expected, where that is known.
    pub expected: Option<u64>,
}

/// What those who run backfills share with those who ask for them.
#[derive(Debug)]
pub(crate) struct Backfilling {
    progress: Arc<Progresses>,
    options: OnceLock<BackfillOptions>,
    changed: Notify,
    /// Those under way, and their hosts.
    running: Mutex<BTreeSet<(ActorNo, String)>>,
    /// What those met that wait, and since when they are due.
    records: Mutex<BTreeMap<(ActorNo, String), (u64, Record)>>,
}

impl Backfilling {
    pub(crate) fn new(progress: Arc<Progresses>) -> Self {
        Self {
            progress,
            options: OnceLock::new(),
            changed: Notify::new(),
            running: Mutex::default(),
            records: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<(ActorNo, String)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one met by now; it is the caller's until it is kept again.
    fn record(&self, actor: ActorNo, peer: &str, mode: &Mode, progress: &Progress) -> Record {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match records.remove(&(actor, peer.to_owned())) {
            Some((since, record)) if since == progress.since => record,
            _ => Record::lost(mode, progress),
        }
    }

    fn keep_record(&self, actor: ActorNo, peer: &str, since: u64, record: Record) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = records.values().map(|(_, kept)| kept.len() + 1).sum();
        if kept + record.len() < REMEMBERED {
            records.insert((actor, peer.to_owned()), (since, record));
        }
    }

    /// Takes the place of a backfill, if none of its host is under way.
    fn occupy(&self, actor: ActorNo, peer: &str) -> bool {
        let mut running = self.running();
        let host_of = host(peer);
        let is_free = running.iter().all(|(_, other)| host(other) != host_of);
        is_free && running.insert((actor, peer.to_owned()))
    }

    fn free(&self, actor: ActorNo, peer: &str) {
        self.running().remove(&(actor, peer.to_owned()));
    }
}

impl Node {
    /// What of the past is asked for by who does not say.
    #[must_use]
    pub fn usual_backfill(&self) -> Option<Mode> {
        self.0.backfilling.options.get()?.usual.clone()
    }

    /// Fetches the history that is due, until stopped.
    pub async fn backfill(self, options: BackfillOptions, stop: CancellationToken) {
        // A second time would mean two of these over one node, which the wiring never builds.
        let options = self.0.backfilling.options.get_or_init(|| options);
        let mut followed = self.0.learning.followed();
        let mut turns = FuturesUnordered::new();
        while !stop.is_cancelled() {
            followed.mark_unchanged();
            let wait_ms = match self.due_now(options.concurrent.saturating_sub(turns.len())) {
                Ok((due, wait_ms)) => {
                    for (actor, peer) in due {
                        turns.push(self.backfill_turn(actor, peer, options));
                    }
                    wait_ms
                }
                Err(refusal) => {
                    tracing::error!(%refusal, "which backfills are due can't be read");
                    GLANCE_MS
                }
            };
            let wait = Duration::from_millis(wait_ms.clamp(1, GLANCE_MS).unsigned_abs());
            tokio::select! {
                () = stop.cancelled() => {}
                Some(()) = turns.next(), if !turns.is_empty() => {}
                Ok(()) = followed.changed() => {}
                () = self.0.backfilling.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes the places of at most so many that can begin, and tells how long to wait for the next.
    fn due_now(&self, room: usize) -> Result<(Vec<(ActorNo, String)>, i64), Refusal> {
        let mut begun = Vec::new();
        let mut wait_ms = GLANCE_MS;
        if room == 0 {
            return Ok((begun, wait_ms));
        }
        let (now_ms, state) = (self.now_ms(), self.0.view.state());
        let due = self.0.view.backfills_due(LOOKED_AT).map_err(fault::read)?;
        for (actor, peer) in due {
            let backfill = state.backfill(actor, &peer).map_err(fault::state)?;
            let Some(due) = backfill.and_then(|backfill| backfill.due) else {
                continue;
            };
            let progress = self.0.backfilling.progress.of(actor, &peer, due.since);
            if progress.retry_ms > now_ms {
                wait_ms = wait_ms.min(progress.retry_ms - now_ms);
            } else if begun.len() < room && self.0.backfilling.occupy(actor, &peer) {
                begun.push((actor, peer));
            }
        }
        Ok((begun, wait_ms))
    }

    /// One turn of a backfill: to its end, or to what makes it wait.
    async fn backfill_turn(&self, actor: ActorNo, peer: String, options: &BackfillOptions) {
        if let Err(refusal) = self.take_turn(actor, &peer, options).await {
            tracing::error!(peer, %refusal, "a backfill is interrupted by a fault of our own");
            // It keeps its host's place meanwhile, so that nothing there is tried again at once; a stop ends it with the
            // turn that it is part of.
            tokio::time::sleep(FAULT_PAUSE).await;
        }
        self.0.backfilling.free(actor, &peer);
    }

    async fn take_turn(
        &self,
        no: ActorNo,
        peer: &str,
        options: &BackfillOptions,
    ) -> Result<(), Refusal> {
        let state = self.0.view.state();
        let backfill = state.backfill(no, peer).map_err(fault::state)?;
        let Some(backfill) = backfill.filter(Backfill::is_due) else {
            return Ok(());
        };
        let actor = state.actor(no).map_err(fault::state)?;
        let Some((actor, due)) = actor.zip(backfill.due.clone()) else {
            return Ok(());
        };
        let (backfilling, since) = (&self.0.backfilling, due.since);
        let progress = backfilling.progress.of(no, peer, since);
        let mut walk = Walk {
            node: self,
            record: backfilling.record(no, peer, &backfill.mode, &progress),
            unchecked: None,
            progress,
            answer: self.answer_of(&backfill, peer)?,
            actor,
            peer,
            backfill,
            due,
        };
        let (outcome, why) = match walk.walk().await {
            Ok(outcome) => (outcome, walk.unchecked.take()),
            Err(Halt::Fault(refusal)) => return Err(refusal),
            Err(Halt::Unfollowed) => (Outcome::Unfollowed, None),
            Err(Halt::Bounded(why)) => (Outcome::Bounded, Some(why.to_owned())),
            Err(Halt::Failed(why)) => (Outcome::Failed, Some(why)),
            Err(Halt::NotThere) => (Outcome::Failed, Some(NOT_THERE.to_owned())),
            Err(Halt::Rest) => {
                backfilling.keep_record(no, peer, since, walk.record);
                return Ok(());
            }
            Err(Halt::Retry { why, after_s }) if walk.progress.failures < TRIES => {
                let failures = walk.progress.failures;
                let retry_ms = self.now_ms() + pause_ms(options.retry_ms, failures, after_s);
                tracing::info!(peer, why, failures, "a backfill waits");
                walk.progress.failures += 1;
                walk.progress.retry_ms = retry_ms;
                walk.progress.error = Some(why);
                let kept = walk.progress;
                backfilling.keep_record(no, peer, since, walk.record);
                return self.save_progress(no, peer, kept).await;
            }
            Err(Halt::Retry { why, .. }) => (Outcome::Failed, Some(why)),
        };
        walk.end(outcome, why).await
    }

    /// What the followed answered, where an `Accept` of it made the backfill due.
    fn answer_of(&self, backfill: &Backfill, peer: &str) -> Result<Option<Answer>, Refusal> {
        let accept = backfill.due.as_ref().and_then(|due| due.accept);
        let accept = accept.map(|digest| self.0.view.stored(&digest)).transpose();
        let Some(accept) = accept.map_err(fault::read)?.flatten() else {
            return Ok(None);
        };
        let accept = accept.map().map_err(fault::read)?;
        Ok(Answer::of(accept.get("backfill"), peer))
    }

    /// Begins a backfill of whom a local actor follows, or has one go on at once that waits or failed.
    ///
    /// # Errors
    /// `conflict` where it does not follow, of an actor of this instance, and where nothing says how much.
    pub async fn backfill_now(
        &self,
        name: &str,
        who: &str,
        mode: Option<Mode>,
    ) -> Result<BackfillStatus, Refusal> {
        let actor = self.actor(name)?;
        let peer = self.known_or_resolved(&actor, who).await?;
        self.let_in(&peer)?;
        let conflict = |why: String| Err(Refusal::new(Code::Conflict, why));
        if self.0.instance.owns(&peer) {
            return conflict(format!("{peer} is of this instance: its history is here"));
        }
        let state = self.0.view.state();
        let relation = state.relation(actor.no, Direction::Following, &peer);
        if relation.map_err(fault::state)?.phase != Phase::Accepted {
            return conflict(format!("`{name}` does not follow {peer}"));
        }
        let known = state.backfill(actor.no, &peer).map_err(fault::state)?;
        match (mode, known) {
            (Some(mode), _) => {
                let until_ms = self.now_ms();
                self.begin(&actor, &peer, mode, until_ms, None).await?;
            }
            (None, Some(known)) => self.go_on(&actor, &peer, &known).await?,
            (None, None) => {
                let why = "nothing of its history was asked for; say how much: last:N, window:SECONDS, \
                           since:CID or full";
                return conflict(why.to_owned());
            }
        }
        self.0.backfilling.changed.notify_one();
        self.backfill_status(&actor, &peer)?
            .ok_or_else(|| fault::internal("a backfill is not to be found", &peer))
    }

    /// Has one go on: that waits at once, that could not be ended from where it was.
    async fn go_on(&self, actor: &Actor, peer: &str, known: &Backfill) -> Result<(), Refusal> {
        let Some(due) = &known.due else {
            return Ok(());
        };
        let progress = self.0.backfilling.progress.of(actor.no, peer, due.since);
        let progress = Progress {
            failures: 0,
            retry_ms: 0,
            ..progress
        };
        match &known.ended {
            None => self.save_progress(actor.no, peer, progress).await,
            Some(Ended {
                outcome: Outcome::Failed | Outcome::Bounded | Outcome::Unfollowed,
                ..
            }) => {
                let fresh = match progress.next {
                    Some(_) => Progress {
                        pages: 0,
                        bytes: 0,
                        ..progress
                    },
                    None => Progress::default(),
                };
                let mode = known.mode.clone();
                self.begin(actor, peer, mode, due.until_ms, Some(fresh))
                    .await
            }
            Some(_) => Ok(()),
        }
    }

    async fn begin(
        &self,
        actor: &Actor,
        peer: &str,
        mode: Mode,
        until_ms: i64,
        from: Option<Progress>,
    ) -> Result<(), Refusal> {
        let begun = Control::BackfillBegun {
            actor: actor.no,
            peer: peer.to_owned(),
            mode,
            until_ms,
        };
        let (writer, now_ms) = (&self.0.writer, self.now_ms());
        let begun = writer.control(begun, Bytes::new(), now_ms);
        let begun = begun.map_err(fault::append)?.wait().await;
        match (begun.map_err(fault::append)?, from) {
            (Appended::New { offset, .. }, Some(from)) => {
                let from = Progress {
                    since: offset,
                    ..from
                };
                self.save_progress(actor.no, peer, from).await
            }
            _ => Ok(()),
        }
    }

    /// What a local actor asked of its peers' past, and how far that is, behind a peer.
    ///
    /// # Errors
    /// `no-such-actor`.
    pub fn backfills(
        &self,
        name: &str,
        after_peer: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BackfillStatus>, Refusal> {
        let actor = self.actor(name)?;
        let all = self.0.view.backfills(actor.no, after_peer, limit);
        let all = all.map_err(fault::read)?.into_iter();
        all.map(|(peer, backfill)| self.status_of(&actor, peer, backfill))
            .collect()
    }

    /// The same of one peer, by its URL.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn backfill_status(
        &self,
        actor: &Actor,
        peer: &str,
    ) -> Result<Option<BackfillStatus>, Refusal> {
        let backfill = self.0.view.state().backfill(actor.no, peer);
        let backfill = backfill.map_err(fault::state)?;
        backfill
            .map(|backfill| self.status_of(actor, peer.to_owned(), backfill))
            .transpose()
    }

    fn status_of(
        &self,
        actor: &Actor,
        peer: String,
        backfill: Backfill,
    ) -> Result<BackfillStatus, Refusal> {
        let since = backfill.due.as_ref().map_or(0, |due| due.since);
        let total = self.answer_of(&backfill, &peer)?.map(|answer| answer.total);
        let expected = match &backfill.mode {
            Mode::Full => total,
            Mode::Last { count } => Some(total.unwrap_or(u64::MAX).min((*count).into())),
            Mode::Window { .. } | Mode::Since { .. } => None,
        };
        Ok(BackfillStatus {
            progress: self.0.backfilling.progress.of(actor.no, &peer, since),
            peer,
            backfill,
            expected,
        })
    }

    /// Keeps how far one has come. Where that fails, what is read again is ignored.
    async fn save_progress(
        &self,
        actor: ActorNo,
        peer: &str,
        progress: Progress,
    ) -> Result<(), Refusal> {
        let (kept, peer) = (Arc::clone(&self.0.backfilling.progress), peer.to_owned());
        let saved = tokio::task::spawn_blocking(move || kept.keep(actor, &peer, progress)).await;
        Self::kept(saved)
    }

    /// Forgets how far one has come, which has ended.
    async fn forget_progress(&self, actor: ActorNo, peer: &str) -> Result<(), Refusal> {
        let (kept, peer) = (Arc::clone(&self.0.backfilling.progress), peer.to_owned());
        Self::kept(tokio::task::spawn_blocking(move || kept.forget(actor, &peer)).await)
    }

    fn kept(outcome: Result<Result<(), LedgerError>, JoinError>) -> Result<(), Refusal> {
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "how far a backfill is can't be kept");
                Ok(())
            }
            Err(error) => Err(fault::internal("keeping a backfill's place broke", &error)),
        }
    }
}

/// How long to wait after so many failures and one more.
fn pause_ms(first_ms: i64, failures: u32, after_s: Option<u32>) -> i64 {
    let doubled = first_ms.saturating_mul(1 << failures.min(20));
    let asked_ms = i64::from(after_s.unwrap_or_default().min(RETRY_AFTER_MAX_S)) * 1_000;
    doubled.min(PAUSE_MAX_MS).max(asked_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds_and_heed_the_source() {
        let pauses: Vec<i64> = (0..12).map(|n| pause_ms(30_000, n, None) / 1_000).collect();
        assert_eq!(
            pauses,
            [
                30, 60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360, 21_600, 21_600
            ]
        );
        assert_eq!(pause_ms(30_000, 0, Some(90)), 90_000);
        assert_eq!(pause_ms(30_000, 0, Some(u32::MAX)), 86_400_000);
        assert_eq!(pause_ms(30_000, u32::MAX, None), PAUSE_MAX_MS);
    }
}
