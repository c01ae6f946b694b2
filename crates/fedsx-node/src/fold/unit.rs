//! One generation of a projection while it is folded.
//!
//! Invariant: an entry is folded into all of its keys or into none, and what is committed is a whole
//! number of entries, with the states that changed keys had at the newest snapshot.

use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::Activity;
use fedsx_core::limits::PROJECTION_FAILURES;
use fedsx_core::projection::{FoldError, Shown};
use fedsx_store::projections::{
    Commit, Failure, Generation, KeyState, Progress, ProjectionError, Projections, Snapshots,
};

use super::Active;
use super::cache::{Cache, weigh};

pub(super) struct Unit {
    pub(super) active: Arc<Active>,
    pub(super) generation: Generation,
    pub(super) is_live: bool,
    pub(super) progress: Progress,
    /// Nothing that was erased up to this offset makes it stale.
    pub(super) shown_erased: u64,
    reads_actors: bool,
    failures: Vec<Failure>,
    has_failed: bool,
    committed: Progress,
    cache: Cache,
    snapshots: Snapshots,
    /// What keys that are changed for the first time behind the newest snapshot had been.
    before: Vec<(String, KeyState)>,
    before_bytes: u64,
}

/// What an entry makes of a key: what it was, if there was any, and what it is.
struct Change {
    key: String,
    was: Option<KeyState>,
    now: KeyState,
}

impl Unit {
    /// Goes on where the generation was left; what was erased up to the offset `erased` is shown as such to
    /// one that begins. One that is ahead of the journal belongs to another; it is `None`.
    pub(super) fn resume(
        active: Arc<Active>,
        number: u64,
        is_live: bool,
        rows: &Projections,
        (applied, erased): (u64, u64),
    ) -> Result<Option<Self>, ProjectionError> {
        let generation = active.generation(number);
        let mut progress = rows.progress(generation)?;
        if progress.offset > applied {
            return Ok(None);
        }
        if progress.offset == 0 {
            progress.erased = erased;
        }
        Ok(Some(Self {
            shown_erased: progress.erased,
            reads_actors: active.projection().reads_actors(),
            generation,
            is_live,
            progress,
            failures: rows.failures(generation)?,
            has_failed: false,
            committed: progress,
            cache: Cache::default(),
            snapshots: rows
                .snapshots(generation)?
                .unwrap_or_else(|| Snapshots::over(applied)),
            before: Vec::new(),
            before_bytes: 0,
            active,
        }))
    }

    pub(super) const fn reads_actors(&self) -> bool {
        self.reads_actors
    }

    /// Whether it folds such an entry.
    pub(super) fn takes(&self, activity: &Activity, is_further: bool) -> bool {
        (self.reads_actors || !is_further) && self.active.projection().takes(activity)
    }

    /// Folds an entry, or keeps the account of why it can't be.
    pub(super) fn fold(
        &mut self,
        rows: &Projections,
        shown: &Shown,
        activity: Digest,
        offset: u64,
    ) -> Result<(), ProjectionError> {
        match self.next(rows, shown, offset)? {
            Ok(changes) => {
                for change in changes {
                    self.change(change);
                }
            }
            Err(error) => {
                tracing::debug!(
                    projection = self.active.definition.name(),
                    offset,
                    %error,
                    "an entry can't be folded"
                );
                self.failed(activity, offset, error.shortened());
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let Change { key, was, now } = change;
        let newest = self.snapshots.newest();
        if let Some(was) = was.filter(|was| newest.is_some_and(|newest| was.since <= newest)) {
            self.before_bytes += weigh(&key, &was);
            self.before.push((key.clone(), was));
        }
        self.cache.change(key, now);
    }

    fn next(
        &self,
        rows: &Projections,
        shown: &Shown,
        offset: u64,
    ) -> Result<Result<Vec<Change>, FoldError>, ProjectionError> {
        let projection = self.active.projection();
        let keys = match projection.keys(shown) {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error)),
        };
        let mut changes = Vec::with_capacity(keys.len());
        for key in keys {
            let was = match self.cache.look_up(&key) {
                Some(state) => Some(state.clone()),
                None => rows.state(self.generation, &key)?,
            };
            let state = was.as_ref().map_or(&projection.initial, |was| &was.state);
            let state = match projection.fold(state, shown) {
                Ok(state) => state,
                Err(error) => return Ok(Err(error)),
            };
            let now = KeyState {
                born: was.as_ref().map_or(offset, |was| was.born),
                since: offset,
                state,
            };
            changes.push(Change { key, was, now });
        }
        Ok(Ok(changes))
    }

    /// Keeps the account of an entry that was not folded.
    pub(super) fn failed(&mut self, activity: Digest, offset: u64, error: String) {
        self.progress.failures += 1;
        self.has_failed = true;
        if self.failures.len() >= PROJECTION_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(Failure {
            offset,
            activity,
            error,
        });
    }

    /// What is to be committed of it weighs.
    pub(super) const fn changed_bytes(&self) -> u64 {
        self.cache.changed_bytes().saturating_add(self.before_bytes)
    }

    /// Moves some of what is kept under snapshots that go; whether there is more.
    pub(super) fn thin(
        &mut self,
        rows: &Projections,
        limit: usize,
    ) -> Result<bool, ProjectionError> {
        rows.move_some(self.generation, &mut self.snapshots, limit)?;
        Ok(self.snapshots.is_going())
    }

    /// Adds what is folded and not committed yet.
    pub(super) fn commit_into(&mut self, commit: &mut Commit) {
        if self.progress == self.committed {
            return;
        }
        if let Some(newest) = self.snapshots.newest() {
            for (key, state) in &self.before {
                commit.before(self.generation, newest, key, state);
            }
        }
        for (key, state) in self.cache.changed() {
            commit.state(self.generation, key, state);
        }
        if self.has_failed {
            commit.failures(self.generation, &self.failures);
        }
        commit.progress(self.generation, self.progress);
        if self.snapshots.take(self.progress.offset) {
            commit.snapshots(self.generation, &self.snapshots);
        }
    }

    /// What is committed of it.
    pub(super) const fn seen(&self) -> Progress {
        self.committed
    }

    /// All of it is committed.
    pub(super) fn committed(&mut self) {
        self.cache.committed();
        self.before.clear();
        self.before_bytes = 0;
        self.has_failed = false;
        self.committed = self.progress;
    }
}
