//! `fedsx host …`: words and flags.

use clap::Subcommand;

use super::Limit;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Host {
    /// Shut a host out: nothing is taken from it, fetched from it or delivered to it
    Block {
        /// `example.org`, or with a port
        host: String,
    },
    /// Let a blocked host in again
    Unblock {
        /// `example.org`, or with a port
        host: String,
    },
    /// The blocked hosts
    List {
        /// Those that an actor of this instance blocks for itself
        #[arg(long, value_name = "NAME")]
        of: Option<String>,
        #[command(flatten)]
        limit: Limit,
    },
}
