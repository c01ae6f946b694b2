//! The manifests as data, and their hygiene: every dependency is declared once in the root, without default features,
//! inherited by name, and used by the crate that names it.

use std::path::Path;

use anyhow::Context as _;
use toml::{Table, Value};

use crate::findings::Finding;
use crate::source;
use crate::sources::{Kind, Source};

/// Dependencies that are used without being named in source, and why.
const USED_UNNAMED: &[(&str, &str)] = &[
    ("fedsx-admin", "prost"),       // generated code
    ("fedsx-admin", "prost-types"), // generated code
    ("fedsx-admin", "tonic-prost"), // generated code
];

/// The workspace's manifests.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// `[workspace.dependencies]`.
    shared: Table,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// `[[test]] path`s that leave the package's folder.
    pub(crate) outside_tests: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) section: Section,
    inherited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Normal,
    Dev,
    Build,
}

impl Section {
    const ALL: [(Self, &str); 3] = [
        (Self::Normal, "dependencies"),
        (Self::Dev, "dev-dependencies"),
        (Self::Build, "build-dependencies"),
    ];
}

impl Workspace {
    /// Reads the root manifest and those of its members.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let manifest = read(&root.join("Cargo.toml"))?;
        let workspace = manifest
            .get("workspace")
            .and_then(Value::as_table)
            .context("Cargo.toml has no [workspace]")?;
        let members = workspace
            .get("members")
            .and_then(Value::as_array)
            .context("no members in [workspace]")?;
        let mut packages = Vec::new();
        for member in members.iter().filter_map(Value::as_str) {
            for folder in folders(root, member)? {
                packages.push(Package::parse(
                    &folder,
                    &read(&root.join(&folder).join("Cargo.toml"))?,
                )?);
            }
        }
        let shared = workspace
            .get("dependencies")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        Ok(Self { packages, shared })
    }

    /// The rules about manifests alone, and about what is named but not used.
    pub(crate) fn check_hygiene(&self, sources: &[Source]) -> Vec<Finding> {
        let mut found = self.check_declarations();
        for package in &self.packages {
            let own: Vec<_> = sources
                .iter()
                .filter(|source| source.package == package.name)
                .collect();
            found.extend(
                package
                    .dependencies
                    .iter()
                    .filter_map(|dependency| package.check_use(dependency, &own)),
            );
        }
        found
    }

    fn check_declarations(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, value) in &self.shared {
            let lean = value.get("path").is_some()
                || value.get("default-features") == Some(&Value::Boolean(false));
            if !lean {
                found.push(Finding::of_file(
                    "Cargo.toml",
                    format!("`{name}` takes its default features; name those it needs, with default-features = false"),
                ));
            }
            let inherited = self
                .packages
                .iter()
                .flat_map(|package| &package.dependencies)
                .any(|dependency| dependency.name == *name);
            if !inherited {
                found.push(Finding::of_file(
                    "Cargo.toml",
                    format!("no crate names `{name}`; remove it"),
                ));
            }
        }
        for package in &self.packages {
            for dependency in package
                .dependencies
                .iter()
                .filter(|dependency| !dependency.inherited)
            {
                found.push(Finding::of_file(
                    package.manifest(),
                    format!("`{0}` is not inherited; declare it in the root and write {0}.workspace = true", dependency.name),
                ));
            }
        }
        found
    }
}

impl Package {
    pub(crate) fn parse(folder: &str, manifest: &Table) -> anyhow::Result<Self> {
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .with_context(|| format!("{folder}/Cargo.toml has no package name"))?;
        let mut dependencies = Vec::new();
        collect(manifest, &mut dependencies);
        // [target.'cfg(…)'.dependencies] count like the others.
        for target in manifest
            .get("target")
            .and_then(Value::as_table)
            .into_iter()
            .flat_map(Table::values)
        {
            collect(
                target.as_table().unwrap_or(&Table::new()),
                &mut dependencies,
            );
        }
        let tests = manifest.get("test").and_then(Value::as_array);
        let outside = |test: &Value| {
            test.get("path")?
                .as_str()
                .filter(|path| path.starts_with(".."))
                .map(str::to_owned)
        };
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies,
            outside_tests: tests.into_iter().flatten().filter_map(outside).collect(),
        })
    }

    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// A normal dependency must be named in product code, the others where they can be.
    fn check_use(&self, dependency: &Dependency, own: &[&Source]) -> Option<Finding> {
        if USED_UNNAMED.contains(&(self.name.as_str(), dependency.name.as_str())) {
            return None;
        }
        let identifier = dependency.name.replace('-', "_");
        let names = |code: &str| source::mentions(code, &identifier).next().is_some();
        let (used, place) = match dependency.section {
            Section::Normal => (
                own.iter()
                    .any(|source| source.kind == Kind::Product && names(&source.product)),
                "outside tests",
            ),
            Section::Dev => (
                own.iter()
                    .any(|source| source.kind != Kind::BuildScript && names(&source.code)),
                "in tests",
            ),
            Section::Build => (
                own.iter()
                    .any(|source| source.kind == Kind::BuildScript && names(&source.code)),
                "in build.rs",
            ),
        };
        (!used).then(|| {
            Finding::of_file(
                self.manifest(),
                format!("nothing {place} uses `{}`; remove it", dependency.name),
            )
        })
    }
}

fn collect(table: &Table, dependencies: &mut Vec<Dependency>) {
    for (section, key) in Section::ALL {
        for (name, value) in table
            .get(key)
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            dependencies.push(Dependency {
                name: name.clone(),
                section,
                inherited: value.get("workspace") == Some(&Value::Boolean(true)),
            });
        }
    }
}

/// The folders that a member pattern names: a path, or all below one with `/*`.
fn folders(root: &Path, member: &str) -> anyhow::Result<Vec<String>> {
    let Some(parent) = member.strip_suffix("/*") else {
        return Ok(vec![member.to_owned()]);
    };
    let mut folders = Vec::new();
    for entry in root
        .join(parent)
        .read_dir()
        .with_context(|| format!("cannot list {parent}"))?
    {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            folders.push(format!("{parent}/{}", entry.file_name().to_string_lossy()));
        }
    }
    folders.sort();
    Ok(folders)
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("cannot understand {}", path.display()))
}

/// A workspace out of manifests written in a test.
#[cfg(test)]
pub(crate) fn from_text(root: &str, members: &[(&str, &str)]) -> Workspace {
    let parse = |text: &str| text.parse::<Table>().expect("a manifest");
    Workspace {
        packages: members
            .iter()
            .map(|(folder, text)| Package::parse(folder, &parse(text)).expect("a package"))
            .collect(),
        shared: parse(root),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::report;

    #[test]
    fn careless_manifests_are_reported() {
        let workspace = from_text(
            "serde = \"1\"\nbytes = { version = \"1\", default-features = false }\nurl = { version = \"2\" }\n\
             fedsx-sx = { path = \"crates/fedsx-sx\" }\n",
            &[(
                "crates/fedsx-core",
                "[package]\nname = \"fedsx-core\"\n[dependencies]\nserde.workspace = true\nbytes.workspace = true\n\
                 fedsx-sx.workspace = true\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
                 [dev-dependencies]\ninsta = \"1\"\n",
            )],
        );
        let text = "use serde::Serialize;\nuse fedsx_sx::data;\nuse libc::c_int;\n#[cfg(test)]\nmod tests {\n    use bytes::Bytes;\n}\n";
        let sources = [Source::new(
            "fedsx-core",
            "crates/fedsx-core/src/lib.rs",
            text,
            Kind::Product,
        )];
        insta::assert_snapshot!(report(workspace.check_hygiene(&sources)), @r#"
        Cargo.toml: `serde` takes its default features; name those it needs, with default-features = false
        Cargo.toml: `url` takes its default features; name those it needs, with default-features = false
        Cargo.toml: no crate names `url`; remove it
        crates/fedsx-core/Cargo.toml: `insta` is not inherited; declare it in the root and write insta.workspace = true
        crates/fedsx-core/Cargo.toml: `libc` is not inherited; declare it in the root and write libc.workspace = true
        crates/fedsx-core/Cargo.toml: nothing in tests uses `insta`; remove it
        crates/fedsx-core/Cargo.toml: nothing outside tests uses `bytes`; remove it
        "#);
    }
}
