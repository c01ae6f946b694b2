//! The thread that folds.
//!
//! It reads the journal once for all projections that stand at the same offset; one that is behind is
//! brought up in slices, in turn with the others, and joins them where it catches up. State and offset
//! are committed together, each 4,096 entries or 250 ms, and at once where a reader waits or the end is
//! reached; durable each second. After a crash it goes on from what is committed. A burst gathers first,
//! unless a reader waits. Projections that wait their turn hold up nothing but each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fedsx_store::projections::{Commit, Generation, Generations};
use fedsx_store::{ReadError, Stored, Tail};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::entries::Entries;
use super::erased::Erased;
use super::unit::Unit;
use super::{Active, FoldFailed, Order, Shared};

/// Entries folded before they are committed.
const COMMIT_ENTRIES: usize = 4_096;
/// How long an entry may be folded and not committed.
const COMMIT_TIME: Duration = Duration::from_millis(250);
/// How long entries gather before they are folded while more comes in: a burst is accepted first, and folded when
/// it ebbs or after so long.
const GATHER_TIME: Duration = Duration::from_secs(2);
/// When nothing came in for so long, what came in is folded, and what is folded is committed.
const QUIET_TIME: Duration = Duration::from_millis(20);
/// What states changed since the last commit may weigh together, bytes.
const COMMIT_BYTES: u64 = 32 << 20;
/// How long what is committed may not be durable.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Entries of one group before it is another's turn.
const SLICE: usize = 1_024;
/// Entries read at once.
const CHUNK: usize = 64;
/// Rows dropped at once.
const DROPPED: usize = 4_096;
/// States moved at once, which are held together.
const MOVED: usize = 64;

/// Ends once nothing comes in for a moment. Looks and is not woken, because the writer has a batch in each
/// millisecond of a burst.
async fn ebbed(applied: &mut watch::Receiver<u64>) {
    loop {
        applied.mark_unchanged();
        tokio::time::sleep(QUIET_TIME).await;
        // Also where the store is closed, which stops this as well.
        if !applied.has_changed().unwrap_or(false) {
            return;
        }
    }
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    entries: Entries,
    units: Vec<Unit>,
    /// Readers of the journal, by the offset they stand at.
    tails: Vec<(u64, Tail)>,
    to_drop: Vec<Generation>,
    /// Whether the states of something that is erased are still in the bytes of the database.
    is_to_be_renewed: bool,
    erased: Erased,
    /// Entries folded since the last commit.
    pending: usize,
    committed: Instant,
    /// Since when something is committed and not durable.
    unflushed: Option<Instant>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, FoldFailed> {
        Ok(Self {
            entries: Entries::new(shared.view.clone()),
            units: Vec::new(),
            tails: Vec::new(),
            to_drop: shared.rows.to_drop()?,
            is_to_be_renewed: shared.rows.is_to_be_renewed()?,
            erased: Erased::default(),
            pending: 0,
            committed: Instant::now(),
            unflushed: None,
            shared,
        })
    }

    /// Folds until `stop`.
    pub(super) fn run(
        mut self,
        runtime: &Handle,
        stop: &CancellationToken,
    ) -> Result<(), FoldFailed> {
        let mut applied = self.shared.view.watch();
        while !stop.is_cancelled() {
            applied.mark_unchanged();
            self.obey()?;
            let is_behind = self.round(stop)?;
            if let Some(generation) = self.to_drop.last().copied()
                && self.shared.rows.drop_some(generation, DROPPED)?
            {
                self.to_drop.pop();
            }
            let is_thinning = self.thin()?;
            let is_due =
                !is_behind || self.committed.elapsed() >= COMMIT_TIME || self.shared.is_awaited();
            if self.pending > 0 && is_due {
                self.commit()?;
            }
            self.swap()?;
            let is_begun = self.refold()?;
            if self
                .unflushed
                .is_some_and(|since| since.elapsed() >= FLUSH_TIME)
            {
                self.shared.rows.flush()?;
                self.unflushed = None;
            }
            if is_behind || is_begun || is_thinning || !self.to_drop.is_empty() {
                continue;
            }
            self.rest(runtime, stop, &mut applied);
        }
        self.commit()?;
        Ok(self.shared.rows.flush()?)
    }

    /// Moves some of what is kept under snapshots that go; whether there is more.
    fn thin(&mut self) -> Result<bool, FoldFailed> {
        let mut is_more = false;
        for unit in &mut self.units {
            is_more |= unit.thin(&self.shared.rows, MOVED)?;
        }
        Ok(is_more)
    }

    /// Rests until there is something to do, with nothing pending. What comes in gathers for a moment, unless
    /// somebody waits for it.
    fn rest(&self, runtime: &Handle, stop: &CancellationToken, applied: &mut watch::Receiver<u64>) {
        let pause = self.pause();
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.wake.notified() => return,
                // Ends with the store, which stops this as well.
                Ok(()) = applied.changed() => {}
                () = tokio::time::sleep(pause) => return,
            }
            if self.shared.is_awaited() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.shared.wake.notified() => {}
                () = tokio::time::sleep(GATHER_TIME) => {}
                () = ebbed(applied) => {}
            }
        });
    }

    /// How long there is nothing to do if nothing comes in.
    fn pause(&self) -> Duration {
        let pause = match self.unflushed {
            Some(since) => FLUSH_TIME.saturating_sub(since.elapsed()),
            None => Duration::from_secs(3_600),
        };
        self.erased.pause().map_or(pause, |look| look.min(pause))
    }

    /// Folds anew what was shown something that is erased; once that is done, lets the old bytes go. Whether
    /// any was begun.
    fn refold(&mut self) -> Result<bool, FoldFailed> {
        let is_building = self.units.iter().any(|unit| !unit.is_live);
        if self.is_to_be_renewed && !is_building && self.to_drop.is_empty() {
            self.shared.rows.renew()?;
            self.is_to_be_renewed = false;
            self.erased.done();
        }
        if is_building || !self.erased.is_due() {
            return Ok(false);
        }
        let view = &self.shared.view;
        let live = self.units.iter_mut().filter(|unit| unit.is_live);
        let stale = self.erased.stale(live, view, &self.entries)?;
        let stale: Vec<_> = stale.iter().map(|unit| Arc::clone(&unit.active)).collect();
        let is_begun = !stale.is_empty();
        for active in stale {
            self.rebuild(active, true)?;
        }
        Ok(is_begun)
    }

    /// Does what was ordered.
    fn obey(&mut self) -> Result<(), FoldFailed> {
        for order in self.shared.orders() {
            match order {
                Order::Activate(active) => self.activate(active)?,
                Order::Deactivate(active) => self.deactivate(&active)?,
                Order::Rebuild(active) => self.rebuild(active, false)?,
            }
        }
        Ok(())
    }

    fn activate(&mut self, active: Arc<Active>) -> Result<(), FoldFailed> {
        let rows = &self.shared.rows;
        let standing = (
            self.shared.view.applied(),
            self.shared.view.overwritten_through()?,
        );
        let digest = active.definition.digest();
        let known = rows.generations(&digest)?;
        // Beside one that is still being dropped.
        let of_it = |drop: &&Generation| drop.definition == digest;
        let dropped = self.to_drop.iter().filter(of_it);
        let kept = known.unwrap_or(Generations {
            live: 1 + dropped.map(|drop| drop.number).max().unwrap_or_default(),
            building: None,
        });
        let (mut commit, mut generations) = (Commit::default(), kept);
        let resume =
            |number, is_live| Unit::resume(Arc::clone(&active), number, is_live, rows, standing);
        let mut units = Vec::new();
        match resume(kept.live, true)? {
            Some(unit) => units.push(unit),
            None => {
                // Of a journal that is no longer this one: folded anew.
                for number in std::iter::once(kept.live).chain(kept.building) {
                    commit.dropping(active.generation(number));
                    self.to_drop.push(active.generation(number));
                }
                generations = Generations {
                    live: kept.building.unwrap_or(kept.live) + 1,
                    building: None,
                };
                units.extend(resume(generations.live, true)?);
            }
        }
        if let Some(number) = generations.building {
            units.extend(resume(number, false)?);
        }
        if known != Some(generations) {
            commit.generations(&digest, generations);
        }
        if !commit.is_empty() {
            rows.commit(commit)?;
        }
        self.units.extend(units);
        self.publish();
        Ok(())
    }

    fn deactivate(&mut self, active: &Arc<Active>) -> Result<(), FoldFailed> {
        let mut commit = Commit::default();
        commit.forget(&active.definition.digest());
        let is_of_it = |unit: &mut Unit| Arc::ptr_eq(&unit.active, active);
        for unit in self.units.extract_if(.., is_of_it) {
            commit.dropping(unit.generation);
            self.to_drop.push(unit.generation);
        }
        self.shared.rows.commit(commit)?;
        Ok(())
    }

    /// Folds anew beside the live generation; where something is erased, the old states leave no bytes.
    fn rebuild(&mut self, active: Arc<Active>, is_erased: bool) -> Result<(), FoldFailed> {
        let of_it = || {
            self.units
                .iter()
                .filter(|unit| Arc::ptr_eq(&unit.active, &active))
        };
        let Some(live) = of_it().find(|unit| unit.is_live) else {
            return Ok(());
        };
        if of_it().count() > 1 {
            // One is under way.
            return Ok(());
        }
        let generations = Generations {
            live: live.generation.number,
            building: Some(live.generation.number + 1),
        };
        let mut commit = Commit::default();
        commit.generations(&active.definition.digest(), generations);
        if is_erased {
            commit.renew();
            self.is_to_be_renewed = true;
            self.erased.begun();
        }
        self.shared.rows.commit(commit)?;
        let standing = (
            self.shared.view.applied(),
            self.shared.view.overwritten_through()?,
        );
        let number = live.generation.number + 1;
        let unit = Unit::resume(active, number, false, &self.shared.rows, standing)?;
        self.units.extend(unit);
        self.publish();
        Ok(())
    }

    /// One slice for each group of projections that is behind; whether one still is.
    fn round(&mut self, stop: &CancellationToken) -> Result<bool, FoldFailed> {
        let applied = self.shared.view.applied();
        let behind: BTreeSet<u64> = self
            .units
            .iter()
            .map(|unit| unit.progress.offset)
            .filter(|offset| *offset < applied)
            .collect();
        // Those that are nearest to the end first: they are what readers wait for.
        for offset in behind.into_iter().rev() {
            self.slice(offset, stop)?;
        }
        self.tails
            .retain(|(at, _)| self.units.iter().any(|unit| unit.progress.offset == *at));
        let offsets = || self.units.iter().map(|unit| unit.progress.offset);
        Ok(offsets().any(|offset| offset < applied))
    }

    /// Folds on from an offset.
    fn slice(&mut self, offset: u64, stop: &CancellationToken) -> Result<(), FoldFailed> {
        let group: Vec<usize> = (0..self.units.len())
            .filter(|at| self.units[*at].progress.offset == offset)
            .collect();
        let kept = self.tails.iter().position(|(at, _)| *at == offset);
        let mut tail = match kept {
            Some(at) => self.tails.swap_remove(at).1,
            None => self.shared.view.tail(offset),
        };
        let (mut reached, mut read) = (offset, 0);
        let mut reading = tail.reading();
        while read < SLICE && !stop.is_cancelled() {
            let entries = reading.next(CHUNK)?;
            if entries.is_empty() {
                break;
            }
            read += entries.len();
            for entry in &entries {
                self.entry(&group, entry)?;
                reached = entry.header.offset;
            }
            self.pending += entries.len();
            let changed: u64 = self.units.iter().map(Unit::changed_bytes).sum();
            if self.pending >= COMMIT_ENTRIES || changed > COMMIT_BYTES {
                self.commit()?;
            }
        }
        self.tails.push((reached, tail));
        Ok(())
    }

    /// Folds one entry into the units of a group.
    fn entry(&mut self, group: &[usize], entry: &Stored) -> Result<(), FoldFailed> {
        let offset = entry.header.offset;
        let with_placed = group.iter().any(|at| self.units[*at].reads_actors());
        let mut part = 0;
        while let Some(met) = self.entries.meet(entry, with_placed, part)? {
            part += 1;
            let (activity, is_further) = (met.activity(), met.is_further());
            let digest = activity.digest;
            let takers = group
                .iter()
                .filter(|at| self.units[**at].takes(activity, is_further));
            let takers: Vec<usize> = takers.copied().collect();
            if !takers.is_empty() {
                match self.entries.show(&met) {
                    Ok(shown) => {
                        for at in takers {
                            let unit = &mut self.units[at];
                            unit.fold(&self.shared.rows, &shown, digest, offset)?;
                        }
                    }
                    Err(ReadError::Document { source, .. }) => {
                        for at in takers {
                            self.units[at].failed(digest, offset, source.to_string());
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for at in group {
            self.units[*at].progress.offset = offset;
        }
        Ok(())
    }

    /// Commits everything that is folded, and lets it be seen.
    fn commit(&mut self) -> Result<(), FoldFailed> {
        let applied = self.shared.view.applied();
        let mut commit = Commit::default();
        for unit in &mut self.units {
            unit.progress.complete |= unit.progress.offset >= applied;
            unit.commit_into(&mut commit);
        }
        if !commit.is_empty() {
            self.shared.rows.commit(commit)?;
            self.unflushed.get_or_insert_with(Instant::now);
        }
        for unit in &mut self.units {
            unit.committed();
        }
        (self.pending, self.committed) = (0, Instant::now());
        self.publish();
        Ok(())
    }

    /// Puts rebuilt generations that have caught up in the place of those that are served.
    fn swap(&mut self) -> Result<(), FoldFailed> {
        while let Some(new) = self.caught_up() {
            if self.pending > 0 {
                self.commit()?;
            }
            let active = Arc::clone(&self.units[new].active);
            let number = self.units[new].generation.number;
            let is_old = |unit: &Unit| unit.is_live && Arc::ptr_eq(&unit.active, &active);
            let Some(old) = self.units.iter().position(is_old) else {
                return Ok(());
            };
            let mut commit = Commit::default();
            let generations = Generations {
                live: number,
                building: None,
            };
            commit.generations(&active.definition.digest(), generations);
            commit.dropping(self.units[old].generation);
            self.shared.rows.commit(commit)?;
            self.units[new].is_live = true;
            self.to_drop.push(self.units[old].generation);
            self.units.remove(old);
            self.publish();
        }
        Ok(())
    }

    /// A rebuilt generation that is as far as the one that is served.
    fn caught_up(&self) -> Option<usize> {
        self.units.iter().position(|new| {
            let is_reached = |old: &Unit| {
                old.is_live
                    && Arc::ptr_eq(&old.active, &new.active)
                    && old.progress.offset <= new.progress.offset
            };
            !new.is_live && self.units.iter().any(is_reached)
        })
    }

    /// Lets what is committed be seen; called with nothing pending, or where only generations change.
    fn publish(&mut self) {
        let applied = self.shared.view.applied();
        for unit in &self.units {
            unit.active.standing.send_modify(|standing| {
                if unit.is_live {
                    standing.live = unit.generation.number;
                    standing.progress = unit.seen();
                    standing.progress.complete |= standing.progress.offset >= applied;
                    standing.building = None;
                }
            });
        }
        for unit in self.units.iter().filter(|unit| !unit.is_live) {
            unit.active.standing.send_modify(|standing| {
                standing.building = Some(unit.seen().offset);
            });
        }
    }
}
