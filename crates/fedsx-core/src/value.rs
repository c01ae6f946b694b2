//! The I-JSON profile (RFC 7493) over SX's values: what a document may hold (design, section 2).
//!
//! A number has one representation: integral and within ±(2^53−1) it is an [`Value::Int`], else a
//! [`Value::Double`]. So equal documents are equal values, and each canonical form reads back as the
//! value it came from. The readers of the notations keep to this; [`check_document`] and
//! [`to_document`] hold values built by programs to it.

pub use fedsx_sx::data::{List, Map, Str, Value};

use crate::limits::{DEPTH, DOCUMENT_IN_BYTES, INTEGER_MAX, MEMBERS};

/// From here on RFC 8785 spells a number with an exponent, so that it reads back as a double.
const EXPONENT: f64 = 1e21;
/// 2^53.
const INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Why a value is no document's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfileError {
    /// NaN or an infinity.
    #[error("a number must be finite")]
    NotFinite,
    /// An integral number whose canonical form could not be read again.
    #[error("an integral number must lie within ±(2^53−1), or be 1e21 or more")]
    IntegerRange,
    /// A double that is an integer.
    #[error("an integral number must be kept as an integer")]
    IntegralDouble,
    /// Nesting past `limits::DEPTH`.
    #[error("nested more than {DEPTH} levels deep")]
    Depth,
    /// An object or array past `limits::MEMBERS`.
    #[error("more than {MEMBERS} members or items in one object or array")]
    Members,
    /// More than any document can hold.
    #[error("larger than {DOCUMENT_IN_BYTES} bytes")]
    Size,
    /// A keyword where a value should be.
    #[error("the keyword `:{0}` is no data")]
    Keyword(Str),
    /// A symbol where a value should be.
    #[error("the symbol `{0}` is no data")]
    Symbol(Str),
    /// A function where a value should be.
    #[error("a function is no data")]
    Function,
}

/// The value of a double, however it was spelt.
///
/// # Errors
/// A number that is not finite, or integral with 2^53 ≤ |x| < 1e21.
pub fn number_from_f64(number: f64) -> Result<Value, ProfileError> {
    if !number.is_finite() {
        Err(ProfileError::NotFinite)
    } else if number.fract() != 0.0 || number.abs() >= EXPONENT {
        Ok(Value::Double(number))
    } else if number.abs() < INTEGERS {
        Ok(Value::Int(number as i64))
    } else {
        Err(ProfileError::IntegerRange)
    }
}

/// The value of an integer.
///
/// # Errors
/// An integer beyond ±(2^53−1).
pub fn number_from_i64(number: i64) -> Result<Value, ProfileError> {
    if (-INTEGER_MAX..=INTEGER_MAX).contains(&number) {
        Ok(Value::Int(number))
    } else {
        Err(ProfileError::IntegerRange)
    }
}

/// The value of an integer.
///
/// # Errors
/// An integer beyond 2^53−1.
pub fn number_from_u64(number: u64) -> Result<Value, ProfileError> {
    let number = i64::try_from(number).map_err(|_| ProfileError::IntegerRange)?;
    number_from_i64(number)
}

/// Checks that a value could have been read from a document.
///
/// # Errors
/// The first thing no document holds, bounds included.
pub fn check_document(value: &Value) -> Result<(), ProfileError> {
    Bounds::default().check(value)
}

/// The document value that a program's value stands for: the same, its numbers in their one
/// representation.
///
/// # Errors
/// The first thing no document holds, bounds included.
pub fn to_document(value: &Value) -> Result<Value, ProfileError> {
    Bounds::default().rebuild(value)
}

/// As [`to_document`], of a value that a program made out of the document value `before`; what it took
/// over from there is not walked again, so that a small change of a large state is a small step. The size
/// is the caller's to bound.
///
/// # Errors
/// The first thing no document holds.
pub fn to_document_from(before: &Value, value: Value) -> Result<Value, ProfileError> {
    Ok(settled(Some(before), &value, DEPTH)?.unwrap_or(value))
}

/// The document value of `value` where it is another than `value`. `before` stood in the same place, so
/// what is one with it has passed at the same depth.
fn settled(
    before: Option<&Value>,
    value: &Value,
    levels: usize,
) -> Result<Option<Value>, ProfileError> {
    let inside = |members: usize| {
        if members > MEMBERS {
            return Err(ProfileError::Members);
        }
        levels.checked_sub(1).ok_or(ProfileError::Depth)
    };
    match (before, value) {
        (Some(Value::Map(before)), Value::Map(map)) if before.is_same(map) => Ok(None),
        (Some(Value::List(before)), Value::List(list)) if before.is_same(list) => Ok(None),
        (_, Value::Map(map)) => {
            let levels = inside(map.len())?;
            let empty = Map::new();
            let before = before.and_then(Value::as_map).unwrap_or(&empty);
            let mut whole = None;
            for (key, member) in map.changed_since(before) {
                if let Some(member) = settled(before.get(key), member, levels)? {
                    let whole = whole.get_or_insert_with(|| map.clone());
                    whole.insert(key.clone(), member);
                }
            }
            Ok(whole.map(Value::Map))
        }
        (_, Value::List(list)) => {
            let levels = inside(list.len())?;
            let empty = List::default();
            let mut stood = Standing::of(before.and_then(Value::as_list).unwrap_or(&empty));
            let mut whole: Option<Vec<Value>> = None;
            for (at, item) in list.iter().enumerate() {
                if stood.is_next(item) {
                    continue;
                }
                if let Some(item) = settled(stood.next(), item, levels)? {
                    whole.get_or_insert_with(|| list.iter().cloned().collect())[at] = item;
                }
            }
            Ok(whole.map(|items| Value::List(items.into())))
        }
        (_, scalar) => {
            let document = Bounds::default().scalar(scalar)?;
            let is_other = matches!((scalar, &document), (Value::Double(_), Value::Int(_)));
            Ok(is_other.then_some(document))
        }
    }
}

/// A list as it was before, while the list made of it is walked: what was put in or left out moves what
/// stands behind it.
struct Standing<'a> {
    list: &'a List,
    /// The first that was not met again yet.
    at: usize,
    /// Items walked since one was met.
    unmet: usize,
}

impl<'a> Standing<'a> {
    /// How far a changed list is looked into for an item.
    const REACH: usize = 4;

    const fn of(list: &'a List) -> Self {
        Self {
            list,
            at: 0,
            unmet: 0,
        }
    }

    fn next(&self) -> Option<&'a Value> {
        self.list.get(self.at)
    }

    /// Whether an item is one of the next, the same and not only equal.
    fn is_next(&mut self, item: &Value) -> bool {
        let is_same = |stood: &Value| match (stood, item) {
            (Value::Map(stood), Value::Map(item)) => stood.is_same(item),
            (Value::List(stood), Value::List(item)) => stood.is_same(item),
            _ => false,
        };
        let reach = self.unmet.min(Self::REACH);
        let mut near = self.at..=self.at + reach;
        let met = near.find(|at| self.list.get(*at).is_some_and(is_same));
        match met {
            Some(at) => (self.at, self.unmet) = (at + 1, 0),
            None => self.unmet += 1,
        }
        met.is_some()
    }
}

/// What a walk has met so far. Programs share parts, so a small value can be an endless walk: each
/// step takes from `room` no more than it adds to the canonical form.
struct Bounds {
    levels: usize,
    room: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            levels: DEPTH,
            room: DOCUMENT_IN_BYTES,
        }
    }
}

impl Bounds {
    fn check(&mut self, value: &Value) -> Result<(), ProfileError> {
        self.take(1)?;
        match value {
            Value::List(list) => {
                self.enter(list.len())?;
                list.iter().try_for_each(|item| self.check(item))?;
                self.levels += 1;
            }
            Value::Map(map) => {
                self.enter(map.len())?;
                for (key, value) in map.iter() {
                    self.take(key.len())?;
                    self.check(value)?;
                }
                self.levels += 1;
            }
            Value::Double(number) if number_from_f64(*number)? != *value => {
                return Err(ProfileError::IntegralDouble);
            }
            scalar => {
                self.scalar(scalar)?;
            }
        }
        Ok(())
    }

    fn rebuild(&mut self, value: &Value) -> Result<Value, ProfileError> {
        self.take(1)?;
        match value {
            Value::List(list) => {
                self.enter(list.len())?;
                let items = list.iter().map(|item| self.rebuild(item));
                let items: List = items.collect::<Result<_, _>>()?;
                self.levels += 1;
                Ok(Value::List(items))
            }
            Value::Map(map) => {
                self.enter(map.len())?;
                let mut members = Vec::with_capacity(map.len());
                for (key, value) in map.iter() {
                    self.take(key.len())?;
                    members.push((key.clone(), self.rebuild(value)?));
                }
                self.levels += 1;
                let map = Map::from_unique(members).expect("the keys of a map are unique");
                Ok(Value::Map(map))
            }
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, value: &Value) -> Result<Value, ProfileError> {
        match value {
            Value::Int(number) => number_from_i64(*number),
            Value::Double(number) => number_from_f64(*number),
            Value::Keyword(name) => Err(ProfileError::Keyword(name.clone())),
            Value::Symbol(name) => Err(ProfileError::Symbol(name.clone())),
            Value::Function(_) => Err(ProfileError::Function),
            Value::Str(text) => {
                self.take(text.len())?;
                Ok(value.clone())
            }
            _ => Ok(value.clone()),
        }
    }

    fn enter(&mut self, members: usize) -> Result<(), ProfileError> {
        if members > MEMBERS {
            return Err(ProfileError::Members);
        }
        self.levels = self.levels.checked_sub(1).ok_or(ProfileError::Depth)?;
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), ProfileError> {
        self.room = self.room.checked_sub(bytes).ok_or(ProfileError::Size)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_representation() {
        let max = INTEGER_MAX as f64;
        assert_eq!(number_from_f64(-0.0), Ok(Value::Int(0)));
        assert_eq!(number_from_f64(max), Ok(Value::Int(INTEGER_MAX)));
        assert_eq!(number_from_f64(-max), Ok(Value::Int(-INTEGER_MAX)));
        assert_eq!(number_from_f64(1e21), Ok(Value::Double(1e21)));
        assert_eq!(number_from_f64(0.5), Ok(Value::Double(0.5)));
        for refused in [max + 1.0, -max - 1.0, 1e21_f64.next_down()] {
            assert_eq!(number_from_f64(refused), Err(ProfileError::IntegerRange));
        }
        for refused in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(number_from_f64(refused), Err(ProfileError::NotFinite));
        }
        assert_eq!(number_from_i64(i64::MIN), Err(ProfileError::IntegerRange));
        assert_eq!(number_from_i64(-INTEGER_MAX), Ok(Value::Int(-INTEGER_MAX)));
        assert_eq!(number_from_u64(u64::MAX), Err(ProfileError::IntegerRange));
        assert_eq!(number_from_u64(7), Ok(Value::Int(7)));
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::Nil, |inner, _| Value::from(vec![inner]))
    }

    #[test]
    fn bounds_hold_at_the_bound() {
        assert_eq!(check_document(&nested(DEPTH)), Ok(()));
        assert_eq!(check_document(&nested(DEPTH + 1)), Err(ProfileError::Depth));
        assert_eq!(to_document(&nested(DEPTH + 1)), Err(ProfileError::Depth));
        // Depth is of nesting, not of all that was met.
        let wide = Value::from(vec![nested(DEPTH - 1), nested(DEPTH - 1)]);
        assert_eq!(check_document(&wide), Ok(()));
        let items = |count| Value::from(vec![Value::Nil; count]);
        assert_eq!(check_document(&items(MEMBERS)), Ok(()));
        assert_eq!(
            check_document(&items(MEMBERS + 1)),
            Err(ProfileError::Members)
        );
    }

    #[test]
    fn shared_parts_make_no_endless_walk() {
        let bomb = (0..DEPTH).fold(Value::Nil, |inner, _| {
            Value::from(vec![inner.clone(), inner])
        });
        let bounds = || Bounds {
            room: 1_000,
            ..Bounds::default()
        };
        assert_eq!(bounds().check(&bomb), Err(ProfileError::Size));
        assert_eq!(bounds().rebuild(&bomb), Err(ProfileError::Size));
    }

    #[test]
    fn a_program_may_compute_in_doubles() {
        let computed = Value::from(vec![Value::Double(2.0), Value::Double(2.5)]);
        assert_eq!(check_document(&computed), Err(ProfileError::IntegralDouble));
        let document = to_document(&computed).expect("both are numbers");
        assert_eq!(
            document,
            Value::from(vec![Value::Int(2), Value::Double(2.5)])
        );
        assert_eq!(check_document(&document), Ok(()));
    }

    #[test]
    fn a_change_is_held_to_the_profile_as_the_whole_is() {
        let large: Map = (0..100).map(|n| (format!("k{n}"), Value::Int(n))).collect();
        let before = Value::from(Map::from([
            ("large", Value::from(large.clone())),
            ("list", nested(3)),
        ]));
        for (key, value) in [
            ("large", Value::Double(2.0)),
            ("k7", Value::Double(7.0)),
            (
                "k200",
                Value::from(vec![Value::Double(0.5), Value::Double(1.0)]),
            ),
            ("k7", Value::Keyword("a".into())),
            ("list", nested(DEPTH - 1)),
            ("list", nested(DEPTH)),
            ("k7", nested(DEPTH - 1)),
        ] {
            let mut map = before.as_map().expect("a map").clone();
            if key.starts_with('k') {
                let mut large = large.clone();
                large.insert(key, value);
                map.insert("large", large);
            } else {
                map.insert(key, value);
            }
            let after = Value::from(map);
            assert_eq!(
                to_document_from(&before, after.clone()),
                to_document(&after),
                "{after:?}"
            );
        }
        let same = to_document_from(&before, before.clone());
        assert_eq!(same, Ok(before));
    }

    #[test]
    fn a_changed_list_is_held_to_the_profile_wherever_it_changed() {
        let record = |n: i64| Value::from(Map::from([("n", Value::Int(n))]));
        let before: Vec<Value> = (0..60).map(record).collect();
        let odd = || Value::from(Map::from([("n", Value::Double(9.0))]));
        for at in [0, 1, 30, 59] {
            let mut inserted = before.clone();
            inserted.insert(at, odd());
            inserted.truncate(60);
            let mut replaced = before.clone();
            replaced.splice(at..(at + 7).min(60), [odd(), record(7), odd()]);
            let mut removed = before.clone();
            removed.drain(at..(at + 6).min(60));
            removed.push(odd());
            for after in [inserted, replaced, removed] {
                let (before, after) = (Value::from(before.clone()), Value::from(after));
                let whole = to_document(&after);
                assert_eq!(to_document_from(&before, after), whole, "{at}");
            }
        }
    }

    #[test]
    fn code_is_no_data() {
        let keyword = Value::from(vec![Value::Keyword("a".into())]);
        assert_eq!(
            check_document(&keyword),
            Err(ProfileError::Keyword("a".into()))
        );
        let symbol = Value::Symbol("a".into());
        assert_eq!(to_document(&symbol), Err(ProfileError::Symbol("a".into())));
    }
}
