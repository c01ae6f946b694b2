//! What people run: the smoke script, and the demo.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::{Ran, fedsx};

/// The steps of the issue that this script was first written for; more may come, fewer not.
const STEPS: usize = 20;

#[test]
fn smoke_two_processes_driven_from_outside() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let place = TempDir::new().expect("a temporary directory");
    let output = Command::new("bash")
        .arg(root.join("scripts/smoke_federate.sh"))
        .env("FEDSX", env!("CARGO_BIN_EXE_fedsx"))
        .env("PAIR_DIR", place.path().join("pair"))
        .stdin(Stdio::null())
        .output();
    let ran = Ran::new(output.expect("bash starts"));
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let steps = ran.stdout.lines().filter(|line| line.starts_with("ok "));
    let numbers: Vec<&str> = steps.filter_map(|line| line.split(' ').nth(1)).collect();
    let expected: Vec<String> = (1..=numbers.len()).map(|n| n.to_string()).collect();
    assert_eq!(numbers, expected, "{}", ran.stdout);
    assert!(numbers.len() >= STEPS, "{}", ran.stdout);
    for side in ["a", "b"] {
        let left = place.path().join("pair").join(format!("{side}.pid"));
        assert!(!left.exists(), "{side} was left running");
    }
}

#[test]
fn demo_shows_two_instances_federating() {
    let ran = fedsx(["demo", "--exit"]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    for said in ["alice", "bob", "Accept", "SIGKILL", "hold"] {
        assert!(
            ran.stdout.contains(said),
            "{said} is missing:\n{}",
            ran.stdout
        );
    }
}
