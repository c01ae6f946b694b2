//! How answers are written: tables for people, JSON and SX for programs.
//!
//! Invariants: a list is one array, written item by item, so that its length costs no memory (tables
//! apart); a document is nested and never a string; nothing that a peer wrote reaches a terminal with
//! its control characters. Colours are left to `anstream`, which obeys `NO_COLOR`.

mod entry;
mod text;

use std::io::{self, Write};

use comfy_table::{Table, presets};
use fedsx_core::notation::{self, Notation, json};
use fedsx_core::value::{Map, Value};

use crate::args::Form;

pub(crate) use entry::{
    COLUMNS, actor_value, entry_row, entry_value, place, published_value, relation_value, tail_line,
};
pub(crate) use text::{about, clean, clock, excerpt, handle, short_cid, shortened};

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Where answers go, in the form asked for.
pub(crate) struct Output<W> {
    form: Form,
    out: W,
}

/// The standard output; styles are dropped where they aren't wanted.
pub(crate) fn stdout(form: Form) -> Output<Box<dyn Write>> {
    let out: Box<dyn Write> = match form {
        Form::Table => Box::new(io::BufWriter::new(anstream::stdout())),
        Form::Json | Form::Sx => Box::new(io::BufWriter::new(io::stdout())),
    };
    Output { form, out }
}

/// Says something beside the answer, on stderr.
pub(crate) fn note(sentence: &str) {
    // Nothing is left to be done when stderr is gone.
    let _ = writeln!(anstream::stderr(), "fedsx: {sentence}");
}

impl<W: Write> Output<W> {
    /// Where the caller says.
    #[cfg(test)]
    pub(crate) fn new(form: Form, out: W) -> Self {
        Self { form, out }
    }

    /// Whether it is read by people and not by programs.
    pub(crate) fn is_for_people(&self) -> bool {
        self.form == Form::Table
    }

    /// One answer: an object, or what `people` writes.
    pub(crate) fn one(mut self, value: &Map, people: impl FnOnce() -> String) -> io::Result<()> {
        let text = match self.form {
            Form::Table => people(),
            Form::Json => json::pretty(&Value::Map(value.clone())),
            Form::Sx => line(Notation::Sx, value)?,
        };
        writeln!(self.out, "{}", text.trim_end())?;
        self.out.flush()
    }

    /// A list, in the order of `push`.
    pub(crate) fn list(self, columns: &[&str]) -> List<W> {
        let table = (self.form == Form::Table).then(|| {
            let mut table = Table::new();
            table
                .load_style(presets::NOTHING)
                .set_header(columns.iter().map(|name| name.to_uppercase()));
            table
        });
        List {
            output: self,
            table,
            count: 0,
        }
    }

    /// Answers without end: one a line.
    pub(crate) fn line(&mut self, value: &Map, people: impl FnOnce() -> String) -> io::Result<()> {
        let text = match self.form {
            Form::Table => people(),
            Form::Json => line(Notation::Json, value)?,
            Form::Sx => line(Notation::Sx, value)?,
        };
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }
}

/// A list that is being written.
pub(crate) struct List<W> {
    output: Output<W>,
    table: Option<Table>,
    count: usize,
}

impl<W: Write> List<W> {
    /// One more item.
    pub(crate) fn push(
        &mut self,
        value: &Map,
        row: impl FnOnce() -> Vec<String>,
    ) -> io::Result<()> {
        match (&mut self.table, self.output.form) {
            (Some(table), _) => {
                table.add_row(row());
            }
            (None, form) => {
                let (notation, between) = match form {
                    Form::Sx => (Notation::Sx, "\n"),
                    Form::Json | Form::Table => (Notation::Json, ",\n"),
                };
                let lead = if self.count == 0 { "[\n" } else { between };
                write!(self.output.out, "{lead}{}", line(notation, value)?)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Ends the list; `nothing` is said to people when it is empty.
    pub(crate) fn finish(mut self, nothing: &str) -> io::Result<()> {
        let out = &mut self.output.out;
        match &self.table {
            Some(_) if self.count == 0 => writeln!(out, "{nothing}")?,
            Some(table) => {
                for (at, line) in table.lines().enumerate() {
                    // The style pads both ends of a line.
                    let line = line.strip_prefix(' ').unwrap_or(&line).trim_end();
                    match at {
                        0 => writeln!(out, "{BOLD}{line}{PLAIN}")?,
                        _ => writeln!(out, "{line}")?,
                    }
                }
            }
            None if self.count == 0 => writeln!(out, "[]")?,
            None => writeln!(out, "\n]")?,
        }
        out.flush()
    }
}

/// The value on one line.
fn line(notation: Notation, value: &Map) -> io::Result<String> {
    let bytes = notation::write(notation, &Value::Map(value.clone()));
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
