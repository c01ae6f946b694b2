//! Quarantine: what others sent and a schema or validator refused, until the operator releases or
//! discards it (design, section 5).
//!
//! ```text
//! quarantine/<number, 16 hex digits>   CBOR of the account and the document's bytes
//! ```
//! Invariants: what is in it is durable; it is bounded by count, by count of one actor and by bytes, and
//! the oldest go first, an actor's own where that one has too many; one document is in it once. No part
//! of the journal, and nothing here is folded, served or delivered. Deliberately absent: releasing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fedsx_core::cid::Digest;
use fedsx_core::limits::{DOCUMENT_IN_BYTES, QUARANTINE_BYTES, QUARANTINED, QUARANTINED_PER_ACTOR};
use fedsx_core::notation::Notation;
use minicbor::{Decode, Encode};

use crate::journal::{Directory, Files};
use crate::vault::{read, replace};

const FOLDER: &str = "quarantine";
/// The longest file: a document and the account of it.
const FILE_BYTES_MAX: u64 = 2 * DOCUMENT_IN_BYTES as u64;

/// The account of something in quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Quarantined {
    /// The digest inside its CID.
    #[n(0)]
    pub digest: Digest,
    /// Its `id`.
    #[n(1)]
    pub id: String,
    /// Its `actor`.
    #[n(2)]
    pub actor: String,
    /// Its `type`.
    #[n(3)]
    pub verb: String,
    /// The code by which it was refused, with the validator's name.
    #[n(4)]
    pub code: String,
    /// Why, in a sentence.
    #[n(5)]
    pub detail: String,
    /// When, Unix milliseconds.
    #[n(6)]
    pub refused_ms: i64,
    /// The name of the actor whose inbox it was sent to; none of the shared inbox.
    #[n(7)]
    pub target: Option<String>,
    /// The notation of the document's bytes.
    #[n(8)]
    pub notation: Notation,
}

#[derive(Encode, Decode)]
struct Record {
    #[n(0)]
    account: Quarantined,
    #[cbor(n(1), with = "minicbor::bytes")]
    document: Vec<u8>,
}

/// Why quarantine can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The system's word.
    #[error("{name} in the quarantine: {source}")]
    Io {
        /// Which file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file that is no account.
    #[error("{0} in the quarantine is damaged; remove it")]
    Damaged(String),
}

/// What is in quarantine, oldest first by number.
#[derive(Debug)]
pub struct Quarantine {
    files: Directory,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    items: BTreeMap<u64, (Quarantined, u64)>,
}

impl Quarantine {
    /// Opens the quarantine of a data directory.
    ///
    /// # Errors
    /// [`QuarantineError`].
    pub(crate) fn open(dir: &Path) -> Result<Self, QuarantineError> {
        let failed = |source| io_error(FOLDER, source);
        let files = Directory::open(dir.join(FOLDER)).map_err(failed)?;
        let mut held = Held::default();
        for name in files.list().map_err(failed)? {
            // What a crash left half-written has another name, and goes when its number comes again.
            let Some(number) = number_of(&name) else {
                continue;
            };
            let (record, bytes) = load(&files, &name)?;
            held.items.insert(number, (record.account, bytes));
        }
        Ok(Self {
            files,
            held: Mutex::new(held),
        })
    }

    /// Puts something in, durably, unless the same document is there. May wait for the disk.
    ///
    /// # Errors
    /// [`QuarantineError`]; then it is not in.
    pub fn put(&self, account: Quarantined, document: &[u8]) -> Result<(), QuarantineError> {
        let mut held = self.held();
        if held.find(&account.digest).is_some() {
            return Ok(());
        }
        let last = held.items.last_key_value();
        let number = last.map_or(1, |(last, _)| last + 1);
        let name = name_of(number);
        let record = Record {
            account,
            document: document.to_vec(),
        };
        let bytes = minicbor::to_vec(&record).expect("writing to a Vec can't fail");
        replace(&self.files, &name, &bytes).map_err(|source| io_error(&name, source))?;
        let size = bytes.len() as u64;
        held.items.insert(number, (record.account, size));
        while let Some(oldest) = held.in_excess() {
            if let Err(error) = self.remove(&mut held, oldest) {
                // What was to be put in is in.
                tracing::error!(%error, "what is too much in quarantine stays");
                break;
            }
        }
        Ok(())
    }

    /// Everything in it, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Quarantined> {
        let held = self.held();
        let items = held.items.values().rev();
        items.map(|(account, _)| account.clone()).collect()
    }

    /// How much is in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held().items.len()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The account of a document, if it is in.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<Quarantined> {
        let held = self.held();
        let number = held.find(digest)?;
        Some(held.items[&number].0.clone())
    }

    /// The account and the bytes of a document, if it is in. May wait for the disk.
    ///
    /// # Errors
    /// [`QuarantineError`].
    pub fn read(&self, digest: &Digest) -> Result<Option<(Quarantined, Bytes)>, QuarantineError> {
        let held = self.held();
        let Some(number) = held.find(digest) else {
            return Ok(None);
        };
        let (record, _) = load(&self.files, &name_of(number))?;
        Ok(Some((record.account, record.document.into())))
    }

    /// Lets a document go; whether it was in. May wait for the disk.
    ///
    /// # Errors
    /// [`QuarantineError`].
    pub fn discard(&self, digest: &Digest) -> Result<bool, QuarantineError> {
        let mut held = self.held();
        match held.find(digest) {
            Some(number) => self.remove(&mut held, number).map(|()| true),
            None => Ok(false),
        }
    }

    fn remove(&self, held: &mut Held, number: u64) -> Result<(), QuarantineError> {
        let name = name_of(number);
        let removed = self
            .files
            .remove(&name)
            .and_then(|()| self.files.sync_dir());
        removed.map_err(|source| io_error(&name, source))?;
        held.items.remove(&number);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn find(&self, digest: &Digest) -> Option<u64> {
        let mut items = self.items.iter();
        items
            .find(|(_, (account, _))| account.digest == *digest)
            .map(|(number, _)| *number)
    }

    /// What has to go: the oldest of the newest one's actor where that one has too many, else the oldest.
    fn in_excess(&self) -> Option<u64> {
        let (_, (newest, _)) = self.items.last_key_value()?;
        let own = || {
            let own =
                |(_, (account, _)): &(&u64, &(Quarantined, u64))| account.actor == newest.actor;
            self.items.iter().filter(own).map(|(number, _)| *number)
        };
        if own().count() > QUARANTINED_PER_ACTOR {
            return own().next();
        }
        let bytes: u64 = self.items.values().map(|(_, bytes)| bytes).sum();
        let is_full = self.items.len() > QUARANTINED || bytes > QUARANTINE_BYTES;
        is_full.then(|| *self.items.keys().next().expect("there is a newest"))
    }
}

fn load(files: &Directory, name: &str) -> Result<(Record, u64), QuarantineError> {
    let damaged = || QuarantineError::Damaged(name.to_owned());
    let bytes = match read(files, name, FILE_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(io_error(name, io::ErrorKind::NotFound.into())),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(damaged()),
        Err(error) => return Err(io_error(name, error)),
    };
    let record = minicbor::decode(&bytes).map_err(|_| damaged())?;
    Ok((record, bytes.len() as u64))
}

fn io_error(name: &str, source: io::Error) -> QuarantineError {
    QuarantineError::Io {
        name: name.to_owned(),
        source,
    }
}

fn name_of(number: u64) -> String {
    format!("{number:016x}")
}

fn number_of(name: &str) -> Option<u64> {
    let number = u64::from_str_radix(name, 16).ok();
    number.filter(|number| name_of(*number) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: usize, actor: &str) -> Quarantined {
        Quarantined {
            digest: Digest::of(&number.to_be_bytes()),
            id: format!("{actor}/{number}"),
            actor: actor.to_owned(),
            verb: "Pin".to_owned(),
            code: "schema".to_owned(),
            detail: "it is no `Pin`".to_owned(),
            refused_ms: 7,
            target: None,
            notation: Notation::Json,
        }
    }

    #[test]
    fn it_outlives_its_process_and_is_let_go_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = account(1, "https://a.example/a");
        {
            let quarantine = Quarantine::open(folder.path()).expect("opens");
            quarantine.put(first.clone(), b"{}").expect("in");
            quarantine.put(first.clone(), b"{}").expect("in already");
            let second = account(2, "https://a.example/a");
            quarantine.put(second, b"{\"a\":1}").expect("in");
        }
        let quarantine = Quarantine::open(folder.path()).expect("opens again");
        assert_eq!(quarantine.len(), 2);
        assert_eq!(quarantine.list()[1], first, "newest first");
        let (found, document) = quarantine.read(&first.digest).expect("reads").expect("in");
        assert_eq!((found, &document[..]), (first.clone(), &b"{}"[..]));
        assert!(quarantine.discard(&first.digest).expect("gone"));
        assert!(!quarantine.discard(&first.digest).expect("gone before"));
        drop(quarantine);
        let quarantine = Quarantine::open(folder.path()).expect("opens again");
        assert_eq!(quarantine.find(&first.digest), None);
        assert_eq!(quarantine.len(), 1);
    }

    #[test]
    fn who_sends_much_pushes_out_its_own_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let quarantine = Quarantine::open(folder.path()).expect("opens");
        let quiet = account(0, "https://b.example/b");
        quarantine.put(quiet.clone(), b"{}").expect("in");
        for number in 1..=QUARANTINED_PER_ACTOR + 2 {
            let loud = account(number, "https://a.example/a");
            quarantine.put(loud, b"{}").expect("in");
        }
        assert_eq!(quarantine.len(), QUARANTINED_PER_ACTOR + 1);
        assert_eq!(quarantine.find(&quiet.digest), Some(quiet));
        let first = account(2, "").digest;
        assert_eq!(quarantine.find(&first), None, "its oldest two went");
    }
}
