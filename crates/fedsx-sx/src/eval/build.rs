//! The steps outside the loop: those that make values, call primitives, or set a guard.

use crate::budget::Budget;
use crate::code::{Capture, Op, Register};
use crate::compare;
use crate::data::{Function, List, Map, Value};
use crate::error::{Code, Fault, Raised};
use crate::eval::step::{MULTIPLY, arithmetic, holds};
use crate::eval::{Handler, Machine, Place};
use crate::function::{Callable, Closure};
use crate::primitives::{self, Work};

impl Machine<'_> {
    /// Takes a step; the number of the one after it.
    pub(super) fn build(&mut self, op: Op, next: u32) -> Raised<u32> {
        let code = self.code;
        match op {
            Op::Closure { to, routine } => {
                let closure = self.closure(routine)?;
                self.set(to, closure);
            }
            Op::List { to, first, count } => {
                self.budget.list(usize::from(count))?;
                let items: List = self
                    .window(first, count)
                    .iter_mut()
                    .map(std::mem::take)
                    .collect();
                self.set(to, Budget::admit(Value::List(items))?);
            }
            Op::Map { to, first, shape } => {
                let map = self.literal(first, shape)?;
                self.set(to, map);
            }
            Op::BranchConstant {
                equal,
                a,
                index,
                at,
            } => {
                let a = &self.stack[self.at.base + usize::from(a)];
                let b = &code.constants[index as usize];
                if compare::equal(&mut self.budget, a, b)? == equal {
                    return Ok(at);
                }
            }
            Op::Compare { how, to, a, b } => {
                let regs = &self.stack[self.at.base..];
                let (a, b) = (&regs[usize::from(a)], &regs[usize::from(b)]);
                let truth = holds(&mut self.budget, how, a, b)?;
                self.set(to, Value::Bool(truth));
            }
            Op::Multiply { to, a, b } => {
                let regs = &mut self.stack[self.at.base..];
                arithmetic(regs, to, a, b, MULTIPLY)?;
            }
            Op::Member { to, of, key } => {
                let of = &self.stack[self.at.base + usize::from(of)];
                let key = &code.constants[key as usize];
                let value = primitives::part(&mut self.budget, of, key)?
                    .cloned()
                    .unwrap_or_default();
                self.set(to, value);
            }
            Op::Primitive {
                to,
                primitive,
                first,
                count,
            } => {
                let value = self.primitive(primitive, first, count)?;
                self.set(to, value);
            }
            Op::Host {
                to,
                function,
                first,
            } => {
                let value = self.host(function, first)?;
                self.set(to, value);
            }
            other => self.settle(other)?,
        }
        Ok(next)
    }

    /// The steps about definitions and guards.
    fn settle(&mut self, op: Op) -> Raised<()> {
        match op {
            Op::Definition { to, index } => {
                let value = self.definitions[index as usize].clone();
                let value =
                    value.ok_or_else(|| undefined(&self.code.definitions[index as usize]))?;
                self.set(to, value);
            }
            Op::Define { index, from } => {
                self.definitions[index as usize] = Some(self.register(from).clone());
            }
            Op::Guard { to, at } => self.guards.push(Handler {
                place: Place {
                    next: at,
                    ..self.at
                },
                to,
                frames: self.frames.len(),
            }),
            Op::Unguard => {
                self.guards.pop();
            }
            other => unreachable!("{other:?} is a step of the loop"),
        }
        Ok(())
    }

    fn register(&self, register: Register) -> &Value {
        &self.stack[self.at.base + usize::from(register)]
    }

    fn set(&mut self, register: Register, value: Value) {
        self.stack[self.at.base + usize::from(register)] = value;
    }

    fn window(&mut self, first: Register, count: u16) -> &mut [Value] {
        let base = self.at.base + usize::from(first);
        &mut self.stack[base..base + usize::from(count)]
    }

    fn primitive(&mut self, primitive: u16, first: Register, count: u16) -> Raised<Value> {
        let Work::Plain(work) = self.code.primitives[usize::from(primitive)].work else {
            unreachable!("what calls functions is called as one");
        };
        let base = self.at.base + usize::from(first);
        let arguments = &mut self.stack[base..base + usize::from(count)];
        Budget::admit(work(&mut self.budget, arguments)?)
    }

    fn host(&mut self, function: u16, first: Register) -> Raised<Value> {
        let function = &self.code.host[usize::from(function)];
        let base = self.at.base + usize::from(first);
        let arguments = &self.stack[base..base + function.parameters()];
        Budget::admit(function.call(&mut self.budget, arguments)?)
    }

    fn literal(&mut self, first: Register, shape: u32) -> Raised<Value> {
        let shape = &self.code.shapes[shape as usize];
        self.budget.map(shape.len())?;
        let base = self.at.base + usize::from(first);
        let members = shape.iter().map(|(key, at)| {
            let value = std::mem::take(&mut self.stack[base + usize::from(*at)]);
            (key.clone(), value)
        });
        let map = Map::from_sorted(members.collect());
        Budget::admit(Value::Map(map))
    }

    /// A closure of a routine over what the present one holds.
    pub(super) fn closure(&mut self, routine: u32) -> Raised<Value> {
        let captures = &self.code.routines[routine as usize].captures;
        self.budget.allocate(1 + captures.len())?;
        let own = self.code.routines[self.at.routine as usize].own();
        let own = self.at.base + own;
        let captured = captures.iter().map(|capture| match capture {
            Capture::Register(register) => self.register(*register).clone(),
            Capture::Captured(index) => super::step::captured(&self.stack[own], *index),
        });
        let captured = captured.collect();
        Ok(Value::Function(Function::new(Callable::Closure(Closure {
            code: std::sync::Arc::clone(self.code),
            routine,
            captured,
        }))))
    }
}

#[cold]
fn undefined(name: &str) -> Box<Fault> {
    Fault::new(
        Code::Undefined,
        format!("`{name}` is used before it has a value"),
    )
}
