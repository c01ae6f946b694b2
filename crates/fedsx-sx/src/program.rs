//! A compiled source, ready to be evaluated any number of times, on any thread.

use std::fmt;
use std::sync::Arc;

use crate::budget::{Limits, RESULT_BYTES};
use crate::code::{Code as Compiled, Main};
use crate::compile::compile;
use crate::data::Value;
use crate::error::{Code, CompileError, EvalError, Fault, Raised};
use crate::eval::Machine;
use crate::host::Host;

/// A compiled source. A clone costs a reference count.
///
/// ```
/// use fedsx_sx::budget::Limits;
/// use fedsx_sx::data::Value;
/// use fedsx_sx::host::Host;
/// use fedsx_sx::program::Program;
///
/// let program = Program::compile("(fn (n) (* 2 n))", &Host::new())?;
/// let outcome = program.call([Value::Int(21)], Limits::default());
/// assert_eq!(outcome.result, Ok(Value::Int(42)));
/// # Ok::<(), fedsx_sx::error::CompileError>(())
/// ```
#[derive(Clone)]
pub struct Program(Arc<Compiled>);

/// What an evaluation came to. Both depend on the program and its arguments alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The value, or why there is none.
    pub result: Result<Value, EvalError>,
    /// The fuel it took, units; all of it where it ran out.
    pub fuel_used: u64,
}

impl Program {
    /// Compiles a source: definitions, if any, and one expression.
    ///
    /// # Errors
    /// A source that doesn't read, or means nothing.
    pub fn compile(source: &str, host: &Host) -> Result<Self, CompileError> {
        compile(source, host).map(|code| Self(Arc::new(code)))
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// How many parameters it takes, if it is plainly a function; with `&rest`, those before it.
    #[must_use]
    pub fn parameters(&self) -> Option<usize> {
        match self.0.main {
            Main::Function(routine) => {
                let routine = &self.0.routines[routine as usize];
                Some(usize::from(routine.parameters))
            }
            Main::Expression(_) => None,
        }
    }

    /// Evaluates the source to its value.
    #[must_use]
    pub fn eval(&self, limits: Limits) -> Outcome {
        self.evaluate(limits, |machine| machine.value())
    }

    /// Evaluates the source to a function, and that on arguments: one evaluation in all. Arguments that
    /// the function has no parameters for are dropped; too few are an error.
    ///
    /// Values that are given away, rather than cloned, are changed in place where the program changes
    /// them; that costs less time, and the same fuel.
    #[must_use]
    pub fn call(&self, arguments: impl Into<Vec<Value>>, limits: Limits) -> Outcome {
        let arguments = arguments.into();
        self.evaluate(limits, |machine| machine.call(arguments))
    }

    fn evaluate(
        &self,
        limits: Limits,
        run: impl FnOnce(&mut Machine<'_>) -> Result<Value, EvalError>,
    ) -> Outcome {
        let mut machine = Machine::new(&self.0, limits);
        let result = run(&mut machine).and_then(|value| match weigh(&value) {
            Ok(()) => Ok(value),
            Err(fault) => Err(machine.located(*fault)),
        });
        Outcome {
            result,
            fuel_used: limits.fuel - machine.budget.fuel,
        }
    }
}

fn weigh(value: &Value) -> Raised<()> {
    if value.weight() <= RESULT_BYTES {
        return Ok(());
    }
    let message = format!(
        "the result weighs {} bytes, of which {RESULT_BYTES} are allowed",
        value.weight()
    );
    Err(Fault::new(Code::Result, message))
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source()).finish()
    }
}
