//! `fedsx log …` and what `fedsx verify` can check besides: words and flags.

use clap::Subcommand;

use super::Limit;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Log {
    /// Have an actor of this instance begin another verifiable log; one that came back from a copy publishes again then
    Begin {
        /// Its name
        name: String,
    },
    /// The evidence that logs of others contradict themselves; `--output json` exports all of it
    Forks(Limit),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verify {
    /// Walk the verifiable log of a remote actor, and say what that proved; needs the server
    Actor {
        /// Its handle or URL
        who: String,
        /// How many activities are fetched and verified, from the newest back
        #[arg(long, value_name = "N", default_value_t = 100)]
        activities: u64,
        /// How many leaves are read, from the newest back; 0 is as many as is usual
        #[arg(long, value_name = "N", default_value_t = 0)]
        leaves: u64,
    },
}
