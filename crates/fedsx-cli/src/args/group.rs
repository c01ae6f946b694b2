//! `fedsx group …`: words and flags.

use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Group {
    /// Have a group add somebody: to its members, or to those who control it
    Add(Appointed),
    /// Have a group remove somebody; of a member the follow ends as well
    Remove(Appointed),
    /// A group, with those who control it and the members that were added
    Show {
        /// A group of this instance
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Appointed {
    /// A group of this instance
    pub(crate) name: String,
    /// `acct:user@host`, `@user@host`, an actor's URL, or a name of this instance
    pub(crate) who: String,
    /// Who decides what is in the group and who is
    #[arg(long, conflicts_with = "member")]
    pub(crate) controller: bool,
    /// Who may follow it without being asked, where it is closed; the default
    #[arg(long)]
    pub(crate) member: bool,
}
