//! What must hold of any bytes, as functions that the fuzz targets and the property tests both call.
//!
//! They panic if it doesn't hold. A program is made of bytes by a grammar ([`Choices`]), so that most
//! of what is tried compiles and runs; other bytes are taken as they are.

use crate::budget::Limits;
use crate::data::{List, Map, Value};
use crate::host::Host;
use crate::layout;
use crate::print::{print, print_form};
use crate::program::{Outcome, Program};
use crate::read::{DEPTH, read_all};

/// Reading any bytes: what is read prints, and reads back as the same, in both layouts.
pub fn sx_read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(forms) = read_all(&text, DEPTH) else {
        assert!(
            layout::format(&text, DEPTH).is_err(),
            "only one of both reads it"
        );
        return;
    };
    let printed: Vec<String> = forms.iter().map(print_form).collect();
    let printed = printed.join(" ");
    let again = read_all(&printed, DEPTH).expect("what is printed reads");
    let reprinted: Vec<String> = again.iter().map(print_form).collect();
    assert_eq!(printed, reprinted.join(" "));
    let laid_out = layout::format(&text, DEPTH).expect("what reads can be laid out");
    let twice = layout::format(&laid_out, DEPTH).expect("the layout reads");
    assert_eq!(laid_out, twice);
}

/// Evaluating any bytes, as a source if they begin with `(`, else as choices of a program: whatever
/// comes of it is within its bounds, and the same again, from inputs that were put together otherwise.
pub fn sx_eval(bytes: &[u8]) {
    let source = match bytes {
        [b'(', ..] => String::from_utf8_lossy(bytes).into_owned(),
        _ => Choices::new(bytes).program(),
    };
    let Ok(program) = Program::compile(&source, &Host::new()) else {
        return;
    };
    let input = Choices::new(bytes).data(4);
    let outcome = evaluate(&program, &input, FUEL);
    assert!(outcome.fuel_used <= FUEL, "{source}");
    if let Ok(value) = &outcome.result
        && value.weight() < REBUILT_WEIGHT
    {
        let text = print(value);
        assert_eq!(print(&rebuilt(value)), text);
        assert!(rebuilt(value).weight() == value.weight(), "{text}");
    }
    assert_eq!(
        evaluate(&program, &rebuilt(&input), FUEL),
        outcome,
        "{source}"
    );
    // With any less fuel the end is the same up to where the fuel ends.
    let less = evaluate(&program, &input, outcome.fuel_used.saturating_sub(1));
    if outcome.fuel_used > 0 && outcome.fuel_used < FUEL {
        let code = less.result.map_err(|error| error.code);
        assert_eq!(code, Err(crate::error::Code::Fuel), "{source}");
    }
}

const FUEL: u64 = 20_000;
/// Heavier values may nest deeper than `rebuilt`, which follows them natively, has stack for.
const REBUILT_WEIGHT: u64 = 1_000;

fn evaluate(program: &Program, input: &Value, fuel: u64) -> Outcome {
    let arguments = [input.clone(), input.clone(), input.clone()];
    match program.parameters() {
        Some(_) => program.call(arguments, Limits { fuel }),
        None => program.eval(Limits { fuel }),
    }
}

/// The same value, put together in another way: long lists and maps cut down instead of short ones
/// filled up. Functions stay what they are. Follows the value natively, so that it is for small ones.
#[must_use]
pub fn rebuilt(value: &Value) -> Value {
    match value {
        Value::List(list) => {
            let mut longer: List = (0..40).map(Value::Int).collect();
            for item in list {
                longer.push(rebuilt(item));
            }
            for _ in 0..40 {
                longer.pop_front();
            }
            Value::List(longer)
        }
        Value::Map(map) => {
            let mut larger: Map = (0..40_i64).map(|n| (format!("\u{1}{n}"), n)).collect();
            for (key, value) in map {
                larger.insert(key.clone(), rebuilt(value));
            }
            for n in 0..40 {
                larger.remove(&format!("\u{1}{n}"));
            }
            Value::Map(larger)
        }
        other => other.clone(),
    }
}

/// Bytes as the choices of a program or of data; when they are spent, the first choice is taken.
#[derive(Debug)]
pub struct Choices<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// The names in scope, with the kind of their values.
    names: Vec<(String, Kind)>,
    made: usize,
}

/// What an expression is meant to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Number,
    Truth,
    Text,
    List,
    Dict,
    Any,
}

const KINDS: [Kind; 6] = [
    Kind::Number,
    Kind::Truth,
    Kind::Text,
    Kind::List,
    Kind::Dict,
    Kind::Any,
];

impl<'a> Choices<'a> {
    /// Choices by these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            names: Vec::new(),
            made: 0,
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % count
    }

    fn kind(&mut self) -> Kind {
        KINDS[self.pick(KINDS.len())]
    }

    /// A value as documents hold them.
    pub fn data(&mut self, depth: usize) -> Value {
        let choices = if depth == 0 { 6 } else { 9 };
        match self.pick(choices) {
            0 => Value::Int(self.pick(8) as i64),
            1 => Value::Nil,
            2 => Value::Bool(self.pick(2) == 0),
            3 => Value::Double(self.pick(64) as f64 / 8.0 + 0.0625),
            4 | 5 => Value::from(["", "a", "type", "n", "é😀"][self.pick(5)]),
            6 | 7 => {
                let count = self.pick(4) * self.pick(9);
                Value::List((0..count).map(|_| self.data(depth - 1)).collect())
            }
            _ => {
                let count = self.pick(4) * self.pick(9);
                let member = |n: usize| {
                    (
                        format!("{}{n}", ["k", "n", "type", "é"][n % 4]),
                        self.data(depth - 1),
                    )
                };
                Value::Map((0..count).map(member).collect())
            }
        }
    }

    /// A source: some definitions, and a function of one parameter or an expression.
    pub fn program(&mut self) -> String {
        let mut source = String::new();
        for at in 0..self.pick(3) {
            let outer = std::mem::take(&mut self.names);
            self.names = vec![("n".into(), Kind::Number), ("acc".into(), Kind::Any)];
            let (end, step) = (self.expression(Kind::Any, 3), self.expression(Kind::Any, 2));
            let call = format!("(f{at} (- n 1) {step})");
            let call = if self.pick(4) == 3 {
                format!("[{call}]")
            } else {
                call
            };
            source += &format!("(define (f{at} n acc) (if (< n 1) {end} {call})) ");
            self.names = outer;
            self.made = at + 1;
        }
        if self.pick(4) == 3 {
            source + &self.expression(Kind::Any, 5)
        } else {
            self.names.push(("x".into(), Kind::Any));
            source + &format!("(fn (x) {})", self.expression(Kind::Any, 5))
        }
    }

    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.pick(8) == 0 {
            return self.atom(kind);
        }
        let depth = depth - 1;
        match self.pick(14) {
            0 => self.bound(kind, depth),
            1 => {
                let (test, then) = (
                    self.expression(Kind::Truth, depth),
                    self.expression(kind, depth),
                );
                format!("(if {test} {then} {})", self.expression(kind, depth))
            }
            2 => {
                let (test, then) = (
                    self.expression(Kind::Truth, depth),
                    self.expression(kind, depth),
                );
                format!(
                    "(cond ({test} {then}) (else {}))",
                    self.expression(kind, depth)
                )
            }
            3 => {
                let (value, then) = (
                    self.expression(Kind::Number, depth),
                    self.expression(kind, depth),
                );
                format!(
                    "(case {value} ((0 1) {then}) ((2) nil) (else {}))",
                    self.expression(kind, depth)
                )
            }
            4 => {
                let (body, other) = (self.expression(kind, depth), self.expression(kind, depth));
                format!("(guard (e ((= (get e :code) \"type\") {other}) (else nil)) {body})")
            }
            5 => {
                let (a, b) = (self.expression(kind, depth), self.expression(kind, depth));
                format!("({} {a} {b})", ["and", "or", "do", "when"][self.pick(4)])
            }
            6 if self.made > 0 => {
                let which = self.pick(self.made);
                let (n, acc) = (self.pick(12), self.expression(Kind::Any, depth));
                format!("(f{which} {n} {acc})")
            }
            7 => {
                let value = self.expression(Kind::Any, depth);
                let body = self.under("v", Kind::Any, kind, depth);
                format!("((fn (v &rest more) {body}) {value})")
            }
            _ => self.standard(kind, depth),
        }
    }

    /// A `let` of one or two names.
    fn bound(&mut self, kind: Kind, depth: usize) -> String {
        let of = self.kind();
        let value = self.expression(of, depth);
        let name = ["a", "b", "c"][self.pick(3)];
        let body = self.under(name, of, kind, depth);
        format!("(let (({name} {value})) {body})")
    }

    /// An expression that sees one more name.
    fn under(&mut self, name: &str, of: Kind, kind: Kind, depth: usize) -> String {
        self.names.push((name.into(), of));
        let body = self.expression(kind, depth);
        self.names.pop();
        body
    }

    fn atom(&mut self, kind: Kind) -> String {
        // Now and then a name that need not fit.
        let loose = kind == Kind::Any || self.pick(8) == 7;
        let fitting = self.names.iter().filter(|(_, have)| *have == kind || loose);
        let names: Vec<String> = fitting.map(|(name, _)| name.clone()).collect();
        if !names.is_empty() && self.pick(3) > 0 {
            return names[self.pick(names.len())].clone();
        }
        let choices: &[&str] = match kind {
            Kind::Number => &["0", "1", "7", "-3", "2.5", "9223372036854775807"],
            Kind::Truth => &["true", "false", "nil"],
            Kind::Text => &["\"a\"", ":k", "\"\"", "\"é😀x\""],
            Kind::List => &["[1 2 3]", "[]", "(range 30)", "nil", "[[2 1] [:a \"b\"]]"],
            Kind::Dict => &["{:a 1 :k [1]}", "{}", "{:type \"Note\" :n 1}"],
            Kind::Any => &["1", "nil", "\"s\"", "[1]", "{:a 1}", "inc", "(quote q)"],
        };
        choices[self.pick(choices.len())].into()
    }

    /// A call of a standard function that gives the kind, more or less.
    fn standard(&mut self, kind: Kind, depth: usize) -> String {
        let calls: &[(&str, &[Kind])] = match kind {
            Kind::Number => NUMBERS,
            Kind::Truth => TRUTHS,
            Kind::Text => TEXTS,
            Kind::List => return self.list(depth),
            Kind::Dict => DICTS,
            Kind::Any => {
                let kind = KINDS[self.pick(5)];
                return self.standard(kind, depth);
            }
        };
        let (name, parameters) = calls[self.pick(calls.len())];
        let arguments: Vec<String> = parameters
            .iter()
            .map(|kind| self.expression(*kind, depth))
            .collect();
        format!("({name} {})", arguments.join(" "))
    }

    fn list(&mut self, depth: usize) -> String {
        if self.pick(2) == 0 {
            let (name, parameters) = LISTS[self.pick(LISTS.len())];
            let arguments: Vec<String> = parameters
                .iter()
                .map(|kind| self.expression(*kind, depth))
                .collect();
            return format!("({name} {})", arguments.join(" "));
        }
        let list = self.expression(Kind::List, depth);
        self.names.push(("i".into(), Kind::Any));
        let text = match self.pick(6) {
            0 => format!(
                "(reduce (fn (acc i) {}) [] {list})",
                self.under("acc", Kind::List, Kind::List, depth)
            ),
            1 => format!(
                "(sort-by (fn (i) {}) {list})",
                self.expression(Kind::Any, depth)
            ),
            2 => format!(
                "(filter (fn (i) {}) {list})",
                self.expression(Kind::Truth, depth)
            ),
            3 => format!(
                "[(every? (fn (i) {}) {list})]",
                self.expression(Kind::Truth, depth)
            ),
            _ => format!(
                "(map (fn (i) {}) {list})",
                self.expression(Kind::Any, depth)
            ),
        };
        self.names.pop();
        text
    }
}

type Signatures = [(&'static str, &'static [Kind])];

const NUMBERS: &Signatures = &[
    ("+", &[Kind::Number, Kind::Number]),
    ("-", &[Kind::Number, Kind::Number]),
    ("*", &[Kind::Number, Kind::Number, Kind::Number]),
    ("/", &[Kind::Number, Kind::Number]),
    ("mod", &[Kind::Number, Kind::Number]),
    ("pow", &[Kind::Number, Kind::Number]),
    ("len", &[Kind::List]),
    ("inc", &[Kind::Number]),
    ("dec", &[Kind::Number]),
    ("max", &[Kind::Number, Kind::Number]),
    ("round", &[Kind::Number]),
    ("string-length", &[Kind::Text]),
    ("reduce + 0 (range 9)", &[]),
    ("or (index-of [1 :a 2] 2)", &[Kind::Number]),
    ("nth [1 2 3] 1", &[Kind::Number]),
];

const TRUTHS: &Signatures = &[
    ("<", &[Kind::Number, Kind::Number]),
    (">=", &[Kind::Number, Kind::Number]),
    ("=", &[Kind::Any, Kind::Any]),
    ("!=", &[Kind::Any, Kind::Any]),
    ("not", &[Kind::Any]),
    ("nil?", &[Kind::Any]),
    ("contains?", &[Kind::List, Kind::Any]),
    ("has-key?", &[Kind::Dict, Kind::Text]),
    ("starts-with?", &[Kind::Text, Kind::Text]),
    ("empty?", &[Kind::List]),
];

const TEXTS: &Signatures = &[
    ("str", &[Kind::Any, Kind::Any]),
    ("join", &[Kind::Text, Kind::List]),
    ("substring", &[Kind::Text, Kind::Number]),
    ("replace", &[Kind::Text, Kind::Text, Kind::Text]),
    ("upper", &[Kind::Text]),
    ("type-of", &[Kind::Any]),
    ("slice", &[Kind::Text, Kind::Number]),
];

const LISTS: &Signatures = &[
    ("list", &[Kind::Any, Kind::Any, Kind::Any]),
    ("cons", &[Kind::Any, Kind::List]),
    ("append", &[Kind::List, Kind::Any]),
    ("concat", &[Kind::List, Kind::List, Kind::List]),
    ("rest", &[Kind::List]),
    ("reverse", &[Kind::List]),
    ("flatten", &[Kind::List]),
    ("slice", &[Kind::List, Kind::Number]),
    ("sort", &[Kind::List]),
    ("distinct", &[Kind::List]),
    ("zip-pairs", &[Kind::List]),
    ("chunk-every", &[Kind::List, Kind::Number]),
    ("keys", &[Kind::Dict]),
    ("vals", &[Kind::Dict]),
    ("range", &[Kind::Number, Kind::Number]),
    ("split", &[Kind::Text, Kind::Text]),
    ("into", &[Kind::List, Kind::Dict]),
];

const DICTS: &Signatures = &[
    ("assoc", &[Kind::Dict, Kind::Text, Kind::Any]),
    ("dissoc", &[Kind::Dict, Kind::Text]),
    ("merge", &[Kind::Dict, Kind::Dict]),
    ("assoc-in {} [:a :k]", &[Kind::Any]),
    ("update-in {:a {:b 1}} [:a :b] str", &[Kind::Any]),
    ("dict", &[Kind::Text, Kind::Any]),
    ("group-by str", &[Kind::List]),
    ("merge {:k 1}", &[Kind::Dict]),
];
