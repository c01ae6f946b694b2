//! Persistent maps in the key order of RFC 8785: one sorted array while small, a B-tree when large.
//!
//! Which of the two a map is depends on how it was made, so nothing that programs can observe
//! (values, order, cost) may.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

use super::bury::bury;
use super::{Str, Value, compare_utf16};

/// Up to this many members a map is one array: smaller and faster than a tree.
const SMALL: usize = 24;

/// Looks a key up without allocating one.
struct KeyRef<'a>(&'a str);

impl Equivalent<Str> for KeyRef<'_> {
    fn equivalent(&self, key: &Str) -> bool {
        self.0 == key.as_str()
    }
}

impl Comparable<Str> for KeyRef<'_> {
    fn compare(&self, key: &Str) -> Ordering {
        compare_utf16(self.0, key)
    }
}

/// A persistent map from strings to values, in the key order of RFC 8785.
#[derive(Clone, Default)]
pub struct Map(pub(super) Arc<Members>);

/// What a map owns, behind one pointer so that a value is three words.
#[derive(Clone)]
pub(super) struct Members {
    /// The sum of the members' weights.
    weight: u64,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Array(Vec<(Str, Value)>),
    Tree(imbl::OrdMap<Str, Value>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Array(Vec::new())
    }
}

impl Default for Members {
    fn default() -> Self {
        Self::sorted(Vec::new())
    }
}

/// What a member weighs.
fn weight_of(key: &str, value: &Value) -> u64 {
    value.weight().saturating_add(key.len() as u64 + 3)
}

impl Members {
    /// Of members in the order of unique keys.
    fn sorted(members: Vec<(Str, Value)>) -> Self {
        let weights = members.iter().map(|(key, value)| weight_of(key, value));
        Self {
            weight: weights.fold(0, u64::saturating_add),
            store: if members.len() <= SMALL {
                Store::Array(members)
            } else {
                Store::Tree(members.into_iter().collect())
            },
        }
    }

    /// Moves the values out, for `bury`.
    pub(super) fn unpack(mut self, heap: &mut Vec<Value>) {
        std::mem::take(&mut self.store).unpack(heap);
    }

    fn len(&self) -> usize {
        match &self.store {
            Store::Array(members) => members.len(),
            Store::Tree(tree) => tree.len(),
        }
    }
}

impl Store {
    fn unpack(self, heap: &mut Vec<Value>) {
        match self {
            Self::Array(members) => heap.extend(members.into_iter().map(|(_, value)| value)),
            Self::Tree(tree) => heap.extend(tree.into_iter().map(|(_, value)| value)),
        }
    }

    fn set(&mut self, key: Str, value: Value) -> Option<Value> {
        match self {
            Self::Array(members) => match find(members, &key) {
                Ok(at) => Some(std::mem::replace(&mut members[at].1, value)),
                Err(at) if members.len() < SMALL => {
                    members.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let members = std::mem::take(members);
                    let mut tree: imbl::OrdMap<Str, Value> = members.into_iter().collect();
                    tree.insert(key, value);
                    *self = Self::Tree(tree);
                    None
                }
            },
            Self::Tree(tree) => tree.insert(key, value),
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        let deep = match &self.store {
            Store::Array(members) => members.iter().any(|(_, value)| value.is_container()),
            Store::Tree(_) => true,
        };
        if deep {
            bury(&mut self.store, drop, Store::unpack);
        }
    }
}

impl Map {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Value::weight`].
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.0.weight.saturating_add(2)
    }

    /// The member `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0.store {
            Store::Array(members) => find(members, key).ok().map(|at| &members[at].1),
            Store::Tree(tree) => tree.get(&KeyRef(key)),
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
        let members = Arc::make_mut(&mut self.0);
        let gained = weight_of(&key, &value);
        let key_weight = gained.saturating_sub(value.weight());
        let replaced = members.store.set(key, value);
        let lost = replaced.as_ref().map_or(0, |value| {
            // Its key stays.
            value.weight().saturating_add(key_weight)
        });
        members.weight = members.weight.saturating_add(gained).saturating_sub(lost);
        replaced
    }

    /// Removes a member and returns it.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        if !self.contains_key(key) {
            return None;
        }
        let members = Arc::make_mut(&mut self.0);
        let value = match &mut members.store {
            Store::Array(array) => array.remove(find(array, key).ok()?).1,
            Store::Tree(tree) => tree.remove(&KeyRef(key))?,
        };
        members.weight = members.weight.saturating_sub(weight_of(key, &value));
        Some(value)
    }

    /// The members in key order.
    #[must_use]
    pub fn iter(&self) -> MapIter<'_> {
        MapIter(match &self.0.store {
            Store::Array(members) => Walk::Array(members.iter()),
            Store::Tree(tree) => Walk::Tree(tree.iter()),
        })
    }

    /// Whether both are one and the same in memory, so that no walk is needed to know them equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Members among which are all that `earlier` has not. Of a large map that came from `earlier` by a
    /// few changes these are few, and finding them takes no walk over the rest.
    #[must_use]
    pub fn changed_since(&self, earlier: &Self) -> Vec<(&Str, &Value)> {
        use imbl::ordmap::DiffItem;
        if self.is_same(earlier) {
            return Vec::new();
        }
        let (Store::Tree(before), Store::Tree(after)) = (&earlier.0.store, &self.0.store) else {
            return self.iter().collect();
        };
        let changes = before.diff(after);
        changes
            .filter_map(|change| match change {
                DiffItem::Add(key, value)
                | DiffItem::Update {
                    new: (key, value), ..
                } => Some((key, value)),
                DiffItem::Remove(..) => None,
            })
            .collect()
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
        Ok(Self::from_sorted(members))
    }

    /// A map of members in the order of unique keys, which is taken for granted.
    pub(crate) fn from_sorted(members: Vec<(Str, Value)>) -> Self {
        Self(Arc::new(Members::sorted(members)))
    }
}

fn find(members: &[(Str, Value)], key: &str) -> Result<usize, usize> {
    members.binary_search_by(|(have, _)| compare_utf16(have, key))
}

/// The members of a map in key order.
#[derive(Clone)]
pub struct MapIter<'a>(Walk<'a>);

#[derive(Clone)]
enum Walk<'a> {
    Array(std::slice::Iter<'a, (Str, Value)>),
    Tree(imbl::ordmap::Iter<'a, Str, Value, imbl::shared_ptr::DefaultSharedPtr>),
}

impl<'a> Iterator for MapIter<'a> {
    type Item = (&'a Str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Array(members) => members.next().map(|(key, value)| (key, value)),
            Walk::Tree(members) => members.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Array(members) => members.size_hint(),
            Walk::Tree(members) => members.size_hint(),
        }
    }
}

impl fmt::Debug for MapIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a Str, &'a Value);
    type IntoIter = MapIter<'a>;

    fn into_iter(self) -> MapIter<'a> {
        self.iter()
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        Value::Map(self.clone()) == Value::Map(other.clone())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Value::Map(self.clone()), f)
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
