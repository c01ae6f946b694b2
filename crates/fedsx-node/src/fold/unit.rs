//! One generation of a projection while it is folded.
//!
//! Invariant: an entry is folded into all of its keys or into none, and what is committed is a whole
//! number of entries.

use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::Activity;
use fedsx_core::limits::PROJECTION_FAILURES;
use fedsx_core::projection::{FoldError, Shown};
use fedsx_core::value::Value;
use fedsx_store::projections::{
    Commit, Failure, Generation, Progress, ProjectionError, Projections,
};

use super::Active;
use super::cache::Cache;

pub(super) struct Unit {
    pub(super) active: Arc<Active>,
    pub(super) generation: Generation,
    pub(super) is_live: bool,
    pub(super) progress: Progress,
    reads_actors: bool,
    failures: Vec<Failure>,
    has_failed: bool,
    committed: Progress,
    cache: Cache,
}

impl Unit {
    /// Goes on where the generation was left. One that is ahead of the journal belongs to another; it is
    /// `None`.
    pub(super) fn resume(
        active: Arc<Active>,
        number: u64,
        is_live: bool,
        rows: &Projections,
        applied: u64,
    ) -> Result<Option<Self>, ProjectionError> {
        let generation = active.generation(number);
        let progress = rows.progress(generation)?;
        if progress.offset > applied {
            return Ok(None);
        }
        Ok(Some(Self {
            reads_actors: active.projection().reads_actors(),
            generation,
            is_live,
            progress,
            failures: rows.failures(generation)?,
            has_failed: false,
            committed: progress,
            cache: Cache::default(),
            active,
        }))
    }

    pub(super) const fn reads_actors(&self) -> bool {
        self.reads_actors
    }

    /// Whether it folds such an entry.
    pub(super) fn takes(&self, activity: &Activity, is_placed: bool) -> bool {
        (self.reads_actors || !is_placed) && self.active.projection().takes(activity)
    }

    /// Folds an entry, or keeps the account of why it can't be.
    pub(super) fn fold(
        &mut self,
        rows: &Projections,
        shown: &Shown,
        activity: Digest,
        offset: u64,
    ) -> Result<(), ProjectionError> {
        match self.next(rows, shown)? {
            Ok(states) => {
                for (key, state) in states {
                    self.cache.change(key, state);
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

    fn next(
        &self,
        rows: &Projections,
        shown: &Shown,
    ) -> Result<Result<Vec<(String, Value)>, FoldError>, ProjectionError> {
        let projection = self.active.projection();
        let keys = match projection.keys(shown) {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error)),
        };
        let mut states = Vec::with_capacity(keys.len());
        for key in keys {
            let next = match self.cache.look_up(&key) {
                Some(state) => projection.fold(state, shown),
                None => match rows.state(self.generation, &key)? {
                    Some(state) => projection.fold(&state, shown),
                    None => projection.fold(&projection.initial, shown),
                },
            };
            match next {
                Ok(state) => states.push((key, state)),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(states))
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

    /// What its changed states weigh.
    pub(super) const fn changed_bytes(&self) -> u64 {
        self.cache.changed_bytes()
    }

    /// Adds what is folded and not committed yet.
    pub(super) fn commit_into(&self, commit: &mut Commit) {
        if self.progress == self.committed {
            return;
        }
        for (key, state) in self.cache.changed() {
            commit.state(self.generation, key, state);
        }
        if self.has_failed {
            commit.failures(self.generation, &self.failures);
        }
        commit.progress(self.generation, self.progress);
    }

    /// What is committed of it.
    pub(super) const fn seen(&self) -> Progress {
        self.committed
    }

    /// All of it is committed.
    pub(super) fn committed(&mut self) {
        self.cache.committed();
        self.has_failed = false;
        self.committed = self.progress;
    }
}
