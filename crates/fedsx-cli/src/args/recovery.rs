//! `fedsx actor recovery-key …`: words and flags.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RecoveryKey {
    /// Make one, once: the server is told what it is known by, and nothing else of it
    Create {
        /// Whose
        name: String,
        /// The file to write it to, which must not be there yet [default: it is shown, this once]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Replace every key of an actor by it: it is spent by that, and another takes its place
    Use {
        /// Whose
        name: String,
        /// The file with it; `-` is stdin
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The file to write the next one to, which must not be there yet [default: it is shown, this once]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
