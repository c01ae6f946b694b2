//! Tokens with their places: the part of reading that the reader and the layout share.

use crate::data::Str;
use crate::read::{Bracket, Fault, FormKind, ReadError, Span};

/// 2^53: from here on not every integer is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// From here on a number is spelt with an exponent, so it reads back as the double it is.
const EXPONENT: f64 = 1e21;

pub(crate) enum Token {
    Open(Bracket),
    Close(Bracket),
    Atom(FormKind),
    Comment,
}

pub(crate) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self {
            source,
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// The place after everything.
    pub(crate) fn end(mut self) -> Span {
        self.advance(self.source.len());
        self.here()
    }

    /// The next token; `None` at the end.
    pub(crate) fn token(&mut self) -> Result<Option<(Token, Span)>, ReadError> {
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.advance(self.at + blank);
        let start = self.here();
        let Some(first) = self.rest().bytes().next() else {
            return Ok(None);
        };
        let token = match first {
            b'(' => self.bracket(Token::Open(Bracket::Round)),
            b'[' => self.bracket(Token::Open(Bracket::Square)),
            b'{' => self.bracket(Token::Open(Bracket::Curly)),
            b')' => self.bracket(Token::Close(Bracket::Round)),
            b']' => self.bracket(Token::Close(Bracket::Square)),
            b'}' => self.bracket(Token::Close(Bracket::Curly)),
            b';' => {
                let rest = self.rest();
                let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
                self.advance(self.at + length);
                Token::Comment
            }
            b'"' => Token::Atom(FormKind::Str(self.string(start)?)),
            b':' => Token::Atom(FormKind::Keyword(self.keyword()?)),
            _ => Token::Atom(self.word()?),
        };
        if let Token::Atom(_) = token {
            self.boundary()?;
        }
        let span = Span {
            end: place(self.at),
            ..start
        };
        Ok(Some((token, span)))
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn here(&self) -> Span {
        Span {
            offset: place(self.at),
            end: place(self.at),
            line: self.line,
            column: self.column,
        }
    }

    fn advance(&mut self, to: usize) {
        for byte in self.source[self.at..to].bytes() {
            if byte == b'\n' {
                self.line += 1;
                self.column = 1;
            } else if byte & 0xc0 != 0x80 {
                // A character counts once, by its first byte.
                self.column += 1;
            }
        }
        self.at = to;
    }

    fn bracket(&mut self, token: Token) -> Token {
        self.advance(self.at + 1);
        token
    }

    /// After an atom comes a space, a bracket, a comment or the end: `1"a"` is a slip of the hand.
    fn boundary(&self) -> Result<(), ReadError> {
        match self.rest().chars().next() {
            None | Some(' ' | '\t' | '\n' | '\r' | '(' | ')' | '[' | ']' | '{' | '}' | ';') => {
                Ok(())
            }
            Some(other) => Err(self.unexpected(other, "a space or a bracket")),
        }
    }

    fn unexpected(&self, found: char, expected: &'static str) -> ReadError {
        ReadError::new(self.here(), Fault::Character(found), expected)
    }

    fn keyword(&mut self) -> Result<Str, ReadError> {
        self.advance(self.at + 1);
        if self.rest().starts_with('"') {
            let start = self.here();
            return self.string(start);
        }
        match self.name() {
            "" => Err(match self.rest().chars().next() {
                Some(other) => self.unexpected(other, "a name or a string after `:`"),
                None => ReadError::new(
                    self.here(),
                    Fault::Character(':'),
                    "a name or a string after `:`",
                ),
            }),
            name => Ok(name.into()),
        }
    }

    fn word(&mut self) -> Result<FormKind, ReadError> {
        let start = self.here();
        let word = self.name();
        let digit = |text: &str| text.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let unsigned = word.strip_prefix(['-', '+']).unwrap_or(word);
        match word {
            "" => Err(match self.rest().chars().next() {
                Some('\'') => self.unexpected('\'', "a form; to quote, write `(quote …)`"),
                Some(other) => self.unexpected(other, "a form"),
                None => ReadError::new(start, Fault::Nothing, "a form"),
            }),
            "nil" => Ok(FormKind::Nil),
            "true" => Ok(FormKind::Bool(true)),
            "false" => Ok(FormKind::Bool(false)),
            _ if digit(unsigned) || unsigned.strip_prefix('.').is_some_and(digit) => {
                number(word).map_err(|(what, expected)| ReadError::new(start, what, expected))
            }
            _ => Ok(FormKind::Symbol(word.into())),
        }
    }

    /// The characters of a name from here on; may be none.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| !is_name_byte(byte))
            .unwrap_or(rest.len());
        self.advance(self.at + length);
        &rest[..length]
    }

    /// A string from its opening quote on.
    fn string(&mut self, start: Span) -> Result<Str, ReadError> {
        self.advance(self.at + 1);
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .bytes()
                .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            let Some(plain) = plain else {
                return Err(ReadError::new(start, Fault::UnclosedString, "`\"`"));
            };
            let (run, stop) = (&rest[..plain], rest.as_bytes()[plain]);
            self.advance(self.at + plain);
            if stop == b'"' {
                self.advance(self.at + 1);
                return Ok(if text.is_empty() {
                    run.into()
                } else {
                    text.push_str(run);
                    text.into()
                });
            }
            text.push_str(run);
            if stop != b'\\' {
                let what = Fault::Control(char::from(stop));
                return Err(ReadError::new(self.here(), what, "an escape such as `\\n`"));
            }
            text.push(self.escape(start)?);
        }
    }

    /// An escape from its backslash on, both halves of a surrogate pair together.
    fn escape(&mut self, string: Span) -> Result<char, ReadError> {
        const EXPECTED: &str =
            "one of `\\\" \\\\ \\/ \\b \\f \\n \\r \\t` or `\\u` and four hex digits";
        let start = self.here();
        let unknown = || ReadError::new(start, Fault::Escape, EXPECTED);
        let rest = self.rest();
        let Some(letter) = rest.as_bytes().get(1) else {
            return Err(ReadError::new(string, Fault::UnclosedString, "`\"`"));
        };
        let (escaped, length) = match letter {
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'/' => ('/', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => {
                let first = unit(rest).ok_or_else(unknown)?;
                let second = rest.get(6..).and_then(unit);
                let units = [first, second.unwrap_or(0)];
                match char::decode_utf16(units).next() {
                    Some(Ok(c)) => (c, if c.len_utf16() == 2 { 12 } else { 6 }),
                    _ => {
                        let expected = "both halves, high before low";
                        return Err(ReadError::new(start, Fault::LoneSurrogate, expected));
                    }
                }
            }
            _ => return Err(unknown()),
        };
        self.advance(self.at + length);
        Ok(escaped)
    }
}

fn place(offset: usize) -> u32 {
    u32::try_from(offset).expect("the reader bounds its source")
}

/// The UTF-16 code unit that `\uXXXX` at the start of `text` stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` takes a sign too.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

/// Whether `byte` may be part of a symbol or a plain keyword.
pub(crate) const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'+' | b'-'
                | b'*'
                | b'/'
                | b'='
                | b'<'
                | b'>'
                | b'!'
                | b'?'
                | b'&'
                | b'_'
                | b'.'
                | b'%'
                | b'$'
                | b'^'
                | b'~'
                | b'@'
        )
}

/// What a word of digits means.
fn number(word: &str) -> Result<FormKind, (Fault, &'static str)> {
    let integral = json_number(word).ok_or((Fault::Number, "a number as in JSON"))?;
    if integral && let Ok(exact) = word.parse::<i64>() {
        return Ok(FormKind::Int(exact));
    }
    let double: f64 = word
        .parse()
        .map_err(|_| (Fault::Number, "a number as in JSON"))?;
    if !double.is_finite() {
        return Err((Fault::NumberRange, "a finite number"));
    }
    if double.fract() != 0.0 || double.abs() >= EXPONENT {
        return Ok(FormKind::Double(double));
    }
    if double.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an integral double below 2^53 is exactly an integer"
        )]
        return Ok(FormKind::Int(double as i64));
    }
    // Its canonical spelling would read back as an integer, perhaps another one.
    Err((
        Fault::NumberRange,
        "integers below 2^53 or written out, doubles from 1e21",
    ))
}

/// Whether `word` is a number by RFC 8259, section 6, and if so whether without fraction and exponent.
fn json_number(word: &str) -> Option<bool> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with('0')) {
        return None;
    }
    let mut rest = &unsigned[whole..];
    let integral = rest.is_empty();
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return None;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        if length == 0 {
            return None;
        }
        rest = &exponent[length..];
    }
    rest.is_empty().then_some(integral)
}
