//! `fedsx follow` and `fedsx backfill …`: words and flags.

use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct Follow {
    /// An actor of this instance
    pub(crate) name: String,
    /// acct:user@host, @user@host, an actor's URL, or a name of this instance
    pub(crate) who: String,
    /// What of WHO's past to ask for: none, last:N, window:SECONDS, since:CID or full [default: that of the server]
    #[arg(long, value_name = "MODE")]
    pub(crate) backfill: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Backfill {
    /// An actor of this instance
    pub(crate) name: String,
    /// Whom it follows; without, all that it asked for is listed
    pub(crate) who: Option<String>,
    /// Begin anew: last:N, window:SECONDS, since:CID or full [default: go on with what was asked for]
    #[arg(long, value_name = "MODE", requires = "who")]
    pub(crate) mode: Option<String>,
    /// Don't wait for the end
    #[arg(long, requires = "who")]
    pub(crate) detach: bool,
    /// How many to list at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}
