//! SX as data: the same value, written for people (design, section 2).
//!
//! `(Note :content "hi")` is an object whose `type` is `Note`, `{:key value}` any other object,
//! `[a b]` an array. The first positional child of a headed object is its `object`. The grammar is
//! `fedsx_sx`'s, printing too; here forms become values. Deliberately absent: evaluation. A symbol, a
//! keyword as a value and a call are no data.

use fedsx_sx::print::{is_head, print_form};
use fedsx_sx::read::{Form, FormKind, ReadError, read_one};

use super::{NotationError, shown, text};
use crate::limits::{DEPTH, MEMBERS};
use crate::value::{
    List, Map, ProfileError, Str, Value, check_document, number_from_f64, number_from_i64,
};

/// Reads one SX value.
///
/// # Errors
/// What is no SX, no data, or outside the profile.
pub fn read(bytes: &[u8]) -> Result<Value, NotationError> {
    value_of(&read_one(text(bytes)?, DEPTH)?)
}

/// Reads a definition as it stands in a `.sx` file: an object whose members named in `code` are
/// written as code and become the strings of their canonical print (design, section 8.2). Such a
/// member may also be a string already.
///
/// # Errors
/// What is no SX, no data outside those members, or outside the profile.
pub fn read_definition(source: &str, code: &[&str]) -> Result<Map, NotationError> {
    // The code within may nest as deep as code does; what is data is held to its own bound after.
    let form = read_one(source, fedsx_sx::read::DEPTH)?;
    let map = object(&form, code)?;
    check_document(&Value::Map(map.clone())).map_err(|error| refused(&form, error.to_string()))?;
    Ok(map)
}

/// The document value that a form stands for.
///
/// # Errors
/// What is no data, or outside the profile; nesting is bounded by whoever read the form.
pub fn value_of(form: &Form) -> Result<Value, NotationError> {
    let profile = |error: ProfileError| refused(form, error.to_string());
    match &form.kind {
        FormKind::Nil => Ok(Value::Nil),
        FormKind::Bool(truth) => Ok(Value::Bool(*truth)),
        FormKind::Int(number) => number_from_i64(*number).map_err(profile),
        FormKind::Double(number) => number_from_f64(*number).map_err(profile),
        FormKind::Str(text) => Ok(Value::Str(text.clone())),
        FormKind::Keyword(name) => Err(refused(
            form,
            format!("the keyword {} is no data", shown(name)),
        )),
        FormKind::Symbol(name) => Err(refused(
            form,
            format!("the symbol {} is no data", shown(name)),
        )),
        FormKind::Vector(items) if items.len() > MEMBERS => Err(profile(ProfileError::Members)),
        FormKind::Vector(items) => {
            let items: Result<List, _> = items.iter().map(value_of).collect();
            items.map(Value::List)
        }
        FormKind::List(_) | FormKind::Map(_) => object(form, &[]).map(Value::Map),
    }
}

fn object(form: &Form, code: &[&str]) -> Result<Map, NotationError> {
    let mut members = Members {
        code,
        places: Vec::new(),
        values: Vec::new(),
    };
    match &form.kind {
        FormKind::List(children) => members.headed(form, children)?,
        FormKind::Map(children) => {
            for pair in children.chunks_exact(2) {
                members.keyed(&pair[0], &pair[1])?;
            }
        }
        _ => return Err(refused(form, "a document is an object")),
    }
    let Members { places, values, .. } = members;
    Map::from_unique(values).map_err(|key| {
        let second = places.iter().filter(|(have, _)| **have == *key).nth(1);
        let place = second.map_or(form, |(_, place)| place);
        refused(place, format!("the key {} stands twice", shown(&key)))
    })
}

/// The members of one object, and where each key stands.
struct Members<'a> {
    code: &'a [&'a str],
    places: Vec<(&'a str, &'a Form)>,
    values: Vec<(Str, Value)>,
}

impl<'a> Members<'a> {
    fn headed(&mut self, form: &'a Form, children: &'a [Form]) -> Result<(), NotationError> {
        let Some((head, rest)) = children.split_first() else {
            return Err(refused(form, "`()` is no data"));
        };
        let name = match &head.kind {
            FormKind::Symbol(name) if is_head(name) => name,
            _ => {
                let message =
                    "the head of an object must be its type, letters, digits, `_` and `-`";
                return Err(refused(head, message));
            }
        };
        self.add("type", head, Value::Str(name.clone()))?;
        let mut positional = false;
        let mut rest = rest.iter();
        while let Some(child) = rest.next() {
            if let FormKind::Keyword(_) = child.kind {
                match rest.next() {
                    Some(value) => self.keyed(child, value)?,
                    None => return Err(refused(child, "a key without a value")),
                }
            } else if positional {
                let message = "only one child, the `object`, may stand without a key";
                return Err(refused(child, message));
            } else {
                positional = true;
                self.add("object", child, value_of(child)?)?;
            }
        }
        Ok(())
    }

    fn keyed(&mut self, key: &'a Form, value: &'a Form) -> Result<(), NotationError> {
        let FormKind::Keyword(name) = &key.kind else {
            return Err(refused(key, "a key must be a keyword"));
        };
        let value = match &value.kind {
            FormKind::Str(_) => value_of(value)?,
            _ if self.code.contains(&&**name) => Value::from(print_form(value)),
            _ => value_of(value)?,
        };
        self.add(name, key, value)
    }

    fn add(&mut self, key: &'a str, place: &'a Form, value: Value) -> Result<(), NotationError> {
        if self.values.len() == MEMBERS {
            return Err(refused(place, ProfileError::Members.to_string()));
        }
        self.places.push((key, place));
        self.values.push((key.into(), value));
        Ok(())
    }
}

#[cold]
fn refused(form: &Form, message: impl Into<String>) -> NotationError {
    NotationError::at_line(form.span.line as usize, form.span.column as usize, message)
}

impl From<ReadError> for NotationError {
    fn from(error: ReadError) -> Self {
        let message = format!("{}; expected {}", error.what, error.expected);
        Self::at_line(error.line as usize, error.column as usize, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(source: &str) -> String {
        read(source.as_bytes()).expect_err(source).to_string()
    }

    #[test]
    fn a_headed_object_may_have_one_child_without_a_key() {
        let long = r#"(Create :actor "a" :object (Note :content "hi"))"#;
        let short = r#"(Create :actor "a" (Note :content "hi"))"#;
        let braces = r#"{:type "Create" :actor "a" :object {:type "Note" :content "hi"}}"#;
        let value = read(long.as_bytes()).expect(long);
        assert_eq!(read(short.as_bytes()).as_ref(), Ok(&value));
        assert_eq!(read(braces.as_bytes()).as_ref(), Ok(&value));
        assert_eq!(value.get("type"), Some(&Value::from("Create")));
        let announce = read(br#"(Announce "https://a.example/1")"#).expect("a string is data too");
        assert_eq!(
            announce.get("object"),
            Some(&Value::from("https://a.example/1"))
        );
    }

    #[test]
    fn what_is_no_data_is_refused_at_its_place() {
        let pages: Vec<_> = [
            "()",
            "(string? 1)",
            "(as:Note)",
            "(nil)",
            "[a]",
            "(Note :content content)",
            "(Note :content :hi)",
            "(Note :content)",
            "(Note 1 2)",
            "(Note :a 1\n  :a 2)",
            "(Note :type \"Note\")",
            "(Note :object 1 2)",
            "(Note (Note) :object 1)",
            "{:a 1 :\"a\" 2}",
            "{\"a\" 1}",
            "{a 1}",
            "9007199254740992",
            "[1e20]",
            "(Note",
            "(Note) (Note)",
        ]
        .iter()
        .map(|source| format!("{source}\n    {}", refusal(source)))
        .collect();
        insta::assert_snapshot!("sx_refusals", pages.join("\n"));
    }

    #[test]
    fn code_in_a_definition_becomes_its_canonical_print() {
        let source = "(DefineActivity :name \"Endorse\" ; what\n :schema (fn (act)\n (string? (get act :object))))";
        let map = read_definition(source, &["schema"]).expect(source);
        let code = "(fn (act) (string? (get act :object)))";
        assert_eq!(map.get("schema"), Some(&Value::from(code)));
        assert_eq!(map.get("name"), Some(&Value::from("Endorse")));
        read_definition(source, &[]).expect_err("code is no data");
        let again = format!("(DefineActivity :name \"Endorse\" :schema \"{code}\")");
        assert_eq!(read_definition(&again, &["schema"]), Ok(map));
        read_definition("[1]", &[]).expect_err("no object");
        let deep = format!(
            "(D :a {}{} :f {}{})",
            "[".repeat(64),
            "]".repeat(64),
            "(".repeat(99),
            ")".repeat(99)
        );
        read_definition(&deep, &["f"]).expect_err("data too deep");
        read_definition(&deep, &["a", "f"]).expect("only code is deep");
    }
}
