//! Why a data directory is not opened, each with what to do about it.

use std::io;
use std::path::PathBuf;

use fedsx_core::genesis::GenesisError;
use fedsx_core::state::StateError;

use crate::delivery::DeliveryError;
use crate::engine::EngineError;
use crate::journal::JournalError;
use crate::ledger::LedgerError;
use crate::lock::LockError;
use crate::quarantine::QuarantineError;
use crate::queue::AppendError;
use crate::vault::VaultError;
use crate::writer::WriterError;

/// Why a data directory can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it, or it can't be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It belongs to another base URL.
    #[error("{} belongs to {found}, not to {asked}: actors are named by their URL for ever. Start with `--url {found}`", dir.display())]
    OtherUrl {
        /// The directory.
        dir: PathBuf,
        /// The URL it began with.
        found: String,
        /// The URL asked for.
        asked: String,
    },
    /// It was written by another version.
    #[error("{} has format {found:?}, and this fedsx reads format 1", dir.display())]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What the format file says.
        found: String,
    },
    /// It was begun with another genesis.
    #[error("{} was begun with another genesis (`fedsx serve --adopt-genesis` takes the new one): {source}", dir.display())]
    Genesis {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        source: GenesisError,
    },
    /// The adoption of a genesis was not recorded.
    #[error("the adoption of the genesis can't be recorded: {0}")]
    Adoption(#[from] AppendError),
    /// A file of the directory can't be read or written.
    #[error("{what} in {}: {source}", dir.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The keys at rest.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The index can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The writer.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// Delivery progress.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// How far backfills have come.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What is in quarantine.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// An entry can't be read.
    #[error("entry {offset} of the journal can't be read: {source}")]
    Header {
        /// Which.
        offset: u64,
        /// What the decoder said.
        source: minicbor::decode::Error,
    },
}
