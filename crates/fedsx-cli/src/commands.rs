//! The commands, one family a file: each asks the admin API and writes the answer.

pub(crate) mod actor;
pub(crate) mod backfill;
pub(crate) mod connect;
pub(crate) mod define;
pub(crate) mod deliveries;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod follow;
pub(crate) mod genesis;
pub(crate) mod group;
pub(crate) mod host;
pub(crate) mod log;
pub(crate) mod peer;
pub(crate) mod post;
pub(crate) mod projection;
pub(crate) mod quarantine;
pub(crate) mod read;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod sx;
mod token;
mod transfer;
pub(crate) mod triggers;
