//! Secret keys leaving the vault with their actor, and coming back with it.
//!
//! Invariant: a key that comes in is checked against the public half that its actor's document names.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use fedsx_core::export::{KeyKind, SecretKey};
use fedsx_core::key::{Ed25519Signer, PublicKey};

use crate::vault::{Vault, VaultError};

/// The public half of a secret key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublicHalf {
    /// An Ed25519 key.
    Ed25519(PublicKey),
    /// An RSA key, as a DER-encoded `SubjectPublicKeyInfo`.
    Rsa(Vec<u8>),
}

impl Vault {
    /// The secret key of that id, as it is exported; none when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn exported(&self, key_id: &str) -> Result<Option<SecretKey>, VaultError> {
        let found = self.secret(key_id)?;
        Ok(found.map(|(kind, secret)| SecretKey {
            id: key_id.to_owned(),
            kind,
            secret: secret.to_vec(),
        }))
    }

    /// The public half of a key that was exported; none when it is no such key.
    #[must_use]
    pub fn public_half(key: &SecretKey) -> Option<PublicHalf> {
        match key.kind {
            KeyKind::Ed25519 => {
                let seed = key.secret.as_slice().try_into().ok()?;
                let signer = Ed25519Signer::new(&*key.id, seed);
                Some(PublicHalf::Ed25519(signer.public_key()))
            }
            KeyKind::Rsa => {
                let pair = RsaKeyPair::from_pkcs8(&key.secret).ok()?;
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
                Some(PublicHalf::Rsa(public.as_ref().to_vec()))
            }
        }
    }
}
