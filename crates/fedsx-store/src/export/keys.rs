//! The public half of a secret key that comes with its actor: it must be the one that the actor's document names.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use fedsx_core::export::{KeyKind, SecretKey};
use fedsx_core::key::{Ed25519Signer, PublicKey};

/// The public half of a secret key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublicHalf {
    /// An Ed25519 key.
    Ed25519(PublicKey),
    /// An RSA key, as a DER-encoded `SubjectPublicKeyInfo`.
    Rsa(Vec<u8>),
}

impl PublicHalf {
    /// That of a key that was exported; none when it is no such key.
    #[must_use]
    pub fn of(key: &SecretKey) -> Option<Self> {
        match key.kind {
            KeyKind::Ed25519 => {
                let seed = key.secret.as_slice().try_into().ok()?;
                let signer = Ed25519Signer::new(&*key.id, seed);
                Some(Self::Ed25519(signer.public_key()))
            }
            KeyKind::Rsa => {
                let pair = RsaKeyPair::from_pkcs8(&key.secret).ok()?;
                let public: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
                Some(Self::Rsa(public.as_ref().to_vec()))
            }
        }
    }
}
