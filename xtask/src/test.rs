//! `cargo xtask test`: the documentation's examples, then every test of the workspace through nextest, which prints the
//! time of each and closes with the count. `.config/nextest.toml` has the limits.

use std::path::Path;

use crate::{run, tools};

/// With arguments, only nextest runs, and gets them: `cargo xtask test -p fedsx-core follow`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    tools::check_system()?;
    tools::ensure_nextest(root)?;
    if arguments.is_empty() {
        build(root)?;
        examples(root)?;
        return all(root);
    }
    let mut nextest = run::cargo(root);
    nextest.args(["nextest", "run"]);
    if !arguments
        .iter()
        .any(|argument| argument == "-p" || argument.starts_with("--package"))
    {
        nextest.arg("--workspace");
    }
    run::run(nextest.args(arguments))
}

/// Compiles all that the tests run.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    run::run(run::cargo(root).args(["nextest", "run", "--workspace", "--no-run"]))
}

/// The examples in the documentation, which nextest does not see. Before it, so that its count closes the run.
pub(crate) fn examples(root: &Path) -> anyhow::Result<()> {
    run::run(run::cargo(root).args(["test", "--quiet", "--workspace", "--doc"]))
}

/// Every other test.
pub(crate) fn all(root: &Path) -> anyhow::Result<()> {
    run::run(run::cargo(root).args(["nextest", "run", "--workspace"]))
}
