//! What an instance knows before its first activity: the definitions of `genesis/`, compiled in.
//!
//! Each file is one definition, read as data. The bundle's CID is that of the list of the entries'
//! CIDs, in the order of the manifest; a data directory remembers the manifest it was made with, and
//! [`differences`] names what is another since. Invariant: [`definitions`] and [`entries`] go along
//! with each other. Deliberately absent: which definition is active, and files at run time.

mod sources;

use std::sync::LazyLock;

use fedsx_sx::data::Value;

use crate::canonical::jcs;
use crate::cid::{Cid, Digest};
use crate::definition::Definition;
use crate::notation::{NotationError, sx};

/// `genesis/manifest.sx`: the name and CID of every entry, and the CID of the bundle.
pub const MANIFEST: &str = include_str!("../../../genesis/manifest.sx");

struct Source {
    section: &'static str,
    name: &'static str,
    text: &'static str,
}

/// One file of `genesis/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The folder: `activity-types`, `object-types`, `projections`, `validators`, `codecs`,
    /// `sig-suites` or `audience`.
    pub section: &'static str,
    /// The name of the definition, and of the file.
    pub name: &'static str,
    /// The CID of the definition.
    pub cid: Cid,
    /// The file, comments included.
    pub source: &'static str,
}

/// Why a genesis is not the expected one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GenesisError {
    /// Entries are missing, further or different.
    #[error("the genesis differs in {}", .0.join(", "))]
    Entries(Vec<String>),
    /// The entries agree and the CID over them does not.
    #[error("the genesis bundle is {found}, and {expected} was expected")]
    Bundle {
        /// The CID that was expected.
        expected: String,
        /// The CID of the entries.
        found: Cid,
    },
    /// A text is no manifest.
    #[error("the manifest of the genesis can't be read: {0}")]
    Manifest(String),
}

impl From<NotationError> for GenesisError {
    fn from(error: NotationError) -> Self {
        Self::Manifest(error.to_string())
    }
}

struct Genesis {
    definitions: Vec<Definition>,
    entries: Vec<Entry>,
    bundle: Cid,
}

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| {
    let definitions: Vec<_> = sources::SOURCES
        .iter()
        .map(|source| {
            Definition::from_source(source.text).unwrap_or_else(|error| {
                // A test reads them all, so this is a file that no build has tried.
                panic!(
                    "genesis/{}/{}.sx: {}",
                    source.section,
                    source.name,
                    error.page()
                )
            })
        })
        .collect();
    let entries: Vec<_> = sources::SOURCES
        .iter()
        .zip(&definitions)
        .map(|(source, definition)| Entry {
            section: source.section,
            name: source.name,
            cid: definition.cid(),
            source: source.text,
        })
        .collect();
    Genesis {
        bundle: bundle_of(entries.iter().map(|entry| entry.cid)),
        definitions,
        entries,
    }
});

/// Every definition, in the order of [`entries`].
#[must_use]
pub fn definitions() -> &'static [Definition] {
    &GENESIS.definitions
}

/// Every entry, in the order of the manifest: by section, then by name.
pub fn entries() -> impl ExactSizeIterator<Item = Entry> + Clone {
    GENESIS.entries.iter().copied()
}

/// The CID of the list of all entries' CIDs.
#[must_use]
pub fn bundle() -> Cid {
    GENESIS.bundle
}

/// Compares the entries with the manifest and with the bundle's CID, both compiled in.
///
/// # Errors
/// [`GenesisError`], which names the entries that differ.
pub fn verify() -> Result<(), GenesisError> {
    differences(MANIFEST)?;
    let found = bundle();
    if found.to_string() == sources::BUNDLE {
        Ok(())
    } else {
        Err(GenesisError::Bundle {
            expected: sources::BUNDLE.to_owned(),
            found,
        })
    }
}

/// Compares another manifest, such as the one that a data directory remembers, with this genesis.
///
/// # Errors
/// [`GenesisError`], which names the entries that differ.
pub fn differences(manifest: &str) -> Result<(), GenesisError> {
    let Manifest {
        bundle: expected,
        entries: mut theirs,
    } = Manifest::read(manifest)?;
    let mut differ = Vec::new();
    for entry in entries() {
        let name = format!("{}/{}", entry.section, entry.name);
        match theirs.iter().position(|(other, _)| *other == name) {
            Some(at) => {
                let (_, cid) = theirs.swap_remove(at);
                if cid != entry.cid.to_string() {
                    differ.push(format!("{name} (changed)"));
                }
            }
            None => differ.push(format!("{name} (new)")),
        }
    }
    differ.extend(theirs.into_iter().map(|(name, _)| format!("{name} (gone)")));
    if !differ.is_empty() {
        differ.sort();
        return Err(GenesisError::Entries(differ));
    }
    let found = bundle();
    if expected == found.to_string() {
        Ok(())
    } else {
        Err(GenesisError::Bundle { expected, found })
    }
}

/// The text of `manifest.sx` for the entries that are compiled in.
#[must_use]
pub fn manifest() -> String {
    let mut text = format!(
        ";; What genesis/ holds, and the CID over the list of these CIDs. Written by `cargo xtask genesis`.\n\
         (Genesis :bundle \"{}\"\n  :entries [",
        bundle()
    );
    for (at, entry) in entries().enumerate() {
        let between = if at == 0 { "" } else { "\n            " };
        text += &format!(
            "{between}{{:name \"{}/{}\" :cid \"{}\"}}",
            entry.section, entry.name, entry.cid
        );
    }
    text + "])\n"
}

struct Manifest {
    bundle: String,
    /// `section/name` and the text of the CID.
    entries: Vec<(String, String)>,
}

impl Manifest {
    fn read(text: &str) -> Result<Self, GenesisError> {
        let shape = || {
            GenesisError::Manifest(
                "it must be (Genesis :bundle CID :entries [{:name NAME :cid CID} …])".to_owned(),
            )
        };
        let value = sx::read(text.as_bytes())?;
        let map = value.as_map().ok_or_else(shape)?;
        let bundle = map
            .get("bundle")
            .and_then(Value::as_str)
            .ok_or_else(shape)?;
        let Some(Value::List(list)) = map.get("entries") else {
            return Err(shape());
        };
        let entries: Option<Vec<_>> = list
            .iter()
            .map(|entry| {
                let member = |name| entry.get(name).and_then(Value::as_str).map(str::to_owned);
                Some((member("name")?, member("cid")?))
            })
            .collect();
        Ok(Self {
            bundle: bundle.to_owned(),
            entries: entries.ok_or_else(shape)?,
        })
    }
}

fn bundle_of(cids: impl Iterator<Item = Cid>) -> Cid {
    let list: Vec<_> = cids.map(|cid| Value::from(cid.to_string())).collect();
    Cid::of_document(Digest::of(&jcs(&Value::from(list))))
}
