//! The genesis: its files, its manifest, and what its definitions say of sample activities.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fedsx_core::definition::{Body, Definition, Kind};
use fedsx_core::genesis;

#[path = "genesis/projections.rs"]
mod projections;
#[path = "genesis/schemas.rs"]
mod schemas;

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/genesis/sources.rs");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../genesis")
}

/// The definition of that name in that section.
fn definition(section: &str, name: &str) -> &'static Definition {
    let at = genesis::entries()
        .position(|entry| (entry.section, entry.name) == (section, name))
        .unwrap_or_else(|| panic!("{section}/{name}"));
    &genesis::definitions()[at]
}

#[test]
fn the_list_is_what_the_folder_holds() {
    let listed: BTreeSet<_> = genesis::entries()
        .map(|entry| format!("{}/{}", entry.section, entry.name))
        .collect();
    let mut found = BTreeSet::new();
    for section in std::fs::read_dir(folder()).expect("genesis/") {
        let section = section.expect("an entry").path();
        if !section.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&section).expect("a section") {
            let file = file.expect("an entry").path().with_extension("");
            let part = |path: &Path| {
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            };
            found.insert(format!("{}/{}", part(&section), part(&file)));
        }
    }
    assert_eq!(found, listed, "`cargo xtask genesis` makes the list anew");
}

#[test]
fn the_manifest_says_what_the_files_hold() {
    if std::env::var_os("FEDSX_GENESIS").is_some() {
        std::fs::write(folder().join("manifest.sx"), genesis::manifest()).expect("the manifest");
        let list = std::fs::read_to_string(LIST).expect("the list");
        let line = list
            .lines()
            .find(|line| line.starts_with("pub(super) const BUNDLE"))
            .expect("the bundle's line");
        let constant = format!("pub(super) const BUNDLE: &str = \"{}\";", genesis::bundle());
        std::fs::write(LIST, list.replace(line, &constant)).expect("the list");
        return;
    }
    let again = "`cargo xtask genesis` makes it anew";
    assert_eq!(genesis::MANIFEST, genesis::manifest(), "{again}");
    assert_eq!(genesis::verify(), Ok(()), "{again}");
}

#[test]
fn each_file_is_one_definition_of_its_section_with_a_comment() {
    for (entry, definition) in genesis::entries().zip(genesis::definitions()) {
        let expected: &[Kind] = match entry.section {
            "activity-types" => &[Kind::Activity],
            "object-types" => &[Kind::Object],
            "projections" => &[Kind::Projection],
            "validators" => &[Kind::Validator],
            "codecs" => &[Kind::Codec],
            "sig-suites" => &[Kind::SigSuite],
            "audience" => &[Kind::Audience],
            other => panic!("{other}"),
        };
        assert_eq!(
            (definition.name(), &[definition.kind()][..]),
            (entry.name, expected)
        );
        assert!(
            entry.source.starts_with(&format!(";; {}", entry.name)),
            "{}",
            entry.name
        );
        assert!(definition.doc().is_some(), "{}", entry.name);
        let laid_out = fedsx_sx::layout::format(entry.source, 256).expect("it reads");
        assert_eq!(
            entry.source, laid_out,
            "{}: `fedsx sx fmt --write`",
            entry.name
        );
        if let Body::Projection(projection) = definition.body() {
            let built_in = [
                "actor-state",
                "define-registry",
                "delivery-state",
                "follower-graph",
            ];
            assert_eq!(
                projection.fold.is_none(),
                built_in.contains(&entry.name),
                "{}",
                entry.name
            );
        }
    }
}

#[test]
fn another_manifest_is_named_by_what_differs() {
    let manifest = genesis::manifest();
    let create = definition("activity-types", "Create").cid().to_string();
    let follow = definition("activity-types", "Follow").cid().to_string();
    let other = manifest
        .replace(&create, &follow)
        .replace("projections/notes", "projections/pins");
    insta::assert_snapshot!(
        genesis::differences(&other).expect_err("it differs"),
        @"the genesis differs in activity-types/Create (changed), projections/notes (new), projections/pins (gone)"
    );
    let bundle = genesis::bundle().to_string();
    let other = manifest.replace(&bundle, &create);
    assert!(genesis::differences(&other).is_err());
    insta::assert_snapshot!(
        genesis::differences("(Genesis)").expect_err("no manifest"),
        @"the manifest of the genesis can't be read: it must be (Genesis :bundle CID :entries [{:name NAME :cid CID} …])"
    );
}
