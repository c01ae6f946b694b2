//! The engine without a disk: a B-tree behind a lock, rebuilt from the journal at each start.
//!
//! Invariant: a batch is applied under the write lock, so no reader sees it in part. Deliberately
//! absent: durability; `flush` has nothing to do.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use super::{Batch, Engine, EngineError, EngineKind, Row, is_empty_range};

/// The engine without a disk.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Engine for MemoryEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Memory
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        if is_empty_range(from, to) {
            return Ok(Vec::new());
        }
        let upper = if to.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(to)
        };
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let range = rows
            .range::<[u8], _>((Bound::Included(from), upper))
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(if reverse {
            range.rev().take(limit).collect()
        } else {
            range.take(limit).collect()
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
