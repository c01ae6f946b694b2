//! The reader: text to [`Form`]s, of data and of code alike.
//!
//! ```text
//! form    = nil | true | false | number | string | keyword | symbol
//!         | "(" form* ")" | "[" form* "]" | "{" (form form)* "}"
//! keyword = ":" name | ":" string
//! ```
//!
//! Numbers and strings are spelt as in JSON (RFC 8259); `;` starts a comment up to the end of its
//! line. A number whose value is integral and within ±(2^53−1) is an integer however it is spelt;
//! integers written out may use all of `i64`. What the reader takes it takes in any layout; nothing
//! is repaired. No native recursion follows the input: nesting is bounded by the caller's `depth`.
//! Deliberately absent: quote marks, reader macros, meaning (that is of whoever takes the forms).

use std::fmt;

use crate::data::Str;
use crate::lex::{Lexer, Token};

/// How deep code may nest, levels.
pub const DEPTH: usize = 256;
/// How deep any caller may let a text nest: dropping and printing forms takes native stack.
const DEPTH_MAX: usize = 1_024;
/// The longest text read, bytes.
const SOURCE_MAX: usize = 64 << 20;

/// Where something stands in its source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// Where it begins, bytes from the start of the source.
    pub offset: u32,
    /// Where it ends, bytes from the start of the source.
    pub end: u32,
    /// The line it begins in, from 1.
    pub line: u32,
    /// The character of that line it begins at, from 1.
    pub column: u32,
}

/// A form with its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Form {
    /// What was read.
    pub kind: FormKind,
    /// Where it was read.
    pub span: Span,
}

/// What a form is.
#[derive(Clone, PartialEq, Debug)]
pub enum FormKind {
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double: finite, and not integral unless its magnitude is 1e21 or more.
    Double(f64),
    /// A string.
    Str(Str),
    /// `:name` or `:"odd name"`.
    Keyword(Str),
    /// A name.
    Symbol(Str),
    /// `( … )`.
    List(Vec<Form>),
    /// `[ … ]`.
    Vector(Vec<Form>),
    /// `{ … }`: keys and values in turn, as many of the one as of the other.
    Map(Vec<Form>),
}

/// A pair of brackets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bracket {
    /// `( )`.
    Round,
    /// `[ ]`.
    Square,
    /// `{ }`.
    Curly,
}

impl Bracket {
    /// The opening one.
    #[must_use]
    pub const fn open(self) -> char {
        match self {
            Self::Round => '(',
            Self::Square => '[',
            Self::Curly => '{',
        }
    }

    /// The closing one.
    #[must_use]
    pub const fn close(self) -> char {
        match self {
            Self::Round => ')',
            Self::Square => ']',
            Self::Curly => '}',
        }
    }
}

/// What is wrong with a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A bracket that is never closed.
    Unclosed(Bracket),
    /// A closing bracket that closes nothing.
    Unopened(Bracket),
    /// A closing bracket of another shape than the one it should close.
    Mismatched {
        /// What stands open.
        open: Bracket,
        /// What closes.
        close: Bracket,
    },
    /// A string that is never closed.
    UnclosedString,
    /// A character that can't stand there.
    Character(char),
    /// A `\` and something JSON doesn't escape.
    Escape,
    /// Half a surrogate pair.
    LoneSurrogate,
    /// An unescaped control character in a string.
    Control(char),
    /// Digits that are no JSON number.
    Number,
    /// A number that can't be kept exactly, or not at all.
    NumberRange,
    /// A key of `{ }` without a value.
    KeyWithoutValue,
    /// More nesting than so many levels.
    Depth(usize),
    /// No form at all.
    Nothing,
    /// Something after the one form.
    Trailing,
    /// A text of more bytes than can be read.
    Length,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed(open) => write!(f, "`{}` is never closed", open.open()),
            Self::Unopened(close) => write!(f, "`{}` closes nothing", close.close()),
            Self::Mismatched { open, close } => {
                write!(f, "`{}` can't close `{}`", close.close(), open.open())
            }
            Self::UnclosedString => f.write_str("the string is never closed"),
            Self::Character(c @ ('\'' | '"' | '\\')) => write!(f, "unexpected character `{c}`"),
            Self::Character(c) => write!(f, "unexpected character `{}`", c.escape_debug()),
            Self::Escape => f.write_str("unknown escape"),
            Self::LoneSurrogate => f.write_str("half a surrogate pair"),
            Self::Control(c) => write!(f, "unescaped control character `{}`", c.escape_debug()),
            Self::Number => f.write_str("malformed number"),
            Self::NumberRange => f.write_str("number out of range"),
            Self::KeyWithoutValue => f.write_str("key without a value"),
            Self::Depth(levels) => write!(f, "nested more than {levels} levels deep"),
            Self::Nothing => f.write_str("nothing to read"),
            Self::Trailing => f.write_str("more than one form"),
            Self::Length => write!(f, "the text is longer than {SOURCE_MAX} bytes"),
        }
    }
}

/// Why a text could not be read, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {what}; expected {expected}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: u32,
    /// The character of the line, from 1.
    pub column: u32,
    /// Bytes from the start of the source.
    pub offset: u32,
    /// What is wrong.
    pub what: Fault,
    /// What would have been right.
    pub expected: &'static str,
}

impl ReadError {
    pub(crate) fn new(span: Span, what: Fault, expected: &'static str) -> Self {
        Self {
            line: span.line,
            column: span.column,
            offset: span.offset,
            what,
            expected,
        }
    }

    /// Whether more text could make it right: a prompt asks for another line.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        matches!(self.what, Fault::Unclosed(_) | Fault::UnclosedString)
    }

    /// The error with the line it stands in and a mark under the place, several lines for people.
    #[must_use]
    pub fn page(&self, source: &str) -> String {
        let head = format!("{}; expected {}", self.what, self.expected);
        page(source, self.line, self.column, &head)
    }
}

/// A message above the line of `source` it is about, with a mark under the column.
#[must_use]
pub fn page(source: &str, line: u32, column: u32, message: &str) -> String {
    let place = format!("line {line}, column {column}");
    page_at(&place, source, line, column, message)
}

/// As [`page`], of a file, which is named as editors and terminals name places.
#[must_use]
pub fn page_of(file: &str, source: &str, line: u32, column: u32, message: &str) -> String {
    let place = format!("{file}:{line}:{column}");
    page_at(&place, source, line, column, message)
}

fn page_at(place: &str, source: &str, line: u32, column: u32, message: &str) -> String {
    const BEFORE: usize = 60;
    const WIDTH: usize = 100;
    let text = source.lines().nth((line as usize).saturating_sub(1));
    let at = (column as usize).saturating_sub(1);
    // A document may be one line of a megabyte.
    let skipped = at.saturating_sub(BEFORE);
    let shown: String = text
        .unwrap_or_default()
        .chars()
        .skip(skipped)
        .take(WIDTH)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let mark = " ".repeat(at - skipped);
    format!(
        "error: {message}\n{margin}--> {place}\n{margin} |\n{number} | {shown}\n{margin} | {mark}^\n"
    )
}

/// Reads every form of `source`, nested up to `depth` levels.
///
/// # Errors
/// The first fault, with its place.
pub fn read_all(source: &str, depth: usize) -> Result<Vec<Form>, ReadError> {
    if source.len() > SOURCE_MAX {
        let span = Span {
            line: 1,
            column: 1,
            ..Span::default()
        };
        return Err(ReadError::new(span, Fault::Length, "less"));
    }
    Reader {
        lexer: Lexer::new(source),
        depth: depth.min(DEPTH_MAX),
        done: Vec::new(),
        open: Vec::new(),
    }
    .run()
}

/// Reads the one form of `source`, nested up to `depth` levels.
///
/// # Errors
/// The first fault, with its place; no form or a second one is a fault too.
pub fn read_one(source: &str, depth: usize) -> Result<Form, ReadError> {
    let mut forms = read_all(source, depth)?.into_iter();
    let Some(form) = forms.next() else {
        let span = Lexer::new(source).end();
        return Err(ReadError::new(span, Fault::Nothing, "one form"));
    };
    match forms.next() {
        None => Ok(form),
        Some(second) => Err(ReadError::new(
            second.span,
            Fault::Trailing,
            "the end of the text",
        )),
    }
}

/// A form whose closing bracket is still to come.
struct Open {
    bracket: Bracket,
    span: Span,
    children: Vec<Form>,
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    depth: usize,
    done: Vec<Form>,
    open: Vec<Open>,
}

impl Reader<'_> {
    fn run(mut self) -> Result<Vec<Form>, ReadError> {
        while let Some((token, span)) = self.lexer.token()? {
            match token {
                Token::Comment => {}
                Token::Open(bracket) => self.open(bracket, span)?,
                Token::Close(bracket) => self.close(bracket, span)?,
                Token::Atom(kind) => self.add(Form { kind, span }),
            }
        }
        match self.open.pop() {
            None => Ok(self.done),
            Some(open) => {
                let expected = closing(open.bracket);
                let what = Fault::Unclosed(open.bracket);
                Err(ReadError::new(open.span, what, expected))
            }
        }
    }

    fn open(&mut self, bracket: Bracket, span: Span) -> Result<(), ReadError> {
        if self.open.len() == self.depth {
            let what = Fault::Depth(self.depth);
            return Err(ReadError::new(span, what, "less nesting"));
        }
        self.open.push(Open {
            bracket,
            span,
            children: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self, bracket: Bracket, span: Span) -> Result<(), ReadError> {
        let Some(open) = self.open.pop() else {
            let what = Fault::Unopened(bracket);
            return Err(ReadError::new(span, what, "a form"));
        };
        if open.bracket != bracket {
            let what = Fault::Mismatched {
                open: open.bracket,
                close: bracket,
            };
            return Err(ReadError::new(span, what, closing(open.bracket)));
        }
        let children = open.children;
        let kind = match bracket {
            Bracket::Round => FormKind::List(children),
            Bracket::Square => FormKind::Vector(children),
            Bracket::Curly => match children.last() {
                Some(key) if children.len() % 2 == 1 => {
                    let what = Fault::KeyWithoutValue;
                    return Err(ReadError::new(key.span, what, "keys and values in turn"));
                }
                _ => FormKind::Map(children),
            },
        };
        let span = Span {
            end: span.end,
            ..open.span
        };
        self.add(Form { kind, span });
        Ok(())
    }

    fn add(&mut self, form: Form) {
        match self.open.last_mut() {
            Some(open) => open.children.push(form),
            None => self.done.push(form),
        }
    }
}

fn closing(bracket: Bracket) -> &'static str {
    match bracket {
        Bracket::Round => "`)`",
        Bracket::Square => "`]`",
        Bracket::Curly => "`}`",
    }
}
