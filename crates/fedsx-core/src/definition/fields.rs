//! The fields of a host type: what a record must hold.
//!
//! A field is named with what it holds: `string`, `integer`, `number`, `boolean`, `object`, `list`, `any`,
//! or the CID of another host type; with a `?` behind, it may be absent; in brackets, it is a list of
//! that, as `["string"]`. Members that are no fields are nobody's business.

use crate::cid::{Cid, Digest};
use crate::value::{Map, Value};

/// Fields of one type.
const FIELDS: usize = 256;
/// Lists in lists.
const LISTS: usize = 4;

/// A field of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Whether it may be absent, or nil.
    pub is_optional: bool,
    /// In how many lists its values stand.
    pub lists: usize,
    /// What its values are.
    pub holds: Holds,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// Anything but nil.
    Any,
    /// A string.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// An object.
    Object,
    /// A list.
    List,
    /// An object of this host type, by the digest inside its CID.
    Type(Digest),
}

impl Holds {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "any" => Self::Any,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "object" => Self::Object,
            "list" => Self::List,
            cid => Self::Type(cid.parse::<Cid>().ok()?.digest),
        })
    }

    /// Whether a value is of that kind; of a host type, whether it can be.
    #[must_use]
    pub const fn has(self, value: &Value) -> bool {
        match self {
            Self::Any => !matches!(value, Value::Nil),
            Self::String => matches!(value, Value::Str(_)),
            Self::Integer => matches!(value, Value::Int(_)),
            Self::Number => matches!(value, Value::Int(_) | Value::Double(_)),
            Self::Boolean => matches!(value, Value::Bool(_)),
            Self::Object | Self::Type(_) => matches!(value, Value::Map(_)),
            Self::List => matches!(value, Value::List(_)),
        }
    }
}

/// Reads the fields of a `DefineType`; none for what are no fields.
pub(super) fn fields(map: &Map) -> Option<Vec<Field>> {
    if map.len() > FIELDS {
        return None;
    }
    map.iter()
        .map(|(name, value)| field(name.as_str(), value))
        .collect()
}

fn field(name: &str, mut value: &Value) -> Option<Field> {
    let mut lists = 0;
    while let Value::List(list) = value {
        let mut items = list.iter();
        value = items.next().filter(|_| items.next().is_none())?;
        lists += 1;
    }
    let word = value.as_str().filter(|_| lists <= LISTS)?;
    let (word, is_optional) = match word.strip_suffix('?') {
        Some(word) => (word, true),
        None => (word, false),
    };
    Some(Field {
        name: name.to_owned(),
        is_optional,
        lists,
        holds: Holds::parse(word)?,
    })
}
