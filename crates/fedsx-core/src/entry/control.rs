//! Changes of kernel state that are no activity.

use minicbor::{Decode, Encode};

use super::{ActorNo, Joined, Role};
use crate::backfill::{Ended, Mode};
use crate::blob::Blob;
use crate::cid::Digest;
use crate::definition::Kind;
use crate::export::Between;
use crate::group::{Announcing, ToAnnounce, Unannounced};
use crate::notation::Notation;
use crate::transparency::{Fork, Witnessed};
use crate::trigger::Settled;
use crate::trust::Trust;

/// A change of kernel state that is no activity.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Control {
    /// A kept activity joins further local logs.
    #[n(1)]
    Placed {
        /// Which activity.
        #[n(0)]
        digest: Digest,
        /// The logs.
        #[n(1)]
        joined: Vec<Joined>,
        /// The local groups among them that have to announce it.
        #[n(2)]
        announced_by: Option<Vec<Announcing>>,
    },
    /// A valid proof arrived for a document kept without one; the payload is the document with it.
    #[n(2)]
    ProofAttached {
        /// Which activity.
        #[n(0)]
        digest: Digest,
        /// The notation of the payload.
        #[n(1)]
        notation: Notation,
        /// The key, as a Multikey.
        #[n(2)]
        key: String,
    },
    /// Two proved documents of one actor under one `id`; the payload is the second one.
    #[n(13)]
    Equivocation {
        /// The document that was kept first.
        #[n(0)]
        kept: Digest,
        /// Their `id`.
        #[n(1)]
        id: String,
        /// Their actor.
        #[n(2)]
        actor: String,
        /// The notation of the payload.
        #[n(3)]
        notation: Notation,
    },
    /// A peer's definition becomes active from this entry's offset.
    #[n(4)]
    Activated {
        /// Whose: the actor's URL.
        #[n(0)]
        authority: String,
        /// What it defines.
        #[n(1)]
        kind: Kind,
        /// Its name.
        #[n(2)]
        name: String,
        /// The digest inside its CID.
        #[n(3)]
        digest: Digest,
        /// The kept `Create` that embeds it.
        #[n(4)]
        create: Digest,
    },
    /// What was kept under an undefined verb has passed: it is folded at this entry's offset.
    #[n(5)]
    Admitted {
        /// Which activity.
        #[n(0)]
        digest: Digest,
        /// The definitions that judged it, by the digests of their CIDs; those of genesis are left out.
        #[n(1)]
        definitions: Vec<Digest>,
    },
    /// The payload of a kept activity is overwritten, and every other payload that is its document: the
    /// one with a proof attached later, and what contradicts it. It covers them wherever they stand.
    #[n(6)]
    Erased {
        /// Which activity.
        #[n(0)]
        digest: Digest,
        /// When its owner deleted it, Unix milliseconds.
        #[n(1)]
        deleted_ms: i64,
    },
    /// Whose definitions are taken, from here on.
    #[n(9)]
    Trust {
        /// Whose.
        #[n(0)]
        trust: Trust,
    },
    /// What was kept for a definition, or is one that nobody trusted, waits no longer.
    #[n(10)]
    Expired {
        /// Which activity.
        #[n(0)]
        digest: Digest,
    },
    /// A local actor is given a role, or it is taken.
    #[n(8)]
    Role {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// Which.
        #[n(1)]
        role: Role,
        /// Given, not taken.
        #[n(2)]
        given: bool,
    },
    /// The operator took another genesis. It changes nothing but that it is on record.
    #[n(11)]
    GenesisAdopted {
        /// The CID of the bundle from here on.
        #[n(0)]
        bundle: String,
    },
    /// A trigger made nothing of an activity, and will not be asked again.
    #[n(12)]
    TriggerSettled(#[n(0)] Settled),
    /// A local group does not announce what it had to.
    #[n(15)]
    Unannounced {
        /// What.
        #[n(0)]
        owed: ToAnnounce,
        /// Why.
        #[n(1)]
        reason: Unannounced,
    },
    /// What is between an imported actor and a peer, as it was where the actor was exported.
    #[n(14)]
    Between {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// What.
        #[n(1)]
        between: Box<Between>,
    },
    /// Every relation with a peer ends, because the peer is gone.
    #[n(3)]
    PeerGone {
        /// The peer's URL.
        #[n(0)]
        peer: String,
    },
    /// Nothing goes to or comes from a host any more, or from one actor there, or does again.
    #[n(7)]
    InstanceBlock {
        /// Its authority, as it stands in URLs.
        #[n(0)]
        host: String,
        /// Blocked, not let in again.
        #[n(1)]
        blocked: bool,
        /// The URL of the actor, where not the whole host is meant.
        #[n(2)]
        actor: Option<String>,
    },
    /// A peer commits to a recovery key, from here on: its document is held to that.
    #[n(17)]
    RecoveryPinned {
        /// The URL of the peer.
        #[n(0)]
        peer: String,
        /// What it commits to.
        #[n(1)]
        digest: String,
        /// What it committed to when that was read; what came between is not undone.
        #[n(2)]
        instead_of: Option<String>,
    },
    /// The server of a peer would not take a local actor's `Follow`: nobody will answer it as things stand.
    #[n(18)]
    FollowRefused {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The URL of the peer.
        #[n(1)]
        peer: String,
        /// The id of the Follow.
        #[n(2)]
        id: String,
    },
    /// The server of a peer took a local actor's `Follow` that it had not taken before: it waits for an answer.
    #[n(27)]
    FollowTaken {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The URL of the peer.
        #[n(1)]
        peer: String,
        /// The id of the Follow.
        #[n(2)]
        id: String,
    },
    /// The server of a peer does not know of a local actor's accepted follow: it is a request again.
    #[n(16)]
    FollowLost {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The URL of the peer.
        #[n(1)]
        peer: String,
        /// The id of the Follow.
        #[n(2)]
        id: String,
    },
    /// Somebody asked by hand for a part of the history of whom a local actor follows, or for it to be gone on with.
    #[n(23)]
    BackfillBegun {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The URL of whom it follows.
        #[n(1)]
        peer: String,
        /// How much.
        #[n(2)]
        mode: Mode,
        /// What was published before this counts, Unix milliseconds.
        #[n(3)]
        until_ms: i64,
    },
    /// A backfill has ended.
    #[n(24)]
    BackfillEnded {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The URL of whom it follows.
        #[n(1)]
        peer: String,
        /// The offset since which it was due.
        #[n(2)]
        since: u64,
        /// What came of it.
        #[n(3)]
        ended: Ended,
    },
    /// The last checkpoint of a peer's log that was found to go on from the one before.
    #[n(20)]
    LogWitnessed {
        /// The URL of the peer.
        #[n(0)]
        peer: String,
        /// The checkpoint.
        #[n(1)]
        witnessed: Box<Witnessed>,
    },
    /// A peer's log contradicts itself: the evidence.
    #[n(21)]
    LogForked {
        /// The URL of the peer.
        #[n(0)]
        peer: String,
        /// The two checkpoints.
        #[n(1)]
        fork: Box<Fork>,
    },
    /// A local actor publishes nothing, because its log may be an old copy; or does again.
    #[n(22)]
    LogHeld {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// Held, not released.
        #[n(1)]
        held: bool,
    },
    /// A local actor has nothing to do with a host any more, or does again.
    #[n(25)]
    ActorHostBlock {
        /// Who.
        #[n(0)]
        actor: ActorNo,
        /// Its authority, as it stands in URLs.
        #[n(1)]
        host: String,
        /// Blocked, not let in again.
        #[n(2)]
        blocked: bool,
    },
    /// A local actor's relations with these on a host that it blocks end, both ways; where none are named, there are
    /// no more.
    #[n(26)]
    HostRelationsEnded {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The host.
        #[n(1)]
        host: String,
        /// With whom, by URL.
        #[n(2)]
        peers: Vec<String>,
    },
    /// An uploaded file is kept, or no longer.
    #[n(19)]
    Blob(#[n(0)] Blob),
}
