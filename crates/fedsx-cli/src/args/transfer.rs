//! `fedsx actor export` and `actor import`: words and flags.

use std::path::PathBuf;

use clap::Args as Group;

/// What the file is sealed under.
#[derive(Clone, Debug, Group)]
pub(crate) struct Sealed {
    /// A file whose first line is the passphrase [default: export makes one up and shows it; import reads it from stdin]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Export {
    /// An actor of this instance
    pub(crate) name: String,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) sealed: Sealed,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Import {
    /// The file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) sealed: Sealed,
}
