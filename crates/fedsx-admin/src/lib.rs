//! The gRPC admin API `fedsx.admin.v1` and its client (design, section 12).
//!
//! One file per service; what comes in is read in `from_proto`, what goes out is written in
//! `to_proto`. Invariant: every service of the package needs the bearer token, checked in one place
//! (`guard`) for the whole package, so that a new service can't forget it; health and reflection
//! alone are open. Deliberately absent: flags, files, and any rule of the protocol (the node's).

pub mod client;
pub mod proto;

mod activities;
mod actors;
mod backfills;
mod definitions;
mod deliveries;
mod explain;
mod follows;
mod from_proto;
mod groups;
mod guard;
mod instance;
mod keys;
mod logs;
mod page;
mod peers;
mod projections;
mod quarantine;
mod refused;
mod serve;
mod tail;
mod timeline;
mod to_proto;
mod transfer;
mod triggers;

pub use deliveries::{
    Backlog, DeadLetter, DeliveryAdmin, DeliveryRecord, Lane, Selection, WaitingOf,
};
pub use guard::Token;
pub use serve::{About, AdminState, ServeError, serve};
