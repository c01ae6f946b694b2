//! Which item is sent next: a ring of hosts that can be sent something, deficit round robin over it by
//! bytes, and one timer for all that waits.
//!
//! Invariant: of one actor to one host at most one delivery is under way, and the queue's order is kept
//! for the pair; an item's row changes only in the batch that its try's outcome leads to. In memory is a
//! lane for each host that is being sent something or fails, never an item. Deliberately absent: tasks,
//! clocks and the network (`delivery.rs`), what an answer means (`lane.rs`), and what dormant hosts miss, which is
//! only asked for here when their queues have run empty (`fanout/missed.rs`).
//! Design, section 9.2.

mod active;
mod offers;
mod settling;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use fedsx_core::batch::FRAME_BYTES;
use fedsx_core::limits::WRAPPER_BYTES;
use fedsx_store::delivery::{Deliveries, DeliveryError, Place, Placed};

use self::active::{Active, Room};
use self::offers::Offers;
use crate::attempt::{Batch, Done, Try, goes_along};
use crate::lane;
use crate::options::DeliveryOptions;
use crate::outbound::Offer;

/// What others may see of a running scheduler.
#[derive(Debug, Default)]
pub struct Watched {
    hosts: Mutex<BTreeMap<Arc<str>, Seen>>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    in_flight: usize,
    is_failing: bool,
}

impl Watched {
    /// Deliveries under way to `host`.
    #[must_use]
    pub fn in_flight(&self, host: &str) -> usize {
        self.seen(host).in_flight
    }

    /// Whether the lane to `host` is backing off.
    #[must_use]
    pub fn is_failing(&self, host: &str) -> bool {
        self.seen(host).is_failing
    }

    fn seen(&self, host: &str) -> Seen {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).copied().unwrap_or_default()
    }

    fn show(&self, host: &Arc<str>, active: &Active) {
        let seen = Seen {
            in_flight: active.flying,
            is_failing: active.state.next_try_ms.is_some(),
        };
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.in_flight > 0 || seen.is_failing {
            hosts.insert(Arc::clone(host), seen);
        } else {
            hosts.remove(host);
        }
    }
}

/// The state of sending.
#[derive(Debug)]
pub struct Scheduler {
    deliveries: Arc<Deliveries>,
    options: DeliveryOptions,
    lanes: HashMap<Arc<str>, Active>,
    ring: VecDeque<Arc<str>>,
    timers: BTreeSet<(i64, Arc<str>)>,
    in_flight: usize,
    random: u64,
    watched: Arc<Watched>,
    offers: Offers,
}

impl Scheduler {
    /// A scheduler of what is queued. `seed` is any number.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn new(
        deliveries: Arc<Deliveries>,
        options: DeliveryOptions,
        seed: u64,
    ) -> Result<Self, DeliveryError> {
        let mut scheduler = Self {
            lanes: HashMap::new(),
            ring: VecDeque::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            random: seed,
            watched: Arc::default(),
            offers: Offers::default(),
            deliveries,
            options,
        };
        for (host, state) in scheduler.deliveries.lanes()? {
            scheduler.lanes.insert(host, Active::unread(state));
        }
        for host in scheduler.deliveries.hosts_queued()? {
            scheduler.lanes.entry(host).or_default();
        }
        for (host, due_ms) in scheduler.deliveries.hosts_aside()? {
            scheduler.lanes.entry(host).or_default().due_aside(due_ms);
        }
        let mut hosts: Vec<_> = scheduler.lanes.keys().cloned().collect();
        // In an order of its own at each start, no run could be seen again.
        hosts.sort_unstable();
        for host in hosts {
            scheduler.watched.show(&host, &scheduler.lanes[&host]);
            scheduler.enter(&host);
        }
        Ok(scheduler)
    }

    /// What others may see of it.
    #[must_use]
    pub fn watched(&self) -> Arc<Watched> {
        Arc::clone(&self.watched)
    }

    /// Deliveries under way.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Items were queued or are due at these places.
    pub fn queued(&mut self, places: &[Place]) {
        for place in places {
            let lane = self
                .lanes
                .entry(Arc::clone(&place.host))
                .or_insert_with(Active::idle);
            match place.due_ms {
                Some(due_ms) => lane.due_aside(due_ms),
                None => lane.from(place.actor, (place.offset, place.recipient)),
            }
            self.enter(&Arc::clone(&place.host));
        }
    }

    /// A request was proved to come from `host`.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn wake(&mut self, host: &str, now_ms: i64) -> Result<(), DeliveryError> {
        let Some((host, active)) = self.lanes.get_key_value(host) else {
            return Ok(());
        };
        let woken = lane::wake(&active.state, now_ms, &self.options);
        if woken == active.state {
            return Ok(());
        }
        let host = Arc::clone(host);
        let mut change = self.deliveries.change();
        change.set_lane(&host, &woken);
        self.deliveries.commit(change)?;
        if let Some(active) = self.lanes.get_mut(&host) {
            active.state = woken;
        }
        self.enter(&host);
        Ok(())
    }

    /// The next item to send at `now_ms`, if there is one and room for it. It counts as under way until
    /// [`Scheduler::settle`] hears of it.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn next(&mut self, now_ms: i64) -> Result<Option<Try>, DeliveryError> {
        self.fire(now_ms);
        while self.in_flight < self.options.in_flight_max {
            let Some(host) = self.ring.front().map(Arc::clone) else {
                break;
            };
            let Some(active) = self.lanes.get_mut(&host) else {
                self.ring.pop_front();
                continue;
            };
            let bytes = active.peek(&self.deliveries, &host, now_ms, &self.options)?;
            let Some(bytes) = bytes else {
                self.leave(&host, now_ms);
                continue;
            };
            if active.deficit < bytes + active.owes {
                active.deficit += self.options.quantum_bytes;
                self.ring.rotate_left(1);
                continue;
            }
            active.deficit -= bytes + std::mem::take(&mut active.owes);
            let Some(placed) = active.start() else {
                continue;
            };
            self.in_flight += 1;
            self.watched.show(&host, active);
            let lane_failures = active.state.failures;
            let batch = self.batch(&host, &placed, now_ms)?;
            return Ok(Some(Try {
                placed,
                lane_failures,
                batch,
            }));
        }
        Ok(None)
    }

    /// What goes along with an item that was started, where there is more for a host that takes batches. Of which that
    /// is not known, is to be asked.
    fn batch(
        &mut self,
        host: &Arc<str>,
        placed: &Placed,
        now_ms: i64,
    ) -> Result<Option<Batch>, DeliveryError> {
        let Some(active) = self.lanes.get_mut(host) else {
            return Ok(None);
        };
        let Some(inbox) = placed.item.inbox.as_deref() else {
            return Ok(None);
        };
        let is_well = active.state.next_try_ms.is_none() && placed.place.due_ms.is_none();
        if !is_well || !goes_along(&placed.item) || self.options.batch_items <= 1 {
            return Ok(None);
        }
        if self.offers.is_unknown(host, now_ms) {
            if active.has_more(&self.deliveries, placed)? {
                self.offers.want(host, inbox);
            }
            return Ok(None);
        }
        let Some(Offer { url, most }) = self.offers.of(host, now_ms).cloned() else {
            return Ok(None);
        };
        let bytes = (WRAPPER_BYTES - FRAME_BYTES) as u64;
        let room = Room {
            items: most.min(self.options.batch_items).saturating_sub(1),
            bytes: bytes.saturating_sub(u64::from(placed.item.bytes)),
        };
        let others = active.gather(&self.deliveries, placed, room)?;
        let along: u64 = others.iter().map(|one| u64::from(one.item.bytes)).sum();
        // It has had its turns in advance.
        active.owes += along;
        Ok((!others.is_empty()).then_some(Batch { url, others }))
    }

    /// The next host to be asked whether it takes batches, and an inbox there.
    pub fn next_to_ask(&mut self) -> Option<(Arc<str>, String)> {
        self.offers.wanted()
    }

    /// What a host said of batches; an error where it could not be asked.
    pub fn told(&mut self, host: Arc<str>, said: Result<Option<Offer>, String>, now_ms: i64) {
        self.offers.told(host, said, now_ms);
    }

    /// When [`Scheduler::next`] may have something although nothing happened, Unix milliseconds.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        self.timers.first().map(|(at_ms, _)| *at_ms)
    }

    /// Tries have ended: their rows and their lanes change, in one batch.
    ///
    /// # Errors
    /// When the index can't be written; then none of them has changed.
    pub fn settle(&mut self, done: Vec<Done>, now_ms: i64) -> Result<(), DeliveryError> {
        let deliveries = Arc::clone(&self.deliveries);
        let mut change = deliveries.change();
        let mut hosts = BTreeSet::new();
        for done in done {
            self.settle_try(done, &mut change, &mut hosts, now_ms);
        }
        deliveries.commit(change)?;
        for host in hosts {
            if let Some(active) = self.lanes.get_mut(&host) {
                if active.state.dormant_since_ms.is_some() {
                    deliveries.forgo(&host)?;
                    active.forget();
                }
                self.watched.show(&host, active);
            }
            self.enter(&host);
        }
        Ok(())
    }

    /// Into the ring, where it is looked at in its turn.
    fn enter(&mut self, host: &Arc<str>) {
        let Some(active) = self.lanes.get_mut(host) else {
            return;
        };
        if let Some(at_ms) = active.timer.take() {
            self.timers.remove(&(at_ms, Arc::clone(host)));
        }
        if !active.in_ring {
            active.in_ring = true;
            self.ring.push_back(Arc::clone(host));
        }
    }

    /// Out of the ring, where it stands in front: there is nothing to start for it now.
    fn leave(&mut self, host: &Arc<str>, now_ms: i64) {
        self.ring.pop_front();
        let Some(active) = self.lanes.get_mut(host) else {
            return;
        };
        active.in_ring = false;
        active.deficit = 0;
        if active.is_empty() && self.deliveries.is_missing(host) {
            self.deliveries.want(host);
        }
        active.owes = 0;
        if active.is_idle() {
            self.lanes.remove(host);
            return;
        }
        active.timer = active.next_ms(now_ms);
        if let Some(at_ms) = active.timer {
            self.timers.insert((at_ms, Arc::clone(host)));
        }
    }

    fn fire(&mut self, now_ms: i64) {
        while self
            .timers
            .first()
            .is_some_and(|(at_ms, _)| *at_ms <= now_ms)
        {
            if let Some((_, host)) = self.timers.pop_first() {
                self.enter(&host);
            }
        }
    }

    /// SplitMix64: jitter needs no secrecy.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
