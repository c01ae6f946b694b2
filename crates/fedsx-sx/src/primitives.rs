//! The standard functions, by topic, and what they have in common.
//!
//! Each takes its arguments, pays from the budget before it works, and answers a value or a fault
//! without a place, which the evaluator adds. Those that call functions in their turn are only named
//! here: the evaluator walks for them (`eval/walk.rs`), so that nothing native waits for a program.
//! What each does and costs is told, and tried, in `docs/sx.md`.

mod list;
mod logic;
mod map;
pub(crate) mod number;
mod path;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

pub(crate) use list::{group_by, sort_by};
pub(crate) use map::{lookup, part, set};
pub(crate) use path::{path, put_in};

use crate::budget::Budget;
use crate::data::{List, Map, Str, Value};
use crate::error::{Code, Fault, Raised};

/// A standard function.
pub(crate) struct Primitive {
    pub(crate) name: &'static str,
    pub(crate) arity: Arity,
    pub(crate) work: Work,
}

#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Answers by itself.
    Plain(Plain),
    /// Calls a function it is given.
    Calls(Calls),
}

type Plain = fn(&mut Budget, &mut [Value]) -> Raised<Value>;

/// The functions that call others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Calls {
    Apply,
    Map,
    Filter,
    Reduce,
    Some,
    Every,
    SortBy,
    GroupBy,
    Update,
    UpdateIn,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arity {
    least: usize,
    /// `None`: any number.
    most: Option<usize>,
}

impl Arity {
    pub(crate) const fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    pub(crate) const fn between(least: usize, most: usize) -> Self {
        Self {
            least,
            most: Some(most),
        }
    }

    pub(crate) const fn from(least: usize) -> Self {
        Self { least, most: None }
    }

    pub(crate) fn takes(self, count: usize) -> bool {
        count >= self.least && self.most.is_none_or(|most| count <= most)
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        match (self.least, self.most) {
            (0, Some(0)) => f.write_str("no argument"),
            (least, Some(most)) if least == most => write!(f, "{least} argument{}", plural(least)),
            (least, Some(most)) if least + 1 == most => write!(f, "{least} or {most} arguments"),
            (least, Some(most)) => write!(f, "{least} to {most} arguments"),
            (least, None) => write!(f, "at least {least} argument{}", plural(least)),
        }
    }
}

const TABLES: [&[Primitive]; 6] = [
    list::TABLE,
    logic::TABLE,
    map::TABLE,
    number::TABLE,
    path::TABLE,
    text::TABLE,
];

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Primitive>> = LazyLock::new(|| {
    let all = TABLES.into_iter().flatten();
    all.map(|primitive| (primitive.name, primitive)).collect()
});

/// The standard function of a name.
pub(crate) fn find(name: &str) -> Option<&'static Primitive> {
    BY_NAME.get(name).copied()
}

/// The names of all standard functions, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

const fn plain(name: &'static str, arity: Arity, work: Plain) -> Primitive {
    Primitive {
        name,
        arity,
        work: Work::Plain(work),
    }
}

const fn calls(name: &'static str, arity: Arity, work: Calls) -> Primitive {
    Primitive {
        name,
        arity,
        work: Work::Calls(work),
    }
}

/// What a value is, as `type-of` names it.
pub(crate) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Double(_) => "number",
        Value::Str(_) => "string",
        Value::Keyword(_) => "keyword",
        Value::Symbol(_) => "symbol",
        Value::List(_) => "list",
        Value::Map(_) => "dict",
        Value::Function(_) => "function",
    }
}

/// What a value is, in a sentence.
pub(crate) fn article(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        other => format!("a {}", kind(other)),
    }
}

/// An argument of the wrong kind.
#[cold]
pub(crate) fn expected<T>(what: &str, found: &Value) -> Raised<T> {
    let message = format!("expected {what}, found {}", article(found));
    Err(Fault::new(Code::Type, message))
}

#[cold]
fn out_of_range<T>(message: impl Into<String>) -> Raised<T> {
    Err(Fault::new(Code::Range, message.into()))
}

/// The truth of a value: only nil and false are false.
pub(crate) const fn truth(value: &Value) -> bool {
    !matches!(value, Value::Nil | Value::Bool(false))
}

fn take(value: &mut Value) -> Value {
    std::mem::take(value)
}

/// A list, nil being the empty one.
pub(crate) fn list(value: &mut Value) -> Raised<List> {
    match take(value) {
        Value::List(list) => Ok(list),
        Value::Nil => Ok(List::default()),
        other => expected("a list", &other),
    }
}

/// A map, nil being the empty one.
pub(crate) fn dict(value: &mut Value) -> Raised<Map> {
    match take(value) {
        Value::Map(map) => Ok(map),
        Value::Nil => Ok(Map::new()),
        other => expected("a dict", &other),
    }
}

/// A string or a keyword, as the key of a map.
pub(crate) fn key(value: &Value) -> Raised<&Str> {
    match value {
        Value::Str(key) | Value::Keyword(key) => Ok(key),
        other => expected("a string or a keyword as the key", other),
    }
}

fn string(value: &Value) -> Raised<&Str> {
    match value {
        Value::Str(text) => Ok(text),
        other => expected("a string", other),
    }
}

fn integer(value: &Value) -> Raised<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        other => expected("an integer", other),
    }
}

/// A count or an index, 0 or more; what is past all lists stays so.
fn index(value: &Value) -> Raised<usize> {
    let number = integer(value)?;
    if number < 0 {
        return out_of_range(format!("expected an integer of 0 or more, found {number}"));
    }
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// The number of binary digits: how often a sorted thing of that size is halved.
pub(crate) const fn bits(size: usize) -> usize {
    (usize::BITS - size.leading_zeros()) as usize
}

fn count(size: usize) -> Value {
    Value::Int(i64::try_from(size).unwrap_or(i64::MAX))
}

fn bounds(value: &[Value], length: usize) -> Raised<std::ops::Range<usize>> {
    let start = index(&value[0])?.min(length);
    let end = match value.get(1) {
        None | Some(Value::Nil) => length,
        Some(end) => index(end)?.min(length),
    };
    Ok(start..end.max(start))
}
