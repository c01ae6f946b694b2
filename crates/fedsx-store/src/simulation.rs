//! A store for simulations: its writer is stepped by hand, its journal lies on a disk and its index in an engine that lose
//! what a crash loses.
//!
//! Invariant: between two calls of [`Stepper`] nothing happens, and what a call does depends on nothing but the calls
//! before it. Nothing of this is compiled but for tests (feature `simulation`). Deliberately absent: threads, and a
//! disk for what is durable apart from the journal (keys, quarantine, the ledger), which lie in a real directory.

mod disk;
mod engine;

use std::path::Path;
use std::sync::Arc;

use fedsx_core::export::SecretKey;
use fedsx_core::state::At;

use crate::chunk::batch_of;
use crate::engine::{Engine, EngineError};
use crate::erasure::Erasure;
use crate::index::Pending;
use crate::journal::Files;
use crate::queue::Queue;
use crate::schema::Table;
use crate::store::{Opened, Report, Store, StoreError, StoreOptions, applied};
use crate::vault::VaultError;
use crate::view::ReadError;
use crate::writer::{Writer, WriterError};

pub use disk::{CrashDisk, Dice};
pub use engine::CrashEngine;

/// What the threads of a store do, one step at a time.
#[derive(Debug)]
pub struct Stepper {
    writer: Writer,
    queue: Arc<Queue>,
    erasure: Erasure,
    engine: Arc<dyn Engine>,
}

/// Opens a data directory whose journal lies in `files` and whose index is `engine`, with nothing running.
///
/// # Errors
/// As [`Store::open`].
pub fn open(
    dir: &Path,
    options: &StoreOptions,
    files: Arc<dyn Files>,
    engine: Arc<dyn Engine>,
) -> Result<(Store, Stepper, Report), StoreError> {
    let Opened {
        store,
        writer,
        erasure,
        cache,
        report,
    } = Opened::with(dir, options, || applied(files, engine, options))?;
    cache.learn_all(&*writer.engine, &|| false)?;
    let stepper = Stepper {
        queue: store.queue(),
        engine: Arc::clone(&writer.engine),
        writer,
        erasure,
    };
    Ok((store, stepper, report))
}

/// Keeps a secret key as if an unfinished try had left it: who asks for a key of that id gets this one, and nothing is drawn.
///
/// # Errors
/// When it can't be kept.
pub fn leave_key(store: &Store, key: &SecretKey) -> Result<(), VaultError> {
    store.vault().adopt(key)
}

impl Stepper {
    /// The same with the deliberate fault that replay marks are committed apart from their entries, and later.
    #[must_use]
    pub const fn with_marks_apart(mut self) -> Self {
        self.writer.marks_apart = true;
        self
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.queue.is_waiting()
    }

    /// Writes what waits, as one batch.
    ///
    /// # Errors
    /// When the journal or the index failed; then whoever waits has been told, and all that comes is refused.
    pub fn write(&mut self) -> Result<(), WriterError> {
        let inputs = self.queue.take_now();
        let written = self.writer.step(inputs);
        if written.is_err() {
            self.queue.abandon();
        }
        written
    }

    /// Overwrites some of what is erased, if there is any.
    ///
    /// # Errors
    /// When that could not be.
    pub fn overwrite(&mut self) -> Result<bool, ReadError> {
        self.erasure.step()
    }

    /// Makes the index durable.
    ///
    /// # Errors
    /// When the index failed.
    pub fn flush(&mut self) -> Result<(), EngineError> {
        self.engine.flush()
    }
}

/// The deliberate fault: the rows of an entry, and by a second commit its replay marks.
pub(crate) fn commit_marks_apart(
    engine: &dyn Engine,
    rows: Pending,
    last: At,
) -> Result<(), EngineError> {
    let is_mark = |key: &[u8]| matches!(key.first(), Some(table) if *table == Table::Seen as u8);
    let (marks, rows) = rows.into_iter().partition(|(key, _)| is_mark(key));
    engine.commit(batch_of(rows, last))?;
    engine.commit(batch_of(marks, last))
}
