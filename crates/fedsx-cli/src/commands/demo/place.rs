//! The demo's temporary directory, gone when it is dropped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;

/// Lines of a log shown when something went wrong.
const LINES: usize = 20;

#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> anyhow::Result<Self> {
        let number = getrandom::u64().context("no randomness")?;
        let path = env::temp_dir().join(format!("fedsx-demo-{number:016x}"));
        fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Shows the ends of the logs on stderr.
    pub(super) fn show_logs(&self) {
        let mut err = anstream::stderr();
        for name in ["a", "b"] {
            let Ok(log) = fs::read_to_string(self.0.join(format!("{name}.log"))) else {
                continue;
            };
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
            // Nothing is left to be done when stderr is gone too.
            let _ = writeln!(err, "\nthe end of {}'s log:\n{end}", name.to_uppercase());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What can't be removed lies in the system's temporary directory, which is cleared by others.
        let _ = fs::remove_dir_all(&self.0);
    }
}
