//! The only crate of fed-sx that dials out: the guarded client, documents fetched through it,
//! WebFinger, the cache of peers' actor documents; and what this instance says of itself under
//! `/.well-known/`.
//!
//! Deliberately absent: any other outbound client towards peers, storage, and decisions about what
//! a fetched document may change.

pub mod actor_cache;
pub mod budget;
pub mod client;
pub mod clock;
pub mod document;
pub mod guard;
pub mod log;
pub mod nodeinfo;
pub mod pool;
pub mod webfinger;

#[cfg(test)]
mod scripted;
