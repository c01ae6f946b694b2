//! An engine that is made anew where bytes have to go: what it holds is copied into a directory beside its
//! own, which is then removed with everything that was overwritten or deleted in it.
//!
//! An LSM tree and its log keep such bytes until they happen to be written again, and no engine offers to do
//! that now. Invariants: of several directories the newest whole one counts, and one is whole when it has
//! the mark, which is written last; nobody commits meanwhile, and who reads sees one or the other.
//! Deliberately absent: when to do it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::{Batch, Engine, EngineError, EngineKind, Row, open};

/// Rows copied at once; one may have a megabyte.
const COPIED: usize = 32;

/// The row that says that a directory is whole.
pub(crate) type Mark = (&'static [u8], Vec<u8>);

/// An engine in one of several directories of a name.
#[derive(Debug)]
pub(crate) struct Renewed {
    home: Home,
    kind: EngineKind,
    mark: Mark,
    held: RwLock<Held>,
    /// Held by who commits, and as long as it is copied.
    commits: Mutex<()>,
}

#[derive(Debug)]
struct Held {
    number: u64,
    engine: Arc<dyn Engine>,
}

/// Where the directories are: `NAME`, then `NAME-1` and so on.
#[derive(Debug)]
struct Home {
    parent: PathBuf,
    name: String,
}

impl Home {
    fn directory(&self, number: u64) -> PathBuf {
        self.parent.join(match number {
            0 => self.name.clone(),
            _ => format!("{}-{number}", self.name),
        })
    }

    /// Those that there are, the newest first.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.parent)? {
            let name = entry?.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(&self.name));
            numbers.extend(rest.and_then(|rest| match rest {
                "" => Some(0),
                _ => rest.strip_prefix('-')?.parse().ok(),
            }));
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }
}

impl Renewed {
    /// Opens the newest whole one of a name and removes the others; where there is none, begins one.
    pub(crate) fn open(
        parent: &Path,
        name: String,
        kind: EngineKind,
        mark: Mark,
    ) -> Result<Self, EngineError> {
        let parent = parent.to_owned();
        let home = Home { parent, name };
        let mut held = None;
        let numbers = home.numbers().map_err(|error| failed(&home, kind, error))?;
        for number in numbers {
            if held.is_none() {
                let engine = open(kind, &home.directory(number))?;
                if engine.get(mark.0)?.as_ref() == Some(&mark.1) {
                    held = Some(Held { number, engine });
                    continue;
                }
            }
            remove(&home, kind, number)?;
        }
        let held = match held {
            Some(held) => held,
            None => {
                let engine = open(kind, &home.directory(0))?;
                engine.commit(marking(&mark))?;
                Held { number: 0, engine }
            }
        };
        Ok(Self {
            home,
            kind,
            mark,
            held: RwLock::new(held),
            commits: Mutex::default(),
        })
    }

    /// Copies what there is and lets go of the rest. Takes as long as the disk takes for all of it.
    ///
    /// # Errors
    /// When it can't be copied: what there was is there. When what there was can't be removed: it goes with
    /// the next start.
    pub(crate) fn renew(&self) -> Result<(), EngineError> {
        if self.kind == EngineKind::Memory {
            return Ok(());
        }
        let _no_commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.held().number + 1;
        remove(&self.home, self.kind, number)?;
        let engine = open(self.kind, &self.home.directory(number))?;
        self.copy_into(&*engine)?;
        let next = Held { number, engine };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads it any more, and it is closed before its files go.
        let old = std::mem::replace(&mut *held, next).number;
        drop(held);
        remove(&self.home, self.kind, old)
    }

    fn copy_into(&self, engine: &dyn Engine) -> Result<(), EngineError> {
        let mut from = Vec::new();
        loop {
            let rows = self.held().engine.scan(&from, &[], COPIED, false)?;
            let Some((last, _)) = rows.last() else { break };
            from.clone_from(last);
            from.push(0);
            let mut batch = Batch::new();
            for (key, value) in rows {
                if key != self.mark.0 {
                    batch.put(key, value);
                }
            }
            engine.commit(batch)?;
        }
        engine.flush()?;
        engine.commit(marking(&self.mark))?;
        engine.flush()
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for Renewed {
    fn kind(&self) -> EngineKind {
        self.kind
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.held().engine.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        self.held().engine.scan(from, to, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let _one = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        self.held().engine.commit(batch)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.held().engine.flush()
    }
}

fn marking(mark: &Mark) -> Batch {
    let mut batch = Batch::new();
    batch.put(mark.0, mark.1.clone());
    batch
}

fn remove(home: &Home, kind: EngineKind, number: u64) -> Result<(), EngineError> {
    match fs::remove_dir_all(home.directory(number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(home, kind, error)),
        _ => Ok(()),
    }
}

fn failed(home: &Home, kind: EngineKind, error: io::Error) -> EngineError {
    EngineError::Open {
        kind,
        dir: home.parent.join(&home.name),
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a value that is nowhere else";

    fn holds(dir: &Path) -> bool {
        fs::read_dir(dir).expect("a directory").any(|entry| {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                return holds(&path);
            }
            let bytes = fs::read(path).expect("a file");
            memchr::memmem::find(&bytes, SECRET).is_some()
        })
    }

    fn opened(dir: &Path, kind: EngineKind) -> Renewed {
        let mark: Mark = (&[1], vec![7]);
        Renewed::open(dir, "states".to_owned(), kind, mark).expect("opened")
    }

    #[test]
    fn what_was_deleted_is_gone_from_the_disk_and_the_rest_is_there() {
        for kind in EngineKind::ALL {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let engine = opened(dir.path(), kind);
            for number in 0..100_u8 {
                let mut batch = Batch::new();
                batch.put([2, number], [number]);
                batch.put([3, number], SECRET);
                engine.commit(batch).expect("committed");
            }
            engine.flush().expect("flushed");
            for number in 0..100_u8 {
                let mut batch = Batch::new();
                batch.delete([3, number]);
                engine.commit(batch).expect("committed");
            }
            let before = engine.scan(&[], &[], 1_000, false).expect("read");
            engine.renew().expect("made anew");
            assert_eq!(engine.scan(&[], &[], 1_000, false).expect("read"), before);
            assert!(!holds(dir.path()), "{kind}");
            if kind == EngineKind::Memory {
                continue;
            }
            drop(engine);
            // One that was not finished counts for nothing, nor does what stands behind a whole one.
            drop(open(kind, &dir.path().join("states-7")).expect("opened"));
            drop(open(kind, &dir.path().join("states")).expect("opened"));
            let engine = opened(dir.path(), kind);
            assert_eq!(engine.scan(&[], &[], 1_000, false).expect("read"), before);
            let left = fs::read_dir(dir.path()).expect("a directory").count();
            assert_eq!(left, 1);
        }
    }
}
