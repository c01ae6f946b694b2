//! Recovery keys: a key that an actor's owner keeps away from the server, and what the actor's document says of it
//! beforehand.
//!
//! A document commits to the key by `recoveryDigest`, the multihash of its Multikey, so that nothing about the key
//! itself is known until it is used. Invariant: a commitment has one spelling. Deliberately absent: what may be done
//! with one (`actor/recovery.rs`), and where it is kept: not here.
//!
//! Specs: design section 6; multihash (sha2-256, multibase base58btc); Controlled Identifiers 1.0 section 2.2.2
//! (`secretKeyMultibase`).

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{Ed25519Signer, PublicKey};

/// Multihash code of sha2-256, and the length of a digest.
const SHA2_256: [u8; 2] = [0x12, 32];
/// The longest text of a multihash that is looked at.
const COMMITMENT_CHARS: usize = 64;
/// Multicodec `ed25519-priv` as a varint.
const ED25519_PRIV: [u8; 2] = [0x80, 0x26];
/// The longest text of a secret key that is looked at.
const SECRET_CHARS: usize = 64;

/// What a document says of a recovery key before it is used.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Commitment(String);

impl Commitment {
    /// The commitment to a key.
    #[must_use]
    pub fn to(key: &PublicKey) -> Self {
        let digest = Sha256::digest(key.multibase());
        let mut multihash = [0; 34];
        multihash[..2].copy_from_slice(&SHA2_256);
        multihash[2..].copy_from_slice(&digest);
        Self(format!("z{}", bs58::encode(multihash).into_string()))
    }

    /// The commitment of a text; `None` when it is no sha2-256 multihash in base58btc.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('z')?;
        let mut multihash = [0; 34];
        let fits = text.len() <= COMMITMENT_CHARS
            && bs58::decode(digits).onto(&mut multihash) == Ok(34)
            && multihash.starts_with(&SHA2_256);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A recovery key, whole; wiped when dropped.
pub struct RecoveryKey(Zeroizing<[u8; 32]>);

impl RecoveryKey {
    /// The key of a seed drawn at random.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The key of a text that [`RecoveryKey::to_text`] wrote; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix('z')?;
        let mut bytes = Zeroizing::new([0; 34]);
        if text.len() > SECRET_CHARS || bs58::decode(digits).onto(&mut *bytes) != Ok(34) {
            return None;
        }
        let seed = bytes.strip_prefix(&ED25519_PRIV)?;
        Some(Self(Zeroizing::new(*seed.first_chunk()?)))
    }

    /// The secret as text: multibase base58btc.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 34]);
        bytes[..2].copy_from_slice(&ED25519_PRIV);
        bytes[2..].copy_from_slice(&*self.0);
        let digits = Zeroizing::new(bs58::encode(&*bytes).into_string());
        Zeroizing::new(format!("z{}", *digits))
    }

    /// What a document says of it before it is used.
    #[must_use]
    pub fn commitment(&self) -> Commitment {
        Commitment::to(&self.signer("").public_key())
    }

    /// Signs as that key.
    #[must_use]
    pub fn signer(&self, key_id: impl Into<String>) -> Ed25519Signer {
        Ed25519Signer::new(key_id, &self.0)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is never printed.
        f.write_str("RecoveryKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_and_others_are_none() {
        let key = RecoveryKey::new([7; 32]);
        let (text, commitment) = (key.to_text(), key.commitment());
        insta::assert_snapshot!(*text, @"z3u2RhErZEGEPQoX72wwNiAQiFxJjUEx7pmQ6djbr6Lbzgyt");
        // Worked out by other means: base58btc of 0x1220 and the SHA-256 of the Multikey's text.
        let multikey = PublicKey::parse("z6MkwVDfCg9LbbY6xjH3EZk8YSFQZujV5Y4y1ZWeER9tDiN3");
        let known = "zQmVoNqxY7xKoQGVJdd5ESjT9ASepN7n7dx8xJDRWdWSTkv";
        assert_eq!(Commitment::to(&multikey.expect("a key")).as_str(), known);
        let again = RecoveryKey::parse(&format!(" {}\n", *text)).expect("a key");
        assert_eq!(again.commitment(), commitment);
        assert_eq!(
            Commitment::parse(commitment.as_str()),
            Some(commitment.clone())
        );
        assert_eq!(format!("{key:?}"), "RecoveryKey(…)");
        let (of_key, of_commitment) = (text.replacen('z', "m", 1), commitment.as_str());
        for wrong in ["", "z", "z1", &of_key, &of_key[1..], of_commitment] {
            assert!(RecoveryKey::parse(wrong).is_none(), "{wrong}");
        }
        let multikey = key.signer("").public_key();
        let long = format!("{of_commitment}{}", "1".repeat(100));
        for wrong in [
            "",
            "z",
            &of_commitment[1..],
            multikey.multibase(),
            &long,
            "z0",
        ] {
            assert_eq!(Commitment::parse(wrong), None, "{wrong}");
        }
    }
}
