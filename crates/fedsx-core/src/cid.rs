//! Content ids: a digest, what it is a digest of, and the one text form of both.
//!
//! CIDv1 with sha2-256 and base32 lower case (<https://github.com/multiformats/cid>); the codec is
//! `json-jcs` for documents and `raw` for other bytes (design, section 3). A [`Cid`] has exactly one
//! text: any other spelling of it is refused. Deliberately absent: CIDv0, other hashes and bases.

use std::fmt;
use std::str::FromStr;

use fedsx_sx::data::Map;
use minicbor::bytes::ByteArray;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use multihash::Multihash;
use sha2::{Digest as _, Sha256};

use crate::canonical::document_bytes;
use crate::refusal::{Code, Refusal};

/// The multihash code of sha2-256.
const SHA2_256: u64 = 0x12;
/// The longest text of a CID here: `b` and 61 characters for 38 bytes.
const TEXT_MAX: usize = 62;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for [u8; 32] {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<C> Encode<C> for Digest {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Digest {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        ByteArray::<32>::decode(d, ctx).map(|bytes| Self(bytes.into()))
    }
}

/// What a CID's digest is a digest of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Codec {
    /// Bytes as they are.
    Raw = 0x55,
    /// The canonical form of a document.
    JsonJcs = 0xb601,
}

impl Codec {
    /// The multicodec code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The codec of a multicodec code, if it is one of ours.
    #[must_use]
    pub const fn of_code(code: u64) -> Option<Self> {
        match code {
            0x55 => Some(Self::Raw),
            0xb601 => Some(Self::JsonJcs),
            _ => None,
        }
    }
}

/// A content id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    /// What the digest is of.
    pub codec: Codec,
    /// The digest.
    pub digest: Digest,
}

/// Why a text or bytes are no CID of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CidError {
    /// Neither the length nor the alphabet of a CID.
    #[error("not a CID: expected `b` and base32 lower case")]
    Syntax,
    /// A version other than 1.
    #[error("not a CIDv1")]
    Version,
    /// A codec that is neither `json-jcs` nor `raw`.
    #[error("unsupported codec 0x{0:x}: expected json-jcs (0xb601) or raw (0x55)")]
    Codec(u64),
    /// A hash other than sha2-256 of 32 bytes.
    #[error("unsupported multihash: expected sha2-256 of 32 bytes")]
    Hash,
    /// A second spelling of a CID.
    #[error("not the canonical spelling of this CID: expected {0}")]
    Spelling(Cid),
}

impl From<CidError> for Refusal {
    fn from(error: CidError) -> Self {
        Self::new(Code::MalformedCid, error.to_string())
    }
}

impl Cid {
    /// The CID of bytes that are no document.
    #[must_use]
    pub fn of_raw(bytes: &[u8]) -> Self {
        Self {
            codec: Codec::Raw,
            digest: Digest::of(bytes),
        }
    }

    /// The CID of a document whose canonical bytes have this digest.
    #[must_use]
    pub const fn of_document(digest: Digest) -> Self {
        Self {
            codec: Codec::JsonJcs,
            digest,
        }
    }

    /// The binary form: 38 bytes for a document, 36 for raw bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.inner().to_bytes()
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// Bytes that are not exactly one CID that `to_bytes` writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let inner = cid::Cid::try_from(bytes).map_err(|_| CidError::Syntax)?;
        if inner.version() != cid::Version::V1 {
            return Err(CidError::Version);
        }
        let codec = Codec::of_code(inner.codec()).ok_or(CidError::Codec(inner.codec()))?;
        if inner.hash().code() != SHA2_256 {
            return Err(CidError::Hash);
        }
        let digest: [u8; 32] = inner
            .hash()
            .digest()
            .try_into()
            .map_err(|_| CidError::Hash)?;
        let cid = Self {
            codec,
            digest: Digest(digest),
        };
        // The inner reader stops after one CID and takes no offence at what follows.
        if cid.to_bytes() == bytes {
            Ok(cid)
        } else {
            Err(CidError::Spelling(cid))
        }
    }

    fn inner(&self) -> cid::Cid {
        let hash = Multihash::wrap(SHA2_256, &self.digest.0).expect("32 bytes fit into 64");
        cid::Cid::new_v1(u64::from(self.codec.code()), hash)
    }
}

/// `cid(doc)`: the CID of a document, its top-level `proof` and `signature` left out.
#[must_use]
pub fn cid(doc: &Map) -> Cid {
    Cid::of_document(Digest::of(&document_bytes(doc)))
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner(), f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        // The inner reader also takes CIDv0, other bases and `/ipfs/` paths; only text in our
        // one alphabet gets that far.
        let alphabet = |byte: u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
        if text.len() > TEXT_MAX || !text.starts_with('b') || !text.bytes().all(alphabet) {
            return Err(CidError::Syntax);
        }
        let inner = cid::Cid::from_str(text).map_err(|error| match error {
            cid::Error::InvalidCidVersion | cid::Error::InvalidExplicitCidV0 => CidError::Version,
            _ => CidError::Syntax,
        })?;
        let cid = Self::from_bytes(&inner.to_bytes())?;
        if cid.to_string() == text {
            Ok(cid)
        } else {
            Err(CidError::Spelling(cid))
        }
    }
}

impl<C> Encode<C> for Cid {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.u16(self.codec.code())?;
        self.digest.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Cid {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        if d.array()? != Some(2) {
            return Err(DecodeError::message("a CID is a codec and a digest"));
        }
        let at = d.position();
        let codec = Codec::of_code(d.u64()?)
            .ok_or_else(|| DecodeError::message("unknown codec of a CID").at(at))?;
        let digest = Digest::decode(d, ctx)?;
        Ok(Self { codec, digest })
    }
}

#[cfg(test)]
mod tests {
    use fedsx_sx::data::Value;

    use super::*;

    /// FEP-8b32's example document, <https://codeberg.org/fediverse/fep> (CC0).
    fn example() -> Map {
        let context = || {
            Value::from(vec![
                "https://www.w3.org/ns/activitystreams",
                "https://w3id.org/security/data-integrity/v2",
            ])
        };
        let mut place: Map = [("type", "Place")].into();
        place.insert("longitude", Value::Double(-71.184_902));
        place.insert("latitude", Value::Double(25.273_962));
        let mut note: Map = [
            ("id", "https://server.example/objects/1"),
            ("type", "Note"),
            ("attributedTo", "https://server.example/users/alice"),
            ("content", "Hello world"),
        ]
        .into();
        note.insert("location", place);
        let mut doc: Map = [
            ("id", "https://server.example/activities/1"),
            ("type", "Create"),
            ("actor", "https://server.example/users/alice"),
        ]
        .into();
        doc.insert("@context", context());
        doc.insert("object", note);
        let mut proof: Map = [("type", "DataIntegrityProof")].into();
        proof.insert("@context", context());
        doc.insert("proof", proof);
        doc
    }

    const KNOWN: &str = "baga6yaqseadzh2gzpyw6jomjwkznpjp25dhzihyqfib4b3fladyd5krdgddfa";

    #[test]
    fn the_known_answer_of_fep_8b32() {
        let cid = cid(&example());
        assert_eq!(cid.to_string(), KNOWN);
        assert_eq!(cid.to_bytes()[..6], [1, 0x81, 0xec, 2, 0x12, 0x20]);
        assert_eq!(KNOWN.parse(), Ok(cid));
        assert_eq!(Cid::from_bytes(&cid.to_bytes()), Ok(cid));
    }

    #[test]
    fn raw_bytes_have_a_codec_of_their_own() {
        let cid = Cid::of_raw(b"foo");
        assert_eq!(
            cid.to_string(),
            "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"
        );
        assert_eq!(cid.to_string().parse(), Ok(cid));
    }

    #[test]
    fn a_cid_has_one_spelling() {
        let refused = |text: &str| text.parse::<Cid>().expect_err(text);
        assert_eq!(refused(""), CidError::Syntax);
        assert_eq!(refused("b"), CidError::Syntax);
        assert_eq!(refused(&KNOWN.to_uppercase()), CidError::Syntax);
        assert_eq!(refused(&format!("/ipfs/{KNOWN}")), CidError::Syntax);
        assert_eq!(refused(&format!("{KNOWN}a")), CidError::Syntax);
        assert_eq!(
            refused("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"),
            CidError::Syntax
        );
        // dag-pb, sha2-256
        assert_eq!(
            refused("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
            CidError::Codec(0x70)
        );
        // The last character carries an unused bit: `b` decodes to the same bytes as `a`.
        refused(&format!("{}b", &KNOWN[..KNOWN.len() - 1]));
        // An empty identity hash.
        let raw = [1, 0x55, 0, 0];
        assert_eq!(Cid::from_bytes(&raw), Err(CidError::Hash));
        // sha2-256 cut to 20 bytes.
        let mut short = vec![1, 0x55, 0x12, 20];
        short.extend([7; 20]);
        assert_eq!(Cid::from_bytes(&short), Err(CidError::Hash));
        // A codec spelt with a longer varint than needed, and bytes after the end.
        let mut long = Cid::of_raw(b"").to_bytes();
        long.push(0);
        assert_eq!(
            Cid::from_bytes(&long),
            Err(CidError::Spelling(Cid::of_raw(b"")))
        );
        long.pop();
        long.splice(1..2, [0xd5, 0]);
        assert_eq!(Cid::from_bytes(&long), Err(CidError::Syntax));
    }

    #[test]
    fn cbor_reads_what_it_wrote() {
        for cid in [cid(&example()), Cid::of_raw(b"")] {
            let bytes = minicbor::to_vec(cid).expect("a vector takes all");
            assert_eq!(minicbor::decode::<Cid>(&bytes).expect("just written"), cid);
            let digest = minicbor::to_vec(cid.digest).expect("a vector takes all");
            assert_eq!(digest[..2], [0x58, 32]);
            assert_eq!(
                minicbor::decode::<Digest>(&digest).expect("just written"),
                cid.digest
            );
        }
        assert!(minicbor::decode::<Cid>(&[0x82, 0x18, 0x70, 0x40]).is_err());
        assert!(minicbor::decode::<Digest>(&[0x41, 0]).is_err());
    }
}
