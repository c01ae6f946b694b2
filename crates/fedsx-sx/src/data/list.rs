//! Persistent lists: one array while short, a relaxed radix balanced tree when long.
//!
//! Which of the two a list is depends on how it was made, so nothing that programs can observe
//! (values, order, cost) may.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Value;
use super::bury::bury;

/// Up to this many items a list is one array: smaller and faster than a tree.
const SMALL: usize = 24;

/// A persistent list.
#[derive(Clone, Default)]
pub struct List(pub(super) Arc<Items>);

/// What a list owns, behind one pointer so that a value is three words.
#[derive(Clone)]
pub(super) struct Items {
    /// The sum of the items' weights.
    weight: u64,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Array(Vec<Value>),
    Tree(imbl::Vector<Value>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Array(Vec::new())
    }
}

impl Default for Items {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<Value>> for Items {
    fn from(items: Vec<Value>) -> Self {
        Self {
            weight: weigh(&items),
            store: if items.len() <= SMALL {
                Store::Array(items)
            } else {
                Store::Tree(items.into_iter().collect())
            },
        }
    }
}

fn weigh<'a>(items: impl IntoIterator<Item = &'a Value>) -> u64 {
    items
        .into_iter()
        .fold(0, |sum, item| sum.saturating_add(item.weight()))
}

impl Items {
    /// Moves the items out, for `bury`.
    pub(super) fn unpack(mut self, heap: &mut Vec<Value>) {
        std::mem::take(&mut self.store).unpack(heap);
    }

    fn len(&self) -> usize {
        match &self.store {
            Store::Array(items) => items.len(),
            Store::Tree(items) => items.len(),
        }
    }

    fn get(&self, index: usize) -> Option<&Value> {
        match &self.store {
            Store::Array(items) => items.get(index),
            Store::Tree(items) => items.get(index),
        }
    }

    fn gain(&mut self, item: &Value) {
        self.weight = self.weight.saturating_add(item.weight());
    }

    fn lose(&mut self, weight: u64) {
        self.weight = self.weight.saturating_sub(weight);
    }

    /// The tree, which a list becomes on outgrowing its array.
    fn tree(&mut self) -> &mut imbl::Vector<Value> {
        if let Store::Array(items) = &mut self.store {
            self.store = Store::Tree(std::mem::take(items).into_iter().collect());
        }
        match &mut self.store {
            Store::Tree(tree) => tree,
            Store::Array(_) => unreachable!("made a tree above"),
        }
    }
}

impl Store {
    fn unpack(self, heap: &mut Vec<Value>) {
        match self {
            Self::Array(items) => heap.extend(items),
            Self::Tree(items) => heap.extend(items),
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        let deep = match &self.store {
            Store::Array(items) => items.iter().any(Value::is_container),
            Store::Tree(_) => true,
        };
        if deep {
            bury(&mut self.store, drop, Store::unpack);
        }
    }
}

impl List {
    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Value::weight`].
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.0.weight.saturating_add(2)
    }

    /// Whether both are one and the same in memory, so that no walk is needed to know them equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The item at `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.0.get(index)
    }

    /// Appends an item.
    pub fn push(&mut self, item: Value) {
        let items = Arc::make_mut(&mut self.0);
        items.gain(&item);
        match &mut items.store {
            Store::Array(array) if array.len() < SMALL => array.push(item),
            _ => items.tree().push_back(item),
        }
    }

    /// Puts an item before the others.
    pub fn push_front(&mut self, item: Value) {
        let items = Arc::make_mut(&mut self.0);
        items.gain(&item);
        match &mut items.store {
            Store::Array(array) if array.len() < SMALL => array.insert(0, item),
            _ => items.tree().push_front(item),
        }
    }

    /// Takes the first item off.
    pub fn pop_front(&mut self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        let items = Arc::make_mut(&mut self.0);
        let first = match &mut items.store {
            Store::Array(array) => array.remove(0),
            Store::Tree(tree) => tree.pop_front()?,
        };
        items.lose(first.weight());
        Some(first)
    }

    /// Appends the items of another list, sharing its parts.
    pub fn append(&mut self, other: &Self) {
        let items = Arc::make_mut(&mut self.0);
        items.weight = items.weight.saturating_add(other.0.weight);
        match (&mut items.store, &other.0.store) {
            (Store::Array(array), Store::Array(more)) if array.len() + more.len() <= SMALL => {
                array.extend_from_slice(more);
            }
            (_, Store::Array(more)) => items.tree().extend(more.iter().cloned()),
            (_, Store::Tree(more)) => items.tree().append(more.clone()),
        }
    }

    /// The items of `range`, which must lie within; walks the smaller of what stays and what goes.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        if range.len() == self.len() {
            return self.clone();
        }
        let store = match &self.0.store {
            Store::Array(items) => Store::Array(items[range.clone()].to_vec()),
            Store::Tree(items) => Store::Tree(items.skip(range.start).take(range.len())),
        };
        let weight = if range.len() <= self.len() / 2 {
            weigh(range.clone().filter_map(|index| self.get(index)))
        } else {
            let gone = (0..range.start).chain(range.end..self.len());
            let gone = weigh(gone.filter_map(|index| self.get(index)));
            self.0.weight.saturating_sub(gone)
        };
        Self(Arc::new(Items { weight, store }))
    }

    /// The items in order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'_> {
        ListIter(match &self.0.store {
            Store::Array(items) => Walk::Array(items.iter()),
            Store::Tree(items) => Walk::Tree(items.iter()),
        })
    }
}

/// The items of a list in order.
#[derive(Clone)]
pub struct ListIter<'a>(Walk<'a>);

#[derive(Clone)]
enum Walk<'a> {
    Array(std::slice::Iter<'a, Value>),
    Tree(imbl::vector::Iter<'a, Value, imbl::shared_ptr::DefaultSharedPtr>),
}

impl<'a> Iterator for ListIter<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        match &mut self.0 {
            Walk::Array(items) => items.next(),
            Walk::Tree(items) => items.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Array(items) => items.size_hint(),
            Walk::Tree(items) => items.size_hint(),
        }
    }
}

impl DoubleEndedIterator for ListIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Array(items) => items.next_back(),
            Walk::Tree(items) => items.next_back(),
        }
    }
}

impl ExactSizeIterator for ListIter<'_> {}

impl fmt::Debug for ListIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Value;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

impl From<Vec<Value>> for List {
    fn from(items: Vec<Value>) -> Self {
        Self(Arc::new(items.into()))
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        Value::List(self.clone()) == Value::List(other.clone())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Value::List(self.clone()), f)
    }
}
