//! A routine while it is written: its names, registers, steps, and the fuel not yet put on a step.

use crate::code::{Capture, Op, REGISTERS_MAX, Register, Routine, Step};
use crate::compile::{Compiled, index, small, wrong};
use crate::data::Str;
use crate::read::Span;

/// What becomes of a value.
#[derive(Clone, Copy)]
pub(super) enum Want {
    /// It goes into a register.
    Into(Register),
    /// It is the function's own value: calls need not come back.
    Tail,
}

/// A function's parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Signature {
    pub(super) names: Vec<Str>,
    pub(super) rest: Option<Str>,
}

pub(super) struct Draft {
    name: Str,
    signature: Signature,
    /// Bound names, the innermost last.
    names: Vec<(Str, Register)>,
    captures: Vec<(Str, Capture)>,
    steps: Vec<Step>,
    spans: Vec<Span>,
    /// The first register that is free.
    next: usize,
    /// How many registers were in use at once.
    most: usize,
    /// Whether it is the routine of the source's own expressions.
    pub(super) top: bool,
    /// Fuel of forms whose first step is still to come.
    owed: u32,
}

/// What to return to when names and registers of a form are done with.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    names: usize,
    next: usize,
}

impl Draft {
    pub(super) fn new(name: Str, signature: Signature, span: Span) -> Compiled<Self> {
        let mut draft = Self {
            name,
            signature: Signature::default(),
            names: Vec::new(),
            captures: Vec::new(),
            steps: Vec::new(),
            spans: Vec::new(),
            next: 0,
            most: 0,
            top: false,
            owed: 0,
        };
        for name in signature.names.iter().chain(&signature.rest) {
            let register = draft.register(span)?;
            draft.bind(name.clone(), register);
        }
        // The function itself, should it capture anything.
        draft.register(span)?;
        draft.signature = signature;
        Ok(draft)
    }

    /// Of the source's own expressions.
    pub(super) fn top(span: Span) -> Compiled<Self> {
        let mut draft = Self::new("top".into(), Signature::default(), span)?;
        draft.top = true;
        Ok(draft)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            names: self.names.len(),
            next: self.next,
        }
    }

    pub(super) fn release(&mut self, mark: Mark) {
        self.names.truncate(mark.names);
        self.next = mark.next;
    }

    /// A free register, taken until a `release`.
    pub(super) fn register(&mut self, span: Span) -> Compiled<Register> {
        if self.next == REGISTERS_MAX {
            let what = format!("more than {REGISTERS_MAX} values at once in one function");
            return wrong(
                span,
                what,
                "fewer, or a function of its own for some of them",
            );
        }
        self.next += 1;
        self.most = self.most.max(self.next);
        Ok(small(self.next - 1))
    }

    /// Whether `register` is the last one taken, so that what is computed next may begin in it.
    pub(super) fn is_last(&self, register: Register) -> bool {
        usize::from(register) + 1 == self.next
    }

    /// Whether `register` is taken.
    pub(super) fn has(&self, register: Register) -> bool {
        usize::from(register) < self.next
    }

    pub(super) fn bind(&mut self, name: Str, register: Register) {
        self.names.push((name, register));
    }

    pub(super) fn find(&self, name: &Str) -> Option<Capture> {
        let mut bound = self.names.iter().rev();
        if let Some((_, register)) = bound.find(|(have, _)| have == name) {
            return Some(Capture::Register(*register));
        }
        let at = self.captures.iter().position(|(have, _)| have == name)?;
        Some(Capture::Captured(small(at)))
    }

    /// Captures a value that the function around this one finds at `outer`.
    pub(super) fn capture(&mut self, name: &Str, outer: Capture) -> u16 {
        self.captures.push((name.clone(), outer));
        small(self.captures.len() - 1)
    }

    /// Adds to the fuel of the next step.
    pub(super) fn owe(&mut self, fuel: u32) {
        self.owed += fuel;
    }

    pub(super) fn emit(&mut self, op: Op, span: Span) {
        let fuel = std::mem::take(&mut self.owed);
        self.steps.push(Step { op, fuel });
        self.spans.push(span);
    }

    /// Emits a jump whose end is set by `land`.
    pub(super) fn jump(&mut self, op: Op, span: Span) -> usize {
        self.emit(op, span);
        self.steps.len() - 1
    }

    /// Lets jumps end here.
    pub(super) fn land(&mut self, jumps: &[usize], span: Span) {
        if self.owed > 0 {
            // What is owed on the way here is not owed by who jumps.
            self.emit(Op::Nothing, span);
        }
        let here = index(self.steps.len());
        for jump in jumps {
            match &mut self.steps[*jump].op {
                Op::Jump { at }
                | Op::JumpIf { at, .. }
                | Op::JumpUnless { at, .. }
                | Op::Branch { at, .. }
                | Op::BranchInteger { at, .. }
                | Op::BranchConstant { at, .. }
                | Op::Guard { at, .. } => *at = here,
                other => unreachable!("{other:?} doesn't jump"),
            }
        }
    }

    pub(super) fn finish(self) -> Routine {
        Routine {
            name: self.name,
            parameters: small(self.signature.names.len()),
            rest: self.signature.rest.is_some(),
            registers: small(self.most),
            captures: self.captures.into_iter().map(|(_, from)| from).collect(),
            steps: self.steps.into(),
            spans: self.spans.into(),
        }
    }
}
