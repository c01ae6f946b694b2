//! The file that an actor is exported to: records, sealed in chunks under a passphrase.
//!
//! ```text
//!    0  8  magic "FEDSXA\r\n"
//!    8  2  format version, 1
//!   10  2  reserved, 0
//!   12  4  iterations of PBKDF2-HMAC-SHA512
//!   16 32  salt, random
//!   48 16  check of the passphrase
//!   64  8  the first bytes of SHA-256 of bytes 0..64
//!   72  …  chunks: 65,536 bytes of plain text each, the last one 1 to 65,536, every one with its tag of 16
//! ```
//! Numbers are big-endian. A chunk is sealed with AES-256-GCM-SIV (RFC 8452); its nonce is three zeros, 1 in the
//! last chunk and else 0, and its index (8 bytes, from 0); the associated data is bytes 0..72. So a chunk that was
//! changed, left out, moved or put behind the end does not open, and its place is named. Key and check are drawn
//! from PBKDF2 by HKDF-SHA256. The plain text is records, each with its length before it (4 bytes).
//!
//! Invariant: no more than a chunk and a record is held. Deliberately absent: what a record says (core).

mod between;
mod keys;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::pbkdf2;
use fedsx_core::export::Record;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::refusal::{Code, Refusal};
use zeroize::Zeroizing;

pub use between::BetweenScan;
pub use keys::PublicHalf;

const MAGIC: [u8; 8] = *b"FEDSXA\r\n";
const VERSION: u16 = 1;
const HEAD: usize = 72;
const TAG: usize = 16;
/// Plain text of a chunk, bytes.
const CHUNK: usize = 64 << 10;
const SEALED: usize = CHUNK + TAG;
/// What deriving the key costs whoever guesses.
const ITERATIONS: u32 = 210_000;
/// What a file may ask of us.
const ITERATIONS_MAX: u32 = 10_000_000;
/// A record: a document and the account of it, with a thousand recipients.
const RECORD_BYTES: usize = DOCUMENT_IN_BYTES + (4 << 20);

/// Why a file is no export, or not a whole one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// It begins otherwise.
    #[error("it is no export of an actor: it does not begin like one")]
    NoExport,
    /// A newer program wrote it.
    #[error("it has format {0}, written by a newer fedsx; this one reads format 1")]
    Newer(u16),
    /// It was sealed under another passphrase.
    #[error("the passphrase is not the one that it was sealed under")]
    Passphrase,
    /// It was changed.
    #[error("{what} (bytes {from} to {to} of the file) is damaged")]
    Damaged {
        /// What.
        what: String,
        /// Its first byte.
        from: u64,
        /// The byte behind.
        to: u64,
    },
    /// It ends too early.
    #[error("the file is cut off after {0} bytes")]
    Truncated(u64),
    /// There is something behind its end.
    #[error("something follows the end of the export (byte {0} of the file)")]
    Trailing(u64),
    /// A record can't be read.
    #[error("record {number} (at byte {at} of the file) can't be read: {why}")]
    Record {
        /// Which, from 0.
        number: u64,
        /// The byte of the file, in the chunk that it begins in.
        at: u64,
        /// Why.
        why: String,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::NoExport | OpenError::Newer(_) => Code::Malformed,
            OpenError::Passphrase => Code::NotAuthorised,
            OpenError::Damaged { .. }
            | OpenError::Truncated(_)
            | OpenError::Trailing(_)
            | OpenError::Record { .. } => Code::Damaged,
            OpenError::NoRandomness => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

struct Cipher {
    key: LessSafeKey,
    check: [u8; 16],
}

impl Cipher {
    fn new(passphrase: &[u8], salt: &[u8], iterations: u32) -> Self {
        let iterations = std::num::NonZeroU32::new(iterations).expect("checked or our own");
        let mut stretched = Zeroizing::new([0; 32]);
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
        pbkdf2::derive(
            algorithm,
            iterations,
            salt,
            passphrase,
            stretched.as_mut_slice(),
        );
        let derived = Salt::new(HKDF_SHA256, b"fedsx export").extract(stretched.as_slice());
        let expand = |label: &[u8], bytes: &mut [u8]| {
            derived
                .expand(&[label], Length(bytes.len()))
                .and_then(|okm| okm.fill(bytes))
                .expect("HKDF-SHA256 gives up to 8,160 bytes");
        };
        let mut key = Zeroizing::new([0; 32]);
        expand(b"seal", key.as_mut_slice());
        let mut check = [0; 16];
        expand(b"check", &mut check);
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice());
        Self {
            key: LessSafeKey::new(key.expect("the key is as long as the algorithm says")),
            check,
        }
    }
}

fn nonce(index: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3] = u8::from(is_last);
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn checksum(head: &[u8]) -> [u8; 8] {
    let digest = digest(&SHA256, head);
    *digest.as_ref().first_chunk().expect("32 bytes")
}

/// Seals records.
pub struct Sealing {
    cipher: Cipher,
    head: [u8; HEAD],
    index: u64,
    plain: Zeroizing<Vec<u8>>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealing")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Sealing {
    /// Begins a file. Takes a moment, on purpose.
    ///
    /// # Errors
    /// [`OpenError::NoRandomness`].
    pub fn new(passphrase: &[u8]) -> Result<Self, OpenError> {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&MAGIC);
        head[8..10].copy_from_slice(&VERSION.to_be_bytes());
        head[12..16].copy_from_slice(&ITERATIONS.to_be_bytes());
        getrandom::fill(&mut head[16..48]).map_err(|_| OpenError::NoRandomness)?;
        let cipher = Cipher::new(passphrase, &head[16..48], ITERATIONS);
        head[48..64].copy_from_slice(&cipher.check);
        let sum = checksum(&head[..64]);
        head[64..].copy_from_slice(&sum);
        Ok(Self {
            cipher,
            index: 0,
            plain: Zeroizing::new(Vec::new()),
            out: head.to_vec(),
            head,
        })
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record) {
        let bytes = Zeroizing::new(minicbor::to_vec(record).expect("writing to a Vec can't fail"));
        let length = u32::try_from(bytes.len()).expect("a record is bounded by what it is made of");
        self.plain.extend_from_slice(&length.to_be_bytes());
        self.plain.extend_from_slice(&bytes);
        // One byte more: the last chunk is never empty.
        while self.plain.len() > CHUNK {
            let rest = Zeroizing::new(self.plain.split_off(CHUNK));
            let chunk = std::mem::replace(&mut self.plain, rest);
            self.seal(chunk, false);
        }
    }

    /// What is ready to be written.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Ends the file: what is left to be written.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let chunk = std::mem::take(&mut self.plain);
        self.seal(chunk, true);
        self.out
    }

    fn seal(&mut self, mut chunk: Zeroizing<Vec<u8>>, is_last: bool) {
        let nonce = nonce(self.index, is_last);
        let aad = Aad::from(self.head);
        self.cipher
            .key
            .seal_in_place_append_tag(nonce, aad, &mut *chunk)
            .expect("a chunk is far below the bound of the algorithm");
        self.index += 1;
        self.out.extend_from_slice(&chunk);
    }
}

/// Opens what [`Sealing`] sealed, as it comes.
pub struct Opening {
    passphrase: Zeroizing<Vec<u8>>,
    opened: Option<(Cipher, [u8; HEAD])>,
    sealed: Vec<u8>,
    index: u64,
    plain: Zeroizing<Vec<u8>>,
    /// Bytes of `plain` that were read.
    read: usize,
    records: u64,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Opening {
    /// Nothing came yet.
    #[must_use]
    pub fn new(passphrase: &[u8]) -> Self {
        Self {
            passphrase: Zeroizing::new(passphrase.to_vec()),
            opened: None,
            sealed: Vec::new(),
            index: 0,
            plain: Zeroizing::new(Vec::new()),
            read: 0,
            records: 0,
        }
    }

    /// Where the record that comes next is in the file, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let chunk = self.index.saturating_sub(1);
        let from = chunk_at(chunk);
        format!(
            "record {} (chunk {chunk}, from byte {from} on)",
            self.records
        )
    }

    /// Takes the next bytes of the file, and hands on each record that they complete.
    ///
    /// # Errors
    /// What is wrong with the file, or what `each` says.
    pub fn feed<E: From<OpenError>>(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(Record, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in bytes.chunks(SEALED) {
            self.sealed.extend_from_slice(part);
            self.begin()?;
            // A byte more than a chunk has come: it is not the last one.
            while self.opened.is_some() && self.sealed.len() > SEALED {
                let chunk = self.sealed.drain(..SEALED).collect();
                self.open(chunk, false)?;
                self.records(each)?;
            }
        }
        Ok(())
    }

    /// The file has ended.
    ///
    /// # Errors
    /// As [`Opening::feed`].
    pub fn finish<E: From<OpenError>>(
        &mut self,
        each: &mut dyn FnMut(Record, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = chunk_at(self.index) + self.sealed.len() as u64;
        if self.opened.is_none() {
            let end = self.sealed.len();
            let begins = self.sealed.starts_with(&MAGIC[..end.min(MAGIC.len())]);
            let error = match begins && end > 0 {
                true => OpenError::Truncated(end as u64),
                false => OpenError::NoExport,
            };
            return Err(error.into());
        }
        let chunk = std::mem::take(&mut self.sealed);
        if chunk.is_empty() {
            return Err(OpenError::Truncated(end).into());
        }
        self.open(chunk, true)?;
        self.records(each)?;
        match self.read == self.plain.len() {
            true => Ok(()),
            false => Err(OpenError::Truncated(end).into()),
        }
    }

    /// Reads the head, once it is there.
    fn begin(&mut self) -> Result<(), OpenError> {
        if self.opened.is_some() || self.sealed.len() < HEAD {
            return Ok(());
        }
        let head: [u8; HEAD] = *self.sealed.first_chunk().expect("as long as that");
        if head[..8] != MAGIC {
            return Err(OpenError::NoExport);
        }
        if checksum(&head[..64]) != head[64..] {
            return Err(OpenError::Damaged {
                what: "the head".to_owned(),
                from: 0,
                to: HEAD as u64,
            });
        }
        let version = u16::from_be_bytes([head[8], head[9]]);
        if version != VERSION {
            return Err(OpenError::Newer(version));
        }
        let iterations = u32::from_be_bytes([head[12], head[13], head[14], head[15]]);
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(OpenError::NoExport);
        }
        let cipher = Cipher::new(&self.passphrase, &head[16..48], iterations);
        if cipher.check != head[48..64] {
            return Err(OpenError::Passphrase);
        }
        self.sealed.drain(..HEAD);
        self.opened = Some((cipher, head));
        Ok(())
    }

    fn open(&mut self, chunk: Vec<u8>, is_last: bool) -> Result<(), OpenError> {
        let (cipher, head) = self.opened.as_ref().expect("the head came first");
        let (index, from) = (self.index, chunk_at(self.index));
        let to = from + chunk.len() as u64;
        let attempt = |is_last| {
            let mut plain = Zeroizing::new(chunk.clone());
            let nonce = nonce(index, is_last);
            let length = cipher
                .key
                .open_in_place(nonce, Aad::from(*head), &mut plain)
                .ok()?
                .len();
            plain.truncate(length);
            Some(plain)
        };
        let Some(plain) = attempt(is_last) else {
            return Err(match attempt(!is_last) {
                // It is whole, but stands where it should not.
                Some(_) if is_last => OpenError::Truncated(to),
                Some(_) => OpenError::Trailing(to),
                None => OpenError::Damaged {
                    what: format!("chunk {index}"),
                    from,
                    to,
                },
            });
        };
        self.plain.drain(..self.read);
        self.read = 0;
        self.plain.extend_from_slice(&plain);
        self.index += 1;
        Ok(())
    }

    /// Hands on the records that are whole.
    fn records<E: From<OpenError>>(
        &mut self,
        each: &mut dyn FnMut(Record, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let left = &self.plain[self.read..];
            let Some(length) = left.first_chunk::<4>() else {
                return Ok(());
            };
            let length = u32::from_be_bytes(*length) as usize;
            let bad = |why: String| OpenError::Record {
                number: self.records,
                at: chunk_at(self.index.saturating_sub(1)),
                why,
            };
            if length > RECORD_BYTES {
                return Err(bad(format!("it has more than {RECORD_BYTES} bytes")).into());
            }
            let Some(bytes) = left.get(4..4 + length) else {
                return Ok(());
            };
            let record = minicbor::decode(bytes).map_err(|error| bad(error.to_string()))?;
            let place = self.place();
            self.read += 4 + length;
            self.records += 1;
            each(record, &place)?;
        }
    }
}

/// Where a chunk begins in the file.
const fn chunk_at(index: u64) -> u64 {
    HEAD as u64 + index * SEALED as u64
}

#[cfg(test)]
mod tests;
