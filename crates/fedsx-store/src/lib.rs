//! Everything of fed-sx that touches the disk: the journal, its index, the keys at rest (design,
//! section 4).
//!
//! The journal is the truth; the index is what it folds into and may be thrown away. Nothing here
//! knows HTTP or decides what may be said.

pub mod delivery;
pub mod engine;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod vault;
