//! Transitions of delivery progress, collected into one batch, and what the ledger has to hear of them.
//!
//! Invariant: what a batch touches is noted under the same lock as it is committed under, so a
//! [`Touched`] that is taken speaks of exactly the batches before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use fedsx_core::entry::ActorNo;

use super::record::{self, Record};
use super::rows::{
    CURSOR, DEAD, DeadLetter, FAN_OUT, Item, Lane, MISSED, Missed, PROGRESS, Place, Placed,
    Progress, encode, lane_key, offset_key, pair_key,
};
use super::waiting::{self, Counted};
use super::{Deliveries, DeliveryError};
use crate::engine::Batch;

/// Rows and their new values; `None` for those deleted.
pub(super) type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What changed since the ledger was last written, and what is counted along.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// How far expansion has come.
    pub(super) progress: Progress,
    /// Queues whose beginning may have moved, and the entry before which it can't lie: queues are added
    /// to in the order of entries, and items leave in that order.
    pub(super) heads: BTreeMap<(Arc<str>, ActorNo), u64>,
    /// The new values of the rows that the ledger keeps as they are.
    pub(super) rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What waits, once somebody has asked.
    pub(super) waiting: Option<Counted>,
    /// The number of dead letters, once it is known.
    pub(super) dead: Option<u64>,
    /// The hosts whose lanes are dormant.
    pub(super) dormant: BTreeSet<Arc<str>>,
    /// The hosts for which something is no longer queued.
    pub(super) missing: BTreeSet<Arc<str>>,
    /// The number of records, once it is known.
    pub(super) records: Option<u64>,
}

impl Touched {
    pub(super) fn new(progress: Progress) -> Self {
        Self {
            progress,
            ..Self::default()
        }
    }
}

/// Transitions that happen together or not at all.
pub struct Change<'a> {
    deliveries: &'a Deliveries,
    batch: Batch,
    expanded: Option<u64>,
    heads: Vec<(Arc<str>, ActorNo, u64)>,
    rows: Rows,
    /// The lanes in it, and whether they are dormant.
    lanes: Vec<(Arc<str>, bool)>,
    /// The hosts for which it says from where on nothing is queued.
    missing: BTreeSet<Arc<str>>,
    records: Vec<(Vec<u8>, Record)>,
}

impl<'a> Change<'a> {
    pub(super) const fn new(deliveries: &'a Deliveries) -> Self {
        Self {
            deliveries,
            batch: Batch::new(),
            expanded: None,
            heads: Vec::new(),
            rows: Vec::new(),
            lanes: Vec::new(),
            missing: BTreeSet::new(),
            records: Vec::new(),
        }
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.records.is_empty()
    }

    /// An item stands at its place, in place of what stood there.
    pub fn put(&mut self, placed: &Placed) {
        self.write(&placed.place, Some(encode(&placed.item)));
    }

    /// An item is settled: it arrived, or is no longer to be sent. Of one actor's items in a host's queue
    /// that is the first one.
    pub fn remove(&mut self, place: &Place) {
        self.write(place, None);
    }

    /// An item leaves its place and is due again at `due_ms`, behind no other.
    pub fn set_aside(&mut self, place: &Place, item: Item, due_ms: i64) -> Place {
        self.remove(place);
        let place = place.aside(due_ms);
        self.put(&Placed {
            place: place.clone(),
            item,
        });
        place
    }

    /// An item is given up.
    pub fn bury(&mut self, place: &Place, letter: &DeadLetter) -> u64 {
        self.remove(place);
        let id = self.deliveries.dead_id();
        self.row(offset_key(DEAD, id), Some(encode(letter)));
        id
    }

    /// A dead letter is to be tried again, at once.
    pub fn exhume(&mut self, id: u64, letter: DeadLetter, now_ms: i64) -> Place {
        self.drop_dead_letter(id);
        let place = Place {
            host: Arc::from(letter.host),
            due_ms: Some(now_ms),
            actor: letter.actor,
            offset: letter.offset,
            recipient: letter.item.recipient_hash(),
        };
        let item = Item {
            failures: 0,
            ..letter.item
        };
        self.put(&Placed {
            place: place.clone(),
            item,
        });
        place
    }

    /// A dead letter is forgotten.
    pub fn drop_dead_letter(&mut self, id: u64) {
        self.row(offset_key(DEAD, id), None);
    }

    /// What came of a try.
    pub fn record(&mut self, place: &Place, record: Record) {
        self.records.push((record::key(place), record));
    }

    /// The state of a lane.
    pub fn set_lane(&mut self, host: &str, lane: &Lane) {
        let value = (*lane != Lane::default()).then(|| encode(lane));
        self.row(lane_key(host), value);
        let is_dormant = lane.dormant_since_ms.is_some();
        self.lanes.push((Arc::from(host), is_dormant));
    }

    /// From where on an actor's activities are not queued for a host; nothing where all are.
    pub(super) fn miss(&mut self, host: &Arc<str>, actor: ActorNo, missed: Option<&Missed>) {
        self.row(pair_key(MISSED, host, actor), missed.map(encode));
        self.missing.insert(Arc::clone(host));
    }

    pub(super) fn keep_cursor(&mut self, offset: u64, cursor: Vec<u8>) {
        self.batch.put(offset_key(CURSOR, offset), cursor);
    }

    pub(super) fn end_expansion(&mut self, offset: u64) {
        self.batch.delete(offset_key(CURSOR, offset));
        self.batch.delete(offset_key(FAN_OUT, offset));
        self.expanded = Some(offset);
    }

    fn write(&mut self, place: &Place, value: Option<Vec<u8>>) {
        if place.due_ms.is_some() {
            self.row(place.key(), value);
            return;
        }
        let least = if value.is_none() { place.offset } else { 0 };
        self.heads
            .push((Arc::clone(&place.host), place.actor, least));
        match value {
            Some(value) => self.batch.put(place.key(), value),
            None => self.batch.delete(place.key()),
        }
    }

    fn row(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match &value {
            Some(value) => self.batch.put(key.clone(), value.clone()),
            None => self.batch.delete(key.clone()),
        }
        self.rows.push((key, value));
    }
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({:?})", self.batch)
    }
}

impl Deliveries {
    /// Makes a change: all of it, or nothing.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn commit(&self, change: Change<'_>) -> Result<(), DeliveryError> {
        self.commit_under(&mut self.touched(), change)
    }

    /// The same, for who looked at something under that lock.
    pub(super) fn commit_under(
        &self,
        touched: &mut Touched,
        change: Change<'_>,
    ) -> Result<(), DeliveryError> {
        let Change {
            mut batch,
            expanded,
            heads,
            mut rows,
            lanes,
            missing,
            records,
            ..
        } = change;
        let mut progress = touched.progress;
        if let Some(offset) = expanded {
            progress.expanded = progress.expanded.max(offset);
            batch.put(vec![PROGRESS], encode(&progress));
        }
        if batch.is_empty() && records.is_empty() {
            return Ok(());
        }
        touched.records = self.keep_records(touched.records, &mut batch, records)?;
        let dead = self.make_room(touched.dead, &mut batch, &mut rows)?;
        let moved = match touched.waiting {
            Some(_) => waiting::moved(self.engine.as_ref(), &batch)?,
            None => Vec::new(),
        };
        self.engine.commit(batch)?;
        touched.progress = progress;
        if let Some(waiting) = &mut touched.waiting {
            waiting::follow(waiting, moved);
        }
        if let Some(dead) = dead {
            touched.dead = Some(dead.kept);
            self.note_dropped(dead.dropped);
        }
        for (host, actor, least) in heads {
            let known = touched.heads.entry((host, actor)).or_default();
            *known = least.max(*known);
        }
        touched.rows.extend(rows);
        for (host, is_dormant) in lanes {
            match is_dormant {
                true => touched.dormant.insert(host),
                false => touched.dormant.remove(&host),
            };
        }
        for host in missing {
            match self.has_missed(&host)? {
                true => touched.missing.insert(host),
                false => touched.missing.remove(&host),
            };
        }
        Ok(())
    }
}
