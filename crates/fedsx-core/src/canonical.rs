//! The canonical form: the only encoder of bytes that are hashed or signed.
//!
//! RFC 8785 (JCS) of a value. Maps already iterate in JCS key order, so writing is one walk into one
//! buffer. Deliberately absent: the check that a value is a document (`value::check_document`);
//! whatever a notation read has passed it.

use fedsx_sx::data::{Map, Value};
use fedsx_sx::literal::{push_double, push_int, push_string};

/// Top-level members that are no part of the content: who vouched for it may come and go.
const OUTSIDE: [&str; 2] = ["proof", "signature"];

/// The RFC 8785 bytes of a document value.
///
/// What no document holds (a keyword, a symbol, a double that is not finite) is a caller's bug: it
/// fails a debug assertion, and is written `null`, as ECMAScript's `JSON.stringify` does.
#[must_use]
pub fn jcs(value: &Value) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    push_value(&mut out, value);
    out.into_bytes()
}

/// The RFC 8785 bytes of an object, as of `jcs`.
#[must_use]
pub fn jcs_map(map: &Map) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    push_members(&mut out, map.iter());
    out.into_bytes()
}

/// `canonical(doc)`: the RFC 8785 bytes of the document without its top-level `proof` and
/// `signature` (design, section 3). Inner ones stay.
#[must_use]
pub fn document_bytes(doc: &Map) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    let content = doc.iter().filter(|(key, _)| !OUTSIDE.contains(&&***key));
    push_members(&mut out, content);
    out.into_bytes()
}

pub(crate) fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => push_int(out, *number),
        Value::Double(number) => {
            debug_assert!(number.is_finite(), "a document holds finite doubles only");
            push_double(out, *number);
        }
        Value::Str(text) => push_string(out, text),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => push_members(out, map.iter()),
        Value::Keyword(name) | Value::Symbol(name) => {
            debug_assert!(false, "a document holds no keyword or symbol: {name}");
            out.push_str("null");
        }
        Value::Function(function) => {
            debug_assert!(false, "a document holds no function: {function:?}");
            out.push_str("null");
        }
    }
}

fn push_members<'a>(
    out: &mut String,
    members: impl Iterator<Item = (&'a fedsx_sx::data::Str, &'a Value)>,
) {
    out.push('{');
    for (at, (key, value)) in members.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        push_value(out, value);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_proof_is_left_out() {
        let inner: Map = [("proof", "kept"), ("signature", "kept")].into();
        let mut doc: Map = [("proof", "dropped"), ("signature", "dropped"), ("a", "b")].into();
        doc.insert("object", inner);
        assert_eq!(
            String::from_utf8(document_bytes(&doc)).expect("JSON is UTF-8"),
            r#"{"a":"b","object":{"proof":"kept","signature":"kept"}}"#
        );
        assert_eq!(jcs(&Value::Map(doc.clone())), jcs_map(&doc));
    }

    #[test]
    fn without_members_is_an_empty_object() {
        let doc: Map = [("proof", "dropped")].into();
        assert_eq!(document_bytes(&doc), b"{}");
    }
}
