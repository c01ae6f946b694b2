//! Learning from peers while running: what their verbs mean, and what becomes of what was kept until
//! that was known (design, section 8.2).
//!
//! Two loops off the request path. `definitions` takes what peers define, as far as they are trusted,
//! and fetches what kept activities name; `admission` judges what was kept and lets expire what waited
//! too long. What is owed is derived from the index when they start, so that a crash loses nothing.
//! Invariant: how often is fetched is bounded, per CID and per host, and so is the account of it.

mod admission;
mod definitions;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, Effect};
use fedsx_core::limits::ACCOUNTS;
use fedsx_core::refusal::Refusal;
use fedsx_core::trust::Trust;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Node, fault};

const DAY_MS: i64 = 24 * 3_600_000;
/// Each time that a definition is not to be had, it is left alone twice as long, so many times.
const DOUBLINGS: u32 = 5;
/// Rows looked at before the loops look around.
const CHUNK: usize = 64;

/// The bounds of what is fetched and kept.
#[derive(Clone, Debug)]
pub struct LearnOptions {
    /// How long a definition that was asked for is not asked for again, milliseconds.
    pub fetch_every_ms: i64,
    /// Definitions asked of one host in a day.
    pub fetches_per_peer: u32,
    /// How long something is kept, milliseconds.
    pub kept_ms: i64,
    /// Kept of one actor.
    pub kept_per_actor: u64,
    /// Kept of the actors of one host.
    pub kept_per_host: u64,
}

impl Default for LearnOptions {
    fn default() -> Self {
        Self {
            fetch_every_ms: 3_600_000,
            fetches_per_peer: 20,
            kept_ms: 30 * DAY_MS,
            kept_per_actor: 1_000,
            kept_per_host: 10_000,
        }
    }
}

/// What became of a definition that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Why it was not taken; none while it is being fetched.
    pub(crate) why: Option<String>,
    /// Whether only trust was missing.
    is_of_trust: bool,
    /// Until when it is not asked for again, Unix milliseconds.
    pub(crate) until_ms: i64,
    /// How often it was asked for.
    times: u32,
}

/// What a host was asked for since a moment.
#[derive(Clone, Copy, Debug)]
struct Asked {
    since_ms: i64,
    times: u32,
    /// Whether more was wanted than may be.
    is_spent: bool,
}

#[derive(Debug, Default)]
struct Accounts {
    fetches: BTreeMap<Digest, Account>,
    hosts: BTreeMap<String, Asked>,
    /// Until when nothing of it is over, where it is full.
    full_until_ms: i64,
}

/// What the loops share with those who bring them work.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    /// Counts what was kept.
    kept: watch::Sender<u64>,
    /// Counts what may make somebody trusted.
    followed: watch::Sender<u64>,
    accounts: Mutex<Accounts>,
}

/// Why nothing is asked for now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NotNow {
    /// It was asked for.
    Asked,
    /// The host was asked for all that it may be in a day, or too much is remembered.
    Spent,
}

impl Learning {
    /// What an appended activity changes for the loops.
    pub(crate) fn appended(&self, activity: &News) {
        match activity {
            News::Nothing => {}
            News::Kept => self.kept.send_modify(|times| *times += 1),
            News::Followed => self.followed.send_modify(|times| *times += 1),
        }
    }

    /// Tells when a follow of somebody here was accepted.
    pub(crate) fn followed(&self) -> watch::Receiver<u64> {
        self.followed.subscribe()
    }

    /// What is known of the fetch of a definition.
    pub(crate) fn account(&self, create: &Digest) -> Option<Account> {
        self.accounts().fetches.get(create).cloned()
    }

    /// Whether more was wanted of a host than it may be asked for in a day.
    pub(crate) fn is_spent(&self, host: &str, now_ms: i64) -> bool {
        let accounts = self.accounts();
        let asked = accounts.hosts.get(host);
        asked.is_some_and(|asked| asked.is_spent && now_ms - asked.since_ms < DAY_MS)
    }

    /// Takes one fetch from what may be asked for.
    fn spend(
        &self,
        create: Digest,
        host: &str,
        now_ms: i64,
        options: &LearnOptions,
    ) -> Result<(), NotNow> {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.fetches.get(&create)
            && now_ms < account.until_ms
        {
            return Err(NotNow::Asked);
        }
        if !accounts.has_room(now_ms) {
            return Err(NotNow::Spent);
        }
        let asked = accounts.hosts.get(host).copied();
        let asked = asked.filter(|asked| now_ms - asked.since_ms < DAY_MS);
        let mut asked = asked.unwrap_or(Asked {
            since_ms: now_ms,
            times: 0,
            is_spent: false,
        });
        asked.is_spent = asked.times >= options.fetches_per_peer;
        asked.times = asked.times.saturating_add(u32::from(!asked.is_spent));
        accounts.hosts.insert(host.to_owned(), asked);
        if asked.is_spent {
            return Err(NotNow::Spent);
        }
        let times = accounts
            .fetches
            .get(&create)
            .map_or(0, |account| account.times);
        let account = Account {
            why: None,
            is_of_trust: false,
            until_ms: now_ms.saturating_add(options.fetch_every_ms << times.min(DOUBLINGS)),
            times: times + 1,
        };
        accounts.fetches.insert(create, account);
        Ok(())
    }

    /// How a fetch ended: with nothing more to say, or why its definition was not taken.
    fn ended(&self, create: &Digest, why: Option<(String, bool)>) {
        let mut accounts = self.accounts();
        match (why, accounts.fetches.get_mut(create)) {
            (Some((why, is_of_trust)), Some(account)) => {
                account.why = Some(why);
                account.is_of_trust = is_of_trust;
            }
            (None, _) => {
                accounts.fetches.remove(create);
            }
            (Some(_), None) => {}
        }
    }

    /// Somebody may be trusted now: what only lacked that may be asked for again.
    fn forget_distrust(&self) {
        let mut accounts = self.accounts();
        accounts.fetches.retain(|_, account| !account.is_of_trust);
        accounts.full_until_ms = 0;
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Whether there is room for one more, after what is over was forgotten. Looks for that only when
    /// something can be over, since it looks at all.
    fn has_room(&mut self, now_ms: i64) -> bool {
        let is_full = |accounts: &Self| {
            accounts.fetches.len() >= ACCOUNTS || accounts.hosts.len() >= ACCOUNTS
        };
        if !is_full(self) {
            return true;
        }
        if now_ms < self.full_until_ms {
            return false;
        }
        self.fetches.retain(|_, account| now_ms < account.until_ms);
        self.hosts
            .retain(|_, asked| now_ms - asked.since_ms < DAY_MS);
        let fetches = self.fetches.values().map(|account| account.until_ms);
        let hosts = self.hosts.values().map(|asked| asked.since_ms + DAY_MS);
        self.full_until_ms = fetches.chain(hosts).min().unwrap_or_default();
        !is_full(self)
    }
}

/// What an activity changes for the loops when it is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum News {
    Nothing,
    Kept,
    Followed,
}

impl News {
    pub(crate) const fn of(activity: &Activity) -> Self {
        match (&activity.effect, activity.mark) {
            (_, Some(_)) | (Some(Effect::Offered { .. }), None) => Self::Kept,
            (Some(Effect::Accept { .. }), None) => Self::Followed,
            _ => Self::Nothing,
        }
    }
}

impl Node {
    /// Whose definitions are taken.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn trust(&self) -> Result<Trust, Refusal> {
        self.0.view.state().trust().map_err(fault::state)
    }

    /// Puts on record whose definitions are taken from now on, where that is a change. Returns when it is
    /// durable.
    ///
    /// # Errors
    /// Why nothing was appended.
    pub async fn set_trust(&self, trust: Trust) -> Result<(), Refusal> {
        if self.trust()? == trust {
            return Ok(());
        }
        tracing::info!(%trust, "whose definitions are taken has changed");
        let control = fedsx_core::entry::Control::Trust { trust };
        self.control(control).await
    }

    /// Learns from peers, until stopped.
    pub async fn learn(self, options: LearnOptions, stop: CancellationToken) {
        tokio::join!(
            self.take_definitions(&options, &stop),
            self.admit(&options, &stop)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn fetches_are_counted_by_definition_and_host() {
        let (learning, options) = (Learning::default(), LearnOptions::default());
        let spend = |number, host, now_ms| learning.spend(digest(number), host, now_ms, &options);
        assert_eq!(spend(0, "a.example", 0), Ok(()));
        assert_eq!(spend(0, "b.example", 1), Err(NotNow::Asked));
        for number in 1..options.fetches_per_peer {
            assert_eq!(spend(number, "a.example", 2), Ok(()));
        }
        assert!(!learning.is_spent("a.example", 3), "not wanted yet");
        assert_eq!(spend(99, "a.example", 3), Err(NotNow::Spent));
        assert!(learning.is_spent("a.example", 4));
        assert_eq!(spend(99, "b.example", 3), Ok(()));
        assert_eq!(spend(0, "b.example", options.fetch_every_ms), Ok(()));
        assert_eq!(spend(98, "a.example", DAY_MS - 1), Err(NotNow::Spent));
        assert_eq!(spend(98, "a.example", DAY_MS), Ok(()));
    }

    #[test]
    fn who_is_followed_later_is_asked_again_at_once() {
        let (learning, options) = (Learning::default(), LearnOptions::default());
        for (number, is_of_trust) in [(1, true), (2, false)] {
            let create = digest(number);
            assert_eq!(learning.spend(create, "a.example", 0, &options), Ok(()));
            learning.ended(&create, Some(("no".to_owned(), is_of_trust)));
        }
        learning.forget_distrust();
        assert!(learning.account(&digest(1)).is_none());
        let kept = learning.account(&digest(2)).expect("an account");
        assert_eq!(kept.why.as_deref(), Some("no"));
    }

    #[test]
    fn the_account_is_bounded() {
        let (learning, options) = (Learning::default(), LearnOptions::default());
        let asked = (0..20_000_u32).filter(|number| {
            let host = format!("{number}.example");
            learning.spend(digest(*number), &host, 0, &options).is_ok()
        });
        assert_eq!(asked.count(), ACCOUNTS);
        let later = learning.spend(digest(99_999), "z.example", DAY_MS, &options);
        assert_eq!(later, Ok(()));
    }
}
