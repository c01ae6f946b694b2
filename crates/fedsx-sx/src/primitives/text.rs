//! Strings. Indices count code points; case and blanks are those of ASCII, so that no table of
//! characters, which changes with the years, has a say in a value.

use std::fmt;

use crate::budget::Budget;
use crate::data::{List, Value};
use crate::error::Raised;
use crate::primitives::{
    Arity, Primitive, bounds, count, key, list, out_of_range, plain, string, take,
};
use crate::print::write_value;

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

pub(super) const TABLE: &[Primitive] = &[
    plain("str", Arity::from(0), |budget, args| {
        let mut out = String::new();
        for value in args.iter() {
            push(budget, &mut out, value)?;
        }
        finish(budget, out)
    }),
    plain("join", Arity::exactly(2), |budget, args| {
        let items = list(&mut args[1])?;
        let between = string(&args[0])?;
        let mut out = String::new();
        for (at, item) in items.iter().enumerate() {
            budget.spend(1)?;
            if at > 0 {
                grow(budget, &mut out, between)?;
            }
            push(budget, &mut out, item)?;
        }
        finish(budget, out)
    }),
    plain("upper", Arity::exactly(1), |budget, args| {
        let text = string(&args[0])?;
        budget.text(text.len())?;
        Ok(Value::from(text.to_ascii_uppercase()))
    }),
    plain("lower", Arity::exactly(1), |budget, args| {
        let text = string(&args[0])?;
        budget.text(text.len())?;
        Ok(Value::from(text.to_ascii_lowercase()))
    }),
    plain("trim", Arity::exactly(1), |budget, args| {
        let text = string(&args[0])?;
        budget.text(text.len())?;
        Ok(Value::from(text.trim_matches(BLANKS)))
    }),
    plain("split", Arity::exactly(2), |budget, args| {
        split(budget, &args[0], &args[1])
    }),
    plain("replace", Arity::exactly(3), |budget, args| {
        replace(budget, args)
    }),
    plain("string-length", Arity::exactly(1), |budget, args| {
        let text = string(&args[0])?;
        budget.read(text.len())?;
        Ok(count(text.chars().count()))
    }),
    plain("substring", Arity::between(2, 3), |budget, args| {
        let text = string(&args[0])?.clone();
        cut(budget, &text, &args[1..])
    }),
    plain("string-contains?", Arity::exactly(2), |budget, args| {
        Ok(Value::Bool(
            find(budget, string(&args[0])?, &args[1])?.is_some(),
        ))
    }),
    plain("starts-with?", Arity::exactly(2), |budget, args| {
        let (text, with) = (string(&args[0])?, key(&args[1])?);
        budget.read(with.len())?;
        Ok(Value::Bool(text.starts_with(with.as_str())))
    }),
    plain("ends-with?", Arity::exactly(2), |budget, args| {
        let (text, with) = (string(&args[0])?, key(&args[1])?);
        budget.read(with.len())?;
        Ok(Value::Bool(text.ends_with(with.as_str())))
    }),
    plain("parse-int", Arity::between(1, 2), |budget, args| {
        let text = string(&args[0])?;
        budget.read(text.len())?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<i64>().ok().filter(|_| plain);
        Ok(match number {
            Some(number) => Value::Int(number),
            None => args.get_mut(1).map(take).unwrap_or_default(),
        })
    }),
];

/// Appends a text within what the budget has room for; it is paid for by `finish`.
fn grow(budget: &mut Budget, out: &mut String, text: &str) -> Raised<()> {
    if text.len() > budget.room().saturating_sub(out.len()) {
        return budget.text(out.len().saturating_add(text.len()));
    }
    out.push_str(text);
    Ok(())
}

/// Appends what `str` makes of a value: a text as it is, nil as nothing, else the canonical print.
fn push(budget: &mut Budget, out: &mut String, value: &Value) -> Raised<()> {
    match value {
        Value::Nil => Ok(()),
        Value::Str(text) | Value::Keyword(text) | Value::Symbol(text) => grow(budget, out, text),
        other => {
            budget.spend(usize::try_from(other.weight() / 8).unwrap_or(usize::MAX))?;
            let mut page = Page {
                room: budget.room().saturating_sub(out.len()),
                out,
            };
            if write_value(&mut page, other).is_err() {
                return budget.text(budget.room().saturating_add(1));
            }
            Ok(())
        }
    }
}

fn finish(budget: &mut Budget, out: String) -> Raised<Value> {
    budget.text(out.len())?;
    Ok(Value::from(out))
}

/// A text that takes no more than it has room for.
struct Page<'a> {
    room: usize,
    out: &'a mut String,
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.room = self.room.checked_sub(piece.len()).ok_or(fmt::Error)?;
        self.out.push_str(piece);
        Ok(())
    }
}

fn split(budget: &mut Budget, text: &Value, by: &Value) -> Raised<Value> {
    let (text, by) = (string(text)?, string(by)?);
    if by.is_empty() {
        return out_of_range("expected a separator of at least one character");
    }
    budget.read(text.len())?;
    let mut pieces = Vec::new();
    for piece in text.split(by.as_str()) {
        budget.allocate(1)?;
        budget.text(piece.len())?;
        pieces.push(Value::from(piece));
    }
    Ok(Value::List(List::from(pieces)))
}

fn replace(budget: &mut Budget, args: &[Value]) -> Raised<Value> {
    let (text, from, to) = (string(&args[0])?, string(&args[1])?, string(&args[2])?);
    if from.is_empty() {
        return out_of_range("expected at least one character to replace");
    }
    budget.read(text.len())?;
    let found = text.matches(from.as_str()).count();
    budget.spend(found)?;
    let kept = text.len() - found * from.len();
    budget.text(kept.saturating_add(found.saturating_mul(to.len())))?;
    Ok(Value::from(text.replace(from.as_str(), to)))
}

/// The part of a text between two code points.
pub(super) fn cut(budget: &mut Budget, text: &str, args: &[Value]) -> Raised<Value> {
    budget.read(text.len())?;
    let range = bounds(args, text.len())?;
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let start = places.nth(range.start).unwrap_or(text.len());
    let end = match range.end - range.start {
        0 => start,
        further => places.nth(further - 1).unwrap_or(text.len()),
    };
    budget.text(end - start)?;
    Ok(Value::from(&text[start..end]))
}

/// Where a text is within another, in bytes.
pub(super) fn find(budget: &mut Budget, text: &str, part: &Value) -> Raised<Option<usize>> {
    let part = key(part)?;
    budget.read(text.len())?;
    budget.read(part.len())?;
    Ok(text.find(part.as_str()))
}
