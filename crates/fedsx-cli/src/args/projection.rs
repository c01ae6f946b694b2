//! `projection …`.

use clap::{Args as Group, Subcommand};

use super::Limit;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Projection {
    /// All of them: how far they are folded, and what failed
    List(Limit),
    /// The state of one, of one of its keys, or of its keys one after the other
    Show(Show),
    /// Fold one anew beside what is served, and wait until it takes its place
    Rebuild {
        /// Its name
        name: String,
    },
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Show {
    /// Its name
    pub(crate) name: String,
    /// The key whose state is meant
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The state as it was when this offset of the journal had been folded
    #[arg(long, value_name = "OFFSET")]
    pub(crate) at: Option<u64>,
    /// Wait until this offset is folded, 10 s at most
    #[arg(long, value_name = "OFFSET")]
    pub(crate) wait: Option<u64>,
    /// The newest entries that could not be folded, instead of the state
    #[arg(long, conflicts_with_all = ["key", "at"])]
    pub(crate) failures: bool,
    #[command(flatten)]
    pub(crate) limit: Limit,
}
