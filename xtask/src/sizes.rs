//! The shape of files: their size, their head, their names.
//!
//! Absent: the length of functions, which clippy counts (`too_many_lines`, threshold in `clippy.toml`).

use crate::findings::Finding;
use crate::source;
use crate::sources::{Kind, Source};

/// Lines of a file outside its tests.
const LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const DRAWERS: &[&str] = &[
    "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils",
];

/// All rules of this file on every file.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in sources {
        found.extend(size(file));
        found.extend(head(file));
        found.extend(file_name(file));
        found.extend(item_names(file));
    }
    found
}

fn size(file: &Source) -> Option<Finding> {
    if file.kind == Kind::Test {
        return None;
    }
    let tests: usize = source::test_items(&file.code)
        .into_iter()
        .map(|span| file.code[span].lines().count())
        .sum();
    let lines = file.text.lines().count() - tests;
    (lines > LINES_MAX).then(|| {
        Finding::of_file(
            &file.path,
            format!("{lines} lines without tests, at most {LINES_MAX}; split it by topic"),
        )
    })
}

fn head(file: &Source) -> Option<Finding> {
    (!file.text.starts_with("//!")).then(|| {
        Finding::of_file(&file.path, "does not open with `//!`: what it owns, its invariant, what is absent, the spec it follows")
    })
}

fn file_name(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    if file.path.ends_with("/mod.rs") {
        found.push(Finding::of_file(
            &file.path,
            "is a mod.rs; name the file after the module, beside its folder",
        ));
    }
    let drawer = file
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| is_drawer(part));
    if let Some(part) = drawer {
        found.push(Finding::of_file(
            &file.path,
            format!("`{part}` says nothing; name it after what is inside"),
        ));
    }
    found
}

/// Modules inside a file, and types.
fn item_names(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for keyword in ["mod", "struct", "enum", "trait", "type", "union"] {
        for at in source::mentions(&file.code, keyword) {
            let rest = file.code[at + keyword.len()..].trim_start();
            let end = rest
                .find(|character: char| !character.is_alphanumeric() && character != '_')
                .unwrap_or(rest.len());
            let name = &rest[..end];
            if is_drawer(last_word(name)) {
                let line = source::line_of(&file.code, at);
                found.push(Finding::at(
                    &file.path,
                    line,
                    format!("{keyword} `{name}` says nothing; name it after what it is or does"),
                ));
            }
        }
    }
    found
}

/// `FollowManager` → `Manager`, `file_utils` → `utils`.
fn last_word(name: &str) -> &str {
    let from = name
        .rfind(|character: char| character.is_uppercase())
        .unwrap_or(0);
    let word = &name[from..];
    word.rsplit('_').next().unwrap_or(word)
}

fn is_drawer(word: &str) -> bool {
    DRAWERS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::report;

    fn product(path: &str, text: &str) -> Source {
        Source::new("fedsx-http", path, text, Kind::Product)
    }

    #[test]
    fn tests_do_not_count_towards_the_size() {
        let body = "//! Head.\n".to_owned() + &"fn a() {}\n".repeat(499);
        let tests = "#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n".to_owned();
        assert_eq!(
            report(check(&[product("a.rs", &(body.clone() + &tests))])),
            ""
        );
        let long = body + "fn a() {}\n" + &tests;
        assert_ne!(report(check(&[product("a.rs", &long)])), "");
        assert_eq!(
            report(check(&[Source::new("a", "tests/a.rs", &long, Kind::Test)])),
            ""
        );
    }

    #[test]
    fn shapeless_files_are_reported() {
        let long = "fn a() {}\n".repeat(501);
        insta::assert_snapshot!(report(check(&[
            product("crates/fedsx-http/src/router.rs", &long),
            product("crates/fedsx-http/src/page/mod.rs", "//! Pages.\n"),
            product("crates/fedsx-http/src/utils.rs", "//! Things.\n"),
            product("crates/fedsx-http/src/inbox.rs", "//! The inbox.\n// struct Manager\nstruct InboxManager;\nmod helpers {}\n"),
        ])), @r#"
        crates/fedsx-http/src/inbox.rs:3: struct `InboxManager` says nothing; name it after what it is or does
        crates/fedsx-http/src/inbox.rs:4: mod `helpers` says nothing; name it after what it is or does
        crates/fedsx-http/src/page/mod.rs: is a mod.rs; name the file after the module, beside its folder
        crates/fedsx-http/src/router.rs: 501 lines without tests, at most 500; split it by topic
        crates/fedsx-http/src/router.rs: does not open with `//!`: what it owns, its invariant, what is absent, the spec it follows
        crates/fedsx-http/src/utils.rs: `utils` says nothing; name it after what is inside
        "#);
    }
}
