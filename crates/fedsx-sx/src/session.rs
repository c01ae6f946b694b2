//! Entries one after the other, as at a prompt: definitions stay, a later one of a name replaces it.
//!
//! An entry is evaluated as a program of its own, the definitions kept so far before it; so it means
//! what it would mean in a file, and the values of definitions are computed (and paid for) anew.

use crate::budget::Limits;
use crate::compile::defined_name;
use crate::data::{Str, Value};
use crate::error::CompileError;
use crate::host::Host;
use crate::program::Program;
use crate::read::{self, Form, page};

/// What came before.
#[derive(Clone, Debug)]
pub struct Session {
    host: Host,
    definitions: Vec<(Str, String)>,
}

/// What an entry comes to.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The names it defines.
    pub defined: Vec<Str>,
    /// The value of its expression, if it has one.
    pub value: Option<Value>,
    /// The fuel it took, units.
    pub fuel_used: u64,
}

/// Why an entry comes to nothing; what it would have defined is not kept.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{page}")]
pub struct EntryError {
    /// The error, with the line it stands in and a mark under the place.
    pub page: String,
    /// Whether more text could make it right: a prompt asks for another line.
    pub is_unfinished: bool,
}

impl Session {
    /// A session without definitions.
    #[must_use]
    pub const fn new(host: Host) -> Self {
        Self {
            host,
            definitions: Vec::new(),
        }
    }

    /// Evaluates an entry: definitions, one expression, or both.
    ///
    /// # Errors
    /// What doesn't read, means nothing, or has no value.
    pub fn enter(&mut self, entry: &str, limits: Limits) -> Result<Answer, EntryError> {
        let forms = read::read_all(entry, read::DEPTH)
            .map_err(|error| refusal(&CompileError::Read(error), &[entry.into()]))?;
        let mut kept = self.definitions.clone();
        let mut defined = Vec::new();
        let mut rest = Vec::new();
        for form in &forms {
            match defined_name(form) {
                Some(name) if !defined.contains(name) => {
                    kept.retain(|(have, _)| have != name);
                    kept.push((name.clone(), text(entry, form)));
                    defined.push(name.clone());
                }
                _ => rest.push(text(entry, form)),
            }
        }
        let asks = !rest.is_empty();
        if !asks {
            rest.push("nil".into());
        }
        let parts: Vec<String> = kept
            .iter()
            .map(|(_, text)| text.clone())
            .chain(rest)
            .collect();
        let program = Program::compile(&parts.join("\n"), &self.host)
            .map_err(|error| refusal(&error, &parts))?;
        let outcome = program.eval(limits);
        let value = outcome.result.map_err(|error| EntryError {
            page: located(
                &parts,
                error.span.line,
                error.span.column,
                &error.headline(),
            ),
            is_unfinished: false,
        })?;
        self.definitions = kept;
        Ok(Answer {
            defined,
            value: asks.then_some(value),
            fuel_used: outcome.fuel_used,
        })
    }
}

fn refusal(error: &CompileError, parts: &[String]) -> EntryError {
    EntryError {
        page: match error.place() {
            Some((line, column)) => located(parts, line, column, &error.headline()),
            None => format!("error: {error}\n"),
        },
        is_unfinished: error.is_unfinished(),
    }
}

fn text(entry: &str, form: &Form) -> String {
    entry[form.span.offset as usize..form.span.end as usize].to_owned()
}

/// An error in one of the parts that were joined by line feeds, shown within it alone.
fn located(parts: &[String], mut line: u32, column: u32, message: &str) -> String {
    for part in parts {
        let lines = u32::try_from(part.lines().count().max(1)).unwrap_or(u32::MAX);
        if line <= lines {
            return page(part, line, column, message);
        }
        line -= lines;
    }
    format!("error: {message}\n")
}
