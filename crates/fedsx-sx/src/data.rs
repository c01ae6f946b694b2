//! The one value of the whole project: what a document is, what a program computes with.
//!
//! Strings, lists and maps are shared, so a clone costs a reference count. A [`Map`] iterates in
//! the order of RFC 8785 (keys by UTF-16 code units), which makes every printer canonical by
//! walking it. Programs can nest values without end, so nothing here follows a value natively:
//! dropping, comparing and printing keep their own stacks. Deliberately absent: mutation visible
//! through a second handle, and interior state.

mod bury;
mod list;
mod map;
pub(crate) mod order;

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

pub use crate::function::Function;
pub use list::{List, ListIter};
pub use map::{Map, MapIter};

/// A shared, immutable string; ordered by UTF-16 code units as RFC 8785 orders keys.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Str(Arc<str>);

impl Str {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Str {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_utf16(&self.0, &other.0)
    }
}

/// Compares two strings by their UTF-16 code units.
///
/// UTF-8 bytes order by code point, which differs in one case alone: a supplementary character
/// (lead byte `F0`–`F4`, surrogates in UTF-16) sorts before U+E000–U+FFFF (lead byte `EE`, `EF`).
#[must_use]
pub fn compare_utf16(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((&x, &y)) => match (x, y) {
            (0xf0.., 0xee | 0xef) => Ordering::Less,
            (0xee | 0xef, 0xf0..) => Ordering::Greater,
            _ => x.cmp(&y),
        },
    }
}

/// A value. A document holds none of `Keyword`, `Symbol` and `Function`; the profile of documents
/// (integer range, finite doubles) is checked in `fedsx-core`.
///
/// Two values are equal here if they are the same in every respect; what programs call equal is
/// the business of `=`, for which `:a` and `"a"`, or an integer and a double of its size, are one.
#[derive(Clone, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An exact integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A string.
    Str(Str),
    /// `:name`.
    Keyword(Str),
    /// `name`.
    Symbol(Str),
    /// An array.
    List(List),
    /// An object.
    Map(Map),
    /// What can be called; only programs make and hold one.
    Function(Function),
}

impl Value {
    /// The member `key` of an object; `None` for any other value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The array.
    #[must_use]
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The object.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Its size in about the bytes of its canonical text, every part counted wherever it stands:
    /// what is shared counts as often as it is printed. Takes no walk.
    #[must_use]
    pub fn weight(&self) -> u64 {
        match self {
            Self::Nil | Self::Bool(_) => 4,
            Self::Int(_) | Self::Double(_) | Self::Function(_) => 8,
            Self::Str(text) | Self::Keyword(text) | Self::Symbol(text) => text.len() as u64 + 3,
            Self::List(list) => list.weight(),
            Self::Map(map) => map.weight(),
        }
    }

    /// Whether it is none of the values that own something, so that losing it costs nothing.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Nil | Self::Bool(_) | Self::Int(_) | Self::Double(_)
        )
    }

    /// Whether other values can be inside.
    const fn is_container(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_) | Self::Function(_))
    }

    /// What ActivityStreams calls a value or an array of them: an array's items, else the value
    /// itself, nothing for nil.
    pub fn items(&self) -> impl Iterator<Item = &Value> {
        let (list, single) = match self {
            Self::Nil => (None, None),
            Self::List(list) => (Some(list), None),
            other => (None, Some(other)),
        };
        list.into_iter().flat_map(List::iter).chain(single)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        order::identical(self, other)
    }
}

/// A part by its kind and value, a whole by its canonical text, which needs no native recursion.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => write!(f, "Int({number})"),
            Self::Double(number) => write!(f, "Double({number:?})"),
            whole => crate::print::write_value(f, whole),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}
impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}
impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_order_by_utf16_units() {
        let mut keys = ["\u{fb33}", "\u{1f600}", "é", "a", "\r", "1", "\u{80}", ""];
        keys.sort_by(|a, b| compare_utf16(a, b));
        let mut expected = keys;
        expected.sort_by_key(|key| key.encode_utf16().collect::<Vec<_>>());
        assert_eq!(keys, expected);
        assert!(compare_utf16("\u{1f600}", "\u{fb33}").is_lt());
    }

    #[test]
    fn a_map_behaves_alike_on_both_sides_of_the_small_size() {
        let mut map = Map::new();
        for n in (0..100_i64).rev() {
            assert_eq!(map.insert(format!("k{n:03}"), n), None);
            assert_eq!(map.get(&format!("k{n:03}")), Some(&Value::Int(n)));
        }
        assert_eq!(map.len(), 100);
        let keys: Vec<_> = map.iter().map(|(key, _)| key.to_string()).collect();
        assert!(keys.is_sorted());
        for n in 0..90_i64 {
            assert_eq!(map.remove(&format!("k{n:03}")), Some(Value::Int(n)));
        }
        let small: Map = (90..100_i64).map(|n| (format!("k{n:03}"), n)).collect();
        assert_eq!(map, small);
        assert_eq!(map.insert("k095", 1), Some(Value::Int(95)));
        assert_eq!(
            small.get("k095"),
            Some(&Value::Int(95)),
            "the other handle is untouched"
        );
    }

    #[test]
    fn a_list_behaves_alike_on_both_sides_of_the_small_size() {
        let mut list = List::default();
        for n in 0..100_i64 {
            let before = list.clone();
            list.push(Value::Int(n));
            assert_eq!(
                before.len() + 1,
                list.len(),
                "the other handle is untouched"
            );
            assert_eq!(list, (0..=n).map(Value::Int).collect());
            assert_ne!(list, before);
            assert_eq!(list.get(list.len() - 1), Some(&Value::Int(n)));
            assert_eq!(list.get(list.len()), None);
        }
        assert!(
            list.iter()
                .eq((0..100).map(Value::Int).collect::<List>().iter())
        );
    }

    /// What is done to a list, and to the vector that it is held against.
    #[derive(Clone, Debug)]
    enum Change {
        Push(i64),
        PushFront(i64),
        PopFront,
        Append(usize),
        AppendSelf,
        Slice(usize, usize),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            any::<i64>().prop_map(Change::Push),
            any::<i64>().prop_map(Change::PushFront),
            Just(Change::PopFront),
            (0..400_usize).prop_map(Change::Append),
            Just(Change::AppendSelf),
            (0..100_usize, 0..100_usize).prop_map(|(from, to)| Change::Slice(from, to)),
        ]
    }

    fn item(n: i64) -> Value {
        match n % 3 {
            0 => Value::from("x".repeat(usize::try_from(n % 7).unwrap_or(0))),
            1 => Value::Nil,
            _ => Value::Int(n),
        }
    }

    proptest! {
        #[test]
        fn a_list_does_what_a_vector_does(changes in proptest::collection::vec(change(), 0..60)) {
            let (mut list, mut model) = (List::default(), Vec::new());
            for change in changes {
                let before = (list.clone(), model.clone());
                match change {
                    Change::Push(n) => {
                        list.push(item(n));
                        model.push(item(n));
                    }
                    Change::PushFront(n) => {
                        list.push_front(item(n));
                        model.insert(0, item(n));
                    }
                    Change::PopFront => {
                        let first = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(list.pop_front(), first);
                    }
                    Change::Append(count) => {
                        let more: Vec<Value> = (0..count as i64).map(item).collect();
                        model.extend_from_slice(&more);
                        list.append(&more.into());
                    }
                    Change::AppendSelf if model.len() < 3_000 => {
                        list.append(&list.clone());
                        model.extend_from_within(..);
                    }
                    Change::AppendSelf => {}
                    Change::Slice(from, to) => {
                        let at = |percent: usize| model.len() * percent / 100;
                        let range = at(from.min(to))..at(from.max(to));
                        list = list.slice(range.clone());
                        model = model[range].to_vec();
                    }
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert!(list.iter().eq(&model));
                prop_assert!(list.iter().rev().eq(model.iter().rev()));
                let fresh = List::from(model.clone());
                prop_assert_eq!(list.weight(), fresh.weight());
                prop_assert!(list == fresh);
                prop_assert!(before.0.iter().eq(&before.1), "the other handle is untouched");
            }
        }

        #[test]
        fn a_maps_weight_is_that_of_its_members(keys in proptest::collection::vec((0..60_u8, any::<bool>()), 0..200)) {
            let mut map = Map::new();
            for (key, add) in keys {
                if add {
                    map.insert(format!("k{key}"), item(i64::from(key) + map.len() as i64));
                } else {
                    map.remove(&format!("k{key}"));
                }
                let members = map.iter().map(|(key, value)| (key.clone(), value.clone()));
                let fresh = Map::from_unique(members.collect()).expect("unique");
                prop_assert_eq!(map.weight(), fresh.weight());
                prop_assert!(map == fresh);
            }
        }
    }

    #[test]
    fn what_changed_in_a_map_is_found() {
        for size in [0, 10, 23, 24, 25, 1_000_i64] {
            let before: Map = (0..size).map(|n| (format!("k{n}"), n)).collect();
            assert!(before.clone().changed_since(&before).is_empty());
            let mut after = before.clone();
            after.remove("k1");
            after.insert("k2", -2);
            after.insert("new", 1);
            let changed: Map = after
                .changed_since(&before)
                .into_iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for (key, value) in after.iter() {
                assert!(before.get(key) == Some(value) || changed.get(key) == Some(value));
            }
            assert!(size < 26 || changed.len() == 2, "{changed:?}");
        }
    }

    #[test]
    fn a_value_is_three_words() {
        assert_eq!(size_of::<Value>(), 3 * size_of::<usize>());
    }

    #[test]
    fn a_repeated_key_is_named() {
        let twice = vec![
            ("a".into(), Value::Nil),
            ("b".into(), Value::Nil),
            ("a".into(), Value::Nil),
        ];
        assert_eq!(Map::from_unique(twice), Err("a".into()));
    }
}
