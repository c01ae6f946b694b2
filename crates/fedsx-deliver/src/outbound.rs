//! What delivery needs of the rest: the applied state, the journal's writer, peers and the network.
//!
//! One trait, so that fan-out and scheduling are tested without any of it; `over_node.rs` implements it
//! over the node.

use std::error::Error;
use std::future::Future;
use std::ops::RangeInclusive;

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::Follower;
use tokio::sync::watch;

/// A fault on this side: the store can't be read, or the writer is stopping.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub struct Fault {
    /// What was being done.
    pub doing: &'static str,
    /// What went wrong.
    pub source: Box<dyn Error + Send + Sync>,
}

impl Fault {
    /// A fault while `doing` something.
    pub fn new(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            doing,
            source: source.into(),
        }
    }
}

/// A published entry, as far as it matters for whom it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The document.
    pub digest: Digest,
    /// Its length, bytes.
    pub bytes: u32,
    /// The sender's URL.
    pub sender: String,
    /// Whether the sender's followers are meant.
    pub followers: bool,
    /// The actors that the document names.
    pub named: Vec<String>,
    /// Those that only the entry's header names (`bto`, `bcc`).
    pub hidden: Vec<String>,
    /// Whether it goes to the blocked as well: what ends a relation does, and what takes something back.
    pub past_blocks: bool,
    /// Of a `Delete`: the offset of what it takes back. Who was a follower at any time since may have that.
    pub takes_back: Option<u64>,
}

/// A peer, seen from a local actor.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PeerStanding {
    /// Since which offset it has been an accepted follower, where it is one.
    pub follows_since: Option<u64>,
    /// Whether either blocks the other.
    pub blocked: bool,
    /// Where it receives, as its relation has it.
    pub inbox: Option<String>,
}

/// A document on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// The sender, whose key signs the request.
    pub actor: ActorNo,
    /// The document.
    pub digest: Digest,
    /// Where to.
    pub inbox: String,
    /// Whether it goes there because followers are.
    pub to_followers: bool,
}

/// What became of a parcel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Posted {
    /// An answer.
    Answer(Answered),
    /// The host could not be reached.
    HostFailed(String),
    /// The request can't be sent at all, ever.
    Unsendable(String),
    /// There is no such document any more.
    Erased,
    /// Something failed on this side.
    Ours(String),
}

/// What a host answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, milliseconds from now.
    pub retry_after_ms: Option<i64>,
    /// The beginning of the body, as text.
    pub text: String,
}

/// Several documents on their way in one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchParcel {
    /// Where to.
    pub url: String,
    /// Whose key signs the request: one of the senders.
    pub actor: ActorNo,
    /// The documents, in their order.
    pub digests: Vec<Digest>,
}

/// What became of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PostedBatch {
    /// To each, in their order, as if it had been sent alone.
    Answers(Vec<Posted>),
    /// The host could not be reached, or says that it can't answer.
    HostFailed {
        /// What happened.
        why: String,
        /// The wait it asked for, milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// It does not take batches, or not this one.
    Refused(String),
    /// Something failed on this side.
    Ours(String),
}

/// How a host takes batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Where to.
    pub url: String,
    /// Documents in one of them, at most.
    pub most: usize,
}

/// A remote actor, looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LookedUp {
    /// It is there.
    Found {
        /// Its inbox.
        inbox: String,
        /// Its shared inbox.
        shared_inbox: Option<String>,
    },
    /// It says of itself that it is gone (410, or a Tombstone).
    Gone,
    /// There is no such actor to be found, or not one that receives.
    Nowhere(String),
    /// Its host could not be reached.
    HostFailed(String),
    /// Something failed on this side.
    Ours(String),
}

/// A page of followers, and what continues it.
pub type Followers = (Vec<Follower>, Option<Vec<u8>>);

/// What delivery needs of the rest.
pub trait Outbound: Send + Sync + 'static {
    /// The time, Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// Changes with each commit of the index.
    fn applied(&self) -> watch::Receiver<u64>;

    /// The entry at `offset`, published by `actor`; nothing when it is erased or never sent (a Block, what was
    /// imported).
    ///
    /// # Errors
    /// [`Fault`]; so for all of these.
    fn entry(&self, offset: u64, actor: ActorNo) -> Result<Option<Entry>, Fault>;

    /// Those who were followers of `actor` at some time in a range of offsets, from `cursor` on, at most `limit`.
    ///
    /// # Errors
    /// [`Fault`].
    fn followers(
        &self,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault>;

    /// The same of those who receive, or once received, at a host, by its authority.
    ///
    /// # Errors
    /// [`Fault`].
    fn followers_at(
        &self,
        host: &str,
        actor: ActorNo,
        range: RangeInclusive<u64>,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Followers, Fault>;

    /// The offsets of the entries in the outbox of `actor`, from one on, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Fault`].
    fn published(&self, actor: ActorNo, from: u64, limit: usize) -> Result<Vec<u64>, Fault>;

    /// Whether any follower of `actor` receives at a shared inbox.
    ///
    /// # Errors
    /// [`Fault`].
    fn is_followed_at(&self, actor: ActorNo, shared_inbox: &str) -> Result<bool, Fault>;

    /// How a peer stands with a local actor.
    ///
    /// # Errors
    /// [`Fault`].
    fn standing(&self, actor: ActorNo, peer: &str) -> Result<PeerStanding, Fault>;

    /// Whether nothing is sent to a host, by its authority.
    ///
    /// # Errors
    /// [`Fault`].
    fn is_barred(&self, host: &str) -> Result<bool, Fault>;

    /// Whether nothing of this actor is sent to a host but what ends a relation.
    ///
    /// # Errors
    /// [`Fault`].
    fn blocks_host(&self, actor: ActorNo, host: &str) -> Result<bool, Fault>;

    /// Whether a URL is one of this instance, and if so, which actor's.
    ///
    /// # Errors
    /// [`Fault`].
    fn local(&self, url: &str) -> Result<Local, Fault>;

    /// Whether a document is in the inbox log of a local actor.
    ///
    /// # Errors
    /// [`Fault`].
    fn is_placed(&self, digest: &Digest, actor: ActorNo) -> Result<bool, Fault>;

    /// Has a kept document join the inbox logs of local actors, durably.
    ///
    /// # Errors
    /// [`Fault`].
    fn place(
        &self,
        digest: Digest,
        actors: Vec<ActorNo>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Ends every relation with a peer that is gone, durably.
    ///
    /// # Errors
    /// [`Fault`].
    fn end_relations(&self, peer: &str) -> impl Future<Output = Result<(), Fault>> + Send;

    /// A host would not take a document, for good. If it is a Follow that still waits, it is refused,
    /// durably: nobody will answer it as things stand.
    fn refused(
        &self,
        actor: ActorNo,
        digest: &Digest,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// A host took a document for one of its actors. If it is the Follow of that actor that it once refused
    /// (sent again by hand, or because the refusal was lost in a crash), it waits again, durably.
    fn taken(
        &self,
        actor: ActorNo,
        peer: &str,
        digest: &Digest,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Signs and sends.
    fn post(&self, parcel: Parcel) -> impl Future<Output = Posted> + Send;

    /// Asks the host of an inbox whether, and how, it takes batches.
    ///
    /// # Errors
    /// Why it could not be asked.
    fn offer(&self, inbox: &str) -> impl Future<Output = Result<Option<Offer>, String>> + Send;

    /// Signs and sends several at once.
    fn post_batch(&self, parcel: BatchParcel) -> impl Future<Output = PostedBatch> + Send;

    /// Finds out where an actor receives; not from a cache when `afresh`.
    fn look_up(&self, peer: &str, afresh: bool) -> impl Future<Output = LookedUp> + Send;
}

/// Whose a URL is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Local {
    /// Another instance's.
    No,
    /// This instance's, but no actor's.
    Nobody,
    /// This local actor's.
    Actor(ActorNo),
}
