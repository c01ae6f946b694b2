//! The canonical printer: one line, single spaces, shortest escapes, keys in RFC 8785 order.
//!
//! Of data, reading what is printed gives the same value, and printing what was read in this
//! spelling gives the same text (design, section 2). Native recursion follows the value: whoever
//! prints bounds its nesting, as the readers do.

use crate::data::{Map, Value};
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
    match value {
        Value::Nil => out.push_str("nil"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => push_int(out, *number),
        Value::Double(number) => push_double(out, *number),
        Value::Str(text) => push_string(out, text),
        Value::Keyword(name) => push_keyword(out, name),
        Value::Symbol(name) => out.push_str(name),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => push_map(out, map),
    }
}

fn push_map(out: &mut String, map: &Map) {
    let head = map.get("type").and_then(Value::as_str);
    let head = head.filter(|head| is_head(head));
    out.push(if head.is_some() { '(' } else { '{' });
    out.push_str(head.unwrap_or_default());
    let mut first = head.is_none();
    for (key, value) in map.iter() {
        if head.is_some() && &**key == "type" {
            continue;
        }
        if !first {
            out.push(' ');
        }
        first = false;
        push_keyword(out, key);
        out.push(' ');
        push_value(out, value);
    }
    out.push(if head.is_some() { ')' } else { '}' });
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
