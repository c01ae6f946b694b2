//! Comparing for programs: what `=`, `<`, `sort` and their like mean, paid for.
//!
//! The form that compares has paid for the first pair; every further one costs a unit, and text one
//! for each 32 bytes read. What shares its parts is walked as if it didn't.

use std::cmp::Ordering;

use crate::budget::Budget;
use crate::data::{Value, order};
use crate::error::{Code, Fault, Raised};

/// Whether two values are equal: `:a` and `"a"` are, and numbers of one size.
pub(crate) fn equal(budget: &mut Budget, a: &Value, b: &Value) -> Raised<bool> {
    order::equal(a, b, meter(budget))
}

/// The order of two numbers or two strings, all that `<` and its like take.
pub(crate) fn less(budget: &mut Budget, a: &Value, b: &Value) -> Raised<Ordering> {
    if let Some(order) = order::numbers(a, b) {
        return Ok(order);
    }
    match (a, b) {
        (Value::Str(x) | Value::Keyword(x), Value::Str(y) | Value::Keyword(y)) => {
            budget.read(x.len().min(y.len()))?;
            Ok(x.cmp(y))
        }
        _ => {
            let message = format!(
                "expected two numbers or two strings to compare, found {} and {}",
                crate::primitives::article(a),
                crate::primitives::article(b)
            );
            Err(Fault::new(Code::Type, message))
        }
    }
}

fn meter(budget: &mut Budget) -> impl FnMut(&Value, &Value, usize) -> Raised<()> {
    let mut further = 0;
    move |a, b, bytes| {
        budget.spend(further)?;
        budget.read(bytes)?;
        further = 1;
        match (a, b) {
            (Value::Function(_), _) | (_, Value::Function(_)) => {
                Err(Fault::new(Code::Type, "functions can't be compared"))
            }
            _ => Ok(()),
        }
    }
}
