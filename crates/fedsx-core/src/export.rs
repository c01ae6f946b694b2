//! An actor as it is exported: the records of the file, and how they are held against each other when it
//! is imported.
//!
//! Invariant: nothing of what a record says of a document is taken where the document says it itself; what
//! an imported activity does to kernel state is read anew from what is signed (`check`). Deliberately
//! absent: encryption and files (store), bearer tokens, and evidence against peers.
//! Layout, for other readers: `docs/export.md`. Design, sections 4 and 12.

mod check;
mod follows;
mod keys;

use bytes::Bytes;
use minicbor::{Decode, Encode};
use zeroize::Zeroize as _;

pub use self::check::{Check, Checked};
pub use self::follows::Follows;
use crate::cid::Digest;
use crate::entry::{Authenticated, Mark, Role, Visibility};
use crate::follow::{Direction, Owed, Relation};
use crate::group::Standing;
use crate::notation::Notation;
use crate::state::Blocks;
use crate::trigger::Derived;

/// One record. They come in the order of the variants; the last one ends the file.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub enum Record {
    /// Whose export it is.
    #[n(0)]
    Begin(#[n(0)] Begin),
    /// A secret key.
    #[n(1)]
    Key(#[n(0)] SecretKey),
    /// An activity of the actor's logs.
    #[n(2)]
    Entry(#[n(0)] Box<Entry>),
    /// What is between the actor and a peer.
    #[n(3)]
    Between(#[n(0)] Between),
    /// A file that was uploaded for the actor.
    #[n(4)]
    Blob(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// How much there was.
    #[n(5)]
    End(#[n(0)] End),
}

/// Whose export it is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Begin {
    /// The base URL of the instance.
    #[n(0)]
    pub base_url: String,
    /// The actor's URL.
    #[n(1)]
    pub actor: String,
    /// Its name.
    #[n(2)]
    pub name: String,
    /// When, Unix milliseconds.
    #[n(3)]
    pub exported_ms: i64,
    /// Its roles.
    #[n(4)]
    pub roles: Vec<Role>,
}

/// What kind of key a secret is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyKind {
    /// A seed of 32 bytes (RFC 8032).
    #[n(1)]
    Ed25519,
    /// PKCS#8 in DER.
    #[n(2)]
    Rsa,
}

/// A secret key of the actor, never printed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SecretKey {
    /// Its id.
    #[n(0)]
    pub id: String,
    /// Its kind.
    #[n(1)]
    pub kind: KeyKind,
    /// The secret.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An activity of the actor's logs, and what its document does not say.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
pub struct Entry {
    /// The place it had in the journal.
    #[n(0)]
    pub offset: u64,
    /// When it was received, Unix milliseconds.
    #[n(1)]
    pub received_ms: i64,
    /// The digest inside its CID.
    #[n(2)]
    pub digest: Digest,
    /// The notation of the document's bytes.
    #[n(3)]
    pub notation: Notation,
    /// The document as received; none of an activity whose payload was erased.
    #[cbor(n(4), with = "document")]
    pub document: Option<Bytes>,
    /// Its place in the outbox, from 1.
    #[n(5)]
    pub outbox: Option<u64>,
    /// Its place in the inbox, from 1.
    #[n(6)]
    pub inbox: Option<u64>,
    /// By what it was authenticated.
    #[n(7)]
    pub authenticated: Authenticated,
    /// The key that did.
    #[n(8)]
    pub key: Option<String>,
    /// Who may read it.
    #[n(9)]
    pub visibility: Visibility,
    /// `bto` and `bcc`.
    #[n(10)]
    pub hidden: Vec<String>,
    /// What an audience defined in SX resolved to.
    #[n(11)]
    pub audience: Vec<String>,
    /// The definitions that judged it.
    #[n(12)]
    pub definitions: Vec<Digest>,
    /// Whether it was filled in from history.
    #[n(13)]
    pub backfilled: bool,
    /// What is to be known of it besides.
    #[n(14)]
    pub mark: Option<Mark>,
    /// What it follows from.
    #[n(15)]
    pub derived: Option<Derived>,
    /// Of a `Subscribe`: the name of what it selects by, and the version where one was named.
    #[n(16)]
    pub subscribed: Option<(String, Option<Digest>)>,
    /// What is left of an activity whose payload was erased.
    #[n(17)]
    pub left: Option<Left>,
    /// Of a `Delete`: the object that goes with what is deleted, and the `type` of that, where each is known.
    #[n(18)]
    pub deleted: Option<(Option<String>, Option<String>)>,
}

/// What is left of an activity whose payload was erased.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Left {
    /// Its `id`.
    #[n(0)]
    pub id: String,
    /// Its `type`.
    #[n(1)]
    pub verb: String,
    /// Its `actor`.
    #[n(2)]
    pub actor: String,
    /// The `id` of its object.
    #[n(3)]
    pub object_id: Option<String>,
    /// `published`, Unix milliseconds.
    #[n(4)]
    pub published_ms: i64,
    /// When its owner deleted it, Unix milliseconds.
    #[n(5)]
    pub deleted_ms: i64,
    /// The ids of what it held copies of.
    #[n(6)]
    pub embeds: Vec<String>,
}

/// What is between the actor and a peer, one part of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Between {
    /// A relation.
    #[n(0)]
    Relation {
        /// Which way.
        #[n(0)]
        direction: Direction,
        /// With whom.
        #[n(1)]
        peer: String,
        /// As it stands.
        #[n(2)]
        relation: Relation,
    },
    /// Who blocks whom.
    #[n(1)]
    Blocks {
        /// The peer.
        #[n(0)]
        peer: String,
        /// Who.
        #[n(1)]
        blocks: Blocks,
    },
    /// What is owed to the peer.
    #[n(2)]
    Owed {
        /// The peer.
        #[n(0)]
        peer: String,
        /// What.
        #[n(1)]
        owed: Vec<Owed>,
    },
    /// What the peer is in the group that the actor is.
    #[n(3)]
    Standing {
        /// The peer.
        #[n(0)]
        peer: String,
        /// What it is.
        #[n(1)]
        standing: Standing,
    },
}

impl Between {
    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        match self {
            Self::Relation { peer, .. }
            | Self::Blocks { peer, .. }
            | Self::Owed { peer, .. }
            | Self::Standing { peer, .. } => peer,
        }
    }
}

/// How many records of each kind there were.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub struct End {
    /// Keys.
    #[n(0)]
    pub keys: u64,
    /// Entries.
    #[n(1)]
    pub entries: u64,
    /// Parts of what is between the actor and peers.
    #[n(2)]
    pub between: u64,
    /// Uploaded files. Exports of before there were any don't say.
    #[cbor(n(3), default)]
    pub blobs: u64,
}

/// A document's bytes, or null.
mod document {
    use bytes::Bytes;
    use minicbor::data::Type;
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    pub(super) fn encode<C, W: Write>(
        document: &Option<Bytes>,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match document {
            Some(bytes) => e.bytes(bytes)?.ok(),
            None => e.null()?.ok(),
        }
    }

    pub(super) fn decode<C>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<Option<Bytes>, minicbor::decode::Error> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(None);
        }
        Ok(Some(Bytes::copy_from_slice(d.bytes()?)))
    }
}
