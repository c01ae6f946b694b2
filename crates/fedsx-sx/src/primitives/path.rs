//! Parts of nested values: `get-in` and its like. A path is a list of keys and indices.

use crate::budget::Budget;
use crate::data::{List, Map, Str, Value};
use crate::error::Raised;
use crate::primitives::map::part;
use crate::primitives::{
    Arity, Calls, Primitive, calls, dict, key, list, lookup, out_of_range, plain, set, take,
};

pub(super) const TABLE: &[Primitive] = &[
    plain("get-in", Arity::between(2, 3), |budget, args| {
        let way = list(&mut args[1])?;
        let found = find(budget, &args[0], &way)?.cloned();
        Ok(found.unwrap_or_else(|| args.get_mut(2).map(take).unwrap_or_default()))
    }),
    plain("assoc-in", Arity::exactly(3), |budget, args| {
        let way = list(&mut args[1])?;
        let (root, value) = (take(&mut args[0]), take(&mut args[2]));
        put_in(budget, root, &way, value)
    }),
    calls("update-in", Arity::from(3), Calls::UpdateIn),
];

fn find<'a>(budget: &mut Budget, root: &'a Value, way: &List) -> Raised<Option<&'a Value>> {
    let mut found = Some(root);
    for at in way {
        budget.spend(1)?;
        found = match found {
            Some(value) => part(budget, value, at)?,
            None => return Ok(None),
        };
    }
    Ok(found)
}

/// The part of a value at the end of a path; nil if there is none.
pub(crate) fn path(budget: &mut Budget, root: &Value, way: &List) -> Raised<Value> {
    Ok(find(budget, root, way)?.cloned().unwrap_or_default())
}

/// The value with another part at the end of a path of keys; dicts that are missing on the way are made.
pub(crate) fn put_in(budget: &mut Budget, root: Value, way: &List, value: Value) -> Raised<Value> {
    let mut open: Vec<(Map, Str)> = Vec::new();
    let mut here = root;
    for at in way {
        budget.spend(1)?;
        let (map, at) = (dict(&mut here)?, key(at)?);
        here = lookup(budget, &map, at)?;
        open.push((map, at.clone()));
    }
    if open.is_empty() {
        return out_of_range("expected a path of at least one key");
    }
    let mut inner = value;
    while let Some((mut map, at)) = open.pop() {
        set(budget, &mut map, &at, inner)?;
        inner = Budget::admit(Value::Map(map))?;
    }
    Ok(inner)
}
