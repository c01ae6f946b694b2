//! `cargo xtask`: the project's only build tool.
//!
//! Owns the command line and nothing else; each subcommand is a file. Uses the one `dev` profile for all but `bench`,
//! so that everything that is checked is built once.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool whose output is its purpose"
)]

mod bench;
mod ci;
mod deny;
mod findings;
mod genesis;
mod layers;
mod manifests;
mod pair;
mod purity;
mod replay;
mod run;
mod sizes;
mod soak;
mod source;
mod sources;
mod test;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [NEXTEST ARGS…]   all tests of the workspace, with the time of each; e.g. `-p fedsx-core follow`
cargo xtask ci [STEP…]             everything that is checked before a change lands, tests last; or the named steps
cargo xtask bench [NAME…]          what the release build costs, into BENCHMARKS.md; or the named measurements
cargo xtask genesis                the list, the manifest and the bundle CID of genesis/, after a file there was edited
cargo xtask pair [--fresh]         two instances with kept data under target/pair, their logs joined; Ctrl-C ends both
cargo xtask replay SEED            one seed of the simulation of several instances, each step told
cargo xtask soak [NEXTEST ARGS…]   the same tests for longer: more kills and cases, every engine; then each fuzz target for
                                   10 minutes, or --fuzz-seconds=N; more than an hour";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = workspace_root();
    let outcome = match arguments.split_first() {
        Some((command, rest)) => match command.as_str() {
            "test" => test::run(&root, rest),
            "ci" => ci::run(&root, rest),
            "bench" => bench::run(&root, rest),
            "genesis" => genesis::run(&root, rest),
            "pair" => pair::run(&root, rest),
            "replay" => replay::run(&root, rest),
            "soak" => soak::run(&root, rest),
            "help" | "--help" | "-h" => {
                println!("{HELP}");
                Ok(())
            }
            other => Err(anyhow::anyhow!("there is no `{other}`\n\n{HELP}")),
        },
        None => Err(anyhow::anyhow!("say what to do\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder above this crate: commands work from anywhere in the tree.
fn workspace_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent()
        .map_or_else(|| here.clone(), Path::to_path_buf)
}
