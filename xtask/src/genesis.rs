//! `cargo xtask genesis`: after `genesis/` was edited, makes the list of its files, the manifest and the bundle's CID anew.
//!
//! The list is made here, from the folder; the CIDs by the test of `fedsx-core` that otherwise compares them, so that
//! there is one way to compute them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::run;

/// In the order of the manifest.
const SECTIONS: [&str; 7] = [
    "activity-types",
    "object-types",
    "projections",
    "validators",
    "codecs",
    "sig-suites",
    "audience",
];
const LIST: &str = "crates/fedsx-core/src/genesis/sources.rs";

/// Rewrites what follows from the files.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.is_empty(), "`cargo xtask genesis` takes nothing");
    let file = root.join(LIST);
    let before = std::fs::read_to_string(&file).with_context(|| format!("can't read {LIST}"))?;
    std::fs::write(&file, list(root, &before)?).with_context(|| format!("can't write {LIST}"))?;
    run::run(
        run::cargo(root)
            .args([
                "test",
                "--quiet",
                "--package",
                "fedsx-core",
                "--test",
                "genesis",
            ])
            .args(["--", "--exact", "the_manifest_says_what_the_files_hold"])
            .env("FEDSX_GENESIS", "write"),
    )?;
    println!("written: {LIST} and genesis/manifest.sx");
    Ok(())
}

/// The file with the entries that the folder holds; the bundle's line stays for the test to change.
fn list(root: &Path, before: &str) -> anyhow::Result<String> {
    let (head, _) = before
        .split_once("sources! {\n")
        .with_context(|| format!("{LIST} has no list"))?;
    let mut text = format!("{head}sources! {{\n");
    for section in SECTIONS {
        let folder = root.join("genesis").join(section);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("can't read {}", folder.display()))?
        {
            let name = entry?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".sx").map(str::to_owned));
        }
        names.sort();
        writeln!(text, "    {section:?}:")?;
        for name in names {
            writeln!(text, "        {name:?},")?;
        }
        text.insert(text.len() - 1, ';');
        text = text.replace(",;", ";");
    }
    text.push_str("}\n");
    Ok(text)
}
