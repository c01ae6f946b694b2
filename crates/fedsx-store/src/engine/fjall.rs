//! The default engine: one fjall keyspace, an LSM tree in pure Rust.
//!
//! Invariant: reads go through a snapshot, because fjall's plain reads see a batch that is still being
//! applied row by row. Deliberately absent, each for a defect seen in the field: more than one keyspace
//! (an idle one holds the log back), `clear()`, key-value separation.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{CompressionPolicy, PartitioningPolicy};
use fjall::{Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{Batch, Engine, EngineError, EngineKind, Row, is_empty_range};

const KIND: EngineKind = EngineKind::Fjall;

/// Blocks and partitions of filters kept in memory, bytes. The hot rows are the newest and lie in the
/// memtable; what is asked for besides (pages of old logs, replays of old activities) is rarer. Empty at
/// start: an idle server shall stay below 40 MB.
const CACHE_BYTES: u64 = 16 << 20;

/// The memtable, bytes: what a kill leaves to be read back from fjall's log into memory, and up to four
/// more of them wait to be written. At 8 MiB a million entries were written with 25 MB resident, and
/// larger ones were not faster.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// One table file, bytes. Smaller than fjall's 64 MiB, so that a compaction step is short and takes
/// little memory.
const TABLE_BYTES: u64 = 16 << 20;

/// Of several, fjall (3.1) keeps the first for flushing, which passes a compaction that it is handed on to the queue
/// it took it from, without a pause for as long as another one runs: a core is lost to that. A single one flushes
/// late while it compacts, for which the memtables that may wait leave it ten seconds of the fastest load.
const WORKERS: usize = 1;

/// An LSM tree on disk.
pub(super) struct FjallEngine {
    dir: PathBuf,
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
        Ok(Self {
            dir: dir.to_owned(),
            database,
            rows,
        })
    }
}

/// Filters and block indexes are cut into partitions at every level. Whole, as fjall has them in its
/// upper levels, the filter of one table is larger than a shard of a small cache and is read from disk
/// again for every look-up: 330 µs for a key that is not there, against 7 µs in partitions.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .compaction_strategy(Arc::new(
            Leveled::default().with_table_target_size(TABLE_BYTES),
        ))
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
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
            .map_err(|error| EngineError::Commit {
                kind: KIND,
                source: why(&self.dir, error),
            })
    }

    fn flush(&self) -> Result<(), EngineError> {
        let failed =
            |source: Box<dyn Error + Send + Sync>| EngineError::Flush { kind: KIND, source };
        if sync_logs(&self.dir).map_err(|error| failed(error.into()))? == 0 {
            self.database
                .persist(PersistMode::SyncData)
                .map_err(|error| failed(why(&self.dir, error)))?;
        }
        Ok(())
    }
}

/// Why nothing more is written. Once a write in the background has failed, fjall says only that it refuses every other
/// one; so the disk is asked what is wrong with it, which it says again as long as it is so.
fn why(dir: &Path, error: fjall::Error) -> Box<dyn Error + Send + Sync> {
    if !matches!(error, fjall::Error::Poisoned) {
        return error.into();
    }
    match probe(dir) {
        Err(error) => error.into(),
        Ok(()) => "an earlier write failed, and the disk takes writes again: start it again".into(),
    }
}

/// Writes a file as long as what fjall may have to write at once, and removes it.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let length = usize::try_from(MEMTABLE_BYTES).expect("a few MiB");
    let written = fs::write(&path, vec![0; length]).and_then(|()| File::open(&path)?.sync_all());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

/// Syncs fjall's log files from outside, and tells how many there were. Fjall's own `persist` holds back
/// every commit for as long as the disk takes; all it has that this has not is that lock, because a
/// commit has handed its rows to the operating system when it returns, and fjall syncs a log before it
/// begins the next and a table before it removes the log.
fn sync_logs(dir: &Path) -> io::Result<usize> {
    let mut synced = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            match File::open(&path) {
                Ok(log) => log.sync_data()?,
                // Removed meanwhile: all of it is in tables.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            synced += 1;
        }
    }
    Ok(synced)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FjallEngine, sync_logs, why};

    #[test]
    fn what_is_wrong_with_the_disk_is_told_and_nothing_is_left_of_asking() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let poisoned = |dir: &Path| why(dir, fjall::Error::Poisoned).to_string();
        let told = poisoned(dir.path());
        assert!(told.contains("an earlier write failed"), "{told}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("reads").count(), 0);
        let told = poisoned(&dir.path().join("gone"));
        assert!(told.contains("No such file or directory"), "{told}");
        let other = why(dir.path(), fjall::Error::Locked).to_string();
        assert!(other.contains("Locked"), "{other}");
    }

    #[test]
    fn the_logs_are_where_flush_looks_for_them() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let _engine = FjallEngine::open(dir.path()).expect("opened");
        assert_eq!(sync_logs(dir.path()).expect("synced"), 1);
    }
}
