//! The genesis that a data directory goes by: its manifest, written at the first start and compared at
//! each later one.
//!
//! Invariant: another genesis is taken only when the operator says so, and then the journal says it
//! before the file does.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use fedsx_core::entry::Control;
use fedsx_core::genesis;

use crate::journal::Directory;
use crate::store::{Store, StoreError, io_error};
use crate::vault::replace;

const FILE: &str = "genesis.sx";

impl Store {
    /// Compares the genesis of this program with the one that `dir`, which this store was opened on,
    /// goes by; the first start writes it.
    ///
    /// # Errors
    /// [`StoreError::Genesis`] names the entries that differ.
    pub fn check_genesis(&self, dir: &Path) -> Result<(), StoreError> {
        match compare_genesis(dir)? {
            true => Ok(()),
            false => write(dir),
        }
    }

    /// Goes by the genesis of this program from here on, and puts that on record. Answers whether that
    /// is a change.
    ///
    /// # Errors
    /// When it can't be written, into the journal or beside it.
    pub async fn adopt_genesis(&self, dir: &Path, now_ms: i64) -> Result<bool, StoreError> {
        match self.check_genesis(dir) {
            Ok(()) => return Ok(false),
            Err(StoreError::Genesis { .. }) => {}
            Err(other) => return Err(other),
        }
        let control = Control::GenesisAdopted {
            bundle: genesis::bundle().to_string(),
        };
        let adopted = self.writer().control(control, Bytes::new(), now_ms)?;
        adopted.wait().await?;
        write(dir)?;
        Ok(true)
    }
}

/// Compares the genesis of this program with the one that a data directory goes by. Answers whether it
/// goes by any: not before its first start.
///
/// # Errors
/// [`StoreError::Genesis`] names the entries that differ.
pub fn compare_genesis(dir: &Path) -> Result<bool, StoreError> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(manifest) => match genesis::differences(&manifest) {
            Ok(()) => Ok(true),
            Err(source) => Err(StoreError::Genesis {
                dir: dir.to_owned(),
                source,
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("read the genesis", dir, error)),
    }
}

fn write(dir: &Path) -> Result<(), StoreError> {
    let written =
        Directory::open(dir).and_then(|data| replace(&data, FILE, genesis::MANIFEST.as_bytes()));
    written.map_err(|source| io_error("write the genesis", dir, source))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::EngineKind;
    use crate::store::StoreOptions;

    #[tokio::test]
    async fn another_genesis_is_refused_until_it_is_adopted() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        let options = StoreOptions {
            engine: EngineKind::Memory,
            segment_bytes: 1 << 20,
            flush_every: Duration::from_secs(1),
            base_url: "https://h.example".to_owned(),
            secret: None,
        };
        let (store, _) = Store::open(dir, &options).expect("opens");
        assert!(!compare_genesis(dir).expect("none yet"));
        store.check_genesis(dir).expect("it is written");
        assert!(compare_genesis(dir).expect("the same"));
        assert!(!store.adopt_genesis(dir, 0).await.expect("no change"));
        let other = genesis::MANIFEST.replace("projections/notes", "projections/pins");
        fs::write(dir.join(FILE), other).expect("another");
        let refusal = store.check_genesis(dir).expect_err("another").to_string();
        assert!(
            refusal.contains("projections/notes (new), projections/pins (gone)"),
            "{refusal}"
        );
        assert!(store.adopt_genesis(dir, 0).await.expect("taken"));
        store.check_genesis(dir).expect("the same again");
        store.close().expect("closes");
        let (store, report) = Store::open(dir, &options).expect("opens again");
        assert_eq!(report.recovered.last_offset, 1);
        store.close().expect("closes");
    }
}
