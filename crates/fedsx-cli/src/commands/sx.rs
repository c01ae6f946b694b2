//! `sx eval|fmt|check|repl`: the language at hand, without a server.
//!
//! Errors are shown as the language shows them: the place, the line and a caret. Deliberately absent:
//! anything that an evaluation could reach beyond its own text.

mod check;
mod repl;

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use fedsx_core::definition;
use fedsx_core::notation::json;
use fedsx_core::value::{Value, to_document};
use fedsx_sx::budget::Limits;
use fedsx_sx::layout::{format, pretty};
use fedsx_sx::print::print;
use fedsx_sx::program::Program;

use crate::args::{Form, Global, Sx};
use crate::failure::Failure;

/// What stands for the standard input.
const STDIN: &str = "-";

/// Runs one of the four.
pub(crate) fn run(global: &Global, command: Sx) -> anyhow::Result<()> {
    match command {
        Sx::Eval { expression } => eval(global.output, &expression),
        Sx::Fmt {
            files,
            check,
            write,
        } => fmt(&files, check, write),
        Sx::Check { files } => check::run(global, &files),
        Sx::Repl => repl::run(global.output),
    }
}

fn eval(form: Form, expression: &str) -> anyhow::Result<()> {
    let (name, source) = match expression {
        STDIN => ("stdin", read(Path::new(STDIN))?),
        text => ("expression", text.to_owned()),
    };
    let text = evaluate(form, name, &source)?;
    Ok(writeln!(anstream::stdout(), "{text}")?)
}

/// The value of a source as text.
fn evaluate(form: Form, name: &str, source: &str) -> anyhow::Result<String> {
    let program = Program::compile(source, definition::host())
        .map_err(|error| at_fault(&error.page_of(name, source)))?;
    let outcome = program.eval(Limits::default());
    let value = outcome
        .result
        .map_err(|error| at_fault(&error.page_of(name, source)))?;
    shown(form, &value)
}

/// A value in the form asked for.
fn shown(form: Form, value: &Value) -> anyhow::Result<String> {
    Ok(match form {
        Form::Table => pretty(value).trim_end().to_owned(),
        Form::Sx => print(value),
        Form::Json => {
            let document = to_document(value)
                .map_err(|error| Failure::failed(format!("the value is no JSON: {error}")))?;
            json::pretty(&document)
        }
    })
}

/// The program that names itself before an error says the rest.
fn at_fault(page: &str) -> Failure {
    Failure::failed(page.strip_prefix("error: ").unwrap_or(page).trim_end())
}

fn fmt(files: &[std::path::PathBuf], check: bool, write: bool) -> anyhow::Result<()> {
    let mut out = anstream::stdout();
    let mut other = 0;
    for file in files {
        let source = read(file)?;
        let name = name_of(file);
        let laid_out = format(&source, fedsx_sx::read::DEPTH).map_err(|error| {
            let message = format!("{}; expected {}", error.what, error.expected);
            at_fault(&fedsx_sx::read::page_of(
                &name,
                &source,
                error.line,
                error.column,
                &message,
            ))
        })?;
        if check {
            if laid_out != source {
                other += 1;
                writeln!(out, "{name}")?;
            }
        } else if write && name != "stdin" {
            if laid_out != source {
                std::fs::write(file, laid_out).with_context(|| format!("can't write {name}"))?;
            }
        } else {
            write!(out, "{laid_out}")?;
        }
    }
    match other {
        0 => Ok(()),
        count => Err(Failure::failed(format!(
            "{count} not laid out as `fedsx sx fmt --write` does"
        ))
        .into()),
    }
}

fn name_of(file: &Path) -> String {
    match file.to_str() {
        Some(STDIN) => "stdin".to_owned(),
        _ => file.display().to_string(),
    }
}

/// A file, or the standard input.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.to_str() == Some(STDIN) {
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("can't read stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_each_form() {
        let source = "{:a [1 2.5 nil] :b (str \"x\" 1)}";
        let text = |form| evaluate(form, "expression", source).expect("a value");
        insta::assert_snapshot!(text(Form::Table), @r#"{:a [1 2.5 nil] :b "x1"}"#);
        insta::assert_snapshot!(text(Form::Sx), @r#"{:a [1 2.5 nil] :b "x1"}"#);
        insta::assert_snapshot!(text(Form::Json), @r#"
        {
          "a": [
            1,
            2.5,
            null
          ],
          "b": "x1"
        }
        "#);
        evaluate(Form::Json, "expression", "inc").expect_err("a function is no JSON");
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        let page = |source| {
            evaluate(Form::Sx, "expression", source)
                .expect_err(source)
                .to_string()
        };
        insta::assert_snapshot!(page("(+ 1 \"a\")"));
        insta::assert_snapshot!(page("(+ 1"));
        insta::assert_snapshot!(page("(gett {} :a)"));
    }
}
