//! The one value of the whole project: what a document is, what a program computes with.
//!
//! Strings, lists and maps are shared, so a clone costs a reference count. A [`Map`] iterates in
//! the order of RFC 8785 (keys by UTF-16 code units), which makes every printer canonical by
//! walking it. Deliberately absent: mutation visible through a second handle, and interior state.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

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

/// Looks a key up without allocating one.
struct KeyRef<'a>(&'a str);

impl Equivalent<Str> for KeyRef<'_> {
    fn equivalent(&self, key: &Str) -> bool {
        self.0 == &*key.0
    }
}

impl Comparable<Str> for KeyRef<'_> {
    fn compare(&self, key: &Str) -> Ordering {
        compare_utf16(self.0, &key.0)
    }
}

/// A value. A document holds none of `Keyword` and `Symbol`; the profile of documents
/// (integer range, finite doubles) is checked in `fedsx-core`.
#[derive(Clone, PartialEq, Debug, Default)]
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

/// Up to this many items or members a list or map is one array: smaller and faster than a tree.
const SMALL: usize = 24;

/// A persistent list.
#[derive(Clone)]
pub struct List(Items);

// Behind one pointer each, so that a value is three words.
#[derive(Clone)]
enum Items {
    Small(Arc<Vec<Value>>),
    Large(Arc<imbl::Vector<Value>>),
}

impl Default for List {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl List {
    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Items::Small(items) => items.len(),
            Items::Large(items) => items.len(),
        }
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Value> {
        match &self.0 {
            Items::Small(items) => items.get(index),
            Items::Large(items) => items.get(index),
        }
    }

    /// Appends an item.
    pub fn push(&mut self, item: Value) {
        match &mut self.0 {
            Items::Small(items) if items.len() < SMALL => Arc::make_mut(items).push(item),
            Items::Small(items) => {
                let items = items.iter().cloned().chain([item]);
                self.0 = Items::Large(Arc::new(items.collect()));
            }
            Items::Large(items) => Arc::make_mut(items).push_back(item),
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        let (small, large) = match &self.0 {
            Items::Small(items) => (Some(items.iter()), None),
            Items::Large(items) => (None, Some(items.iter())),
        };
        small
            .into_iter()
            .flatten()
            .chain(large.into_iter().flatten())
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self(if items.len() <= SMALL {
            Items::Small(Arc::new(items))
        } else {
            Items::Large(Arc::new(items.into_iter().collect()))
        })
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A persistent map from strings to values, in the key order of RFC 8785.
#[derive(Clone)]
pub struct Map(Repr);

#[derive(Clone)]
enum Repr {
    Small(Arc<Vec<(Str, Value)>>),
    Large(Arc<imbl::OrdMap<Str, Value>>),
}

impl Default for Map {
    fn default() -> Self {
        Self::new()
    }
}

impl Map {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self(Repr::Small(Arc::new(Vec::new())))
    }

    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Small(members) => members.len(),
            Repr::Large(tree) => tree.len(),
        }
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Repr::Small(members) => find(members, key).ok().map(|at| &members[at].1),
            Repr::Large(tree) => tree.get(&KeyRef(key)),
        }
    }

    /// Whether `key` is a member.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a member; returns what it replaces.
    pub fn insert(&mut self, key: impl Into<Str>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match &mut self.0 {
            Repr::Small(members) => match find(members, &key) {
                Ok(at) => Some(std::mem::replace(&mut Arc::make_mut(members)[at].1, value)),
                Err(at) if members.len() < SMALL => {
                    Arc::make_mut(members).insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: imbl::OrdMap<Str, Value> = members.iter().cloned().collect();
                    tree.insert(key, value);
                    self.0 = Repr::Large(Arc::new(tree));
                    None
                }
            },
            Repr::Large(tree) => Arc::make_mut(tree).insert(key, value),
        }
    }

    /// Removes a member and returns it.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.0 {
            Repr::Small(members) => {
                let at = find(members, key).ok()?;
                Some(Arc::make_mut(members).remove(at).1)
            }
            Repr::Large(tree) => Arc::make_mut(tree).remove(&KeyRef(key)),
        }
    }

    /// The members in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Value)> {
        let (small, large) = match &self.0 {
            Repr::Small(members) => (Some(members.iter()), None),
            Repr::Large(tree) => (None, Some(tree.iter())),
        };
        let small = small.into_iter().flatten().map(|(key, value)| (key, value));
        small.chain(large.into_iter().flatten())
    }

    /// A map of members in any order; `Err` names the first key given twice.
    ///
    /// # Errors
    /// The key that stands twice.
    pub fn from_unique(mut members: Vec<(Str, Value)>) -> Result<Self, Str> {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(pair[0].0.clone());
        }
        Ok(Self(if members.len() <= SMALL {
            Repr::Small(Arc::new(members))
        } else {
            Repr::Large(Arc::new(members.into_iter().collect()))
        }))
    }
}

fn find(members: &[(Str, Value)], key: &str) -> Result<usize, usize> {
    members.binary_search_by(|(have, _)| compare_utf16(have, key))
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Into<Str>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut map = Self::new();
        for (key, value) in members {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Into<Str>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Map {
    fn from(members: [(K, V); N]) -> Self {
        members.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
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
