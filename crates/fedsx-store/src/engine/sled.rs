//! The second engine: one sled 0.34 tree.
//!
//! Invariant: `flush_every_ms(None)`: nothing is synced behind our back, the writer's flush task does
//! it. Deliberately absent: more trees, sled's own transactions and subscriptions. Known limits: sled
//! has no snapshot reads, so `scan` holds commits back by a lock, and it needs seconds to re-open a
//! large tree.

use std::fmt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use super::{Batch, Engine, EngineError, EngineKind, Row, is_empty_range};

const KIND: EngineKind = EngineKind::Sled;

/// Sled's page cache, bytes; its default of 1 GiB is no bound for an idle server of 40 MB.
const CACHE_BYTES: u64 = 16 << 20;

/// How long sled may take to let go of a directory that it closed.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A B+ tree on disk.
pub(super) struct SledEngine {
    rows: sled::Tree,
    /// Sled applies a batch leaf by leaf in view of iterators: writers exclude scans here, so that no
    /// scan sees a batch in part.
    applying: RwLock<()>,
    /// Dropped last: closing it joins sled's threads.
    database: sled::Db,
}

impl SledEngine {
    pub(super) fn open(dir: &Path) -> Result<Self, EngineError> {
        let failed = |source: sled::Error| EngineError::Open {
            kind: KIND,
            dir: dir.to_owned(),
            source: Box::new(source),
        };
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let database = open_patiently(&config).map_err(failed)?;
        let rows = database.open_tree("rows").map_err(failed)?;
        Ok(Self {
            rows,
            applying: RwLock::new(()),
            database,
        })
    }
}

/// Opens the database, and waits for a lock that this very process still holds: sled lets go of it in a
/// background thread, some time after the last handle is dropped. Another process can't hold it, the data
/// directory's own lock sees to that.
fn open_patiently(config: &sled::Config) -> sled::Result<sled::Db> {
    let since = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && since.elapsed() < LOCK_PATIENCE =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

impl Engine for SledEngine {
    fn kind(&self) -> EngineKind {
        KIND
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let _whole = self.applying.read().unwrap_or_else(PoisonError::into_inner);
        let value = self.rows.get(key).map_err(unreadable)?;
        Ok(value.map(|value| value.to_vec()))
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
        let _whole = self.applying.read().unwrap_or_else(PoisonError::into_inner);
        let range = if to.is_empty() {
            self.rows.range(from..)
        } else {
            self.rows.range(from..to)
        };
        let row = |item: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = item.map_err(unreadable)?;
            Ok((key.to_vec(), value.to_vec()))
        };
        if reverse {
            range.rev().take(limit).map(row).collect()
        } else {
            range.take(limit).map(row).collect()
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        let _alone = self
            .applying
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.rows
            .apply_batch(writes)
            .map_err(|source| EngineError::Commit {
                kind: KIND,
                source: Box::new(source),
            })
    }

    fn flush(&self) -> Result<(), EngineError> {
        match self.database.flush() {
            Ok(_bytes) => Ok(()),
            Err(source) => Err(EngineError::Flush {
                kind: KIND,
                source: Box::new(source),
            }),
        }
    }
}

fn unreadable(source: sled::Error) -> EngineError {
    EngineError::Read {
        kind: KIND,
        source: Box::new(source),
    }
}

impl fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SledEngine")
    }
}
