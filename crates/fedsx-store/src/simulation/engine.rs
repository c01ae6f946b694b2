//! An index engine that keeps after a crash what engines promise: a prefix of the batches committed to it, which reaches
//! at least to the last flush.

use std::sync::{Mutex, MutexGuard};

use super::Dice;
use crate::engine::{Batch, Engine, EngineError, EngineKind, MemoryEngine, Row};

/// The engine.
#[derive(Debug, Default)]
pub struct CrashEngine {
    rows: MemoryEngine,
    committed: Mutex<Committed>,
}

/// Everything that was committed, since there is this engine or the one that it is what is left of.
#[derive(Debug, Default)]
struct Committed {
    batches: Vec<Batch>,
    /// How many of them are durable.
    flushed: usize,
}

impl CrashEngine {
    /// How many commits there were.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.committed().batches.len()
    }

    /// What is left when only the first commits were kept.
    ///
    /// # Errors
    /// None: memory takes everything.
    pub fn cut_to(&self, commits: usize) -> Result<Self, EngineError> {
        let kept = self.committed().batches[..commits].to_vec();
        let left = Self::default();
        for batch in kept {
            left.commit(batch)?;
        }
        left.flush()?;
        Ok(left)
    }

    /// The engine as a crash may leave it.
    ///
    /// # Errors
    /// None: memory takes everything.
    pub fn after_crash(&self, dice: &mut Dice) -> Result<Self, EngineError> {
        let (all, flushed) = (self.commits(), self.committed().flushed);
        self.cut_to(flushed + dice.below(all - flushed + 1))
    }

    fn committed(&self) -> MutexGuard<'_, Committed> {
        self.committed
            .lock()
            .expect("no test panics while it holds the engine")
    }
}

impl Engine for CrashEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Memory
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.rows.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        self.rows.scan(from, to, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut committed = self.committed();
        committed.batches.push(batch.clone());
        self.rows.commit(batch)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let mut committed = self.committed();
        committed.flushed = committed.batches.len();
        Ok(())
    }
}
