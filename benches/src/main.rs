//! What fed-sx costs, measured against the real binary (design, section 13).
//!
//! Owns the measurements and BENCHMARKS.md, which is written from `benches/results/latest.json`. Each
//! figure that has a bound is compared with it, and a missed one ends the run with an error. Ratios
//! are of one run on one machine; absolute figures say little about another. Deliberately absent:
//! micro-benchmarks of functions, and anything that needs a network.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool whose output is its purpose"
)]

mod backfill;
mod bare;
mod batches;
mod deliveries;
mod fanout;
mod folds;
mod inbox;
mod language;
mod load;
mod machine;
mod publish;
mod report;
mod server;
mod sink;
mod start;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use report::{Results, Section};

/// The measurements, in the order in which they run.
const ALL: [&str; 10] = [
    "idle",
    "inbox",
    "publish",
    "deliveries",
    "batches",
    "fanout",
    "backfill",
    "start",
    "folds",
    "language",
];

const HELP: &str = "\
fedsx-bench run ROOT [NAME…]   measures all, or those named: idle, inbox, publish, deliveries, batches, fanout,
backfill, start, folds, language";

/// The server's, so that the yardstick has no other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["run", root, names @ ..] => run(Path::new(root), names),
        // What follows are the processes that a run starts.
        ["bare", key, by] => bare::run(key, *by == "dalek"),
        ["client", ports @ ..] => batches::client(ports),
        ["publish", dir] => publish::run(Path::new(dir)),
        ["fill", dir, engine, base_url, entries] => {
            start::fill(Path::new(dir), engine, base_url, entries)
        }
        ["pins", entries, dir] => folds::fill(Path::new(dir), entries),
        ["folds", dir] => folds::run(Path::new(dir)),
        _ => Err(anyhow::anyhow!("{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fedsx-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, shows, and writes what was measured.
fn run(root: &Path, names: &[&str]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| !ALL.contains(name)) {
        bail!("there is no `{unknown}`\n\n{HELP}");
    }
    let file = root.join("benches/results/latest.json");
    let mut results = Results::read(&file)?;
    let fedsx = fedsx()?;
    let mut missed = Vec::new();
    for name in ALL {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        println!("== {name}");
        let section = measure(name, root, &fedsx).with_context(|| format!("measuring `{name}`"))?;
        print!("{}", section.text());
        missed.extend(section.missed().map(|bound| format!("{name}: {bound}")));
        results.put(name, section)?;
        results.write(&file, &root.join("BENCHMARKS.md"))?;
    }
    if missed.is_empty() {
        return Ok(());
    }
    bail!("out of bounds: {}", missed.join("; "))
}

fn measure(name: &str, root: &Path, fedsx: &Path) -> anyhow::Result<Section> {
    match name {
        "idle" => start::idle(fedsx),
        "inbox" => inbox::measure(fedsx),
        "publish" => publish::measure(),
        "deliveries" => deliveries::measure(fedsx),
        "batches" => batches::measure(fedsx),
        "fanout" => fanout::measure(fedsx),
        "backfill" => backfill::measure(fedsx),
        "start" => start::measure(fedsx),
        "folds" => folds::measure(),
        "language" => language::measure(root),
        other => bail!("there is no `{other}`"),
    }
}

/// The server's binary, which was built beside this one.
fn fedsx() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    let fedsx = own.with_file_name("fedsx");
    if !fedsx.is_file() {
        bail!(
            "there is no {}; `cargo xtask bench` builds it",
            fedsx.display()
        );
    }
    Ok(fedsx)
}

/// One thread: the measuring side shares the machine with what it measures.
fn quiet_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")
}
