//! Nothing that comes in makes the native stack grow: all of this runs on a stack of 2 MiB, in a build
//! without optimisation too.

use fedsx_sx::budget::{DEPTH, Limits};
use fedsx_sx::data::{List, Map, Value};
use fedsx_sx::error::Code;
use fedsx_sx::host::Host;
use fedsx_sx::print::print;
use fedsx_sx::program::{Outcome, Program};

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the stack of a test's own thread has no known size"
    )]
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .expect("a thread");
    thread.join().expect("it fits the stack");
}

fn run(source: &str) -> Outcome {
    let program = match Program::compile(source, &Host::new()) {
        Ok(program) => program,
        Err(error) => panic!("{}", error.page(source)),
    };
    program.eval(Limits { fuel: 20_000_000 })
}

fn code(source: &str) -> Option<Code> {
    run(source).result.err().map(|error| error.code)
}

const LEVELS: usize = 200_000;

fn nested(wrap: impl Fn(Value) -> Value) -> Value {
    (0..LEVELS).fold(Value::Nil, |inner, _| wrap(inner))
}

#[test]
fn deep_values_are_compared_printed_and_freed() {
    on_a_small_stack(|| {
        let wraps: [fn(Value) -> Value; 4] = [
            |inner| Value::List(vec![inner].into()),
            |inner| Value::Map([("a", inner)].into()),
            |inner| Value::List((0..30).map(Value::Int).chain([inner]).collect()),
            |inner| {
                let mut map: Map = (0..30_i64).map(|n| (format!("k{n}"), n)).collect();
                map.insert("a", inner);
                Value::Map(map)
            },
        ];
        for (at, wrap) in wraps.into_iter().enumerate() {
            let levels = if at < 2 { LEVELS } else { LEVELS / 20 };
            let deep = |end: Value| (0..levels).fold(end, |inner, _| wrap(inner));
            let (value, same, other) = (deep(Value::Nil), deep(Value::Nil), deep(1.into()));
            assert!(value == same);
            assert!(value != other);
            assert!(print(&value).len() > levels);
            assert!(format!("{value:?}").len() > levels);
            // Half of it is still held elsewhere.
            let half = match &value {
                Value::List(list) => list.get(0).cloned(),
                _ => None,
            };
            drop(value);
            drop(half);
            drop(other);
        }
    });
}

#[test]
fn deep_values_of_programs_are_as_good_as_others() {
    on_a_small_stack(|| {
        for make in [
            "(list acc)",
            "{:a acc}",
            "(cons acc [1])",
            "(assoc {} :a acc)",
            "[acc acc]",
            "(fn () acc)",
            "[(fn () {:k acc})]",
        ] {
            let deep = format!("(define (deep n) (reduce (fn (acc x) {make}) nil (range n)))");
            for use_it in [
                "(do (deep 40000) 1)",
                "(len (str (deep 20000)))",
                "(= (deep 20000) (deep 20000))",
                "(len (sort [(deep 9000) (deep 9001) (deep 9000)]))",
                "(len (distinct [(deep 9000) (deep 9001) (deep 9000)]))",
                "(deep 30000)",
            ] {
                let outcome = run(&format!("{deep} {use_it}"));
                match outcome.result {
                    Ok(_) => {}
                    // `[acc acc]` doubles in weight, and functions can't be compared.
                    Err(error) if make == "[acc acc]" => assert_eq!(error.code, Code::Memory),
                    Err(error) if make.contains("fn") => {
                        assert_eq!(error.code, Code::Type, "{make} {use_it}");
                    }
                    Err(error) => panic!("{make} {use_it}: {error}"),
                }
            }
        }
    });
}

#[test]
fn sources_nested_to_the_bound_compile_and_run() {
    on_a_small_stack(|| {
        for (open, inner, close) in [
            ("(+ 1 ", "1", ")"),
            ("(if true ", "1", ")"),
            ("(if ", "true", " true false)"),
            ("(not ", "true", ")"),
            ("[", "inc", "]"),
            ("[", "1", "]"),
            ("{:a ", "inc", "}"),
            ("(do 1 ", "1", ")"),
            ("(and 1 ", "1", ")"),
            ("(if (and 1 ", "1", ") 1)"),
            ("(or nil ", "1", ")"),
            ("(when true ", "1", ")"),
            ("(cond (true ", "1", "))"),
            ("(cond true ", "1", ")"),
            ("(case 1 ((1) ", "1", "))"),
            ("(let ((x ", "1", ")) x)"),
            ("(let ((x 1)) ", "1", ")"),
            ("(fn (x) ", "1", ")"),
            ("((fn (x) ", "1", ") 1)"),
            ("(guard (e (else 1)) ", "1", ")"),
            ("(guard (e (else ", "1", ")) (error \"a\"))"),
            ("(map (fn (x) ", "1", ") [1])"),
            ("(apply list [", "1", "])"),
            ("(quote ", "1", ")"),
            ("(= ", "1", " 2)"),
            ("(get {:a 1} ", ":a", ")"),
            ("(str ", "1", ")"),
        ] {
            let levels = open.matches(['(', '[', '{']).count();
            let closed = open.matches([')', ']', '}']).count();
            let depth = 250 / (levels - closed).max(1) - 1;
            let source = open.repeat(depth) + inner + &close.repeat(depth);
            let program = Program::compile(&source, &Host::new());
            match program {
                Ok(program) => drop(program.eval(Limits::default())),
                Err(error) => panic!("{open}: {error}"),
            }
        }
    });
}

#[test]
fn deep_recursion_is_a_depth_error_whatever_recurses() {
    on_a_small_stack(|| {
        for body in [
            "(+ 1 (f (+ n 1)))",
            "[(f n)]",
            "{:a (f n)}",
            "(do (f n) 1)",
            "(guard (e (else 1)) (f n))",
            "(map f [n])",
            "(do (map f [n]) 1)",
            "(reduce (fn (a x) (f x)) 1 [n])",
            "(apply f [n] )",
            "(+ 1 (apply f [n]))",
            "(update {:a n} :a f)",
            "(sort-by f [1])",
            "(map (fn (x) (filter f [x])) [n])",
            "((fn (g) (do (g n) 1)) f)",
            "(let ((x (f n))) x)",
        ] {
            let source = format!("(define (f n) {body}) (f 1)");
            let expected = if body.starts_with("(apply") {
                Code::Memory
            } else {
                Code::Depth
            };
            assert_eq!(code(&source), Some(expected), "{body}");
        }
    });
}

#[test]
fn the_depth_is_what_it_says() {
    let recursion = |n| format!("(define (f n) (if (= n 0) 0 (+ 1 (f (- n 1))))) (f {n})");
    assert_eq!(code(&recursion(DEPTH)), None);
    assert_eq!(code(&recursion(DEPTH + 1)), Some(Code::Depth));
}

#[test]
fn tail_calls_take_no_depth() {
    for body in [
        "(if (= n 0) :done (f (- n 1)))",
        "(cond ((= n 0) :done) (else (f (- n 1))))",
        "(cond (= n 0) :done :else (f (- n 1)))",
        "(let ((m (- n 1))) (if (< m 0) :done (f m)))",
        "(do 1 (if (= n 0) :done (f (- n 1))))",
        "(and true (if (= n 0) :done (f (- n 1))))",
        "(or nil (if (= n 0) :done (f (- n 1))))",
        "(if (= n 0) :done (when true (f (- n 1))))",
        "(case n ((0) :done) (else (f (- n 1))))",
        "(if (= n 0) :done (apply f [(- n 1)]))",
        "(if (= n 0) :done ((fn (m) (f m)) (- n 1)))",
        "(if (= n 0) :done (let ((g f)) (g (- n 1))))",
        "(if (= n 0) :done (guard (e (else (f (- n 1)))) (error \"x\")))",
        "(if (= n 0) :done (first [(g (- n 1))]))",
    ] {
        let source = format!("(define (g n) n) (define (f n) {body}) (f 5000)");
        let outcome = run(&source);
        assert!(outcome.result.is_ok(), "{body}: {:?}", outcome.result);
    }
    let mutual = "(define (even n) (if (= n 0) true (odd (- n 1)))) \
                  (define (odd n) (if (= n 0) false (even (- n 1)))) (even 100001)";
    assert_eq!(run(mutual).result, Ok(Value::Bool(false)));
}

#[test]
fn a_deep_value_may_end_on_another_thread() {
    on_a_small_stack(|| {
        let value = nested(|inner| Value::List(vec![inner].into()));
        let list: List = vec![value.clone(), value].into();
        on_a_small_stack(move || drop(list));
    });
}
