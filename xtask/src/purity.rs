//! Words that a layer's product code may not contain: clocks, randomness, environment, files, unordered maps.
//!
//! Tests are left alone, and so are comments and strings.

use crate::findings::Finding;
use crate::layers::PURE;
use crate::source;
use crate::sources::{Kind, Source};

struct Ban {
    words: &'static [&'static str],
    /// Whether the ban holds for this package.
    holds: fn(&str) -> bool,
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["HashMap", "HashSet", "RandomState"],
        holds: is_pure,
        instead: "its order differs from run to run; use BTreeMap, or sx's Map",
    },
    Ban {
        words: &[
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "Uuid::now_v7",
        ],
        holds: is_pure,
        instead: "the time comes in as an argument",
    },
    Ban {
        words: &["Uuid::new_v4", "SystemRandom"],
        holds: is_pure,
        instead: "randomness comes in as an argument",
    },
    Ban {
        words: &[
            "std::thread",
            "std::net::TcpStream",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
        ],
        holds: is_pure,
        instead: "effects belong to the layers above",
    },
    Ban {
        words: &["std::env"],
        holds: is_library,
        instead: "only fedsx-cli reads the environment; libraries take plain structs",
    },
    Ban {
        words: &["process::exit", "process::abort", "process::Command"],
        holds: is_library,
        instead: "only fedsx-cli ends or starts processes; libraries answer with errors",
    },
    Ban {
        words: &["std::fs", "tokio::fs"],
        holds: |package| is_library(package) && package != "fedsx-store",
        instead: "only fedsx-store touches the disk",
    },
];

fn is_pure(package: &str) -> bool {
    PURE.contains(&package)
}

fn is_library(package: &str) -> bool {
    package.starts_with("fedsx-") && !["fedsx-cli", "fedsx-bench"].contains(&package)
}

/// The banned words of all product code.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.kind == Kind::Product) {
        for ban in BANS.iter().filter(|ban| (ban.holds)(&source.package)) {
            for word in ban.words {
                let lines = lines_with(&source.product, word);
                let what = format!("`{word}`: {}", ban.instead);
                found.extend(
                    lines
                        .into_iter()
                        .map(|line| Finding::at(&source.path, line, &what)),
                );
            }
        }
    }
    found
}

fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let grouped = source::grouped_imports(code);
    let imported = grouped
        .iter()
        .filter(|(_, path)| source::mentions(path, word).next().is_some())
        .map(|(at, _)| *at);
    source::mentions(code, word)
        .chain(imported)
        .map(|at| source::line_of(code, at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::report;

    #[test]
    fn effects_in_pure_code_are_reported() {
        let pure = "//! No HashMap here.\nuse std::{collections::HashMap, env};\nuse std::time::Instant;\n\
                    fn f() {\n    let now = Instant::now();\n    let text = \"std::fs\";\n}\n\
                    #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let store = "use std::fs::File;\nuse std::collections::HashMap;\nfn f() {\n    std::env::var(\"A\");\n}\n";
        let sources = [
            Source::new(
                "fedsx-core",
                "crates/fedsx-core/src/a.rs",
                pure,
                Kind::Product,
            ),
            Source::new(
                "fedsx-store",
                "crates/fedsx-store/src/b.rs",
                store,
                Kind::Product,
            ),
            Source::new(
                "fedsx-cli",
                "crates/fedsx-cli/src/main.rs",
                store,
                Kind::Product,
            ),
            Source::new(
                "fedsx-core",
                "crates/fedsx-core/tests/c.rs",
                store,
                Kind::Test,
            ),
        ];
        insta::assert_snapshot!(report(check(&sources)), @r#"
        crates/fedsx-core/src/a.rs:2: `HashMap`: its order differs from run to run; use BTreeMap, or sx's Map
        crates/fedsx-core/src/a.rs:2: `std::env`: only fedsx-cli reads the environment; libraries take plain structs
        crates/fedsx-core/src/a.rs:5: `Instant::now`: the time comes in as an argument
        crates/fedsx-store/src/b.rs:4: `std::env`: only fedsx-cli reads the environment; libraries take plain structs
        "#);
    }
}
