//! What people see of delivery, and what they may do to dead letters.

use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use fedsx_store::delivery::{DeadLetter, DeliveryError, Place, Recorded};

use super::{Delivery, Event, Inner};
use crate::attempt::lane_of;
use crate::lane::Standing;
use crate::outbound::{Fault, Outbound};

/// Dead letters that are read at once.
const LETTERS: usize = 1_000;
/// Followers at a host that are looked at to say whether there are any.
const FOLLOWERS: usize = 16;
/// Entries that wait to be expanded, of more than which it is only said that there are so many.
pub const UNEXPANDED: usize = 10_000;

/// How a lane stands, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneStatus {
    /// The host.
    pub host: String,
    /// Items in the queue.
    pub queued: u64,
    /// Items set aside, with a time of their own.
    pub set_aside: u64,
    /// Deliveries under way.
    pub in_flight: usize,
    /// Failures of the host in a row.
    pub failures: u32,
    /// Since when it has failed, Unix milliseconds.
    pub failing_since_ms: Option<i64>,
    /// When it is tried next, Unix milliseconds, where it waits.
    pub next_try_ms: Option<i64>,
    /// Ready, backing off or dormant.
    pub state: Standing,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The oldest entry that waits.
    pub oldest_offset: Option<u64>,
    /// The first entry that was not queued, because the host is dormant.
    pub missed_from: Option<u64>,
}

/// Delivery in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Entries that wait to be expanded, at most [`UNEXPANDED`].
    pub unexpanded: u64,
    /// Items in queues and set aside.
    pub waiting: u64,
    /// Hosts that failed when last tried.
    pub failing: usize,
    /// Those of them that are dormant.
    pub dormant: usize,
    /// Items that were given up and are kept.
    pub dead_letters: u64,
    /// Those of them that this process dropped to make room for others.
    pub dead_letters_dropped: u64,
}

/// Which dead letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// The one of that id.
    Id(u64),
    /// Those to a host.
    Host(String),
    /// All.
    All,
}

/// The last id of those that were read, and those that were meant.
type Page = (u64, Vec<(u64, DeadLetter)>);

impl Selection {
    fn has(&self, id: u64, letter: &DeadLetter) -> bool {
        match self {
            Self::Id(one) => *one == id,
            Self::Host(host) => *host == letter.host,
            Self::All => true,
        }
    }
}

impl<O: Outbound> Delivery<O> {
    /// Every lane that has something queued or that is failing, by host.
    ///
    /// # Errors
    /// When the index can't be read; so for all that follow.
    pub fn lanes(&self) -> Result<Vec<LaneStatus>, DeliveryError> {
        let deliveries = &self.inner.deliveries;
        let watched = self.watched();
        let now_ms = self.inner.outbound.now_ms();
        // First: what is found again in between is queued, and nothing is in neither. What becomes missed in between
        // has a lane that fails.
        let missing = deliveries.missing();
        let mut hosts = deliveries.waiting()?;
        let failing = deliveries.lanes()?.into_iter().map(|(host, _)| host);
        for host in failing.chain(missing) {
            hosts.entry(host).or_default();
        }
        let status = hosts.into_iter().map(|(host, waiting)| {
            let lane = deliveries.lane(&host)?;
            let missed = match deliveries.is_missing(&host) {
                true => deliveries.missed(&host, usize::MAX)?,
                false => Vec::new(),
            };
            Ok(LaneStatus {
                queued: waiting.queued,
                set_aside: waiting.set_aside,
                oldest_offset: deliveries.oldest(&host)?,
                in_flight: watched.in_flight(&host),
                state: Standing::of(&lane, now_ms),
                failures: lane.failures,
                failing_since_ms: lane.failing_since_ms,
                next_try_ms: lane.next_try_ms,
                last_error: lane.last_error,
                missed_from: missed.iter().map(|(_, missed)| missed.offset).min(),
                host: host.to_string(),
            })
        });
        status.collect()
    }

    /// How many entries wait to be expanded, at most [`UNEXPANDED`]. Read before [`Self::lanes`], it tells
    /// with them of everything that is still to be sent.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn unexpanded(&self) -> Result<u64, DeliveryError> {
        self.inner.deliveries.unexpanded(UNEXPANDED)
    }

    /// The hosts for which an entry of `actor` still waits, and whether it is yet to be queued for others.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn waiting_of(
        &self,
        actor: ActorNo,
        offset: u64,
    ) -> Result<(Vec<Arc<str>>, bool), DeliveryError> {
        // Before and after: what is missed may be queued in between, and what is expanded may be missed.
        let mut hosts = self.missing_of(actor, offset)?;
        let (queued, unexpanded) = self.inner.deliveries.waiting_of(actor, offset)?;
        for host in queued.into_iter().chain(self.missing_of(actor, offset)?) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts.sort_unstable();
        Ok((hosts, unexpanded))
    }

    /// The dormant hosts that miss an entry of `actor`.
    fn missing_of(&self, actor: ActorNo, offset: u64) -> Result<Vec<Arc<str>>, DeliveryError> {
        let mut missing = Vec::new();
        for host in self.inner.deliveries.missing() {
            if self.has_missed(&host, actor, offset)? {
                missing.push(host);
            }
        }
        Ok(missing)
    }

    /// Whether an entry is one that a dormant host misses.
    fn has_missed(&self, host: &str, actor: ActorNo, offset: u64) -> Result<bool, DeliveryError> {
        let Inner {
            outbound,
            deliveries,
            ..
        } = &*self.inner;
        let missed = deliveries.missed_by(host, actor)?;
        if missed.is_none_or(|missed| missed.offset > offset)
            || offset > deliveries.expanded_through()
        {
            return Ok(false);
        }
        let is_for = || {
            let Some(entry) = outbound.entry(offset, actor)? else {
                return Ok(false);
            };
            let is_here = |peer: &String| lane_of(peer).as_deref() == Some(host);
            if entry.named.iter().chain(&entry.hidden).any(is_here) {
                return Ok(true);
            }
            let range = entry.takes_back.unwrap_or(offset)..=offset;
            let (followers, _) = outbound.followers_at(host, actor, range, None, FOLLOWERS)?;
            Ok::<_, Fault>(entry.followers && !followers.is_empty())
        };
        // Who can't be told apart may be one.
        Ok(is_for().unwrap_or_else(|error| {
            tracing::warn!(%error, host, "whether a dormant host misses an entry is not known");
            true
        }))
    }

    /// Ends the back-off of a host, so that it is tried at once; whether there was one.
    pub async fn wake(&self, host: &str) -> bool {
        let is_failing = self.watched().is_failing(host);
        if is_failing {
            // Fails when nothing runs any more.
            let _ = self.inner.events.send(Event::Woken(host.to_owned())).await;
        }
        is_failing
    }

    /// What came of the deliveries of an entry, at most `limit`.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn records_of(&self, offset: u64, limit: usize) -> Result<Vec<Recorded>, DeliveryError> {
        self.inner.deliveries.records_of(offset, limit)
    }

    /// Everything in numbers.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn totals(&self) -> Result<Totals, DeliveryError> {
        let deliveries = &self.inner.deliveries;
        let unexpanded = self.unexpanded()?;
        let waiting = deliveries.waiting()?;
        let lanes = deliveries.lanes()?;
        Ok(Totals {
            unexpanded,
            waiting: waiting
                .values()
                .map(|waiting| waiting.queued + waiting.set_aside)
                .sum(),
            failing: lanes.iter().filter(|(_, lane)| lane.failures > 0).count(),
            dormant: deliveries.dormant(),
            dead_letters: deliveries.dead_letter_count()?,
            dead_letters_dropped: deliveries.dead_letters_dropped(),
        })
    }

    /// Dead letters with their ids, the oldest first, behind the id `after`.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn dead_letters(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, DeadLetter)>, DeliveryError> {
        self.inner.deliveries.dead_letters(after, limit)
    }

    /// Tries dead letters again, at once; gives how many.
    ///
    /// # Errors
    /// When the index can't be read or written.
    pub async fn retry(&self, selection: Selection) -> Result<u64, DeliveryError> {
        let now_ms = self.inner.outbound.now_ms();
        let mut count = 0;
        let mut after = 0;
        while let Some((last, letters)) = self.selected(after, &selection)? {
            let mut change = self.inner.deliveries.change();
            let places: Vec<Place> = letters
                .into_iter()
                .map(|(id, letter)| change.exhume(id, letter, now_ms))
                .collect();
            self.inner.deliveries.commit(change)?;
            count += places.len() as u64;
            // Fails when nothing runs any more; the next start finds them.
            let _ = self.inner.events.send(Event::Queued(places)).await;
            after = last;
        }
        Ok(count)
    }

    /// Forgets dead letters; gives how many.
    ///
    /// # Errors
    /// When the index can't be read or written.
    pub fn drop_dead_letters(&self, selection: &Selection) -> Result<u64, DeliveryError> {
        let mut count = 0;
        let mut after = 0;
        while let Some((last, letters)) = self.selected(after, selection)? {
            let mut change = self.inner.deliveries.change();
            for (id, _) in &letters {
                change.drop_dead_letter(*id);
            }
            self.inner.deliveries.commit(change)?;
            count += letters.len() as u64;
            after = last;
        }
        Ok(count)
    }

    /// The dead letters of a selection, of those behind `after` that are read at once, and the last of
    /// these.
    fn selected(&self, after: u64, selection: &Selection) -> Result<Option<Page>, DeliveryError> {
        let mut letters = match selection {
            Selection::Id(id) if *id <= after => Vec::new(),
            Selection::Id(id) => {
                let letter = self.inner.deliveries.dead_letter(*id)?;
                letter.map(|letter| (*id, letter)).into_iter().collect()
            }
            _ => self.inner.deliveries.dead_letters(after, LETTERS)?,
        };
        let Some((last, _)) = letters.last() else {
            return Ok(None);
        };
        let last = *last;
        letters.retain(|(id, letter)| selection.has(*id, letter));
        Ok(Some((last, letters)))
    }
}
