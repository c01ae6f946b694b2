//! Maps, which programs call dicts.

use crate::budget::Budget;
use crate::data::{List, Map, Str, Value};
use crate::error::{Code, Fault, Raised};
use crate::primitives::{
    Arity, Calls, Primitive, bits, calls, dict, expected, integer, key, plain, take,
};

pub(super) const TABLE: &[Primitive] = &[
    plain("dict", Arity::from(0), |budget, args| {
        pairs(budget, Map::new(), args)
    }),
    plain("get", Arity::between(2, 3), |budget, args| {
        let found = part(budget, &args[0], &args[1])?.cloned();
        Ok(found.unwrap_or_else(|| args.get_mut(2).map(take).unwrap_or_default()))
    }),
    plain("has-key?", Arity::exactly(2), |budget, args| {
        let key = key(&args[1])?.clone();
        let map = dict(&mut args[0])?;
        pay_lookup(budget, &map, &key)?;
        Ok(Value::Bool(map.contains_key(&key)))
    }),
    plain("keys", Arity::exactly(1), |budget, args| {
        let map = dict(&mut args[0])?;
        budget.list(map.len())?;
        Ok(Value::List(
            map.iter().map(|(key, _)| Value::Str(key.clone())).collect(),
        ))
    }),
    plain("vals", Arity::exactly(1), |budget, args| {
        let map = dict(&mut args[0])?;
        budget.list(map.len())?;
        Ok(Value::List(
            map.iter().map(|(_, value)| value.clone()).collect(),
        ))
    }),
    plain("assoc", Arity::from(3), |budget, args| {
        let map = dict(&mut args[0])?;
        pairs(budget, map, &mut args[1..])
    }),
    plain("dissoc", Arity::from(1), |budget, args| {
        let mut map = dict(&mut args[0])?;
        for gone in &args[1..] {
            let gone = key(gone)?;
            pay_lookup(budget, &map, gone)?;
            if map.contains_key(gone) {
                budget.change_map(map.len())?;
                map.remove(gone);
            }
        }
        Ok(Value::Map(map))
    }),
    plain("merge", Arity::from(0), |budget, args| {
        let mut merged = Map::new();
        for (at, value) in args.iter_mut().enumerate() {
            let map = dict(value)?;
            if at == 0 {
                merged = map;
            } else {
                pour(budget, &mut merged, &map)?;
            }
        }
        Ok(Value::Map(merged))
    }),
    calls("update", Arity::from(3), Calls::Update),
];

/// What finding a key costs beyond its step: nothing in a small map with a short key.
fn pay_lookup(budget: &mut Budget, map: &Map, key: &str) -> Raised<()> {
    let halvings = bits(map.len());
    budget.spend(halvings / 4)?;
    for _ in 0..halvings {
        budget.read(key.len())?;
    }
    Ok(())
}

/// The member of a map; nil if there is none.
pub(crate) fn lookup(budget: &mut Budget, map: &Map, key: &str) -> Raised<Value> {
    pay_lookup(budget, map, key)?;
    Ok(map.get(key).cloned().unwrap_or_default())
}

/// Sets a member.
pub(crate) fn set(budget: &mut Budget, map: &mut Map, key: &Str, value: Value) -> Raised<()> {
    pay_lookup(budget, map, key)?;
    budget.change_map(map.len())?;
    map.insert(key.clone(), value);
    Ok(())
}

/// The part of a value under a key or an index, if there is one.
pub(crate) fn part<'a>(
    budget: &mut Budget,
    of: &'a Value,
    at: &Value,
) -> Raised<Option<&'a Value>> {
    match of {
        Value::Map(map) => {
            let key = key(at)?;
            pay_lookup(budget, map, key)?;
            Ok(map.get(key))
        }
        Value::List(list) => Ok(usize::try_from(integer(at)?)
            .ok()
            .and_then(|at| list.get(at))),
        Value::Nil => Ok(None),
        other => expected("a dict or a list", other),
    }
}

/// Sets keys and values given in turn.
fn pairs(budget: &mut Budget, mut map: Map, args: &mut [Value]) -> Raised<Value> {
    if !args.len().is_multiple_of(2) {
        let message = "expected keys and values in turn, found a key without a value";
        return Err(Fault::new(Code::Arity, message));
    }
    for pair in args.chunks_exact_mut(2) {
        let value = take(&mut pair[1]);
        set(budget, &mut map, key(&pair[0])?, value)?;
    }
    Ok(Value::Map(map))
}

/// Sets all members of another map; as dear as making both anew at most.
pub(super) fn pour(budget: &mut Budget, into: &mut Map, from: &Map) -> Raised<()> {
    let anew = (into.len() + from.len()).saturating_mul(2);
    let changes = from
        .len()
        .saturating_mul(2 * into.len().min(crate::budget::COPIED) + 1);
    budget.allocate(anew.min(changes))?;
    for (key, value) in from {
        pay_lookup(budget, into, key)?;
        into.insert(key.clone(), value.clone());
    }
    Ok(())
}

/// Sets members given as pairs `[key value]`.
pub(super) fn pour_pairs(budget: &mut Budget, into: &mut Map, from: &List) -> Raised<()> {
    for pair in from {
        match pair {
            Value::List(pair) if pair.len() == 2 => {
                let (at, value) = (pair.get(0), pair.get(1).cloned());
                set(
                    budget,
                    into,
                    key(at.unwrap_or(&Value::Nil))?,
                    value.unwrap_or_default(),
                )?;
            }
            other => return expected("a pair `[key value]`", other),
        }
    }
    Ok(())
}
