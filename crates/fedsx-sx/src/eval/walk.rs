//! Walks: what `map` and its like do between the calls they make.
//!
//! A walk waits in a frame like any caller. Each call it makes costs a unit, and what it builds is
//! paid for as it grows.

use crate::budget::Budget;
use crate::data::{Function, List, Map, Str, Value};
use crate::error::Raised;
use crate::eval::Place;
use crate::primitives::{self, Calls};

pub(super) struct Walk {
    /// Who started it, for the place of its errors.
    pub(super) place: Place,
    /// Where on the stack its calls' arguments, and its value, go.
    pub(super) base: usize,
    function: Function,
    items: List,
    /// How many items have been shown to the function.
    shown: usize,
    /// The arguments of the next call.
    arguments: Vec<Value>,
    work: Work,
}

enum Work {
    Map(Vec<Value>),
    Filter(Vec<Value>),
    Reduce,
    Some,
    Every,
    SortBy(Vec<Value>),
    GroupBy(Vec<Value>),
    Update { map: Map, key: Str, done: bool },
    UpdateIn { root: Value, path: List, done: bool },
}

/// What a walk does next.
pub(super) enum Next {
    /// It calls its function with so many arguments.
    Call(usize),
    Done(Value),
}

impl Walk {
    /// A walk with the arguments of a call, of which there are as many as there must be.
    pub(super) fn new(
        calls: Calls,
        arguments: &mut [Value],
        place: Place,
        budget: &mut Budget,
    ) -> Raised<Self> {
        let mut walk = Self {
            place,
            base: 0,
            function: Function::clone(function(arguments, calls)?),
            items: List::default(),
            shown: 0,
            arguments: Vec::with_capacity(4),
            work: Work::Reduce,
        };
        walk.work = match calls {
            Calls::Update => {
                let map = primitives::dict(&mut arguments[0])?;
                let key = primitives::key(&arguments[1])?.clone();
                walk.arguments.push(primitives::lookup(budget, &map, &key)?);
                Work::Update {
                    map,
                    key,
                    done: false,
                }
            }
            Calls::UpdateIn => {
                let root = std::mem::take(&mut arguments[0]);
                let path = primitives::list(&mut arguments[1])?;
                walk.arguments.push(primitives::path(budget, &root, &path)?);
                Work::UpdateIn {
                    root,
                    path,
                    done: false,
                }
            }
            Calls::Reduce => {
                walk.arguments.push(std::mem::take(&mut arguments[1]));
                Work::Reduce
            }
            Calls::Map => Work::Map(Vec::new()),
            Calls::Filter => Work::Filter(Vec::new()),
            Calls::Some => Work::Some,
            Calls::Every => Work::Every,
            Calls::SortBy => Work::SortBy(Vec::new()),
            Calls::GroupBy => Work::GroupBy(Vec::new()),
            Calls::Apply => unreachable!("`apply` makes one call and waits for none"),
        };
        match calls {
            Calls::Update | Calls::UpdateIn => {
                let more = arguments[3..].iter_mut().map(std::mem::take);
                walk.arguments.extend(more);
            }
            Calls::Reduce => walk.items = primitives::list(&mut arguments[2])?,
            _ => walk.items = primitives::list(&mut arguments[1])?,
        }
        Ok(walk)
    }

    /// The arguments of the call that `next` asked for, and the function behind them.
    pub(super) fn call(&mut self) -> impl Iterator<Item = Value> {
        let function = Value::Function(self.function.clone());
        self.arguments.drain(..).chain([function])
    }

    /// Takes the answer of the last call, and says what is next.
    pub(super) fn next(&mut self, answer: Option<Value>, budget: &mut Budget) -> Raised<Next> {
        if let Some(answer) = answer
            && let Some(value) = self.accept(answer, budget)?
        {
            return Ok(Next::Done(value));
        }
        match &mut self.work {
            Work::Update { done, .. } | Work::UpdateIn { done, .. } => {
                *done = true;
                return Ok(Next::Call(self.arguments.len()));
            }
            _ => {}
        }
        match self.items.get(self.shown) {
            Some(item) => {
                self.shown += 1;
                self.arguments.push(item.clone());
                Ok(Next::Call(self.arguments.len()))
            }
            None => self.end(budget).map(Next::Done),
        }
    }

    /// Takes an answer; some end the walk.
    fn accept(&mut self, answer: Value, budget: &mut Budget) -> Raised<Option<Value>> {
        match &mut self.work {
            Work::Map(made) | Work::SortBy(made) | Work::GroupBy(made) => {
                budget.allocate(1)?;
                made.push(answer);
            }
            Work::Filter(kept) => {
                if primitives::truth(&answer)
                    && let Some(item) = self.items.get(self.shown - 1)
                {
                    budget.allocate(1)?;
                    kept.push(item.clone());
                }
            }
            Work::Reduce => self.arguments.push(answer),
            Work::Some if primitives::truth(&answer) => return Ok(Some(answer)),
            Work::Every if !primitives::truth(&answer) => return Ok(Some(Value::Bool(false))),
            Work::Some | Work::Every => {}
            Work::Update { map, key, .. } => {
                let mut map = std::mem::take(map);
                primitives::set(budget, &mut map, key, answer)?;
                return Ok(Some(Value::Map(map)));
            }
            Work::UpdateIn { root, path, .. } => {
                let root = std::mem::take(root);
                return primitives::put_in(budget, root, path, answer).map(Some);
            }
        }
        Ok(None)
    }

    /// The walk's value once every item has been shown.
    fn end(&mut self, budget: &mut Budget) -> Raised<Value> {
        let work = std::mem::replace(&mut self.work, Work::Reduce);
        Ok(match work {
            Work::Map(made) | Work::Filter(made) => {
                budget.allocate(1)?;
                Value::List(made.into())
            }
            Work::Reduce => self.arguments.pop().unwrap_or_default(),
            Work::Some => Value::Nil,
            Work::Every => Value::Bool(true),
            Work::SortBy(keys) => primitives::sort_by(budget, &self.items, &keys)?,
            Work::GroupBy(keys) => primitives::group_by(budget, &self.items, &keys)?,
            Work::Update { .. } | Work::UpdateIn { .. } => {
                unreachable!("their one answer ends them")
            }
        })
    }
}

/// The function among the arguments.
fn function(arguments: &[Value], calls: Calls) -> Raised<&Function> {
    let at = match calls {
        Calls::Update | Calls::UpdateIn => 2,
        _ => 0,
    };
    match &arguments[at] {
        Value::Function(function) => Ok(function),
        other => primitives::expected("a function", other),
    }
}
