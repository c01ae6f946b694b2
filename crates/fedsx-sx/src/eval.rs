//! The machine that runs compiled code.
//!
//! It keeps its own stack of values and its own frames, so nothing in a program makes the native
//! stack grow: calls, `map` and its like, and `guard` all wait in frames, and [`budget::DEPTH`]
//! bounds those. A tail call takes the place of its caller. Every step pays its fuel first. Whether a
//! value is changed in place or copied depends on who else holds it; what is paid never does.

mod build;
mod step;
mod walk;

use std::sync::Arc;

use crate::budget::{self, Budget, Limits};
use crate::code::{Code as Program, Main, Routine};
use crate::data::{Function, List, Value};
use crate::error::{Code, EvalError, Fault, Raised};
use crate::eval::walk::{Next, Walk};
use crate::function::Callable;
use crate::primitives::{self, Arity, Calls, Work};

/// A routine that waits for a call to come back, or a walk over a list that waits for its next value.
enum Frame {
    Routine(Place),
    Walk(Box<Walk>),
}

/// Where a routine is.
#[derive(Clone, Copy)]
struct Place {
    routine: u32,
    /// The next step.
    next: u32,
    /// Where its registers begin on the stack.
    base: usize,
}

/// What a call comes to before anything waits for it.
enum Callee {
    /// A routine to enter, its arguments in place.
    Closure(Function),
    Done(Value),
    Walk(Box<Walk>),
}

/// A `guard` that is in force.
struct Handler {
    place: Place,
    /// The register for the error's value.
    to: u16,
    frames: usize,
}

pub(crate) struct Machine<'p> {
    code: &'p Arc<Program>,
    pub(crate) budget: Budget,
    stack: Vec<Value>,
    frames: Vec<Frame>,
    guards: Vec<Handler>,
    definitions: Vec<Option<Value>>,
    at: Place,
}

impl<'p> Machine<'p> {
    pub(crate) fn new(code: &'p Arc<Program>, limits: Limits) -> Self {
        Self {
            code,
            budget: Budget::new(limits),
            stack: Vec::with_capacity(64),
            frames: Vec::with_capacity(32),
            guards: Vec::new(),
            definitions: vec![None; code.definitions.len()],
            at: Place {
                routine: 0,
                next: 0,
                base: 0,
            },
        }
    }

    /// The source's value.
    pub(crate) fn value(&mut self) -> Result<Value, EvalError> {
        match self.code.main {
            Main::Expression(routine) => {
                self.start(routine);
                self.run()
            }
            Main::Function(routine) => {
                self.at.routine = routine;
                self.closure(routine).map_err(|fault| self.located(*fault))
            }
        }
    }

    /// What the source's value, a function, answers; arguments it has no parameter for are dropped.
    pub(crate) fn call(&mut self, mut arguments: Vec<Value>) -> Result<Value, EvalError> {
        let routine = match self.code.main {
            Main::Function(routine) => routine,
            Main::Expression(_) => {
                let value = self.value()?;
                match self.own_routine(&value) {
                    Some(routine) => {
                        self.stack.clear();
                        self.stack.push(value);
                        routine
                    }
                    None => {
                        let fault =
                            primitives::expected::<()>("a function as the source's value", &value);
                        return Err(self.located(*fault.expect_err("always a fault")));
                    }
                }
            }
        };
        let function = self.stack.pop();
        let wanted = &self.code.routines[routine as usize];
        if !wanted.rest {
            arguments.truncate(usize::from(wanted.parameters));
        }
        self.start(routine);
        let answer = self.receive(wanted, arguments);
        self.stack[wanted.own()] = function.unwrap_or_default();
        answer.map_err(|fault| self.located(*fault))?;
        self.run()
    }

    fn own_routine(&self, value: &Value) -> Option<u32> {
        match value {
            Value::Function(function) => match function.callable() {
                Callable::Closure(closure) if Arc::ptr_eq(&closure.code, self.code) => {
                    Some(closure.routine)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Puts the host's arguments where the routine looks for them.
    fn receive(&mut self, routine: &Routine, mut arguments: Vec<Value>) -> Raised<()> {
        let parameters = usize::from(routine.parameters);
        check_arity(routine, arguments.len())?;
        let rest = arguments.split_off(parameters);
        for (register, argument) in self.stack.iter_mut().zip(arguments) {
            *register = argument;
        }
        if routine.rest {
            self.budget.list(rest.len())?;
            self.stack[parameters] = Value::List(rest.into());
        }
        Ok(())
    }

    fn start(&mut self, routine: u32) {
        self.at = Place {
            routine,
            next: 0,
            base: 0,
        };
        self.reserve();
    }

    fn run(&mut self) -> Result<Value, EvalError> {
        loop {
            match self.steps() {
                Ok(value) => return Ok(value),
                Err(fault) => self.catch(*fault)?,
            }
        }
    }

    /// Goes on at the innermost guard, unless the error is none of its business.
    fn catch(&mut self, fault: Fault) -> Result<(), EvalError> {
        if fault.code.is_bound() {
            return Err(self.located(fault));
        }
        let Some(handler) = self.guards.pop() else {
            return Err(self.located(fault));
        };
        let paid = self
            .budget
            .map(3)
            .and_then(|()| self.budget.text(fault.message.len()));
        paid.map_err(|fault| self.located(*fault))?;
        self.frames.truncate(handler.frames);
        self.at = handler.place;
        self.stack[handler.place.base + usize::from(handler.to)] = fault.into_value();
        Ok(())
    }

    pub(crate) fn located(&self, mut fault: Fault) -> EvalError {
        let spans = &self.code.routines[self.at.routine as usize].spans;
        let step = (self.at.next as usize).saturating_sub(1);
        fault.data = fault
            .data
            .filter(|data| data.weight() <= budget::RESULT_BYTES);
        EvalError::new(fault, spans.get(step).copied().unwrap_or_default())
    }

    /// Lets the present routine wait for a call.
    fn wait(&mut self) -> Raised<()> {
        self.push(Frame::Routine(self.at))
    }

    #[inline]
    fn push(&mut self, frame: Frame) -> Raised<()> {
        if self.frames.len() == budget::DEPTH {
            return Err(too_deep());
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Makes room for the registers of the present routine.
    fn reserve(&mut self) {
        let registers = self.code.routines[self.at.routine as usize].registers;
        self.extend(self.at.base + usize::from(registers));
    }

    fn extend(&mut self, length: usize) {
        if self.stack.len() < length {
            self.stack.resize(length, Value::Nil);
        }
    }

    /// Begins the routine whose arguments stand at `base` of the stack.
    fn begin(&mut self, routine: u32, base: usize) {
        self.at = Place {
            routine,
            next: 0,
            base,
        };
        self.reserve();
    }

    /// Calls the function that stands behind `count` arguments at `base`; the answer goes to `base`.
    fn call_value(&mut self, first: u16, count: u16) -> Raised<Option<Value>> {
        let base = self.at.base + usize::from(first);
        match self.prepare(base, usize::from(count))? {
            Callee::Closure(function) => {
                self.wait()?;
                self.begin_closure(function, base);
                Ok(None)
            }
            Callee::Done(answer) => {
                self.stack[base] = answer;
                Ok(None)
            }
            Callee::Walk(mut walk) => {
                self.wait()?;
                walk.base = base;
                self.follow(walk, None)
            }
        }
    }

    /// As `call_value`, in the place of the present routine: those who waited for it get the answer.
    /// Gives the evaluation's value if nobody did.
    fn tail_call_value(&mut self, first: u16, count: u16) -> Raised<Option<Value>> {
        let base = self.at.base + usize::from(first);
        match self.prepare(base, usize::from(count))? {
            Callee::Closure(function) => {
                if let Callable::Closure(closure) = function.callable() {
                    let own = self.code.routines[closure.routine as usize].own();
                    self.slide(base, own);
                }
                self.begin_closure(function, self.at.base);
                Ok(None)
            }
            Callee::Done(answer) => self.deliver(answer),
            Callee::Walk(mut walk) => {
                walk.base = self.at.base;
                self.follow(walk, None)
            }
        }
    }

    /// Gets a call as far as possible without entering a routine.
    fn prepare(&mut self, base: usize, mut count: usize) -> Raised<Callee> {
        let value = std::mem::take(&mut self.stack[base + count]);
        let Value::Function(mut function) = value else {
            return primitives::expected("a function to call", &value);
        };
        loop {
            let answer = match function.callable() {
                Callable::Closure(closure) => {
                    if !Arc::ptr_eq(&closure.code, self.code) {
                        let message = "a function of another program can't be called";
                        return Err(Fault::new(Code::Type, message));
                    }
                    self.collect(closure.routine, base, count)?;
                    return Ok(Callee::Closure(function));
                }
                Callable::Host(host) => {
                    check(host.name(), host.arity(), count)?;
                    host.call(&mut self.budget, &self.stack[base..base + count])?
                }
                Callable::Primitive(primitive) => {
                    check(primitive.name, primitive.arity, count)?;
                    let arguments = &mut self.stack[base..base + count];
                    match primitive.work {
                        Work::Plain(work) => work(&mut self.budget, arguments)?,
                        Work::Calls(Calls::Apply) => {
                            (function, count) = self.spread(base, count)?;
                            continue;
                        }
                        Work::Calls(calls) => {
                            let walk = Walk::new(calls, arguments, self.at, &mut self.budget)?;
                            return Ok(Callee::Walk(Box::new(walk)));
                        }
                    }
                }
            };
            return Budget::admit(answer).map(Callee::Done);
        }
    }

    fn begin_closure(&mut self, function: Function, base: usize) {
        if let Callable::Closure(closure) = function.callable() {
            let routine = closure.routine;
            self.begin(routine, base);
            let own = self.code.routines[routine as usize].own();
            self.stack[base + own] = Value::Function(function);
        }
    }

    /// Checks the number of arguments, and makes a list of those beyond the parameters.
    fn collect(&mut self, routine: u32, base: usize, count: usize) -> Raised<()> {
        let routine = &self.code.routines[routine as usize];
        check_arity(routine, count)?;
        if routine.rest {
            let first = base + usize::from(routine.parameters);
            self.budget.list(base + count - first)?;
            let rest: List = self.stack[first..base + count]
                .iter_mut()
                .map(std::mem::take)
                .collect();
            self.extend(first + 1);
            self.stack[first] = Budget::admit(Value::List(rest))?;
        }
        Ok(())
    }

    /// Moves arguments to where the present routine's own are.
    fn slide(&mut self, from: usize, count: usize) {
        for argument in 0..count {
            let value = std::mem::take(&mut self.stack[from + argument]);
            self.stack[self.at.base + argument] = value;
        }
    }

    /// The function and arguments of an `apply`: those named and those of the list.
    fn spread(&mut self, base: usize, count: usize) -> Raised<(Function, usize)> {
        let function = match std::mem::take(&mut self.stack[base]) {
            Value::Function(function) => function,
            other => return primitives::expected("a function to apply", &other),
        };
        let last = primitives::list(&mut self.stack[base + count - 1])?;
        self.budget.list(last.len())?;
        let named = count - 2;
        self.extend(base + named + last.len() + 1);
        self.stack[base..base + count - 1].rotate_left(1);
        for (register, item) in self.stack[base + named..].iter_mut().zip(&last) {
            *register = item.clone();
        }
        Ok((function, named + last.len()))
    }

    /// Ends the present routine, whose value is in its first register, where its caller looks for it.
    #[inline]
    fn finish(&mut self) -> Raised<Option<Value>> {
        if let Some(Frame::Routine(place)) = self.frames.last() {
            self.at = *place;
            self.frames.pop();
            return Ok(None);
        }
        let value = std::mem::take(&mut self.stack[self.at.base]);
        self.deliver(value)
    }

    /// Gives a call's value to whoever waits for it; if nobody does, it is the evaluation's.
    fn deliver(&mut self, value: Value) -> Raised<Option<Value>> {
        match self.frames.pop() {
            None => Ok(Some(value)),
            Some(Frame::Routine(place)) => {
                self.stack[self.at.base] = value;
                self.at = place;
                Ok(None)
            }
            Some(Frame::Walk(walk)) => self.follow(walk, Some(value)),
        }
    }

    /// Takes a walk as far as it gets before a call that must be waited for.
    fn follow(&mut self, mut walk: Box<Walk>, mut answer: Option<Value>) -> Raised<Option<Value>> {
        loop {
            self.at = walk.place;
            match walk.next(answer.take(), &mut self.budget)? {
                Next::Done(value) => {
                    self.at.base = walk.base;
                    let value = Budget::admit(value)?;
                    match self.frames.pop() {
                        None => return Ok(Some(value)),
                        Some(Frame::Routine(place)) => {
                            self.stack[walk.base] = value;
                            self.at = place;
                            return Ok(None);
                        }
                        Some(Frame::Walk(outer)) => {
                            walk = outer;
                            answer = Some(value);
                        }
                    }
                }
                Next::Call(count) => {
                    self.budget.spend(1)?;
                    let base = walk.base;
                    self.extend(base + count + 1);
                    for (register, argument) in self.stack[base..].iter_mut().zip(walk.call()) {
                        *register = argument;
                    }
                    match self.prepare(base, count)? {
                        Callee::Done(value) => answer = Some(value),
                        Callee::Closure(function) => {
                            self.push(Frame::Walk(walk))?;
                            self.begin_closure(function, base);
                            return Ok(None);
                        }
                        Callee::Walk(mut inner) => {
                            self.push(Frame::Walk(walk))?;
                            inner.base = base;
                            walk = inner;
                        }
                    }
                }
            }
        }
    }
}

#[cold]
fn too_deep() -> Box<Fault> {
    let message = format!("more than {} calls wait for another", budget::DEPTH);
    Fault::new(Code::Depth, message)
}

fn check_arity(routine: &Routine, count: usize) -> Raised<()> {
    let parameters = usize::from(routine.parameters);
    let arity = if routine.rest {
        Arity::from(parameters)
    } else {
        Arity::exactly(parameters)
    };
    check(&routine.name, arity, count)
}

fn check(name: &str, arity: Arity, count: usize) -> Raised<()> {
    if arity.takes(count) {
        return Ok(());
    }
    let message = format!("`{name}` is given {count}; expected {arity}");
    Err(Fault::new(Code::Arity, message))
}
