//! What the journal holds: one entry for each change of kernel state.
//!
//! An entry carries what `decide` used and `apply` needs, so that applying it again, years later and
//! under another configuration, gives the same rows (design, section 4). The encoding is CBOR with
//! numbered fields (minicbor): fields are added with new numbers, and a number is never used again.
//!
//! Those that are no activity are in `control`, with the numbers kept for what comes later.

mod control;
mod log;

use minicbor::{Decode, Encode};

pub use self::control::Control;
pub(crate) use crate::actor::ActorKind;
use crate::backfill::Mode;
use crate::cid::Digest;
use crate::definition::Kind;
use crate::group::{Announcing, Post, ToAnnounce};
use crate::key::{FormerRsa, KeyRecord};
use crate::notation::Notation;
use crate::trigger::Derived;

pub use log::{ActorNo, Joined, LogId, Side};

/// By what an activity was authenticated when it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Authenticated {
    /// Published here.
    #[n(0)]
    Local,
    /// By a Data Integrity proof inside the document.
    #[n(1)]
    Proof,
    /// By the HTTP signature of the delivery.
    #[n(2)]
    HttpSignature,
    /// By fetching the `id` from its origin.
    #[n(3)]
    Origin,
}

impl Authenticated {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Proof => "proof",
            Self::HttpSignature => "http-signature",
            Self::Origin => "origin",
        }
    }
}

/// Who may read an activity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Visibility {
    /// Everybody: the public collection is addressed.
    #[n(0)]
    Public,
    /// The sender's followers and who is addressed.
    #[n(1)]
    Followers,
    /// Who is addressed.
    #[n(2)]
    Direct,
}

impl Visibility {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Followers => "followers",
            Self::Direct => "direct",
        }
    }
}

/// What an activity does to the state that the kernel itself must trust. Actors are named by URL,
/// because either side of a relation may be local.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Effect {
    /// A local actor begins.
    #[n(0)]
    ActorCreated {
        /// Its number.
        #[n(0)]
        no: ActorNo,
        /// Its name.
        #[n(1)]
        name: String,
        /// Its kind.
        #[n(2)]
        kind: ActorKind,
        /// Whether follows wait for an answer by hand.
        #[n(3)]
        manual_approval: bool,
        /// Its signing keys.
        #[n(4)]
        keys: Vec<KeyRecord>,
        /// Its URL.
        #[n(5)]
        url: String,
    },
    /// `Follow`.
    #[n(1)]
    Follow {
        /// Who follows.
        #[n(0)]
        follower: String,
        /// Who is followed.
        #[n(1)]
        followed: String,
        /// Where the follower, when remote, receives.
        #[n(2)]
        inbox: Option<String>,
        /// The follower's shared inbox, when remote.
        #[n(3)]
        shared_inbox: Option<String>,
        /// What of the past it asks for.
        #[n(4)]
        backfill: Option<Mode>,
    },
    /// `Accept` of a follow, by the followed.
    #[n(2)]
    Accept {
        /// Which follow.
        #[n(0)]
        follow: FollowRef,
    },
    /// `Reject` of a follow, by the followed.
    #[n(3)]
    Reject {
        /// Which follow.
        #[n(0)]
        follow: FollowRef,
    },
    /// `Undo` of a follow, by the follower.
    #[n(4)]
    UndoFollow {
        /// Which follow.
        #[n(0)]
        follow: FollowRef,
    },
    /// `Block`.
    #[n(5)]
    Block {
        /// Who blocks.
        #[n(0)]
        blocker: String,
        /// Who is blocked.
        #[n(1)]
        blocked: String,
    },
    /// `Undo` of a block.
    #[n(6)]
    UndoBlock {
        /// Who blocked.
        #[n(0)]
        blocker: String,
        /// Who was blocked.
        #[n(1)]
        blocked: String,
    },
    /// An actor deleted itself.
    #[n(7)]
    ActorDeleted {
        /// Which.
        #[n(0)]
        actor: String,
    },
    /// `Create` of a definition by a local actor: active from this entry's own offset.
    #[n(8)]
    Defined {
        /// What it defines.
        #[n(0)]
        kind: Kind,
        /// Its name.
        #[n(1)]
        name: String,
        /// The digest inside its CID, which is that of the object as embedded.
        #[n(2)]
        digest: Digest,
    },
    /// `Subscribe` by a local actor.
    #[n(9)]
    Subscribed {
        /// The name of the subscription.
        #[n(0)]
        name: String,
        /// The version of it, where that was named.
        #[n(1)]
        version: Option<Digest>,
    },
    /// `Undo` of a `Subscribe`.
    #[n(10)]
    Unsubscribed {
        /// The `Subscribe`.
        #[n(0)]
        subscribe: Digest,
    },
    /// `Create` of a definition by a remote actor: it waits until it is trusted.
    #[n(12)]
    Offered {
        /// What it would define.
        #[n(0)]
        kind: Kind,
        /// Its name.
        #[n(1)]
        name: String,
        /// The digest inside its CID.
        #[n(2)]
        digest: Digest,
    },
    /// `Update` of a local actor by itself, whose object is its whole new document.
    #[n(13)]
    ActorUpdated {
        /// Whether follows wait for an answer by hand from here on.
        #[n(0)]
        manual_approval: bool,
        /// Its signing keys from here on, current and superseded.
        #[n(1)]
        keys: Vec<KeyRecord>,
        /// The RSA keys that it had before its present one, for as long as they are of use.
        #[n(2)]
        former_rsa: Option<Vec<FormerRsa>>,
    },
    /// `Announce` by a local group of what it received.
    #[n(17)]
    Announced {
        /// What it had to announce.
        #[n(0)]
        owed: ToAnnounce,
        /// Whose activity that is.
        #[n(1)]
        author: String,
    },
    /// `Add` to or `Remove` from the controllers or the members of a local group.
    #[n(18)]
    Appointed {
        /// The group.
        #[n(0)]
        group: String,
        /// Who.
        #[n(1)]
        who: String,
        /// As what.
        #[n(2)]
        post: Post,
        /// Added, not removed.
        #[n(3)]
        given: bool,
    },
    /// `Delete` or `Undo` by a controller of a local group of what that announced: it is gone from the group, and
    /// nowhere else.
    #[n(19)]
    Removed {
        /// The group.
        #[n(0)]
        group: String,
        /// The `id` of what is removed.
        #[n(1)]
        object: String,
    },
    /// An actor goes on as another, which says that it is the same.
    #[n(22)]
    ActorMoved {
        /// Which.
        #[n(0)]
        actor: String,
        /// As whom.
        #[n(1)]
        target: String,
    },
    /// `Delete` of something its actor made, whether it is kept here or is yet to come.
    #[n(16)]
    Deleted {
        /// Its `id`: of an object or of an activity.
        #[n(0)]
        object: String,
        /// The object that goes with it, where the `Create` of one is deleted.
        #[n(1)]
        with: Option<String>,
        /// Its `type`, as far as the `Delete` says it.
        #[n(2)]
        former_type: Option<String>,
    },
}

/// What a local actor may do beyond speaking for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// To publish definitions that hold for the whole instance.
    #[n(0)]
    Definer,
}

impl Role {
    /// The word used in commands and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Definer => "definer",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text == Self::Definer.as_str()).then_some(Self::Definer)
    }
}

/// What was found out of an activity that is kept all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Mark {
    /// Its verb was not defined here when it was received, so that nothing judged what it says.
    #[n(0)]
    UndefinedVerb,
}

impl Mark {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UndefinedVerb => "undefined-verb",
        }
    }
}

/// A follow as an `Accept`, `Reject` or `Undo` names it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FollowRef {
    /// Who follows.
    #[n(0)]
    pub follower: String,
    /// Who is followed.
    #[n(1)]
    pub followed: String,
    /// The id of the `Follow`, where one was given.
    #[n(2)]
    pub id: Option<String>,
    /// Whether the pair says which one (the Follow was embedded, and none is kept under its id), or the id alone.
    #[n(3)]
    pub embedded: bool,
}

/// The header of an activity: everything but the document.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Activity {
    /// The digest inside the document's CID.
    #[n(0)]
    pub digest: Digest,
    /// The document's `id`.
    #[n(1)]
    pub id: String,
    /// The document's `type`.
    #[n(2)]
    pub verb: String,
    /// The document's `actor`.
    #[n(3)]
    pub actor: String,
    /// The `id` of the object, where it has one.
    #[n(4)]
    pub object_id: Option<String>,
    /// `published`, Unix milliseconds; the time received where the document has none.
    #[n(5)]
    pub published_ms: i64,
    /// By what it was authenticated.
    #[n(6)]
    pub authenticated: Authenticated,
    /// The key that did, as a Multikey or an RSA key id.
    #[n(7)]
    pub key: Option<String>,
    /// Who may read it.
    #[n(8)]
    pub visibility: Visibility,
    /// The notation of the document's bytes.
    #[n(9)]
    pub notation: Notation,
    /// The local logs it joins.
    #[n(10)]
    pub joined: Vec<Joined>,
    /// `bto` and `bcc`, which never leave in the document.
    #[n(11)]
    pub hidden: Vec<String>,
    /// What it does to kernel state.
    #[n(12)]
    pub effect: Option<Effect>,
    /// Whether it has to go out to others: a fan-out row is implied.
    #[n(13)]
    pub fan_out: bool,
    /// Whether it was filled in from history.
    #[n(14)]
    pub backfilled: bool,
    /// What an audience defined in SX resolved to at append.
    #[n(15)]
    pub audience: Vec<String>,
    /// The definitions that judged it, by the digests of their CIDs; those of genesis are left out.
    #[n(16)]
    pub definitions: Vec<Digest>,
    /// What is to be known of it besides.
    #[n(17)]
    pub mark: Option<Mark>,
    /// What it follows from, where a trigger made it.
    #[n(18)]
    pub derived: Option<Derived>,
    /// Of an undefined verb: the `Create` that defines it, as the activity itself says.
    #[n(20)]
    pub defined_by: Option<Digest>,
    /// Of what was imported with its actor: the offset that it had where it was exported. It acts on the actor
    /// itself alone, goes out to nobody and fires no trigger.
    #[n(21)]
    pub imported: Option<u64>,
    /// The local groups that have to announce it.
    #[n(22)]
    pub announced_by: Option<Vec<Announcing>>,
    /// The ids of what it holds a copy of, beside the object of a `Create` or `Update`: an erasure has to
    /// find them.
    #[n(23)]
    pub embeds: Option<Vec<String>>,
}

impl Activity {
    /// The ids of what its document holds, itself among them: erased with any of these.
    pub fn carries(&self) -> impl Iterator<Item = &str> {
        let brought = self.object_id.as_deref();
        let brought = brought.filter(|_| matches!(&*self.verb, "Create" | "Update"));
        let embedded = self.embeds.iter().flatten().map(String::as_str);
        brought.into_iter().chain(embedded)
    }
}

/// What an entry is.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Subject {
    /// An activity; the payload is the document as received.
    #[n(0)]
    Activity(#[n(0)] Box<Activity>),
    /// A control entry.
    #[n(1)]
    Control(#[n(0)] Control),
}

/// The header of every entry.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Header {
    /// The place in the journal, from 1.
    #[n(0)]
    pub offset: u64,
    /// When it was received, Unix milliseconds.
    #[n(1)]
    pub received_ms: i64,
    /// What it is.
    #[n(2)]
    pub subject: Subject,
}

impl Header {
    /// The bytes the journal keeps.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to a Vec can't fail")
    }

    /// Reads what [`Header::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not such a header, or one of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}
