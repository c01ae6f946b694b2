//! `fedsx peer …`: words and flags.

use clap::Subcommand;

use super::Limit;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Peer {
    /// Shut an actor of another host out, for every actor here: follows both ways end, and nothing goes either way
    Block {
        /// Its handle or URL
        who: String,
    },
    /// Let a blocked actor in again; what the block ended stays ended
    Unblock {
        /// Its handle or URL
        who: String,
    },
    /// The blocked actors
    List(Limit),
    /// Compare who follows WHO from here with what its server says, and mend what differs
    Compare {
        /// Its handle or URL
        who: String,
    },
}
