//! The HTTP surface of fed-sx: what peers and readers may ask, and how it is answered.
//!
//! Routes translate between HTTP and the node and decide nothing: what an activity means is judged
//! in `fedsx-node` and below. Each route family is one file. Deliberately absent: outbound requests,
//! and what the admin listener offers beyond [`admin_router`].

mod actor;
mod admin;
mod admission;
mod answer;
mod batch;
mod bearer;
mod blob;
mod body;
mod document;
mod forwarded;
mod inbox;
mod itself;
mod log;
mod metrics;
mod negotiate;
mod outbox;
mod problem;
mod projections;
mod publish;
mod query;
mod reader;
mod request_id;
mod router;
mod serve;
mod surface;
mod synchronization;
mod wellknown;

pub use admin::{AdminState, admin_router};
pub use metrics::{Metrics, counter, gauge};
pub use router::{HttpOptions, HttpState, router};
pub use serve::{ServeOptions, serve};
