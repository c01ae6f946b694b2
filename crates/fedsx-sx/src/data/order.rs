//! Comparing values without native recursion: identity, for Rust's `==`, and the order that
//! programs see.
//!
//! The order is total over data: nil, booleans, numbers, strings (keywords and symbols among them,
//! by their text), lists, maps. Within numbers an integer and a double compare by their exact
//! values; strings compare by UTF-16 units; lists item by item; maps member by member. What compares
//! as equal weighs the same, so most of what differs is told apart without a walk. Functions have no
//! place in the order: whoever programs can reach must refuse them first.

use std::cmp::Ordering;
use std::convert::Infallible;

use super::{ListIter, MapIter, Str, Value, compare_utf16};

/// Pairs still to be compared, containers within containers.
enum Pairs<'a> {
    Items(ListIter<'a>, ListIter<'a>),
    Members(MapIter<'a>, MapIter<'a>),
}

/// What a look at two values says.
enum Look {
    Decided(Ordering),
    /// Both are lists, or both maps: their parts decide.
    Inside,
}

/// Whether two values are the same in every respect.
pub(super) fn identical(a: &Value, b: &Value) -> bool {
    let order = walk(a, b, |a, b| -> Result<Look, Infallible> {
        let same = match (a, b) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Double(a), Value::Double(b)) => a == b,
            (Value::Str(a), Value::Str(b))
            | (Value::Keyword(a), Value::Keyword(b))
            | (Value::Symbol(a), Value::Symbol(b)) => a == b,
            (Value::Function(a), Value::Function(b)) => a == b,
            (Value::List(a), Value::List(b)) if a.len() == b.len() && a.weight() == b.weight() => {
                return Ok(Look::Inside);
            }
            (Value::Map(a), Value::Map(b)) if a.len() == b.len() && a.weight() == b.weight() => {
                return Ok(Look::Inside);
            }
            _ => false,
        };
        Ok(Look::Decided(if same {
            Ordering::Equal
        } else {
            Ordering::Less
        }))
    });
    matches!(order, Ok(Ordering::Equal))
}

/// Whether two values are equal to a program. `meter` is shown every pair that is looked at, with the
/// bytes of text that comparing it may read; its error ends the walk.
///
/// # Errors
/// Those of `meter`.
pub(crate) fn equal<E>(
    a: &Value,
    b: &Value,
    mut meter: impl FnMut(&Value, &Value, usize) -> Result<(), E>,
) -> Result<bool, E> {
    let order = walk(a, b, |a, b| {
        if a.weight() != b.weight() {
            meter(a, b, 0)?;
            return Ok(Look::Decided(Ordering::Less));
        }
        look(a, b, &mut meter)
    });
    Ok(order?.is_eq())
}

/// The order of two values to a program; `meter` as of [`equal`].
///
/// # Errors
/// Those of `meter`.
pub(crate) fn compare<E>(
    a: &Value,
    b: &Value,
    mut meter: impl FnMut(&Value, &Value, usize) -> Result<(), E>,
) -> Result<Ordering, E> {
    walk(a, b, |a, b| look(a, b, &mut meter))
}

fn look<E>(
    a: &Value,
    b: &Value,
    meter: &mut impl FnMut(&Value, &Value, usize) -> Result<(), E>,
) -> Result<Look, E> {
    let (rank_a, rank_b) = (rank(a), rank(b));
    let text = match (text(a), text(b)) {
        (Some(a), Some(b)) => a.len().min(b.len()),
        _ => 0,
    };
    meter(a, b, text)?;
    Ok(Look::Decided(match (a, b) {
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => {
            return Ok(Look::Inside);
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ if rank_a != rank_b => rank_a.cmp(&rank_b),
        _ => numbers(a, b)
            .or_else(|| texts(a, b))
            .unwrap_or(Ordering::Equal),
    }))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Nil => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Double(_) => 2,
        Value::Str(_) | Value::Keyword(_) | Value::Symbol(_) => 3,
        Value::List(_) => 4,
        Value::Map(_) => 5,
        Value::Function(_) => 6,
    }
}

fn text(value: &Value) -> Option<&Str> {
    match value {
        Value::Str(text) | Value::Keyword(text) | Value::Symbol(text) => Some(text),
        _ => None,
    }
}

/// The order of two strings, keywords or symbols; of a symbol and a string the string comes first.
pub(crate) fn texts(a: &Value, b: &Value) -> Option<Ordering> {
    let symbol = |value: &Value| matches!(value, Value::Symbol(_));
    let order = compare_utf16(text(a)?, text(b)?);
    Some(order.then(symbol(a).cmp(&symbol(b))))
}

/// The order of two numbers by their exact values.
pub(crate) fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => finite(*a, *b),
        (Value::Int(a), Value::Double(b)) => mixed(*a, *b),
        (Value::Double(a), Value::Int(b)) => mixed(*b, *a).reverse(),
        _ => return None,
    })
}

fn finite(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The order of an integer and a double, exact beyond 2^53 too.
fn mixed(integer: i64, double: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double >= LIMIT {
        return Ordering::Less;
    }
    if double < -LIMIT {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    // Within the range of `i64` every integral double is one exactly.
    integer
        .cmp(&(whole as i64))
        .then(finite(0.0, double - whole))
}

fn walk<'a, E>(
    a: &'a Value,
    b: &'a Value,
    mut look: impl FnMut(&'a Value, &'a Value) -> Result<Look, E>,
) -> Result<Ordering, E> {
    let mut open: Vec<Pairs<'a>> = Vec::new();
    let mut pair = Some((a, b));
    loop {
        if let Some((a, b)) = pair.take() {
            match (look(a, b)?, a, b) {
                (Look::Decided(Ordering::Equal), ..) => {}
                (Look::Decided(order), ..) => return Ok(order),
                (Look::Inside, Value::List(a), Value::List(b)) => {
                    open.push(Pairs::Items(a.iter(), b.iter()));
                }
                (Look::Inside, Value::Map(a), Value::Map(b)) => {
                    open.push(Pairs::Members(a.iter(), b.iter()));
                }
                (Look::Inside, ..) => unreachable!("only lists and maps are looked into"),
            }
        }
        pair = match open.last_mut() {
            None => return Ok(Ordering::Equal),
            Some(Pairs::Items(a, b)) => match (a.next(), b.next()) {
                (Some(a), Some(b)) => Some((a, b)),
                (None, None) => None,
                (a, _) => {
                    return Ok(if a.is_some() {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    });
                }
            },
            Some(Pairs::Members(a, b)) => match (a.next(), b.next()) {
                (Some((key_a, a)), Some((key_b, b))) if key_a == key_b => Some((a, b)),
                (Some((key_a, _)), Some((key_b, _))) => return Ok(key_a.cmp(key_b)),
                (None, None) => None,
                (a, _) => {
                    return Ok(if a.is_some() {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    });
                }
            },
        };
        if pair.is_none() {
            open.pop();
        }
    }
}
