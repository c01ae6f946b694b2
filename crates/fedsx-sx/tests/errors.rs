//! How errors look: of sources that mean nothing, and of programs that go wrong.

use std::fmt::Write as _;

use fedsx_sx::budget::Limits;
use fedsx_sx::error::Code;
use fedsx_sx::host::Host;
use fedsx_sx::program::Program;
use fedsx_sx::session::Session;

#[test]
fn sources_that_mean_nothing() {
    let mut page = String::new();
    for source in [
        "",
        "; nothing",
        "(+ 1",
        "1 2",
        "(define x 1)",
        "(define x 1) (define x 2) x",
        "(define if 1) 1",
        "(define (f else) 1) 1",
        "(define) 1",
        "(define (f)) f",
        "(define ((f)) 1) 1",
        "(define x y) (define y 1) x",
        "(let ((x 1)) (define y 2) y)",
        "()",
        "(unknown 1 2)",
        "(map (fn (x)\n       (+ x why)) [1])",
        "(let ((x 1)) (fn (y) (+ x z)))",
        "if",
        "(if)",
        "(if 1 2 3 4)",
        "(let (x 1) x)",
        "(let ((x)) x)",
        "(let ((x 1)))",
        "(let ((1 x)) x)",
        "(fn)",
        "(fn x x)",
        "(fn (x))",
        "(fn (x y x) x)",
        "(fn (x &rest) x)",
        "(fn (&rest a b) a)",
        "(fn (\"a\") 1)",
        "(cond (1 2 3) 4)",
        "(cond ((= 1 1)))",
        "(cond (else 1) ((= 1 1) 2))",
        "(cond :else 1 2 3)",
        "(cond (< 1 2) (f 3))",
        "(case)",
        "(case 1 (1 2))",
        "(case 1 ((1) 2) ((2 1) 3))",
        "(case 1 ((:a) 2) ((\"a\") 3))",
        "(case 1 ((1)))",
        "(case 1 (else 1) ((2) 2))",
        "(guard (e) 1)",
        "(guard (e (true 1)) 2)",
        "(guard e 2)",
        "(quote)",
        "(quote {a 1})",
        "(quote {:a 1 :a 2})",
        "{:a 1 :b (+ 1 2) \"a\" 3}",
        "{inc 1}",
        "(:a {:a 1})",
        "(\"f\" 1)",
        "([1] 0)",
        "(len)",
        "(len [] [])",
        "(assoc {} :a)",
        "(sort-by inc)",
        "(define (f a b) a) (f 1)",
        "(define (f a &rest b) a) (f)",
        "(fn (x) 'x)",
        "(let ((a-name-that-is-much-longer-than-anybody-would-want 1)) other-name-that-is-much-longer-than-anybody-would-want)",
    ] {
        let error = Program::compile(source, &Host::new()).expect_err(source);
        writeln!(page, "{}", error.page(source)).expect("a string");
    }
    insta::assert_snapshot!("sources_that_mean_nothing", page);
}

#[test]
fn programs_that_go_wrong() {
    let mut page = String::new();
    for source in [
        "(+ 1 \"a\")",
        "(let ((x nil))\n  (* 2\n     x))",
        "(- :a 1)",
        "(inc nil)",
        "(< 1 \"a\")",
        "(if (< nil 1) 1 2)",
        "(+ 9223372036854775807 1)",
        "(* 1e300 1e300)",
        "(/ 1 0)",
        "(mod 1 0)",
        "(pow 0 -1)",
        "(let ((f 5)) (f 1))",
        "(map 5 [1])",
        "(map inc 5)",
        "(map (fn (a b) a) [1])",
        "(apply inc [1 2])",
        "(reduce + \"a\" [1])",
        "(sort-by (fn (x) inc) [1 2])",
        "(group-by inc [1])",
        "(get \"abc\" 1)",
        "(get {} 1)",
        "(get-in {:a 1} [:a :b])",
        "(assoc [] :a 1)",
        "(assoc {} 1 1)",
        "(assoc {} :a 1 :b)",
        "(update {:a nil} :a inc)",
        "(nth [1] -1)",
        "(into 5 [])",
        "(into {} [[1 2 3]])",
        "(str (error \"boo\"))",
        "(error {:code \"fuel\" :message \"again\"})",
        "(error 5)",
        "(assert (= 1 2))",
        "(assert nil \"one is not two\")",
        "(define (f) x) (define y (f)) (define x 1) y",
        "(= (fn () 1) 2)",
        "(define (f n)\n  (+ 1 (f n)))\n(f 1)",
        "(define (f) (f)) (f)",
        "(range 1000000)",
        "(reduce (fn (s n) [s s]) 1 (range 60))",
        "(reduce (fn (s n) (str s s)) \"ab\" (range 20))",
    ] {
        let program = Program::compile(source, &Host::new()).map_err(|error| error.page(source));
        let program = program.unwrap_or_else(|page| panic!("{page}"));
        let error = program.eval(Limits::default()).result.expect_err(source);
        writeln!(page, "{}", error.page(source)).expect("a string");
    }
    insta::assert_snapshot!("programs_that_go_wrong", page);
}

#[test]
fn a_file_may_be_named() {
    let source = "(fn (act)\n  (get act))";
    let error = Program::compile(source, &Host::new()).expect_err("an argument is missing");
    insta::assert_snapshot!(
        "a_file_is_named_by_the_compiler",
        error.page_of("endorse.sx", source)
    );
    let source = "(len\n 1)";
    let program = Program::compile(source, &Host::new()).expect("it compiles");
    let error = program
        .eval(Limits::default())
        .result
        .expect_err("no length");
    insta::assert_snapshot!(
        "a_file_is_named_by_the_evaluator",
        error.page_of("endorse.sx", source)
    );
}

#[test]
fn what_guard_binds() {
    let value = |body: &str| {
        let source = format!("(guard (e (else e)) {body})");
        let program = Program::compile(&source, &Host::new()).expect("it compiles");
        let value = program
            .eval(Limits::default())
            .result
            .expect("a guard catches it");
        fedsx_sx::print::print(&value)
    };
    let mut page = String::new();
    for body in [
        "(+ 1 nil)",
        "(error \"no\" [1 2])",
        "(guard (e (else (error e))) (error \"inner\" 5))",
        "(guard (e (else (error (str \"again: \" (get e :message))))) (error \"inner\"))",
        "(map (fn (x) (/ 1 x)) [1 0])",
        "(guard (e ((= 1 2) 1) (else (get e :code))) (nth [] -1))",
    ] {
        writeln!(page, "{body}\n    {}", value(body)).expect("a string");
    }
    insta::assert_snapshot!("what_guard_binds", page);
}

#[test]
fn a_session_keeps_what_it_is_told() {
    let mut session = Session::new(Host::new());
    let mut page = String::new();
    for entry in [
        "(+ 1 2)",
        "(define x 5)",
        "(define (double n)\n  (* n 2))",
        "(double x)",
        "(define x 7) (double x)",
        "(double \"a\")",
        "y",
        "(define y (double x)) (define z",
        "(define y (double x)) (+ y)",
        "(double 1\n   2)",
        "1 2",
        "",
    ] {
        let answer = match session.enter(entry, Limits::default()) {
            Ok(answer) => format!("{:?} defined {:?}\n", answer.value, answer.defined),
            Err(error) if error.is_unfinished => format!("unfinished\n{error}"),
            Err(error) => error.to_string(),
        };
        write!(page, "> {entry}\n{answer}").expect("a string");
    }
    insta::assert_snapshot!("a_session_keeps_what_it_is_told", page);
}

#[test]
fn codes_are_stable() {
    let codes = [
        Code::Fuel,
        Code::Memory,
        Code::Depth,
        Code::Result,
        Code::Type,
        Code::Arity,
        Code::Overflow,
        Code::Division,
        Code::Range,
        Code::Undefined,
        Code::Raised,
        Code::Assertion,
        Code::Host,
    ];
    let names: Vec<String> = codes.iter().map(Code::to_string).collect();
    assert_eq!(
        names.join(" "),
        "fuel memory depth result type arity overflow division range undefined raised assertion host"
    );
}
