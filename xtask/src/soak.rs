//! `cargo xtask soak`: the same tests for longer. Process tests read `FEDSX_SOAK` (more kills, more notes, every
//! engine), properties read `PROPTEST_CASES`. Not part of `ci`: it takes the better part of an hour.

use std::path::Path;

use crate::{run, tools};

/// Cases of each property; 256 without.
const CASES: &str = "20000";

/// Runs the tests that have a long version; further arguments go to nextest.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    tools::check_system()?;
    tools::ensure_nextest(root)?;
    let mut nextest = run::cargo(root);
    nextest
        .args(["nextest", "run", "--workspace", "--profile", "soak"])
        .args(arguments)
        .env("FEDSX_SOAK", "1")
        .env("PROPTEST_CASES", CASES);
    run::run(&mut nextest)
}
