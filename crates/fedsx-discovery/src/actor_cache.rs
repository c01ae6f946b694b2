//! The cache of peers' actor documents.
//!
//! Invariant: one fetch per URL at a time; whatever goes wrong, a good document is never evicted by a
//! failed fetch, and a failed one is not repeated before its time. Keyed by the documents' `id`s, bounded
//! in bytes. A recovery key that an actor commits to is not exchanged without its own word (`pinned`). Deliberately absent: persistence (peers' documents are a cache, design section 4) and what a
//! changed document means. Source: design sections 6 and 9.4.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fedsx_core::actor::PeerActor;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::client::TransportError;
use crate::document::FetchError;
use crate::pool::{Fetcher, Purpose};

mod error;
mod pinned;

pub use error::PeerError;
pub use pinned::Pins;

/// Flights remembered before those that were abandoned are swept.
const FLIGHTS: usize = 256;
/// Refetches remembered, so that each is done once in its time.
const REFETCHES: usize = 20_000;
/// What an entry costs beside its document, bytes.
const ENTRY_BYTES: u64 = 1_024;
/// A read document takes about this many times its bytes in memory.
const READ_COST: u64 = 4;

/// The bounds and times of the cache.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// Memory for documents, bytes.
    pub max_bytes: u64,
    /// How long a document is used, milliseconds.
    pub ttl_ms: i64,
    /// How long a "no" is believed, milliseconds.
    pub negative_ttl_ms: i64,
    /// How long a host that gave no answer is left alone the first time, milliseconds; four times longer
    /// each further time, up to `negative_ttl_ms`.
    pub unreachable_ttl_ms: i64,
    /// How often a document is fetched anew for one (actor, key, source), milliseconds.
    pub key_refetch_ms: i64,
    /// The recovery keys that actors are on record to commit to.
    pub pins: Pins,
}

impl Default for PeersOptions {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            ttl_ms: 24 * 3_600_000,
            negative_ttl_ms: 10 * 60_000,
            unreachable_ttl_ms: 5_000,
            key_refetch_ms: 5 * 60_000,
            pins: Pins::default(),
        }
    }
}

impl PeersOptions {
    /// How long a host is left alone that gave no answer this often before, milliseconds.
    fn longer(&self, failures: u32) -> i64 {
        let longer = self.unreachable_ttl_ms << (2 * failures.min(15));
        longer.min(self.negative_ttl_ms)
    }
}

/// What is known under a URL.
#[derive(Clone, Debug)]
enum Known {
    /// The document, a Tombstone possibly.
    Actor(Arc<PeerActor>),
    /// Another URL of the actor of this id.
    Alias(String),
    /// No document.
    Failed(PeerError),
}

#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    /// Until when this is used without asking again.
    until_ms: i64,
    /// Fetches that failed one after the other.
    failures: u32,
    cost_bytes: u64,
}

#[derive(Clone)]
struct ByCost;

impl Weighter<String, Entry> for ByCost {
    fn weight(&self, url: &String, entry: &Entry) -> u64 {
        entry.cost_bytes + ENTRY_BYTES + u64::try_from(url.len()).unwrap_or(u64::MAX / 2)
    }
}

type Outcome = Result<Arc<PeerActor>, PeerError>;
type Flight = BoxFuture<'static, (Outcome, Asked)>;

/// What a fetch came to, whatever stands in for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// The host said what there is, or that there is nothing.
    Answered,
    /// The host gave no answer of use; it is asked again after so many milliseconds.
    Unanswered { wait_ms: i64 },
    /// Nothing was sent for want of a place; there may be one after so many milliseconds.
    Busy { wait_ms: i64 },
}

/// When a document was last fetched anew for a key.
#[derive(Clone, Copy, Debug)]
struct Refetched {
    /// From when on that may be done again.
    again_ms: i64,
    /// Whether its host answered.
    answered: bool,
}

struct Inner {
    fetcher: Arc<Fetcher>,
    options: PeersOptions,
    entries: Cache<String, Entry, ByCost>,
    refetched: Cache<(String, String, Option<std::net::IpAddr>), Refetched>,
    flights: Mutex<BTreeMap<String, WeakShared<Flight>>>,
}

/// Peers' actor documents; a clone shares them.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("options", &self.0.options)
            .field("entries", &self.0.entries.len())
            .finish_non_exhaustive()
    }
}

impl Peers {
    /// An empty cache over `fetcher`, by whose clock it goes.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, options: PeersOptions) -> Self {
        let items = usize::try_from(options.max_bytes / 8_192).unwrap_or(usize::MAX);
        Self(Arc::new(Inner {
            entries: Cache::with_weighter(items.max(16), options.max_bytes, ByCost),
            refetched: Cache::new(REFETCHES),
            flights: Mutex::default(),
            fetcher,
            options,
        }))
    }

    /// The document of this id, or its Tombstone, if it is at hand and still in its time.
    #[must_use]
    pub fn peek(&self, id: &str) -> Option<Arc<PeerActor>> {
        match self.0.fresh(id)?.known {
            Known::Actor(actor) => Some(actor),
            Known::Alias(_) | Known::Failed(_) => None,
        }
    }

    /// The actor at `url`, fetched if it is not at hand. Its `id` may be another URL than was asked.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn actor(&self, url: &str, purpose: Purpose) -> Outcome {
        match self.0.answer(url) {
            Some(answer) => answer,
            None => self.refetch(url, purpose).await,
        }
    }

    /// The actor asked for anew because `missing`, the id of a key or of another actor, is not in the document at
    /// hand or did not verify; at most once per (actor, missing, source) in its time, else what is at hand. A host
    /// that gives no answer is asked again after as long as one of which nothing is known.
    ///
    /// # Errors
    /// [`PeerError`]; `Unreachable` also where a document is at hand, because nobody can tell by it that there is
    /// nothing of the kind.
    pub async fn refresh(&self, actor: &str, missing: &str, purpose: Purpose) -> Outcome {
        let source = match purpose {
            Purpose::Own => None,
            Purpose::Inbound { source } => Some(source),
        };
        let asked = (actor.to_owned(), missing.to_owned(), source);
        let (now_ms, options) = (self.0.fetcher.now_ms(), &self.0.options);
        let last = self.0.refetched.get(&asked);
        match last.filter(|last| now_ms < last.again_ms) {
            Some(last) if last.answered => return self.actor(actor, purpose).await,
            Some(last) => return Err(unanswered(last.again_ms - now_ms)),
            None if matches!(self.0.answer(actor), Some(Err(_))) => {
                return self.actor(actor, purpose).await;
            }
            None => {}
        }
        // Those who come meanwhile wait for the same fetch. What it came to is kept when it has come to it:
        // whoever asks can be gone before.
        let (outcome, news) = self.land(actor, purpose).await;
        let (answered, wait_ms) = match news {
            Asked::Answered => (true, options.key_refetch_ms),
            Asked::Unanswered { wait_ms } | Asked::Busy { wait_ms } => {
                (false, wait_ms.min(options.key_refetch_ms))
            }
        };
        let refetched = Refetched {
            again_ms: self.0.fetcher.now_ms() + wait_ms,
            answered,
        };
        self.0.refetched.insert(asked, refetched);
        match answered {
            true => outcome,
            false => Err(unanswered(wait_ms)),
        }
    }

    /// Has the document of this id fetched anew before it is used again, because its actor says that it has
    /// changed. Until a fetch succeeds it stands in as before.
    pub fn expire(&self, id: &str) {
        if let Some(mut entry) = self.0.entries.get(id)
            && matches!(entry.known, Known::Actor(_))
        {
            entry.until_ms = self.0.fetcher.now_ms();
            self.0.entries.insert(id.to_owned(), entry);
        }
    }

    /// The actor at `url`, fetched in any case; one fetch serves all who wait for it.
    ///
    /// # Errors
    /// [`PeerError`]; a failure says nothing when a good document is at hand, which is given then.
    pub async fn refetch(&self, url: &str, purpose: Purpose) -> Outcome {
        self.land(url, purpose).await.0
    }

    async fn land(&self, url: &str, purpose: Purpose) -> (Outcome, Asked) {
        let (flight, joined) = self.flight(url, purpose);
        let landed = flight.await;
        if joined && matches!(landed.1, Asked::Busy { .. }) {
            // Whoever began it had no place left; that says nothing of this caller.
            return self.flight(url, purpose).0.await;
        }
        landed
    }

    /// The fetch under way for `url`, or a new one; and whether it was joined.
    fn flight(&self, url: &str, purpose: Purpose) -> (Shared<Flight>, bool) {
        let mut flights = self.0.lock_flights();
        if let Some(flight) = flights.get(url).and_then(WeakShared::upgrade) {
            return (flight, true);
        }
        if flights.len() >= FLIGHTS {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        let (inner, target) = (Arc::clone(&self.0), url.to_owned());
        let flight = async move {
            let landed = inner.fetch(&target, purpose).await;
            inner.lock_flights().remove(&target);
            landed
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(url.to_owned(), weak);
        }
        (flight, false)
    }
}

impl Inner {
    fn lock_flights(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, WeakShared<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, url: &str) -> Option<Entry> {
        let entry = self.entries.get(url)?;
        (self.fetcher.now_ms() < entry.until_ms).then_some(entry)
    }

    /// What is known and still in its time.
    fn answer(&self, url: &str) -> Option<Outcome> {
        let mut entry = self.fresh(url)?;
        if let Known::Alias(id) = &entry.known {
            entry = self.fresh(id)?;
        }
        match entry.known {
            Known::Actor(actor) => Some(given(actor)),
            Known::Failed(PeerError::Unreachable { reason, .. }) => {
                Some(Err(PeerError::Unreachable {
                    retry_after_s: seconds(entry.until_ms - self.fetcher.now_ms()),
                    reason,
                }))
            }
            Known::Failed(error) => Some(Err(error)),
            Known::Alias(_) => None,
        }
    }

    /// Fetches and keeps what came of it.
    async fn fetch(&self, url: &str, purpose: Purpose) -> (Outcome, Asked) {
        match self.fetcher.document(url, purpose).await {
            Ok(fetched) => {
                let actor = match PeerActor::parse(&fetched.document) {
                    Ok(actor) => self.successor(actor, purpose).await,
                    Err(error) => Err(PeerError::NotAnActor(error.to_string())),
                };
                match actor {
                    Ok(actor) => {
                        let kept = self.keep(url, actor, fetched.bytes.len());
                        (given(kept), Asked::Answered)
                    }
                    Err(error) => self.failed(url, &error),
                }
            }
            Err(FetchError::Gone { tombstone }) => {
                (self.bury(url, tombstone.as_ref()), Asked::Answered)
            }
            Err(FetchError::Transport(TransportError::Busy { retry_after_s })) => {
                let reason = "no place to fetch from is free".to_owned();
                let busy = PeerError::Unreachable {
                    retry_after_s,
                    reason,
                };
                let wait_ms = i64::from(retry_after_s) * 1_000;
                let outcome = self.good(url).map_or(Err(busy), given);
                (outcome, Asked::Busy { wait_ms })
            }
            Err(error) => self.failed(url, &judge(&error)),
        }
    }

    fn failed(&self, url: &str, error: &PeerError) -> (Outcome, Asked) {
        let asked = match error {
            PeerError::Unreachable { .. } => Asked::Unanswered {
                wait_ms: self.wait_after(url),
            },
            _ => Asked::Answered,
        };
        (self.fail(url, error), asked)
    }

    fn keep(&self, url: &str, actor: PeerActor, bytes: usize) -> Arc<PeerActor> {
        let actor = Arc::new(actor);
        let entry = |known, cost_bytes| Entry {
            known,
            until_ms: self.fetcher.now_ms() + self.options.ttl_ms,
            failures: 0,
            cost_bytes,
        };
        let cost = READ_COST * u64::try_from(bytes).unwrap_or(u64::MAX / 8);
        if actor.id != url {
            let alias = entry(Known::Alias(actor.id.clone()), 0);
            self.entries.insert(url.to_owned(), alias);
        }
        let known = Known::Actor(Arc::clone(&actor));
        self.entries.insert(actor.id.clone(), entry(known, cost));
        actor
    }

    /// The good document at hand, even past its time.
    fn good(&self, url: &str) -> Option<Arc<PeerActor>> {
        let mut entry = self.entries.get(url)?;
        if let Known::Alias(id) = &entry.known {
            entry = self.entries.get(id)?;
        }
        match entry.known {
            Known::Actor(actor) => Some(actor),
            Known::Alias(_) | Known::Failed(_) => None,
        }
    }

    fn bury(&self, url: &str, tombstone: Option<&fedsx_core::value::Map>) -> Outcome {
        let tombstone = tombstone.and_then(|document| PeerActor::parse(document).ok());
        if let Some(tombstone) = tombstone.filter(PeerActor::is_gone) {
            let bytes = 4_096;
            return given(self.keep(url, tombstone, bytes));
        }
        let last_known = self.good(url);
        let gone = PeerError::Gone { last_known };
        self.note_failure(url, &gone, self.options.negative_ttl_ms);
        Err(gone)
    }

    /// How long after one more failed fetch the next is.
    fn wait_after(&self, url: &str) -> i64 {
        let failures = self.entries.get(url).map_or(0, |entry| entry.failures);
        self.options.longer(failures)
    }

    /// Notes a failed fetch; a good document outlives it.
    fn fail(&self, url: &str, error: &PeerError) -> Outcome {
        tracing::debug!(url, %error, "no actor fetched");
        let ttl_ms = match error {
            PeerError::Unreachable { .. } => self.wait_after(url),
            _ => self.options.negative_ttl_ms,
        };
        let Some(good) = self.good(url) else {
            self.note_failure(url, error, ttl_ms);
            let mut error = error.clone();
            if let PeerError::Unreachable { retry_after_s, .. } = &mut error {
                *retry_after_s = seconds(ttl_ms);
            }
            return Err(error);
        };
        // Both may be the same entry.
        let failures = self.entries.get(url).map_or(0, |entry| entry.failures);
        for known_as in [url, &good.id] {
            if let Some(mut entry) = self.entries.get(known_as) {
                let again_ms = self.fetcher.now_ms() + ttl_ms;
                entry.until_ms = entry.until_ms.max(again_ms);
                entry.failures = failures + 1;
                self.entries.insert(known_as.to_owned(), entry);
            }
        }
        given(good)
    }

    fn note_failure(&self, url: &str, error: &PeerError, ttl_ms: i64) {
        let failures = self.entries.get(url).map_or(0, |entry| entry.failures);
        let entry = Entry {
            known: Known::Failed(error.clone()),
            until_ms: self.fetcher.now_ms() + ttl_ms,
            failures: failures + 1,
            cost_bytes: 0,
        };
        self.entries.insert(url.to_owned(), entry);
    }
}

/// A Tombstone is no actor one can deal with.
fn given(actor: Arc<PeerActor>) -> Outcome {
    if actor.is_gone() {
        Err(PeerError::Gone {
            last_known: Some(actor),
        })
    } else {
        Ok(actor)
    }
}

fn judge(error: &FetchError) -> PeerError {
    match error {
        FetchError::NotFound => PeerError::NotFound,
        FetchError::Transport(refused) if refused.is_forbidden() => {
            PeerError::Forbidden(refused.to_string())
        }
        passing if passing.is_passing() => PeerError::Unreachable {
            retry_after_s: 0,
            reason: passing.to_string(),
        },
        other => PeerError::NotAnActor(other.to_string()),
    }
}

fn unanswered(wait_ms: i64) -> PeerError {
    PeerError::Unreachable {
        retry_after_s: seconds(wait_ms),
        reason: "the document at hand may be older than its keys".to_owned(),
    }
}

fn seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0).div_euclid(1_000) + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
