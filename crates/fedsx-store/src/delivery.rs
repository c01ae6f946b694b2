//! Delivery progress: which entries still have to be expanded, what is queued for which host, what is
//! set aside, how the lanes stand, and what was given up.
//!
//! Invariant: every transition is one atomic batch, so a crash, which leaves a prefix of the batches,
//! leaves a consistent queue; what it lost is sent again, never left out. What the ledger knows is
//! never ahead of the index: an item that it counts as settled is settled. Deliberately absent: when to
//! try again and what an answer means (fedsx-deliver), and any copy of a document. Design, sections 4
//! and 9.2.

mod change;
mod dead;
mod dormant;
mod progress;
mod record;
mod rows;
mod waiting;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedsx_core::entry::ActorNo;
use fedsx_core::limits::DEAD_LETTERS;
use tokio::sync::watch;

pub use self::change::Change;
use self::change::Touched;
pub use self::dormant::Again;
pub use self::record::{Came, Record, Recorded};
pub use self::rows::{
    ANSWER_BYTES, BadRow, DeadLetter, Item, Lane, Missed, Place, Placed, Recipient, clip,
};
use self::rows::{
    ASIDE, CURSOR, DEAD, FAN_OUT, Head, LANE, Progress, QUEUED, decode, host_prefix, lane_host,
    lane_key, offset_key, offset_of, pair_key, queued_from, split_host,
};
pub use self::waiting::Waiting;
use crate::engine::{Engine, EngineError, Row, prefix_end};
use crate::ledger::{Ledger, LedgerError};

/// Rows read or written at once where there may be many.
const CHUNK: usize = 1_000;

/// Delivery progress can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The index failed; it has to be opened anew.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A row is not as this version writes it.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// The ledger failed; it is written as a whole at the next occasion.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// An entry that has to go out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FanOut {
    /// The entry.
    pub offset: u64,
    /// The sender.
    pub actor: ActorNo,
    /// How far its expansion has come, in the words of who expands it.
    pub cursor: Option<Vec<u8>>,
}

/// Delivery progress in the index, and the ledger beside it.
#[derive(Debug)]
pub struct Deliveries {
    engine: Arc<dyn Engine>,
    path: PathBuf,
    ledger: Mutex<Option<Ledger>>,
    touched: Mutex<Touched>,
    next_dead: AtomicU64,
    /// Dead letters kept.
    dead_max: u64,
    dead_dropped: AtomicU64,
    /// The hosts for which what they missed is to be found again.
    wanting: watch::Sender<BTreeSet<Arc<str>>>,
}

impl Deliveries {
    /// Opens delivery progress in an index to which the journal has been applied up to `applied`. In an
    /// index that is new, what the ledger at `path` remembers is put back first.
    ///
    /// # Errors
    /// [`DeliveryError`]; of the ledger's only those of reading it.
    pub fn open(
        engine: Arc<dyn Engine>,
        path: impl Into<PathBuf>,
        applied: u64,
    ) -> Result<Self, DeliveryError> {
        let path = path.into();
        let progress = match progress::load(engine.as_ref())? {
            Some(progress) => progress,
            None => progress::restore(engine.as_ref(), Ledger::read(&path)?, applied)?,
        };
        let mut touched = Touched::new(progress);
        dormant::load(engine.as_ref(), &mut touched)?;
        let newest = engine.scan_prefix(&[DEAD], 1, true)?;
        let next_dead = match newest.first() {
            Some((key, _)) => offset_of(key)? + 1,
            None => 1,
        };
        Ok(Self {
            engine,
            path,
            ledger: Mutex::new(None),
            wanting: watch::Sender::new(touched.missing.clone()),
            touched: Mutex::new(touched),
            next_dead: AtomicU64::new(next_dead),
            dead_max: DEAD_LETTERS as u64,
            dead_dropped: AtomicU64::new(0),
        })
    }

    /// The next entry to expand behind offset `after`.
    ///
    /// # Errors
    /// When the index can't be read; so for all reads below.
    pub fn next_fan_out(&self, after: u64) -> Result<Option<FanOut>, DeliveryError> {
        let from = offset_key(FAN_OUT, after.saturating_add(1));
        let row = self.engine.scan(&from, &[CURSOR], 1, false)?.pop();
        let Some((key, value)) = row else {
            self.catch_up_to(u64::MAX)?;
            return Ok(None);
        };
        let offset = offset_of(&key)?;
        self.catch_up_to(offset)?;
        let cursor = self.engine.get(&offset_key(CURSOR, offset))?;
        Ok(Some(FanOut {
            offset,
            actor: decode(&value)?,
            cursor,
        }))
    }

    /// Queues items of an entry that is being expanded, and either keeps how far it has come, or, with
    /// no cursor, ends its expansion. Items known to have been settled before an index was thrown away
    /// are left out; what was queued comes back. What a host misses because it is dormant is not queued.
    ///
    /// # Errors
    /// When the index can't be read or written.
    pub fn expanded(
        &self,
        entry: &FanOut,
        items: Vec<Placed>,
        cursor: Option<Vec<u8>>,
    ) -> Result<Vec<Place>, DeliveryError> {
        let known = self.progress().known;
        let items = if entry.offset <= known {
            self.unsettled(items)?
        } else {
            items
        };
        let mut touched = self.touched();
        let mut change = self.change();
        let items = self.not_missed(&touched, &mut change, items)?;
        for placed in &items {
            change.put(placed);
        }
        match cursor {
            Some(cursor) => change.keep_cursor(entry.offset, cursor),
            None => change.end_expansion(entry.offset),
        }
        self.commit_under(&mut touched, change)?;
        Ok(items.into_iter().map(|placed| placed.place).collect())
    }

    /// All lanes that are not as new.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn lanes(&self) -> Result<Vec<(Arc<str>, Lane)>, DeliveryError> {
        self.all(&[LANE])
            .map(|row| {
                let (key, value) = row?;
                Ok((lane_host(&key)?, decode(&value)?))
            })
            .collect()
    }

    /// The state of one lane.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn lane(&self, host: &str) -> Result<Lane, DeliveryError> {
        match self.engine.get(&lane_key(host))? {
            Some(value) => Ok(decode(&value)?),
            None => Ok(Lane::default()),
        }
    }

    /// The hosts for which something is queued.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn hosts_queued(&self) -> Result<Vec<Arc<str>>, DeliveryError> {
        let hosts = self.skipping(&[QUEUED], |key| {
            let (host, _) = split_host(key)?;
            Ok((Arc::from(host), prefix_end(&host_prefix(QUEUED, host))))
        });
        hosts.collect()
    }

    /// The hosts for which something is set aside, with the earliest time at which something is due.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn hosts_aside(&self) -> Result<Vec<(Arc<str>, i64)>, DeliveryError> {
        let hosts = self.skipping(&[ASIDE], |key| {
            let place = Place::of_key(key)?;
            let next = prefix_end(&host_prefix(ASIDE, &place.host));
            Ok(((place.host, place.due_ms.unwrap_or_default()), next))
        });
        hosts.collect()
    }

    /// The senders with something in a host's queue.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn senders(&self, host: &str) -> Result<Vec<ActorNo>, DeliveryError> {
        let senders = self.skipping(&host_prefix(QUEUED, host), |key| {
            let actor = Place::of_key(key)?.actor;
            Ok((actor, prefix_end(&pair_key(QUEUED, host, actor))))
        });
        senders.collect()
    }

    /// The first item of `actor` in a host's queue, at or behind `from` (offset and recipient). Who
    /// takes items one after the other gives the place of the last, so that rows deleted before it are
    /// not passed over again.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn first_queued(
        &self,
        host: &str,
        actor: ActorNo,
        from: (u64, u64),
    ) -> Result<Option<Placed>, DeliveryError> {
        let may_miss = self.touched().missing.contains(host);
        let (offset, recipient) = from;
        self.first_before(host, actor, Head { offset, recipient }, may_miss)
    }

    /// The items of `actor` in a host's queue, at or behind `from`, at most `limit`; of a host that may miss something
    /// one at a time.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn queued(
        &self,
        host: &str,
        actor: ActorNo,
        from: (u64, u64),
        limit: usize,
    ) -> Result<Vec<Placed>, DeliveryError> {
        if self.touched().missing.contains(host) {
            return Ok(self.first_queued(host, actor, from)?.into_iter().collect());
        }
        let (offset, recipient) = from;
        let from = queued_from(host, actor, Head { offset, recipient });
        let to = prefix_end(&pair_key(QUEUED, host, actor));
        let rows = self.engine.scan(&from, &to, limit, false)?;
        rows.iter().map(placed).collect()
    }

    /// What is set aside for a host, the first due first, at most `limit`.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn first_aside(&self, host: &str, limit: usize) -> Result<Vec<Placed>, DeliveryError> {
        let rows = self
            .engine
            .scan_prefix(&host_prefix(ASIDE, host), limit, false)?;
        rows.iter().map(placed).collect()
    }

    /// A change that does nothing yet; [`Deliveries::commit`] makes it.
    #[must_use]
    pub fn change(&self) -> Change<'_> {
        Change::new(self)
    }

    /// All entries up to this offset are expanded.
    #[must_use]
    pub fn expanded_through(&self) -> u64 {
        self.progress().expanded
    }

    fn progress(&self) -> Progress {
        self.touched().progress
    }

    fn touched(&self) -> MutexGuard<'_, Touched> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every row with this prefix, in chunks.
    fn all<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = Result<Row, EngineError>> + 'a {
        all_rows(self.engine.as_ref(), prefix)
    }

    /// Walks over the rows with this prefix, of each group the first: `group` names it by a key of it,
    /// and says where the next may begin.
    fn skipping<'a, T>(
        &'a self,
        prefix: &[u8],
        group: impl Fn(&[u8]) -> Result<(T, Vec<u8>), BadRow> + 'a,
    ) -> impl Iterator<Item = Result<T, DeliveryError>> + 'a {
        let mut from = Some(prefix.to_vec());
        let to = prefix_end(prefix);
        std::iter::from_fn(move || {
            let first = match self.engine.scan(&from.take()?, &to, 1, false) {
                Ok(mut rows) => rows.pop()?,
                Err(error) => return Some(Err(error.into())),
            };
            Some(match group(&first.0) {
                Ok((named, next)) => {
                    from = Some(next).filter(|next| !next.is_empty());
                    Ok(named)
                }
                Err(error) => Err(error.into()),
            })
        })
    }

    /// The file of the ledger.
    #[must_use]
    pub fn ledger_path(&self) -> &Path {
        &self.path
    }
}

/// Every row with this prefix, in chunks; ends with the first error.
fn all_rows<'a>(
    engine: &'a dyn Engine,
    prefix: &[u8],
) -> impl Iterator<Item = Result<Row, EngineError>> + 'a {
    let mut from = Some(prefix.to_vec());
    let to = prefix_end(prefix);
    std::iter::from_fn(
        move || match engine.scan(&from.take()?, &to, CHUNK, false) {
            Ok(rows) => {
                // The least key behind another is that key and a zero byte.
                from = rows
                    .last()
                    .filter(|_| rows.len() == CHUNK)
                    .map(|(last, _)| {
                        let mut next = last.clone();
                        next.push(0);
                        next
                    });
                Some(rows.into_iter().map(Ok).collect::<Vec<_>>())
            }
            Err(error) => Some(vec![Err(error)]),
        },
    )
    .flatten()
}

fn placed((key, value): &Row) -> Result<Placed, DeliveryError> {
    Ok(Placed {
        place: Place::of_key(key)?,
        item: decode(value)?,
    })
}

#[cfg(test)]
mod tests;
