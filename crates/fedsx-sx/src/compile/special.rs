//! The special forms: those that don't evaluate all their parts, or bind names.

use crate::code::{Capture, Op};
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

/// A clause of `cond` or `guard`: its test, and what it comes to.
struct Clause<'a> {
    /// `None` is `else`.
    test: Option<&'a Form>,
    body: &'a [Form],
    span: Span,
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
    fn leave(&mut self, span: Span, want: Want) -> Vec<usize> {
        match want {
            Want::Into(_) => vec![self.draft().jump(Op::Jump { at: 0 }, span)],
            Want::Tail => Vec::new(),
        }
    }

    fn cond(&mut self, clauses: &[Clause<'a>], span: Span, want: Want) -> Compiled<()> {
        let mut ends = Vec::new();
        let mut open = true;
        for clause in clauses {
            let skip = match clause.test {
                Some(test) => self.test(test, false)?,
                None => Vec::new(),
            };
            self.body(clause.body, clause.span, want)?;
            open = clause.test.is_some();
            if open {
                ends.extend(self.leave(span, want));
                self.draft().land(&skip, clause.span);
            }
        }
        if open {
            self.constant(Value::Nil, span, want)?;
        }
        self.draft().land(&ends, span);
        Ok(())
    }

    /// The clauses of a `cond`, which are all in round brackets or else flat.
    fn clauses(&mut self, parts: &'a [Form]) -> Compiled<Vec<Clause<'a>>> {
        if parts
            .iter()
            .all(|part| matches!(part.kind, FormKind::List(_)))
        {
            return self.bracketed(parts);
        }
        let mut clauses = Vec::new();
        for pair in parts.chunks(2) {
            let [test, body] = pair else {
                let expected = "tests and values in turn, or clauses `(test body…)`";
                return wrong(pair[0].span, "a test without a value", expected);
            };
            let last = clauses.len() * 2 + 2 == parts.len();
            let otherwise = match &test.kind {
                FormKind::Keyword(name) | FormKind::Symbol(name) => &**name == "else",
                _ => false,
            };
            if otherwise && !last {
                return wrong(test.span, "clauses after `:else`", "`:else` last");
            }
            clauses.push(Clause {
                test: (!otherwise).then_some(test),
                body: std::slice::from_ref(body),
                span: test.span,
            });
        }
        Ok(clauses)
    }

    fn bracketed(&mut self, parts: &'a [Form]) -> Compiled<Vec<Clause<'a>>> {
        let mut clauses = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let FormKind::List(inner) = &part.kind else {
                return wrong(part.span, "a misshapen clause", CLAUSE);
            };
            let [test, body @ ..] = &**inner else {
                return wrong(part.span, "an empty clause", CLAUSE);
            };
            if body.is_empty() {
                return wrong(part.span, "a clause without a body", CLAUSE);
            }
            let otherwise = matches!(&test.kind, FormKind::Symbol(name) if &**name == "else");
            if otherwise && at + 1 < parts.len() {
                return wrong(part.span, "clauses after `else`", "`else` last");
            }
            // `(cond (< a b) (f a) …)` is meant flat, but nothing says so.
            if let FormKind::Symbol(name) = &test.kind
                && !otherwise
                && self.is_function(name)
            {
                let what = format!(
                    "the test {} is a function, which is always true",
                    shown(name)
                );
                return wrong(
                    test.span,
                    what,
                    "a clause `(test body…)`; a flat `cond` ends in `:else value`",
                );
            }
            clauses.push(Clause {
                test: (!otherwise).then_some(test),
                body,
                span: part.span,
            });
        }
        Ok(clauses)
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

    fn case(
        &mut self,
        value: &'a Form,
        clauses: &'a [Form],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        let a = self.operand(value)?;
        let mut seen: Vec<Value> = Vec::new();
        let mut ends = Vec::new();
        let mut open = true;
        for (at, clause) in clauses.iter().enumerate() {
            let [head, body @ ..] = parts(clause) else {
                return wrong(clause.span, "a misshapen clause", CASE);
            };
            if body.is_empty() {
                return wrong(clause.span, "a clause without a body", CASE);
            }
            match &head.kind {
                FormKind::Symbol(name) if &**name == "else" && at + 1 == clauses.len() => {
                    self.body(body, clause.span, want)?;
                    open = false;
                }
                FormKind::List(values) if !values.is_empty() => {
                    let skip = self.case_values(a, values, &mut seen)?;
                    self.body(body, clause.span, want)?;
                    ends.extend(self.leave(span, want));
                    self.draft().land(&skip, clause.span);
                }
                _ => return wrong(head.span, "a misshapen clause", CASE),
            }
        }
        if open {
            self.constant(Value::Nil, span, want)?;
        }
        self.draft().land(&ends, span);
        self.draft().release(mark);
        Ok(())
    }

    /// Compares with each value, each for its fuel; the jumps are taken if none is equal.
    fn case_values(
        &mut self,
        a: u16,
        values: &'a [Form],
        seen: &mut Vec<Value>,
    ) -> Compiled<Vec<usize>> {
        let mut found = Vec::new();
        let mut none = Vec::new();
        for (at, form) in values.iter().enumerate() {
            let value = self.quoted(form)?;
            if seen.contains(&value) {
                return wrong(form.span, "a value that stands twice", "each value once");
            }
            seen.push(value.clone());
            let index = self.constant_index(value);
            self.draft().owe(1);
            let last = at + 1 == values.len();
            let op = Op::BranchConstant {
                equal: !last,
                a,
                index,
                at: 0,
            };
            let jump = self.draft().jump(op, form.span);
            if last {
                none.push(jump);
            } else {
                found.push(jump);
            }
        }
        self.draft().land(&found, values[0].span);
        Ok(none)
    }

    fn guard(
        &mut self,
        head: &'a [Form],
        body: &'a [Form],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let [name, clauses @ ..] = head else {
            return wrong(span, "a misshapen `guard`", GUARD);
        };
        let name = bindable(name)?;
        let clauses = self.bracketed(clauses)?;
        if clauses.last().is_none_or(|clause| clause.test.is_some()) {
            return wrong(span, "a `guard` without `else`", GUARD);
        }
        let mark = self.draft().mark();
        let to = self.draft().register(span)?;
        let guard = self.draft().jump(Op::Guard { to, at: 0 }, span);
        let value = match want {
            Want::Into(value) => value,
            Want::Tail => self.draft().register(span)?,
        };
        self.body(body, span, Want::Into(value))?;
        self.draft().emit(Op::Unguard, span);
        if let Want::Tail = want {
            self.draft().emit(Op::Return { from: value }, span);
        }
        let end = self.leave(span, want);
        self.draft().land(&[guard], span);
        self.draft().bind(name, to);
        self.cond(&clauses, span, want)?;
        self.draft().land(&end, span);
        self.draft().release(mark);
        Ok(())
    }

    /// Whether a name is known to stand for a function.
    fn is_function(&mut self, name: &Str) -> bool {
        !matches!(
            self.local(self.open.len() - 1, name),
            Some(Capture::Register(_) | Capture::Captured(_))
        ) && (self.host.find(name).is_some() || crate::primitives::find(name).is_some())
    }
}

const CLAUSE: &str = "`(test body…)` or `(else body…)`";
const CASE: &str = "`(case value ((v …) body…) … (else body…))`";
const GUARD: &str = "`(guard (error (test body…) … (else body…)) body…)`";

/// The parts of a form in round brackets; none of another.
fn parts(form: &Form) -> &[Form] {
    match &form.kind {
        FormKind::List(parts) => parts,
        _ => &[],
    }
}

/// A name that may be bound.
fn bindable(form: &Form) -> Compiled<Str> {
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
