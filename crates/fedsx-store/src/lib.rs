//! Everything of fed-sx that touches the disk: the journal, its index, the keys at rest (design,
//! section 4).
//!
//! The journal is the truth; the index is what it folds into and may be thrown away. Nothing here
//! knows HTTP or decides what may be said.

pub mod backfill;
mod blobs;
mod cache;
pub mod check;
mod chunk;
mod definitions;
pub mod delivery;
pub mod engine;
mod erasure;
pub mod export;
mod flusher;
mod followers;
mod genesis;
mod groups;
mod hosts;
mod import;
mod index;
pub mod journal;
mod kept;
mod known;
pub mod ledger;
pub mod lock;
mod partial;
pub mod projections;
pub mod quarantine;
mod queue;
mod recent;
pub mod schema;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod stored;
mod tail;
mod transparency;
mod triggers;
pub mod vault;
mod view;
mod writer;

pub use blobs::Found as FoundBlob;
pub use erasure::Deletion;
pub use followers::FollowersPage;
pub use genesis::compare_genesis;
pub use import::{Imports, StageError, Staged, Staging};
pub use kept::KeptUnder;
pub use partial::UrlHash;
pub use queue::{AppendError, Appended, Priority};
pub use store::{Report, Store, StoreError, StoreOptions, recorded_url};
pub use stored::Stored;
pub use tail::{Reading, Tail};
pub use view::{InLog, ReadError, SeqRange, View};
pub use writer::{Answer, WriterError, WriterHandle};
