//! What the machine must have: programs that a system package brings are named when they are missing, cargo's own
//! subcommands are installed.
//!
//! Absent: any version check of what is there. The versions below are those installed where there is none.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;

use crate::run;

/// A program, the Debian package that brings it, and who needs it.
const SYSTEM: &[(&str, &str, &str)] = &[
    ("cc", "build-essential", "aws-lc-sys compiles C"),
    (
        "curl",
        "curl",
        "scripts/smoke_federate.sh drives the instances with it",
    ),
    ("bash", "bash", "the scripts are written in it"),
];

const NEXTEST: (&str, &str) = ("cargo-nextest", "0.9.143");
const FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.1");
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// Fails with one command to run when system packages are missing.
pub(crate) fn check_system() -> anyhow::Result<()> {
    let missing: Vec<_> = SYSTEM
        .iter()
        .filter(|(program, ..)| find(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (program, package, why) in &missing {
        println!("missing: {program} (package {package}): {why}");
    }
    let packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
    bail!(
        "install what is missing first: apt-get install {}",
        packages.join(" ")
    )
}

pub(crate) fn ensure_nextest(root: &Path) -> anyhow::Result<()> {
    ensure(root, NEXTEST)
}

pub(crate) fn ensure_fuzz(root: &Path) -> anyhow::Result<()> {
    ensure(root, FUZZ)
}

pub(crate) fn ensure_deny(root: &Path) -> anyhow::Result<()> {
    ensure(root, DENY)
}

/// Unoptimised and without debug information: it runs for seconds, and compiling is what costs.
fn ensure(root: &Path, (name, version): (&str, &str)) -> anyhow::Result<()> {
    if find(name).is_some() {
        return Ok(());
    }
    println!("{name} is not installed: building it once, which takes minutes");
    let begun = Instant::now();
    run::run(
        run::cargo(root)
            .args([
                "install",
                name,
                "--version",
                version,
                "--locked",
                "--debug",
                "--quiet",
            ])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0"),
    )?;
    println!("{name} took {} s to install", begun.elapsed().as_secs());
    Ok(())
}

/// Where the shell, or cargo for its subcommands, would find the program.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    std::env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
