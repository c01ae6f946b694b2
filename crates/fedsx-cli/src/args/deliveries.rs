//! `fedsx deliveries` and `fedsx dead-letters`: words and flags.

use clap::{Args as Group, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Deliveries {
    /// Try a host that fails at once, also where it is dormant
    Wake {
        /// Its name, with the port where it has one
        host: String,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Put them back into their queues
    Retry(Letters),
    /// Drop them
    Drop(Letters),
}

#[derive(Clone, Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Letters {
    /// The id of one
    pub(crate) id: Option<String>,
    /// All to one host
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}
