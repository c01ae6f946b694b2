//! The top of a source: definitions, then one expression.
//!
//! All definitions are known before the first body is compiled, so functions may call each other in
//! any order. Values are computed in the order they are written in, anew in each evaluation.

use crate::code::{Main, Op};
use crate::compile::draft::{Draft, Signature, Want};
use crate::compile::last_use::move_last_uses;
use crate::compile::special::{Special, is_reserved};
use crate::compile::{Compiled, Compiler, index, shown, wrong};
use crate::data::Str;
use crate::read::{Form, FormKind, Span};

/// A name that the source defines.
pub(super) struct Definition<'a> {
    pub(super) name: &'a Str,
    pub(super) meaning: Meaning<'a>,
}

pub(super) enum Meaning<'a> {
    Function {
        routine: u32,
        signature: Signature,
        body: &'a [Form],
        span: Span,
    },
    Value {
        index: u32,
        form: &'a Form,
        /// Whether the source has come past it.
        ready: bool,
    },
}

impl<'a> Compiler<'a> {
    /// Compiles a whole source.
    pub(super) fn source(&mut self, forms: &'a [Form]) -> Compiled<()> {
        let Some((last, before)) = forms.split_last() else {
            return wrong(
                START,
                "an empty source",
                "definitions, if any, and one expression",
            );
        };
        for form in before {
            self.declare(form)?;
        }
        if definition(last).is_some() {
            let expected = "an expression, whose value is the source's";
            return wrong(last.span, "nothing follows the definitions", expected);
        }
        // Places for their routines first, since calls name them by number.
        for at in 0..self.definitions.len() {
            if let Meaning::Function {
                routine,
                signature,
                body,
                span,
            } = &self.definitions[at].meaning
            {
                let name = self.definitions[at].name.clone();
                let (routine, signature, body, span) = (*routine, signature.clone(), *body, *span);
                let finished = self.function(name, signature, body, span)?;
                self.code.routines.swap(routine as usize, finished as usize);
                self.code.routines.truncate(finished as usize);
            }
        }
        self.main(last)
    }

    fn declare(&mut self, form: &'a Form) -> Compiled<()> {
        let Some(parts) = definition(form) else {
            let expected = "definitions, and one expression at the end";
            return wrong(form.span, "an expression before the last form", expected);
        };
        let shape = "`(define name value)` or `(define (name parameters…) body…)`";
        let (name, meaning) = match parts {
            [
                Form {
                    kind: FormKind::Symbol(name),
                    ..
                },
                value,
            ] => match lambda(value) {
                Some((parameters, body)) => {
                    (name, self.declared_function(parameters, body, value.span)?)
                }
                None => {
                    self.code.definitions.push(name.clone());
                    let index = index(self.code.definitions.len() - 1);
                    (
                        name,
                        Meaning::Value {
                            index,
                            form: value,
                            ready: false,
                        },
                    )
                }
            },
            [
                Form {
                    kind: FormKind::List(head),
                    ..
                },
                body @ ..,
            ] if !body.is_empty() => match head.split_first() {
                Some((
                    Form {
                        kind: FormKind::Symbol(name),
                        ..
                    },
                    parameters,
                )) => (name, self.declared_function(parameters, body, form.span)?),
                _ => return wrong(form.span, "a definition without a name", shape),
            },
            _ => return wrong(form.span, "a misshapen definition", shape),
        };
        if is_reserved(name) || Special::named(name).is_some() {
            let what = format!("{} is a part of the language", shown(name));
            return wrong(form.span, what, "another name");
        }
        if self.definitions.iter().any(|have| have.name == name) {
            let what = format!("{} is defined twice", shown(name));
            return wrong(form.span, what, "each name once");
        }
        self.definitions.push(Definition { name, meaning });
        Ok(())
    }

    fn declared_function(
        &mut self,
        parameters: &'a [Form],
        body: &'a [Form],
        span: Span,
    ) -> Compiled<Meaning<'a>> {
        let signature = self.signature(parameters)?;
        let name = Str::from("");
        let empty = Draft::new(name, Signature::default(), span)?.finish();
        self.code.routines.push(empty);
        let routine = index(self.code.routines.len() - 1);
        Ok(Meaning::Function {
            routine,
            signature,
            body,
            span,
        })
    }

    fn main(&mut self, last: &'a Form) -> Compiled<()> {
        let only_functions = self.code.definitions.is_empty();
        if only_functions && let Some((parameters, body)) = lambda(last) {
            let signature = self.signature(parameters)?;
            let routine = self.function("fn".into(), signature, body, last.span)?;
            self.code.main = Main::Function(routine);
            return Ok(());
        }
        if only_functions
            && let FormKind::Symbol(name) = &last.kind
            && let Some(Definition {
                meaning: Meaning::Function { routine, .. },
                ..
            }) = self.definitions.iter().find(|have| have.name == name)
        {
            self.code.main = Main::Function(*routine);
            return Ok(());
        }
        self.open.push(Draft::top(last.span)?);
        for at in 0..self.definitions.len() {
            if let Meaning::Value { index, form, .. } = self.definitions[at].meaning {
                let mark = self.draft().mark();
                let from = self.operand(form)?;
                self.draft().emit(Op::Define { index, from }, form.span);
                self.draft().release(mark);
                if let Meaning::Value { ready, .. } = &mut self.definitions[at].meaning {
                    *ready = true;
                }
            }
        }
        self.expression(last, Want::Tail)?;
        let routine = self.close();
        self.code.main = Main::Expression(routine);
        Ok(())
    }

    /// Compiles a function that captures nothing, or what the open ones hold; its routine's number.
    pub(super) fn function(
        &mut self,
        name: Str,
        signature: Signature,
        body: &'a [Form],
        span: Span,
    ) -> Compiled<u32> {
        self.open.push(Draft::new(name, signature, span)?);
        self.body(body, span, Want::Tail)?;
        Ok(self.close())
    }

    fn close(&mut self) -> u32 {
        let draft = self.open.pop().expect("a function is being compiled");
        let mut routine = draft.finish();
        move_last_uses(&self.code, &mut routine);
        self.code.routines.push(routine);
        index(self.code.routines.len() - 1)
    }

    /// Refuses the use of a value before its definition, where that is plain.
    pub(super) fn check_ready(&self, at: usize, span: Span) -> Compiled<()> {
        let Definition { name, meaning } = &self.definitions[at];
        match meaning {
            // Within a function it may be ready by the time of the call.
            Meaning::Value { ready: false, .. } if self.at_top() => {
                let what = format!("{} has no value yet", shown(name));
                wrong(span, what, "values defined further up")
            }
            _ => Ok(()),
        }
    }

    fn at_top(&self) -> bool {
        self.open.len() == 1 && self.open[0].top
    }
}

const START: Span = Span {
    offset: 0,
    end: 0,
    line: 1,
    column: 1,
};

/// The parts of a definition.
fn definition(form: &Form) -> Option<&[Form]> {
    special(form, Special::Define)
}

/// The parameters and body of a well-shaped `fn`.
fn lambda(form: &Form) -> Option<(&[Form], &[Form])> {
    match special(form, Special::Fn)? {
        [
            Form {
                kind: FormKind::List(parameters),
                ..
            },
            body @ ..,
        ] if !body.is_empty() => Some((parameters, body)),
        _ => None,
    }
}

/// The name that a form defines, if it is a definition and has one.
pub(crate) fn defined_name(form: &Form) -> Option<&Str> {
    let named = definition(form)?.first()?;
    let named = match &named.kind {
        FormKind::List(head) => head.first()?,
        _ => named,
    };
    match &named.kind {
        FormKind::Symbol(name) => Some(name),
        _ => None,
    }
}

fn special(form: &Form, which: Special) -> Option<&[Form]> {
    let FormKind::List(parts) = &form.kind else {
        return None;
    };
    match parts.split_first()? {
        (
            Form {
                kind: FormKind::Symbol(name),
                ..
            },
            rest,
        ) if Special::named(name) == Some(which) => Some(rest),
        _ => None,
    }
}
