//! What was measured, as JSON, as a table and as BENCHMARKS.md.
//!
//! A section keeps the day and the commit at which it was measured, because each can be measured anew
//! alone. Invariant: BENCHMARKS.md holds nothing that is not in the JSON.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fedsx_core::time::format_rfc3339_s;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine;

/// Everything.
#[derive(Default, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What it ran on.
    machine: Machine,
    /// The command that measures it.
    command: String,
    /// By name, in the order of measuring.
    sections: Vec<(String, Section)>,
}

#[derive(Default, Debug, Serialize, Deserialize)]
struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
}

/// One measurement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// How it was measured, in sentences.
    pub(crate) how: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) bounds: Vec<Bound>,
    #[serde(default)]
    measured: Measured,
}

#[derive(Default, Debug, Serialize, Deserialize)]
struct Measured {
    date: String,
    commit: String,
    version: String,
    rustc: String,
}

/// A figure with a bound.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bound {
    what: String,
    figure: f64,
    /// Such as `≥ 0.7`.
    bound: String,
    holds: bool,
}

impl Bound {
    pub(crate) fn at_least(what: &str, figure: f64, least: f64) -> Self {
        Self {
            what: what.to_owned(),
            figure: rounded(figure),
            bound: format!("≥ {least}"),
            holds: figure >= least,
        }
    }

    pub(crate) fn at_most(what: &str, figure: f64, most: f64) -> Self {
        Self {
            what: what.to_owned(),
            figure: rounded(figure),
            bound: format!("≤ {most}"),
            holds: figure <= most,
        }
    }
}

impl Section {
    pub(crate) fn new(title: &str, how: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            how: how.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            bounds: Vec::new(),
            measured: Measured::default(),
        }
    }

    /// A line of the table: its name, then its figures; one that is not finite stays empty.
    pub(crate) fn row(&mut self, name: &str, figures: &[f64]) {
        let cells = figures.iter().map(|&figure| {
            serde_json::Number::from_f64(rounded(figure)).map_or(Value::Null, Value::Number)
        });
        self.rows
            .push(std::iter::once(Value::from(name)).chain(cells).collect());
    }

    pub(crate) fn missed(&self) -> impl Iterator<Item = String> {
        self.bounds
            .iter()
            .filter(|bound| !bound.holds)
            .map(|bound| format!("{} is {}, not {}", bound.what, bound.figure, bound.bound))
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![self.columns.clone()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(cell).collect()));
        let width = |column: usize| {
            let cells = lines
                .iter()
                .filter_map(|line: &Vec<String>| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(width - cell.chars().count() + 2);
                // Names to the left, figures to the right.
                text += &match at {
                    0 => format!("{cell}{padding}"),
                    _ => format!("{padding}{cell}"),
                };
            }
            text.push('\n');
        }
        for bound in &self.bounds {
            text += &format!("{}\n", bound.line());
        }
        text.push('\n');
        text
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("\n## {}\n\n{}\n\n", self.title, self.how);
        text += &line(self.columns.clone());
        let rules = (0..self.columns.len()).map(|at| if at == 0 { "---" } else { "---:" });
        text += &line(rules.map(str::to_owned).collect());
        for row in &self.rows {
            text += &line(row.iter().map(cell).collect());
        }
        text.push('\n');
        for bound in &self.bounds {
            text += &format!("* {}\n", bound.line());
        }
        let measured = &self.measured;
        text += &format!(
            "\nMeasured {} at {} (fedsx {}, {}).\n",
            measured.date, measured.commit, measured.version, measured.rustc
        );
        text
    }
}

impl Bound {
    fn line(&self) -> String {
        let verdict = if self.holds { "holds" } else { "**missed**" };
        format!(
            "{}: {} ({}, {verdict})",
            self.what,
            number(self.figure),
            self.bound
        )
    }
}

impl Results {
    /// Those of the last run; empty when there is none.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("can't understand {}", file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
        }
    }

    /// Takes a fresh measurement in the place of the old one.
    pub(crate) fn put(&mut self, name: &str, mut section: Section) -> anyhow::Result<()> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock stands before 1970")?;
        let told = |variable| std::env::var(variable).unwrap_or_else(|_| "unknown".to_owned());
        section.measured = Measured {
            date: format_rfc3339_s(i64::try_from(since.as_millis())?),
            commit: told("FEDSX_BENCH_COMMIT"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: told("FEDSX_BENCH_RUSTC"),
        };
        self.sections.retain(|(known, _)| known != name);
        self.sections.push((name.to_owned(), section));
        let order = |name: &str| crate::ALL.iter().position(|known| *known == name);
        self.sections.sort_by_key(|(name, _)| order(name));
        self.command = "cargo xtask bench".to_owned();
        self.machine = Machine {
            cores: machine::cores(),
            cpu: machine::cpu_model(),
            kernel: machine::kernel(),
        };
        Ok(())
    }

    /// Writes the JSON and the page.
    pub(crate) fn write(&self, json: &Path, page: &Path) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).context("results are JSON")?;
        bytes.push(b'\n');
        if let Some(folder) = json.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("can't make {}", folder.display()))?;
        }
        for (path, bytes) in [(json, bytes), (page, self.markdown().into_bytes())] {
            fs::write(path, bytes).with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let Machine { cores, cpu, kernel } = &self.machine;
        let mut text = format!(
            "# Benchmarks\n\n\
             Written by `{}` from `benches/results/latest.json`; not to be edited by hand.\n\n\
             Machine: {cores} cores ({cpu}), {kernel}. The load comes from the same machine, so that ratios \
             within a run are what counts, and absolute figures are low.\n",
            self.command
        );
        for (_, section) in &self.sections {
            text += &section.markdown();
        }
        text
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Number(figure) => number(figure.as_f64().unwrap_or(f64::NAN)),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// Three digits that matter, thousands apart.
fn number(figure: f64) -> String {
    if figure.abs() < 1_000.0 {
        return format!("{figure}");
    }
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rounded(figure: f64) -> f64 {
    let scale = match figure.abs() {
        small if small < 10.0 => 100.0,
        middle if middle < 1_000.0 => 10.0,
        _ => 1.0,
    };
    (figure * scale).round() / scale
}

/// The middle one of some figures.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which that share of them lies; 0 of none.
pub(crate) fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let at = (figures.len().saturating_sub(1) as f64 * share).round() as usize;
    figures.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let shown =
            [0.768_4, 12.34, 119.97, 11_424.4, 1_000_000.0].map(|figure| number(rounded(figure)));
        assert_eq!(shown, ["0.77", "12.3", "120", "11,424", "1,000,000"]);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&mut [], 0.99), 0.0);
    }

    #[test]
    fn a_missed_bound_is_told() {
        let mut section = Section::new("T", "H.", &["row", "a"]);
        section.row("x", &[1.0]);
        section.bounds = vec![
            Bound::at_least("ratio", 0.69, 0.7),
            Bound::at_most("memory", 39.0, 40.0),
        ];
        let missed: Vec<_> = section.missed().collect();
        assert_eq!(missed, ["ratio is 0.69, not ≥ 0.7"]);
        assert!(section.markdown().contains("| x | 1 |"));
    }
}
