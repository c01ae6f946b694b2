//! `backfill.ledger`: how far each backfill has come, so that one goes on where it was after a restart.
//!
//! A file of its own, in the form of the delivery ledger, and neither the journal nor the index: a place in somebody
//! else's outbox is no truth, and what is read again because it was lost is here already and ignored. It is written
//! after what stands before the place is durable, never before. Deliberately absent: what is due, which is a fold of
//! the journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fedsx_core::backfill::Finding;
use fedsx_core::entry::ActorNo;
use minicbor::{Decode, Encode};

use crate::ledger::{Ledger, LedgerError, Rows};
use crate::schema::{encode, url_hash};

/// How far a backfill has come.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Progress {
    /// The offset since which it is due: of another one this is no progress.
    #[n(0)]
    pub since: u64,
    /// The URL of the page to go on with; none at the beginning.
    #[n(1)]
    pub next: Option<String>,
    /// Activities entered.
    #[n(2)]
    pub entered: u64,
    /// Those that were here already.
    #[n(3)]
    pub here: u64,
    /// Those that are no history, or change what history must not.
    #[n(4)]
    pub left_out: u64,
    /// Those that were refused.
    #[n(5)]
    pub refused: u64,
    /// Those that their owner deleted.
    #[n(6)]
    pub deleted: u64,
    /// Of all of these, those that are addressed to the reader alone.
    #[n(7)]
    pub direct: u64,
    /// Pages fetched.
    #[n(8)]
    pub pages: u64,
    /// Bytes fetched.
    #[n(9)]
    pub bytes: u64,
    /// Whether the newest activity that the source says it has was met.
    #[n(10)]
    pub met_tip: bool,
    /// When the last that was met was published, Unix milliseconds.
    #[n(11)]
    pub last_ms: Option<i64>,
    /// What the source was caught at, the first few.
    #[n(12)]
    pub found: Vec<Finding>,
    /// Tries in a row that failed.
    #[n(13)]
    pub failures: u32,
    /// When it is tried again, Unix milliseconds.
    #[n(14)]
    pub retry_ms: i64,
    /// Why the last one failed.
    #[n(15)]
    pub error: Option<String>,
}

impl Progress {
    /// Activities met.
    #[must_use]
    pub const fn met(&self) -> u64 {
        self.entered + self.here + self.left_out + self.refused + self.deleted
    }
}

/// How far all backfills have come.
#[derive(Debug)]
pub struct Progresses {
    path: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    rows: BTreeMap<Vec<u8>, Progress>,
    /// None until something is written, and after a write failed: then all of it is written anew.
    ledger: Option<Ledger>,
}

impl Progresses {
    /// What the ledger at `path` remembers.
    ///
    /// # Errors
    /// When it can't be read, or is of a later version.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let rows: Rows = Ledger::read(path)?;
        // One that can't be read is none: it is begun again.
        let rows = rows
            .into_iter()
            .filter_map(|(key, row)| Some((key, minicbor::decode(&row).ok()?)));
        Ok(Self {
            path: path.to_owned(),
            kept: Mutex::new(Kept {
                rows: rows.collect(),
                ledger: None,
            }),
        })
    }

    /// How far the backfill that is due since that offset has come.
    #[must_use]
    pub fn of(&self, actor: ActorNo, peer: &str, since: u64) -> Progress {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.rows.get(&row_key(actor, peer));
        let known = known.filter(|progress| progress.since == since);
        known.cloned().unwrap_or_else(|| Progress {
            since,
            ..Progress::default()
        })
    }

    /// Keeps how far one has come. Waits for the disk.
    ///
    /// # Errors
    /// When it can't be written; it is known all the same until the process ends.
    pub fn keep(&self, actor: ActorNo, peer: &str, progress: Progress) -> Result<(), LedgerError> {
        let row = encode(&progress);
        self.write(row_key(actor, peer), Some((progress, row)))
    }

    /// Forgets one that has ended. Waits for the disk.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn forget(&self, actor: ActorNo, peer: &str) -> Result<(), LedgerError> {
        self.write(row_key(actor, peer), None)
    }

    fn write(&self, key: Vec<u8>, row: Option<(Progress, Vec<u8>)>) -> Result<(), LedgerError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, row) = row.unzip();
        match progress {
            Some(progress) => kept.rows.insert(key.clone(), progress),
            None => kept.rows.remove(&key),
        };
        match kept.ledger.take().filter(|ledger| !ledger.is_long()) {
            Some(mut ledger) => {
                ledger.append([(key, row)])?;
                kept.ledger = Some(ledger);
            }
            None => {
                let rows = kept.rows.iter();
                let rows = rows.map(|(key, row)| Ok((key.clone(), encode(row))));
                kept.ledger = Some(Ledger::replace::<LedgerError>(&self.path, rows)?);
            }
        }
        Ok(())
    }
}

fn row_key(actor: ActorNo, peer: &str) -> Vec<u8> {
    [&actor.0.to_be_bytes()[..], &url_hash(peer)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ActorNo = ActorNo(0);
    const BOB: &str = "https://b.test/actors/bob";

    fn progress(since: u64, entered: u64) -> Progress {
        Progress {
            since,
            entered,
            ..Progress::default()
        }
    }

    #[test]
    fn progress_outlives_the_process_and_belongs_to_one_backfill() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("backfill.ledger");
        let kept = Progresses::open(&path).expect("opens");
        assert_eq!(kept.of(ALICE, BOB, 7), progress(7, 0));
        for entered in [1, 2] {
            let kept = kept.keep(ALICE, BOB, progress(7, entered));
            kept.expect("written");
        }
        let again = Progresses::open(&path).expect("opens");
        assert_eq!(again.of(ALICE, BOB, 7), progress(7, 2));
        assert_eq!(again.of(ALICE, BOB, 8), progress(8, 0));
        assert_eq!(again.of(ActorNo(1), BOB, 7), progress(7, 0));
        again.forget(ALICE, BOB).expect("written");
        let last = Progresses::open(&path).expect("opens");
        assert_eq!(last.of(ALICE, BOB, 7), progress(7, 0));
    }
}
