//! Functions that the program's host adds to the standard ones, `cid` for one.
//!
//! A host function must be as pure as a primitive: the same answer and the same cost for the same
//! arguments on every machine. It pays for its work from the [`Budget`] it is given, before doing it.

use std::fmt;
use std::sync::Arc;

use crate::budget::Budget;
use crate::data::Value;
use crate::error::Raised;
use crate::primitives::Arity;

type Call = dyn Fn(&mut Budget, &[Value]) -> Raised<Value> + Send + Sync;

/// One function of the host.
pub struct HostFunction {
    name: Box<str>,
    parameters: usize,
    call: Box<Call>,
}

impl HostFunction {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn arity(&self) -> Arity {
        Arity::exactly(self.parameters)
    }

    pub(crate) const fn parameters(&self) -> usize {
        self.parameters
    }

    pub(crate) fn call(&self, budget: &mut Budget, arguments: &[Value]) -> Raised<Value> {
        (self.call)(budget, arguments)
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The functions of a host, by name; one stands before the primitive of its name.
///
/// ```
/// use fedsx_sx::data::Value;
/// use fedsx_sx::error::Fault;
/// use fedsx_sx::host::Host;
///
/// let host = Host::new().with("shout", 1, |budget, arguments| match &arguments[0] {
///     Value::Str(text) => {
///         budget.text(text.len() + 1)?;
///         Ok(Value::from(format!("{text}!")))
///     }
///     _ => Err(Fault::host("`shout` takes a string")),
/// });
/// # let _ = host;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Host(Vec<Arc<HostFunction>>);

impl Host {
    /// A host that adds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function of so many parameters, which is always called with as many arguments.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        parameters: usize,
        call: impl Fn(&mut Budget, &[Value]) -> Raised<Value> + Send + Sync + 'static,
    ) -> Self {
        self.0.push(Arc::new(HostFunction {
            name: name.into(),
            parameters,
            call: Box::new(call),
        }));
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<HostFunction>> {
        self.0.iter().rev().find(|function| function.name() == name)
    }
}
