//! What a host missed while it was dormant, found in the outbox logs again and queued in order, a chunk whenever
//! its queue has run empty.
//!
//! Invariant: of an entry that a host missed it gets what expansion would have queued for it, less whom has parted
//! or was blocked since and what was erased; and nothing of an actor is queued for it past what it still misses, so
//! that order is kept. A host that has not answered yet is found one item again, which is its probe. Deliberately
//! absent: local recipients, who never missed anything. Design, section 9.2.

use std::collections::HashSet;
use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use fedsx_store::delivery::{Again, FanOut, Missed, Place, Placed};

use super::{Chunk, ExpandError, Expander};
use crate::attempt::lane_of;
use crate::lane::is_open;
use crate::outbound::{Entry, Outbound};

/// Actors of which something is found again for a host at once.
const ACTORS: usize = 64;
/// Each of them gets this part of a chunk.
const SHARES: usize = 8;
/// Pages of a log, or of the followers of an entry, that are read at once for an actor.
const STEPS: usize = 256;
/// Entries of a log that are read at once.
const ENTRIES: usize = 64;

/// A part of what a host missed.
#[derive(Debug)]
pub struct FoundAgain {
    host: Arc<str>,
    found: Vec<Again>,
}

/// How far an actor's log has been read for a host.
struct Walk<'a> {
    host: &'a Arc<str>,
    actor: ActorNo,
    at: Missed,
    items: Vec<Placed>,
}

impl<O: Outbound> Expander<O> {
    /// The next part of what a host missed whose queue has run empty; nothing when there is no such host.
    ///
    /// # Errors
    /// [`ExpandError`].
    pub fn find_again(&mut self) -> Result<Option<FoundAgain>, ExpandError> {
        let deliveries = Arc::clone(&self.deliveries);
        while let Some(host) = deliveries.next_wanting(self.turn.as_deref()) {
            self.turn = Some(Arc::clone(&host));
            match self.find_for(&host) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => {
                    // What was found so far is forgotten with it.
                    self.forget(&host);
                    deliveries.want(&host);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Queues that part, and gives the places.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn queue_again(&mut self, found: FoundAgain) -> Result<Vec<Place>, ExpandError> {
        let FoundAgain { host, found } = found;
        let places = self.deliveries.found_again(&host, found)?;
        match self.deliveries.is_missing(&host) {
            true if places.is_empty() => self.deliveries.want(&host),
            true => {}
            false => self.forget(&host),
        }
        Ok(places)
    }

    fn forget(&mut self, host: &Arc<str>) {
        self.sent_again.retain(|(of, _), _| of != host);
    }

    fn find_for(&mut self, host: &Arc<str>) -> Result<Option<FoundAgain>, ExpandError> {
        let mut part = FoundAgain {
            host: Arc::clone(host),
            found: Vec::new(),
        };
        if self.deliveries.sweep(host)? {
            return Ok(Some(part));
        }
        let lane = self.deliveries.lane(host)?;
        if !is_open(&lane, self.outbound.now_ms()) {
            // It is asked for again when the lane is tried.
            return Ok(None);
        }
        let missed = self.deliveries.missed(host, ACTORS)?;
        if missed.is_empty() {
            return Ok(None);
        }
        let (mut left, share) = match lane.next_try_ms {
            Some(_) => (1, 1),
            None => (self.options.chunk, (self.options.chunk / SHARES).max(1)),
        };
        for (actor, from) in missed {
            let again = self.find_of(host, actor, from, share)?;
            left = left.saturating_sub(again.items.len());
            part.found.push(again);
            if left == 0 {
                break;
            }
        }
        Ok(Some(part))
    }

    /// What a host missed of an actor's, about `share` items of it.
    fn find_of(
        &mut self,
        host: &Arc<str>,
        actor: ActorNo,
        from: Missed,
        share: usize,
    ) -> Result<Again, ExpandError> {
        let through = self.deliveries.expanded_through();
        let mut walk = Walk {
            host,
            actor,
            at: from.clone(),
            items: Vec::new(),
        };
        let mut is_through = self.walk(&mut walk, through, share)?;
        let next = self.deliveries.next_fan_out(through)?;
        if is_through && next.is_some_and(|next| next.cursor.is_some()) {
            // Recipients of the entry that is being expanded may have been left out as missed already.
            is_through = false;
            if walk.at.offset <= through {
                walk.at = Missed::entry(through + 1);
            }
        }
        Ok(Again {
            actor,
            from,
            items: walk.items,
            left: (!is_through).then_some(walk.at),
        })
    }

    /// Reads on in an actor's log; whether it came to the end of what is expanded.
    fn walk(
        &mut self,
        walk: &mut Walk<'_>,
        through: u64,
        share: usize,
    ) -> Result<bool, ExpandError> {
        let mut steps = 0;
        while steps < STEPS {
            steps += 1;
            let offsets = self
                .outbound
                .published(walk.actor, walk.at.offset, ENTRIES)?;
            let is_last = offsets.len() < ENTRIES;
            for offset in offsets {
                if offset > through {
                    return Ok(true);
                }
                if offset > walk.at.offset {
                    walk.at = Missed::entry(offset);
                }
                while walk.at.offset == offset {
                    if walk.items.len() >= share || steps >= STEPS {
                        return Ok(false);
                    }
                    steps += 1;
                    self.page(walk, share)?;
                }
            }
            if is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A page of the recipients that an entry has at a host.
    fn page(&mut self, walk: &mut Walk<'_>, share: usize) -> Result<(), ExpandError> {
        let (offset, actor) = (walk.at.offset, walk.actor);
        let next_entry = Missed::entry(offset + 1);
        let Some(entry) = self.outbound.entry(offset, actor)? else {
            walk.at = next_entry;
            return Ok(());
        };
        let of = (Arc::clone(walk.host), actor);
        let sent = match self.sent_again.remove(&of) {
            Some((sent_of, sent)) if sent_of == offset && walk.at.within.is_some() => sent,
            _ => HashSet::new(),
        };
        let live = std::mem::replace(&mut self.sent, sent);
        let found = self.recipients_at(walk, &entry, share);
        let sent = std::mem::replace(&mut self.sent, live);
        let (items, next) = found?;
        let least = walk.at.recipient;
        for mut placed in items {
            placed.place.host = Arc::clone(walk.host);
            if placed.place.recipient >= least {
                walk.items.push(placed);
            }
        }
        match next {
            Some(next) => {
                walk.at.within = Some(next);
                self.sent_again.insert(of, (offset, sent));
            }
            None => walk.at = next_entry,
        }
        Ok(())
    }

    fn recipients_at(
        &mut self,
        walk: &Walk<'_>,
        entry: &Entry,
        share: usize,
    ) -> Result<(Vec<Placed>, Option<Vec<u8>>), ExpandError> {
        let (offset, actor) = (walk.at.offset, walk.actor);
        let mut chunk = Chunk::of(FanOut {
            offset,
            actor,
            cursor: None,
        });
        // These have it: they were told when it was expanded.
        let mut local = Vec::new();
        if entry.followers {
            let range = entry.takes_back.unwrap_or(offset)..=offset;
            let within = walk.at.within.clone();
            let (followers, next) = self
                .outbound
                .followers_at(walk.host, actor, range, within, share)?;
            for follower in followers {
                self.follower(&mut chunk, &mut local, entry, follower)?;
            }
            if next.is_some() {
                return Ok((chunk.items, next));
            }
        }
        for (peers, is_hidden) in [(&entry.named, false), (&entry.hidden, true)] {
            let here = |peer: &&String| lane_of(peer).is_some_and(|host| *host == **walk.host);
            for peer in peers.iter().filter(here) {
                self.named(&mut chunk, &mut local, entry, peer, is_hidden)?;
            }
        }
        Ok((chunk.items, None))
    }
}
