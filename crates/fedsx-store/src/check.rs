//! What an operator asks of a data directory: is it whole (`verify`), what is in it (`dump`), make the
//! index anew (`reindex`), and one hash of everything derived (`digest`).
//!
//! `verify` and `dump` only read, and work beside a running server; `reindex` takes the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fedsx_core::blob::{Blob, Media, payload_of};
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, Authenticated, Control, Joined, LogId, Subject};
use fedsx_core::key::PublicKey;
use fedsx_core::proof::{self, Presented};

use crate::engine::{Engine, EngineError, EngineKind};
use crate::import;
use crate::journal::{Directory, JournalReader, Torn};
use crate::lock::DirectoryLock;
use crate::schema::{DELIVERY, Table};
use crate::store::{Report, StoreError, StoreOptions, io_error, open_applied, remove_index};
use crate::stored::{Stored, held, stored};
use crate::view::ReadError;

/// What `verify` found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Entries read, each frame's checksums right.
    pub entries: u64,
    /// Activities whose CID was computed again.
    pub activities: u64,
    /// Proofs verified again, by the key that the entry names.
    pub proofs: u64,
    /// Entries whose document is erased, as the journal says.
    pub erased: u64,
    /// Logs whose places count up without a gap.
    pub logs: u64,
    /// What is wrong, each with its offset; empty when all is well.
    pub faults: Vec<Fault>,
    /// The tail that a crash left, or a batch being written just now.
    pub torn: Option<Torn>,
}

/// Something that is not as it must be.
#[derive(Debug)]
pub struct Fault {
    /// The entry.
    pub offset: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Faults listed at most; the journal is read to its end all the same.
const FAULTS: usize = 100;

/// Whether an entry came with an imported actor and without a document: that was erased, or is here for another.
fn is_imported_empty(stored: &Stored) -> bool {
    let activity = stored.activity();
    stored.document.is_empty() && activity.is_some_and(|activity| activity.imported.is_some())
}

/// Checks every frame, CID, proof and log of a data directory.
///
/// # Errors
/// When the journal can't be read at all.
pub fn verify(dir: &Path) -> Result<VerifyReport, StoreError> {
    let mut check = Check::default();
    let mut scan = reader(dir)?.scan(None)?;
    for scanned in &mut scan {
        match scanned {
            Ok(scanned) => {
                let offset = scanned.frame.offset;
                check.report.entries += 1;
                match stored(scanned.frame) {
                    Ok(stored) => check.entry(offset, &stored),
                    Err(error) => check.fault(offset, error.to_string()),
                }
            }
            Err(error) => {
                let offset = check.report.entries + 1;
                check.fault(offset, error.to_string());
            }
        }
    }
    check.overwritten();
    check.report.torn = scan.ended().and_then(|ended| ended.torn);
    check.report.logs = check.heads.len() as u64;
    Ok(check.report)
}

/// Reads out the journal from an offset on.
///
/// # Errors
/// At the first entry that can't be read.
pub fn dump(
    dir: &Path,
    from: u64,
    each: &mut dyn FnMut(Stored) -> std::io::Result<()>,
) -> Result<(), StoreError> {
    for scanned in reader(dir)?.scan_behind(from.saturating_sub(1))? {
        let scanned = scanned?;
        let offset = scanned.frame.offset;
        let stored = stored(scanned.frame).map_err(|error| match error {
            ReadError::Header { offset, source } => StoreError::Header { offset, source },
            _ => unreadable(offset),
        })?;
        each(stored).map_err(|source| io_error("write out the journal", dir, source))?;
    }
    Ok(())
}

fn unreadable(offset: u64) -> StoreError {
    StoreError::Header {
        offset,
        source: minicbor::decode::Error::message("unreadable entry"),
    }
}

/// Throws the index away and makes it anew from the journal. The server must be stopped.
///
/// # Errors
/// When the directory is in use, or the journal can't be read.
pub fn reindex(dir: &Path, options: &StoreOptions) -> Result<Report, StoreError> {
    let _lock = DirectoryLock::acquire(dir)?;
    import::undo(dir)?;
    remove_index(dir, options.engine)?;
    let (_journal, engine, report) = open_applied(dir, options)?;
    engine.flush()?;
    Ok(report)
}

/// One hash over all rows that the journal folds into, and their number. Two indexes of one journal
/// have the same, whichever engine holds them and however they came about.
///
/// # Errors
/// When the index can't be read.
pub fn digest(engine: &Arc<dyn Engine>) -> Result<(Digest, u64), EngineError> {
    let mut rows = 0;
    let mut hashed = Vec::new();
    let mut running = Digest::of(&[]);
    let mut from = vec![Table::Meta as u8 + 1];
    loop {
        let chunk = engine.scan(&from, &[DELIVERY], 1_000, false)?;
        let Some((last, _)) = chunk.last() else {
            return Ok((running, rows));
        };
        from.clone_from(last);
        from.push(0);
        hashed.clear();
        hashed.extend_from_slice(running.as_bytes());
        for (key, value) in &chunk {
            for part in [key, value] {
                hashed.extend_from_slice(&(part.len() as u64).to_be_bytes());
                hashed.extend_from_slice(part);
            }
        }
        rows += chunk.len() as u64;
        running = Digest::of(&hashed);
    }
}

/// The engine whose index a data directory has; the default where it has none.
#[must_use]
pub fn engine_of(dir: &Path) -> EngineKind {
    let on_disk = [EngineKind::Fjall, EngineKind::Sled];
    let found = on_disk
        .into_iter()
        .find(|kind| crate::store::index_dir(dir, *kind).is_dir());
    found.unwrap_or(EngineKind::Fjall)
}

fn reader(dir: &Path) -> Result<JournalReader, StoreError> {
    let files = Directory::read_only(dir.join("journal"))
        .map_err(|source| io_error("open the journal", dir, source))?;
    Ok(JournalReader::open_read_only(Arc::new(files)))
}

/// Whether an uploaded file is the one that its entry names.
fn blob(stored: &Stored, digest: &Digest, media: Media) -> Result<(), String> {
    if stored.erased {
        return Ok(());
    }
    if Digest::of(&stored.document) != *digest {
        return Err("the file has another CID than its entry says".to_owned());
    }
    match Media::of(&stored.document) == Some(media) {
        true => Ok(()),
        false => Err("the file is of another media type than its entry says".to_owned()),
    }
}

#[derive(Default)]
struct Check {
    report: VerifyReport,
    heads: BTreeMap<LogId, u64>,
    /// What is erased, as the journal says.
    covered: BTreeSet<Digest>,
    /// Entries whose payload is overwritten, and whose document it held, until it is known why.
    overwritten: Vec<(u64, Option<Digest>)>,
}

impl Check {
    fn fault(&mut self, offset: u64, what: String) {
        if self.report.faults.len() < FAULTS {
            self.report.faults.push(Fault { offset, what });
        }
    }

    fn entry(&mut self, offset: u64, stored: &Stored) {
        if stored.header.offset != offset {
            self.fault(
                offset,
                format!("its header says offset {}", stored.header.offset),
            );
        }
        if stored.erased {
            self.overwritten.push((offset, held(&stored.header)));
        }
        let outcome = match &stored.header.subject {
            Subject::Activity(activity) => {
                self.joined(offset, &activity.joined);
                self.report.activities += 1;
                let proved = matches!(
                    activity.authenticated,
                    Authenticated::Local | Authenticated::Proof
                );
                let key = activity.key.as_deref().filter(|_| proved);
                self.document(stored, &activity.digest, key, Some(activity))
            }
            Subject::Control(control) => self.control(offset, stored, control),
        };
        if let Err(what) = outcome {
            self.fault(offset, what);
        }
    }

    /// What a control entry says of the journal, and what it holds.
    fn control(&mut self, offset: u64, stored: &Stored, control: &Control) -> Result<(), String> {
        match control {
            Control::ProofAttached { digest, key, .. } => {
                self.document(stored, digest, Some(key), None)
            }
            Control::Placed { joined, .. } => {
                self.joined(offset, joined);
                Ok(())
            }
            Control::Erased { digest, .. } => {
                self.covered.insert(*digest);
                Ok(())
            }
            Control::Blob(Blob::Kept { digest, media, .. }) => blob(stored, digest, *media),
            Control::Blob(Blob::Erased { digest, offset, .. }) => {
                self.covered.insert(payload_of(*offset, digest));
                Ok(())
            }
            Control::LogWitnessed { witnessed, .. } => match witnessed.checkpoint() {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("a kept checkpoint does not hold: {error}")),
            },
            Control::LogForked { fork, .. } => match fork.is_proved() {
                true => Ok(()),
                false => Err("the evidence against a log proves nothing".to_owned()),
            },
            Control::LogHeld { .. }
            | Control::PeerGone { .. }
            | Control::FollowRefused { .. }
            | Control::FollowTaken { .. }
            | Control::FollowLost { .. }
            | Control::Between { .. }
            | Control::InstanceBlock { .. }
            | Control::ActorHostBlock { .. }
            | Control::HostRelationsEnded { .. }
            | Control::RecoveryPinned { .. }
            | Control::Equivocation { .. }
            | Control::Activated { .. }
            | Control::Role { .. }
            | Control::TriggerSettled(_)
            | Control::Admitted { .. }
            | Control::Trust { .. }
            | Control::Expired { .. }
            | Control::Unannounced { .. }
            | Control::BackfillBegun { .. }
            | Control::BackfillEnded { .. }
            | Control::GenesisAdopted { .. } => Ok(()),
        }
    }

    /// Every payload that is overwritten must be covered by an entry that says so, wherever it stands.
    fn overwritten(&mut self) {
        for (offset, digest) in std::mem::take(&mut self.overwritten) {
            if digest.is_some_and(|digest| self.covered.contains(&digest)) {
                self.report.erased += 1;
            } else {
                self.fault(
                    offset,
                    "it is overwritten, and nothing erased it".to_owned(),
                );
            }
        }
    }

    fn joined(&mut self, offset: u64, joined: &[Joined]) {
        for Joined { log, seq } in joined {
            let head = self.heads.entry(*log).or_default();
            *head += 1;
            if *head != *seq {
                let what = format!("its place in {log:?} is {seq}, not {head}");
                *head = *seq;
                self.fault(offset, what);
            }
        }
    }

    fn document(
        &mut self,
        stored: &Stored,
        digest: &Digest,
        key: Option<&str>,
        activity: Option<&Activity>,
    ) -> Result<(), String> {
        if stored.erased || is_imported_empty(stored) {
            return Ok(());
        }
        let map = stored.map().map_err(|error| error.to_string())?;
        if Digest::of(&document_bytes(&map)) != *digest {
            return Err("its document has another CID than its header".to_owned());
        }
        if activity.is_some_and(|activity| {
            map.get("id").and_then(fedsx_core::value::Value::as_str) != Some(&activity.id)
        }) {
            return Err("its document has another id than its header".to_owned());
        }
        let Some(key) = key else { return Ok(()) };
        let key = PublicKey::parse(key).map_err(|error| error.to_string())?;
        let verifies = proof::examine(&map).iter().any(|proof| match proof {
            Presented::Verifiable(proof) => proof.verify(digest, &key).is_ok(),
            _ => false,
        });
        self.report.proofs += 1;
        if verifies {
            Ok(())
        } else {
            Err("its proof does not verify".to_owned())
        }
    }
}
