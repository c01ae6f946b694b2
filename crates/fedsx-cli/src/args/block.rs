//! `fedsx block` and `unblock`: words and flags.

use clap::Args as Group;

#[derive(Clone, Debug, Group)]
pub(crate) struct Blocked {
    /// An actor of this instance
    pub(crate) name: String,
    /// acct:user@host, @user@host, an actor's URL, or a name of this instance
    #[arg(required_unless_present = "host")]
    pub(crate) who: Option<String>,
    /// Everybody on a host, `example.org` or with a port, for this actor alone
    #[arg(long, conflicts_with = "who")]
    pub(crate) host: Option<String>,
}
