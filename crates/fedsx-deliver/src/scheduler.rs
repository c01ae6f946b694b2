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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use fedsx_store::delivery::{
    Change, DeadLetter, Deliveries, DeliveryError, Item, Place, Placed, clip,
};

use self::active::Active;
use crate::attempt::{Done, Try, lane_of};
use crate::lane::{self, Fate, Tried};
use crate::options::DeliveryOptions;

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
            if active.deficit < bytes {
                active.deficit += self.options.quantum_bytes;
                self.ring.rotate_left(1);
                continue;
            }
            active.deficit -= bytes;
            let Some(placed) = active.start() else {
                continue;
            };
            self.in_flight += 1;
            self.watched.show(&host, active);
            let lane_failures = active.state.failures;
            return Ok(Some(Try {
                placed,
                lane_failures,
            }));
        }
        Ok(None)
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
        for Done { tried, outcome } in done {
            let place = &tried.placed.place;
            self.in_flight -= 1;
            let random = self.random();
            let Some(active) = self.lanes.get_mut(&place.host) else {
                continue;
            };
            let facts = Tried {
                failures: tried.placed.item.failures,
                lane_failures: tried.lane_failures,
                now_ms,
                random,
            };
            let step = lane::step(&active.state, facts, outcome, &self.options);
            if step.lane != active.state {
                change.set_lane(&place.host, &step.lane);
                active.state = step.lane;
            }
            active.land(place.actor);
            let Placed { place, mut item } = tried.placed;
            item.failures = step.failures;
            hosts.insert(Arc::clone(&place.host));
            if let Some(moved) = settle_item(
                active,
                &mut change,
                Placed { place, item },
                step.fate,
                now_ms,
            ) {
                let lane = self
                    .lanes
                    .entry(Arc::clone(&moved.host))
                    .or_insert_with(Active::idle);
                lane.due_aside(now_ms);
                hosts.insert(moved.host);
            }
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

/// What a fate does to the rows and to the lane in memory; gives the place in another lane that the item
/// went to.
fn settle_item(
    active: &mut Active,
    change: &mut Change<'_>,
    Placed { place, mut item }: Placed,
    fate: Fate,
    now_ms: i64,
) -> Option<Place> {
    match fate {
        Fate::Waits => return None,
        Fate::AgainInPlace { at_ms } => {
            active.hold(place.actor, at_ms);
            change.put(&Placed { place, item });
            return None;
        }
        Fate::Settled => change.remove(&place),
        Fate::SetAside { due_ms } => {
            change.set_aside(&place, item, due_ms);
            active.due_aside(due_ms);
        }
        Fate::Moved { inbox } => match lane_of(&inbox) {
            Some(host) if *host == *place.host => {
                item.inbox = Some(inbox);
                change.put(&Placed { place, item });
                return None;
            }
            Some(host) => {
                item.inbox = Some(inbox);
                change.remove(&place);
                active.passed(&place);
                let moved = Place {
                    host: Arc::from(host),
                    due_ms: Some(now_ms),
                    ..place
                };
                change.put(&Placed {
                    place: moved.clone(),
                    item,
                });
                return Some(moved);
            }
            None => {
                let answer = format!("its inbox is said to be {inbox}, which is no URL to send to");
                change.bury(&place, &letter(&place, item, None, answer, now_ms));
            }
        },
        Fate::Dead { status, answer } => {
            change.bury(&place, &letter(&place, item, status, answer, now_ms));
        }
    }
    active.passed(&place);
    None
}

fn letter(
    place: &Place,
    item: Item,
    status: Option<u16>,
    answer: String,
    at_ms: i64,
) -> DeadLetter {
    DeadLetter {
        host: place.host.to_string(),
        actor: place.actor,
        offset: place.offset,
        item,
        status,
        answer: clip(&answer),
        at_ms,
    }
}
