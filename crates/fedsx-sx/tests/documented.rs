//! `docs/sx.md` holds: its examples give what they say, and it tells of every standard function.

use fedsx_sx::budget::Limits;
use fedsx_sx::host::Host;
use fedsx_sx::primitives;
use fedsx_sx::print::print;
use fedsx_sx::program::Program;

const PAGE: &str = include_str!("../../../docs/sx.md");

/// What an expression comes to, as the page says it.
fn shown(source: &str) -> String {
    let program = match Program::compile(source, &Host::new()) {
        Ok(program) => program,
        Err(error) => return error.page(source),
    };
    match program.eval(Limits::default()).result {
        Ok(value) => print(&value),
        Err(error) => format!("error {}", error.code),
    }
}

/// The examples of the page: an expression in back quotes, an arrow, and a value or an error's code.
fn examples() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for (at, _) in PAGE.match_indices("` → ") {
        let before = &PAGE[..at];
        let start = before.rfind('`').expect("an expression in back quotes") + 1;
        let after = &PAGE[at + "` → ".len()..];
        let line = after.lines().next().unwrap_or_default();
        let result = line.strip_prefix('`').or(line.strip_prefix("error `"));
        let Some(result) = result else { continue };
        let end = result.find('`').expect("a result in back quotes");
        found.push((&before[start..], &line[..line.len() - result.len() + end]));
    }
    found
}

#[test]
fn the_examples_give_what_they_say() {
    let mut tried = 0;
    for (source, expected) in examples() {
        if source == "expression" {
            continue;
        }
        tried += 1;
        let expected = match expected.strip_prefix("error `") {
            Some(code) => format!("error {code}"),
            None => shown(expected.trim_start_matches('`')),
        };
        assert_eq!(shown(source), expected, "{source}");
    }
    assert!(tried > 140, "only {tried} examples found");
}

#[test]
fn every_standard_function_is_in_a_table_with_an_example() {
    let examples = examples();
    for name in primitives::names() {
        let row = format!("`({name} ");
        let bare = format!("`({name})`");
        assert!(
            PAGE.contains(&row) || PAGE.contains(&bare),
            "no row for {name}"
        );
        let called = [format!("({name} "), format!("({name})")];
        let shown = examples
            .iter()
            .any(|(source, _)| called.iter().any(|call| source.contains(call)));
        assert!(shown, "no example of {name}");
    }
}
