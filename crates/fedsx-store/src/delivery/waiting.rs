//! How much waits for each host: counted by a walk when it is first asked for, and kept along since.
//!
//! Invariant: a batch changes the count by what it changes in the rows, which is looked at under the lock
//! that it is committed under; so writing a row that is there already, or deleting one that is not, counts
//! for nothing. Until somebody asks, nothing is counted and a batch costs nothing more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::rows::{ASIDE, FAN_OUT, Place, Placed, QUEUED, host_prefix, offset_key, pair_key};
use fedsx_core::entry::ActorNo;

use super::{CHUNK, CURSOR, Deliveries, DeliveryError, all_rows};
use crate::engine::{Batch, Engine, prefix_end};

/// What waits for a host.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Waiting {
    /// Items in the queue.
    pub queued: u64,
    /// Items set aside.
    pub set_aside: u64,
}

/// The hosts for which something waits.
pub(super) type Counted = BTreeMap<Arc<str>, Waiting>;

/// The items that a batch brings (true) and takes away.
pub(super) fn moved(
    engine: &dyn Engine,
    batch: &Batch,
) -> Result<Vec<(Place, bool)>, DeliveryError> {
    let mut is_there: HashMap<&[u8], bool> = HashMap::new();
    let mut moved = Vec::new();
    for (key, value) in batch.iter() {
        if !matches!(key.first(), Some(&(QUEUED | ASIDE))) {
            continue;
        }
        let was_there = match is_there.get(key) {
            Some(is_there) => *is_there,
            None => engine.get(key)?.is_some(),
        };
        if was_there != value.is_some() {
            moved.push((Place::of_key(key)?, !was_there));
        }
        is_there.insert(key, value.is_some());
    }
    Ok(moved)
}

/// Brings a count up to a batch.
pub(super) fn follow(counted: &mut Counted, moved: Vec<(Place, bool)>) {
    for (place, came) in moved {
        let waiting = counted.entry(Arc::clone(&place.host)).or_default();
        let count = match place.due_ms {
            None => &mut waiting.queued,
            Some(_) => &mut waiting.set_aside,
        };
        *count = if came { *count + 1 } else { *count - 1 };
        if *waiting == Waiting::default() {
            counted.remove(&place.host);
        }
    }
}

/// Counts by a walk over all that waits.
pub(super) fn count(engine: &dyn Engine) -> Result<Counted, DeliveryError> {
    let mut counted = Counted::new();
    for table in [QUEUED, ASIDE] {
        for row in all_rows(engine, &[table]) {
            follow(&mut counted, vec![(Place::of_key(&row?.0)?, true)]);
        }
    }
    Ok(counted)
}

impl Deliveries {
    /// How much waits for each host for which anything does.
    ///
    /// # Errors
    /// When the index can't be read; so for all below.
    pub fn waiting(&self) -> Result<BTreeMap<Arc<str>, Waiting>, DeliveryError> {
        let mut touched = self.touched();
        if let Some(counted) = &touched.waiting {
            return Ok(counted.clone());
        }
        let counted = count(self.engine.as_ref())?;
        touched.waiting = Some(counted.clone());
        Ok(counted)
    }

    /// The oldest entry that waits for a host: of the queue and of what it misses exactly, and of what is set aside
    /// among the thousand that are due first.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn oldest(&self, host: &str) -> Result<Option<u64>, DeliveryError> {
        let mut oldest = None;
        let mut see =
            |offset: u64| oldest = Some(oldest.map_or(offset, |old: u64| old.min(offset)));
        let first = self.skipping(&host_prefix(QUEUED, host), |key| {
            let place = Place::of_key(key)?;
            let next = prefix_end(&pair_key(QUEUED, host, place.actor));
            Ok((place.offset, next))
        });
        for offset in first {
            see(offset?);
        }
        if self.is_missing(host) {
            let missed = self.missed(host, usize::MAX)?;
            missed.iter().for_each(|(_, missed)| see(missed.offset));
        }
        let aside = host_prefix(ASIDE, host);
        for (key, _) in self.engine.scan_prefix(&aside, CHUNK, false)? {
            see(Place::of_key(&key)?.offset);
        }
        Ok(oldest)
    }

    /// How many entries wait to be expanded, counted up to `limit`. An entry counts until all its items
    /// are queued, so who reads this before [`Self::waiting`] misses none.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn unexpanded(&self, limit: usize) -> Result<u64, DeliveryError> {
        let from = offset_key(FAN_OUT, self.expanded_through().saturating_add(1));
        let rows = self.engine.scan(&from, &[CURSOR], limit, false)?;
        Ok(rows.len() as u64)
    }

    /// Whether anything of `actor` still waits for a host. Of what is set aside, the first due are looked at; where
    /// there is more, something may.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn may_wait(&self, host: &str, actor: ActorNo) -> Result<bool, DeliveryError> {
        // Before and after: what is missed may be queued in between, and the other way round.
        if self.missed_by(host, actor)?.is_some()
            || self.first_queued(host, actor, (0, 0))?.is_some()
            || self.missed_by(host, actor)?.is_some()
        {
            return Ok(true);
        }
        let aside = self.first_aside(host, CHUNK)?;
        Ok(aside.len() == CHUNK || aside.iter().any(|placed| placed.place.actor == actor))
    }

    /// The hosts for which an entry of `actor` still waits, and whether it is yet to be queued for others. Of what
    /// is set aside for a host, the first due are looked at.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn waiting_of(
        &self,
        actor: ActorNo,
        offset: u64,
    ) -> Result<(Vec<Arc<str>>, bool), DeliveryError> {
        // First: what is expanded in between is in the queues.
        let unexpanded = self.engine.get(&offset_key(FAN_OUT, offset))?.is_some();
        let mut hosts = Vec::new();
        for host in self.waiting()?.into_keys() {
            let is_it = |placed: &Placed| {
                let place = &placed.place;
                (place.actor, place.offset) == (actor, offset)
            };
            let queued = self.first_queued(&host, actor, (offset, 0))?;
            if queued.as_ref().is_some_and(is_it)
                || self.first_aside(&host, CHUNK)?.iter().any(is_it)
            {
                hosts.push(host);
            }
        }
        Ok((hosts, unexpanded))
    }
}
