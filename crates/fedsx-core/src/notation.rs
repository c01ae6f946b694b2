//! One value, three notations: JSON, SX and CBOR, read and written (design, section 2).
//!
//! Readers take what keeps to the profile of `value` and the bounds of `limits`; all else is refused
//! with a place, never repaired. For each notation, reading what was written gives the same value.
//! Deliberately absent: negotiation (who asks for which notation), and hashing, which is of
//! `canonical` alone.

pub mod cbor;
pub mod json;
pub mod sx;

use std::fmt;

use minicbor::{Decode, Encode};

use crate::refusal::{Code, Refusal};
use crate::value::{Map, Value};

/// How a value is written down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Notation {
    /// JSON, the default.
    #[n(0)]
    Json,
    /// S-expressions, for people.
    #[n(1)]
    Sx,
    /// CBOR, deterministically encoded.
    #[n(2)]
    Cbor,
}

/// The profile that makes `application/ld+json` an ActivityStreams document.
const PROFILE: &str = "https://www.w3.org/ns/activitystreams";

impl Notation {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Json, Self::Sx, Self::Cbor];

    /// The media type a document is served with.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/activity+json",
            Self::Sx => "application/sx",
            Self::Cbor => "application/cbor",
        }
    }

    /// Every media type of this notation, without parameters.
    #[must_use]
    pub const fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Json => &[
                "application/activity+json",
                "application/ld+json",
                "application/json",
            ],
            Self::Sx => &["application/sx"],
            Self::Cbor => &["application/cbor"],
        }
    }

    /// One word: `json`, `sx`, `cbor`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sx => "sx",
            Self::Cbor => "cbor",
        }
    }

    /// The notation a `Content-Type` names; parameters play no part.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = essence(content_type);
        Self::ALL.into_iter().find(|notation| {
            notation
                .media_types()
                .iter()
                .any(|media_type| essence.eq_ignore_ascii_case(media_type))
        })
    }
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a `Content-Type` says that the body is an ActivityStreams document, in any notation:
/// `application/json` doesn't, and `application/ld+json` only with the profile.
#[must_use]
pub fn is_activity_streams(content_type: &str) -> bool {
    let essence = essence(content_type);
    if essence.eq_ignore_ascii_case("application/ld+json") {
        return content_type.contains(PROFILE);
    }
    [
        "application/activity+json",
        "application/sx",
        "application/cbor",
    ]
    .iter()
    .any(|media_type| essence.eq_ignore_ascii_case(media_type))
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A place in what was read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Position {
    /// In a text.
    Line {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Bytes from the start.
    Byte(usize),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

/// Why a document could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotationError {
    /// More bytes than allowed.
    #[error("{bytes} bytes, of which {max_bytes} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        max_bytes: usize,
    },
    /// Not this notation, or outside the profile.
    #[error("{position}: {message}")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
    },
}

impl NotationError {
    pub(crate) fn at_byte(offset: usize, message: impl Into<String>) -> Self {
        Self::Malformed {
            message: message.into(),
            position: Position::Byte(offset),
        }
    }

    pub(crate) fn at_line(line: usize, column: usize, message: impl Into<String>) -> Self {
        Self::Malformed {
            message: message.into(),
            position: Position::Line { line, column },
        }
    }
}

impl From<NotationError> for Refusal {
    fn from(error: NotationError) -> Self {
        let code = match error {
            NotationError::TooLarge { .. } => Code::TooLarge,
            NotationError::Malformed { .. } => Code::Malformed,
        };
        Self::new(code, error.to_string())
    }
}

/// Reads a value of at most `max_bytes` bytes.
///
/// # Errors
/// What is too large, not in this notation or outside the profile.
pub fn read(notation: Notation, bytes: &[u8], max_bytes: usize) -> Result<Value, NotationError> {
    if bytes.len() > max_bytes {
        return Err(NotationError::TooLarge {
            bytes: bytes.len(),
            max_bytes,
        });
    }
    match notation {
        Notation::Json => json::read(bytes),
        Notation::Sx => sx::read(bytes),
        Notation::Cbor => cbor::read(bytes),
    }
}

/// Reads a document, that is an object, of at most `max_bytes` bytes.
///
/// # Errors
/// As of `read`, and a value that is no object.
pub fn read_document(
    notation: Notation,
    bytes: &[u8],
    max_bytes: usize,
) -> Result<Map, NotationError> {
    match read(notation, bytes, max_bytes)? {
        Value::Map(map) => Ok(map),
        _ => {
            let message = "a document is an object";
            Err(match notation {
                Notation::Cbor => NotationError::at_byte(0, message),
                Notation::Json | Notation::Sx => NotationError::at_line(1, 1, message),
            })
        }
    }
}

/// Writes a document value in the one spelling each notation has for it.
#[must_use]
pub fn write(notation: Notation, value: &Value) -> Vec<u8> {
    match notation {
        Notation::Json => crate::canonical::jcs(value),
        Notation::Sx => fedsx_sx::print::print(value).into_bytes(),
        Notation::Cbor => cbor::write(value),
    }
}

/// The text of UTF-8 bytes, or the place of the first that is none.
fn text(bytes: &[u8]) -> Result<&str, NotationError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + valid
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
        NotationError::at_line(line, column, "not UTF-8")
    })
}

/// A key as an error shows it: quoted, and cut, since it came from outside.
fn shown(key: &str) -> String {
    const SHOWN: usize = 64;
    match key.char_indices().nth(SHOWN) {
        None => format!("{key:?}"),
        Some((cut, _)) => format!("{:?}…", &key[..cut]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_notations() {
        for (content_type, notation, activity_streams) in [
            ("application/activity+json", Some(Notation::Json), true),
            (
                "Application/JSON; charset=utf-8",
                Some(Notation::Json),
                false,
            ),
            ("application/ld+json", Some(Notation::Json), false),
            (
                "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
                Some(Notation::Json),
                true,
            ),
            (" application/sx ;q=1", Some(Notation::Sx), true),
            ("application/cbor", Some(Notation::Cbor), true),
            ("text/html", None, false),
            ("", None, false),
        ] {
            assert_eq!(Notation::of_content_type(content_type), notation);
            assert_eq!(is_activity_streams(content_type), activity_streams);
        }
    }

    #[test]
    fn size_is_judged_before_anything_else() {
        let error = read(Notation::Json, b"[[[", 2).expect_err("three bytes");
        assert_eq!(Refusal::from(error).code, Code::TooLarge);
        let error = read(Notation::Json, b"[[[", 3).expect_err("no JSON");
        assert_eq!(Refusal::from(error).code, Code::Malformed);
    }

    #[test]
    fn a_document_is_an_object() {
        for (notation, bytes) in [
            (Notation::Json, &b"[]"[..]),
            (Notation::Sx, b"[]"),
            (Notation::Cbor, b"\x80"),
        ] {
            assert_eq!(
                read(notation, bytes, 2),
                Ok(Value::List(Default::default()))
            );
            read_document(notation, bytes, 2).expect_err("an array");
        }
        for (notation, bytes) in [
            (Notation::Json, &b"{}"[..]),
            (Notation::Sx, b"{}"),
            (Notation::Cbor, b"\xa0"),
        ] {
            assert_eq!(read_document(notation, bytes, 2), Ok(Map::new()));
        }
    }
}
