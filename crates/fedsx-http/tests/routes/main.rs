//! The whole surface over a real node: instances in memory that reach each other, and pages of
//! requests with their answers.

mod batches;
mod reading;
mod receiving;
mod setting;
mod synchronization;
