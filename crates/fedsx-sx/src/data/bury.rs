//! The end of deep values: what hangs on a value is freed level by level natively up to a bound,
//! and by a heap of its own below.
//!
//! Freeing is on the server's path of every document, so shallow values pay no more than a look at
//! their items. The count of levels is per thread because a drop takes no argument.

use std::cell::Cell;
use std::sync::Arc;

use super::Value;

/// Native levels before the heap takes over; documents nest 64.
const LEVELS: u32 = 80;

thread_local! {
    static LEVEL: Cell<u32> = const { Cell::new(0) };
}

/// Frees what `contents` holds: natively by `free`, or, too deep for that, by `values` one by one.
pub(crate) fn bury<T: Default>(
    contents: &mut T,
    free: impl FnOnce(T),
    values: impl FnOnce(T, &mut Vec<Value>),
) {
    let level = LEVEL.get();
    let contents = std::mem::take(contents);
    if level < LEVELS {
        LEVEL.set(level + 1);
        free(contents);
        LEVEL.set(level);
    } else {
        let mut heap = Vec::new();
        values(contents, &mut heap);
        while let Some(value) = heap.pop() {
            open(value, &mut heap);
        }
    }
}

/// Moves the parts of a value that nobody else holds to the heap.
fn open(value: Value, heap: &mut Vec<Value>) {
    match value {
        Value::List(list) => {
            if let Some(items) = Arc::into_inner(list.0) {
                items.unpack(heap);
            }
        }
        Value::Map(map) => {
            if let Some(members) = Arc::into_inner(map.0) {
                members.unpack(heap);
            }
        }
        Value::Function(function) => heap.extend(function.into_captured().map(Value::List)),
        _ => {}
    }
}
