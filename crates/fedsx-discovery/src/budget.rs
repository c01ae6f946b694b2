//! What one address, or one host, may do in a time: a rate and how much of it may come at once.
//!
//! Invariants: the memory is bounded, since a payer is one number (the generic cell rate algorithm)
//! and only so many are remembered, the idle ones forgotten first; time is an argument; a clock that is
//! set back holds nobody longer than its whole burst. Deliberately absent: what is counted. Requests
//! that come in, fetches that they cause and what a host is known to have sent have a budget each.

use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Payers whose spending is remembered; past it the least used start anew.
const PAYERS: usize = 10_000;
const MINUTE_US: i64 = 60_000_000;

/// How much one payer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// In a minute, lastingly; at least one.
    pub per_minute: u32,
    /// At once, after a rest; at least one.
    pub burst: u32,
}

/// What each payer has spent.
struct Spending<K> {
    /// What one costs, microseconds.
    one_us: i64,
    /// What a payer may owe, microseconds.
    burst_us: i64,
    /// Until when each has spent, Unix microseconds.
    spent_until_us: Mutex<quick_cache::unsync::Cache<K, i64>>,
}

impl<K: Eq + Hash> Spending<K> {
    fn new(rate: Rate) -> Self {
        let one_us = (MINUTE_US / i64::from(rate.per_minute.max(1))).max(1);
        Self {
            one_us,
            burst_us: one_us * i64::from(rate.burst.max(1)),
            spent_until_us: Mutex::new(quick_cache::unsync::Cache::new(PAYERS)),
        }
    }

    /// Takes `count` for a payer; how many seconds later there is enough, when there is not.
    fn take<Q>(
        &self,
        payer: &Q,
        key: impl FnOnce() -> K,
        count: i64,
        now_ms: i64,
    ) -> Result<(), u32>
    where
        Q: Hash + quick_cache::Equivalent<K> + ?Sized,
    {
        let now_us = now_ms * 1_000;
        let limit_us = now_us + self.burst_us;
        let mut spent = self
            .spent_until_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let until_us = spent.get(payer).map_or(now_us, |until_us| {
            // Nobody gets past the limit but by a clock that was set back.
            (*until_us).clamp(now_us, limit_us)
        });
        let left = limit_us - until_us - self.one_us;
        if left < 0 {
            let seconds = left.unsigned_abs().div_ceil(1_000_000);
            // Who asks all the time is not forgotten.
            spent.insert(key(), until_us);
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        if count > 0 {
            spent.insert(
                key(),
                until_us.saturating_add(count.saturating_mul(self.one_us)),
            );
        }
        Ok(())
    }
}

impl<K> fmt::Debug for Spending<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spending")
            .field("one_us", &self.one_us)
            .field("burst_us", &self.burst_us)
            .finish_non_exhaustive()
    }
}

/// What each address has spent.
#[derive(Debug)]
pub struct AddressBudget(Spending<IpAddr>);

impl AddressBudget {
    /// Nobody has spent anything.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(Spending::new(rate))
    }

    /// Takes one for `source` at `now_ms`, Unix milliseconds.
    ///
    /// # Errors
    /// There is none left: after how many seconds there is.
    pub fn spend(&self, source: IpAddr, now_ms: i64) -> Result<(), u32> {
        let source = payer(source);
        self.0.take(&source, || source, 1, now_ms)
    }

    /// Takes `count` for `source`, which may owe them afterwards.
    ///
    /// # Errors
    /// There is none left: after how many seconds there is.
    pub fn spend_many(&self, source: IpAddr, count: usize, now_ms: i64) -> Result<(), u32> {
        let source = payer(source);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.0.take(&source, || source, count, now_ms)
    }
}

/// What each host has spent.
#[derive(Debug)]
pub struct HostBudget(Spending<Box<str>>);

impl HostBudget {
    /// Nobody has spent anything.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self(Spending::new(rate))
    }

    /// Takes one for `host` (`example.org:8443`) at `now_ms`, Unix milliseconds.
    ///
    /// # Errors
    /// There is none left: after how many seconds there is.
    pub fn spend(&self, host: &str, now_ms: i64) -> Result<(), u32> {
        self.0.take(host, || host.into(), 1, now_ms)
    }

    /// Whether there is one left for `host`, which is only said to ask and therefore pays nothing.
    ///
    /// # Errors
    /// There is none left: after how many seconds there is.
    pub fn look(&self, host: &str, now_ms: i64) -> Result<(), u32> {
        self.0.take(host, || host.into(), 0, now_ms)
    }
}

/// One household of addresses pays together: in IPv6 a /64.
fn payer(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_spends_its_burst_and_then_its_rate() {
        let budget = AddressBudget::new(Rate {
            per_minute: 60,
            burst: 10,
        });
        let source = address("2001:db8::1");
        for _ in 0..10 {
            assert_eq!(budget.spend(source, 5_000), Ok(()));
        }
        let neighbour = address("2001:db8::ffff:1");
        assert_eq!(
            budget.spend(neighbour, 5_000),
            Err(1),
            "one /64 pays together"
        );
        assert_eq!(budget.spend(address("2001:db8:0:1::1"), 5_000), Ok(()));
        assert_eq!(budget.spend(source, 6_000), Ok(()));
        assert_eq!(budget.spend(source, 6_000), Err(1));
        let after_a_rest = (0..100).filter(|_| budget.spend(source, 3_600_000).is_ok());
        assert_eq!(after_a_rest.count(), 10);
    }

    #[test]
    fn an_address_is_the_same_in_both_families() {
        let budget = AddressBudget::new(Rate {
            per_minute: 1,
            burst: 1,
        });
        assert_eq!(budget.spend(address("192.0.2.1"), 0), Ok(()));
        assert_eq!(budget.spend(address("::ffff:192.0.2.1"), 0), Err(60));
        assert_eq!(budget.spend(address("192.0.2.2"), 0), Ok(()));
    }

    #[test]
    fn fast_rates_keep_their_measure() {
        let budget = AddressBudget::new(Rate {
            per_minute: 90_000,
            burst: 1,
        });
        let source = address("192.0.2.1");
        let spent = (0..60_000).filter(|now_ms| budget.spend(source, *now_ms).is_ok());
        // One a millisecond is asked for, one and a half would be allowed.
        assert_eq!(spent.count(), 60_000);
        let most = AddressBudget::new(Rate {
            per_minute: u32::MAX,
            burst: u32::MAX,
        });
        assert_eq!(most.spend(source, 1_767_225_600_000), Ok(()));
    }

    #[test]
    fn a_clock_set_back_holds_nobody_for_long() {
        let budget = AddressBudget::new(Rate {
            per_minute: 60,
            burst: 2,
        });
        let source = address("192.0.2.1");
        assert_eq!(budget.spend(source, 3_600_000), Ok(()));
        assert_eq!(budget.spend(source, 0), Err(1));
        assert_eq!(budget.spend(source, 1_000), Ok(()));
    }

    #[test]
    fn the_memory_is_bounded_and_the_idle_are_forgotten_first() {
        let budget = AddressBudget::new(Rate {
            per_minute: 1,
            burst: 2,
        });
        let busy = address("198.51.100.1");
        let refused = (0..200_000_u32).filter(|number| {
            let other = Ipv4Addr::from(0x0a00_0000 + number);
            assert_eq!(budget.spend(other.into(), 0), Ok(()), "not seen before");
            budget.spend(busy, 0).is_err()
        });
        assert_eq!(refused.count(), 199_998, "who asks all the time is known");
        let known = budget
            .0
            .spent_until_us
            .lock()
            .expect("nobody panicked")
            .len();
        assert!(known <= PAYERS, "{known}");
    }

    #[test]
    fn only_what_a_host_sent_is_taken_from_it() {
        let budget = HostBudget::new(Rate {
            per_minute: 60,
            burst: 2,
        });
        for _ in 0..10 {
            assert_eq!(budget.look("a.example", 0), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(budget.spend("a.example", 0), Ok(()));
        }
        assert_eq!(budget.look("a.example", 0), Err(1));
        assert_eq!(budget.spend("a.example", 0), Err(1));
        assert_eq!(budget.look("a.example:8443", 0), Ok(()));
        assert_eq!(budget.look("a.example", 1_000), Ok(()));
        let other = (0..20_000).map(|number| format!("{number}.example"));
        for host in other {
            assert_eq!(
                budget.look(&host, 0),
                Ok(()),
                "who is only named is not remembered"
            );
        }
        let known = budget
            .0
            .spent_until_us
            .lock()
            .expect("nobody panicked")
            .len();
        assert_eq!(known, 1);
    }
}
