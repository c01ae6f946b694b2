//! `cargo xtask replay SEED`: one seed of the simulation of several instances, each step told.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::run;

/// Runs the seed that the one argument says.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let [seed] = arguments else {
        bail!("say which seed: `cargo xtask replay SEED`");
    };
    let seed: u64 = seed
        .parse()
        .with_context(|| format!("a seed is a whole number, not `{seed}`"))?;
    let mut test = run::cargo(root);
    test.args(["test", "-p", "fedsx-deliver", "--test", "simulation"])
        .args(["--", "--ignored", "--exact", "--nocapture", "replay"])
        .env("FEDSX_SEED", seed.to_string());
    run::run(&mut test)
}
