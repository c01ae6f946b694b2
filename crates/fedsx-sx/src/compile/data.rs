//! Data in code: literals, `quote`, and the brackets that make lists and maps.

use crate::code::Op;
use crate::compile::draft::Want;
use crate::compile::{Compiled, Compiler, index, shown, small, wrong};
use crate::data::{List, Map, Str, Value};
use crate::read::{Form, FormKind};

impl<'a> Compiler<'a> {
    pub(super) fn literal(&mut self, form: &Form, want: Want) -> Compiled<()> {
        let value = self.quoted(form)?;
        self.constant(value, form.span, want)
    }

    pub(super) fn quote(&mut self, form: &Form, want: Want) -> Compiled<()> {
        let value = self.quoted(form)?;
        self.constant(value, form.span, want)
    }

    pub(super) fn vector(&mut self, form: &'a Form, parts: &'a [Form], want: Want) -> Compiled<()> {
        if is_literal(form) {
            return self.literal(form, want);
        }
        let mark = self.draft().mark();
        let first = self.arguments(parts, want, form.span)?;
        let count = small(parts.len());
        self.draft().release(mark);
        self.step(form.span, want, |to| Op::List { to, first, count })
    }

    pub(super) fn map(&mut self, form: &'a Form, parts: &'a [Form], want: Want) -> Compiled<()> {
        if is_literal(form) {
            return self.literal(form, want);
        }
        let mut keys: Vec<(Str, u16)> = Vec::new();
        for (at, pair) in parts.chunks_exact(2).enumerate() {
            keys.push((key(&pair[0])?, small(at)));
        }
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let Some(twice) = keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let place = &parts[usize::from(twice[0].1.max(twice[1].1)) * 2];
            let what = format!("the key {} stands twice", shown(&twice[0].0));
            return wrong(place.span, what, "each key once");
        }
        let mark = self.draft().mark();
        let first = match want {
            Want::Into(to) if self.draft().is_last(to) => to,
            _ => self.draft().register(form.span)?,
        };
        for (at, pair) in parts.chunks_exact(2).enumerate() {
            let to = first + small(at);
            if !self.draft().has(to) {
                self.draft().register(form.span)?;
            }
            self.expression(&pair[1], Want::Into(to))?;
        }
        self.draft().release(mark);
        self.code.shapes.push(keys.into());
        let shape = index(self.code.shapes.len() - 1);
        self.step(form.span, want, |to| Op::Map { to, first, shape })
    }

    /// The data that a form is. Within a quote the brackets differ no more than by their shape.
    pub(super) fn quoted(&self, form: &Form) -> Compiled<Value> {
        Ok(match &form.kind {
            FormKind::Nil => Value::Nil,
            FormKind::Bool(truth) => Value::Bool(*truth),
            FormKind::Int(number) => Value::Int(*number),
            FormKind::Double(number) => Value::Double(*number),
            FormKind::Str(text) => Value::Str(text.clone()),
            FormKind::Keyword(name) => Value::Keyword(name.clone()),
            FormKind::Symbol(name) => Value::Symbol(name.clone()),
            FormKind::List(parts) | FormKind::Vector(parts) => {
                let items: Compiled<List> = parts.iter().map(|part| self.quoted(part)).collect();
                Value::List(items?)
            }
            FormKind::Map(parts) => {
                let mut members = Vec::with_capacity(parts.len() / 2);
                for pair in parts.chunks_exact(2) {
                    members.push((key(&pair[0])?, self.quoted(&pair[1])?));
                }
                match Map::from_unique(members) {
                    Ok(map) => Value::Map(map),
                    Err(twice) => {
                        let what = format!("the key {} stands twice", shown(&twice));
                        return wrong(form.span, what, "each key once");
                    }
                }
            }
        })
    }
}

/// Whether a form is data, with no name or call in it.
fn is_literal(form: &Form) -> bool {
    match &form.kind {
        FormKind::Symbol(_) | FormKind::List(_) => false,
        FormKind::Vector(parts) => parts.iter().all(is_literal),
        FormKind::Map(parts) => parts.chunks_exact(2).all(|pair| is_literal(&pair[1])),
        _ => true,
    }
}

fn key(form: &Form) -> Compiled<Str> {
    match &form.kind {
        FormKind::Keyword(name) | FormKind::Str(name) => Ok(name.clone()),
        _ => wrong(
            form.span,
            "a key that is neither keyword nor string",
            "`:name` or `\"name\"`; with a computed key, `(assoc map key value)`",
        ),
    }
}
