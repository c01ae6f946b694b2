//! The workspace's Rust files, each read once and told apart: which package, and whether it is all test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::manifests::Workspace;
use crate::source;

/// One Rust file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) package: String,
    pub(crate) text: String,
    /// `text` without comments and literals.
    pub(crate) code: String,
    /// `code` without its test items; empty in a file that is all test.
    pub(crate) product: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Product,
    Test,
    BuildScript,
}

impl Source {
    pub(crate) fn new(package: &str, path: &str, text: &str, kind: Kind) -> Self {
        let code = source::code_only(text);
        let product = if kind == Kind::Test {
            String::new()
        } else {
            source::without_tests(&code)
        };
        Self {
            path: path.to_owned(),
            package: package.to_owned(),
            text: text.to_owned(),
            code,
            product,
            kind,
        }
    }
}

/// Every Rust file of every package, and the tests that a manifest takes from outside its folder.
pub(crate) fn read(root: &Path, workspace: &Workspace) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for package in &workspace.packages {
        let folder = root.join(&package.folder);
        let mut files = Vec::new();
        rust_files(&folder, &mut files)?;
        for path in &package.outside_tests {
            let path = folder
                .join(path)
                .canonicalize()
                .with_context(|| format!("{} names {path}", package.name))?;
            rust_files(path.parent().unwrap_or(root), &mut files)?;
        }
        files.sort();
        sources.extend(of_package(root, &package.name, &files)?);
    }
    Ok(sources)
}

fn of_package(root: &Path, package: &str, files: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut texts = Vec::new();
    let mut declared = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let path = relative(root, file);
        for module in source::test_modules(&source::code_only(&text)) {
            declared.insert(format!("{}/{module}", module_folder(&path)));
        }
        texts.push((path, text));
    }
    let kind = |path: &str| {
        let module = path.trim_end_matches(".rs");
        let declared = declared
            .iter()
            .any(|test| module == test || module.starts_with(&format!("{test}/")));
        if declared
            || path.split('/').any(|part| part == "tests")
            // At the root it is a package of its own.
            || path.split('/').skip(1).any(|part| part == "benches")
        {
            Kind::Test
        } else if path.ends_with("/build.rs") && !path.contains("/src/") {
            Kind::BuildScript
        } else {
            Kind::Product
        }
    };
    Ok(texts
        .iter()
        .map(|(path, text)| Source::new(package, path, text, kind(path)))
        .collect())
}

/// Where the modules that this file declares live: beside it for a crate's root, below it otherwise.
fn module_folder(path: &str) -> &str {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    match file {
        "lib.rs" | "main.rs" => folder,
        _ => path.trim_end_matches(".rs"),
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if path.is_dir() {
            if !hidden && entry.file_name() != "target" {
                rust_files(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn relative(root: &Path, file: &Path) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let path = file.strip_prefix(&root).unwrap_or(&file);
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_behind_a_test_module_are_tests() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("folders");
            std::fs::write(path, text).expect("a file");
        };
        write("a/src/lib.rs", "mod engine;\n");
        write(
            "a/src/engine.rs",
            "#[cfg(test)]\nmod contract;\nmod memory;\n",
        );
        write("a/src/engine/contract.rs", "");
        write("a/src/engine/contract/crash.rs", "");
        write("a/src/engine/memory.rs", "");
        write("a/tests/all.rs", "");
        write("a/build.rs", "");
        let mut files = Vec::new();
        rust_files(folder.path(), &mut files).expect("they can be listed");
        files.sort();
        let sources = of_package(folder.path(), "a", &files).expect("they can be read");
        let shown: Vec<_> = sources
            .iter()
            .map(|source| format!("{:?} {}", source.kind, source.path))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        BuildScript a/build.rs
        Test a/src/engine/contract/crash.rs
        Test a/src/engine/contract.rs
        Product a/src/engine/memory.rs
        Product a/src/engine.rs
        Product a/src/lib.rs
        Test a/tests/all.rs
        "#);
    }
}
