//! The special forms: those that don't evaluate all their parts, or bind names.

use crate::code::Op;
use crate::compile::clause::{CASE, CLAUSE, Clause, GUARD};
use crate::compile::draft::{Signature, Want};
use crate::compile::{Compiled, Compiler, shown, wrong};
use crate::data::{Str, Value};
use crate::read::{Form, FormKind, Span};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Special {
    Quote,
    If,
    Cond,
    Let,
    Fn,
    Do,
    And,
    Or,
    When,
    Case,
    Guard,
    Define,
}

impl Special {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "quote" => Self::Quote,
            "if" => Self::If,
            "cond" => Self::Cond,
            "let" => Self::Let,
            "fn" => Self::Fn,
            "do" => Self::Do,
            "and" => Self::And,
            "or" => Self::Or,
            "when" => Self::When,
            "case" => Self::Case,
            "guard" => Self::Guard,
            "define" => Self::Define,
            _ => return None,
        })
    }

    fn misshapen(self) -> String {
        format!("a misshapen `{}`", format!("{self:?}").to_lowercase())
    }

    const fn shape(self) -> &'static str {
        match self {
            Self::Quote => "`(quote data)`",
            Self::If => "`(if test then)` or `(if test then else)`",
            Self::Cond => CLAUSE,
            Self::Let => "`(let ((name value) …) body…)`",
            Self::Fn => "`(fn (parameters…) body…)`",
            Self::Do => "`(do body…)`",
            Self::And => "`(and value…)`",
            Self::Or => "`(or value…)`",
            Self::When => "`(when test body…)`",
            Self::Case => CASE,
            Self::Guard => GUARD,
            Self::Define => "definitions at the top of the source; within, `let`",
        }
    }
}

/// Names beside those of the special forms that can't be bound.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(name, "else" | "&rest")
}

impl<'a> Compiler<'a> {
    pub(super) fn special(
        &mut self,
        special: Special,
        form: &'a Form,
        parts: &'a [Form],
        want: Want,
    ) -> Compiled<()> {
        match (special, parts) {
            (Special::Quote, [data]) => self.quote(data, want),
            (Special::If, [test, then]) => self.branches(test, then, None, form.span, want),
            (Special::If, [test, then, other]) => {
                self.branches(test, then, Some(other), form.span, want)
            }
            (Special::Cond, _) => {
                let clauses = self.clauses(parts)?;
                self.cond(&clauses, form.span, want)
            }
            (
                Special::Let,
                [
                    Form {
                        kind: FormKind::List(bindings),
                        ..
                    },
                    body @ ..,
                ],
            ) if !body.is_empty() => self.bindings(bindings, body, form.span, want),
            (
                Special::Fn,
                [
                    Form {
                        kind: FormKind::List(parameters),
                        ..
                    },
                    body @ ..,
                ],
            ) if !body.is_empty() => self.lambda(parameters, body, form.span, want),
            (Special::Do, _) => self.body(parts, form.span, want),
            (Special::And, _) => self.chain(parts, false, form.span, want),
            (Special::Or, _) => self.chain(parts, true, form.span, want),
            (Special::When, [test, body @ ..]) if !body.is_empty() => {
                let clause = Clause {
                    test: Some(test),
                    body,
                    span: form.span,
                };
                self.cond(&[clause], form.span, want)
            }
            (Special::Case, [value, clauses @ ..]) => self.case(value, clauses, form.span, want),
            (
                Special::Guard,
                [
                    Form {
                        kind: FormKind::List(head),
                        ..
                    },
                    body @ ..,
                ],
            ) if !body.is_empty() => self.guard(head, body, form.span, want),
            (Special::Define, _) => wrong(form.span, "`define` inside a form", special.shape()),
            _ => wrong(form.span, special.misshapen(), special.shape()),
        }
    }

    fn branches(
        &mut self,
        test: &'a Form,
        then: &'a Form,
        other: Option<&'a Form>,
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let skip = self.test(test, false)?;
        self.expression(then, want)?;
        let end = self.leave(span, want);
        self.draft().land(&skip, span);
        match other {
            Some(other) => self.expression(other, want)?,
            None => self.constant(Value::Nil, span, want)?,
        }
        self.draft().land(&end, span);
        Ok(())
    }

    /// A jump to the end of a form whose value is there; a function's own value has returned already.
    pub(super) fn leave(&mut self, span: Span, want: Want) -> Vec<usize> {
        match want {
            Want::Into(_) => vec![self.draft().jump(Op::Jump { at: 0 }, span)],
            Want::Tail => Vec::new(),
        }
    }

    fn bindings(
        &mut self,
        bindings: &'a [Form],
        body: &'a [Form],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        for binding in bindings {
            let [name, value] = parts(binding) else {
                return wrong(binding.span, "a misshapen binding", "`(name value)`");
            };
            let name = bindable(name)?;
            let register = self.draft().register(binding.span)?;
            self.expression(value, Want::Into(register))?;
            self.draft().bind(name, register);
        }
        self.body(body, span, want)?;
        self.draft().release(mark);
        Ok(())
    }

    pub(super) fn signature(&self, parameters: &[Form]) -> Compiled<Signature> {
        let mut signature = Signature::default();
        let mut forms = parameters.iter();
        while let Some(form) = forms.next() {
            let rest = matches!(&form.kind, FormKind::Symbol(name) if &**name == "&rest");
            let name = if rest {
                match (forms.next(), forms.next()) {
                    (Some(name), None) => bindable(name)?,
                    _ => {
                        return wrong(
                            form.span,
                            "a misshapen `&rest`",
                            "`&rest` and one name, last",
                        );
                    }
                }
            } else {
                bindable(form)?
            };
            if signature.names.contains(&name) {
                let what = format!("the parameter {} stands twice", shown(&name));
                return wrong(form.span, what, "each name once");
            }
            if rest {
                signature.rest = Some(name);
            } else {
                signature.names.push(name);
            }
        }
        Ok(signature)
    }

    fn lambda(
        &mut self,
        parameters: &'a [Form],
        body: &'a [Form],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let signature = self.signature(parameters)?;
        let routine = self.function("fn".into(), signature, body, span)?;
        self.step(span, want, |to| Op::Closure { to, routine })
    }

    /// `and` and `or`: the first value that is `stop` in truth, or the last.
    fn chain(&mut self, parts: &'a [Form], stop: bool, span: Span, want: Want) -> Compiled<()> {
        let Some((last, before)) = parts.split_last() else {
            let none = if stop { Value::Nil } else { Value::Bool(true) };
            return self.constant(none, span, want);
        };
        let mark = self.draft().mark();
        let value = match want {
            Want::Into(to) => to,
            Want::Tail if before.is_empty() => 0,
            Want::Tail => self.draft().register(span)?,
        };
        let mut ends = Vec::new();
        for part in before {
            self.expression(part, Want::Into(value))?;
            let op = if stop {
                Op::JumpIf { value, at: 0 }
            } else {
                Op::JumpUnless { value, at: 0 }
            };
            ends.push(self.draft().jump(op, span));
        }
        self.expression(last, want)?;
        if !ends.is_empty() {
            self.draft().land(&ends, span);
            if let Want::Tail = want {
                self.draft().emit(Op::Return { from: value }, span);
            }
        }
        self.draft().release(mark);
        Ok(())
    }
}

/// The parts of a form in round brackets; none of another.
pub(super) fn parts(form: &Form) -> &[Form] {
    match &form.kind {
        FormKind::List(parts) => parts,
        _ => &[],
    }
}

/// A name that may be bound.
pub(super) fn bindable(form: &Form) -> Compiled<Str> {
    match &form.kind {
        FormKind::Symbol(name) if Special::named(name).is_none() && !is_reserved(name) => {
            Ok(name.clone())
        }
        FormKind::Symbol(name) => {
            let what = format!("{} is a part of the language", shown(name));
            wrong(form.span, what, "another name")
        }
        _ => wrong(form.span, "this is no name", "a name"),
    }
}
