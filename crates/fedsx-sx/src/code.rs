//! What a source compiles to: routines of steps for a register machine.
//!
//! A routine is a function's body. Its registers are a window on the machine's stack: parameters
//! first (a `&rest` list last among them), then the function itself if it captures anything, then
//! names bound within and what is on its way. A call's arguments stand in the caller's next free
//! registers, which become the callee's first ones; the result comes back in their place. Names are
//! gone: registers, captured values, definitions and constants are all reached by number.
//!
//! Each step carries the fuel of the forms it stands for, so that the cost of a program doesn't
//! depend on which steps the compiler chose. Jumps lead forward only: what repeats is a call.

use std::sync::Arc;

use crate::data::{Str, Value};
use crate::host::HostFunction;
use crate::primitives::Primitive;
use crate::read::Span;

/// A register of the running routine.
pub(crate) type Register = u16;

/// How many registers a routine may use, which bounds the machine's stack.
pub(crate) const REGISTERS_MAX: usize = 1_024;

/// A compiled source.
pub(crate) struct Code {
    pub(crate) source: Arc<str>,
    pub(crate) routines: Vec<Routine>,
    pub(crate) constants: Vec<Value>,
    pub(crate) primitives: Vec<&'static Primitive>,
    pub(crate) host: Vec<Arc<HostFunction>>,
    /// Of map literals: the keys in order, each with its value's place among those written.
    pub(crate) shapes: Vec<Box<[(Str, u16)]>>,
    /// Names of definitions that are values.
    pub(crate) definitions: Vec<Str>,
    pub(crate) main: Main,
}

/// Where an evaluation begins.
#[derive(Clone, Copy)]
pub(crate) enum Main {
    /// The source is a function that needs nothing to be evaluated first.
    Function(u32),
    /// The routine that gives the source's value.
    Expression(u32),
}

impl Code {
    pub(crate) fn routine_name(&self, routine: u32) -> &str {
        &self.routines[routine as usize].name
    }
}

/// A function's body.
pub(crate) struct Routine {
    pub(crate) name: Str,
    /// How many parameters, the rest list not among them.
    pub(crate) parameters: u16,
    pub(crate) rest: bool,
    pub(crate) registers: u16,
    /// What a closure of it takes from the routine that makes it.
    pub(crate) captures: Box<[Capture]>,
    pub(crate) steps: Box<[Step]>,
    /// The form each step is of.
    pub(crate) spans: Box<[Span]>,
}

impl Routine {
    /// The register that holds the function itself.
    pub(crate) const fn own(&self) -> usize {
        self.parameters as usize + self.rest as usize
    }
}

/// A value that a closure captures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capture {
    /// Of a register of the routine that makes the closure.
    Register(Register),
    /// Captured by that routine itself.
    Captured(u16),
}

/// One step and its fuel.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) fuel: u32,
}

/// How two values compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    Different,
}

impl Comparison {
    /// What holds when this doesn't; there is no number that is neither.
    pub(crate) const fn opposite(self) -> Self {
        match self {
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::Greater,
            Self::Greater => Self::AtMost,
            Self::AtLeast => Self::Less,
            Self::Equal => Self::Different,
            Self::Different => Self::Equal,
        }
    }
}

/// What a step does. `to` is where its value goes, `at` the step a jump leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Costs its fuel.
    Nothing,
    Constant {
        to: Register,
        index: u32,
    },
    Integer {
        to: Register,
        value: i32,
    },
    Copy {
        to: Register,
        from: Register,
    },
    /// A copy whose source isn't looked at again.
    Move {
        to: Register,
        from: Register,
    },
    Captured {
        to: Register,
        index: u16,
    },
    Definition {
        to: Register,
        index: u32,
    },
    Define {
        index: u32,
        from: Register,
    },
    Closure {
        to: Register,
        routine: u32,
    },
    List {
        to: Register,
        first: Register,
        count: u16,
    },
    Map {
        to: Register,
        first: Register,
        shape: u32,
    },

    Jump {
        at: u32,
    },
    JumpIf {
        value: Register,
        at: u32,
    },
    JumpUnless {
        value: Register,
        at: u32,
    },
    /// Jumps if the comparison holds.
    Branch {
        how: Comparison,
        a: Register,
        b: Register,
        at: u32,
    },
    BranchInteger {
        how: Comparison,
        a: Register,
        b: i32,
        at: u32,
    },
    /// Jumps if the register's value equals the constant, or if not.
    BranchConstant {
        equal: bool,
        a: Register,
        index: u32,
        at: u32,
    },

    Compare {
        how: Comparison,
        to: Register,
        a: Register,
        b: Register,
    },
    Add {
        to: Register,
        a: Register,
        b: Register,
    },
    Subtract {
        to: Register,
        a: Register,
        b: Register,
    },
    Multiply {
        to: Register,
        a: Register,
        b: Register,
    },
    AddInteger {
        to: Register,
        a: Register,
        b: i32,
    },
    SubtractInteger {
        to: Register,
        a: Register,
        b: i32,
    },
    /// `get` with a key that is a constant.
    Member {
        to: Register,
        of: Register,
        key: u32,
    },

    Primitive {
        to: Register,
        primitive: u16,
        first: Register,
        count: u16,
    },
    Host {
        to: Register,
        function: u16,
        first: Register,
    },
    /// Calls the function that stands behind its arguments.
    Call {
        first: Register,
        count: u16,
    },
    CallRoutine {
        first: Register,
        count: u16,
        routine: u32,
    },
    TailCall {
        first: Register,
        count: u16,
    },
    TailCallRoutine {
        first: Register,
        count: u16,
        routine: u32,
    },
    Return {
        from: Register,
    },

    /// Until the next `Unguard`, errors lead to `at` with the error's value in `to`.
    Guard {
        to: Register,
        at: u32,
    },
    Unguard,
}
