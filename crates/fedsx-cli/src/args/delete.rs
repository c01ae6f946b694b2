//! `delete`.

use clap::Args as Group;

#[derive(Clone, Debug, Group)]
pub(crate) struct Delete {
    /// An actor of this instance
    pub(crate) name: String,
    /// A CID, or the URL of an activity or object; a `Create` named by its CID stands for its object
    #[arg(value_name = "CID-or-URL")]
    pub(crate) what: String,
}
