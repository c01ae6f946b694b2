//! The ordered key-value store under the index: one trait, one file per engine, one contract suite
//! (`tests/engine_contract.rs`) that every engine passes.
//!
//! Invariant: what an engine holds is always the effect of a prefix of the batches committed to it,
//! whole batches only, and that prefix reaches at least to the last `flush`. What it lost behind that
//! is applied again from the journal, which is the truth; so a whole index may be thrown away.
//! Deliberately absent: transactions, snapshots over several reads, and any knowledge of what the rows
//! mean (that is `schema.rs`). Design, section 4, "Index".

mod fjall;
mod memory;
mod renewed;
#[cfg(feature = "sled")]
mod sled;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

pub use self::memory::MemoryEngine;
pub(crate) use self::renewed::Renewed;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// An ordered key-value store. One writer commits; any number of threads read beside it.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Which engine this is, as in `--store`.
    fn kind(&self) -> EngineKind;

    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// [`EngineError::Read`] when the store can't be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The rows whose keys lie in `[from, to)`, ascending, or descending when `reverse`, at most
    /// `limit`; an empty `to` stands for the end of the key space. All from one moment: no batch is
    /// seen in part.
    ///
    /// # Errors
    /// [`EngineError::Read`] when the store can't be read.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError>;

    /// The rows whose keys begin with `prefix`; otherwise like [`Engine::scan`].
    ///
    /// # Errors
    /// [`EngineError::Read`] when the store can't be read.
    fn scan_prefix(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        self.scan(prefix, &prefix_end(prefix), limit, reverse)
    }

    /// Applies a batch as a whole: after the return every reader sees all of it, and after a crash all
    /// of it is there or nothing. Durable only with the next [`Engine::flush`].
    ///
    /// # Errors
    /// [`EngineError::Commit`]; the engine must then be opened anew.
    fn commit(&self, batch: Batch) -> Result<(), EngineError>;

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// [`EngineError::Flush`]; the engine must then be opened anew.
    fn flush(&self) -> Result<(), EngineError>;
}

/// Puts and deletes that are applied together, in order: of two writes to one key the later wins.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Batch {
    /// A batch that does nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.0.push((key.into(), Some(value.into())));
    }

    /// Removes `key`; no error when it is not there.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }

    /// Whether there is nothing to apply.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The writes, in order; `None` deletes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// What the writes so far make of `key`: `None` when they don't touch it, `Some(None)` when they
    /// delete it. Linear in the batch, newest first.
    #[must_use]
    pub fn peek(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0
            .iter()
            .rev()
            .find(|(written, _)| written == key)
            .map(|(_, value)| value.as_deref())
    }
}

impl IntoIterator for Batch {
    type Item = (Vec<u8>, Option<Vec<u8>>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} writes)", self.0.len())
    }
}

/// The engines there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EngineKind {
    /// An LSM tree on disk; the default.
    Fjall,
    /// A B+ tree on disk, behind the cargo feature `sled`.
    Sled,
    /// Nothing on disk: rebuilt from the journal at each start.
    Memory,
}

impl EngineKind {
    /// Every engine, the default first.
    pub const ALL: [Self; 3] = [Self::Fjall, Self::Sled, Self::Memory];

    /// Its name in `--store`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A `--store` that names no engine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no store {0:?}; there are fjall, sled and memory")]
pub struct UnknownEngine(pub String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// What goes wrong in an engine. None of it is worth a retry on the open engine; opening it anew and
/// applying the journal again is what mends it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store could not be opened or made.
    #[error("cannot open the {kind} index in {}: {source}", dir.display())]
    Open {
        /// Which engine.
        kind: EngineKind,
        /// Where.
        dir: PathBuf,
        /// What the engine said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A read failed.
    #[error("cannot read the {kind} index: {source}")]
    Read {
        /// Which engine.
        kind: EngineKind,
        /// What the engine said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A batch was not applied.
    #[error("cannot write the {kind} index: {source}")]
    Commit {
        /// Which engine.
        kind: EngineKind,
        /// What the engine said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What was committed may not be durable.
    #[error("cannot flush the {kind} index: {source}")]
    Flush {
        /// Which engine.
        kind: EngineKind,
        /// What the engine said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The engine was left out of this build.
    #[error("this build has no {0} store: build it with the cargo feature of that name")]
    NotBuilt(EngineKind),
}

/// Opens the engine in `dir` (made when missing; the memory engine touches no disk).
///
/// # Errors
/// [`EngineError::Open`], or [`EngineError::NotBuilt`] for an engine left out of this build.
pub fn open(kind: EngineKind, dir: &Path) -> Result<Arc<dyn Engine>, EngineError> {
    match kind {
        EngineKind::Fjall => Ok(Arc::new(fjall::FjallEngine::open(dir)?)),
        #[cfg(feature = "sled")]
        EngineKind::Sled => Ok(Arc::new(sled::SledEngine::open(dir)?)),
        #[cfg(not(feature = "sled"))]
        EngineKind::Sled => Err(EngineError::NotBuilt(kind)),
        EngineKind::Memory => Ok(Arc::new(MemoryEngine::default())),
    }
}

/// The first key behind all keys that begin with `prefix`; empty, which [`Engine::scan`] takes for the
/// end of the key space, when there is none.
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix
        .iter()
        .rposition(|&byte| byte != u8::MAX)
        .map_or(0, |last| last + 1);
    let mut end = prefix[..kept].to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Whether `[from, to)` can hold no key, so that engines need not agree on inverted ranges.
fn is_empty_range(from: &[u8], to: &[u8]) -> bool {
    !to.is_empty() && from >= to
}
