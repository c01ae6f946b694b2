//! The special forms made of clauses: `cond`, `case` and `guard`.

use std::collections::BTreeSet;

use crate::code::{Op, Register};
use crate::compile::draft::Want;
use crate::compile::special::{bindable, parts};
use crate::compile::top::Meaning;
use crate::compile::{Compiled, Compiler, shown, wrong};
use crate::data::{Str, Value};
use crate::primitives;
use crate::print::print;
use crate::read::{Form, FormKind, Span};

pub(super) const CLAUSE: &str = "`(test body…)` or `(else body…)`";
pub(super) const CASE: &str = "`(case value ((v …) body…) … (else body…))`";
pub(super) const GUARD: &str = "`(guard (error (test body…) … (else body…)) body…)`";

/// A clause of `cond` or `guard`: its test, and what it comes to.
pub(super) struct Clause<'a> {
    /// `None` is `else`.
    pub(super) test: Option<&'a Form>,
    pub(super) body: &'a [Form],
    pub(super) span: Span,
}

impl<'a> Compiler<'a> {
    pub(super) fn cond(&mut self, clauses: &[Clause<'a>], span: Span, want: Want) -> Compiled<()> {
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
    pub(super) fn clauses(&mut self, parts: &'a [Form]) -> Compiled<Vec<Clause<'a>>> {
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

    pub(super) fn case(
        &mut self,
        value: &'a Form,
        clauses: &'a [Form],
        span: Span,
        want: Want,
    ) -> Compiled<()> {
        let mark = self.draft().mark();
        let a = self.operand(value)?;
        let mut seen = BTreeSet::new();
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
        a: Register,
        values: &'a [Form],
        seen: &mut BTreeSet<String>,
    ) -> Compiled<Vec<usize>> {
        let mut found = Vec::new();
        let mut none = Vec::new();
        for (at, form) in values.iter().enumerate() {
            let value = self.quoted(form)?;
            // A keyword and the string of its name are one value to `case`.
            let text = match &value {
                Value::Keyword(name) => print(&Value::Str(name.clone())),
                other => print(other),
            };
            if !seen.insert(text) {
                return wrong(form.span, "a value that stands twice", "each value once");
            }
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

    pub(super) fn guard(
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
        if self.local(self.open.len() - 1, name).is_some() {
            return false;
        }
        match self.definitions.iter().find(|have| have.name == name) {
            Some(definition) => matches!(definition.meaning, Meaning::Function { .. }),
            None => self.host.find(name).is_some() || primitives::find(name).is_some(),
        }
    }
}
