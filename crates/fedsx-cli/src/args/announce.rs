//! `announce` and `endorse`.

use clap::Args as Group;

#[derive(Clone, Debug, Group)]
pub(crate) struct Announce {
    /// An actor of this instance
    pub(crate) name: String,
    /// A CID, or the URL of an activity or object; fetched when it is not kept here
    #[arg(value_name = "CID-or-URL")]
    pub(crate) what: String,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Endorse {
    #[command(flatten)]
    pub(crate) object: Announce,
    /// What is said: one word, such as like, agree or reviewed
    #[arg(long, value_name = "KIND", default_value = "like")]
    pub(crate) kind: String,
}
