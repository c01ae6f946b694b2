//! One step after the other: what each does to the registers.
//!
//! The loop holds what programs do all the time; the rest is a call away (`eval/build.rs`).

use crate::budget::Budget;
use crate::code::{Comparison, Op, Register, Step};
use crate::compare;
use crate::data::Value;
use crate::error::Raised;
use crate::eval::{Frame, Machine, Place};
use crate::function::Callable;
use crate::primitives::{self, number};

impl Machine<'_> {
    /// Runs until the evaluation has a value or a fault.
    pub(super) fn steps(&mut self) -> Raised<Value> {
        let code = self.code;
        // Each turn is a stay in one routine.
        loop {
            let routine = &code.routines[self.at.routine as usize];
            let mut regs = &mut self.stack[self.at.base..];
            let mut next = self.at.next;
            let answer = loop {
                let Step { op, fuel } = routine.steps[next as usize];
                next += 1;
                self.at.next = next;
                self.budget.step(fuel)?;
                match op {
                    Op::Nothing => {}
                    Op::Constant { to, index } => {
                        put(regs, to, code.constants[index as usize].clone())
                    }
                    Op::Integer { to, value } => put_integer(regs, to, value.into()),
                    Op::Copy { to, from } => put(regs, to, read(regs, from).clone()),
                    Op::Move { to, from } => shift(regs, to, from),
                    Op::Captured { to, index } => {
                        put(regs, to, captured(&regs[routine.own()], index))
                    }
                    Op::Jump { at } => next = at,
                    Op::JumpIf { value, at } => next = turn(next, at, truth(regs, value)),
                    Op::JumpUnless { value, at } => next = turn(next, at, !truth(regs, value)),
                    Op::Branch { how, a, b, at } => {
                        let holds = holds(&mut self.budget, how, read(regs, a), read(regs, b))?;
                        next = turn(next, at, holds);
                    }
                    Op::BranchInteger { how, a, b, at } => {
                        let b = Value::Int(i64::from(b));
                        next = turn(next, at, holds(&mut self.budget, how, read(regs, a), &b)?);
                    }
                    Op::Add { to, a, b } => arithmetic(regs, to, a, b, ADD)?,
                    Op::Subtract { to, a, b } => arithmetic(regs, to, a, b, SUBTRACT)?,
                    Op::AddInteger { to, a, b } => with_integer(regs, to, a, b, ADD)?,
                    Op::SubtractInteger { to, a, b } => with_integer(regs, to, a, b, SUBTRACT)?,
                    Op::CallRoutine { first, routine, .. } => {
                        // Not `self.at` as it stands in memory: its parts were written apart.
                        let place = Place { next, ..self.at };
                        self.push(Frame::Routine(place))?;
                        self.begin(routine, place.base + usize::from(first));
                        break None;
                    }
                    Op::TailCallRoutine {
                        first,
                        count,
                        routine,
                    } => {
                        self.slide(self.at.base + usize::from(first), usize::from(count));
                        self.begin(routine, self.at.base);
                        break None;
                    }
                    Op::Call { first, count } => break self.call_value(first, count)?,
                    Op::TailCall { first, count } => break self.tail_call_value(first, count)?,
                    Op::Return { from } => {
                        regs.swap(0, usize::from(from));
                        break self.finish()?;
                    }
                    other => {
                        next = self.build(other, next)?;
                        regs = &mut self.stack[self.at.base..];
                    }
                }
            };
            if let Some(value) = answer {
                return Ok(value);
            }
        }
    }
}

#[inline(always)]
fn read(regs: &[Value], register: Register) -> &Value {
    &regs[usize::from(register)]
}

#[inline(always)]
fn take(regs: &mut [Value], register: Register) -> Value {
    std::mem::take(&mut regs[usize::from(register)])
}

#[inline(always)]
fn shift(regs: &mut [Value], to: Register, from: Register) {
    let value = take(regs, from);
    put(regs, to, value);
}

/// Puts a value into a register; most values replaced own nothing.
#[inline(always)]
fn put(regs: &mut [Value], register: Register, value: Value) {
    let register = &mut regs[usize::from(register)];
    if register.is_plain() {
        std::mem::forget(std::mem::replace(register, value));
    } else {
        *register = value;
    }
}

/// As `put`; where an integer was, only its number changes, which spares the whole value's way through memory.
#[inline(always)]
fn put_integer(regs: &mut [Value], register: Register, number: i64) {
    match &mut regs[usize::from(register)] {
        Value::Int(have) => *have = number,
        other => *other = Value::Int(number),
    }
}

#[inline(always)]
const fn turn(next: u32, at: u32, jump: bool) -> u32 {
    if jump { at } else { next }
}

#[inline(always)]
fn truth(regs: &[Value], register: Register) -> bool {
    primitives::truth(read(regs, register))
}

/// The value that the function in the routine's own register captured.
pub(super) fn captured(own: &Value, index: u16) -> Value {
    match own {
        Value::Function(function) => match function.callable() {
            Callable::Closure(closure) => closure.captured.get(usize::from(index)).cloned(),
            _ => None,
        },
        _ => None,
    }
    .expect("a routine that captures is called with its closure")
}

/// Whether a comparison holds.
#[inline(always)]
pub(super) fn holds(budget: &mut Budget, how: Comparison, a: &Value, b: &Value) -> Raised<bool> {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return Ok(match how {
            Comparison::Less => a < b,
            Comparison::AtMost => a <= b,
            Comparison::Greater => a > b,
            Comparison::AtLeast => a >= b,
            Comparison::Equal => a == b,
            Comparison::Different => a != b,
        });
    }
    compared(budget, how, a, b)
}

#[inline(never)]
fn compared(budget: &mut Budget, how: Comparison, a: &Value, b: &Value) -> Raised<bool> {
    Ok(match how {
        Comparison::Equal => compare::equal(budget, a, b)?,
        Comparison::Different => !compare::equal(budget, a, b)?,
        Comparison::Less => compare::less(budget, a, b)?.is_lt(),
        Comparison::AtMost => compare::less(budget, a, b)?.is_le(),
        Comparison::Greater => compare::less(budget, a, b)?.is_gt(),
        Comparison::AtLeast => compare::less(budget, a, b)?.is_ge(),
    })
}

/// What an operation is on integers, as far as that goes, and on all numbers.
pub(super) type Operation = (
    fn(i64, i64) -> Option<i64>,
    fn(&Value, &Value) -> Raised<Value>,
);

const ADD: Operation = (i64::checked_add, number::add);
const SUBTRACT: Operation = (i64::checked_sub, number::subtract);
pub(super) const MULTIPLY: Operation = (i64::checked_mul, number::multiply);

#[inline(always)]
pub(super) fn arithmetic(
    regs: &mut [Value],
    to: Register,
    a: Register,
    b: Register,
    (exact, general): Operation,
) -> Raised<()> {
    let (a, b) = (read(regs, a), read(regs, b));
    if let (Value::Int(x), Value::Int(y)) = (a, b)
        && let Some(z) = exact(*x, *y)
    {
        put_integer(regs, to, z);
        return Ok(());
    }
    let value = general(a, b)?;
    put(regs, to, value);
    Ok(())
}

#[inline(always)]
fn with_integer(
    regs: &mut [Value],
    to: Register,
    a: Register,
    b: i32,
    (exact, general): Operation,
) -> Raised<()> {
    let (a, b) = (read(regs, a), i64::from(b));
    if let Value::Int(x) = a
        && let Some(z) = exact(*x, b)
    {
        put_integer(regs, to, z);
        return Ok(());
    }
    let value = general(a, &Value::Int(b))?;
    put(regs, to, value);
    Ok(())
}
