//! JSON (RFC 8259) read as I-JSON (RFC 7493).
//!
//! `serde_json` brings the grammar; the visitor here builds values directly and adds what the
//! grammar leaves open: unique keys, the range of numbers, nesting and size. Writing is of
//! `canonical`; [`pretty`] is for people.

use std::fmt;

use fedsx_sx::literal::push_string;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{NotationError, shown, text};
use crate::limits::{DEPTH, MEMBERS};
use crate::value::{
    Map, ProfileError, Str, Value, number_from_f64, number_from_i64, number_from_u64,
};

/// Reads one JSON value.
///
/// # Errors
/// What is no JSON, or outside the profile.
pub fn read(bytes: &[u8]) -> Result<Value, NotationError> {
    let mut deserializer = serde_json::Deserializer::from_str(text(bytes)?);
    Seed { levels: DEPTH }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| placed(&error))
}

/// `serde_json` writes the place behind the message; ours stands apart.
#[cold]
fn placed(error: &serde_json::Error) -> NotationError {
    let (line, column) = (error.line(), error.column());
    let mut message = error.to_string();
    if let Some(bare) = message.strip_suffix(&format!(" at line {line} column {column}")) {
        message.truncate(bare.len());
    }
    // At the very start its column is 0.
    NotationError::at_line(line, column.max(1), message)
}

/// Builds a value that may nest so many levels.
#[derive(Clone, Copy)]
struct Seed {
    levels: usize,
}

impl Seed {
    fn inner<E: Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels }),
            None => Err(E::custom(ProfileError::Depth)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        number_from_i64(number).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        number_from_u64(number).map_err(E::custom)
    }

    // Fractions and exponents, `-0`, and integers of more than 64 bits come as doubles.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        number_from_f64(number).map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            if list.len() == MEMBERS {
                return Err(A::Error::custom(ProfileError::Members));
            }
            list.push(item);
        }
        Ok(Value::List(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut members = Vec::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            if members.len() == MEMBERS {
                return Err(A::Error::custom(ProfileError::Members));
            }
            members.push((key, entries.next_value_seed(seed)?));
        }
        let map = Map::from_unique(members).map_err(|key| {
            let key = shown(&key);
            A::Error::custom(format_args!(
                "the key {key} stands twice in the object ending here"
            ))
        })?;
        Ok(Value::Map(map))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Str, E> {
        Ok(text.into())
    }
}

/// JSON for people: a member or item a line, two spaces a level, keys in canonical order.
#[must_use]
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    push_pretty(&mut out, value, 0);
    out.push('\n');
    out
}

fn push_pretty(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::List(list) if !list.is_empty() => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                push_line(out, at > 0, level + 1);
                push_pretty(out, item, level + 1);
            }
            push_line(out, false, level);
            out.push(']');
        }
        Value::Map(map) if !map.is_empty() => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                push_line(out, at > 0, level + 1);
                push_string(out, key);
                out.push_str(": ");
                push_pretty(out, item, level + 1);
            }
            push_line(out, false, level);
            out.push('}');
        }
        leaf => crate::canonical::push_value(out, leaf),
    }
}

fn push_line(out: &mut String, comma: bool, level: usize) {
    out.push_str(if comma { ",\n" } else { "\n" });
    out.extend(std::iter::repeat_n("  ", level));
}
