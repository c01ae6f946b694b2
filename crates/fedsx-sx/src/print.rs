//! The canonical printer: one line, single spaces, shortest escapes, keys in RFC 8785 order.
//!
//! Of data, reading what is printed gives the same value, and printing what was read in this
//! spelling gives the same text (design, section 2). Values are printed without native recursion,
//! since programs nest them without end; forms with it, since the reader bounds theirs. A function
//! prints as `#<fn name>`, which doesn't read back.

use std::fmt;

use crate::data::{ListIter, MapIter, Value};
use crate::lex::is_name_byte;
use crate::literal::{push_double, push_int, push_string};
use crate::read::{Form, FormKind};

/// The canonical text of a value.
#[must_use]
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

/// Appends the canonical text of a value.
pub fn push_value(out: &mut String, value: &Value) {
    write_value(out, value).expect("writing to a string can't fail");
}

/// A list or map whose parts are still to be written.
enum Open<'a> {
    List(ListIter<'a>),
    Map {
        members: MapIter<'a>,
        /// What the brackets are, and whether `type` was written as the head.
        headed: bool,
    },
}

/// Writes the canonical text of a value, piece by piece; ends when `out` refuses a piece.
pub(crate) fn write_value(out: &mut impl fmt::Write, value: &Value) -> fmt::Result {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut piece = String::new();
    let mut next = Some(value);
    loop {
        piece.clear();
        let mut first = false;
        if let Some(value) = next.take() {
            first = begin(&mut piece, value, &mut open);
        }
        next = match open.last_mut() {
            None => return out.write_str(&piece),
            Some(Open::List(items)) => {
                let item = items.next();
                if item.is_some() && !first {
                    piece.push(' ');
                }
                item
            }
            Some(Open::Map { members, headed }) => {
                let headed = *headed;
                let member = members.find(|(key, _)| !headed || key.as_str() != "type");
                if let Some((key, _)) = member {
                    if headed || !first {
                        piece.push(' ');
                    }
                    push_keyword(&mut piece, key);
                    piece.push(' ');
                }
                member.map(|(_, value)| value)
            }
        };
        if next.is_none()
            && let Some(done) = open.pop()
        {
            piece.push(match done {
                Open::List(_) => ']',
                Open::Map { headed: true, .. } => ')',
                Open::Map { headed: false, .. } => '}',
            });
        }
        out.write_str(&piece)?;
    }
}

/// Writes a value that has no parts, or opens one that has; says whether it did.
fn begin<'a>(out: &mut String, value: &'a Value, open: &mut Vec<Open<'a>>) -> bool {
    match value {
        Value::Nil => out.push_str("nil"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => push_int(out, *number),
        Value::Double(number) => push_double(out, *number),
        Value::Str(text) => push_string(out, text),
        Value::Keyword(name) => push_keyword(out, name),
        Value::Symbol(name) => out.push_str(name),
        Value::Function(function) => {
            out.push_str("#<fn ");
            out.push_str(function.name());
            out.push('>');
        }
        Value::List(list) => {
            out.push('[');
            open.push(Open::List(list.iter()));
            return true;
        }
        Value::Map(map) => {
            let head = map.get("type").and_then(Value::as_str);
            let head = head.filter(|head| is_head(head));
            out.push(if head.is_some() { '(' } else { '{' });
            out.push_str(head.unwrap_or_default());
            open.push(Open::Map {
                members: map.iter(),
                headed: head.is_some(),
            });
            return true;
        }
    }
    false
}

/// Whether a `type` can be the head of its object: `[A-Za-z][A-Za-z0-9_-]*`, none of `nil true false`.
#[must_use]
pub fn is_head(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !matches!(text, "nil" | "true" | "false")
}

fn push_keyword(out: &mut String, name: &str) {
    out.push(':');
    if !name.is_empty() && name.bytes().all(is_name_byte) {
        out.push_str(name);
    } else {
        push_string(out, name);
    }
}

/// The canonical text of a form: its members in the order they were written in, since code is text.
#[must_use]
pub fn print_form(form: &Form) -> String {
    let mut out = String::new();
    push_form(&mut out, form);
    out
}

fn push_form(out: &mut String, form: &Form) {
    let (open, children, close) = match &form.kind {
        FormKind::Nil => return out.push_str("nil"),
        FormKind::Bool(true) => return out.push_str("true"),
        FormKind::Bool(false) => return out.push_str("false"),
        FormKind::Int(number) => return push_int(out, *number),
        FormKind::Double(number) => return push_double(out, *number),
        FormKind::Str(text) => return push_string(out, text),
        FormKind::Keyword(name) => return push_keyword(out, name),
        FormKind::Symbol(name) => return out.push_str(name),
        FormKind::List(children) => ('(', children, ')'),
        FormKind::Vector(children) => ('[', children, ']'),
        FormKind::Map(children) => ('{', children, '}'),
    };
    out.push(open);
    for (at, child) in children.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        push_form(out, child);
    }
    out.push(close);
}
