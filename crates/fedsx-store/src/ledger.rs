//! `delivery.ledger`: what is known of delivery progress apart from the index, so that an index that is
//! thrown away, or never was on disk, doesn't make everything go out again; `backfill.ledger` has the same form.
//!
//! A file of rows: a snapshot, then groups of changes. Each group is one frame (length, CRC32C,
//! CBOR), so it is there as a whole or not at all. Reading stops at the first bad frame: an older
//! ledger is a correct one, it only leads to repeated sends. Deliberately absent: what the rows mean
//! (`delivery.rs`), and the journal's rule that damage is an error. Design, section 4, "Delivery
//! progress".

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};

/// The first bytes of the file; the last of them is the version of the format.
const MAGIC: [u8; 8] = *b"fedsxdl\x01";
/// Length and CRC before the payload of a frame, bytes.
const FRAME_HEAD: usize = 8;
/// The longest payload read back, bytes.
const PAYLOAD_MAX: u32 = 1 << 30;
/// Rows in one frame of a snapshot.
const GROUP_ROWS: usize = 1_000;
/// Beyond this many bytes the file is written anew.
const REWRITE_BYTES: u64 = 16 << 20;

/// Rows by key, as the ledger remembers them.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    bytes: u64,
    snapshot_bytes: u64,
}

/// The ledger can't be read or written. Deliveries go on without it; it is written again from the
/// index at the next start.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system said no.
    #[error("cannot use the ledger {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a later version, or no ledger at all.
    #[error("{} is no ledger of this version", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Encode, Decode)]
struct Change {
    #[cbor(n(0), with = "minicbor::bytes")]
    key: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    value: Option<Vec<u8>>,
}

impl Ledger {
    /// Reads what the ledger at `path` remembers: nothing, when there is none. A torn end is left out.
    ///
    /// # Errors
    /// [`LedgerError`], also for a file of a later version.
    pub fn read(path: &Path) -> Result<Rows, LedgerError> {
        let failed = |source| LedgerError::Io {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rows::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut file = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err(LedgerError::Format {
                path: path.to_owned(),
            });
        }
        let mut rows = Rows::new();
        while let Some(changes) = read_frame(&mut file).map_err(failed)? {
            for change in changes {
                match change.value {
                    Some(value) => rows.insert(change.key, value),
                    None => rows.remove(&change.key),
                };
            }
        }
        Ok(rows)
    }

    /// Writes the ledger anew: beside the old one, which it then takes the place of. The rows may come
    /// with errors of their own, which end it and leave the old ledger as it was.
    ///
    /// # Errors
    /// Those of the rows, and [`LedgerError`].
    pub fn replace<E: From<LedgerError>>(
        path: &Path,
        rows: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), E>>,
    ) -> Result<Self, E> {
        let failed = |source| {
            E::from(LedgerError::Io {
                path: path.to_owned(),
                source,
            })
        };
        let beside = path.with_extension("ledger.new");
        let mut file = BufWriter::new(File::create(&beside).map_err(failed)?);
        file.write_all(&MAGIC).map_err(failed)?;
        let mut group = Vec::with_capacity(GROUP_ROWS);
        let mut bytes = MAGIC.len() as u64;
        let mut rows = rows.peekable();
        while let Some(row) = rows.next() {
            let (key, value) = row?;
            group.push(Change {
                key,
                value: Some(value),
            });
            if group.len() == GROUP_ROWS || rows.peek().is_none() {
                bytes += write_frame(&mut file, &group).map_err(failed)?;
                group.clear();
            }
        }
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(failed)?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            snapshot_bytes: bytes,
        })
    }

    /// Appends a group of changes, durably; `None` removes a row.
    ///
    /// # Errors
    /// [`LedgerError`]; the ledger must then be replaced before the next append.
    pub fn append(
        &mut self,
        changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), LedgerError> {
        let changes: Vec<Change> = changes
            .into_iter()
            .map(|(key, value)| Change { key, value })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let written = write_frame(&mut self.file, &changes)
            .and_then(|bytes| self.file.sync_data().map(|()| bytes))
            .map_err(|source| LedgerError::Io {
                path: self.path.clone(),
                source,
            })?;
        self.bytes += written;
        Ok(())
    }

    /// Whether it is time to [`Ledger::replace`] it.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.bytes > REWRITE_BYTES && self.bytes > 2 * self.snapshot_bytes
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_frame(file: &mut impl Write, changes: &[Change]) -> io::Result<u64> {
    let mut frame = vec![0; FRAME_HEAD];
    minicbor::encode(changes, &mut frame).expect("writing to a Vec can't fail");
    let payload = &frame[FRAME_HEAD..];
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= PAYLOAD_MAX)
        .ok_or_else(|| io::Error::other("more changes than one frame takes"))?;
    let crc = crc32c::crc32c(payload);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..FRAME_HEAD].copy_from_slice(&crc.to_le_bytes());
    file.write_all(&frame)?;
    Ok(frame.len() as u64)
}

/// The next group; `None` at the end, be it torn or clean.
fn read_frame(file: &mut impl Read) -> io::Result<Option<Vec<Change>>> {
    let mut head = [0; FRAME_HEAD];
    if !read_whole(file, &mut head)? {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length > PAYLOAD_MAX {
        return Ok(None);
    }
    let mut payload = Vec::new();
    file.by_ref()
        .take(u64::from(length))
        .read_to_end(&mut payload)?;
    if payload.len() as u64 != u64::from(length)
        || crc32c::crc32c(&payload) != u32::from_le_bytes([c0, c1, c2, c3])
    {
        return Ok(None);
    }
    Ok(minicbor::decode(&payload).ok())
}

fn read_whole(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written = Result<(Vec<u8>, Vec<u8>), LedgerError>;

    fn row(key: u16, value: &str) -> Written {
        Ok((key.to_be_bytes().to_vec(), value.as_bytes().to_vec()))
    }

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("delivery.ledger");
        assert!(Ledger::read(&path).expect("no ledger yet").is_empty());
        let mut ledger =
            Ledger::replace(&path, (0..2_500).map(|key| row(key, "first"))).expect("written");
        ledger
            .append([(vec![0, 1], None), (vec![0, 2], Some(b"second".to_vec()))])
            .expect("appended");
        let rows = Ledger::read(&path).expect("read");
        assert_eq!(rows.len(), 2_499);
        assert_eq!(rows[&vec![0, 2]], b"second");
        assert!(!rows.contains_key(&vec![0, 1]));
        assert!(!ledger.is_long());
    }

    #[test]
    fn every_torn_end_leaves_the_groups_before_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("delivery.ledger");
        let mut ledger = Ledger::replace(&path, [row(1, "kept")].into_iter()).expect("written");
        let whole = fs::metadata(&path).expect("there").len();
        ledger
            .append([(vec![0, 1], None), (vec![0, 2], Some(b"lost".to_vec()))])
            .expect("appended");
        let bytes = fs::read(&path).expect("read");
        for cut in usize::try_from(whole).expect("small")..bytes.len() {
            fs::write(&path, &bytes[..cut]).expect("cut");
            let rows = Ledger::read(&path).expect("read");
            assert_eq!(
                rows.into_values().collect::<Vec<_>>(),
                [b"kept"],
                "cut at {cut}"
            );
        }
        let mut flipped = bytes.clone();
        *flipped.last_mut().expect("not empty") ^= 1;
        fs::write(&path, flipped).expect("damaged");
        assert_eq!(Ledger::read(&path).expect("read").len(), 1);
    }

    #[test]
    fn another_file_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("delivery.ledger");
        fs::write(&path, b"fedsxdl\x02 from the future").expect("written");
        let refused = Ledger::read(&path).expect_err("a later version");
        assert!(matches!(refused, LedgerError::Format { .. }));
    }

    #[test]
    fn a_snapshot_that_fails_leaves_the_old_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("delivery.ledger");
        Ledger::replace(&path, [row(1, "old")].into_iter()).expect("written");
        let failing = [
            row(2, "new"),
            Err(LedgerError::Format { path: path.clone() }),
        ];
        Ledger::replace(&path, failing.into_iter()).expect_err("the rows failed");
        assert_eq!(Ledger::read(&path).expect("read").len(), 1);
    }
}
