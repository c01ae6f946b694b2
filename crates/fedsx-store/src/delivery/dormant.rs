//! Dormant hosts: of what they miss no rows are kept, but from where on, for each actor, they miss it.
//!
//! Invariant: of an actor's items for a host, all before its [`Missed`] are queued or settled and none from there
//! on is queued, or where one still is, nobody is shown it; so what a host misses is what the journal says from
//! there on, and each step from rows to place and back is one batch. What is set aside stays: neither its own schedule
//! nor the inbox that it was moved to is in the journal. Deliberately absent: when a host is dormant, and whom an entry
//! is for (fedsx-deliver). Design, section 9.2.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use tokio::sync::watch;

use super::change::{Change, Touched};
use super::rows::{
    BadRow, Head, LANE, Lane, MISSED, Missed, Place, Placed, QUEUED, actor_no, decode, host_prefix,
    lane_host, pair_key, queued_from, split_host,
};
use super::{CHUNK, Deliveries, DeliveryError, all_rows, placed};
use crate::engine::{Engine, prefix_end};

/// What was found again of an actor's activities for a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Again {
    /// The actor.
    pub actor: ActorNo,
    /// Where it was looked from.
    pub from: Missed,
    /// The items.
    pub items: Vec<Placed>,
    /// From where on the host still misses something; nothing where it has all.
    pub left: Option<Missed>,
}

/// The hosts that are dormant, and those that miss something.
pub(super) fn load(engine: &dyn Engine, touched: &mut Touched) -> Result<(), DeliveryError> {
    for row in all_rows(engine, &[LANE]) {
        let (key, value) = row?;
        let lane: Lane = decode(&value)?;
        if lane.dormant_since_ms.is_some() {
            touched.dormant.insert(lane_host(&key)?);
        }
    }
    for row in all_rows(engine, &[MISSED]) {
        let (key, _) = row?;
        let (host, _) = split_host(&key)?;
        if !touched.missing.contains(host) {
            touched.missing.insert(Arc::from(host));
        }
    }
    Ok(())
}

impl Deliveries {
    /// Leaves out what hosts miss because they are dormant, and notes from where on they do.
    pub(super) fn not_missed(
        &self,
        touched: &Touched,
        change: &mut Change<'_>,
        items: Vec<Placed>,
    ) -> Result<Vec<Placed>, DeliveryError> {
        if touched.dormant.is_empty() && touched.missing.is_empty() {
            return Ok(items);
        }
        let mut known: BTreeMap<(Arc<str>, ActorNo), Option<Missed>> = BTreeMap::new();
        let mut kept = Vec::with_capacity(items.len());
        for placed in items {
            let Place { host, actor, .. } = &placed.place;
            let is_dormant = touched.dormant.contains(host);
            if !is_dormant && !touched.missing.contains(host) {
                kept.push(placed);
                continue;
            }
            let missed = match known.entry((Arc::clone(host), *actor)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.missed_by(host, *actor)?),
            };
            if missed.is_none() && is_dormant {
                let new = missed.insert(Missed::entry(placed.place.offset));
                change.miss(host, *actor, Some(new));
                // It may be about to be tried again, with nothing queued to try.
                self.want(host);
            }
            if missed
                .as_ref()
                .is_none_or(|missed| placed.place.head() < missed.place())
            {
                kept.push(placed);
            }
        }
        Ok(kept)
    }

    /// The lane to a host is dormant: what is queued for it is only missed from now on. The rows go when
    /// [`Deliveries::sweep`] is called.
    ///
    /// # Errors
    /// When the index can't be read or written; so for all below.
    pub fn forgo(&self, host: &Arc<str>) -> Result<(), DeliveryError> {
        let senders = self.senders(host)?;
        let mut touched = self.touched();
        let mut change = self.change();
        for actor in senders {
            let missed = self.missed_by(host, actor)?;
            let first = self.first_before(host, actor, Head::default(), missed.is_some())?;
            let Some(head) = first.map(|placed| placed.place.head()) else {
                continue;
            };
            let is_begun = missed.is_some_and(|missed| missed.offset == head.offset)
                || head.offset > touched.progress.expanded;
            // Of an entry that not all recipients of are queued, any may still be missing.
            let recipient = if is_begun { 0 } else { head.recipient };
            let missed = Missed {
                recipient,
                ..Missed::entry(head.offset)
            };
            change.miss(host, actor, Some(&missed));
        }
        self.commit_under(&mut touched, change)?;
        drop(touched);
        self.want(host);
        Ok(())
    }

    /// Deletes rows that are queued for a host and only missed by now, at most a chunk of them; whether there
    /// may be more.
    ///
    /// # Errors
    /// As above.
    pub fn sweep(&self, host: &Arc<str>) -> Result<bool, DeliveryError> {
        let mut touched = self.touched();
        let mut left = CHUNK;
        let mut change = self.change();
        for (actor, missed) in self.missed(host, usize::MAX)? {
            let from = queued_from(host, actor, missed.place());
            let to = prefix_end(&pair_key(QUEUED, host, actor));
            let rows = self.engine.scan(&from, &to, left, false)?;
            for (key, _) in &rows {
                change.remove(&Place::of_key(key)?);
            }
            left -= rows.len();
            if left == 0 {
                break;
            }
        }
        self.commit_under(&mut touched, change)?;
        Ok(left == 0)
    }

    /// Queues what was found again, unless something else has become missed meanwhile; gives the places.
    ///
    /// # Errors
    /// As above.
    pub fn found_again(
        &self,
        host: &Arc<str>,
        found: Vec<Again>,
    ) -> Result<Vec<Place>, DeliveryError> {
        let mut touched = self.touched();
        let mut change = self.change();
        let mut places = Vec::new();
        for again in found {
            if self.missed_by(host, again.actor)?.as_ref() != Some(&again.from) {
                continue;
            }
            for placed in again.items {
                change.put(&placed);
                places.push(placed.place);
            }
            change.miss(host, again.actor, again.left.as_ref());
        }
        self.commit_under(&mut touched, change)?;
        Ok(places)
    }

    /// From where on a host misses what actors published, by actor, at most `limit`.
    ///
    /// # Errors
    /// As above.
    pub fn missed(
        &self,
        host: &str,
        limit: usize,
    ) -> Result<Vec<(ActorNo, Missed)>, DeliveryError> {
        let rows = self
            .engine
            .scan_prefix(&host_prefix(MISSED, host), limit, false)?;
        let missed = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let (_, actor) = split_host(key)?;
            Ok((actor_no(actor)?, decode(value)?))
        };
        rows.iter()
            .map(missed)
            .collect::<Result<_, BadRow>>()
            .map_err(DeliveryError::from)
    }

    /// From where on a host misses what an actor published, where it does.
    ///
    /// # Errors
    /// As above.
    pub fn missed_by(&self, host: &str, actor: ActorNo) -> Result<Option<Missed>, DeliveryError> {
        let value = self.engine.get(&pair_key(MISSED, host, actor))?;
        Ok(value.as_deref().map(decode).transpose()?)
    }

    /// The hosts that miss something.
    #[must_use]
    pub fn missing(&self) -> Vec<Arc<str>> {
        self.touched().missing.iter().cloned().collect()
    }

    /// Whether a host misses something.
    #[must_use]
    pub fn is_missing(&self, host: &str) -> bool {
        self.touched().missing.contains(host)
    }

    /// How many hosts are dormant.
    #[must_use]
    pub fn dormant(&self) -> usize {
        self.touched().dormant.len()
    }

    /// What a host misses is to be found again: nothing else is queued for it.
    pub fn want(&self, host: &Arc<str>) {
        self.wanting
            .send_if_modified(|wanting| wanting.insert(Arc::clone(host)));
    }

    /// The next host behind `after` for which what it misses is to be found again, in turn.
    #[must_use]
    pub fn next_wanting(&self, after: Option<&str>) -> Option<Arc<str>> {
        // While an index that was thrown away is caught up with, what was queued is not known yet.
        if self.progress().known > 0 {
            return None;
        }
        let mut next = None;
        self.wanting.send_if_modified(|wanting| {
            let behind = wanting
                .iter()
                .find(|host| after.is_none_or(|after| ***host > *after));
            next = behind.or(wanting.first()).cloned();
            if let Some(host) = &next {
                wanting.remove(host);
            }
            false
        });
        next
    }

    /// Whether there is such a host.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.progress().known == 0 && !self.wanting.borrow().is_empty()
    }

    /// Changes when there is one more such host.
    #[must_use]
    pub fn wanting(&self) -> watch::Receiver<BTreeSet<Arc<str>>> {
        self.wanting.subscribe()
    }

    pub(super) fn has_missed(&self, host: &str) -> Result<bool, DeliveryError> {
        let first = self
            .engine
            .scan_prefix(&host_prefix(MISSED, host), 1, false)?;
        Ok(!first.is_empty())
    }

    /// The first item of `actor` in a host's queue, at or behind `from`, and before what is only missed.
    pub(super) fn first_before(
        &self,
        host: &str,
        actor: ActorNo,
        from: Head,
        may_miss: bool,
    ) -> Result<Option<Placed>, DeliveryError> {
        let missed = match may_miss {
            true => self.missed_by(host, actor)?,
            false => None,
        };
        let from = queued_from(host, actor, from);
        let to = match missed {
            Some(missed) => queued_from(host, actor, missed.place()),
            None => prefix_end(&pair_key(QUEUED, host, actor)),
        };
        if from >= to {
            return Ok(None);
        }
        let row = self.engine.scan(&from, &to, 1, false)?.pop();
        row.map(|row| placed(&row)).transpose()
    }
}
