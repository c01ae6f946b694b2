//! Forms to code: names resolved to registers, captured values, definitions and primitives.
//!
//! One pass over the forms, as deep as the reader lets them nest. What can be known to be wrong
//! without running is refused here, with its place: unknown names, misshapen special forms, calls of
//! known functions with the wrong number of arguments, whatever stands twice. Deliberately absent:
//! rearranging what is evaluated. Fuel is that of the forms, in the order in which they are evaluated.

mod call;
mod clause;
mod data;
mod draft;
mod last_use;
mod special;
mod test;
mod top;

use std::sync::Arc;

use crate::budget::SOURCE_BYTES;
use crate::code::{Capture, Code, Main, Op, Register};
use crate::compile::draft::{Draft, Want};
use crate::compile::special::Special;
use crate::compile::top::{Definition, Meaning};
use crate::data::{Function, Str, Value};
use crate::error::CompileError;
use crate::function::Callable;
use crate::host::Host;
use crate::primitives::{self, Primitive};
use crate::read::{self, Form, FormKind, Span};

pub(crate) use crate::compile::top::defined_name;

/// The error is boxed because the stack that forms nest on would be made of it.
type Compiled<T> = Result<T, Box<CompileError>>;

/// Compiles a source.
pub(crate) fn compile(source: &str, host: &Host) -> Result<Code, CompileError> {
    if source.len() > SOURCE_BYTES {
        return Err(CompileError::Length {
            bytes: source.len(),
            max_bytes: SOURCE_BYTES,
        });
    }
    let forms = read::read_all(source, read::DEPTH)?;
    let mut compiler = Compiler {
        host,
        code: Code {
            source: Arc::from(source),
            routines: Vec::new(),
            constants: Vec::new(),
            primitives: Vec::new(),
            host: Vec::new(),
            shapes: Vec::new(),
            definitions: Vec::new(),
            main: Main::Expression(0),
        },
        definitions: Vec::new(),
        open: Vec::new(),
    };
    compiler.source(&forms).map_err(|error| *error)?;
    Ok(compiler.code)
}

struct Compiler<'a> {
    host: &'a Host,
    code: Code,
    definitions: Vec<Definition<'a>>,
    /// The functions around the present place, the innermost last.
    open: Vec<Draft>,
}

/// What a name stands for.
enum Name {
    Register(Register),
    Captured(u16),
    Definition(usize),
    Primitive(&'static Primitive),
    Host(u16),
}

fn wrong<T>(span: Span, what: impl Into<String>, expected: impl Into<String>) -> Compiled<T> {
    Err(Box::new(CompileError::Meaning {
        what: what.into(),
        expected: expected.into(),
        span,
    }))
}

/// A name as an error shows it: cut, since it came from outside.
fn shown(name: &str) -> String {
    const SHOWN: usize = 40;
    match name.char_indices().nth(SHOWN) {
        None => format!("`{name}`"),
        Some((cut, _)) => format!("`{}…`", &name[..cut]),
    }
}

impl<'a> Compiler<'a> {
    fn draft(&mut self) -> &mut Draft {
        self.open.last_mut().expect("a function is being compiled")
    }

    /// Compiles a form whose value is wanted.
    fn expression(&mut self, form: &'a Form, want: Want) -> Compiled<()> {
        self.draft().owe(1);
        match &form.kind {
            FormKind::Symbol(name) => self.name(name, form.span, want),
            FormKind::List(parts) => self.list(form, parts, want),
            FormKind::Vector(parts) => self.vector(form, parts, want),
            FormKind::Map(parts) => self.map(form, parts, want),
            _ => self.literal(form, want),
        }
    }

    fn list(&mut self, form: &'a Form, parts: &'a [Form], want: Want) -> Compiled<()> {
        let Some((head, rest)) = parts.split_first() else {
            let expected = "a function or a special form first; the empty list is `[]`";
            return wrong(form.span, "`()` calls nothing", expected);
        };
        if let FormKind::Symbol(name) = &head.kind
            && let Some(special) = Special::named(name)
        {
            return self.special(special, form, rest, want);
        }
        self.call(form, head, rest, want)
    }

    /// Several forms, of which the last gives the value; none gives nil.
    fn body(&mut self, forms: &'a [Form], span: Span, want: Want) -> Compiled<()> {
        let Some((last, before)) = forms.split_last() else {
            return self.constant(Value::Nil, span, want);
        };
        for form in before {
            let mark = self.draft().mark();
            self.operand(form)?;
            self.draft().release(mark);
        }
        self.expression(last, want)
    }

    /// A register that holds the form's value: its own if the form names one, else a new one.
    fn operand(&mut self, form: &'a Form) -> Compiled<Register> {
        if let FormKind::Symbol(name) = &form.kind
            && let Some(Capture::Register(register)) = self.local(self.open.len() - 1, name)
        {
            self.draft().owe(1);
            return Ok(register);
        }
        let register = self.draft().register(form.span)?;
        self.expression(form, Want::Into(register))?;
        Ok(register)
    }

    /// Gives the value of one step to whoever wants it.
    fn step(&mut self, span: Span, want: Want, op: impl FnOnce(Register) -> Op) -> Compiled<()> {
        match want {
            Want::Into(to) => self.draft().emit(op(to), span),
            Want::Tail => {
                let mark = self.draft().mark();
                let to = self.draft().register(span)?;
                self.draft().emit(op(to), span);
                self.draft().emit(Op::Return { from: to }, span);
                self.draft().release(mark);
            }
        }
        Ok(())
    }

    fn constant(&mut self, value: Value, span: Span, want: Want) -> Compiled<()> {
        if let Value::Int(number) = value
            && let Ok(value) = i32::try_from(number)
        {
            return self.step(span, want, |to| Op::Integer { to, value });
        }
        let index = self.constant_index(value);
        self.step(span, want, |to| Op::Constant { to, index })
    }

    fn constant_index(&mut self, value: Value) -> u32 {
        self.code.constants.push(value);
        index(self.code.constants.len() - 1)
    }

    fn name(&mut self, name: &Str, span: Span, want: Want) -> Compiled<()> {
        match self.resolve(name, span)? {
            Name::Register(from) if matches!(want, Want::Tail) => {
                self.draft().emit(Op::Return { from }, span);
                Ok(())
            }
            Name::Register(from) => self.step(span, want, |to| Op::Copy { to, from }),
            Name::Captured(index) => self.step(span, want, |to| Op::Captured { to, index }),
            Name::Definition(at) => match self.definitions[at].meaning {
                Meaning::Function { routine, .. } => {
                    self.step(span, want, |to| Op::Closure { to, routine })
                }
                Meaning::Value { index, .. } => {
                    self.step(span, want, |to| Op::Definition { to, index })
                }
            },
            Name::Primitive(primitive) => {
                let function = Function::new(Callable::Primitive(primitive));
                self.constant(Value::Function(function), span, want)
            }
            Name::Host(at) => {
                let function = Arc::clone(&self.code.host[usize::from(at)]);
                let function = Function::new(Callable::Host(function));
                self.constant(Value::Function(function), span, want)
            }
        }
    }

    fn resolve(&mut self, name: &Str, span: Span) -> Compiled<Name> {
        if Special::named(name).is_some() || special::is_reserved(name) {
            let what = format!("{} is a part of the language, no value", shown(name));
            return wrong(span, what, "it first in round brackets, with its parts");
        }
        if let Some(local) = self.local(self.open.len() - 1, name) {
            return Ok(match local {
                Capture::Register(register) => Name::Register(register),
                Capture::Captured(index) => Name::Captured(index),
            });
        }
        if let Some(at) = self.definitions.iter().position(|have| have.name == name) {
            self.check_ready(at, span)?;
            return Ok(Name::Definition(at));
        }
        if let Some(function) = self.host.find(name) {
            let known = self
                .code
                .host
                .iter()
                .position(|have| Arc::ptr_eq(have, function));
            let at = known.unwrap_or_else(|| {
                self.code.host.push(Arc::clone(function));
                self.code.host.len() - 1
            });
            return Ok(Name::Host(small(at)));
        }
        match primitives::find(name) {
            Some(primitive) => Ok(Name::Primitive(primitive)),
            None => {
                let expected = "a parameter, a name of `let`, a definition or a standard function";
                wrong(span, format!("unknown name {}", shown(name)), expected)
            }
        }
    }

    /// Where the function at `level` finds a name that it or a function around it binds.
    fn local(&mut self, level: usize, name: &Str) -> Option<Capture> {
        if let Some(found) = self.open[level].find(name) {
            return Some(found);
        }
        let outer = self.local(level.checked_sub(1)?, name)?;
        Some(Capture::Captured(self.open[level].capture(name, outer)))
    }
}

/// A place in one of the code's tables. A source is bounded, and so are they.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a source has fewer forms than that")
}

/// A place in one of the smaller tables, or a number of arguments.
fn small(at: usize) -> u16 {
    u16::try_from(at).expect("a source of 64 KiB has fewer parts than that")
}
