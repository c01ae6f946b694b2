//! Copies whose source is never read again become moves, so that what nobody else holds can be
//! changed in place.
//!
//! Jumps lead forward only, so one walk from the last step to the first knows of each register whether
//! it is read on any way from there. What a program comes to, and costs, is the same either way. A guard
//! may leave for its handler at any step within, so what the handler reads counts as read all the way.

use std::ops::Range;

use crate::code::{Capture, Code, Op, Register, Routine, Step};

/// Routines of more steps times registers than this are left as they are.
const SIZE_MAX: usize = 1 << 22;

/// Turns copies into moves in a routine that will be one of the code's.
pub(super) fn move_last_uses(code: &Code, routine: &mut Routine) {
    let count = routine.steps.len();
    let words = usize::from(routine.registers).div_ceil(64);
    if usize::from(routine.registers).saturating_mul(count) > SIZE_MAX {
        return;
    }
    let guards = guards(&routine.steps);
    // What is read from each step on.
    let mut live = vec![0_u64; words * (count + 1)];
    for at in (0..count).rev() {
        let mut now = Live(vec![0; words]);
        let op = routine.steps[at].op;
        let within = guards.iter().filter(|guard| guard.contains(&at));
        let ways = successors(op, at).chain(within.map(|guard| guard.end));
        for way in ways {
            now.join(&live[way * words..(way + 1) * words]);
        }
        if let Op::Copy { to, from } = op
            && !now.has(from)
        {
            routine.steps[at].op = Op::Move { to, from };
        }
        now.read_by(op, code, routine);
        live[at * words..(at + 1) * words].copy_from_slice(&now.0);
    }
}

/// Of each guard, the steps from it up to its handler.
fn guards(steps: &[Step]) -> Vec<Range<usize>> {
    let guard = |(at, step): (usize, &Step)| match step.op {
        Op::Guard { at: handler, .. } => Some(at..handler as usize),
        _ => None,
    };
    steps.iter().enumerate().filter_map(guard).collect()
}

/// The steps that may follow one.
fn successors(op: Op, at: usize) -> impl Iterator<Item = usize> {
    let (next, jump) = match op {
        Op::Jump { at } => (None, Some(at)),
        Op::JumpIf { at: there, .. }
        | Op::JumpUnless { at: there, .. }
        | Op::Branch { at: there, .. }
        | Op::BranchInteger { at: there, .. }
        | Op::BranchConstant { at: there, .. } => (Some(at + 1), Some(there)),
        Op::Return { .. } | Op::TailCall { .. } | Op::TailCallRoutine { .. } => (None, None),
        _ => (Some(at + 1), None),
    };
    next.into_iter().chain(jump.map(|there| there as usize))
}

/// The registers that are read further on. One that is written first is kept too: it does no harm.
struct Live(Vec<u64>);

impl Live {
    fn join(&mut self, other: &[u64]) {
        for (word, other) in self.0.iter_mut().zip(other) {
            *word |= other;
        }
    }

    fn has(&self, register: Register) -> bool {
        self.0[usize::from(register / 64)] >> (register % 64) & 1 == 1
    }

    fn read(&mut self, register: Register) {
        self.0[usize::from(register / 64)] |= 1 << (register % 64);
    }

    fn read_row(&mut self, first: Register, count: usize) {
        for register in (first..).take(count) {
            self.read(register);
        }
    }

    fn read_by(&mut self, op: Op, code: &Code, routine: &Routine) {
        let own = u16::try_from(routine.own()).unwrap_or(Register::MAX);
        match op {
            Op::Copy { from, .. } | Op::Move { from, .. } => self.read(from),
            Op::Define { from, .. } | Op::Return { from } => self.read(from),
            Op::Captured { .. } => self.read(own),
            Op::Closure { routine, .. } => {
                for capture in &code.routines[routine as usize].captures {
                    match capture {
                        Capture::Register(register) => self.read(*register),
                        Capture::Captured(_) => self.read(own),
                    }
                }
            }
            Op::List { first, count, .. } | Op::Primitive { first, count, .. } => {
                self.read_row(first, count.into());
            }
            Op::Map { first, shape, .. } => self.read_row(first, code.shapes[shape as usize].len()),
            Op::Host {
                first, function, ..
            } => {
                self.read_row(first, code.host[usize::from(function)].parameters());
            }
            Op::Call { first, count } | Op::TailCall { first, count } => {
                self.read_row(first, usize::from(count) + 1);
            }
            Op::CallRoutine { first, count, .. } | Op::TailCallRoutine { first, count, .. } => {
                self.read_row(first, count.into());
            }
            Op::JumpIf { value, .. } | Op::JumpUnless { value, .. } => self.read(value),
            Op::BranchInteger { a, .. } | Op::BranchConstant { a, .. } => self.read(a),
            Op::AddInteger { a, .. } | Op::SubtractInteger { a, .. } => self.read(a),
            Op::Member { of, .. } => self.read(of),
            Op::Branch { a, b, .. }
            | Op::Compare { a, b, .. }
            | Op::Add { a, b, .. }
            | Op::Subtract { a, b, .. }
            | Op::Multiply { a, b, .. } => {
                self.read(a);
                self.read(b);
            }
            Op::Nothing
            | Op::Constant { .. }
            | Op::Integer { .. }
            | Op::Definition { .. }
            | Op::Jump { .. }
            | Op::Guard { .. }
            | Op::Unguard => {}
        }
    }
}
