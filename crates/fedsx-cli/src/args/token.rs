//! `fedsx actor token …`: words and flags.

use clap::{Subcommand, ValueEnum};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue one; it is shown this once
    Create {
        /// Whose
        name: String,
        /// What it is good for: publishing as the actor, reading its inbox, or both
        #[arg(long = "scope", value_enum, value_delimiter = ',', default_values_t = [Scope::Publish, Scope::Read])]
        scopes: Vec<Scope>,
    },
    /// All of an actor, without their secrets
    List {
        /// Whose
        name: String,
    },
    /// Take one back: it is good for nothing from then on
    Revoke {
        /// Whose
        name: String,
        /// Its id, as `list` shows it
        id: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Scope {
    Publish,
    Read,
}

impl Scope {
    /// Its name, as the server knows it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
        }
    }
}
