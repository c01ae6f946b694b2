//! `admin.json` in the data directory: how a client finds the running server of that directory.
//!
//! Invariant: the file has mode 0600 before the token stands in it, and appears whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const NAME: &str = "admin.json";

/// What the file says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdminFile {
    /// The admin address.
    pub(crate) url: String,
    /// The bearer token.
    pub(crate) token: String,
    /// The server's process.
    pub(crate) pid: u32,
}

/// Removes the file when the server ends.
#[derive(Debug)]
pub(crate) struct Written {
    path: PathBuf,
}

impl AdminFile {
    /// Writes the file.
    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<Written> {
        let path = data_dir.join(NAME);
        let new = data_dir.join(format!("{NAME}.new"));
        // A leftover may have another mode, so it is never written into.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        drop(file);
        fs::rename(&new, &path)?;
        Ok(Written { path })
    }

    /// Reads the file; `None` when there is none.
    pub(crate) fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(data_dir.join(NAME)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the admin file stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_private_and_goes_with_the_server() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert!(AdminFile::read(dir.path()).expect("readable").is_none());
        let file = AdminFile {
            url: "http://127.0.0.1:1".into(),
            token: "t".into(),
            pid: 7,
        };
        fs::write(dir.path().join("admin.json.new"), "left over").expect("a leftover");
        let written = file.write(dir.path()).expect("written");
        let mode = fs::metadata(dir.path().join(NAME))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(AdminFile::read(dir.path()).expect("readable") == Some(file));
        drop(written);
        assert!(!dir.path().join(NAME).exists());
    }
}
