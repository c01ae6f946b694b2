//! Arithmetic. Integers are exact, and past 64 bits an error; doubles are IEEE 754, and never NaN or
//! infinite. A result that is integral and fits is an integer, so a number has one spelling.

use crate::budget::Budget;
use crate::compare;
use crate::data::{Value, order};
use crate::error::{Code, Fault, Raised};
use crate::primitives::{Arity, Primitive, expected, integer, out_of_range, plain};

pub(super) const TABLE: &[Primitive] = &[
    plain("+", Arity::from(0), |_, args| fold(args, 0, add)),
    plain("*", Arity::from(0), |_, args| fold(args, 1, multiply)),
    plain("-", Arity::from(1), |_, args| match args {
        [only] => subtract(&Value::Int(0), only),
        [first, rest @ ..] => rest.iter().try_fold(first.clone(), |a, b| subtract(&a, b)),
        [] => Ok(Value::Nil),
    }),
    plain("/", Arity::from(2), |_, args| {
        let (first, rest) = args.split_first().expect("checked by the arity");
        rest.iter().try_fold(first.clone(), |a, b| divide(&a, b))
    }),
    plain("mod", Arity::exactly(2), |_, args| {
        modulo(&args[0], &args[1])
    }),
    plain("inc", Arity::exactly(1), |_, args| {
        add(&args[0], &Value::Int(1))
    }),
    plain("dec", Arity::exactly(1), |_, args| {
        subtract(&args[0], &Value::Int(1))
    }),
    plain("abs", Arity::exactly(1), |_, args| {
        match number(&args[0])? {
            Number::Int(n) => n.checked_abs().map(Value::Int).ok_or_else(overflow),
            Number::Double(x) => double(x.abs()),
        }
    }),
    plain("floor", Arity::exactly(1), |_, args| {
        whole(&args[0], f64::floor)
    }),
    plain("round", Arity::exactly(1), |_, args| {
        whole(&args[0], f64::round)
    }),
    plain("sqrt", Arity::exactly(1), |_, args| {
        let x = number(&args[0])?.as_f64();
        if x < 0.0 {
            return out_of_range("expected a number of 0 or more");
        }
        double(x.sqrt())
    }),
    plain("pow", Arity::exactly(2), |_, args| {
        power(&args[0], &args[1])
    }),
    plain("min", Arity::from(1), |_, args| {
        extreme(args, std::cmp::Ordering::is_lt)
    }),
    plain("max", Arity::from(1), |_, args| {
        extreme(args, std::cmp::Ordering::is_gt)
    }),
    plain("clamp", Arity::exactly(3), |_, args| {
        if ordered(&args[1], &args[2])?.is_gt() {
            return out_of_range("expected the lower bound before the upper one");
        }
        let low = if ordered(&args[0], &args[1])?.is_lt() {
            1
        } else {
            0
        };
        let at = if ordered(&args[0], &args[2])?.is_gt() {
            2
        } else {
            low
        };
        Ok(args[at].clone())
    }),
    plain("<", Arity::from(1), |budget, args| {
        chain(budget, args, std::cmp::Ordering::is_lt)
    }),
    plain("<=", Arity::from(1), |budget, args| {
        chain(budget, args, std::cmp::Ordering::is_le)
    }),
    plain(">", Arity::from(1), |budget, args| {
        chain(budget, args, std::cmp::Ordering::is_gt)
    }),
    plain(">=", Arity::from(1), |budget, args| {
        chain(budget, args, std::cmp::Ordering::is_ge)
    }),
    plain("odd?", Arity::exactly(1), |_, args| {
        Ok(Value::Bool(integer(&args[0])? & 1 == 1))
    }),
    plain("even?", Arity::exactly(1), |_, args| {
        Ok(Value::Bool(integer(&args[0])? & 1 == 0))
    }),
    plain("zero?", Arity::exactly(1), |_, args| {
        Ok(Value::Bool(matches!(number(&args[0])?, Number::Int(0))))
    }),
    plain("number?", Arity::exactly(1), |_, args| {
        Ok(Value::Bool(matches!(
            args[0],
            Value::Int(_) | Value::Double(_)
        )))
    }),
];

enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    fn as_f64(&self) -> f64 {
        match self {
            Self::Int(n) => *n as f64,
            Self::Double(x) => *x,
        }
    }
}

fn number(value: &Value) -> Raised<Number> {
    match value {
        Value::Int(n) => Ok(Number::Int(*n)),
        Value::Double(x) => Ok(Number::Double(*x)),
        other => expected("a number", other),
    }
}

#[cold]
fn overflow() -> Box<Fault> {
    Fault::new(Code::Overflow, "the number is too large to be kept")
}

#[cold]
fn by_zero() -> Box<Fault> {
    Fault::new(Code::Division, "a division by zero")
}

/// A computed double: an integer if it is one, an error if it is no number.
fn double(x: f64) -> Raised<Value> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if !x.is_finite() {
        return Err(overflow());
    }
    if x.fract() == 0.0 && (-LIMIT..LIMIT).contains(&x) {
        return Ok(Value::Int(x as i64));
    }
    Ok(Value::Double(x))
}

fn operate(
    a: &Value,
    b: &Value,
    exact: impl Fn(i64, i64) -> Option<i64>,
    inexact: impl Fn(f64, f64) -> f64,
) -> Raised<Value> {
    match (number(a)?, number(b)?) {
        (Number::Int(a), Number::Int(b)) => exact(a, b).map(Value::Int).ok_or_else(overflow),
        (a, b) => double(inexact(a.as_f64(), b.as_f64())),
    }
}

pub(crate) fn add(a: &Value, b: &Value) -> Raised<Value> {
    operate(a, b, i64::checked_add, |a, b| a + b)
}

pub(crate) fn subtract(a: &Value, b: &Value) -> Raised<Value> {
    operate(a, b, i64::checked_sub, |a, b| a - b)
}

pub(crate) fn multiply(a: &Value, b: &Value) -> Raised<Value> {
    operate(a, b, i64::checked_mul, |a, b| a * b)
}

fn divide(a: &Value, b: &Value) -> Raised<Value> {
    match (number(a)?, number(b)?) {
        (_, Number::Int(0)) => Err(by_zero()),
        (Number::Int(a), Number::Int(b)) if a.checked_rem(b) == Some(0) => Ok(Value::Int(a / b)),
        (a, b) => double(a.as_f64() / b.as_f64()),
    }
}

/// The remainder with the sign of the divisor.
fn modulo(a: &Value, b: &Value) -> Raised<Value> {
    match (number(a)?, number(b)?) {
        (_, Number::Int(0)) => Err(by_zero()),
        (Number::Int(a), Number::Int(b)) => {
            let rest = a.checked_rem(b).unwrap_or(0);
            Ok(Value::Int(if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            }))
        }
        (a, b) => {
            let b = b.as_f64();
            let rest = a.as_f64() % b;
            double(if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
                rest + b
            } else {
                rest
            })
        }
    }
}

fn whole(value: &Value, rounded: fn(f64) -> f64) -> Raised<Value> {
    match number(value)? {
        Number::Int(n) => Ok(Value::Int(n)),
        Number::Double(x) => double(rounded(x)),
    }
}

fn power(base: &Value, exponent: &Value) -> Raised<Value> {
    let (base, exponent) = (number(base)?, integer(exponent)?);
    let turns = exponent.unsigned_abs();
    if exponent >= 0
        && let Number::Int(base) = base
    {
        return squares(base, turns, 1, |a, b| a.checked_mul(b))
            .map(Value::Int)
            .ok_or_else(overflow);
    }
    let power = squares(base.as_f64(), turns, 1.0, |a, b| Some(a * b)).unwrap_or(1.0);
    match exponent {
        0.. => double(power),
        _ if power == 0.0 && base.as_f64() == 0.0 => Err(by_zero()),
        _ => double(1.0 / power),
    }
}

/// `base` to the power of `turns` by repeated squaring, the same on every machine.
fn squares<T: Copy>(
    mut base: T,
    mut turns: u64,
    one: T,
    times: impl Fn(T, T) -> Option<T>,
) -> Option<T> {
    let mut power = one;
    while turns > 0 {
        if turns & 1 == 1 {
            power = times(power, base)?;
        }
        turns >>= 1;
        if turns > 0 {
            base = times(base, base)?;
        }
    }
    Some(power)
}

fn fold(args: &[Value], start: i64, combine: fn(&Value, &Value) -> Raised<Value>) -> Raised<Value> {
    args.iter()
        .try_fold(Value::Int(start), |a, b| combine(&a, b))
}

fn ordered(a: &Value, b: &Value) -> Raised<std::cmp::Ordering> {
    number(a)?;
    number(b)?;
    Ok(order::numbers(a, b).expect("both are numbers"))
}

fn extreme(args: &[Value], better: fn(std::cmp::Ordering) -> bool) -> Raised<Value> {
    let mut best = &args[0];
    number(best)?;
    for value in &args[1..] {
        if better(ordered(value, best)?) {
            best = value;
        }
    }
    Ok(best.clone())
}

/// Whether each pair of neighbours is in order.
fn chain(
    budget: &mut Budget,
    args: &[Value],
    holds: fn(std::cmp::Ordering) -> bool,
) -> Raised<Value> {
    let mut truth = true;
    for pair in args.windows(2) {
        truth &= holds(compare::less(budget, &pair[0], &pair[1])?);
    }
    Ok(Value::Bool(truth))
}
