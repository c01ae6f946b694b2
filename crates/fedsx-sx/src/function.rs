//! Functions as values: closures of a program, primitives, functions of the host.
//!
//! A function is no data: it equals itself alone, can't be compared by programs, and goes no further
//! than the evaluation it belongs to, except to people's eyes. Closures hold what they capture by
//! value, and a value made before them; so there are no cycles, and nothing leaks.

use std::fmt;
use std::sync::Arc;

use crate::code::Code;
use crate::data::List;
use crate::host::HostFunction;
use crate::primitives::Primitive;

/// What can be called.
#[derive(Clone)]
pub struct Function(Arc<Callable>);

pub(crate) enum Callable {
    Closure(Closure),
    Primitive(&'static Primitive),
    Host(Arc<HostFunction>),
}

/// A function of a program with what it captured.
pub(crate) struct Closure {
    pub(crate) code: Arc<Code>,
    /// Which of the code's routines.
    pub(crate) routine: u32,
    /// A list, so that its end is as safe as a list's.
    pub(crate) captured: List,
}

impl Function {
    pub(crate) fn new(callable: Callable) -> Self {
        Self(Arc::new(callable))
    }

    pub(crate) fn callable(&self) -> &Callable {
        &self.0
    }

    /// Its name, `fn` if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        match &*self.0 {
            Callable::Closure(closure) => closure.code.routine_name(closure.routine),
            Callable::Primitive(primitive) => primitive.name,
            Callable::Host(function) => function.name(),
        }
    }

    /// What it alone still holds.
    pub(crate) fn into_captured(self) -> Option<List> {
        match Arc::into_inner(self.0)? {
            Callable::Closure(closure) => Some(closure.captured),
            _ => None,
        }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#<fn {}>", self.name())
    }
}
