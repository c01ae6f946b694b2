//! The compiler and the machine beside the plainest evaluator there is: a walk over the forms with a
//! list of names. Both come to the same value, or the same kind of error.
//!
//! Standard functions are those of the crate in both; what is compared is names, scopes, special forms,
//! calls and the order in which errors show.

use std::rc::Rc;

use fedsx_sx::budget::Limits;
use fedsx_sx::data::{List, Map, Str, Value};
use fedsx_sx::error::Code;
use fedsx_sx::fuzz::Choices;
use fedsx_sx::host::Host;
use fedsx_sx::primitives;
use fedsx_sx::print::print;
use fedsx_sx::program::Program;
use fedsx_sx::read::{DEPTH, Form, FormKind, read_all};
use proptest::prelude::*;

#[derive(Clone)]
enum Plain {
    Data(Value),
    Standard(Str),
    Closure(Rc<Closure>),
}

struct Closure {
    parameters: Vec<Str>,
    rest: Option<Str>,
    body: Vec<Form>,
    scope: Scope,
}

type Scope = Option<Rc<Bound>>;

struct Bound {
    name: Str,
    value: Plain,
    outer: Scope,
}

/// `None`: it took too long, or did what the reference can't.
type Answer = Result<Plain, Option<Code>>;

struct Reference {
    definitions: Vec<(Str, Vec<Str>, Vec<Form>)>,
    left: usize,
}

const NIL: Plain = Plain::Data(Value::Nil);

fn bind(scope: &Scope, name: Str, value: Plain) -> Scope {
    Some(Rc::new(Bound {
        name,
        value,
        outer: scope.clone(),
    }))
}

fn truth(value: &Plain) -> bool {
    !matches!(value, Plain::Data(Value::Nil | Value::Bool(false)))
}

fn data(value: Plain) -> Result<Value, Option<Code>> {
    match value {
        Plain::Data(value) => Ok(value),
        _ => Err(None),
    }
}

fn parts(form: &Form) -> &[Form] {
    match &form.kind {
        FormKind::List(parts) => parts,
        _ => &[],
    }
}

fn symbol(form: &Form) -> Option<&Str> {
    match &form.kind {
        FormKind::Symbol(name) => Some(name),
        _ => None,
    }
}

/// Evaluates a source without names by the crate: data, and standard functions on data.
fn by_the_crate(source: &str, arguments: Vec<Value>) -> Answer {
    let program = Program::compile(source, &Host::new()).map_err(|_| None)?;
    let outcome = match arguments.is_empty() {
        true => program.eval(Limits::default()),
        false => program.call(arguments, Limits::default()),
    };
    match outcome.result {
        Ok(Value::Function(_)) => Err(None),
        Ok(value) => Ok(Plain::Data(value)),
        Err(error) if error.code.is_bound() => Err(None),
        Err(error) => Err(Some(error.code)),
    }
}

impl Reference {
    fn eval(&mut self, form: &Form, scope: &Scope, depth: usize) -> Answer {
        self.left = self.left.checked_sub(1).ok_or(None)?;
        if depth > 400 {
            return Err(None);
        }
        match &form.kind {
            FormKind::Symbol(name) => self.name(name, scope),
            FormKind::Vector(items) => {
                let items: Result<List, _> = items
                    .iter()
                    .map(|item| self.eval(item, scope, depth + 1).and_then(data))
                    .collect();
                Ok(Plain::Data(Value::List(items?)))
            }
            FormKind::Map(pairs) => {
                let mut map = Map::new();
                for pair in pairs.chunks(2) {
                    let (FormKind::Keyword(key) | FormKind::Str(key)) = &pair[0].kind else {
                        return Err(None);
                    };
                    map.insert(
                        key.clone(),
                        self.eval(&pair[1], scope, depth + 1).and_then(data)?,
                    );
                }
                Ok(Plain::Data(Value::Map(map)))
            }
            FormKind::List(parts) => {
                let (head, rest) = parts.split_first().ok_or(None)?;
                match symbol(head).and_then(|name| self.special(name, rest, scope, depth + 1)) {
                    Some(answer) => answer,
                    None => self.call(head, rest, scope, depth + 1),
                }
            }
            _ => by_the_crate(&fedsx_sx::print::print_form(form), Vec::new()),
        }
    }

    fn name(&self, name: &Str, scope: &Scope) -> Answer {
        let mut at = scope;
        while let Some(bound) = at {
            if bound.name == *name {
                return Ok(bound.value.clone());
            }
            at = &bound.outer;
        }
        if let Some((_, parameters, body)) = self.definitions.iter().find(|(have, ..)| have == name)
        {
            return Ok(Plain::Closure(Rc::new(Closure {
                parameters: parameters.clone(),
                rest: None,
                body: body.clone(),
                scope: None,
            })));
        }
        match primitives::names().any(|have| have == name.as_str()) {
            true => Ok(Plain::Standard(name.clone())),
            false => Err(None),
        }
    }

    fn body(&mut self, forms: &[Form], scope: &Scope, depth: usize) -> Answer {
        let mut last = NIL;
        for form in forms {
            last = self.eval(form, scope, depth)?;
        }
        Ok(last)
    }

    fn special(
        &mut self,
        name: &str,
        rest: &[Form],
        scope: &Scope,
        depth: usize,
    ) -> Option<Answer> {
        Some(match (name, rest) {
            ("if", [test, then, other]) => self
                .eval(test, scope, depth)
                .and_then(|test| self.eval(if truth(&test) { then } else { other }, scope, depth)),
            ("do", _) => self.body(rest, scope, depth),
            ("when", [test, body @ ..]) => self.eval(test, scope, depth).and_then(|test| {
                if truth(&test) {
                    self.body(body, scope, depth)
                } else {
                    Ok(NIL)
                }
            }),
            ("and" | "or", [a, b]) => self.eval(a, scope, depth).and_then(|a| {
                if truth(&a) == (name == "or") {
                    Ok(a)
                } else {
                    self.eval(b, scope, depth)
                }
            }),
            ("cond", clauses) => self.clauses(clauses, scope, depth),
            ("case", [value, clauses @ ..]) => self.case(value, clauses, scope, depth),
            ("let", [bindings, body @ ..]) => {
                let mut inner = scope.clone();
                for binding in parts(bindings) {
                    let [name, value] = parts(binding) else {
                        return Some(Err(None));
                    };
                    match self.eval(value, &inner, depth) {
                        Ok(value) => inner = bind(&inner, symbol(name)?.clone(), value),
                        Err(error) => return Some(Err(error)),
                    }
                }
                self.body(body, &inner, depth)
            }
            ("fn", [parameters, body @ ..]) => {
                let names: Vec<Str> = parts(parameters)
                    .iter()
                    .filter_map(symbol)
                    .cloned()
                    .collect();
                let split = names.iter().position(|name| name.as_str() == "&rest");
                Ok(Plain::Closure(Rc::new(Closure {
                    parameters: names[..split.unwrap_or(names.len())].to_vec(),
                    rest: split.map(|at| names[at + 1].clone()),
                    body: body.to_vec(),
                    scope: scope.clone(),
                })))
            }
            ("guard", [head, body @ ..]) => match self.body(body, scope, depth) {
                Err(Some(code)) => {
                    let error: Map = [("code", code.as_str()), ("message", "")].into();
                    let inner = bind(
                        scope,
                        symbol(&parts(head)[0])?.clone(),
                        Plain::Data(error.into()),
                    );
                    self.clauses(&parts(head)[1..], &inner, depth)
                }
                other => other,
            },
            ("quote", [data]) => by_the_crate(
                &format!("(quote {})", fedsx_sx::print::print_form(data)),
                Vec::new(),
            ),
            _ => return None,
        })
    }

    fn clauses(&mut self, clauses: &[Form], scope: &Scope, depth: usize) -> Answer {
        for clause in clauses {
            let (test, body) = parts(clause).split_first().ok_or(None)?;
            let otherwise = symbol(test).is_some_and(|name| name.as_str() == "else");
            if otherwise || truth(&self.eval(test, scope, depth)?) {
                return self.body(body, scope, depth);
            }
        }
        Ok(NIL)
    }

    fn case(&mut self, value: &Form, clauses: &[Form], scope: &Scope, depth: usize) -> Answer {
        let value = self.eval(value, scope, depth).and_then(data)?;
        for clause in clauses {
            let (values, body) = parts(clause).split_first().ok_or(None)?;
            let mut found = symbol(values).is_some();
            for listed in parts(values) {
                let listed = data(by_the_crate(
                    &fedsx_sx::print::print_form(listed),
                    Vec::new(),
                )?)?;
                let equal = by_the_crate("(fn (a b) (= a b))", vec![value.clone(), listed])?;
                found |= truth(&equal);
            }
            if found {
                return self.body(body, scope, depth);
            }
        }
        Ok(NIL)
    }

    fn call(&mut self, head: &Form, rest: &[Form], scope: &Scope, depth: usize) -> Answer {
        let mut arguments = Vec::new();
        for form in rest {
            arguments.push(self.eval(form, scope, depth)?);
        }
        let function = self.eval(head, scope, depth)?;
        self.apply(&function, arguments, depth)
    }

    fn apply(&mut self, function: &Plain, mut arguments: Vec<Plain>, depth: usize) -> Answer {
        match function {
            Plain::Data(_) => Err(Some(Code::Type)),
            Plain::Closure(closure) => {
                let parameters = closure.parameters.len();
                if arguments.len() < parameters
                    || (closure.rest.is_none() && arguments.len() > parameters)
                {
                    return Err(Some(Code::Arity));
                }
                let more: Result<List, _> = arguments
                    .split_off(parameters)
                    .into_iter()
                    .map(data)
                    .collect();
                let mut scope = closure.scope.clone();
                for (name, value) in closure.parameters.iter().zip(arguments) {
                    scope = bind(&scope, name.clone(), value);
                }
                if let Some(rest) = &closure.rest {
                    scope = bind(&scope, rest.clone(), Plain::Data(Value::List(more?)));
                }
                self.body(&closure.body, &scope, depth + 1)
            }
            Plain::Standard(name) => match (name.as_str(), &*arguments) {
                ("map" | "filter" | "every?", [function, list]) => {
                    let (function, items) = (function.clone(), list.clone());
                    self.walk(name, &function, data(items)?, depth)
                }
                ("reduce", [function, start, list]) => {
                    let (function, mut value) = (function.clone(), start.clone());
                    let Value::List(items) = data(list.clone())? else {
                        return Err(None);
                    };
                    for item in &items {
                        value =
                            self.apply(&function, vec![value, Plain::Data(item.clone())], depth)?;
                    }
                    Ok(value)
                }
                _ => {
                    let arguments: Result<Vec<_>, _> = arguments.into_iter().map(data).collect();
                    let arguments = arguments?;
                    let names: Vec<String> =
                        (0..arguments.len()).map(|at| format!("v{at}")).collect();
                    let names = names.join(" ");
                    by_the_crate(&format!("(fn ({names}) ({name} {names}))"), arguments)
                }
            },
        }
    }

    fn walk(&mut self, name: &str, function: &Plain, items: Value, depth: usize) -> Answer {
        let Value::List(items) = items else {
            return Err(None);
        };
        let mut made = Vec::new();
        for item in &items {
            let value = self.apply(function, vec![Plain::Data(item.clone())], depth)?;
            match name {
                "map" => made.push(data(value)?),
                "filter" if truth(&value) => made.push(item.clone()),
                "every?" if !truth(&value) => return Ok(Plain::Data(false.into())),
                _ => {}
            }
        }
        Ok(Plain::Data(if name == "every?" {
            true.into()
        } else {
            Value::List(made.into())
        }))
    }
}

/// What the reference makes of a source and an input.
fn reference(source: &str, input: &Value) -> Answer {
    let forms = read_all(source, DEPTH).map_err(|_| None)?;
    let (last, before) = forms.split_last().ok_or(None)?;
    let mut definitions = Vec::new();
    for form in before {
        let [_, head, body @ ..] = parts(form) else {
            return Err(None);
        };
        let names: Vec<Str> = parts(head).iter().filter_map(symbol).cloned().collect();
        definitions.push((names[0].clone(), names[1..].to_vec(), body.to_vec()));
    }
    let mut reference = Reference {
        definitions,
        left: 5_000,
    };
    let value = reference.eval(last, &None, 0)?;
    match &value {
        Plain::Closure(_) => reference.apply(&value, vec![Plain::Data(input.clone())], 0),
        _ => Ok(value),
    }
}

fn compare(bytes: &[u8]) -> bool {
    let source = Choices::new(bytes).program();
    let input = Choices::new(bytes).data(3);
    let Ok(program) = Program::compile(&source, &Host::new()) else {
        return false;
    };
    let expected = match reference(&source, &input) {
        Ok(value) => match data(value) {
            Ok(value) => Ok(print(&value)),
            Err(_) => return false,
        },
        Err(Some(code)) => Err(code),
        Err(None) => return false,
    };
    let limits = Limits { fuel: 100_000_000 };
    let outcome = match program.parameters() {
        Some(_) => program.call([input], limits),
        None => program.eval(limits),
    };
    let found = match outcome.result {
        Ok(value) => Ok(print(&value)),
        Err(error) if error.code.is_bound() => return false,
        Err(error) => Err(error.code),
    };
    assert_eq!(found, expected, "{source}");
    true
}

proptest! {
    #[test]
    fn the_machine_agrees_with_the_reference(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        compare(&bytes);
    }
}

#[test]
fn most_programs_can_be_compared() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let bytes = proptest::collection::vec(any::<u8>(), 20..300);
    let compared = (0..300)
        .filter(|_| {
            let tree = bytes
                .new_tree(&mut runner)
                .expect("a strategy that never fails");
            compare(&proptest::strategy::ValueTree::current(&tree))
        })
        .count();
    assert!(compared > 150, "{compared}");
}
