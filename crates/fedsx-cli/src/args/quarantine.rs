//! `fedsx quarantine …`: words and flags.

use clap::Subcommand;

use super::Limit;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// Everything in it, newest first
    List(Limit),
    /// One, with its document
    Show {
        /// Its CID
        cid: String,
    },
    /// Take one all the same: only what refused it lets it pass
    Release {
        /// Its CID
        cid: String,
    },
    /// Let one go for good
    Discard {
        /// Its CID
        cid: String,
    },
}
