//! Licences, banned crates and sources of everything that is linked, by `deny.toml`.
//!
//! Absent: advisories. They are a database on the network, and this must give the same answer without one.

use std::path::Path;

use crate::{run, tools};

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    tools::ensure_deny(root)?;
    run::run(run::cargo(root).args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
}
