//! Whatever a program tries, it ends soon, within its bounds, and says which one it met and where.

use fedsx_sx::budget::{FUEL, Limits, RESULT_BYTES, SOURCE_BYTES};
use fedsx_sx::data::Value;
use fedsx_sx::error::Code;
use fedsx_sx::host::Host;
use fedsx_sx::program::{Outcome, Program};

fn compiled(source: &str) -> Program {
    match Program::compile(source, &Host::new()) {
        Ok(program) => program,
        Err(error) => panic!("{}", error.page(source)),
    }
}

fn run(source: &str) -> Outcome {
    compiled(source).eval(Limits::default())
}

fn code(source: &str) -> Code {
    run(source).result.expect_err(source).code
}

#[test]
fn programs_that_would_not_end_do() {
    for (source, expected) in [
        ("(define (f) (f)) (f)", Code::Fuel),
        ("(define (f x) (f (+ x 1))) (f 0)", Code::Fuel),
        (
            "(define (f x) (g x)) (define (g x) (f x)) (f 0)",
            Code::Fuel,
        ),
        ("(define (f x) (f (str x x))) (f \"a\")", Code::Memory),
        ("(define (f x) (f [x x])) (f 1)", Code::Memory),
        ("(define (f x) (f {:a x :b x})) (f 1)", Code::Memory),
        ("(define (f x) (f (cons x x))) (f [])", Code::Memory),
        ("(define (f x) (f (concat x x))) (f [1])", Code::Memory),
        ("(define (f x) (f (append x 1))) (f [])", Code::Memory),
        (
            "(define (f m n) (f (assoc m (str n) n) (inc n))) (f {} 0)",
            Code::Memory,
        ),
        ("(define (f x) (f (fn () x))) (f 1)", Code::Fuel),
        ("(define (f x) (map f x)) (f [1])", Code::Type),
        ("(define (f x) (map f [x x])) (f 1)", Code::Depth),
        (
            "(define (f n) (guard (e (else (f n))) (error \"x\"))) (f 1)",
            Code::Memory,
        ),
        (
            "(define (f n) (guard (e (else 1)) (f n))) (f 1)",
            Code::Depth,
        ),
        ("(guard (e (else 1)) (range 1000000000))", Code::Fuel),
        (
            "(guard (e (else 1)) (range 9223372036854775807))",
            Code::Fuel,
        ),
        (
            "(range -9223372036854775808 9223372036854775807)",
            Code::Fuel,
        ),
        (
            "(reduce (fn (s x) (replace s \"a\" \"aaaa\")) \"a\" (range 100))",
            Code::Fuel,
        ),
        (
            "(reduce (fn (s x) (join s [s s s])) \"a\" (range 100))",
            Code::Memory,
        ),
        ("(reduce (fn (s x) [s s]) 1 (range 100))", Code::Memory),
        ("(apply 1 (range 100000))", Code::Type),
    ] {
        assert_eq!(code(source), expected, "{source}");
    }
}

#[test]
fn what_shares_its_parts_is_counted_as_if_it_did_not() {
    let shared = |levels| {
        let source = (0..levels).map(|n| format!("(x{} [x{n} x{n}])", n + 1));
        format!("(let ((x0 [1]) {}) ", source.collect::<String>())
    };
    // As many parts as 2^19, which a comparison may not visit for nothing.
    let compared = run(&format!("{} (= x16 (concat x16 [])))", shared(16)));
    assert!(compared.fuel_used > 1 << 16, "{compared:?}");
    assert_eq!(
        code(&format!("{} (= x19 (concat x19 []))) ", shared(19))),
        Code::Fuel
    );
    assert_eq!(code(&format!("{} x18)", shared(18))), Code::Result);
    assert_eq!(code(&format!("{} (str x19))", shared(19))), Code::Result);
    assert_eq!(code(&format!("{} 1)", shared(40))), Code::Memory);
    // Equal weights are needed to be equal, and cost nothing to compare.
    let differ = run(&format!("{} (= x16 x15))", shared(16)));
    assert!(differ.fuel_used < 500, "{differ:?}");
}

#[test]
fn the_bounds_are_where_they_say() {
    let outcome = run("(define (f) (f)) (f)");
    assert_eq!(outcome.fuel_used, FUEL);
    // Fuel is exactly what a run takes.
    let program = compiled("(reduce + 0 (map inc (range 100)))");
    let full = program.eval(Limits::default());
    assert_eq!(
        program.eval(Limits {
            fuel: full.fuel_used
        }),
        full
    );
    let short = program.eval(Limits {
        fuel: full.fuel_used - 1,
    });
    assert_eq!(short.result.map_err(|error| error.code), Err(Code::Fuel));
    assert_eq!(short.fuel_used, full.fuel_used - 1);
    // A string weighs three bytes more than it has.
    let text = |bytes: usize| compiled(&format!("(fn (s) (slice s 0 {bytes}))"));
    let long = Value::from("a".repeat(RESULT_BYTES as usize));
    let call = |bytes| {
        let outcome = text(bytes).call([long.clone()], Limits::default());
        outcome.result.map_err(|error| error.code).map(|_| ())
    };
    assert_eq!(call(RESULT_BYTES as usize - 3), Ok(()));
    assert_eq!(call(RESULT_BYTES as usize - 2), Err(Code::Result));
    let source = |bytes: usize| format!("1{}", " ".repeat(bytes - 1));
    compiled(&source(SOURCE_BYTES));
    Program::compile(&source(SOURCE_BYTES + 1), &Host::new()).expect_err("too long");
}

#[test]
fn evaluations_may_share_what_they_are_granted() {
    let program = compiled("(fn (n) (reduce + 0 (range n)))");
    let mut left = 2_000_000;
    for _ in 0..3 {
        let outcome = program.call([1_000.into()], Limits { fuel: left });
        assert_eq!(outcome.result, Ok(499_500.into()));
        left -= outcome.fuel_used;
    }
    assert!(left < 2_000_000);
}

#[test]
fn no_guard_catches_a_bound() {
    for (body, expected) in [
        ("(range 1000000)", Code::Fuel),
        ("(reduce (fn (s x) [s s]) 1 (range 100))", Code::Memory),
        ("(f)", Code::Depth),
    ] {
        let source = format!("(define (f) (do (f) 1)) (guard (e (else :caught)) {body})");
        assert_eq!(code(&source), expected);
    }
}

#[test]
fn a_caller_may_give_more_than_a_function_takes() {
    let two = [Value::Int(1), Value::Int(2)];
    let call = |source: &str| compiled(source).call(two.clone(), Limits::default()).result;
    assert_eq!(call("(fn (a) a)"), Ok(1.into()));
    assert_eq!(call("(fn () 7)"), Ok(7.into()));
    assert_eq!(call("(fn (a b) (- a b))"), Ok((-1).into()));
    assert_eq!(call("(fn (a &rest r) (len r))"), Ok(1.into()));
    assert_eq!(call("(define (f a) (inc a)) f"), Ok(2.into()));
    assert_eq!(call("(define k 5) (fn (a) (+ a k))"), Ok(6.into()));
    assert_eq!(call("(let ((k 5)) (fn (a) (+ a k)))"), Ok(6.into()));
    let error = |source| call(source).expect_err("no function for two").code;
    assert_eq!(error("(fn (a b c) a)"), Code::Arity);
    assert_eq!(error("5"), Code::Type);
    assert_eq!(compiled("(fn (a b) a)").parameters(), Some(2));
    assert_eq!(compiled("(define (f a) a) f").parameters(), Some(1));
    assert_eq!(compiled("5").parameters(), None);
}

#[test]
fn a_host_adds_functions() {
    let host = Host::new().with("double", 1, |budget, arguments| {
        budget.spend(10)?;
        match &arguments[0] {
            Value::Int(number) => Ok(Value::Int(number * 2)),
            _ => Err(fedsx_sx::error::Fault::host("`double` takes an integer")),
        }
    });
    let eval = |source: &str| {
        let program = Program::compile(source, &host).expect("it compiles");
        program.eval(Limits::default())
    };
    assert_eq!(eval("(double 4)").result, Ok(8.into()));
    assert_eq!(eval("(map double [1 2])").result, Ok(vec![2_i64, 4].into()));
    assert!(eval("(double 4)").fuel_used > 10);
    let caught = eval("(guard (e (else (get e :message))) (double nil))");
    assert_eq!(caught.result, Ok("`double` takes an integer".into()));
    Program::compile("(double)", &host).expect_err("one argument");
    Program::compile("(double 1)", &Host::new()).expect_err("unknown to others");
}

#[test]
fn a_program_may_go_to_any_thread() {
    const fn sent<T: Send + Sync + Clone>() {}
    sent::<Program>();
    sent::<Value>();
}

#[test]
fn hostile_sources_compile_or_are_refused_soon() {
    let names = |count| (0..count).map(|n| format!("a{n} ")).collect::<String>();
    let numbers = |count| (0..count).map(|n| format!("{n} ")).collect::<String>();
    for source in [
        format!("(fn ({}) [{}])", names(1_000), "a0 ".repeat(900)),
        format!("(fn (x) (case x (({}) 1)))", numbers(11_000)),
        format!(
            "{}1",
            (0..2_500)
                .map(|n| format!("(define a{n} a{}) ", n.max(1) - 1))
                .collect::<String>()
        ),
        format!("[{}]", numbers(11_000)),
        format!("[{} (+ 1 1)]", numbers(900)),
        format!("(+ {})", "1 ".repeat(900)),
        format!("(do {})", "(guard (e (else 1)) 1) ".repeat(2_600)),
        format!("(fn (x) (cond {} :else 1))", "(= x 1) x ".repeat(6_000)),
        format!("(fn (x) (and {}))", "x ".repeat(30_000)),
        format!(
            "(let ({}) 1)",
            (0..1_000)
                .map(|n| format!("(a{n} {n}) "))
                .collect::<String>()
        ),
        format!("{}x{}", "(fn (x) [x x ".repeat(120), "])".repeat(120)),
    ] {
        // Refused or not, it takes no more than what shows as a slow test.
        if let Ok(program) = Program::compile(&source, &Host::new()) {
            drop(program.eval(Limits::default()));
        }
    }
}
