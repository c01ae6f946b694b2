//! The ledger's part of delivery progress: writing it behind the index, and putting it back into an
//! index that was thrown away.
//!
//! In the ledger stand the rows that can't be derived (set aside, dead letters, lanes, from where on a
//! dormant host misses something), for each actor and host with a backlog its first item, and the offset to which all is expanded; for an (actor, host)
//! that is not there, all up to that offset is settled. A rebuilt index holds a fan-out row for every
//! entry ever published: those before the first item of any backlog are deleted, those up to the
//! offset are expanded again without what is settled, and the ledger stays as it is meanwhile.

use std::collections::BTreeMap;
use std::iter;
use std::sync::{Arc, PoisonError};

use fedsx_core::entry::ActorNo;

use super::change::Touched;
use super::rows::{
    ASIDE, CURSOR, DEAD, FAN_OUT, HEAD, Head, LANE, MISSED, Missed, PROGRESS, Place, Placed,
    Progress, QUEUED, actor_no, decode, encode, offset_key, pair_key, split_host,
};
use super::{CHUNK, Deliveries, DeliveryError, all_rows};
use crate::engine::{Batch, Engine, Row, prefix_end};
use crate::ledger::{Ledger, Rows};

/// The heads of queues, by their keys in the ledger.
type HeadRows = Vec<(Vec<u8>, Option<Head>)>;

/// The row that says how far expansion has come; nothing in a new index.
pub(super) fn load(engine: &dyn Engine) -> Result<Option<Progress>, DeliveryError> {
    let value = engine.get(&[PROGRESS])?;
    Ok(value.as_deref().map(decode).transpose()?)
}

/// Puts what the ledger remembers into a new index. A crash on the way leaves an index that still
/// counts as new, and the same rows are put again.
pub(super) fn restore(
    engine: &dyn Engine,
    ledger: Rows,
    applied: u64,
) -> Result<Progress, DeliveryError> {
    let remembered = ledger.get([PROGRESS].as_slice());
    let remembered: Progress = remembered.map_or(Ok(Progress::default()), |value| decode(value))?;
    // A journal put back from an older copy may end before what the ledger knows.
    let known = remembered.expanded.min(applied);
    let mut settled = known;
    let mut rows = Vec::new();
    for (key, value) in ledger {
        match key.first() {
            Some(&HEAD) => {
                let head: Head = decode(&value)?;
                // What lies behind is expanded in full anyway.
                if head.offset <= known {
                    settled = settled.min(head.offset.saturating_sub(1));
                    rows.push((key, Some(value)));
                }
            }
            Some(&MISSED) => {
                let missed: Missed = decode(&value)?;
                let missed = match missed.offset > applied {
                    // The entries behind are written anew.
                    true => Missed::entry(applied.saturating_add(1)),
                    false => missed.anew(),
                };
                rows.push((key, Some(encode(&missed))));
            }
            Some(&(ASIDE | LANE | DEAD)) => rows.push((key, Some(value))),
            _ => {}
        }
    }
    let to = offset_key(FAN_OUT, settled.saturating_add(1));
    loop {
        let rows = engine.scan(&[FAN_OUT], &to, CHUNK, false)?;
        if rows.is_empty() {
            break;
        }
        commit(engine, rows.into_iter().map(|(key, _)| (key, None)))?;
    }
    let progress = Progress {
        expanded: settled,
        known: if settled < known { known } else { 0 },
    };
    let last = iter::once((vec![PROGRESS], Some(encode(&progress))));
    let mut changes = rows.into_iter().chain(last).peekable();
    while changes.peek().is_some() {
        commit(engine, changes.by_ref().take(CHUNK))?;
    }
    Ok(progress)
}

fn commit(
    engine: &dyn Engine,
    changes: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) -> Result<(), DeliveryError> {
    let mut batch = Batch::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    Ok(engine.commit(batch)?)
}

impl Deliveries {
    /// Brings the ledger up to the present: what changed is appended, or, at first and when it has grown
    /// long, all of it written anew. Does nothing while a rebuilt index is being caught up with.
    ///
    /// # Errors
    /// When the index can't be read or the ledger not written; then the next call writes all of it.
    pub fn sync_ledger(&self) -> Result<(), DeliveryError> {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if self.progress().known > 0 {
            return Ok(());
        }
        *ledger = Some(match ledger.take().filter(|ledger| !ledger.is_long()) {
            Some(ledger) => self.append_to(ledger)?,
            None => self.write_anew()?,
        });
        Ok(())
    }

    fn append_to(&self, mut ledger: Ledger) -> Result<Ledger, DeliveryError> {
        let (progress, heads) = {
            let mut touched = self.touched();
            (touched.progress, std::mem::take(&mut touched.heads))
        };
        let mut changes = BTreeMap::new();
        for ((host, actor), least) in heads {
            let head = self.head(&host, actor, least)?;
            changes.insert(pair_key(HEAD, &host, actor), head.map(|head| encode(&head)));
        }
        // Taken after the heads were read: an item that left a queue before that is in these.
        let rows = {
            let mut touched = self.touched();
            for (key, head) in self.heads_of_missed(&touched)? {
                changes.insert(key, head.map(|head| encode(&head)));
            }
            std::mem::take(&mut touched.rows)
        };
        if changes.is_empty() && rows.is_empty() {
            return Ok(ledger);
        }
        changes.extend(rows);
        // As of before the heads were read: no item of a later entry counts as settled.
        changes.insert(vec![PROGRESS], Some(encode(&progress)));
        ledger.append(changes)?;
        Ok(ledger)
    }

    fn write_anew(&self) -> Result<Ledger, DeliveryError> {
        let progress = {
            let mut touched = self.touched();
            touched.heads.clear();
            touched.progress
        };
        let heads = self.skipping(&[QUEUED], |key| {
            let place = Place::of_key(key)?;
            let Place { host, actor, .. } = &place;
            let next = prefix_end(&pair_key(QUEUED, host, *actor));
            Ok(((pair_key(HEAD, host, *actor), encode(&place.head())), next))
        });
        // Read at once, and after the heads, for the same reason as above.
        let rows = iter::once_with(|| self.rows_at_once()).flat_map(|rows| match rows {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let progress = iter::once(Ok((vec![PROGRESS], encode(&progress))));
        Ledger::replace(&self.path, heads.chain(rows).chain(progress))
    }

    fn rows_at_once(&self) -> Result<Vec<Row>, DeliveryError> {
        let mut touched = self.touched();
        let mut rows = Vec::new();
        for (key, head) in self.heads_of_missed(&touched)? {
            rows.extend(head.map(|head| (key, encode(&head))));
        }
        touched.rows.clear();
        for table in [ASIDE, LANE, DEAD, MISSED] {
            for row in self.all(&[table]) {
                rows.push(row?);
            }
        }
        Ok(rows)
    }

    /// The heads of the queues from where on nothing was queued until lately: what is queued again since must not
    /// count as settled, so they are read under the same lock as that.
    fn heads_of_missed(&self, touched: &Touched) -> Result<HeadRows, DeliveryError> {
        let missed = touched.rows.keys().filter(|key| key[0] == MISSED);
        let heads = missed.map(|key| {
            let (host, actor) = split_host(key)?;
            let actor = actor_no(actor)?;
            let first = self.first_before(host, actor, Head::default(), true)?;
            let head = first.map(|placed| placed.place.head());
            Ok((pair_key(HEAD, host, actor), head))
        });
        heads.collect()
    }

    fn head(&self, host: &str, actor: ActorNo, least: u64) -> Result<Option<Head>, DeliveryError> {
        let first = self.first_queued(host, actor, (least, 0))?;
        Ok(first.map(|placed| placed.place.head()))
    }

    /// Leaves out the items that were settled before the index was thrown away.
    pub(super) fn unsettled(&self, items: Vec<Placed>) -> Result<Vec<Placed>, DeliveryError> {
        let mut heads: BTreeMap<(Arc<str>, ActorNo), Option<Head>> = BTreeMap::new();
        let mut kept = Vec::new();
        for placed in items {
            let Place {
                host,
                actor,
                offset,
                recipient,
                ..
            } = &placed.place;
            let pair = (Arc::clone(host), *actor);
            let head = match heads.get(&pair) {
                Some(head) => *head,
                None => {
                    let value = self.engine.get(&pair_key(HEAD, host, *actor))?;
                    let head = value.as_deref().map(decode).transpose()?;
                    heads.insert(pair, head);
                    head
                }
            };
            if head.is_some_and(|head| (head.offset, head.recipient) <= (*offset, *recipient)) {
                kept.push(placed);
            }
        }
        Ok(kept)
    }

    /// Ends the catching up once expansion gets to `offset`, or to the end, beyond what was known.
    pub(super) fn catch_up_to(&self, offset: u64) -> Result<(), DeliveryError> {
        let Progress { known, expanded } = self.progress();
        if known == 0 || offset <= known {
            return Ok(());
        }
        let progress = Progress {
            expanded: expanded.max(known),
            known: 0,
        };
        let heads = all_rows(self.engine.as_ref(), &[HEAD]);
        let heads: Vec<_> = heads
            .map(|row| row.map(|(key, _)| (key, None)))
            .collect::<Result<_, _>>()?;
        let ended = iter::once((vec![PROGRESS], Some(encode(&progress))));
        // In one batch: with some of the heads gone and the row still there, what is unsettled would
        // count as settled.
        commit(self.engine.as_ref(), heads.into_iter().chain(ended))?;
        let Touched { progress: held, .. } = &mut *self.touched();
        held.known = 0;
        held.expanded = held.expanded.max(progress.expanded);
        Ok(())
    }

    /// The actor and host pairs whose backlog the ledger knew of; for tests and `verify`.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn catching_up(&self) -> Result<Vec<(String, ActorNo)>, DeliveryError> {
        self.all(&[HEAD])
            .map(|row| {
                let (key, _) = row?;
                let (host, actor) = split_host(&key)?;
                Ok((host.to_owned(), actor_no(actor)?))
            })
            .collect()
    }
}

const _: () = assert!(FAN_OUT < CURSOR, "fan-out rows end where cursors begin");
