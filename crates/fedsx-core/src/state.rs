//! The kernel's own state, as `decide` and `apply` read it and as the rows that `apply` writes.
//!
//! The rows are typed here and laid out as bytes in one place, the store's schema. Everything in
//! them is a fold of the journal. Deliberately absent: policy, caches and delivery progress.

mod documents;
mod follower;
mod triggers;

use minicbor::{Decode, Encode};

use crate::actor::ActorKind;
use crate::backfill::Backfill;
use crate::cid::Digest;
use crate::definition::Kind;
use crate::entry::{Activity, ActorNo, Effect, Joined, LogId, Role};
use crate::follow::{Direction, Owed, Partial, Relation};
use crate::group::{Post, Standing, ToAnnounce};
use crate::key::{FormerRsa, KeyRecord};
use crate::transparency::{Completed, Fork, Frontier, Witnessed};
use crate::trust::Trust;

pub use documents::{Deleted, Erasure, Kept, KeptBlob, Outcome, Seen, Waiting, host};
pub use follower::{Follower, ReceivesAt};
pub use triggers::{Subscription, TriggerTotals};

/// Where an entry stands in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct At {
    /// Its offset.
    #[n(0)]
    pub offset: u64,
    /// The segment file's number.
    #[n(1)]
    pub segment: u32,
    /// The byte position of its frame there.
    #[n(2)]
    pub position: u32,
}

/// A local actor.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Actor {
    /// Its number.
    #[n(0)]
    pub no: ActorNo,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// Its URL.
    #[n(6)]
    pub url: String,
    /// Its kind.
    #[n(2)]
    pub kind: ActorKind,
    /// Whether follows wait for an answer by hand.
    #[n(3)]
    pub manual_approval: bool,
    /// Its keys, current and superseded.
    #[n(4)]
    pub keys: Vec<KeyRecord>,
    /// The entry whose activity embeds its present document; of one that was deleted, its last.
    #[n(5)]
    pub document: At,
    /// When it was deleted, Unix milliseconds.
    #[n(7)]
    pub gone_ms: Option<i64>,
    /// Whether it publishes nothing, because its log may be an old copy.
    #[cbor(n(8), default)]
    pub is_read_only: bool,
    /// The RSA keys that it had before its present one, the newest last; also those that are of no use any more.
    #[n(9)]
    pub former_rsa: Option<Vec<FormerRsa>>,
}

impl Actor {
    /// Whether it was deleted.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.gone_ms.is_some()
    }
}

/// Who blocked whom, seen from a local actor.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct Blocks {
    /// The local actor blocks the peer.
    #[n(0)]
    pub ours: bool,
    /// The peer blocks the local actor.
    #[n(1)]
    pub theirs: bool,
}

impl Blocks {
    /// Whether either blocks the other.
    #[must_use]
    pub const fn any(self) -> bool {
        self.ours || self.theirs
    }
}

/// How many entries of an outbox there are for each kind of reader, and the last `published`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct OutboxTotals {
    /// Public ones.
    #[n(0)]
    pub public: u64,
    /// Those for followers only.
    #[n(1)]
    pub followers: u64,
    /// The `published` of the newest, Unix milliseconds.
    #[n(2)]
    pub last_published_ms: i64,
}

/// How many accepted relations an actor has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct RelationTotals {
    /// Accepted followers.
    #[n(0)]
    pub followers: u64,
    /// Those it follows, accepted.
    #[n(1)]
    pub following: u64,
}

/// A definition that became active, and where its object is kept.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Defined {
    /// The offset from which it is active.
    #[n(0)]
    pub offset: u64,
    /// The peer whose it is; none where it was defined here.
    #[n(1)]
    pub peer: Option<String>,
    /// What it defines.
    #[n(2)]
    pub kind: Kind,
    /// Its name.
    #[n(3)]
    pub name: String,
    /// The digest inside its CID.
    #[n(4)]
    pub digest: Digest,
    /// The `Create` that embeds it.
    #[n(5)]
    pub create: Digest,
    /// The entry of that `Create`.
    #[n(6)]
    pub at: At,
}

/// The state could not be read: a fault of the store, never of the input.
#[derive(Debug, thiserror::Error)]
#[error("the index can't be read: {0}")]
pub struct StateError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Reads of the applied state. Peers are named by the URL of their actor.
pub trait State {
    /// The local actor of that name.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    fn actor_by_name(&self, name: &str) -> Result<Option<Actor>, StateError>;
    /// The local actor of that URL.
    fn actor_by_url(&self, url: &str) -> Result<Option<Actor>, StateError>;
    /// The number of the local actor of that name, unless it was deleted: cheaper than all of it.
    fn actor_no(&self, name: &str) -> Result<Option<ActorNo>, StateError>;
    /// The local actor of that number.
    fn actor(&self, no: ActorNo) -> Result<Option<Actor>, StateError>;
    /// How many local actors there are: the next one's number.
    fn actor_count(&self) -> Result<u32, StateError>;
    /// What is known of a document.
    fn seen(&self, digest: &Digest) -> Result<Option<Seen>, StateError>;
    /// Whether a kept document is in `log`.
    fn in_log(&self, digest: &Digest, log: LogId) -> Result<bool, StateError>;
    /// The document kept under an `id`.
    fn digest_of_id(&self, id: &str) -> Result<Option<Digest>, StateError>;
    /// The `Create` kept for the object of that `id`.
    fn digest_of_object(&self, object_id: &str) -> Result<Option<Digest>, StateError>;
    /// The header of the activity kept under an `id`.
    fn activity_of_id(&self, id: &str) -> Result<Option<Box<Activity>>, StateError>;
    /// The header of the `Create` kept for the object of that `id`.
    fn activity_of_object(&self, object_id: &str) -> Result<Option<Box<Activity>>, StateError>;
    /// The actor who created the object of that `id`, when its `Create` is kept.
    fn creator_of(&self, object_id: &str) -> Result<Option<String>, StateError> {
        let create = self.activity_of_object(object_id)?;
        Ok(create.map(|create| create.actor))
    }
    /// What the activity kept under an `id` did to kernel state.
    fn effect_of(&self, id: &str) -> Result<Option<Effect>, StateError> {
        Ok(self
            .activity_of_id(id)?
            .and_then(|activity| activity.effect))
    }
    /// What an actor deleted under an `id`.
    fn deleted(&self, id: &str, owner: &str) -> Result<Option<Deleted>, StateError>;
    /// The first documents that hold a copy of what has this `id`, at most `limit`.
    fn carriers(&self, id: &str, limit: usize) -> Result<Vec<Digest>, StateError>;
    /// The header of a kept activity.
    fn activity(&self, digest: &Digest) -> Result<Option<Box<Activity>>, StateError>;
    /// All local logs that a kept activity joined.
    fn logs_of(&self, digest: &Digest) -> Result<Vec<LogId>, StateError>;
    /// The actor of the activity kept under an `id`.
    fn actor_of(&self, id: &str) -> Result<Option<String>, StateError> {
        Ok(self.activity_of_id(id)?.map(|activity| activity.actor))
    }
    /// Whether evidence of an equivocation under `id` would be new, and there is room for it.
    fn has_evidence_room(&self, actor: &str, id: &str) -> Result<bool, StateError>;
    /// How many entries a log has.
    fn log_len(&self, log: LogId) -> Result<u64, StateError>;
    /// The relation of a local actor with a peer, in one direction.
    fn relation(
        &self,
        actor: ActorNo,
        direction: Direction,
        peer: &str,
    ) -> Result<Relation, StateError>;
    /// The last period for which the peer was an accepted follower.
    fn last_follower(&self, actor: ActorNo, peer: &str) -> Result<Option<Follower>, StateError>;
    /// Whether a local actor has a role.
    fn has_role(&self, actor: ActorNo, role: Role) -> Result<bool, StateError>;
    /// What somebody is in a local group.
    fn standing(&self, group: ActorNo, who: &str) -> Result<Standing, StateError>;
    /// How many are that in a local group.
    fn appointed(&self, group: ActorNo, post: Post) -> Result<usize, StateError>;
    /// Who blocks whom; a local actor also everybody on a host that it blocks.
    fn blocks(&self, actor: ActorNo, peer: &str) -> Result<Blocks, StateError> {
        let blocks = self.pair_blocks(actor, peer)?;
        let ours = blocks.ours || self.blocks_host(actor, &host(peer))?;
        Ok(Blocks { ours, ..blocks })
    }
    /// Who blocks whom, as far as either said it of the other.
    fn pair_blocks(&self, actor: ActorNo, peer: &str) -> Result<Blocks, StateError>;
    /// Whether a local actor blocks a host, by its authority.
    fn blocks_host(&self, actor: ActorNo, host: &str) -> Result<bool, StateError>;
    /// The local actors with any relation or block with a peer, and whether each follows it (accepted).
    fn locals_related(&self, peer: &str) -> Result<Vec<(ActorNo, bool)>, StateError>;
    /// What is owed to a peer.
    fn owed(&self, actor: ActorNo, peer: &str) -> Result<Vec<Owed>, StateError>;
    /// The totals of an outbox.
    fn outbox_totals(&self, actor: ActorNo) -> Result<OutboxTotals, StateError>;
    /// The right edge of the tree over a local actor's public activities.
    fn log_frontier(&self, actor: ActorNo) -> Result<Frontier, StateError>;
    /// The last checkpoint of a peer's log that went on from the one before.
    fn witnessed(&self, peer: &str) -> Result<Option<Witnessed>, StateError>;
    /// The evidence that a peer's log contradicts itself, at most `limit`.
    fn forks(&self, peer: &str, limit: usize) -> Result<Vec<Fork>, StateError>;
    /// Whether a trigger is done with an activity: it has made another of it, or will make none.
    fn is_settled(&self, source: &Digest, trigger: &Digest) -> Result<bool, StateError>;
    /// When a trigger made something of activities of an actor, as far back as that counts, Unix
    /// milliseconds.
    fn spent(&self, trigger: &Digest, source_actor: &str) -> Result<Vec<i64>, StateError>;
    /// What a trigger came to so far.
    fn trigger_totals(&self, trigger: &Digest) -> Result<TriggerTotals, StateError>;
    /// The subscription that a `Subscribe` of a local actor began.
    fn subscription(
        &self,
        actor: ActorNo,
        subscribe: &Digest,
    ) -> Result<Option<Subscription>, StateError>;
    /// The subscriptions of a local actor, also those that have ended, in no particular order.
    fn subscriptions(&self, actor: ActorNo) -> Result<Vec<Subscription>, StateError>;
    /// What is kept for a definition, or offers one, by its entry's offset.
    fn kept(&self, offset: u64) -> Result<Option<Kept>, StateError>;
    /// How much is kept of an actor, by URL, or of a host.
    fn kept_total(&self, whose: &str) -> Result<u64, StateError>;
    /// Whose definitions are taken.
    fn trust(&self) -> Result<Trust, StateError>;
    /// The offset from which the last definition is active; 0 where there is none.
    fn last_defined(&self) -> Result<u64, StateError>;
    /// The last file with this digest that a local actor uploaded.
    fn blob(&self, actor: ActorNo, digest: &Digest) -> Result<Option<KeptBlob>, StateError>;
    /// Whether the operator blocks a host, by its authority.
    fn is_host_blocked(&self, host: &str) -> Result<bool, StateError>;
    /// Whether the operator blocks a remote actor, for every actor here.
    fn is_peer_blocked(&self, peer: &str) -> Result<bool, StateError>;
    /// The `recoveryDigest` that a peer is held to.
    fn recovery_of(&self, peer: &str) -> Result<Option<String>, StateError>;
    /// What a local actor asked of a peer's past, last.
    fn backfill(&self, actor: ActorNo, peer: &str) -> Result<Option<Backfill>, StateError>;
    /// The totals of relations.
    fn relation_totals(&self, actor: ActorNo) -> Result<RelationTotals, StateError>;
    /// The accepted followers of a local actor that an origin hosts.
    fn followers_on(&self, actor: ActorNo, origin: &str) -> Result<Partial, StateError>;
    /// The local actors that follow a peer, accepted; nothing where none ever asked to.
    fn followers_here(&self, peer: &str) -> Result<Option<Partial>, StateError>;
}

/// One change of a row, as `apply` gives it.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the fields are those of the types above")]
pub enum Row {
    /// An actor, by number, name and URL.
    Actor(Actor),
    /// A document is kept.
    Seen { digest: Digest, seen: Seen },
    /// An `id` names a document.
    Id { id: String, digest: Digest },
    /// An object's `id` names the `Create` that brought it.
    Object { id: String, digest: Digest },
    /// A place in a log.
    Log { joined: Joined, at: At },
    /// A document joined a log by a later entry, at that offset.
    Placed {
        digest: Digest,
        joined: Joined,
        offset: u64,
    },
    /// A relation; the default one is no row.
    Relation {
        actor: ActorNo,
        direction: Direction,
        peer: String,
        relation: Relation,
    },
    /// A follower's period.
    Follower { actor: ActorNo, follower: Follower },
    /// Blocks; none is no row.
    Blocks {
        actor: ActorNo,
        peer: String,
        blocks: Blocks,
    },
    /// Whether a local actor has any relation or block with a peer, and then whether it follows it.
    Related {
        actor: ActorNo,
        peer: String,
        follows: Option<bool>,
    },
    /// What is owed to a peer; empty is no row.
    Owed {
        actor: ActorNo,
        peer: String,
        owed: Vec<Owed>,
    },
    /// Two documents stand under one `id`; the second is in the entry.
    Evidence {
        actor: String,
        id: String,
        kept: Digest,
        at: At,
    },
    /// A definition is active.
    Defined(Defined),
    /// Whether a local actor has a role.
    Role {
        actor: ActorNo,
        role: Role,
        given: bool,
    },
    /// A trigger is done with an activity since this offset.
    Settled {
        source: Digest,
        trigger: Digest,
        offset: u64,
    },
    /// When a trigger made something of an actor's activities.
    Spent {
        trigger: Digest,
        source_actor: String,
        times_ms: Vec<i64>,
    },
    /// What a trigger came to so far.
    TriggerTotals {
        trigger: Digest,
        totals: TriggerTotals,
    },
    /// A subscription.
    Subscription(Subscription),
    /// Something is kept for a definition, or offers one.
    Kept(Kept),
    /// It waits no longer.
    Unkept(Kept),
    /// How much is kept of an actor or a host; nothing is no row.
    KeptTotal { whose: String, total: u64 },
    /// Whose definitions are taken.
    Trust(Trust),
    /// Something its owner deleted.
    Deleted(Deleted),
    /// The document of that entry holds a copy of what has this `id`.
    Carrier {
        id: String,
        offset: u64,
        digest: Digest,
    },
    /// By the entry at this offset there is something of a document to overwrite.
    Erased { by: u64, digest: Digest },
    /// An uploaded file of an actor.
    Blob {
        actor: ActorNo,
        digest: Digest,
        kept: KeptBlob,
    },
    /// The `recoveryDigest` that a peer is held to.
    Recovery { peer: String, digest: String },
    /// Something that a local group has to announce, or that it has not to any more.
    ToAnnounce { owed: ToAnnounce, is_owed: bool },
    /// What somebody is in a local group; nothing is no row.
    Standing {
        group: ActorNo,
        who: String,
        standing: Standing,
    },
    /// Whether a host is blocked.
    HostBlock { host: String, blocked: bool },
    /// Whether a remote actor is blocked for every actor here.
    PeerBlock { peer: String, blocked: bool },
    /// What a local actor asked of a peer's past.
    Backfill {
        actor: ActorNo,
        peer: String,
        backfill: Backfill,
    },
    /// Whether a local actor blocks a host; and whether its relations there are still to be ended.
    ActorHostBlock {
        actor: ActorNo,
        host: String,
        blocked: bool,
        ends: bool,
    },
    /// An entry that has to go out to others.
    FanOut { offset: u64, actor: ActorNo },
    /// Totals of an outbox.
    OutboxTotals {
        actor: ActorNo,
        totals: OutboxTotals,
    },
    /// A leaf of an actor's log.
    Leaf {
        actor: ActorNo,
        number: u64,
        digest: Digest,
    },
    /// The hash of a full tile of an actor's log.
    LogHash { actor: ActorNo, hash: Completed },
    /// The right edge of the tree of an actor's log.
    LogFrontier { actor: ActorNo, frontier: Frontier },
    /// The last checkpoint of a peer's log.
    Witnessed { peer: String, witnessed: Witnessed },
    /// A peer's log contradicts itself.
    Fork {
        peer: String,
        offset: u64,
        fork: Fork,
    },
    /// Totals of relations.
    RelationTotals {
        actor: ActorNo,
        totals: RelationTotals,
    },
    /// The followers of a local actor that an origin hosts; none is no row.
    FollowersOn {
        actor: ActorNo,
        origin: String,
        partial: Partial,
    },
    /// Whether a peer is one of them.
    FollowerOn {
        actor: ActorNo,
        origin: String,
        peer: String,
        follows: bool,
    },
    /// The local actors that follow a peer; a row since the first asked to.
    FollowersHere { peer: String, partial: Partial },
}
