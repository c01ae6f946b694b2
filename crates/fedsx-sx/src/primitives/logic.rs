//! Equality, kinds, and errors that programs raise.

use crate::compare;
use crate::data::Value;
use crate::error::{Code, Fault, Raised};
use crate::primitives::Calls;
use crate::primitives::{Arity, Primitive, calls, expected, kind, plain, string, take, truth};

const ONE: Arity = Arity::exactly(1);

pub(super) const TABLE: &[Primitive] = &[
    plain("=", Arity::from(1), |budget, args| {
        let mut same = true;
        for pair in args.windows(2) {
            same &= compare::equal(budget, &pair[0], &pair[1])?;
        }
        Ok(Value::Bool(same))
    }),
    plain("!=", Arity::exactly(2), |budget, args| {
        Ok(Value::Bool(!compare::equal(budget, &args[0], &args[1])?))
    }),
    plain("not", ONE, |_, args| Ok(Value::Bool(!truth(&args[0])))),
    plain("nil?", ONE, |_, args| {
        Ok(Value::Bool(matches!(args[0], Value::Nil)))
    }),
    plain("boolean?", ONE, |_, args| {
        Ok(Value::Bool(matches!(args[0], Value::Bool(_))))
    }),
    plain("string?", ONE, |_, args| {
        Ok(Value::Bool(matches!(args[0], Value::Str(_))))
    }),
    plain("list?", ONE, |_, args| {
        Ok(Value::Bool(matches!(args[0], Value::List(_))))
    }),
    plain("dict?", ONE, |_, args| {
        Ok(Value::Bool(matches!(args[0], Value::Map(_))))
    }),
    plain("type-of", ONE, |budget, args| {
        budget.text(0)?;
        Ok(Value::from(kind(&args[0])))
    }),
    plain("symbol-name", ONE, |_, args| match take(&mut args[0]) {
        Value::Symbol(name) => Ok(Value::Str(name)),
        other => expected("a symbol", &other),
    }),
    plain("keyword-name", ONE, |_, args| match take(&mut args[0]) {
        Value::Keyword(name) => Ok(Value::Str(name)),
        other => expected("a keyword", &other),
    }),
    plain("error", Arity::between(1, 2), |budget, args| {
        budget.text(MESSAGE_BYTES)?;
        Err(raised(Code::Raised, args)?)
    }),
    plain("assert", Arity::between(1, 2), |budget, args| {
        if truth(&args[0]) {
            return Ok(take(&mut args[0]));
        }
        budget.text(MESSAGE_BYTES)?;
        if args.len() == 1 {
            return Err(Fault::new(Code::Assertion, "the assertion doesn't hold"));
        }
        Err(raised(Code::Assertion, &mut args[1..])?)
    }),
    calls("apply", Arity::from(2), Calls::Apply),
];

/// How much of a message is kept, bytes.
const MESSAGE_BYTES: usize = 1_024;

/// The fault that a message and data make; a dict that `guard` has bound is raised again.
fn raised(code: Code, args: &mut [Value]) -> Raised<Box<Fault>> {
    let (message, data) = match &args[0] {
        Value::Map(map) => match map.get("message") {
            Some(Value::Str(message)) => (message.clone(), map.get("data").cloned()),
            _ => return expected("a message", &args[0]),
        },
        other => (string(other)?.clone(), None),
    };
    let cut = message.floor_char_boundary(MESSAGE_BYTES);
    let mut fault = Fault::new(code, message[..cut].to_owned());
    fault.data = args.get_mut(1).map(take).or(data);
    Ok(fault)
}
