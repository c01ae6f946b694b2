//! Tests: forms of which only the truth counts become jumps.

use crate::code::{Comparison, Op};
use crate::compile::special::Special;
use crate::compile::{Compiled, Compiler, Name};
use crate::data::Value;
use crate::read::{Form, FormKind, Span};

impl<'a> Compiler<'a> {
    /// Compiles a form as a test; the jumps, still to be landed, are taken if its truth is `sense`.
    pub(super) fn test(&mut self, form: &'a Form, sense: bool) -> Compiled<Vec<usize>> {
        if let FormKind::List(parts) = &form.kind
            && let [
                Form {
                    kind: FormKind::Symbol(head),
                    ..
                },
                rest @ ..,
            ] = &**parts
        {
            match (Special::named(head), rest) {
                (Some(Special::And), [_, ..]) => {
                    return self.test_chain(rest, false, sense, form.span);
                }
                (Some(Special::Or), [_, ..]) => {
                    return self.test_chain(rest, true, sense, form.span);
                }
                (None, [inner]) if &**head == "not" && self.is_standard(head) => {
                    self.draft().owe(1);
                    return self.test(inner, !sense);
                }
                (None, [a, b]) if self.is_standard(head) => {
                    if let Some(how) = comparison(head) {
                        return self.test_comparison(how, a, b, sense, form.span);
                    }
                }
                _ => {}
            }
        }
        let mark = self.draft().mark();
        let value = self.operand(form)?;
        let op = if sense {
            Op::JumpIf { value, at: 0 }
        } else {
            Op::JumpUnless { value, at: 0 }
        };
        let jump = self.draft().jump(op, form.span);
        self.draft().release(mark);
        Ok(vec![jump])
    }

    /// `and` (`stop` is false) or `or` (`stop` is true), which end at the first part whose truth is `stop`.
    fn test_chain(
        &mut self,
        parts: &'a [Form],
        stop: bool,
        sense: bool,
        span: Span,
    ) -> Compiled<Vec<usize>> {
        self.draft().owe(1);
        let mut stopped = Vec::new();
        let Some((last, before)) = parts.split_last() else {
            return Ok(stopped);
        };
        for part in before {
            stopped.extend(self.test(part, stop)?);
        }
        let mut jumps = self.test(last, sense)?;
        if stop == sense {
            jumps.extend(stopped);
        } else {
            self.draft().land(&stopped, span);
        }
        Ok(jumps)
    }

    fn test_comparison(
        &mut self,
        how: Comparison,
        a: &'a Form,
        b: &'a Form,
        sense: bool,
        span: Span,
    ) -> Compiled<Vec<usize>> {
        let how = if sense { how } else { how.opposite() };
        self.draft().owe(1);
        let mark = self.draft().mark();
        let a = self.operand(a)?;
        let op = match &b.kind {
            FormKind::Int(number) if i32::try_from(*number).is_ok() => {
                self.draft().owe(1);
                let b = i32::try_from(*number).unwrap_or_default();
                Op::BranchInteger { how, a, b, at: 0 }
            }
            FormKind::Str(_) | FormKind::Keyword(_) | FormKind::Nil | FormKind::Bool(_)
                if matches!(how, Comparison::Equal | Comparison::Different) =>
            {
                self.draft().owe(1);
                let value: Value = self.quoted(b)?;
                let index = self.constant_index(value);
                Op::BranchConstant {
                    equal: how == Comparison::Equal,
                    a,
                    index,
                    at: 0,
                }
            }
            _ => {
                let b = self.operand(b)?;
                Op::Branch { how, a, b, at: 0 }
            }
        };
        let jump = self.draft().jump(op, span);
        self.draft().release(mark);
        Ok(vec![jump])
    }

    /// Whether a name stands for the standard function of that name.
    pub(super) fn is_standard(&mut self, name: &crate::data::Str) -> bool {
        let standard = crate::primitives::find(name).is_some();
        standard && matches!(self.resolve(name, Span::default()), Ok(Name::Primitive(_)))
    }
}

pub(super) fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Greater,
        ">=" => Comparison::AtLeast,
        "=" => Comparison::Equal,
        "!=" => Comparison::Different,
        _ => return None,
    })
}
