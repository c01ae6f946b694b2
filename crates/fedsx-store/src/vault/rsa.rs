//! RSA keys, which sign requests to servers that know nothing else.
//!
//! An actor's RSA key has one id for ever, so that a key that takes the place of another lies beside it, under
//! the id and the digest of its public half: which of them is in force, the actor's document says.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use fedsx_core::export::SecretKey;
use fedsx_core::key::RsaSigner;

use super::seal::Kind;
use super::{SIGNERS_KEPT, Vault, VaultError, to_hex};

/// An RSA key of an actor, decoded.
pub struct RsaKey {
    key_id: String,
    pair: RsaKeyPair,
    spki: Vec<u8>,
}

impl RsaKey {
    /// The public half, a DER-encoded `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

impl RsaSigner for RsaKey {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .pair
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
        signed.ok().map(|()| signature)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret half is never printed.
        f.debug_struct("RsaKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Decoded keys by where they lie in the vault.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<String, Arc<RsaKey>>>);

impl Kept {
    fn find(&self, place: &str) -> Option<Arc<RsaKey>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(place).cloned()
    }

    fn keep(&self, place: &str, key: &Arc<RsaKey>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SIGNERS_KEPT {
            kept.clear();
        }
        kept.insert(place.to_owned(), Arc::clone(key));
    }

    pub(super) fn forget(&self, place: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(place);
    }
}

impl Vault {
    /// Makes an RSA key of 2,048 bits, durably. A key that is there already under that id is kept. Takes up to a
    /// second.
    ///
    /// # Errors
    /// [`VaultError`]; then no key is promised.
    pub fn create_rsa(&self, key_id: &str) -> Result<Arc<RsaKey>, VaultError> {
        let _alone = self.lock();
        if let Some(key) = self.rsa_at(key_id, key_id)? {
            return Ok(key);
        }
        let (key, secret) = generate(key_id)?;
        self.store(key_id, Kind::Rsa, secret.as_ref())?;
        self.rsa.keep(key_id, &key);
        Ok(key)
    }

    /// Makes an RSA key of that id beside the one that is there, durably. It is in force when the actor's document
    /// says so.
    ///
    /// # Errors
    /// As for [`Vault::create_rsa`].
    pub fn renew_rsa(&self, key_id: &str) -> Result<Arc<RsaKey>, VaultError> {
        let (key, secret) = generate(key_id)?;
        self.store(&beside(key_id, &key.spki), Kind::Rsa, secret.as_ref())?;
        Ok(key)
    }

    /// The secret of the RSA key of that id and public half, as it is exported; none when it is not here.
    ///
    /// # Errors
    /// As for [`Vault::signer`].
    pub fn exported_rsa(&self, key_id: &str, spki: &[u8]) -> Result<Option<SecretKey>, VaultError> {
        for place in [beside(key_id, spki), key_id.to_owned()] {
            let found = self.rsa_at(&place, key_id)?;
            if found.is_some_and(|key| key.spki == spki)
                && let Some(mut found) = self.exported(&place)?
            {
                key_id.clone_into(&mut found.id);
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The RSA key of that id and public half (`SubjectPublicKeyInfo` DER); none when it is not here.
    ///
    /// # Errors
    /// As for [`Vault::signer`].
    pub fn rsa(&self, key_id: &str, spki: &[u8]) -> Result<Option<Arc<RsaKey>>, VaultError> {
        for place in [beside(key_id, spki), key_id.to_owned()] {
            let found = self.rsa_at(&place, key_id)?;
            if let Some(key) = found.filter(|key| key.spki == spki) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Drops the RSA key of that id and public half, durably, where it is here.
    ///
    /// # Errors
    /// [`VaultError`]; then it may still be here.
    pub fn drop_rsa(&self, key_id: &str, spki: &[u8]) -> Result<(), VaultError> {
        let _alone = self.lock();
        for place in [beside(key_id, spki), key_id.to_owned()] {
            let found = self.rsa_at(&place, key_id)?;
            if found.is_some_and(|key| key.spki == spki) {
                self.remove(&place)?;
                self.rsa.forget(&place);
            }
        }
        Ok(())
    }

    fn rsa_at(&self, place: &str, key_id: &str) -> Result<Option<Arc<RsaKey>>, VaultError> {
        if let Some(key) = self.rsa.find(place) {
            return Ok(Some(key));
        }
        let Some(found) = self.reveal(place)? else {
            return Ok(None);
        };
        let pair = match found.kind {
            Kind::Rsa => RsaKeyPair::from_pkcs8(&found.secret).map_err(|_| unusable(key_id))?,
            Kind::Ed25519 => return Err(unusable(key_id)),
        };
        let key = of_pair(key_id, pair)?;
        self.rsa.keep(place, &key);
        Ok(Some(key))
    }
}

/// Where a key lies that took the place of another of that id.
fn beside(key_id: &str, spki: &[u8]) -> String {
    format!("{key_id}/{}", to_hex(digest(&SHA256, spki).as_ref()))
}

fn generate(key_id: &str) -> Result<(Arc<RsaKey>, Pkcs8V1Der<'static>), VaultError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| unusable(key_id))?;
    let secret: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unusable(key_id))?;
    Ok((of_pair(key_id, pair)?, secret))
}

fn of_pair(key_id: &str, pair: RsaKeyPair) -> Result<Arc<RsaKey>, VaultError> {
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unusable(key_id))?;
    let spki = public.as_ref().to_vec();
    Ok(Arc::new(RsaKey {
        key_id: key_id.to_owned(),
        pair,
        spki,
    }))
}

fn unusable(key_id: &str) -> VaultError {
    VaultError::Unusable {
        key_id: key_id.to_owned(),
    }
}
