//! Calls: of whatever the head stands for, by the shortest way there is.

use crate::code::{Op, Register};
use crate::compile::draft::{Signature, Want};
use crate::compile::test::comparison;
use crate::compile::top::Meaning;
use crate::compile::{Compiled, Compiler, Name, shown, small, wrong};
use crate::data::{Function, Value};
use crate::function::Callable;
use crate::primitives::{Arity, Primitive, Work};
use crate::read::{Form, FormKind, Span};

impl<'a> Compiler<'a> {
    pub(super) fn call(
        &mut self,
        form: &'a Form,
        head: &'a Form,
        arguments: &'a [Form],
        want: Want,
    ) -> Compiled<()> {
        let FormKind::Symbol(name) = &head.kind else {
            return match &head.kind {
                FormKind::List(_) => self.call_value(form, head, arguments, want),
                FormKind::Keyword(name) => {
                    let expected = format!("a function; a member is `(get map :{})`", &**name);
                    wrong(head.span, "a keyword can't be called", expected)
                }
                _ => wrong(
                    head.span,
                    "this can't be called",
                    "a function; a list is `[ … ]`",
                ),
            };
        };
        match self.resolve(name, head.span)? {
            Name::Register(_) | Name::Captured(_) => self.call_value(form, head, arguments, want),
            Name::Definition(at) => match &self.definitions[at].meaning {
                Meaning::Value { .. } => self.call_value(form, head, arguments, want),
                Meaning::Function {
                    routine, signature, ..
                } => {
                    let (routine, signature) = (*routine, signature.clone());
                    self.call_routine(form, name, routine, &signature, arguments, want)
                }
            },
            Name::Host(function) => {
                let arity = self.code.host[usize::from(function)].arity();
                check(arity, name, arguments.len(), form.span)?;
                let mark = self.draft().mark();
                let first = self.arguments(arguments, want, form.span)?;
                self.draft().release(mark);
                self.step(form.span, want, |to| Op::Host {
                    to,
                    function,
                    first,
                })
            }
            Name::Primitive(primitive) => {
                check(primitive.arity, name, arguments.len(), form.span)?;
                self.call_primitive(form, primitive, arguments, want)
            }
        }
    }

    fn call_primitive(
        &mut self,
        form: &'a Form,
        primitive: &'static Primitive,
        arguments: &'a [Form],
        want: Want,
    ) -> Compiled<()> {
        if let Work::Calls(_) = primitive.work {
            let mark = self.draft().mark();
            let first = self.arguments(arguments, want, form.span)?;
            let function = Function::new(Callable::Primitive(primitive));
            let to = first + small(arguments.len());
            self.reserve(to, form.span)?;
            self.constant(Value::Function(function), form.span, Want::Into(to))?;
            return self.finish_call(first, small(arguments.len()), mark, form.span, want);
        }
        match arguments {
            [a, b] if matches!(primitive.name, "+" | "-" | "*") => {
                self.arithmetic(primitive.name, [a, b], form.span, want)
            }
            [a] if primitive.name == "inc" => {
                self.unary(a, form.span, want, |to, a| Op::AddInteger { to, a, b: 1 })
            }
            [a] if primitive.name == "dec" => self.unary(a, form.span, want, |to, a| {
                Op::SubtractInteger { to, a, b: 1 }
            }),
            [a, b] if let Some(how) = comparison(primitive.name) => {
                let mark = self.draft().mark();
                let a = self.operand(a)?;
                let b = self.operand(b)?;
                self.draft().release(mark);
                self.step(form.span, want, |to| Op::Compare { how, to, a, b })
            }
            [
                of,
                Form {
                    kind: FormKind::Keyword(key) | FormKind::Str(key),
                    ..
                },
            ] if primitive.name == "get" => {
                let key = self.constant_index(Value::Str(key.clone()));
                self.unary(of, form.span, want, |to, of| Op::Member { to, of, key })?;
                Ok(())
            }
            _ => {
                let mark = self.draft().mark();
                let first = self.arguments(arguments, want, form.span)?;
                self.draft().release(mark);
                let known = self
                    .code
                    .primitives
                    .iter()
                    .position(|have| std::ptr::eq(*have, primitive));
                let at = known.unwrap_or_else(|| {
                    self.code.primitives.push(primitive);
                    self.code.primitives.len() - 1
                });
                let (primitive, count) = (small(at), small(arguments.len()));
                self.step(form.span, want, |to| Op::Primitive {
                    to,
                    primitive,
                    first,
                    count,
                })
            }
        }
    }

    /// A step on one operand.
    fn unary(
        &mut self,
        a: &'a Form,
        span: Span,
        want: Want,
        op: impl FnOnce(Register, Register) -> Op,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        let a = self.operand(a)?;
        self.draft().release(mark);
        self.step(span, want, |to| op(to, a))
    }

    /// `+`, `-` and `*` of two.
    fn arithmetic(
        &mut self,
        name: &str,
        [a, b]: [&'a Form; 2],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        let a = self.operand(a)?;
        if let FormKind::Int(number) = b.kind
            && let Ok(b) = i32::try_from(number)
            && name != "*"
        {
            self.draft().owe(1);
            self.draft().release(mark);
            return self.step(span, want, |to| match name {
                "+" => Op::AddInteger { to, a, b },
                _ => Op::SubtractInteger { to, a, b },
            });
        }
        let b = self.operand(b)?;
        self.draft().release(mark);
        self.step(span, want, |to| match name {
            "+" => Op::Add { to, a, b },
            "-" => Op::Subtract { to, a, b },
            _ => Op::Multiply { to, a, b },
        })
    }

    fn call_value(
        &mut self,
        form: &'a Form,
        head: &'a Form,
        arguments: &'a [Form],
        want: Want,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        let first = self.arguments(arguments, want, form.span)?;
        let to = first + small(arguments.len());
        self.reserve(to, form.span)?;
        self.expression(head, Want::Into(to))?;
        self.finish_call(first, small(arguments.len()), mark, form.span, want)
    }

    fn finish_call(
        &mut self,
        first: Register,
        count: u16,
        mark: super::draft::Mark,
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        match want {
            Want::Tail => self.draft().emit(Op::TailCall { first, count }, span),
            Want::Into(to) => {
                self.draft().emit(Op::Call { first, count }, span);
                if to != first {
                    self.draft().emit(Op::Move { to, from: first }, span);
                }
            }
        }
        self.draft().release(mark);
        Ok(())
    }

    fn call_routine(
        &mut self,
        form: &'a Form,
        name: &str,
        routine: u32,
        signature: &Signature,
        arguments: &'a [Form],
        want: Want,
    ) -> Compiled<()> {
        let (parameters, span) = (signature.names.len(), form.span);
        let arity = if signature.rest.is_some() {
            Arity::from(parameters)
        } else {
            Arity::exactly(parameters)
        };
        check(arity, name, arguments.len(), span)?;
        let mark = self.draft().mark();
        let first = self.arguments(arguments, want, span)?;
        let mut count = small(arguments.len());
        if signature.rest.is_some() {
            // What is more than the parameters becomes their list here.
            let to = first + small(parameters);
            self.reserve(to, span)?;
            let more = small(arguments.len() - parameters);
            self.draft().emit(
                Op::List {
                    to,
                    first: to,
                    count: more,
                },
                span,
            );
            count = small(parameters + 1);
        }
        match want {
            Want::Tail => self.draft().emit(
                Op::TailCallRoutine {
                    first,
                    count,
                    routine,
                },
                span,
            ),
            Want::Into(to) => {
                self.draft().emit(
                    Op::CallRoutine {
                        first,
                        count,
                        routine,
                    },
                    span,
                );
                if to != first {
                    self.draft().emit(Op::Move { to, from: first }, span);
                }
            }
        }
        self.draft().release(mark);
        Ok(())
    }

    /// Compiles arguments into registers in a row; the first of them, which is the one that the
    /// value is wanted in if nothing stands behind that.
    pub(super) fn arguments(
        &mut self,
        forms: &'a [Form],
        want: Want,
        span: Span,
    ) -> Compiled<Register> {
        let first = match want {
            Want::Into(to) if self.draft().is_last(to) => to,
            _ => self.draft().register(span)?,
        };
        for (at, form) in forms.iter().enumerate() {
            let to = first + small(at);
            self.reserve(to, form.span)?;
            self.expression(form, Want::Into(to))?;
        }
        Ok(first)
    }

    /// Takes a register that follows those taken, unless it is among them.
    fn reserve(&mut self, register: Register, span: Span) -> Compiled<()> {
        if !self.draft().has(register) {
            self.draft().register(span)?;
        }
        Ok(())
    }
}

fn check(arity: Arity, name: &str, count: usize, span: Span) -> Compiled<()> {
    if arity.takes(count) {
        return Ok(());
    }
    let what = format!("{} is given {count}", shown(name));
    wrong(span, what, arity.to_string())
}
