//! What holds of any program and any data, tried on random ones.

use fedsx_sx::budget::Limits;
use fedsx_sx::data::Value;
use fedsx_sx::fuzz::{Choices, rebuilt, sx_eval, sx_read};
use fedsx_sx::host::Host;
use fedsx_sx::print::print;
use fedsx_sx::program::{Outcome, Program};
use proptest::prelude::*;

const LIMITS: Limits = Limits { fuel: 50_000 };

fn outcome(program: &Program, input: &Value) -> Outcome {
    match program.parameters() {
        Some(_) => program.call([input.clone()], LIMITS),
        None => program.eval(LIMITS),
    }
}

proptest! {
    #[test]
    fn any_bytes_read_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        sx_read(&bytes);
    }

    #[test]
    fn any_text_reads_or_is_refused(text in r#"[()\[\]{}:a"\\ 1.;\n-]{0,60}"#) {
        sx_read(text.as_bytes());
    }

    #[test]
    fn any_source_compiles_or_is_refused(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "(", ")", "(", ")", "[", "]", "{", "}", "if", "let", "fn", "define", "guard", "cond",
                "case", "else", "quote", "&rest", "x", "f", "1", "\"a\"", ":k", "nil", "((x 1))", "(x)",
                "map", "+", "apply", "and",
            ]),
            0..40,
        ),
    ) {
        sx_eval(format!("({}", words.join(" ")).as_bytes());
    }

    #[test]
    fn programs_keep_to_their_bounds_and_to_their_word(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        sx_eval(&bytes);
    }

    #[test]
    fn every_thread_comes_to_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let source = Choices::new(&bytes).program();
        let program = Program::compile(&source, &Host::new());
        prop_assume!(program.is_ok());
        let program = program.expect("assumed");
        let input = Choices::new(&bytes).data(4);
        let here = outcome(&program, &input);
        let there = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| outcome(&program.clone(), &rebuilt(&input))))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        for other in there {
            prop_assert_eq!(&other, &here, "{}", source);
        }
        // Compiled anew, too.
        let again = Program::compile(&source, &Host::new()).expect("as before");
        prop_assert_eq!(print_outcome(&outcome(&again, &input)), print_outcome(&here));
    }

    #[test]
    fn data_prints_and_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let value = Choices::new(&bytes).data(5);
        let quoted = format!("(quote {})", print(&value));
        // A headed object is a call to a program; all else is data.
        prop_assume!(!quoted.contains("(type") && !print(&value).contains('('));
        let program = Program::compile(&quoted, &Host::new());
        prop_assert!(program.is_ok(), "{}", quoted);
        let read = program.expect("checked").eval(Limits { fuel: 10 }).result;
        prop_assert_eq!(read, Ok(value));
    }
}

/// Functions are equal to themselves alone, but print alike.
fn print_outcome(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(value) => format!("{} {}", print(value), outcome.fuel_used),
        Err(error) => format!("{error} {}", outcome.fuel_used),
    }
}

#[test]
fn most_of_the_programs_tried_compile_and_come_to_something() {
    let (mut compiled, mut valued) = (0, 0);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let bytes = proptest::collection::vec(any::<u8>(), 100..400);
    for _ in 0..300 {
        let tree = bytes
            .new_tree(&mut runner)
            .expect("a strategy that never fails");
        let bytes = proptest::strategy::ValueTree::current(&tree);
        let source = Choices::new(&bytes).program();
        if let Ok(program) = Program::compile(&source, &Host::new()) {
            compiled += 1;
            let input = Choices::new(&bytes).data(4);
            valued += usize::from(outcome(&program, &input).result.is_ok());
        }
    }
    assert!(
        compiled >= 270 && valued >= 120,
        "{compiled} compile, {valued} have a value"
    );
}
