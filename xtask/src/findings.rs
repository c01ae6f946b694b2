//! What a check found, and how it is shown: one line each, place first, in a stable order.

use std::fmt::Write as _;

/// One broken rule at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// `path`, or `path:line`, relative to the workspace.
    pub(crate) place: String,
    /// 1-based; 0 when the finding is about the whole file. Apart from `place`, so that lines sort as numbers.
    pub(crate) line: usize,
    /// What is wrong and what to do instead.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn of_file(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::at(place, 0, what)
    }

    pub(crate) fn at(place: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            line,
            what: what.into(),
        }
    }
}

/// The findings as text, or nothing when there are none.
pub(crate) fn report(mut findings: Vec<Finding>) -> String {
    findings.sort();
    findings.dedup();
    let mut text = String::new();
    for Finding { place, line, what } in findings {
        let line = if line == 0 {
            String::new()
        } else {
            format!(":{line}")
        };
        writeln!(text, "{place}{line}: {what}").expect("a String takes every write");
    }
    text
}

/// Prints the findings and fails if there are any.
pub(crate) fn settle(findings: Vec<Finding>) -> anyhow::Result<()> {
    let text = report(findings);
    if text.is_empty() {
        return Ok(());
    }
    print!("{text}");
    let count = text.lines().count();
    anyhow::bail!(
        "{count} broken {}",
        if count == 1 { "rule" } else { "rules" }
    )
}
