//! The layers: which crate may see which, and which outside crates each layer may name.
//!
//! The picture is ARCHITECTURE.md's; this is what holds it. Words in source are `purity.rs`, versions and licences `deny.rs`.

use std::path::Path;

use crate::findings::Finding;
use crate::manifests::{Dependency, Package, Section, Workspace};
use crate::run;

const BELOW_NODE: &[&str] = &["fedsx-core", "fedsx-sx"];
const BELOW_SERVERS: &[&str] = &[
    "fedsx-node",
    "fedsx-store",
    "fedsx-discovery",
    "fedsx-core",
    "fedsx-sx",
];

/// Each crate of the workspace and those it may see, in tests too. Imports point down only.
const SEES: &[(&str, &[&str])] = &[
    ("fedsx-sx", &[]),
    ("fedsx-core", &["fedsx-sx"]),
    ("fedsx-store", BELOW_NODE),
    ("fedsx-discovery", BELOW_NODE),
    (
        "fedsx-node",
        &["fedsx-store", "fedsx-discovery", "fedsx-core", "fedsx-sx"],
    ),
    ("fedsx-http", BELOW_SERVERS),
    ("fedsx-deliver", BELOW_SERVERS),
    ("fedsx-admin", BELOW_SERVERS),
    (
        "fedsx-cli",
        &[
            "fedsx-http",
            "fedsx-deliver",
            "fedsx-admin",
            "fedsx-node",
            "fedsx-store",
            "fedsx-discovery",
            "fedsx-core",
            "fedsx-sx",
        ],
    ),
    ("xtask", &[]),
    // Not above the binary: it starts it as a process.
    (
        "fedsx-bench",
        &[
            "fedsx-deliver",
            "fedsx-node",
            "fedsx-store",
            "fedsx-discovery",
            "fedsx-core",
            "fedsx-sx",
        ],
    ),
];

/// The crates without effects.
pub(crate) const PURE: &[&str] = &["fedsx-sx", "fedsx-core"];

/// What a pure crate may not name, in tests neither.
const EFFECTS: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "fastrand",
    "fjall",
    "futures-util",
    "getrandom",
    "hyper",
    "hyper-util",
    "rand",
    "rand_chacha",
    "redb",
    "reqwest",
    "rustix",
    "sled",
    "smol",
    "tempfile",
    "time",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tower",
    "tower-http",
    "ureq",
];

/// What may not be reached from a pure crate even through others.
const EFFECTS_REACHED: &[&str] = &[
    "axum",
    "fjall",
    "getrandom",
    "hyper",
    "mio",
    "redb",
    "reqwest",
    "rustix",
    "sled",
    "socket2",
    "tokio",
];

/// Outside crates with one home, and why.
struct Home {
    crates: &'static [&'static str],
    of: &'static [&'static str],
    /// Where they may be dev-dependencies; `None` for anywhere that is not pure.
    in_tests_of: Option<&'static [&'static str]>,
    why: &'static str,
}

const HOMES: &[Home] = &[
    Home {
        crates: &[
            "fjall", "heed", "redb", "rocksdb", "rusqlite", "sled", "sqlx",
        ],
        of: &["fedsx-store"],
        in_tests_of: Some(&[]),
        why: "only fedsx-store names a database",
    },
    Home {
        crates: &["isahc", "reqwest", "ureq"],
        // The benchmarks hold a plain client beside it.
        of: &["fedsx-discovery", "fedsx-bench"],
        in_tests_of: None,
        why: "only fedsx-discovery dials out, through its guarded client",
    },
    Home {
        crates: &["hyper", "hyper-util"],
        of: &["fedsx-http"],
        in_tests_of: None,
        why: "only fedsx-http serves connections itself, by the server half; only fedsx-discovery dials out",
    },
    Home {
        crates: &[
            "prost",
            "prost-build",
            "prost-types",
            "protox",
            "tonic-prost",
            "tonic-prost-build",
        ],
        of: &["fedsx-admin"],
        in_tests_of: Some(&[]),
        why: "only fedsx-admin names prost; others see its plain types",
    },
    Home {
        crates: &["prost-reflect"],
        of: &["fedsx-admin"],
        in_tests_of: Some(&["fedsx-cli"]),
        why: "only fedsx-admin names prost; the whole-instance tests build a client from reflection",
    },
    Home {
        crates: &["clap", "clap_complete", "toml"],
        of: &["fedsx-cli", "xtask"],
        in_tests_of: Some(&[]),
        why: "only fedsx-cli reads flags and files; libraries take plain structs",
    },
    Home {
        crates: &["anyhow"],
        of: &["fedsx-cli", "xtask", "fedsx-bench"],
        in_tests_of: None,
        why: "a library's errors are typed, per family of operations",
    },
];

/// The edges of every manifest.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in &workspace.packages {
        let Some((_, seen)) = SEES.iter().find(|(name, _)| *name == package.name) else {
            found.push(Finding::of_file(
                package.manifest(),
                format!(
                    "`{}` has no place in the layers; give it one in xtask/src/layers.rs",
                    package.name
                ),
            ));
            continue;
        };
        let wrong = package
            .dependencies
            .iter()
            .filter_map(|dependency| wrong(package, seen, dependency));
        found.extend(wrong.map(|what| Finding::of_file(package.manifest(), what)));
    }
    found
}

fn wrong(package: &Package, seen: &[&str], dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    // Itself, with the features that its tests need.
    if name == package.name && dependency.section == Section::Dev {
        return None;
    }
    if SEES.iter().any(|(internal, _)| *internal == name) {
        let may = if seen.is_empty() {
            "no crate of the workspace".to_owned()
        } else {
            seen.join(", ")
        };
        return (!seen.contains(&name)).then(|| format!("may not see `{name}`: it sees {may}"));
    }
    if PURE.contains(&package.name.as_str()) && EFFECTS.contains(&name) {
        return Some(format!(
            "may not name `{name}`: pure crates take time, randomness and facts as arguments"
        ));
    }
    let home = HOMES.iter().find(|home| home.crates.contains(&name))?;
    let at_home = home.of.contains(&package.name.as_str())
        || (dependency.section == Section::Dev
            && home
                .in_tests_of
                .is_none_or(|crates| crates.contains(&package.name.as_str())));
    (!at_home).then(|| format!("may not name `{name}`: {}", home.why))
}

/// What the pure crates reach through their dependencies, as cargo resolves them.
pub(crate) fn check_reach(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    for package in PURE {
        let tree = run::output(run::cargo(root).args([
            "tree",
            "--offline",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]))?;
        found.extend(reached(package, &tree));
    }
    Ok(found)
}

fn reached(package: &str, tree: &str) -> Vec<Finding> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| EFFECTS_REACHED.contains(name))
        .map(|name| {
            Finding::of_file(
                format!("crates/{package}/Cargo.toml"),
                format!("reaches `{name}` through its dependencies; `cargo tree -p {package} -i {name}` shows how"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::report;
    use crate::manifests::from_text;

    fn manifest(name: &str, dependencies: &[&str], tests: &[&str]) -> String {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| format!("{name}.workspace = true\n"))
                .collect::<String>()
        };
        format!(
            "[package]\nname = \"{name}\"\n[dependencies]\n{}[dev-dependencies]\n{}",
            list(dependencies),
            list(tests)
        )
    }

    fn found(packages: &[(&str, &[&str], &[&str])]) -> String {
        let texts: Vec<_> = packages
            .iter()
            .map(|(name, dependencies, tests)| {
                (
                    format!("crates/{name}"),
                    manifest(name, dependencies, tests),
                )
            })
            .collect();
        let members: Vec<_> = texts
            .iter()
            .map(|(folder, text)| (folder.as_str(), text.as_str()))
            .collect();
        report(check(&from_text("", &members)))
    }

    #[test]
    fn edges_that_point_down_are_fine() {
        assert_eq!(
            found(&[
                ("fedsx-core", &["fedsx-sx", "serde"], &["insta"]),
                (
                    "fedsx-store",
                    &["fedsx-core", "fedsx-sx", "fjall", "sled"],
                    &[]
                ),
                ("fedsx-discovery", &["fedsx-core", "reqwest"], &[]),
                ("fedsx-admin", &["fedsx-node", "prost", "tonic"], &[]),
                (
                    "fedsx-cli",
                    &["fedsx-admin", "fedsx-deliver", "clap"],
                    &["reqwest", "prost-reflect"]
                ),
            ]),
            ""
        );
    }

    #[test]
    fn edges_that_do_not_are_reported() {
        insta::assert_snapshot!(found(&[
            ("fedsx-sx", &["fedsx-core"], &["tempfile"]),
            ("fedsx-core", &["fedsx-sx", "tokio", "getrandom"], &["fedsx-store"]),
            ("fedsx-http", &["fedsx-deliver", "reqwest", "prost", "anyhow"], &["sled"]),
            ("fedsx-admin", &["fedsx-deliver"], &["anyhow", "reqwest"]),
            ("fedsx-extras", &[], &[]),
        ]), @r#"
        crates/fedsx-admin/Cargo.toml: may not see `fedsx-deliver`: it sees fedsx-node, fedsx-store, fedsx-discovery, fedsx-core, fedsx-sx
        crates/fedsx-core/Cargo.toml: may not name `getrandom`: pure crates take time, randomness and facts as arguments
        crates/fedsx-core/Cargo.toml: may not name `tokio`: pure crates take time, randomness and facts as arguments
        crates/fedsx-core/Cargo.toml: may not see `fedsx-store`: it sees fedsx-sx
        crates/fedsx-extras/Cargo.toml: `fedsx-extras` has no place in the layers; give it one in xtask/src/layers.rs
        crates/fedsx-http/Cargo.toml: may not name `anyhow`: a library's errors are typed, per family of operations
        crates/fedsx-http/Cargo.toml: may not name `prost`: only fedsx-admin names prost; others see its plain types
        crates/fedsx-http/Cargo.toml: may not name `reqwest`: only fedsx-discovery dials out, through its guarded client
        crates/fedsx-http/Cargo.toml: may not name `sled`: only fedsx-store names a database
        crates/fedsx-http/Cargo.toml: may not see `fedsx-deliver`: it sees fedsx-node, fedsx-store, fedsx-discovery, fedsx-core, fedsx-sx
        crates/fedsx-sx/Cargo.toml: may not name `tempfile`: pure crates take time, randomness and facts as arguments
        crates/fedsx-sx/Cargo.toml: may not see `fedsx-core`: it sees no crate of the workspace
        "#);
    }

    #[test]
    fn what_is_reached_through_others_is_reported() {
        let tree =
            "fedsx-core v0.1.0 (/fed-sx/crates/fedsx-core)\nuuid v1.29.0\ngetrandom v0.4.3\n";
        insta::assert_snapshot!(report(reached("fedsx-core", tree)), @r#"
        crates/fedsx-core/Cargo.toml: reaches `getrandom` through its dependencies; `cargo tree -p fedsx-core -i getrandom` shows how
        "#);
    }
}
