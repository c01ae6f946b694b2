//! `sx check`: whether a file is a definition, or a program, that compiles.
//!
//! A definition's code is compiled where it stands: what comes before is replaced by blanks, so that an
//! error names the place in the file and not one in the text that a document would carry.

use std::io::Write as _;
use std::path::PathBuf;

use fedsx_core::definition::{Definition, DefinitionError, Kind, host};
use fedsx_core::notation::{NotationError, Position};
use fedsx_core::value::{Map, Value};
use fedsx_sx::program::Program;
use fedsx_sx::read::{DEPTH, Form, FormKind, page_of, read_all};

use super::{name_of, read};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::stdout;

/// Checks each file; what is wrong goes to stderr.
pub(crate) fn run(global: &Global, files: &[PathBuf]) -> anyhow::Result<()> {
    let mut list = stdout(global.output).list(&["file", "kind", "name", "cid"]);
    let mut wrong = 0;
    for file in files {
        let (source, file) = (read(file)?, name_of(file));
        match check(&file, &source) {
            Ok(found) => {
                let text = |part: Option<String>| part.map_or(Value::Nil, Value::from);
                let (kind, name, cid) = match found {
                    Some(definition) => (
                        definition.kind().as_str(),
                        Some(definition.name().to_owned()),
                        Some(definition.cid().to_string()),
                    ),
                    None => ("expression", None, None),
                };
                let value = Map::from([
                    ("file", Value::from(&*file)),
                    ("kind", Value::from(kind)),
                    ("name", text(name.clone())),
                    ("cid", text(cid.clone())),
                ]);
                list.push(&value, || {
                    vec![
                        file,
                        kind.to_owned(),
                        name.unwrap_or_default(),
                        cid.unwrap_or_default(),
                    ]
                })?;
            }
            Err(page) => {
                wrong += 1;
                write!(anstream::stderr(), "{page}")?;
            }
        }
    }
    list.finish("nothing that compiles")?;
    match wrong {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} of {} files are wrong", files.len())).into()),
    }
}

/// The definition that a file is, or none if it is an expression; else the page of what is wrong.
fn check(file: &str, source: &str) -> Result<Option<Definition>, String> {
    let forms = read_all(source, DEPTH).map_err(|error| {
        let message = format!("{}; expected {}", error.what, error.expected);
        page_of(file, source, error.line, error.column, &message)
    })?;
    let Some(form) = forms
        .first()
        .filter(|form| forms.len() == 1 && is_definition(form))
    else {
        let compiled = Program::compile(source, host());
        return match compiled {
            Ok(_) => Ok(None),
            Err(error) => Err(error.page_of(file, source)),
        };
    };
    match Definition::from_source(source) {
        Ok(definition) => Ok(Some(definition)),
        Err(error) => Err(located(file, source, form, &error)),
    }
}

fn is_definition(form: &Form) -> bool {
    let FormKind::List(children) = &form.kind else {
        return false;
    };
    let head = children.first().map(|head| &head.kind);
    matches!(head, Some(FormKind::Symbol(name)) if Kind::parse(name).is_some())
}

/// The page of an error at its place in the file.
fn located(file: &str, source: &str, form: &Form, error: &DefinitionError) -> String {
    match error {
        DefinitionError::Code { member, .. } => {
            let Some(code) = member_of(form, member) else {
                return error.page();
            };
            let (from, to) = (code.span.offset as usize, code.span.end as usize);
            let blank = |c: char| if c == '\n' { c } else { ' ' };
            let before: String = source[..from].chars().map(blank).collect();
            match Program::compile(&(before + &source[from..to]), host()) {
                Err(found) if found.place().is_some() => found.page_of(file, source),
                // Text within a string has no place of its own in the file.
                _ => page_at(file, source, code, &error.to_string()),
            }
        }
        DefinitionError::Member { member, .. } => {
            let place = member_of(form, member).unwrap_or(form);
            page_at(file, source, place, &error.to_string())
        }
        DefinitionError::Name => {
            let place = member_of(form, "name").unwrap_or(form);
            page_at(file, source, place, &error.to_string())
        }
        DefinitionError::Kind => page_at(file, source, form, &error.to_string()),
        DefinitionError::Notation(NotationError::Malformed {
            message,
            position: Position::Line { line, column },
        }) => {
            let (line, column) = (u32::try_from(*line), u32::try_from(*column));
            page_of(
                file,
                source,
                line.unwrap_or(1),
                column.unwrap_or(1),
                message,
            )
        }
        DefinitionError::Notation(error) => format!("error: {file}: {error}\n"),
    }
}

fn page_at(file: &str, source: &str, form: &Form, message: &str) -> String {
    page_of(file, source, form.span.line, form.span.column, message)
}

/// The value of a member as it stands.
fn member_of<'a>(form: &'a Form, member: &str) -> Option<&'a Form> {
    let FormKind::List(children) = &form.kind else {
        return None;
    };
    let at = children
        .iter()
        .position(|child| matches!(&child.kind, FormKind::Keyword(name) if **name == *member))?;
    children.get(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_and_an_expression_are_told_apart() {
        let pin = ";; a pin\n(DefineActivity :name \"Pin\"\n  :schema (fn (act) true))";
        let found = check("pin.sx", pin).expect("it compiles");
        assert_eq!(
            found.map(|found| found.name().to_owned()).as_deref(),
            Some("Pin")
        );
        assert!(check("one.sx", "(define x 1) (+ x 1)").is_ok_and(|found| found.is_none()));
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place_in_the_file() {
        let pages: Vec<_> = [
            ";; a pin\n(DefineActivity :name \"Pin\"\n  :schema (fn (act) (gett act :path)))",
            "(DefineActivity :name \"Pin\"\n  :schema 1)",
            "(DefineActivity :name \"9\" :schema (fn (act) true))",
            "(DefineActivity :name \"Pin\" :schema \"(fn (act) (gett act))\")",
            "(DefineActivity :name \"Pin\"\n  :doc word :schema (fn (act) true))",
            "(DefineActivity :name \"Pin\"",
            "(+ 1\n   (gett 2))",
        ]
        .into_iter()
        .map(|source| check("pin.sx", source).expect_err(source))
        .collect();
        insta::assert_snapshot!(pages.join("\n"));
    }
}
