//! SX beside other languages: `fib(25)`, as `benches/languages` times it.
//!
//! That is a workspace with a target folder of its own, because what it compares with takes minutes to
//! build; it is built here, when this measurement is asked for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::report::{Bound, Section};

const HOW: &str = "`fib(25)` in SX, which counts fuel, memory and depth as it always does, and in steel-core, rhai and Lua 5.4 (mlua), which count nothing. Each compiles its source once, before the clock runs; 21 rounds, the languages in turn; medians.";

/// What SX is held against: the name there, how often its time SX may take, and what is said of it.
const AGAINST: [(&str, f64, &str); 3] = [
    ("steel-core", 1.0, "SX ÷ steel-core"),
    ("rhai", 1.0, "SX ÷ rhai"),
    ("lua", 2.5, "SX ÷ Lua"),
];

/// Builds and runs the comparison.
pub(crate) fn measure(root: &Path) -> anyhow::Result<Section> {
    let folder = root.join("benches/languages");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(&folder)
        .args(["run", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("can't start cargo")?;
    if !output.status.success() {
        bail!("benches/languages failed ({})", output.status);
    }
    section(&serde_json::from_slice(&output.stdout).context("benches/languages printed no JSON")?)
}

fn section(found: &Value) -> anyhow::Result<Section> {
    let rows = found.get("languages").and_then(Value::as_array);
    let rows = rows.context("benches/languages named no languages")?;
    let mut section = Section::new(
        "SX beside other languages",
        HOW,
        &["", "ms", "÷ SX", "fastest ms"],
    );
    let text = |row: &Value, member: &str| {
        let text = row.get(member).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let figure = |row: &Value, member: &str| row.get(member).and_then(Value::as_f64);
    let median = |name: &str| {
        let row = rows.iter().find(|row| text(row, "name").starts_with(name));
        row.and_then(|row| figure(row, "ms_median"))
            .with_context(|| format!("benches/languages did not time {name}"))
    };
    let sx = median("sx")?;
    for row in rows {
        let ms = figure(row, "ms_median").context("a language without a time")?;
        let name = format!("{}, {}", text(row, "name"), text(row, "version"));
        let fastest = figure(row, "ms_min").unwrap_or(f64::NAN);
        section.row(&name, &[ms, ms / sx, fastest]);
    }
    for (name, most, what) in AGAINST {
        let bound = Bound::at_most(what, sx / median(name)?, most);
        section.bounds.push(bound);
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_is_held_to_its_bound() {
        let row = |name: &str, ms: f64| serde_json::json!({"name": name, "version": "1", "ms_median": ms, "ms_min": ms});
        let found = |lua: f64| serde_json::json!({"languages": [row("sx, metered", 10.0), row("steel-core", 20.0), row("rhai", 50.0), row("lua", lua)]});
        let section = section(&found(5.0)).expect("all are there");
        assert_eq!(section.missed().count(), 0);
        assert_eq!(
            super::section(&found(3.0)).expect("all").missed().count(),
            1
        );
        super::section(&serde_json::json!({})).expect_err("nothing was timed");
    }
}
