//! Keys as documents name them: Ed25519 Multikeys and when they were in force, and the interface
//! of whatever holds a secret key.
//!
//! A [`PublicKey`] is decoded once and never weak, so holding one means that it can be used. A
//! signature is judged by its key as of the activity's `published` (design, section 6).
//! Deliberately absent: where keys come from, and secret keys at rest (the store's vault).
//!
//! Specs: Controlled Identifiers 1.0 section 2.2.2 (Multikey), RFC 8032, FEP-521a.

mod often;
mod recovery;
mod rsa;

pub use recovery::{Commitment, RecoveryKey};
pub use rsa::{FormerRsa, RsaKeyError, RsaPublicKey, spki_to_pem};

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use minicbor::{Decode, Decoder, Encode, Encoder};

use often::Often;

/// Multicodec `ed25519-pub` as a varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
/// `z` and the 47 base58 digits that 34 bytes beginning with [`ED25519_PUB`] always take.
const MULTIKEY_CHARS: usize = 48;

/// Why a text is no Ed25519 Multikey.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// It does not begin with `z`, the multibase prefix of base58btc.
    #[error("a Multikey is written in base58btc, with the prefix `z`")]
    Multibase,
    /// It is not 48 characters long, or a character is no base58 digit.
    #[error("an Ed25519 Multikey has 48 characters of base58btc")]
    Base58,
    /// It holds a key of another kind.
    #[error("only Ed25519 keys (multicodec 0xed01) are known here")]
    Multicodec,
    /// The bytes are no point of the curve.
    #[error("the bytes are no point of Ed25519")]
    Point,
    /// A point of small order: anyone can make signatures that fit it.
    #[error("a key of small order is refused")]
    Weak,
}

/// An Ed25519 public key, decoded and not weak; its text is the Multikey form `z6Mk…`, which each
/// entry names and which is kept so that it is written once. A clone shares it.
#[derive(Clone)]
pub struct PublicKey(Arc<Decoded>);

struct Decoded {
    key: VerifyingKey,
    multibase: [u8; MULTIKEY_CHARS],
    often: Often,
}

impl PublicKey {
    /// The key of these 32 bytes.
    ///
    /// # Errors
    /// The bytes are no point of the curve, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self::of(key))
    }

    fn of(key: VerifyingKey) -> Self {
        let mut tagged = [0; 34];
        tagged[..2].copy_from_slice(&ED25519_PUB);
        tagged[2..].copy_from_slice(key.as_bytes());
        let mut multibase = [b'z'; MULTIKEY_CHARS];
        let digits = bs58::encode(tagged).onto(&mut multibase[1..]);
        debug_assert_eq!(digits, Ok(MULTIKEY_CHARS - 1));
        Self(Arc::new(Decoded {
            key,
            multibase,
            often: Often::default(),
        }))
    }

    /// The key of a Multikey text (`publicKeyMultibase`).
    ///
    /// # Errors
    /// Anything but `z` + base58btc(0xed01 ‖ 32 bytes) of a usable key.
    pub fn parse(multibase: &str) -> Result<Self, KeyError> {
        let digits = multibase.strip_prefix('z').ok_or(KeyError::Multibase)?;
        if multibase.len() != MULTIKEY_CHARS {
            return Err(KeyError::Base58);
        }
        let mut bytes = [0; 34];
        match bs58::decode(digits).onto(&mut bytes) {
            Ok(34) => {}
            _ => return Err(KeyError::Base58),
        }
        let key = bytes
            .strip_prefix(&ED25519_PUB)
            .ok_or(KeyError::Multicodec)?;
        let key = key.first_chunk().ok_or(KeyError::Base58)?;
        Self::from_bytes(key)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.key.as_bytes()
    }

    /// The Multikey text.
    #[must_use]
    pub fn multibase(&self) -> &str {
        std::str::from_utf8(&self.0.multibase).expect("base58 is ASCII")
    }

    /// Whether `signature` is this key's over `message`, by the strict rules: a canonical scalar,
    /// no small-order point, no cofactor. What verifies here verifies everywhere.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let Decoded { key, often, .. } = &*self.0;
        often.verifies(key, message, signature).unwrap_or_else(|| {
            let signature = Signature::from_bytes(signature);
            key.verify_strict(message, &signature).is_ok()
        })
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.multibase())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl<C> Encode<C> for PublicKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.multibase())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PublicKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::parse(d.str()?).map_err(minicbor::decode::Error::custom)
    }
}

/// One key of an actor and the time it was in force. Instants are Unix milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct KeyRecord {
    /// The key's id, as proofs and signatures name it.
    #[n(0)]
    pub id: String,
    /// The key; stored as its Multikey text.
    #[n(1)]
    pub key: PublicKey,
    /// From when on it is in force, inclusive; peers that are not fed-sx don't say.
    #[n(2)]
    pub created_ms: Option<i64>,
    /// Until when it was in force, exclusive.
    #[n(3)]
    pub superseded_ms: Option<i64>,
    /// The id of the `Update` that superseded it, signed by this very key.
    #[n(4)]
    pub superseded_by: Option<String>,
}

impl KeyRecord {
    /// Whether this key could sign an activity of that `published`:
    /// `created ≤ published < superseded`. The rotation itself, published at the very instant its
    /// key ends, is the one exception.
    #[must_use]
    pub fn valid_at(&self, published_ms: i64, activity_id: &str) -> bool {
        if self
            .created_ms
            .is_some_and(|created| published_ms < created)
        {
            return false;
        }
        match self.superseded_ms {
            None => true,
            Some(superseded) if published_ms == superseded => {
                self.superseded_by.as_deref() == Some(activity_id)
            }
            Some(superseded) => published_ms < superseded,
        }
    }

    /// Whether the key is a current one, not superseded.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.superseded_ms.is_none()
    }
}

/// An actor's keys after a rotation: every current one ends at `published_ms` by the `Update` of that
/// id, and `key` begins there.
#[must_use]
pub fn rotated(
    keys: &[KeyRecord],
    (id, key): (String, PublicKey),
    published_ms: i64,
    update_id: &str,
) -> Vec<KeyRecord> {
    let ended = keys.iter().cloned().map(|mut key| {
        if key.is_current() {
            key.superseded_ms = Some(published_ms);
            key.superseded_by = Some(update_id.to_owned());
        }
        key
    });
    let begun = KeyRecord {
        id,
        key,
        created_ms: Some(published_ms),
        superseded_ms: None,
        superseded_by: None,
    };
    ended.chain([begun]).collect()
}

/// Whatever can sign with an Ed25519 key of an actor.
pub trait Signer: Send + Sync {
    /// The id under which the actor's document lists the key.
    fn key_id(&self) -> &str;
    /// The Ed25519 signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Whatever can sign requests with an RSA key of an actor.
pub trait RsaSigner: Send + Sync {
    /// The id under which the actor's document lists the key.
    fn key_id(&self) -> &str;
    /// The signature of `message` (RSASSA-PKCS1-v1_5 with SHA-256); `None` when the key gives none.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// A [`Signer`] over a secret key in memory, wiped when dropped.
pub struct Ed25519Signer {
    key_id: String,
    key: SigningKey,
}

impl Ed25519Signer {
    /// The signer of a 32-byte Ed25519 seed.
    #[must_use]
    pub fn new(key_id: impl Into<String>, seed: &[u8; 32]) -> Self {
        Self {
            key_id: key_id.into(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::of(self.key.verifying_key())
    }
}

impl Signer for Ed25519Signer {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret half is never printed.
        f.debug_struct("Ed25519Signer")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
