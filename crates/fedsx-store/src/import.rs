//! Imports of actors at rest: what was checked waits here until the writer takes it as a whole.
//!
//! ```text
//! DIR/import/staged   entries without offsets: lengths of header and payload (4 bytes each, big-endian), time
//!                     received (8), header, payload
//! DIR/import/marker   while the writer appends: the end of the journal before, and the keys that come in
//! ```
//! Invariant: an import counts as soon as the marker is gone, and not before: [`undo`], at the next start, cuts the
//! journal back to where it was and removes the keys. Whatever is left here is removed then. Deliberately absent:
//! what is checked (core, node).

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fedsx_core::entry::Subject;
use fedsx_core::export::SecretKey;

use crate::journal::{Directory, Files, Place, cut_back};
use crate::store::{StoreError, io_error};
use crate::vault::{remove_key, replace};

const FOLDER: &str = "import";
const STAGED: &str = "staged";
const MARKER: &str = "marker";
/// What may be staged, bytes.
const STAGED_BYTES: u64 = 64 << 30;

/// The one place for an import; taken by one at a time.
#[derive(Clone, Debug)]
pub struct Imports {
    dir: PathBuf,
    taken: Arc<AtomicBool>,
}

/// Why nothing can be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Another import is under way.
    #[error("another import is under way")]
    Taken,
    /// It is too large.
    #[error("an import of more than {STAGED_BYTES} bytes is not taken")]
    TooLarge,
    /// The disk.
    #[error("an import can't be staged: {0}")]
    Io(#[from] io::Error),
}

impl Imports {
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.join(FOLDER),
            taken: Arc::default(),
        }
    }

    /// Begins an import, if there is none.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn stage(&self) -> Result<Staging, StageError> {
        if self.taken.swap(true, Ordering::SeqCst) {
            return Err(StageError::Taken);
        }
        // From here on dropping it lets the place go.
        let held = Held(self.clone());
        Directory::open(&self.dir)?;
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(self.dir.join(STAGED))?;
        Ok(Staging {
            file: BufWriter::new(file),
            bytes: 0,
            entries: 0,
            held,
        })
    }
}

/// The place while it is taken. What is in it goes with it.
#[derive(Debug)]
struct Held(Imports);

impl Drop for Held {
    fn drop(&mut self) {
        let Imports { dir, taken } = &self.0;
        // While there is a marker, what is here is for the next start.
        if !dir.join(MARKER).exists()
            && let Err(error) = fs::remove_dir_all(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what was staged is removed at the next start");
        }
        taken.store(false, Ordering::SeqCst);
    }
}

/// An import being checked. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Staging {
    file: BufWriter<File>,
    bytes: u64,
    entries: u64,
    held: Held,
}

impl Staging {
    /// Adds an entry, whose actor is number 0 for now.
    ///
    /// # Errors
    /// [`StageError`].
    pub fn push(
        &mut self,
        subject: &Subject,
        received_ms: i64,
        payload: &[u8],
    ) -> Result<(), StageError> {
        let header = minicbor::to_vec(subject).expect("writing to a Vec can't fail");
        self.bytes += (16 + header.len() + payload.len()) as u64;
        let lengths = (u32::try_from(header.len()), u32::try_from(payload.len()));
        let (Ok(header_len), Ok(payload_len), true) =
            (lengths.0, lengths.1, self.bytes <= STAGED_BYTES)
        else {
            return Err(StageError::TooLarge);
        };
        self.file.write_all(&header_len.to_be_bytes())?;
        self.file.write_all(&payload_len.to_be_bytes())?;
        self.file.write_all(&received_ms.to_be_bytes())?;
        self.file.write_all(&header)?;
        self.file.write_all(payload)?;
        self.entries += 1;
        Ok(())
    }

    /// Everything is checked: what the writer takes, with the actor's keys.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub fn checked(
        self,
        name: String,
        url: String,
        keys: Vec<SecretKey>,
    ) -> Result<Staged, StageError> {
        let Self {
            file,
            entries,
            held,
            ..
        } = self;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Staged {
            name,
            url,
            keys,
            left: entries,
            file: BufReader::new(file),
            held,
        })
    }
}

/// A checked import, for the writer.
#[derive(Debug)]
pub struct Staged {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) keys: Vec<SecretKey>,
    left: u64,
    file: BufReader<File>,
    held: Held,
}

impl Staged {
    /// The next entry: what it is, when it was received, its payload.
    pub(crate) fn next(&mut self) -> io::Result<Option<(Subject, i64, Bytes)>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut head = [0; 16];
        self.file.read_exact(&mut head)?;
        let length = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_be_bytes(bytes) as usize
        };
        let mut header = vec![0; length(0)];
        let mut payload = vec![0; length(4)];
        self.file.read_exact(&mut header)?;
        self.file.read_exact(&mut payload)?;
        let received_ms = i64::from_be_bytes(*head.last_chunk().expect("16 bytes"));
        let subject = minicbor::decode(&header).map_err(io::Error::other)?;
        Ok(Some((subject, received_ms, payload.into())))
    }

    /// Says, durably, that what follows is undone unless [`Staged::commit`] comes.
    pub(crate) fn mark(&self, end: Place) -> io::Result<()> {
        let mut text = format!("{} {}\n", end.segment, end.position);
        for key in &self.keys {
            text.push_str(&key.id);
            text.push('\n');
        }
        replace(&self.directory()?, MARKER, text.as_bytes())
    }

    /// It counts from now on.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let directory = self.directory()?;
        directory.remove(MARKER)?;
        directory.sync_dir()
    }

    fn directory(&self) -> io::Result<Directory> {
        Directory::open(&self.held.0.dir)
    }
}

/// Undoes the import that a process was killed in, if there is one. Tells whether there was.
pub(crate) fn undo(dir: &Path) -> Result<bool, StoreError> {
    let folder = dir.join(FOLDER);
    let failed = |source| io_error("undo an unfinished import", dir, source);
    let marker = match fs::read_to_string(folder.join(MARKER)) {
        Ok(marker) => Some(marker),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(marker) = &marker {
        let mut lines = marker.lines();
        let place = lines.next().and_then(|line| line.split_once(' '));
        let place = place.and_then(|(segment, position)| {
            Some(Place {
                segment: segment.parse().ok()?,
                position: position.parse().ok()?,
            })
        });
        let place = place.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        cut_back(
            &Directory::open(dir.join("journal")).map_err(failed)?,
            place,
        )?;
        for key_id in lines {
            remove_key(dir, key_id)?;
        }
        // Only now, so that a kill in between has it done again.
        let directory = Directory::open(&folder).map_err(failed)?;
        directory.remove(MARKER).map_err(failed)?;
        directory.sync_dir().map_err(failed)?;
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(marker.is_some()),
    }
}
