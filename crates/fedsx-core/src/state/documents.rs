//! What is known of the documents that are kept: where they stand, what became of them, and what is deleted.

use minicbor::{Decode, Encode};

use super::At;
use crate::address::Origin;
use crate::blob::Media;
use crate::cid::Digest;
use crate::definition::Kind;
use crate::entry::Joined;

/// What is known of an activity that was kept.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Seen {
    /// The entry.
    #[n(0)]
    pub at: At,
    /// Whether it has a valid proof.
    #[n(1)]
    pub proved: bool,
    /// The local logs that the entry itself joined.
    #[n(2)]
    pub joined: Vec<Joined>,
    /// Where the document with a proof attached later stands.
    #[n(3)]
    pub with_proof: Option<At>,
    /// What became of it, where it was kept for a definition or offers one.
    #[n(4)]
    pub outcome: Option<Outcome>,
    /// By what it was erased.
    #[n(5)]
    pub erased: Option<Erasure>,
}

impl Seen {
    /// A payload that stands there, of which nothing else is known.
    #[must_use]
    pub const fn at(at: At) -> Self {
        Self {
            at,
            proved: false,
            joined: Vec::new(),
            with_proof: None,
            outcome: None,
            erased: None,
        }
    }
}

/// An uploaded file of a local actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct KeptBlob {
    /// The entry that holds it.
    #[n(0)]
    pub at: At,
    /// What it is.
    #[n(1)]
    pub media: Media,
    /// Whether it is erased.
    #[n(2)]
    pub is_erased: bool,
}

/// The control entry that erased a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Erasure {
    /// Its offset.
    #[n(0)]
    pub offset: u64,
    /// When the owner deleted it, Unix milliseconds.
    #[n(1)]
    pub deleted_ms: i64,
}

/// Something its owner deleted: nothing that brings it is taken any more.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Deleted {
    /// The `id` of the object or activity.
    #[n(0)]
    pub id: String,
    /// The owner.
    #[n(1)]
    pub owner: String,
    /// What it was, as far as the `Delete` says it.
    #[n(2)]
    pub former_type: Option<String>,
    /// The offset of the `Delete`.
    #[n(3)]
    pub offset: u64,
    /// When it was deleted, Unix milliseconds.
    #[n(4)]
    pub deleted_ms: i64,
}

/// What became of an activity that was kept for a definition, or that offers one; with the offset of
/// the control entry that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Outcome {
    /// It passed when its verb was defined: folded at that offset.
    #[n(0)]
    Admitted(#[n(0)] u64),
    /// What it offers became active.
    #[n(1)]
    Activated(#[n(0)] u64),
    /// Nothing came of it in its time.
    #[n(2)]
    Expired(#[n(0)] u64),
}

/// For what an activity is kept.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Waiting {
    /// Until its verb is defined here.
    #[n(0)]
    Verb {
        /// The verb.
        #[n(0)]
        verb: String,
        /// The `Create` that defines it, as the activity itself says.
        #[n(1)]
        defined_by: Option<Digest>,
    },
    /// Until what it defines is trusted.
    #[n(1)]
    Trust {
        /// What it defines.
        #[n(0)]
        kind: Kind,
        /// Its name.
        #[n(1)]
        name: String,
        /// The digest inside its CID.
        #[n(2)]
        definition: Digest,
    },
}

/// An activity that is kept for a definition, or that offers one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Kept {
    /// The digest inside its CID.
    #[n(0)]
    pub digest: Digest,
    /// Whose it is.
    #[n(1)]
    pub actor: String,
    /// When it was received, Unix milliseconds.
    #[n(2)]
    pub received_ms: i64,
    /// Its entry.
    #[n(3)]
    pub at: At,
    /// For what.
    #[n(4)]
    pub waiting: Waiting,
}

impl Kept {
    /// The host of its actor: another bound on what is kept.
    #[must_use]
    pub fn host(&self) -> String {
        host(&self.actor)
    }
}

/// The host, and port where it has one, of an actor; the whole text where it is no URL.
#[must_use]
pub fn host(actor: &str) -> String {
    Origin::of(actor).map_or_else(|| actor.to_owned(), |origin| origin.authority().to_owned())
}
