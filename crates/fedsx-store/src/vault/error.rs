//! What goes wrong with keys at rest. No message holds a secret or part of one.

use std::io;

/// An operational error of the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file operation failed; may be tried again.
    #[error("cannot keep keys in {name}: {source}")]
    Io {
        /// The file or folder in the data directory.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The keys were sealed under another instance secret.
    #[error(
        "the instance secret is not the one that key file {name} was sealed under; \
         start with the secret of this data directory"
    )]
    WrongSecret {
        /// The key file.
        name: String,
    },
    /// There are sealed keys, but the secret is gone.
    #[error(
        "the data directory holds sealed keys but no file `secret`; restore it, or give the secret \
         that they were sealed under"
    )]
    NoSecret,
    /// The secret is too short or no hexadecimal.
    #[error(
        "{source_name} is no instance secret: it takes at least 32 bytes, in a file as hex digits"
    )]
    BadSecret {
        /// Where it came from.
        source_name: &'static str,
    },
    /// A key file was changed or cut, or belongs to another key.
    #[error("key file {name} is damaged; restore it from a backup")]
    Damaged {
        /// The key file.
        name: String,
    },
    /// A key file written by a newer version of this program.
    #[error("key file {name} has format version {version}, written by a newer fedsx")]
    Newer {
        /// The key file.
        name: String,
        /// Its version.
        version: u8,
    },
    /// The key can't be used for what it was asked for, or not be made.
    #[error("the key {key_id} is of another kind than asked for, or cannot be made")]
    Unusable {
        /// The key.
        key_id: String,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

impl VaultError {
    pub(super) fn io(name: &str, source: io::Error) -> Self {
        Self::Io {
            name: name.to_owned(),
            source,
        }
    }
}
