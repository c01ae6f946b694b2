//! One lane in memory: what is under way, whose turn it is, and what it waits for.

mod gather;

use std::collections::BTreeMap;
use std::ops::Bound;

use fedsx_core::entry::ActorNo;
use fedsx_store::delivery::{Deliveries, DeliveryError, Lane, Place, Placed};

use crate::lane::{is_open, width};
use crate::options::DeliveryOptions;

pub(super) use self::gather::Room;

/// Items set aside that are looked at together.
const ASIDE_PAGE: usize = 16;

/// A lane that is being sent something, or fails.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// As its row has it.
    pub(super) state: Lane,
    /// Deliveries under way.
    pub(super) flying: usize,
    /// Bytes it may still be sent in this turn.
    pub(super) deficit: u64,
    /// Bytes that it was sent in a batch beyond its turn.
    pub(super) owes: u64,
    /// Whether it is in the ring.
    pub(super) in_ring: bool,
    /// When it enters the ring by itself.
    pub(super) timer: Option<i64>,
    /// The senders with something queued, and the least place (offset, recipient) it may stand at;
    /// nothing when that has to be read.
    senders: Option<BTreeMap<ActorNo, (u64, u64)>>,
    /// The sender served last.
    turn: Option<ActorNo>,
    /// Senders with a delivery under way, or held until a time.
    busy: BTreeMap<ActorNo, Option<i64>>,
    /// When something set aside is due, or before.
    aside_ms: Option<i64>,
    /// The item that is next.
    ahead: Option<Placed>,
    /// Whether a batch is under way: nothing else begins beside it.
    batch_flies: bool,
}

impl Active {
    /// A lane in this state, of whose queue nothing is known.
    pub(super) fn unread(state: Lane) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// A lane as new, with nothing queued.
    pub(super) fn idle() -> Self {
        Self {
            senders: Some(BTreeMap::new()),
            ..Self::default()
        }
    }

    /// Something is queued at that place.
    pub(super) fn from(&mut self, actor: ActorNo, place: (u64, u64)) {
        if let Some(senders) = &mut self.senders {
            let from = senders.entry(actor).or_insert(place);
            *from = place.min(*from);
        }
        // What was looked at may no longer be the first.
        if self
            .ahead
            .as_ref()
            .is_some_and(|ahead| ahead.place.actor == actor)
        {
            self.ahead = None;
        }
    }

    /// Something set aside is due at that time.
    pub(super) fn due_aside(&mut self, due_ms: i64) {
        self.aside_ms = Some(self.aside_ms.map_or(due_ms, |at_ms| at_ms.min(due_ms)));
    }

    /// An item has left its place.
    pub(super) fn passed(&mut self, place: &Place) {
        if place.due_ms.is_some() {
            return;
        }
        if let Some(from) = self
            .senders
            .as_mut()
            .and_then(|senders| senders.get_mut(&place.actor))
        {
            let behind = behind(place);
            // Unless something was queued before it meanwhile.
            if *from >= (place.offset, place.recipient) {
                *from = behind.max(*from);
            }
        }
    }

    /// A delivery of that sender has ended.
    pub(super) fn land(&mut self, actor: ActorNo) {
        self.flying -= 1;
        self.busy.remove(&actor);
    }

    /// That sender's next item waits until then.
    pub(super) fn hold(&mut self, actor: ActorNo, until_ms: i64) {
        self.busy.insert(actor, Some(until_ms));
    }

    /// The item looked at is under way.
    pub(super) fn start(&mut self) -> Option<Placed> {
        let placed = self.ahead.take()?;
        self.flying += 1;
        self.busy.insert(placed.place.actor, None);
        self.turn = Some(placed.place.actor);
        Some(placed)
    }

    /// The length of the document that would be sent next; nothing when there is none now.
    pub(super) fn peek(
        &mut self,
        deliveries: &Deliveries,
        host: &str,
        now_ms: i64,
        options: &DeliveryOptions,
    ) -> Result<Option<u64>, DeliveryError> {
        self.busy
            .retain(|_, until_ms| until_ms.is_none_or(|until_ms| until_ms > now_ms));
        if !is_open(&self.state, now_ms) {
            self.forget();
            return Ok(None);
        }
        if self.batch_flies || self.flying >= width(&self.state, options) {
            return Ok(None);
        }
        if self.ahead.is_none() {
            self.ahead = self.first_aside(deliveries, host, now_ms)?;
        }
        if self.ahead.is_none() {
            self.ahead = self.first_queued(deliveries, host)?;
        }
        Ok(self
            .ahead
            .as_ref()
            .map(|placed| u64::from(placed.item.bytes)))
    }

    fn first_aside(
        &mut self,
        deliveries: &Deliveries,
        host: &str,
        now_ms: i64,
    ) -> Result<Option<Placed>, DeliveryError> {
        if self.aside_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return Ok(None);
        }
        let page = deliveries.first_aside(host, ASIDE_PAGE)?;
        self.aside_ms = page.first().and_then(|first| first.place.due_ms);
        let mut due = page
            .into_iter()
            .take_while(|placed| placed.place.due_ms.is_some_and(|due_ms| due_ms <= now_ms));
        Ok(due.find(|placed| !self.busy.contains_key(&placed.place.actor)))
    }

    fn first_queued(
        &mut self,
        deliveries: &Deliveries,
        host: &str,
    ) -> Result<Option<Placed>, DeliveryError> {
        let senders = match &mut self.senders {
            Some(senders) => senders,
            unread => {
                let senders = deliveries.senders(host)?;
                unread.insert(senders.into_iter().map(|actor| (actor, (0, 0))).collect())
            }
        };
        loop {
            let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
            let behind = senders.range((after, Bound::Unbounded));
            let next = behind
                .chain(senders.iter())
                .find(|(actor, _)| !self.busy.contains_key(*actor))
                .map(|(actor, from)| (*actor, *from));
            let Some((actor, from)) = next else {
                return Ok(None);
            };
            match deliveries.first_queued(host, actor, from)? {
                Some(placed) => {
                    senders.insert(actor, (placed.place.offset, placed.place.recipient));
                    return Ok(Some(placed));
                }
                None => senders.remove(&actor),
            };
        }
    }

    /// What waits for a failing host is on disk only.
    pub(super) fn forget(&mut self) {
        self.senders = None;
        self.ahead = None;
    }

    /// Whether nothing is queued for it, as far as was looked.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_none() && self.senders.as_ref().is_some_and(BTreeMap::is_empty)
    }

    /// Whether nothing has to be remembered of it.
    pub(super) fn is_idle(&self) -> bool {
        self.flying == 0
            && self.busy.is_empty()
            && self.aside_ms.is_none()
            && self.is_empty()
            && self.state == Lane::default()
    }

    /// When there may be something to start although nothing happens.
    pub(super) fn next_ms(&self, now_ms: i64) -> Option<i64> {
        if let Some(next_try_ms) = self.state.next_try_ms.filter(|at_ms| *at_ms > now_ms) {
            return Some(next_try_ms);
        }
        let held = self.busy.values().copied().flatten();
        held.chain(self.aside_ms)
            .filter(|at_ms| *at_ms > now_ms)
            .min()
    }
}

/// The least place behind one, offset and recipient.
fn behind(place: &Place) -> (u64, u64) {
    match place.recipient.checked_add(1) {
        Some(recipient) => (place.offset, recipient),
        None => (place.offset + 1, 0),
    }
}
