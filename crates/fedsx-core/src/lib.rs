//! The pure kernel of fed-sx: values, canonical form, proofs, what may be said and what it changes.
//!
//! Nothing here reads a clock, a random source, a file or the network: time, ids and facts come in
//! as arguments.

pub mod actor;
pub mod address;
pub mod apply;
pub mod audience;
pub mod backfill;
pub mod batch;
pub mod blob;
pub mod canonical;
pub mod cid;
pub mod context;
pub mod decide;
pub mod definition;
pub mod entry;
pub mod envelope;
pub mod evidence;
pub mod export;
pub mod follow;
pub mod genesis;
pub mod group;
pub mod http_signature;
pub mod key;
pub mod limits;
pub mod notation;
pub mod projection;
pub mod proof;
pub mod reader;
pub mod refusal;
pub mod registry;
pub mod state;
pub mod time;
pub mod tombstone;
pub mod transparency;
pub mod trigger;
pub mod trust;
pub mod value;
