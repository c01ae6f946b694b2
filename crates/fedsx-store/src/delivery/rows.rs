//! The rows of delivery progress: what they hold, and the bytes of their keys.
//!
//! Invariant: a row of the queue is a function of the journal alone (which entry, to which recipient of
//! it, on the host that the journal names), so re-expanding an entry gives the same keys again; what
//! can't be derived so (items with a time of their own, dead letters, the state of lanes) the ledger
//! names row by row. Integers in keys are big-endian, so that they sort. Design, section 9.2.

use std::fmt;
use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use minicbor::{Decode, Encode};

/// Entries that have to go out: `80 offset` → the sender. Written by the index's schema.
pub(super) const FAN_OUT: u8 = 0x80;
/// How far the expansion of an entry has come: `81 offset` → the cursor.
pub(super) const CURSOR: u8 = 0x81;
/// The queue of a host: `82 host 00 actor offset recipient` → [`Item`].
pub(super) const QUEUED: u8 = 0x82;
/// Items set aside: `83 host 00 due actor offset recipient` → [`Item`].
pub(super) const ASIDE: u8 = 0x83;
/// The state of a lane that is not as new: `84 host` → [`Lane`].
pub(super) const LANE: u8 = 0x84;
/// Dead letters: `85 id` → [`DeadLetter`].
pub(super) const DEAD: u8 = 0x85;
/// Where the backlog of an actor on a host begins, as the ledger has it: `86 host 00 actor` →
/// [`Head`]. In the index only while what was thrown away is being expanded again.
pub(super) const HEAD: u8 = 0x86;
/// One row: `87` → [`Progress`].
pub(super) const PROGRESS: u8 = 0x87;

/// From where on nothing is queued for a host: `88 host 00 actor` → [`Missed`].
pub(super) const MISSED: u8 = 0x88;
/// The account of deliveries: `8f offset actor recipient host` → [`super::Record`].
pub(super) const RECORD: u8 = 0x8f;

/// Longest text of a peer's answer, or of an error, that is kept, bytes.
pub const ANSWER_BYTES: usize = 1_024;

/// Whom an item is for.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Recipient {
    /// An actor that the activity names; where it receives is looked up when sending, unless known.
    #[n(0)]
    Named(#[n(0)] String),
    /// A follower with an inbox of its own.
    #[n(1)]
    Follower(#[n(0)] String),
    /// All followers behind a shared inbox; one of them is named, to be asked when the inbox is gone.
    #[n(2)]
    Shared(#[n(0)] String),
}

impl Recipient {
    /// The actor meant, or one of those meant.
    #[must_use]
    pub fn peer(&self) -> &str {
        match self {
            Self::Named(peer) | Self::Follower(peer) | Self::Shared(peer) => peer,
        }
    }
}

/// One activity on its way to one recipient.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Item {
    /// The document.
    #[n(0)]
    pub digest: Digest,
    /// Its length, bytes.
    #[n(1)]
    pub bytes: u32,
    /// Whom it is for.
    #[n(2)]
    pub recipient: Recipient,
    /// Where to send it; nothing when that is still to be found out.
    #[n(3)]
    pub inbox: Option<String>,
    /// How often it failed by itself.
    #[n(4)]
    pub failures: u32,
    /// When it was first queued, Unix milliseconds.
    #[n(5)]
    pub queued_ms: i64,
    /// Whether it goes to the blocked as well: what ends a relation does.
    #[n(6)]
    pub past_blocks: bool,
    /// Whether it goes to who was a follower and is none any more: what takes something back does.
    #[n(7)]
    #[cbor(default)]
    pub past_follows: bool,
}

impl Item {
    /// What stands for the recipient in the item's key. Independent of what was looked up, so that an
    /// entry that is expanded again gives the same keys.
    #[must_use]
    pub fn recipient_hash(&self) -> u64 {
        let digest = match (&self.recipient, &self.inbox) {
            (Recipient::Shared(_), Some(inbox)) => Digest::of(inbox.as_bytes()),
            (recipient, _) => Digest::of(recipient.peer().as_bytes()),
        };
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_be_bytes(hash)
    }
}

/// Where an item stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The host: the authority of the inbox's URL.
    pub host: Arc<str>,
    /// When it is due, for an item set aside; nothing for one in the queue.
    pub due_ms: Option<i64>,
    /// The sender.
    pub actor: ActorNo,
    /// The entry.
    pub offset: u64,
    /// [`Item::recipient_hash`].
    pub recipient: u64,
}

impl Place {
    /// The same item, set aside until `due_ms`.
    #[must_use]
    pub fn aside(&self, due_ms: i64) -> Self {
        Self {
            due_ms: Some(due_ms),
            ..self.clone()
        }
    }

    /// Its place among those of its actor on its host.
    pub(super) const fn head(&self) -> Head {
        Head {
            offset: self.offset,
            recipient: self.recipient,
        }
    }

    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = self.due_ms.map_or_else(
            || host_prefix(QUEUED, &self.host),
            |due_ms| aside_from(&self.host, due_ms),
        );
        key.extend(self.actor.0.to_be_bytes());
        key.extend(self.offset.to_be_bytes());
        key.extend(self.recipient.to_be_bytes());
        key
    }

    pub(super) fn of_key(key: &[u8]) -> Result<Self, BadRow> {
        let (host, rest) = split_host(key)?;
        let (due_ms, rest) = match key[0] {
            QUEUED => (None, rest),
            _ => {
                let (due, rest) = rest.split_at_checked(8).ok_or(BadRow::Key)?;
                (
                    Some(i64::try_from(number(due)?).map_err(|_| BadRow::Key)?),
                    rest,
                )
            }
        };
        let (actor, rest) = rest.split_at_checked(4).ok_or(BadRow::Key)?;
        let (offset, recipient) = rest.split_at_checked(8).ok_or(BadRow::Key)?;
        Ok(Self {
            host: Arc::from(host),
            due_ms,
            actor: actor_no(actor)?,
            offset: number(offset)?,
            recipient: number(recipient)?,
        })
    }
}

/// An item and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Where.
    pub place: Place,
    /// What.
    pub item: Item,
}

/// How a host has been answering. The default stands for a host that answers, and is no row.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Lane {
    /// Failures of the host in a row.
    #[n(0)]
    pub failures: u32,
    /// When the first of them was, Unix milliseconds.
    #[n(1)]
    pub failing_since_ms: Option<i64>,
    /// When the last of them was, Unix milliseconds.
    #[n(2)]
    pub failed_at_ms: i64,
    /// Not to be tried before, Unix milliseconds.
    #[n(3)]
    pub next_try_ms: Option<i64>,
    /// Items in a row that the host failed on by itself (500 and the like).
    #[n(4)]
    pub faults: u32,
    /// What went wrong last.
    #[n(5)]
    pub last_error: Option<String>,
    /// Since when nothing is queued for it any more, because it failed for so long, Unix milliseconds.
    #[n(6)]
    pub dormant_since_ms: Option<i64>,
}

/// An item that was given up.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct DeadLetter {
    /// The host.
    #[n(0)]
    pub host: String,
    /// The sender.
    #[n(1)]
    pub actor: ActorNo,
    /// The entry.
    #[n(2)]
    pub offset: u64,
    /// What was to be sent.
    #[n(3)]
    pub item: Item,
    /// The status of the peer's answer, where there was one.
    #[n(4)]
    pub status: Option<u16>,
    /// The peer's answer, or what else was wrong; at most [`ANSWER_BYTES`].
    #[n(5)]
    pub answer: String,
    /// When it was given up, Unix milliseconds.
    #[n(6)]
    pub at_ms: i64,
}

/// How far expansion has come in all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub(super) struct Progress {
    /// All entries to this offset are expanded.
    #[n(0)]
    pub(super) expanded: u64,
    /// Entries to this offset had been expanded before the index was thrown away, and what is settled
    /// of them the rows of [`HEAD`] tell; 0 when there is nothing to catch up with.
    #[n(1)]
    pub(super) known: u64,
}

/// The first item of an actor's backlog on a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Encode, Decode)]
pub(super) struct Head {
    #[n(0)]
    pub(super) offset: u64,
    #[n(1)]
    pub(super) recipient: u64,
}

/// Where an actor's activities stop being queued for a host: all from there on is found in the journal again.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Missed {
    /// The entry.
    #[n(0)]
    pub offset: u64,
    /// Of that entry the least recipient, as in the keys of items.
    #[n(1)]
    pub recipient: u64,
    /// How far within that entry its recipients were found again, in the words of who does that.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub within: Option<Vec<u8>>,
}

impl Missed {
    /// From the beginning of an entry.
    #[must_use]
    pub const fn entry(offset: u64) -> Self {
        Self {
            offset,
            recipient: 0,
            within: None,
        }
    }

    /// The first place that is not queued. Of an entry of which some recipients were found again, those are.
    pub(super) const fn place(&self) -> Head {
        match self.within {
            None => Head {
                offset: self.offset,
                recipient: self.recipient,
            },
            Some(_) => Head {
                offset: self.offset + 1,
                recipient: 0,
            },
        }
    }

    /// The same, with an entry that was begun begun again.
    pub(super) fn anew(self) -> Self {
        match self.within {
            None => self,
            Some(_) => Self::entry(self.offset),
        }
    }
}

/// A row that is not as this version writes it.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// The key is too short or holds something else.
    #[error("the key of a row of delivery progress can't be read")]
    Key,
    /// The value is something else.
    #[error("a row of delivery progress can't be read: {0}")]
    Value(#[from] minicbor::decode::Error),
}

/// Cuts a text to at most [`ANSWER_BYTES`], between characters.
#[must_use]
pub fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(ANSWER_BYTES)].to_owned()
}

pub(super) fn encode(row: &impl Encode<()>) -> Vec<u8> {
    minicbor::to_vec(row).expect("writing to a Vec can't fail")
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, BadRow> {
    Ok(minicbor::decode(bytes)?)
}

pub(super) fn offset_key(table: u8, offset: u64) -> Vec<u8> {
    let mut key = vec![table];
    key.extend(offset.to_be_bytes());
    key
}

pub(super) fn offset_of(key: &[u8]) -> Result<u64, BadRow> {
    number(key.get(1..).ok_or(BadRow::Key)?)
}

pub(super) fn host_prefix(table: u8, host: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(host.len() + 30);
    key.push(table);
    key.extend(host.as_bytes());
    key.push(0);
    key
}

pub(super) fn lane_key(host: &str) -> Vec<u8> {
    let mut key = vec![LANE];
    key.extend(host.as_bytes());
    key
}

pub(super) fn lane_host(key: &[u8]) -> Result<Arc<str>, BadRow> {
    text(key.get(1..).ok_or(BadRow::Key)?).map(Arc::from)
}

/// The least key of `actor` in a table keyed by host and actor.
pub(super) fn pair_key(table: u8, host: &str, actor: ActorNo) -> Vec<u8> {
    let mut key = host_prefix(table, host);
    key.extend(actor.0.to_be_bytes());
    key
}

/// The least key of the queue at or behind an item of `actor`.
pub(super) fn queued_from(host: &str, actor: ActorNo, head: Head) -> Vec<u8> {
    let mut key = pair_key(QUEUED, host, actor);
    key.extend(head.offset.to_be_bytes());
    key.extend(head.recipient.to_be_bytes());
    key
}

/// The least key of what is set aside until `due_ms`.
pub(super) fn aside_from(host: &str, due_ms: i64) -> Vec<u8> {
    let mut key = host_prefix(ASIDE, host);
    key.extend(u64::try_from(due_ms).unwrap_or(0).to_be_bytes());
    key
}

/// The host and what follows it.
pub(super) fn split_host(key: &[u8]) -> Result<(&str, &[u8]), BadRow> {
    let end = key.iter().position(|&byte| byte == 0).ok_or(BadRow::Key)?;
    Ok((text(key.get(1..end).ok_or(BadRow::Key)?)?, &key[end + 1..]))
}

pub(super) fn actor_no(bytes: &[u8]) -> Result<ActorNo, BadRow> {
    let bytes = bytes.try_into().map_err(|_| BadRow::Key)?;
    Ok(ActorNo(u32::from_be_bytes(bytes)))
}

pub(super) fn number(bytes: &[u8]) -> Result<u64, BadRow> {
    Ok(u64::from_be_bytes(
        bytes.try_into().map_err(|_| BadRow::Key)?,
    ))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, BadRow> {
    std::str::from_utf8(bytes).map_err(|_| BadRow::Key)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "entry {} of actor {} to {}",
            self.offset, self.actor.0, self.host
        )
    }
}
