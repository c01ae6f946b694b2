//! Expansion: from a published entry to an item per recipient, in chunks, in the order of the journal.
//!
//! Invariant: what an entry expands to is a function of the journal up to its offset (followers as of
//! then, who is named), less whom a later entry has blocked or parted from; what takes something back goes to whoever
//! was a follower since that, parted or not; addresses that have to be
//! looked up are looked up when sending. So expanding it again, after a crash or into a rebuilt index,
//! gives the same items; so does expanding it for a host that missed it. Memory holds one chunk, and a number for
//! each shared inbox of the entry.
//! Design, section 9.1.

mod missed;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::{Follower, ReceivesAt};
use fedsx_store::delivery::{Deliveries, DeliveryError, FanOut, Item, Place, Placed, Recipient};

use crate::attempt::lane_of;
use crate::options::DeliveryOptions;
use crate::outbound::{Entry, Fault, Local, Outbound};

pub use self::missed::FoundAgain;

/// Why an entry was not expanded.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// The rest of this instance failed; it may be tried again.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The queue failed.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
}

/// Expands entries one after the other.
#[derive(Debug)]
pub struct Expander<O> {
    outbound: Arc<O>,
    deliveries: Arc<Deliveries>,
    options: DeliveryOptions,
    /// The entry being expanded.
    offset: u64,
    /// Its shared inboxes so far, and who has parted, by hash.
    sent: HashSet<u64>,
    /// The same of entries that are being expanded again for a host, by that and the sender.
    sent_again: BTreeMap<(Arc<str>, ActorNo), (u64, HashSet<u64>)>,
    /// The host that was found something again last.
    turn: Option<Arc<str>>,
}

/// One chunk of an entry.
#[derive(Debug)]
pub struct Chunk {
    entry: FanOut,
    items: Vec<Placed>,
    next: Option<Vec<u8>>,
    /// The document, and the local actors whose logs it has still to join.
    pub local: Option<(Digest, Vec<ActorNo>)>,
}

impl<O: Outbound> Expander<O> {
    /// An expander of what stands in `deliveries`.
    #[must_use]
    pub fn new(outbound: Arc<O>, deliveries: Arc<Deliveries>, options: DeliveryOptions) -> Self {
        Self {
            outbound,
            deliveries,
            options,
            offset: 0,
            sent: HashSet::new(),
            sent_again: BTreeMap::new(),
            turn: None,
        }
    }

    /// Whether there is nothing to expand: one read, and most of what is committed comes from others.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn is_idle(&self) -> Result<bool, DeliveryError> {
        let after = self.deliveries.expanded_through();
        Ok(self.deliveries.next_fan_out(after)?.is_none())
    }

    /// The next chunk of the next entry; nothing when all is expanded.
    ///
    /// # Errors
    /// [`ExpandError`].
    pub fn gather(&mut self) -> Result<Option<Chunk>, ExpandError> {
        let after = self.deliveries.expanded_through();
        let Some(fan_out) = self.deliveries.next_fan_out(after)? else {
            return Ok(None);
        };
        if self.offset != fan_out.offset {
            self.offset = fan_out.offset;
            self.sent = HashSet::new();
        }
        let mut chunk = Chunk::of(fan_out);
        let (offset, actor) = (chunk.entry.offset, chunk.entry.actor);
        let Some(entry) = self.outbound.entry(offset, actor)? else {
            return Ok(Some(chunk));
        };
        let mut local = Vec::new();
        if entry.followers {
            let cursor = chunk.entry.cursor.clone();
            let range = entry.takes_back.unwrap_or(offset)..=offset;
            let limit = self.options.chunk;
            let (followers, next) = self.outbound.followers(actor, range, cursor, limit)?;
            for follower in followers {
                self.follower(&mut chunk, &mut local, &entry, follower)?;
            }
            chunk.next = next;
        }
        if chunk.next.is_none() {
            for (peers, is_hidden) in [(&entry.named, false), (&entry.hidden, true)] {
                for peer in peers {
                    self.named(&mut chunk, &mut local, &entry, peer, is_hidden)?;
                }
            }
        }
        if !local.is_empty() {
            chunk.local = Some((entry.digest, local));
        }
        Ok(Some(chunk))
    }

    /// Queues a chunk, once its local part is placed, and gives the places.
    ///
    /// # Errors
    /// When the index can't be written.
    pub fn commit(&self, chunk: Chunk) -> Result<Vec<Place>, DeliveryError> {
        self.deliveries
            .expanded(&chunk.entry, chunk.items, chunk.next)
    }

    fn follower(
        &mut self,
        chunk: &mut Chunk,
        local: &mut Vec<ActorNo>,
        entry: &Entry,
        follower: Follower,
    ) -> Result<(), Fault> {
        let (actor, offset) = (chunk.entry.actor, chunk.entry.offset);
        let mut has_parted = false;
        if follower.until.is_some() {
            // It has ended since; if it began again, what was missed in between is not.
            let standing = self.outbound.standing(actor, &follower.peer)?;
            has_parted = standing.follows_since.is_none();
            let is_present = standing.follows_since.is_some_and(|since| since <= offset);
            if standing.blocked || is_present || has_parted && entry.takes_back.is_none() {
                return Ok(());
            }
        }
        let Some(at) = follower.receives_at() else {
            return self.local_or_lost(local, entry, &follower.peer);
        };
        let peer = follower.peer.clone();
        let (recipient, inbox) = match at {
            // Nobody asks again whether it follows.
            _ if has_parted => (Recipient::Named(peer), follower.inbox.unwrap_or_default()),
            ReceivesAt::Shared(shared) => (Recipient::Shared(peer), shared.to_owned()),
            ReceivesAt::Own(own) => (Recipient::Follower(peer), own.to_owned()),
        };
        let item = self.item(entry, recipient, Some(inbox));
        let hash = item.recipient_hash();
        // One may have been a follower twice, and many are behind a shared inbox.
        let is_once = matches!(item.recipient, Recipient::Follower(_));
        if !is_once && !self.sent.insert(hash) {
            return Ok(());
        }
        let host = item.inbox.as_deref().and_then(lane_of);
        chunk.push(host, hash, item);
        Ok(())
    }

    fn named(
        &self,
        chunk: &mut Chunk,
        local: &mut Vec<ActorNo>,
        entry: &Entry,
        peer: &str,
        is_hidden: bool,
    ) -> Result<(), Fault> {
        let actor = chunk.entry.actor;
        let whose = self.outbound.local(peer)?;
        if peer == entry.sender || whose == Local::Nobody {
            return Ok(());
        }
        let standing = self.outbound.standing(actor, peer)?;
        if standing.blocked && !entry.past_blocks {
            return Ok(());
        }
        if let Local::Actor(no) = whose {
            if !self.outbound.is_placed(&entry.digest, no)? && !local.contains(&no) {
                local.push(no);
            }
            return Ok(());
        }
        let since = standing.follows_since;
        let is_covered = since.is_some_and(|since| since <= chunk.entry.offset);
        if entry.followers && !is_hidden && is_covered {
            return Ok(());
        }
        // The lane is that of the actor's own URL, whatever is known of its inbox today: the same when it
        // is expanded again. Where the inbox is on another host, sending finds that out.
        let host = lane_of(peer);
        let inbox = standing
            .inbox
            .filter(|inbox| host.is_some() && lane_of(inbox) == host);
        let item = self.item(entry, Recipient::Named(peer.to_owned()), inbox);
        let hash = item.recipient_hash();
        if self.sent.contains(&hash) {
            return Ok(());
        }
        chunk.push(host, hash, item);
        Ok(())
    }

    /// A follower without an inbox is one of this instance.
    fn local_or_lost(
        &self,
        local: &mut Vec<ActorNo>,
        entry: &Entry,
        peer: &str,
    ) -> Result<(), Fault> {
        match self.outbound.local(peer)? {
            Local::Actor(no) => {
                if !self.outbound.is_placed(&entry.digest, no)? {
                    local.push(no);
                }
            }
            whose => tracing::warn!(peer, ?whose, "a follower without an inbox is left out"),
        }
        Ok(())
    }

    fn item(&self, entry: &Entry, recipient: Recipient, inbox: Option<String>) -> Item {
        Item {
            digest: entry.digest,
            bytes: entry.bytes,
            recipient,
            inbox,
            failures: 0,
            queued_ms: self.outbound.now_ms(),
            past_blocks: entry.past_blocks,
            past_follows: entry.takes_back.is_some(),
        }
    }
}

impl Chunk {
    const fn of(entry: FanOut) -> Self {
        Self {
            entry,
            items: Vec::new(),
            next: None,
            local: None,
        }
    }

    fn push(&mut self, host: Option<String>, recipient: u64, item: Item) {
        let Some(host) = host else {
            tracing::warn!(
                peer = item.recipient.peer(),
                "a recipient without a host is left out"
            );
            return;
        };
        let place = Place {
            host: Arc::from(host),
            due_ms: None,
            actor: self.entry.actor,
            offset: self.entry.offset,
            recipient,
        };
        self.items.push(Placed { place, item });
    }
}
