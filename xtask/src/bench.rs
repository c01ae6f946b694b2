//! `cargo xtask bench`: builds the server and the measurements with optimisation, which nothing else does, and runs them.
//!
//! What is measured, and BENCHMARKS.md, are the package `fedsx-bench`'s.

use std::path::Path;

use crate::{run, tools};

/// All measurements, or those named.
pub(crate) fn run(root: &Path, names: &[String]) -> anyhow::Result<()> {
    tools::check_system()?;
    run::run(run::cargo(root).args([
        "build",
        "--release",
        "--package",
        "fedsx-cli",
        "--package",
        "fedsx-bench",
    ]))?;
    let target = run::target(root)?;
    let mut measurements = std::process::Command::new(target.join("release/fedsx-bench"));
    measurements
        .arg("run")
        .arg(root)
        .args(names)
        .env("FEDSX_BENCH_COMMIT", commit(root))
        .env("FEDSX_BENCH_RUSTC", rustc());
    run::run(&mut measurements)
}

/// The commit that is checked out, with a mark when there is more than it in the folder.
fn commit(root: &Path) -> String {
    let mut git = std::process::Command::new("git");
    git.current_dir(root)
        .args(["describe", "--always", "--dirty", "--exclude", "*"]);
    // A release as an archive has no history.
    run::output(&mut git).map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

fn rustc() -> String {
    let mut rustc =
        std::process::Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    run::output(rustc.arg("--version"))
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
