//! `cargo xtask soak`: the same tests for longer. Process tests read `FEDSX_SOAK` (more kills, more notes, every
//! engine), the simulation too (10,000 seeds), properties read `PROPTEST_CASES`; then
//! the tests of the language in a release build, and the fuzz targets. Not part of `ci`: it takes more than an hour.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::{run, tools};

/// Cases of each property; 256 without.
const CASES: &str = "20000";
/// How long each fuzz target runs, seconds.
const FUZZ_SECONDS: u32 = 600;
const FUZZ_SECONDS_FLAG: &str = "--fuzz-seconds=";
/// The targets of `fuzz/`.
const TARGETS: [&str; 2] = ["sx_read", "sx_eval"];

/// Runs the tests that have a long version, then the fuzz targets; further arguments go to nextest.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let (seconds, arguments) = split(arguments)?;
    tools::check_system()?;
    tools::ensure_nextest(root)?;
    let mut nextest = run::cargo(root);
    nextest
        .args(["nextest", "run", "--workspace", "--profile", "soak"])
        .args(arguments)
        .env("FEDSX_SOAK", "1")
        .env("PROPTEST_CASES", CASES);
    run::run(&mut nextest)?;
    as_released(root)?;
    fuzz(root, seconds)
}

/// The tests of the language, as it is released: what programs come to is recorded, and no build may differ.
fn as_released(root: &Path) -> anyhow::Result<()> {
    let mut nextest = run::cargo(root);
    nextest.args([
        "nextest",
        "run",
        "-p",
        "fedsx-sx",
        "--release",
        "--profile",
        "soak",
    ]);
    run::run(&mut nextest)
}

/// The time of a fuzz target, 0 for none, and what is nextest's.
fn split(arguments: &[String]) -> anyhow::Result<(u32, Vec<&String>)> {
    let mut seconds = FUZZ_SECONDS;
    let mut rest = Vec::new();
    for argument in arguments {
        match argument.strip_prefix(FUZZ_SECONDS_FLAG) {
            Some(text) => {
                seconds = text.parse().with_context(|| {
                    format!("`{FUZZ_SECONDS_FLAG}` takes whole seconds, not `{text}`")
                })?;
            }
            None => rest.push(argument),
        }
    }
    Ok((seconds, rest))
}

fn fuzz(root: &Path, seconds: u32) -> anyhow::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    if let Err(error) = tools::ensure_fuzz(root) {
        bail!(
            "the tests passed, and the fuzz targets {} did not run, because `cargo-fuzz` is missing and can't be installed: \
             {error:#}. fuzz/README.md tells how to run them without it",
            TARGETS.join(", ")
        );
    }
    for target in TARGETS {
        let mut command = run::cargo(root);
        command
            .current_dir(root.join("fuzz"))
            .args(["fuzz", "run", target, "--", "-max_len=4096"])
            .arg(format!("-max_total_time={seconds}"))
            // cargo-fuzz asks for options that only a nightly compiler takes otherwise.
            .env("RUSTC_BOOTSTRAP", "1");
        run::run(&mut command)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_fuzzing_is_taken_from_the_arguments() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let given = words(&["-p", "fedsx-sx", "--fuzz-seconds=5"]);
        let (seconds, rest) = split(&given).expect("a number");
        assert_eq!((seconds, rest.len()), (5, 2));
        assert_eq!(split(&[]).expect("nothing").0, FUZZ_SECONDS);
        assert!(split(&words(&["--fuzz-seconds=long"])).is_err());
    }
}
