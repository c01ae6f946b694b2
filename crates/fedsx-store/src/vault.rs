//! Keys at rest: the secret keys of the instance's actors, each in a file of its own, sealed under the
//! instance secret.
//!
//! ```text
//! keys/<SHA-256 of the key id, in hex>
//!    0  8  magic "FEDSXK\r\n"
//!    8  1  format version, 1
//!    9  1  kind: 1 Ed25519 (a seed of 32 bytes), 2 RSA (PKCS#8 DER)
//!   10  2  reserved, 0
//!   12  8  fingerprint of the instance secret
//!   20 12  nonce, random
//!   32  …  the secret key, sealed with AES-256-GCM-SIV (RFC 8452) under HKDF-SHA256 of the instance
//!          secret; associated data: bytes 0..20 and the key id
//! ```
//!
//! Bearer tokens lie beside them, as hashes (`tokens`). Invariants: a key is durable before its public half is told to anyone; a file under another key's
//! name does not open; secrets are wiped from memory and never printed.
//! Deliberately absent: rotation (a new key has a new id). Export: `export/keys.rs`.
//! Design, section 4 ("Secret keys … are committed durably, apart") and section 6.

mod error;
mod rsa;
mod seal;
mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use fedsx_core::export::{KeyKind, SecretKey};
use fedsx_core::key::{Ed25519Signer, PublicKey};
use zeroize::Zeroizing;

pub use self::error::VaultError;
pub use self::rsa::RsaKey;
use self::seal::{Kind, Revealed, Sealer};
pub use self::tokens::{IssueError, Scope, TOKENS_PER_ACTOR, Token, TokenText, Tokens};
use crate::journal::{Directory, Files};

/// The instance secret's file in the data directory: 64 hex digits.
const SECRET: &str = "secret";
/// The folder of the key files.
const KEYS: &str = "keys";
/// The shortest secret that is taken from the caller, bytes.
const SECRET_BYTES_MIN: usize = 32;
/// The longest key file, bytes: far above an RSA key of 8,192 bits.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// Decoded keys kept in memory.
const SIGNERS_KEPT: usize = 4_096;

/// The secret keys of an instance.
pub struct Vault {
    files: Directory,
    sealer: Sealer,
    /// Decoded keys by id. The lock is also held while a key is made, so that one id gets one key.
    signers: Mutex<HashMap<String, Arc<Ed25519Signer>>>,
    rsa: rsa::Kept,
    tokens: Tokens,
}

impl Vault {
    /// Opens the vault of a data directory. The instance secret is the caller's, if it has one (from the
    /// environment, say), otherwise `DIR/secret`, drawn at the first start.
    ///
    /// # Errors
    /// [`VaultError::WrongSecret`] when the keys there were sealed under another secret,
    /// [`VaultError::NoSecret`] when there are keys but no secret, [`VaultError::BadSecret`] for a secret
    /// that is none, [`VaultError::Io`].
    pub fn open(dir: &Path, secret: Option<&[u8]>) -> Result<Self, VaultError> {
        let files = Directory::open(dir.join(KEYS)).map_err(|error| VaultError::io(KEYS, error))?;
        // A process killed after a rename leaves a name that is there but not durable yet.
        let synced = files.sync_dir();
        synced.map_err(|error| VaultError::io(KEYS, error))?;
        let names = files.list().map_err(|error| VaultError::io(KEYS, error))?;
        let sealed = names.into_iter().find(|name| is_key_name(name));
        let secret = match secret {
            Some(secret) if secret.len() < SECRET_BYTES_MIN => {
                return Err(VaultError::BadSecret {
                    source_name: "the secret given",
                });
            }
            Some(secret) => Zeroizing::new(secret.to_vec()),
            None => stored_secret(dir, sealed.is_some())?,
        };
        let vault = Self {
            files,
            sealer: Sealer::new(&secret),
            signers: Mutex::default(),
            rsa: rsa::Kept::default(),
            tokens: Tokens::open(dir)?,
        };
        if let Some(name) = sealed {
            let bytes = vault.load(&name)?.unwrap_or_default();
            vault.sealer.recognise(&name, &bytes)?;
        }
        Ok(vault)
    }

    /// The bearer tokens of actors.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Makes an Ed25519 key, durably, and tells its public half. A key that is there already under that
    /// id is kept: what a crash cut off may be asked for again.
    ///
    /// # Errors
    /// [`VaultError`]; then no key is promised.
    pub fn create_ed25519(&self, key_id: &str) -> Result<PublicKey, VaultError> {
        let mut signers = self.lock();
        if let Some(signer) = self.signer_locked(&mut signers, key_id)? {
            return Ok(signer.public_key());
        }
        let seed = random::<32>()?;
        self.store(key_id, Kind::Ed25519, seed.as_slice())?;
        Ok(Ed25519Signer::new(key_id, &seed).public_key())
    }

    /// The signer of an Ed25519 key; none when there is no key of that id. Decoded keys are kept.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] and [`VaultError::WrongSecret`] for a file that does not open,
    /// [`VaultError::Unusable`] for a key of another kind.
    pub fn signer(&self, key_id: &str) -> Result<Option<Arc<Ed25519Signer>>, VaultError> {
        self.signer_locked(&mut self.lock(), key_id)
    }

    fn signer_locked(
        &self,
        signers: &mut HashMap<String, Arc<Ed25519Signer>>,
        key_id: &str,
    ) -> Result<Option<Arc<Ed25519Signer>>, VaultError> {
        if let Some(signer) = signers.get(key_id) {
            return Ok(Some(Arc::clone(signer)));
        }
        let Some(Revealed { kind, secret }) = self.reveal(key_id)? else {
            return Ok(None);
        };
        let seed = match (kind, secret.first_chunk::<32>()) {
            (Kind::Ed25519, Some(seed)) if secret.len() == 32 => seed,
            _ => {
                return Err(VaultError::Unusable {
                    key_id: key_id.to_owned(),
                });
            }
        };
        let signer = Arc::new(Ed25519Signer::new(key_id, seed));
        if signers.len() >= SIGNERS_KEPT {
            signers.clear();
        }
        signers.insert(key_id.to_owned(), Arc::clone(&signer));
        Ok(Some(signer))
    }

    /// The secret key of that id, as it is exported; none when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn exported(&self, key_id: &str) -> Result<Option<SecretKey>, VaultError> {
        let found = self.reveal(key_id)?;
        Ok(found.map(|Revealed { kind, secret }| SecretKey {
            id: key_id.to_owned(),
            kind: match kind {
                Kind::Ed25519 => KeyKind::Ed25519,
                Kind::Rsa => KeyKind::Rsa,
            },
            secret: secret.to_vec(),
        }))
    }

    /// Keeps an imported key, durably, in the place of one that an unfinished try left.
    pub(crate) fn adopt(&self, key: &SecretKey) -> Result<(), VaultError> {
        let mut signers = self.lock();
        signers.remove(&key.id);
        self.rsa.forget(&key.id);
        let kind = match key.kind {
            KeyKind::Ed25519 => Kind::Ed25519,
            KeyKind::Rsa => Kind::Rsa,
        };
        self.store(&key.id, kind, &key.secret)
    }

    fn reveal(&self, key_id: &str) -> Result<Option<Revealed>, VaultError> {
        match self.load(&name_of(key_id))? {
            Some(bytes) => self.sealer.open(key_id, &bytes).map(Some),
            None => Ok(None),
        }
    }

    fn store(&self, key_id: &str, kind: Kind, secret: &[u8]) -> Result<(), VaultError> {
        let name = name_of(key_id);
        let sealed = self.sealer.seal(key_id, kind, secret)?;
        replace(&self.files, &name, &sealed).map_err(|error| VaultError::io(&name, error))
    }

    fn remove(&self, key_id: &str) -> Result<(), VaultError> {
        remove(&self.files, &name_of(key_id))
    }

    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, VaultError> {
        read(&self.files, name, FILE_BYTES_MAX).map_err(|error| VaultError::io(name, error))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Ed25519Signer>>> {
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Removes the key of that id from a data directory that nobody has open, if there is one, durably.
pub(crate) fn remove_key(dir: &Path, key_id: &str) -> Result<(), VaultError> {
    let name = name_of(key_id);
    let files = Directory::open(dir.join(KEYS)).map_err(|error| VaultError::io(&name, error))?;
    remove(&files, &name)
}

fn remove(files: &Directory, name: &str) -> Result<(), VaultError> {
    let failed = |error| VaultError::io(name, error);
    match files.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => files.sync_dir().map_err(failed),
    }
}

/// The secret in the data directory, drawn when there is none and nothing was sealed yet.
fn stored_secret(dir: &Path, is_needed: bool) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let failed = |error| VaultError::io(SECRET, error);
    let files = Directory::open(dir).map_err(failed)?;
    files.sync_dir().map_err(failed)?;
    if let Some(text) = read(&files, SECRET, FILE_BYTES_MAX).map_err(failed)? {
        let text = Zeroizing::new(text);
        return from_hex(text.trim_ascii()).ok_or(VaultError::BadSecret {
            source_name: "the data directory's file `secret`",
        });
    }
    if is_needed {
        return Err(VaultError::NoSecret);
    }
    let mut secret = Zeroizing::new(vec![0; SECRET_BYTES_MIN]);
    getrandom::fill(&mut secret).map_err(|_| VaultError::NoRandomness)?;
    let text = Zeroizing::new(to_hex(&secret) + "\n");
    replace(&files, SECRET, text.as_bytes()).map_err(failed)?;
    Ok(secret)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
    Ok(bytes)
}

/// A whole file of at most `max` bytes, none when it is not there.
pub(crate) fn read(files: &Directory, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    if length > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(length).expect("what memory holds")];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Writes a file, mode 0600, such that a crash leaves all of it or none, and it is durable on return.
pub(crate) fn replace(files: &Directory, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}.new");
    if let Err(error) = files.remove(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = files.create(&unfinished)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    files.rename(&unfinished, name)?;
    files.sync_dir()
}

fn name_of(key_id: &str) -> String {
    to_hex(digest(&SHA256, key_id.as_bytes()).as_ref())
}

fn is_key_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("four bits are one digit");
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn from_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok();
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(pairs.iter().map(byte).collect::<Option<_>>()?);
    (bytes.len() >= SECRET_BYTES_MIN).then_some(bytes)
}
