//! Lists, and what lists share with strings and dicts.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::compare;
use crate::data::{List, Map, Str, Value, order};
use crate::error::{Code, Fault, Raised};
use crate::primitives::map::{pour, pour_pairs};
use crate::primitives::text::{cut, find};
use crate::primitives::{
    Arity, Calls, Primitive, bits, bounds, calls, count, expected, index, integer, key, list,
    lookup, out_of_range, plain, take,
};

const ONE: Arity = Arity::exactly(1);
const TWO: Arity = Arity::exactly(2);

pub(super) const TABLE: &[Primitive] = &[
    plain("list", Arity::from(0), |budget, args| {
        budget.list(args.len())?;
        Ok(Value::List(args.iter_mut().map(take).collect()))
    }),
    plain("len", ONE, |budget, args| match &args[0] {
        Value::Nil => Ok(Value::Int(0)),
        Value::List(list) => Ok(count(list.len())),
        Value::Map(map) => Ok(count(map.len())),
        Value::Str(text) => {
            budget.read(text.len())?;
            Ok(count(text.chars().count()))
        }
        other => expected("a list, a dict or a string", other),
    }),
    plain("empty?", ONE, |_, args| match &args[0] {
        Value::Nil => Ok(Value::Bool(true)),
        Value::List(list) => Ok(Value::Bool(list.is_empty())),
        Value::Map(map) => Ok(Value::Bool(map.is_empty())),
        Value::Str(text) => Ok(Value::Bool(text.is_empty())),
        other => expected("a list, a dict or a string", other),
    }),
    plain("first", ONE, |_, args| {
        Ok(list(&mut args[0])?.get(0).cloned().unwrap_or_default())
    }),
    plain("last", ONE, |_, args| {
        let list = list(&mut args[0])?;
        Ok(list
            .len()
            .checked_sub(1)
            .and_then(|at| list.get(at))
            .cloned()
            .unwrap_or_default())
    }),
    plain("nth", Arity::between(2, 3), |_, args| {
        let at = index(&args[1])?;
        let found = list(&mut args[0])?.get(at).cloned();
        Ok(found.unwrap_or_else(|| args.get_mut(2).map(take).unwrap_or_default()))
    }),
    plain("rest", ONE, |budget, args| {
        let mut list = list(&mut args[0])?;
        budget.change_list(list.len())?;
        list.pop_front();
        Ok(Value::List(list))
    }),
    plain("cons", TWO, |budget, args| {
        let mut list = list(&mut args[1])?;
        budget.change_list(list.len())?;
        list.push_front(take(&mut args[0]));
        Ok(Value::List(list))
    }),
    plain("append", Arity::from(1), |budget, args| {
        let mut list = list(&mut args[0])?;
        for item in &mut args[1..] {
            budget.change_list(list.len())?;
            list.push(take(item));
        }
        Ok(Value::List(list))
    }),
    plain("concat", Arity::from(0), |budget, args| {
        let mut all = List::default();
        for (at, value) in args.iter_mut().enumerate() {
            let more = list(value)?;
            if at == 0 {
                all = more;
            } else {
                join(budget, &mut all, &more)?;
            }
        }
        Ok(Value::List(all))
    }),
    plain("reverse", ONE, |budget, args| {
        let list = list(&mut args[0])?;
        budget.list(list.len())?;
        Ok(Value::List(list.iter().rev().cloned().collect()))
    }),
    plain("flatten", ONE, |budget, args| {
        flatten(budget, &list(&mut args[0])?)
    }),
    plain("range", Arity::between(1, 3), range),
    plain("slice", Arity::between(2, 3), |budget, args| {
        match take(&mut args[0]) {
            Value::Str(text) => cut(budget, &text, &args[1..]),
            Value::Nil => Ok(Value::List(List::default())),
            Value::List(list) => {
                let range = bounds(&args[1..], list.len())?;
                let walked = range.len().min(list.len() - range.len());
                budget.spend(walked)?;
                budget.change_list(range.len())?;
                Ok(Value::List(list.slice(range)))
            }
            other => expected("a list or a string", &other),
        }
    }),
    plain("chunk-every", TWO, chunk_every),
    plain("zip-pairs", Arity::between(1, 2), zip_pairs),
    plain("contains?", TWO, contains),
    plain("index-of", TWO, index_of),
    plain("into", TWO, into),
    plain("sort", ONE, |budget, args| {
        let list = list(&mut args[0])?;
        let keys: Vec<Value> = list.iter().cloned().collect();
        sort_by(budget, &list, &keys)
    }),
    plain("distinct", ONE, |budget, args| {
        distinct(budget, &list(&mut args[0])?)
    }),
    calls("map", TWO, Calls::Map),
    calls("filter", TWO, Calls::Filter),
    calls("reduce", Arity::exactly(3), Calls::Reduce),
    calls("some", TWO, Calls::Some),
    calls("every?", TWO, Calls::Every),
    calls("sort-by", TWO, Calls::SortBy),
    calls("group-by", TWO, Calls::GroupBy),
];

/// Joining long lists shares their parts, and mends the seam: items copied at most.
const SEAM: usize = 64;
/// What mending a seam between long lists takes beyond copying, fuel.
const MENDING: usize = 512;

fn join(budget: &mut Budget, all: &mut List, more: &List) -> Raised<()> {
    budget.change_list(all.len())?;
    budget.allocate(more.len().min(SEAM))?;
    if more.len() > SEAM {
        budget.spend(MENDING)?;
    }
    all.append(more);
    Ok(())
}

fn flatten(budget: &mut Budget, list: &List) -> Raised<Value> {
    let size = |item: &Value| match item {
        Value::List(inner) => inner.len(),
        _ => 1,
    };
    budget.spend(list.len())?;
    let total = list.iter().map(size).fold(0, usize::saturating_add);
    budget.list(total)?;
    let mut flat = Vec::with_capacity(total);
    for item in list {
        match item {
            Value::List(inner) => flat.extend(inner.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Value::List(flat.into()))
}

fn range(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    let (start, end) = match args {
        [end] => (0, integer(end)?),
        [start, end, ..] => (integer(start)?, integer(end)?),
        [] => (0, 0),
    };
    let step = match args.get(2) {
        Some(step) => integer(step)?,
        None => 1,
    };
    if step == 0 {
        return out_of_range("expected a step other than 0");
    }
    let span = (i128::from(end) - i128::from(start)) * i128::from(step.signum());
    let size = (span.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    budget.list(size)?;
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    Ok(Value::List(numbers.take(size).map(Value::Int).collect()))
}

fn chunk_every(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    let size = index(&args[1])?;
    if size == 0 {
        return out_of_range("expected chunks of at least one item");
    }
    let list = list(&mut args[0])?;
    let mut chunks = Vec::new();
    let mut items = list.iter();
    while items.len() > 0 {
        let length = items.len().min(size);
        budget.allocate(1)?;
        budget.list(length)?;
        let chunk: List = items.by_ref().take(length).cloned().collect();
        chunks.push(Value::List(chunk));
    }
    budget.allocate(1)?;
    Ok(Value::List(chunks.into()))
}

fn zip_pairs(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    let left = list(&mut args[0])?;
    let (right, shift) = match args.get_mut(1) {
        Some(right) => (list(right)?, 0),
        None => (left.clone(), 1),
    };
    let pairs = left.len().min(right.len().saturating_sub(shift));
    budget.list(pairs.saturating_mul(4))?;
    let pairs = left.iter().zip(right.iter().skip(shift));
    let pairs = pairs.map(|(a, b)| Value::List(vec![a.clone(), b.clone()].into()));
    Ok(Value::List(pairs.collect()))
}

fn position(budget: &mut Budget, list: &List, wanted: &Value) -> Raised<Option<usize>> {
    for (at, item) in list.iter().enumerate() {
        budget.spend(1)?;
        if compare::equal(budget, item, wanted)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn contains(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    Ok(Value::Bool(match &args[0] {
        Value::Nil => false,
        Value::List(list) => position(budget, list, &args[1])?.is_some(),
        Value::Map(map) => {
            let key = key(&args[1])?;
            lookup(budget, map, key)?;
            map.contains_key(key)
        }
        Value::Str(text) => find(budget, text, &args[1])?.is_some(),
        other => return expected("a list, a dict or a string", other),
    }))
}

fn index_of(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    let found = match &args[0] {
        Value::Nil => None,
        Value::List(list) => position(budget, list, &args[1])?,
        Value::Str(text) => find(budget, text, &args[1])?.map(|at| text[..at].chars().count()),
        other => return expected("a list or a string", other),
    };
    Ok(found.map_or(Value::Nil, count))
}

fn into(budget: &mut Budget, args: &mut [Value]) -> Raised<Value> {
    match (take(&mut args[0]), take(&mut args[1])) {
        (Value::List(mut all), Value::List(more)) => {
            join(budget, &mut all, &more)?;
            Ok(Value::List(all))
        }
        (Value::List(mut all), Value::Map(map)) => {
            budget.list(map.len().saturating_mul(4))?;
            let pair = |(key, value): (&Str, &Value)| {
                Value::List(vec![Value::Str(key.clone()), value.clone()].into())
            };
            let pairs: List = map.iter().map(pair).collect();
            join(budget, &mut all, &pairs)?;
            Ok(Value::List(all))
        }
        (Value::Map(mut map), Value::Map(more)) => {
            pour(budget, &mut map, &more)?;
            Ok(Value::Map(map))
        }
        (Value::Map(mut map), Value::List(pairs)) => {
            pour_pairs(budget, &mut map, &pairs)?;
            Ok(Value::Map(map))
        }
        (target @ (Value::List(_) | Value::Map(_)), Value::Nil) => Ok(target),
        (Value::List(_) | Value::Map(_), other) => expected("a list or a dict to pour", &other),
        (other, _) => expected("a list or a dict to pour into", &other),
    }
}

/// The places of values in their order, equal ones in the order they stand in.
///
/// Sorting is paid for before: who compares whom is the business of the library and may change.
fn sorted(budget: &mut Budget, keys: &[Value]) -> Raised<Vec<usize>> {
    let halvings = bits(keys.len());
    for key in keys {
        let size = usize::try_from(key.weight() / 8).unwrap_or(usize::MAX);
        budget.spend(size.saturating_add(1).saturating_mul(halvings))?;
    }
    let functions = Cell::new(false);
    let ordered = |a: &Value, b: &Value| -> Ordering {
        let note = |a: &Value, b: &Value, _| -> Result<(), std::convert::Infallible> {
            if matches!(a, Value::Function(_)) || matches!(b, Value::Function(_)) {
                functions.set(true);
            }
            Ok(())
        };
        let Ok(order) = order::compare(a, b, note);
        order
    };
    let mut places: Vec<usize> = (0..keys.len()).collect();
    places.sort_by(|a, b| ordered(&keys[*a], &keys[*b]));
    if functions.get() {
        return Err(Fault::new(Code::Type, "functions can't be compared"));
    }
    Ok(places)
}

/// The items in the order of their keys.
pub(crate) fn sort_by(budget: &mut Budget, items: &List, keys: &[Value]) -> Raised<Value> {
    let places = sorted(budget, keys)?;
    budget.list(items.len())?;
    let items: Vec<&Value> = items.iter().collect();
    Ok(Value::List(
        places.into_iter().map(|at| items[at].clone()).collect(),
    ))
}

/// A dict of the items of each key.
pub(crate) fn group_by(budget: &mut Budget, items: &List, keys: &[Value]) -> Raised<Value> {
    let mut groups: BTreeMap<&Str, Vec<Value>> = BTreeMap::new();
    for (item, at) in items.iter().zip(keys) {
        let at = key(at)?;
        budget.allocate(1)?;
        budget.spend(bits(keys.len()).saturating_mul(at.len() / 32 + 1))?;
        groups.entry(at).or_default().push(item.clone());
    }
    budget.map(groups.len())?;
    budget.allocate(groups.len())?;
    let members = groups
        .into_iter()
        .map(|(key, items)| (key.clone(), Value::List(items.into())));
    Ok(Value::Map(Map::from_sorted(members.collect())))
}

/// The first of each equal items, in the order they stand in.
fn distinct(budget: &mut Budget, list: &List) -> Raised<Value> {
    let items: Vec<Value> = list.iter().cloned().collect();
    let places = sorted(budget, &items)?;
    let mut kept = vec![true; items.len()];
    for pair in places.windows(2) {
        budget.spend(1)?;
        // Equal items stand in their order, so the later one goes.
        kept[pair[1]] = !compare::equal(budget, &items[pair[0]], &items[pair[1]])?;
    }
    budget.list(kept.iter().filter(|kept| **kept).count())?;
    let items = items.into_iter().zip(kept).filter(|(_, kept)| *kept);
    Ok(Value::List(items.map(|(item, _)| item).collect()))
}
