//! Delivery of what is published: fan-out to recipients, a lane per host, retries (design, section 9.2).
//!
//! At least once out: an item leaves the queue when the peer answered, never before. The queue itself is
//! rows of the store; here is what reads them, sends, and decides what an answer means.

pub mod attempt;
mod delivery;
pub mod fanout;
pub mod lane;
mod options;
pub mod outbound;
mod over_node;
pub mod scheduler;

pub use self::delivery::{Contacts, Delivery, LaneStatus, Selection, Totals, UNEXPANDED};
pub use self::options::DeliveryOptions;
pub use self::over_node::OverNode;
