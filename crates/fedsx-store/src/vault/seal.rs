//! Sealing a secret key under the instance secret, and opening it: the bytes of a key file.
//!
//! Invariant: the sealing key is derived from the instance secret, so the secret may have any length and
//! serve for other things too. Deliberately absent: files.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::error::VaultError;
use super::name_of;

const MAGIC: [u8; 8] = *b"FEDSXK\r\n";
const VERSION: u8 = 1;
const FINGERPRINT: std::ops::Range<usize> = 12..20;
const HEAD: usize = 20;
const SEALED: usize = HEAD + NONCE_LEN;

/// What a sealed key is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Ed25519 = 1,
    Rsa = 2,
}

/// A secret key, opened.
pub(super) struct Revealed {
    pub(super) kind: Kind,
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// Seals and opens under one instance secret.
pub(super) struct Sealer {
    key: LessSafeKey,
    fingerprint: [u8; 8],
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Sealer {
    pub(super) fn new(secret: &[u8]) -> Self {
        let derived = Salt::new(HKDF_SHA256, b"fedsx vault").extract(secret);
        let key = Zeroizing::new(expand::<32>(&derived, b"seal"));
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice());
        Self {
            key: LessSafeKey::new(key.expect("the key is as long as the algorithm says")),
            fingerprint: expand(&derived, b"fingerprint"),
        }
    }

    pub(super) fn seal(
        &self,
        key_id: &str,
        kind: Kind,
        secret: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let mut file = Vec::with_capacity(SEALED + secret.len() + AES_256_GCM_SIV.tag_len());
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
        file.extend_from_slice(&self.fingerprint);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::NoRandomness)?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(file.capacity()));
        sealed.extend_from_slice(secret);
        let aad = Aad::from(associated(&file, key_id));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *sealed)
            .map_err(|_| VaultError::Unusable {
                key_id: key_id.to_owned(),
            })?;
        file.extend_from_slice(&nonce);
        file.extend_from_slice(&sealed);
        Ok(file)
    }

    pub(super) fn open(&self, key_id: &str, file: &[u8]) -> Result<Revealed, VaultError> {
        let name = name_of(key_id);
        self.recognise(&name, file)?;
        let damaged = || VaultError::Damaged { name: name.clone() };
        let kind = match file[9] {
            1 => Kind::Ed25519,
            2 => Kind::Rsa,
            _ => return Err(damaged()),
        };
        let nonce = file[HEAD..SEALED].first_chunk().ok_or_else(damaged)?;
        let mut secret = Zeroizing::new(file[SEALED..].to_vec());
        let aad = Aad::from(associated(&file[..HEAD], key_id));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, aad, &mut secret);
        let length = opened.map_err(|_| damaged())?.len();
        secret.truncate(length);
        Ok(Revealed { kind, secret })
    }

    /// Whether a file is a key file sealed under this secret, as its head says.
    pub(super) fn recognise(&self, name: &str, file: &[u8]) -> Result<(), VaultError> {
        let name = name.to_owned();
        if file.len() < SEALED || file[..8] != MAGIC {
            Err(VaultError::Damaged { name })
        } else if file[8] != VERSION {
            Err(VaultError::Newer {
                name,
                version: file[8],
            })
        } else if file[FINGERPRINT] != self.fingerprint {
            Err(VaultError::WrongSecret { name })
        } else {
            Ok(())
        }
    }
}

fn associated(head: &[u8], key_id: &str) -> Vec<u8> {
    [head, key_id.as_bytes()].concat()
}

fn expand<const N: usize>(derived: &Prk, label: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    derived
        .expand(&[label], Length(N))
        .and_then(|okm| okm.fill(&mut bytes))
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    bytes
}
