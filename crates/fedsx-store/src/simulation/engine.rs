//! An index engine that keeps after a crash what engines promise: a prefix of the batches committed to it, which reaches
//! at least to the last flush.

use std::sync::{Mutex, MutexGuard};

use super::Dice;
use crate::engine::{Batch, Engine, EngineError, EngineKind, MemoryEngine, Row};

/// The engine.
#[derive(Debug, Default)]
pub struct CrashEngine {
    live: MemoryEngine,
    kept: Mutex<Kept>,
}

/// What a crash may leave.
#[derive(Debug, Default)]
struct Kept {
    flushed: MemoryEngine,
    since: Vec<Batch>,
}

impl CrashEngine {
    /// The engine as a crash may leave it.
    ///
    /// # Errors
    /// None: memory takes everything.
    pub fn after_crash(&self, dice: &mut Dice) -> Result<Self, EngineError> {
        let left = Self::default();
        let kept = self.kept();
        let all = kept.flushed.scan(&[], &[], usize::MAX, false)?;
        let mut flushed = Batch::new();
        for (key, value) in all {
            flushed.put(key, value);
        }
        left.commit(flushed)?;
        let whole = dice.below(kept.since.len() + 1);
        for batch in &kept.since[..whole] {
            left.commit(batch.clone())?;
        }
        left.flush()?;
        Ok(left)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept
            .lock()
            .expect("no test panics while it holds the engine")
    }
}

impl Engine for CrashEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Memory
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.live.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        self.live.scan(from, to, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut kept = self.kept();
        kept.since.push(batch.clone());
        self.live.commit(batch)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let mut kept = self.kept();
        for batch in std::mem::take(&mut kept.since) {
            kept.flushed.commit(batch)?;
        }
        Ok(())
    }
}
