//! Every key of the index, its layout and its version: the one place where rows become bytes.
//!
//! A key begins with the byte of its table; numbers are big-endian, so that keys sort as they count;
//! a URL stands in a key by the first 16 bytes of its SHA-256, and the row's value repeats it, so that
//! a collision is seen. Values are CBOR with numbered fields. Tables below [`DELIVERY`] are a fold of
//! the journal and what `status --digest` hashes; those from it on are delivery progress.

use fedsx_core::cid::Digest;
use fedsx_core::entry::{ActorNo, LogId, Role, Side};
use fedsx_core::follow::{Direction, Relation};
use fedsx_core::state::{Actor, At, Blocks, Defined, Row};
use minicbor::{Decode, Encode};

use crate::engine::Batch;
use crate::{backfill, blobs, followers, groups, hosts, kept, partial, transparency, triggers};

/// The version of this layout; an index of another one is thrown away and rebuilt.
pub const VERSION: u32 = 7;

/// The first byte of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Table {
    /// `meta` and a name: the version, the base URL, the offset applied.
    Meta = 0x01,
    /// Actor number → [`fedsx_core::state::Actor`].
    Actor = 0x02,
    /// Actor name → number.
    ActorName = 0x03,
    /// Hash of an actor's URL → number.
    ActorUrl = 0x04,
    /// Digest → [`fedsx_core::state::Seen`].
    Seen = 0x05,
    /// Hash of an activity's `id` → digest.
    Id = 0x06,
    /// Hash of an object's `id` → digest of its `Create`.
    Object = 0x07,
    /// Log, sequence → [`fedsx_core::state::At`].
    Log = 0x08,
    /// Digest, log → sequence and the offset of that entry, for logs joined by a later entry.
    Placed = 0x09,
    /// Actor, direction, hash of the peer → peer and relation.
    Relation = 0x0a,
    /// Actor, hash of the peer, offset → [`fedsx_core::state::Follower`].
    Follower = 0x0b,
    /// Actor, hash of the peer → peer and blocks.
    Blocks = 0x0c,
    /// Hash of the peer, actor → peer and whether the actor follows it.
    Related = 0x0d,
    /// Actor, hash of the peer → peer and what is owed.
    Owed = 0x0e,
    /// Actor → [`fedsx_core::state::OutboxTotals`].
    OutboxTotals = 0x0f,
    /// Actor → [`fedsx_core::state::RelationTotals`].
    RelationTotals = 0x10,
    /// Hash of an actor's URL, hash of an `id` → [`EvidenceRow`].
    Evidence = 0x11,
    /// Offset → [`fedsx_core::state::Defined`].
    Defined = 0x12,
    /// Digest of a definition → [`fedsx_core::state::At`] of the newest `Create` that embeds it.
    Definition = 0x13,
    /// Actor, role → nothing: the actor has it.
    Role = 0x14,
    /// Digest of an activity, digest of a trigger → the offset since which the trigger is done with it.
    Settled = 0x19,
    /// Digest of a trigger or of what a group's rate is counted by, hash of the URL of whose activities it met →
    /// when it made something of them.
    Spent = 0x1a,
    /// Actor, digest of a `Subscribe` → [`fedsx_core::state::Subscription`].
    Subscription = 0x1b,
    /// Digest of a trigger → [`fedsx_core::state::TriggerTotals`].
    TriggerTotals = 0x1c,
    /// Offset → [`fedsx_core::state::Kept`].
    Kept = 0x15,
    /// Hash of an actor's URL, of a host or of `verb` and a verb, offset → nothing.
    KeptUnder = 0x16,
    /// Hash of an actor's URL or of a host → either, and how much is kept of it.
    KeptTotal = 0x17,
    /// Nothing → [`fedsx_core::trust::Trust`].
    Trust = 0x18,
    /// Nothing → the highest offset of a row of `Defined`.
    LastDefined = 0x1d,
    /// Actor, offset, form → [`fedsx_core::group::ToAnnounce`].
    ToAnnounce = 0x1e,
    /// Actor, hash of another → that and its [`fedsx_core::group::Standing`] in the group.
    Standing = 0x1f,
    /// Offset → the digest of a document of which that entry leaves something to overwrite.
    Erased = 0x20,
    /// Hash of the `id` of what was deleted, hash of its owner → [`fedsx_core::state::Deleted`].
    Deleted = 0x21,
    /// Hash of the `id` of something, offset → the digest of a document that holds a copy of it.
    Carrier = 0x22,
    /// Offset of a `Delete`, the two hashes → nothing: in which order things were deleted.
    Deletion = 0x23,
    /// Authority of a blocked host → nothing.
    HostBlock = 0x24,
    /// 0, actor, hash of an origin → origin and [`fedsx_core::follow::Partial`]; 1, hash of a peer → peer and that.
    Partial = 0x25,
    /// Actor, hash of an origin, hash of a follower on it → the follower.
    PartialFollower = 0x26,
    /// Hash of a peer's URL → peer and the `recoveryDigest` that it is held to.
    Recovery = 0x27,
    /// Digest, actor → [`fedsx_core::state::KeptBlob`].
    Blob = 0x28,
    /// Actor, digest → nothing: a file of its that is not erased.
    BlobOf = 0x29,
    /// Hash of the URL of a blocked actor → the URL.
    PeerBlock = 0x2a,
    /// Actor, hash of a peer → peer and [`fedsx_core::backfill::Backfill`].
    Backfill = 0x2f,
    /// Actor, hash of a peer → peer: a backfill that is due.
    BackfillDue = 0x30,
    /// Actor, number → digest of the public activity that is that leaf of its log.
    Leaf = 0x2b,
    /// Actor, level of tiles, place → hash of a full tile below.
    LogHash = 0x2c,
    /// Actor → [`fedsx_core::transparency::Frontier`].
    LogFrontier = 0x2d,
    /// 0, hash of a peer → peer and [`fedsx_core::transparency::Witnessed`]; 1, hash of a peer, offset → peer and
    /// [`fedsx_core::transparency::Fork`].
    Witnessed = 0x2e,
    /// Hash of an authority, actor, hash of a follower, offset → nothing: the follower of that period receives there.
    FollowerAt = 0x33,
    /// Actor, authority of a host that it blocks → nothing.
    ActorHostBlock = 0x31,
    /// The same, while its relations there are still to be ended → nothing.
    HostBlockEnds = 0x32,
    /// Offset → the actor whose entry has to go out. The first table of delivery progress.
    FanOut = 0x80,
}

/// The first table that is no fold of the journal.
pub const DELIVERY: u8 = Table::FanOut as u8;

/// A value that names the peer its key only hashes.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub(crate) struct Of<T> {
    #[n(0)]
    pub(crate) peer: String,
    #[n(1)]
    pub(crate) value: T,
}

/// Two proved documents under one `id`.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct EvidenceRow {
    /// Whose.
    #[n(0)]
    pub actor: String,
    /// Their `id`.
    #[n(1)]
    pub id: String,
    /// The one kept first.
    #[n(2)]
    pub kept: Digest,
    /// The entry that holds the second.
    #[n(3)]
    pub at: At,
}

/// The 16 bytes by which a URL stands in a key.
#[must_use]
pub fn url_hash(url: &str) -> [u8; 16] {
    let digest = Digest::of(url.as_bytes());
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest.as_bytes()[..16]);
    hash
}

/// The key of `table` with these parts.
#[must_use]
pub fn key(table: Table, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(table as u8);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The prefix of all places of a log.
#[must_use]
pub fn log_prefix(log: LogId) -> Vec<u8> {
    key(Table::Log, &[&log_bytes(log)])
}

/// The key of a place in a log.
#[must_use]
pub fn log_key(log: LogId, seq: u64) -> Vec<u8> {
    key(Table::Log, &[&log_bytes(log), &seq.to_be_bytes()])
}

/// The key of a relation.
#[must_use]
pub fn relation_key(actor: ActorNo, direction: Direction, peer: &str) -> Vec<u8> {
    let mut key = relation_prefix(actor, direction);
    key.extend_from_slice(&url_hash(peer));
    key
}

/// The prefix of an actor's relations in one direction.
#[must_use]
pub fn relation_prefix(actor: ActorNo, direction: Direction) -> Vec<u8> {
    let direction = match direction {
        Direction::Follower => 0,
        Direction::Following => 1,
    };
    key(Table::Relation, &[&actor.0.to_be_bytes(), &[direction]])
}

/// The key of a table of (actor, peer).
#[must_use]
pub fn pair_key(table: Table, actor: ActorNo, peer: &str) -> Vec<u8> {
    key(table, &[&actor.0.to_be_bytes(), &url_hash(peer)])
}

/// The key of a document's place in a log it joined later.
#[must_use]
pub fn placed_key(digest: &Digest, log: LogId) -> Vec<u8> {
    key(Table::Placed, &[digest.as_bytes(), &log_bytes(log)])
}

/// Sequence and offset of a place that was joined later.
pub(crate) fn placed_value(seq: u64, offset: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&seq.to_be_bytes());
    value[8..].copy_from_slice(&offset.to_be_bytes());
    value
}

/// What [`placed_value`] wrote.
pub(crate) fn placed_of(value: &[u8]) -> Option<(u64, u64)> {
    let (seq, offset) = value.split_at_checked(8)?;
    let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    Some((number(seq)?, number(offset)?))
}

/// The log in a key of [`Table::Placed`].
pub(crate) fn placed_log(key: &[u8]) -> Option<LogId> {
    let (actor, side) = key.get(33..)?.split_at_checked(4)?;
    let side = match side {
        [0] => Side::Outbox,
        [1] => Side::Inbox,
        _ => return None,
    };
    let actor = ActorNo(u32::from_be_bytes(actor.try_into().ok()?));
    Some(LogId { actor, side })
}

/// The key of a role of an actor.
#[must_use]
pub fn role_key(actor: ActorNo, role: Role) -> Vec<u8> {
    let role = match role {
        Role::Definer => 0,
    };
    key(Table::Role, &[&actor.0.to_be_bytes(), &[role]])
}

/// The key of what became active at an offset.
#[must_use]
pub fn defined_key(offset: u64) -> Vec<u8> {
    key(Table::Defined, &[&offset.to_be_bytes()])
}

/// The key of a trigger's being done with an activity.
#[must_use]
pub fn settled_key(source: &Digest, trigger: &Digest) -> Vec<u8> {
    key(Table::Settled, &[source.as_bytes(), trigger.as_bytes()])
}

/// The key of what a trigger made of an actor's activities.
#[must_use]
pub fn spent_key(trigger: &Digest, source_actor: &str) -> Vec<u8> {
    key(Table::Spent, &[trigger.as_bytes(), &url_hash(source_actor)])
}

/// The key of a subscription.
#[must_use]
pub fn subscription_key(actor: ActorNo, subscribe: &Digest) -> Vec<u8> {
    key(
        Table::Subscription,
        &[&actor.0.to_be_bytes(), subscribe.as_bytes()],
    )
}

/// The key of what an owner deleted.
#[must_use]
pub fn deleted_key(id: &str, owner: &str) -> Vec<u8> {
    key(Table::Deleted, &[&url_hash(id), &url_hash(owner)])
}

/// The key of a copy of what has this `id`, in the document of the entry at an offset.
#[must_use]
pub fn carrier_key(id: &str, offset: u64) -> Vec<u8> {
    key(Table::Carrier, &[&url_hash(id), &offset.to_be_bytes()])
}

/// The key of what an entry keeps for a definition.
#[must_use]
pub fn kept_key(offset: u64) -> Vec<u8> {
    key(Table::Kept, &[&offset.to_be_bytes()])
}

fn log_bytes(log: LogId) -> [u8; 5] {
    let [a, b, c, d] = log.actor.0.to_be_bytes();
    let side = match log.side {
        Side::Outbox => 0,
        Side::Inbox => 1,
    };
    [a, b, c, d, side]
}

/// Behind the number by an actor's name, where the actor was deleted.
const GONE: u8 = 1;

/// CBOR of a value.
pub(crate) fn encode<T: Encode<()>>(value: T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to a Vec can't fail")
}

/// Lays a row out as writes of a batch.
pub fn write(row: Row, batch: &mut Batch) {
    let of_actor = |table, actor: ActorNo| key(table, &[&actor.0.to_be_bytes()]);
    match row {
        Row::Actor(actor) => write_actor(actor, batch),
        Row::Seen { digest, seen } => {
            batch.put(key(Table::Seen, &[digest.as_bytes()]), encode(seen));
        }
        Row::Id { id, digest } => {
            batch.put(key(Table::Id, &[&url_hash(&id)]), *digest.as_bytes());
        }
        Row::Object { id, digest } => {
            batch.put(key(Table::Object, &[&url_hash(&id)]), *digest.as_bytes());
        }
        Row::Log { joined, at } => batch.put(log_key(joined.log, joined.seq), encode(at)),
        Row::Placed {
            digest,
            joined,
            offset,
        } => {
            let place = placed_value(joined.seq, offset);
            batch.put(placed_key(&digest, joined.log), place);
        }
        Row::Erased { .. } | Row::Deleted(_) | Row::Carrier { .. } => write_of_erasure(row, batch),
        Row::FanOut { offset, actor } => {
            batch.put(key(Table::FanOut, &[&offset.to_be_bytes()]), encode(actor));
        }
        Row::OutboxTotals { actor, totals } => {
            batch.put(of_actor(Table::OutboxTotals, actor), encode(totals));
        }
        Row::RelationTotals { actor, totals } => {
            batch.put(of_actor(Table::RelationTotals, actor), encode(totals));
        }
        Row::Defined(defined) => write_defined(defined, batch),
        Row::Role { actor, role, given } => match given {
            true => batch.put(role_key(actor, role), []),
            false => batch.delete(role_key(actor, role)),
        },
        Row::ToAnnounce { .. } | Row::Standing { .. } => groups::write(row, batch),
        Row::Blob {
            actor,
            digest,
            kept,
        } => blobs::write(actor, &digest, kept, batch),
        Row::Evidence { .. }
        | Row::Recovery { .. }
        | Row::HostBlock { .. }
        | Row::PeerBlock { .. } => hosts::write(row, batch),
        Row::Settled { .. }
        | Row::Spent { .. }
        | Row::TriggerTotals { .. }
        | Row::Subscription(_) => triggers::write(row, batch),
        Row::Kept(_) | Row::Unkept(_) | Row::KeptTotal { .. } | Row::Trust(_) => {
            kept::write(row, batch);
        }
        Row::Backfill {
            actor,
            peer,
            backfill,
        } => backfill::write(actor, peer, backfill, batch),
        Row::Leaf { .. }
        | Row::LogHash { .. }
        | Row::LogFrontier { .. }
        | Row::Witnessed { .. }
        | Row::Fork { .. } => {
            transparency::write(row, batch);
        }
        Row::FollowersOn { .. } | Row::FollowerOn { .. } | Row::FollowersHere { .. } => {
            partial::write(row, batch);
        }
        between => write_between(between, batch),
    }
}

fn write_actor(actor: Actor, batch: &mut Batch) {
    let no = actor.no.0.to_be_bytes();
    let mut named = no.to_vec();
    // Seen without reading the actor.
    named.extend(actor.is_gone().then_some(GONE));
    batch.put(key(Table::ActorName, &[actor.name.as_bytes()]), named);
    batch.put(key(Table::ActorUrl, &[&url_hash(&actor.url)]), no);
    batch.put(key(Table::Actor, &[&no]), encode(actor));
}

fn write_defined(defined: Defined, batch: &mut Batch) {
    let object = key(Table::Definition, &[defined.digest.as_bytes()]);
    batch.put(object, encode(defined.at));
    batch.put(key(Table::LastDefined, &[]), encode(defined.offset));
    batch.put(defined_key(defined.offset), encode(defined));
}

/// The rows of what is deleted and erased.
fn write_of_erasure(row: Row, batch: &mut Batch) {
    match row {
        Row::Erased { by, digest } => {
            batch.put(key(Table::Erased, &[&by.to_be_bytes()]), encode(digest));
        }
        Row::Deleted(deleted) => {
            let row = deleted_key(&deleted.id, &deleted.owner);
            let offset = deleted.offset.to_be_bytes();
            batch.put(key(Table::Deletion, &[&offset, &row[1..]]), []);
            batch.put(row, encode(deleted));
        }
        Row::Carrier { id, offset, digest } => {
            batch.put(carrier_key(&id, offset), *digest.as_bytes());
        }
        other => unreachable!("{other:?} is laid out by `write`"),
    }
}

/// The rows of what is between a local actor and a peer.
fn write_between(row: Row, batch: &mut Batch) {
    match row {
        Row::Relation {
            actor,
            direction,
            peer,
            relation,
        } => {
            let key = relation_key(actor, direction, &peer);
            let kept = (!relation.is_default()).then_some(relation);
            put_or_delete(batch, key, peer, kept);
        }
        Row::Blocks {
            actor,
            peer,
            blocks,
        } => {
            let key = pair_key(Table::Blocks, actor, &peer);
            put_or_delete(
                batch,
                key,
                peer,
                (blocks != Blocks::default()).then_some(blocks),
            );
        }
        Row::Related {
            actor,
            peer,
            follows,
        } => {
            let key = key(Table::Related, &[&url_hash(&peer), &actor.0.to_be_bytes()]);
            put_or_delete(batch, key, peer, follows);
        }
        Row::Owed { actor, peer, owed } => {
            let key = pair_key(Table::Owed, actor, &peer);
            put_or_delete(batch, key, peer, (!owed.is_empty()).then_some(owed));
        }
        Row::Follower { actor, follower } => {
            followers::write(actor, follower, batch);
        }
        row @ Row::ActorHostBlock { .. } => hosts::write(row, batch),
        other => unreachable!("{other:?} is laid out by `write`"),
    }
}

pub(crate) fn put_or_delete<T: Encode<()>>(
    batch: &mut Batch,
    key: Vec<u8>,
    peer: String,
    value: Option<T>,
) {
    match value {
        Some(value) => batch.put(key, encode(Of { peer, value })),
        None => batch.delete(key),
    }
}

/// What the relations table holds.
pub(crate) type RelationRow = Of<Relation>;
