//! What can go wrong: while a program is compiled, and while it runs.
//!
//! Each error has a stable code, a place in the source, and says what would have been right. It is
//! shown with its line and a mark by [`page`]. Messages are made of the program and its input alone.

use std::borrow::Cow;
use std::fmt;

use crate::data::{Map, Value};
use crate::read::{ReadError, Span, page, page_of};

/// Which kind of error it is. The names are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Code {
    /// No fuel is left.
    Fuel,
    /// More was allocated, or one value grew larger, than is allowed.
    Memory,
    /// Too many calls wait for another.
    Depth,
    /// The result is too large.
    Result,
    /// An argument of a kind that the function has no use for.
    Type,
    /// Too few or too many arguments.
    Arity,
    /// A number that can't be kept: an integer beyond 64 bits, an infinity.
    Overflow,
    /// A division by zero.
    Division,
    /// An argument of the right kind outside what the function takes.
    Range,
    /// A definition is used before it has its value.
    Undefined,
    /// `error` was called.
    Raised,
    /// An `assert` that doesn't hold.
    Assertion,
    /// A function of the host refused.
    Host,
}

impl Code {
    /// The name that programs and people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Depth => "depth",
            Self::Result => "result",
            Self::Type => "type",
            Self::Arity => "arity",
            Self::Overflow => "overflow",
            Self::Division => "division",
            Self::Range => "range",
            Self::Undefined => "undefined",
            Self::Raised => "raised",
            Self::Assertion => "assertion",
            Self::Host => "host",
        }
    }

    /// Whether a bound on the whole evaluation was passed, which no `guard` catches.
    #[must_use]
    pub const fn is_bound(self) -> bool {
        matches!(self, Self::Fuel | Self::Memory | Self::Depth | Self::Result)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a primitive answers.
pub type Raised<T> = Result<T, Box<Fault>>;

/// An error before its place is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// What is wrong, and what would be right.
    pub message: Cow<'static, str>,
    /// What `error` was given beside its message.
    pub data: Option<Value>,
}

impl Fault {
    /// An error of a kind.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            code,
            message: message.into(),
            data: None,
        })
    }

    /// The refusal of a host function.
    #[must_use]
    pub fn host(message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(Code::Host, message)
    }

    /// What `guard` binds: `{:code "…" :message "…"}`, and `:data` where there is some.
    pub(crate) fn into_value(self) -> Value {
        let mut map = Map::new();
        map.insert("code", self.code.as_str());
        map.insert("message", &*self.message);
        if let Some(data) = self.data {
            map.insert("data", data);
        }
        Value::Map(map)
    }
}

/// Why an evaluation has no value.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("line {}, column {}: {code}: {message}", span.line, span.column)]
pub struct EvalError {
    /// Which kind.
    pub code: Code,
    /// What is wrong, and what would be right.
    pub message: String,
    /// What `error` was given beside its message.
    pub data: Option<Value>,
    /// The form that was being evaluated.
    pub span: Span,
}

impl EvalError {
    pub(crate) fn new(fault: Fault, span: Span) -> Self {
        Self {
            code: fault.code,
            message: fault.message.into_owned(),
            data: fault.data,
            span,
        }
    }

    /// The error with the line of `source` it stands in and a mark under the place.
    #[must_use]
    pub fn page(&self, source: &str) -> String {
        page(source, self.span.line, self.span.column, &self.headline())
    }

    /// As `page`, naming the file.
    #[must_use]
    pub fn page_of(&self, file: &str, source: &str) -> String {
        let Span { line, column, .. } = self.span;
        page_of(file, source, line, column, &self.headline())
    }

    pub(crate) fn headline(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

/// Why a source is no program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompileError {
    /// It doesn't read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is longer than allowed.
    #[error("a source of {bytes} bytes, of which {max_bytes} are allowed")]
    Length {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        max_bytes: usize,
    },
    /// It reads, but means nothing.
    #[error("line {}, column {}: {what}; expected {expected}", span.line, span.column)]
    Meaning {
        /// What is wrong.
        what: String,
        /// What would have been right.
        expected: String,
        /// Where.
        span: Span,
    },
}

impl CompileError {
    /// Whether more text could make it right: a prompt asks for another line.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::Read(error) if error.is_unfinished())
    }

    /// Where it is, if it has a place: its line and column, from 1.
    #[must_use]
    pub fn place(&self) -> Option<(u32, u32)> {
        match self {
            Self::Read(error) => Some((error.line, error.column)),
            Self::Length { .. } => None,
            Self::Meaning { span, .. } => Some((span.line, span.column)),
        }
    }

    /// The error with the line of `source` it stands in and a mark under the place.
    #[must_use]
    pub fn page(&self, source: &str) -> String {
        match self.place() {
            Some((line, column)) => page(source, line, column, &self.headline()),
            None => format!("error: {self}\n"),
        }
    }

    /// As `page`, naming the file.
    #[must_use]
    pub fn page_of(&self, file: &str, source: &str) -> String {
        match self.place() {
            Some((line, column)) => page_of(file, source, line, column, &self.headline()),
            None => format!("error: {file}: {self}\n"),
        }
    }

    pub(crate) fn headline(&self) -> String {
        match self {
            Self::Read(error) => format!("{}; expected {}", error.what, error.expected),
            Self::Length { .. } => self.to_string(),
            Self::Meaning { what, expected, .. } => format!("{what}; expected {expected}"),
        }
    }
}
