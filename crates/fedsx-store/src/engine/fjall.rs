//! The default engine: one fjall keyspace, an LSM tree in pure Rust.
//!
//! Invariant: reads go through a snapshot, because fjall's plain reads see a batch that is still being
//! applied row by row. Deliberately absent, each for a defect seen in the field: more than one keyspace
//! (an idle one holds the log back), `clear()`, key-value separation.

use std::fmt;
use std::ops::Bound;
use std::path::Path;

use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{Batch, Engine, EngineError, EngineKind, Row, is_empty_range};

const KIND: EngineKind = EngineKind::Fjall;

/// Blocks and filters kept in memory, bytes. The hot rows are the newest and lie in the memtable; what
/// is asked for besides (pages of old logs, replays of old activities) is rare, and an idle server
/// shall stay below 40 MB.
const CACHE_BYTES: u64 = 8 << 20;

/// The memtable, bytes. Re-opening after a kill reads fjall's log back into memtables of this size.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// One thread flushes while the other compacts: with a single one, a long compaction holds the flush
/// back until fjall halts writes (four sealed memtables).
const WORKERS: usize = 2;

/// An LSM tree on disk.
pub(super) struct FjallEngine {
    database: Database,
    rows: Keyspace,
}

impl FjallEngine {
    pub(super) fn open(dir: &Path) -> Result<Self, EngineError> {
        let failed = |source: fjall::Error| EngineError::Open {
            kind: KIND,
            dir: dir.to_owned(),
            source: Box::new(source),
        };
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .worker_threads(WORKERS)
            .open()
            .map_err(failed)?;
        let rows = database.keyspace("rows", options).map_err(failed)?;
        Ok(Self { database, rows })
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .data_block_compression_policy(CompressionPolicy::disabled())
}

impl Engine for FjallEngine {
    fn kind(&self) -> EngineKind {
        KIND
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = self.database.snapshot().get(&self.rows, key);
        Ok(value.map_err(unreadable)?.map(|value| value.to_vec()))
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
        let range = self
            .database
            .snapshot()
            .range::<&[u8], _>(&self.rows, (Bound::Included(from), upper));
        if reverse {
            range.rev().take(limit).map(row).collect()
        } else {
            range.take(limit).map(row).collect()
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut writes = fjall::OwnedWriteBatch::with_capacity(self.database.clone(), batch.len());
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(&self.rows, key, value),
                None => writes.remove(&self.rows, key),
            }
        }
        // Handed to the operating system with each batch: one write call a batch, and a killed process
        // then has next to nothing to apply again.
        writes
            .durability(Some(PersistMode::Buffer))
            .commit()
            .map_err(|source| EngineError::Commit {
                kind: KIND,
                source: Box::new(source),
            })
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.database
            .persist(PersistMode::SyncData)
            .map_err(|source| EngineError::Flush {
                kind: KIND,
                source: Box::new(source),
            })
    }
}

fn row(guard: Guard) -> Result<Row, EngineError> {
    let (key, value) = guard.into_inner().map_err(unreadable)?;
    Ok((key.to_vec(), value.to_vec()))
}

fn unreadable(source: fjall::Error) -> EngineError {
    EngineError::Read {
        kind: KIND,
        source: Box::new(source),
    }
}

impl fmt::Debug for FjallEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FjallEngine")
    }
}
