//! Which hosts take batches, as far as they were asked, and which are to be asked.
//!
//! A host is asked when more waits for it than one item. What it says, also that it takes none, holds for hours; a host
//! that could not be asked, or did not do as it said, is sent single items for a while. Bounded: who is forgotten is
//! asked again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::attempt::Batching;
use crate::outbound::Offer;

/// How long an answer holds, milliseconds.
const HOLDS_MS: i64 = 6 * 3_600_000;
/// How long a host that could not be asked is left alone, milliseconds.
const SILENT_MS: i64 = 600_000;
/// How long a host is sent single items after one could not go in a batch, milliseconds.
const PAUSE_MS: i64 = 60_000;
/// Hosts that are remembered.
const HOSTS: usize = 10_000;

/// What is known of a host.
#[derive(Debug)]
enum Known {
    /// It is being asked.
    Asked,
    /// What it said, and until when that holds.
    Said(Option<Offer>, i64),
    /// It said so, and is sent single items until then.
    Paused(Offer, i64),
}

/// What is known of all hosts.
#[derive(Debug, Default)]
pub(super) struct Offers {
    known: HashMap<Arc<str>, Known>,
    wanted: VecDeque<(Arc<str>, String)>,
}

impl Offers {
    /// How a host takes batches, where it is known to.
    pub(super) fn of(&self, host: &str, now_ms: i64) -> Option<&Offer> {
        match self.known.get(host)? {
            Known::Said(offer, until_ms) if now_ms < *until_ms => offer.as_ref(),
            Known::Paused(offer, until_ms) if now_ms >= *until_ms => Some(offer),
            _ => None,
        }
    }

    /// Whether nothing is known of a host, and it is not being asked.
    pub(super) fn is_unknown(&self, host: &str, now_ms: i64) -> bool {
        match self.known.get(host) {
            None => true,
            Some(Known::Said(_, until_ms)) => now_ms >= *until_ms,
            Some(Known::Asked | Known::Paused(..)) => false,
        }
    }

    /// Has a host asked, that of this inbox.
    pub(super) fn want(&mut self, host: &Arc<str>, inbox: &str) {
        if self.known.len() >= HOSTS {
            // Those that are being asked answer to nobody then.
            self.known.clear();
            self.wanted.clear();
        }
        self.known.insert(Arc::clone(host), Known::Asked);
        self.wanted.push_back((Arc::clone(host), inbox.to_owned()));
    }

    /// The next host to ask, by the inbox that it is to be asked about.
    pub(super) fn wanted(&mut self) -> Option<(Arc<str>, String)> {
        self.wanted.pop_front()
    }

    /// What a host said; an error where it could not be asked.
    pub(super) fn told(
        &mut self,
        host: Arc<str>,
        said: Result<Option<Offer>, String>,
        now_ms: i64,
    ) {
        let known = match said {
            Ok(offer) => Known::Said(offer, now_ms + HOLDS_MS),
            Err(why) => {
                tracing::debug!(%host, why, "can't be asked whether it takes batches");
                Known::Said(None, now_ms + SILENT_MS)
            }
        };
        self.known.insert(host, known);
    }

    /// How a batch went.
    pub(super) fn went(&mut self, host: &Arc<str>, batching: Batching, now_ms: i64) {
        match batching {
            Batching::Goes => {}
            Batching::Refused => {
                let none = Known::Said(None, now_ms + HOLDS_MS);
                self.known.insert(Arc::clone(host), none);
            }
            Batching::Pauses => {
                if let Some(offer) = self.of(host, now_ms).cloned() {
                    let paused = Known::Paused(offer, now_ms + PAUSE_MS);
                    self.known.insert(Arc::clone(host), paused);
                }
            }
        }
    }
}
