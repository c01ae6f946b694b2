//! `cargo xtask ci`: everything that must hold before a change lands, cheapest first, the tests last. Stops at the first
//! step that fails, and says how long each took.
//!
//! Budget on two cores: static checks 6 minutes, build 9, tests 12.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::manifests::Workspace;
use crate::{deny, findings, layers, purity, run, sizes, sources, test, tools};

type Step = (&'static str, fn(&Path) -> anyhow::Result<()>);

const STEPS: &[Step] = &[
    ("tools", programs),
    ("fetch", |root| {
        run::run(run::cargo(root).args(["fetch", "--locked"]))
    }),
    ("fmt", |root| {
        run::run(run::cargo(root).args(["fmt", "--all", "--check"]))
    }),
    ("layers", check_layers),
    ("manifests", check_manifests),
    ("sizes", check_sizes),
    ("deny", deny::run),
    ("clippy", clippy),
    ("docs", docs),
    ("build", test::build),
    ("examples", test::examples),
    ("test", test::all),
];

/// All steps, or those named.
pub(crate) fn run(root: &Path, names: &[String]) -> anyhow::Result<()> {
    let steps = chosen(names)?;
    let mut times = Vec::new();
    let mut failure = None;
    for (name, step) in steps {
        println!("\n== {name}");
        let begun = Instant::now();
        let outcome = step(root);
        times.push((name, begun.elapsed(), outcome.is_ok()));
        if let Err(error) = outcome {
            failure = Some(error.context(format!("step `{name}`")));
            break;
        }
    }
    print!("\n{}", table(&times));
    failure.map_or(Ok(()), Err)
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<Step>> {
    if names.is_empty() {
        return Ok(STEPS.to_vec());
    }
    for name in names {
        if !STEPS.iter().any(|(known, _)| known == name) {
            let known: Vec<_> = STEPS.iter().map(|(known, _)| *known).collect();
            bail!("there is no step `{name}`; there are {}", known.join(", "));
        }
    }
    let named = |step: &&Step| names.iter().any(|name| name == step.0);
    Ok(STEPS.iter().filter(named).copied().collect())
}

fn table(times: &[(&str, Duration, bool)]) -> String {
    let mut text = String::new();
    for (name, time, held) in times {
        let mark = if *held { "" } else { "  FAILED" };
        text += &format!("{name:<9}{:>8.1} s{mark}\n", time.as_secs_f64());
    }
    let total: Duration = times.iter().map(|(_, time, _)| *time).sum();
    text + &format!("{:<9}{:>8.1} s\n", "total", total.as_secs_f64())
}

fn programs(root: &Path) -> anyhow::Result<()> {
    tools::check_system()?;
    tools::ensure_nextest(root)?;
    tools::ensure_deny(root)
}

fn check_layers(root: &Path) -> anyhow::Result<()> {
    let workspace = Workspace::read(root)?;
    let sources = sources::read(root, &workspace)?;
    let mut found = layers::check(&workspace);
    found.extend(purity::check(&sources));
    found.extend(layers::check_reach(root)?);
    findings::settle(found)
}

fn check_manifests(root: &Path) -> anyhow::Result<()> {
    let workspace = Workspace::read(root)?;
    findings::settle(workspace.check_hygiene(&sources::read(root, &workspace)?))
}

fn check_sizes(root: &Path) -> anyhow::Result<()> {
    let workspace = Workspace::read(root)?;
    findings::settle(sizes::check(&sources::read(root, &workspace)?))
}

/// Function length, bare spawns and the named lints are clippy's part of the rules: root manifest and `clippy.toml`.
fn clippy(root: &Path) -> anyhow::Result<()> {
    run::run(run::cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn docs(root: &Path) -> anyhow::Result<()> {
    run::run(
        run::cargo(root)
            .args(["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_step_that_failed() {
        let times = [
            ("fmt", Duration::from_millis(840), true),
            ("clippy", Duration::from_millis(61_250), false),
        ];
        insta::assert_snapshot!(table(&times), @r#"
        fmt           0.8 s
        clippy       61.2 s  FAILED
        total        62.1 s
        "#);
    }

    #[test]
    fn named_steps_keep_their_order_and_unknown_ones_are_refused() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let steps = chosen(&names(&["test", "fmt"])).expect("both are steps");
        assert_eq!(
            steps.iter().map(|step| step.0).collect::<Vec<_>>(),
            ["fmt", "test"]
        );
        assert!(chosen(&names(&["lint"])).is_err());
    }
}
