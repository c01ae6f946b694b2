//! The data directory's lock: one process at a time.
//!
//! Invariant: the lock is the operating system's (`flock`), so it goes with the process however that
//! ends; the pid written in the file is for people only. Deliberately absent: waiting, and taking a lock
//! from another.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file that is locked, in the data directory.
const NAME: &str = "lock";

/// A data directory that is ours until this is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a data directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} is in use by {}; stop it first, or choose another --data-dir",
        dir.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Held {
        /// The data directory.
        dir: PathBuf,
        /// The process, if the lock file tells.
        pid: Option<u32>,
    },
    /// The lock file can't be made or locked.
    #[error("cannot lock {}: {source}", dir.display())]
    Io {
        /// The data directory.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Locks a data directory, which must exist.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process (or another lock of this one) has it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            dir: dir.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(NAME))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    dir: dir.to_owned(),
                    pid: written_pid(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{DirectoryLock, LockError};

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lock = DirectoryLock::acquire(dir.path()).expect("free");
        match DirectoryLock::acquire(dir.path()) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("two holders: {other:?}"),
        }
        drop(lock);
        DirectoryLock::acquire(dir.path()).expect("free again");
    }

    #[test]
    fn the_refusal_names_the_directory_and_the_process() {
        let held = LockError::Held {
            dir: "./fedsx-data".into(),
            pid: Some(4711),
        };
        insta::assert_snapshot!(held, @"./fedsx-data is in use by process 4711; stop it first, or choose another --data-dir");
    }
}
