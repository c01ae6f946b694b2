//! Which peers wait to be compared, and what is remembered of those that were.
//!
//! Pure: time is an argument. Invariants: all of it is bounded; of one host one peer is compared at a time; a peer
//! rests after each comparison, the longer the more often in a row something had to be mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fedsx_core::state::host;

use super::look::Difference;

/// Peers that wait.
const WAITING: usize = 1_000;
/// Peers of one host among them.
const WAITING_PER_HOST: usize = 64;
/// Peers, and hosts, of which something is remembered.
const KNOWN: usize = 10_000;
/// How often the rest is doubled.
const DOUBLINGS: u32 = 5;

/// What a first look found.
pub(super) type First = Arc<[Difference]>;

/// A peer that waits.
#[derive(Debug)]
struct Waiting {
    due_ms: i64,
    /// Nothing before the first look.
    first: Option<First>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where its followers from here are, as it said.
    url: Option<String>,
    rests_until_ms: i64,
    /// Comparisons in a row in which something was mended.
    mended: u32,
}

/// Whether a peer waits now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// It does.
    Waits,
    /// It rests, or nothing more can be remembered.
    Rests,
    /// Too many wait.
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    waiting: BTreeMap<String, Waiting>,
    /// The hosts with which something is compared.
    occupied: BTreeSet<String>,
    known: BTreeMap<String, Known>,
    /// Until when nothing of it is over, where it is full.
    full_until_ms: i64,
    /// Whether a host says that it offers comparison, and until when that is believed.
    offers: BTreeMap<String, (bool, i64)>,
}

impl Schedule {
    /// Has a peer compared when it is due, unless it waits or rests.
    pub(super) fn ask(&mut self, peer: &str, now_ms: i64, due_ms: i64) -> Asked {
        if self.waiting.contains_key(peer) {
            return Asked::Waits;
        }
        if self.is_resting(peer, now_ms) || !self.has_room(peer, now_ms) {
            return Asked::Rests;
        }
        let of_host = host(peer);
        let of_host = self.waiting.keys().filter(|peer| host(peer) == of_host);
        if self.waiting.len() >= WAITING || of_host.count() >= WAITING_PER_HOST {
            return Asked::Full;
        }
        self.wait(peer, None, due_ms);
        Asked::Waits
    }

    fn wait(&mut self, peer: &str, first: Option<First>, due_ms: i64) {
        let waiting = Waiting { due_ms, first };
        self.waiting.insert(peer.to_owned(), waiting);
    }

    /// The peer that is due first, and what a first look found. Its host is occupied from now on; it waits until its
    /// look has come to an end.
    pub(super) fn take(&mut self, now_ms: i64) -> Option<(String, Option<First>)> {
        let (peer, due_ms) = self.first()?;
        if due_ms > now_ms {
            return None;
        }
        let peer = peer.to_owned();
        self.occupied.insert(host(&peer));
        let first = self.waiting.get(&peer)?.first.clone();
        Some((peer, first))
    }

    /// How many peers wait for a first look, and how many for a second.
    pub(super) fn waiting(&self) -> [usize; 2] {
        let second = self.waiting.values().filter(|it| it.first.is_some());
        let second = second.count();
        [self.waiting.len() - second, second]
    }

    /// When the next is due.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.first().map(|(_, due_ms)| due_ms)
    }

    fn first(&self) -> Option<(&str, i64)> {
        let free = self.waiting.iter();
        let free = free.filter(|(peer, _)| !self.occupied.contains(&host(peer)));
        free.map(|(peer, waiting)| (&**peer, waiting.due_ms))
            .min_by_key(|(_, due_ms)| *due_ms)
    }

    /// A first look found something: there will be a second.
    pub(super) fn again(&mut self, peer: &str, first: Vec<Difference>, due_ms: i64) {
        self.free(peer);
        self.wait(peer, Some(first.into()), due_ms);
    }

    /// A comparison is over.
    pub(super) fn ended(&mut self, peer: &str, now_ms: i64, pause_ms: i64, mended: bool) {
        self.free(peer);
        self.waiting.remove(peer);
        if !self.has_room(peer, now_ms) {
            return;
        }
        let known = self.known.entry(peer.to_owned()).or_default();
        known.mended = if mended { known.mended + 1 } else { 0 };
        let rest_ms = pause_ms.saturating_mul(1 << known.mended.min(DOUBLINGS));
        known.rests_until_ms = now_ms.saturating_add(rest_ms);
    }

    /// Occupies the host of a peer; false where it is already.
    pub(super) fn occupy(&mut self, peer: &str) -> bool {
        self.occupied.insert(host(peer))
    }

    /// Frees it.
    pub(super) fn free(&mut self, peer: &str) {
        self.occupied.remove(&host(peer));
    }

    pub(super) fn is_resting(&self, peer: &str, now_ms: i64) -> bool {
        let known = self.known.get(peer);
        known.is_some_and(|known| now_ms < known.rests_until_ms)
    }

    /// Remembers where the followers of a peer are.
    pub(super) fn learn(&mut self, peer: &str, url: &str, now_ms: i64) {
        if self.has_room(peer, now_ms) {
            self.known.entry(peer.to_owned()).or_default().url = Some(url.to_owned());
        }
    }

    /// Whether a peer is known to keep its followers there.
    pub(super) fn knows(&self, peer: &str, url: &str) -> bool {
        self.url_of(peer) == Some(url)
    }

    pub(super) fn url_of(&self, peer: &str) -> Option<&str> {
        self.known.get(peer)?.url.as_deref()
    }

    /// Whether a host offers comparison, if that is known.
    pub(super) fn offers(&self, host: &str, now_ms: i64) -> Option<bool> {
        let (offers, until_ms) = self.offers.get(host)?;
        (now_ms < *until_ms).then_some(*offers)
    }

    /// Remembers whether a host offers comparison.
    pub(super) fn note_offer(&mut self, host: &str, offers: bool, now_ms: i64, until_ms: i64) {
        if self.offers.len() >= KNOWN && !self.offers.contains_key(host) {
            self.offers.retain(|_, (_, until_ms)| now_ms < *until_ms);
        }
        if self.offers.len() < KNOWN || self.offers.contains_key(host) {
            self.offers.insert(host.to_owned(), (offers, until_ms));
        }
    }

    /// Whether something can be remembered of a peer, after what is at rest no longer was forgotten.
    fn has_room(&mut self, peer: &str, now_ms: i64) -> bool {
        if self.known.contains_key(peer) || self.known.len() < KNOWN {
            return true;
        }
        // Looked at only when something can be over, since all of it is.
        if now_ms < self.full_until_ms {
            return false;
        }
        self.known.retain(|_, known| now_ms < known.rests_until_ms);
        let rests = self.known.values().map(|known| known.rests_until_ms);
        self.full_until_ms = rests.min().unwrap_or_default();
        self.known.len() < KNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const BOB: &str = "https://b.test/actors/bob";
    const CAROL: &str = "https://b.test/actors/carol";
    const DAN: &str = "https://d.test/actors/dan";

    #[test]
    fn one_of_a_host_at_a_time_and_each_when_it_is_due() {
        let mut schedule = Schedule::default();
        for (peer, due_ms) in [(CAROL, 7), (BOB, 5), (DAN, 9)] {
            assert_eq!(schedule.ask(peer, 0, due_ms), Asked::Waits);
        }
        assert!(schedule.take(4).is_none());
        assert_eq!(schedule.next_ms(), Some(5));
        let first = schedule.take(9).map(|(peer, _)| peer);
        assert_eq!(first.as_deref(), Some(BOB));
        assert!(!schedule.occupy(CAROL));
        let second = schedule.take(9).map(|(peer, _)| peer);
        assert_eq!(
            second.as_deref(),
            Some(DAN),
            "the host of carol is occupied"
        );
        assert!(schedule.take(9).is_none());
        schedule.again(BOB, Vec::new(), 20);
        let third = schedule.take(9).map(|(peer, _)| peer);
        assert_eq!(third.as_deref(), Some(CAROL));
        schedule.ended(CAROL, 9, HOUR_MS, false);
        assert_eq!(schedule.waiting(), [1, 1]);
        let (peer, first) = schedule.take(20).expect("due");
        assert_eq!((&*peer, first.is_some()), (BOB, true));
        // Its look was cut off.
        schedule.free(BOB);
        assert!(schedule.take(20).is_some_and(|(peer, _)| peer == BOB));
    }

    #[test]
    fn who_was_compared_rests_and_the_longer_the_more_was_mended() {
        let mut schedule = Schedule::default();
        let mut now_ms = 0;
        for hours in [2, 4, 8, 16, 32, 32] {
            assert_eq!(schedule.ask(BOB, now_ms, now_ms), Asked::Waits);
            schedule.take(now_ms).expect("due");
            schedule.ended(BOB, now_ms, HOUR_MS, true);
            now_ms += hours * HOUR_MS;
            assert_eq!(schedule.ask(BOB, now_ms - 1, now_ms), Asked::Rests);
        }
        assert_eq!(schedule.ask(BOB, now_ms, now_ms), Asked::Waits);
        schedule.take(now_ms).expect("due");
        schedule.ended(BOB, now_ms, HOUR_MS, false);
        assert!(!schedule.is_resting(BOB, now_ms + HOUR_MS));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut schedule = Schedule::default();
        let peer = |number: usize| format!("https://{number}.test/actors/a");
        for number in 0..2 * WAITING {
            let asked = schedule.ask(&peer(number), 0, 0);
            let expected = if number < WAITING {
                Asked::Waits
            } else {
                Asked::Full
            };
            assert_eq!(asked, expected);
        }
        for number in 0..2 * KNOWN {
            schedule.ended(&peer(number), 0, HOUR_MS, false);
            schedule.learn(&peer(number), "https://x.test/f", 0);
        }
        for number in 0..=KNOWN {
            schedule.note_offer(&number.to_string(), true, 0, HOUR_MS);
        }
        assert_eq!(
            (schedule.known.len(), schedule.offers.len()),
            (KNOWN, KNOWN)
        );
        assert_eq!(schedule.ask(DAN, 1, 1), Asked::Rests, "no room");
        schedule.waiting.clear();
        for number in 0..2 * WAITING_PER_HOST {
            let peer = format!("https://b.test/actors/{number}");
            let asked = schedule.ask(&peer, HOUR_MS, HOUR_MS);
            assert_eq!(asked == Asked::Waits, number < WAITING_PER_HOST);
        }
        assert_eq!(schedule.ask(DAN, HOUR_MS, HOUR_MS), Asked::Waits);
    }
}
