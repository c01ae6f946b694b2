//! Where the states of projections are kept: an engine database of their own, and every key of it.
//!
//! A definition's states form a *generation*; a rebuild makes the next one beside the live one. What
//! belongs to a generation lies under its digest and number, so that it can be dropped as a whole.
//! Invariant: the states of a generation and the offset that they are folded up to are committed in one
//! batch, so that after a crash nothing is folded twice or skipped. All of it can be thrown away and
//! folded again. Deliberately absent: folding (the node's), and any knowledge of what a state means.
//!
//! Keys, each beginning with the byte of its table: `0x01` the version; `0x02` digest → which generations
//! there are; `0x03` digest, number → nothing: a generation that is being dropped; `0x04` digest, number,
//! then `0x00` → [`Progress`], `0x01` → failures, `0x02` and the key of a state → [`KeyState`], `0x03` →
//! [`Snapshots`], or `0x04`, the offset of a snapshot and the key of a state → [`KeyState`]; `0x05` the
//! offset up to which triggers have met the journal; `0x06` → nothing: what is dropped has to leave no bytes.
//! Numbers are big-endian; values are CBOR.

mod snapshots;

use std::path::Path;
use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::notation::NotationError;
use fedsx_core::value::Value;
use minicbor::{Decode, Encode};

use crate::engine::{Batch, Engine, EngineError, EngineKind, Renewed, prefix_end};

pub use snapshots::{Earlier, KeyState, Snapshots};

/// The version of this layout; a database of another one is thrown away.
const VERSION: u32 = 3;
const VERSION_KEY: &[u8] = &[0x01];
const GENERATIONS: u8 = 0x02;
const DROPPING: u8 = 0x03;
const ROWS: u8 = 0x04;
pub(crate) const TRIGGERS: u8 = 0x05;
const RENEW_KEY: &[u8] = &[0x06];
const PROGRESS: u8 = 0x00;
const FAILURES: u8 = 0x01;
const STATE: u8 = 0x02;

/// The states of one definition, folded from the first entry on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation {
    /// The digest inside the definition's CID.
    pub definition: Digest,
    /// Counts up with each rebuild, from 1.
    pub number: u64,
}

/// Which generations of a definition there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Generations {
    /// The one that is served.
    #[n(0)]
    pub live: u64,
    /// The one that a rebuild is folding.
    #[n(1)]
    pub building: Option<u64>,
}

/// How far a generation is folded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Progress {
    /// The offset up to which all entries are folded.
    #[n(0)]
    pub offset: u64,
    /// Whether it has reached the end of the journal once.
    #[n(1)]
    pub complete: bool,
    /// How many entries failed.
    #[n(2)]
    pub failures: u64,
    /// What was erased up to this offset was shown to it as such, from its first entry on.
    #[n(3)]
    pub erased: u64,
}

/// An entry that could not be folded.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Failure {
    /// Where it was shown.
    #[n(0)]
    pub offset: u64,
    /// The digest inside the activity's CID.
    #[n(1)]
    pub activity: Digest,
    /// What went wrong.
    #[n(2)]
    pub error: String,
}

/// Why states can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A row that this version can't read.
    #[error("a row of the projections can't be read: {0}")]
    Row(#[from] minicbor::decode::Error),
    /// A state that was a document value when it was written, and is none now.
    #[error("the state of a projection can't be read: {0}")]
    State(#[from] NotationError),
    /// A state without its head.
    #[error("the state of a projection is cut short")]
    Short,
    /// The state was changed faster than it could be read.
    #[error("the state of a projection changes faster than it can be read")]
    Busy,
}

/// What is committed together.
#[derive(Debug, Default)]
pub struct Commit(Batch);

impl Commit {
    /// Says which generations of a definition there are.
    pub fn generations(&mut self, definition: &Digest, generations: Generations) {
        self.0.put(
            generations_key(definition),
            minicbor::to_vec(generations).expect("writing to a Vec can't fail"),
        );
    }

    /// Forgets a definition; its generations have to be dropped as well.
    pub fn forget(&mut self, definition: &Digest) {
        self.0.delete(generations_key(definition));
    }

    /// Says that a generation is to be dropped, chunk by chunk.
    pub fn dropping(&mut self, generation: Generation) {
        self.0.put(under(DROPPING, generation), [1]);
    }

    /// Says that what is dropped has to leave no bytes: see [`Projections::renew`].
    pub fn renew(&mut self) {
        self.0.put(RENEW_KEY, []);
    }

    /// Says how far a generation is folded.
    pub fn progress(&mut self, generation: Generation, progress: Progress) {
        self.0.put(
            row(generation, PROGRESS, ""),
            minicbor::to_vec(progress).expect("writing to a Vec can't fail"),
        );
    }

    /// Keeps the account of failures.
    pub fn failures(&mut self, generation: Generation, failures: &[Failure]) {
        self.0.put(
            row(generation, FAILURES, ""),
            minicbor::to_vec(failures).expect("writing to a Vec can't fail"),
        );
    }

    /// Sets the state of a key.
    pub fn state(&mut self, generation: Generation, key: &str, state: &KeyState) {
        self.0.put(row(generation, STATE, key), state.encode());
    }

    /// Keeps the state that a key had at a snapshot.
    pub fn before(&mut self, generation: Generation, snapshot: u64, key: &str, state: &KeyState) {
        let row = snapshots::before_row(generation, snapshot, key);
        self.0.put(row, state.encode());
    }

    /// Says which snapshots there are.
    pub fn snapshots(&mut self, generation: Generation, snapshots: &Snapshots) {
        snapshots::put_snapshots(&mut self.0, generation, snapshots);
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The states of all projections. Two threads commit, each its own rows; any number read beside
/// them. A clone is the same.
#[derive(Clone, Debug)]
pub struct Projections {
    engine: Arc<dyn Engine>,
    /// The same, where it can be made anew.
    renewed: Option<Arc<Renewed>>,
}

impl Projections {
    /// In an engine that holds nothing else.
    #[must_use]
    pub fn over(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            renewed: None,
        }
    }

    /// Opens those of a data directory; of another layout they are thrown away.
    pub(crate) fn open(dir: &Path, kind: EngineKind) -> Result<Self, EngineError> {
        let mark = (VERSION_KEY, VERSION.to_be_bytes().to_vec());
        let renewed = Renewed::open(dir, format!("projections-{kind}"), kind, mark)?;
        let renewed = Arc::new(renewed);
        Ok(Self {
            engine: Arc::clone(&renewed) as Arc<dyn Engine>,
            renewed: Some(renewed),
        })
    }

    /// Whether states of something that is erased are still to be let go of.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn is_to_be_renewed(&self) -> Result<bool, ProjectionError> {
        Ok(self.engine.get(RENEW_KEY)?.is_some())
    }

    /// Copies all rows into a new database and removes the old one, with all that was overwritten or dropped
    /// in it.
    ///
    /// # Errors
    /// When it can't be copied, or the old one not be removed.
    pub fn renew(&self) -> Result<(), ProjectionError> {
        if let Some(renewed) = &self.renewed {
            renewed.renew()?;
        }
        let mut batch = Batch::new();
        batch.delete(RENEW_KEY);
        Ok(self.engine.commit(batch)?)
    }

    /// The generations of a definition; none when it was never folded here.
    ///
    /// # Errors
    /// When the database can't be read; so for all of these.
    pub fn generations(&self, definition: &Digest) -> Result<Option<Generations>, ProjectionError> {
        self.decoded(&generations_key(definition))
    }

    /// How far a generation is folded.
    ///
    /// # Errors
    /// As above.
    pub fn progress(&self, generation: Generation) -> Result<Progress, ProjectionError> {
        let progress = self.decoded(&row(generation, PROGRESS, ""))?;
        Ok(progress.unwrap_or_default())
    }

    /// The newest failures of a generation, oldest first.
    ///
    /// # Errors
    /// As above.
    pub fn failures(&self, generation: Generation) -> Result<Vec<Failure>, ProjectionError> {
        let failures = self.decoded(&row(generation, FAILURES, ""))?;
        Ok(failures.unwrap_or_default())
    }

    /// The state of a key, if anything was folded into it.
    ///
    /// # Errors
    /// As above.
    pub fn state(
        &self,
        generation: Generation,
        key: &str,
    ) -> Result<Option<KeyState>, ProjectionError> {
        let bytes = self.engine.get(&row(generation, STATE, key))?;
        bytes.map(|bytes| KeyState::decode(&bytes)).transpose()
    }

    /// The states of a generation by key, in the order of the keys' bytes, behind `after`, at most
    /// `limit`; all from one moment.
    ///
    /// # Errors
    /// As above.
    pub fn states(
        &self,
        generation: Generation,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, ProjectionError> {
        let prefix = row(generation, STATE, "");
        let mut from = prefix.clone();
        if let Some(after) = after {
            from.extend(after.as_bytes());
            from.push(0);
        }
        let rows = self
            .engine
            .scan(&from, &prefix_end(&prefix), limit, false)?;
        rows.into_iter()
            .map(|(key, bytes)| {
                let key = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                Ok((key, KeyState::decode(&bytes)?.state))
            })
            .collect()
    }

    /// Applies what belongs together; durable only with the next [`Projections::flush`].
    ///
    /// # Errors
    /// When it can't be written: the database must then be opened anew.
    pub fn commit(&self, commit: Commit) -> Result<(), ProjectionError> {
        Ok(self.engine.commit(commit.0)?)
    }

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// As of [`Projections::commit`].
    pub fn flush(&self) -> Result<(), ProjectionError> {
        Ok(self.engine.flush()?)
    }

    /// Generations that are still to be dropped.
    ///
    /// # Errors
    /// As above.
    pub fn to_drop(&self) -> Result<Vec<Generation>, ProjectionError> {
        let rows = self.engine.scan_prefix(&[DROPPING], 1_000, false)?;
        Ok(rows.iter().filter_map(|(key, _)| named(key)).collect())
    }

    /// Drops up to `limit` rows of a generation; whether that was all of it.
    ///
    /// # Errors
    /// As of [`Projections::commit`].
    pub fn drop_some(&self, generation: Generation, limit: usize) -> Result<bool, ProjectionError> {
        let rows = self
            .engine
            .scan_prefix(&under(ROWS, generation), limit, false)?;
        let is_last = rows.len() < limit;
        let mut batch = Batch::new();
        for (key, _) in rows {
            batch.delete(key);
        }
        if is_last {
            batch.delete(under(DROPPING, generation));
        }
        self.engine.commit(batch)?;
        Ok(is_last)
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn decoded<T: for<'b> Decode<'b, ()>>(&self, key: &[u8]) -> Result<Option<T>, ProjectionError> {
        let bytes = self.engine.get(key)?;
        Ok(bytes.map(|bytes| minicbor::decode(&bytes)).transpose()?)
    }
}

fn generations_key(definition: &Digest) -> Vec<u8> {
    [&[GENERATIONS], &definition.as_bytes()[..]].concat()
}

fn under(table: u8, generation: Generation) -> Vec<u8> {
    let Generation { definition, number } = generation;
    [&[table], &definition.as_bytes()[..], &number.to_be_bytes()].concat()
}

fn row(generation: Generation, kind: u8, key: &str) -> Vec<u8> {
    let mut row = under(ROWS, generation);
    row.push(kind);
    row.extend(key.as_bytes());
    row
}

/// The generation that a key of [`DROPPING`] names.
fn named(key: &[u8]) -> Option<Generation> {
    let (digest, number) = key.get(1..)?.split_last_chunk()?;
    Some(Generation {
        definition: <[u8; 32]>::try_from(digest).ok()?.into(),
        number: u64::from_be_bytes(*number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;

    fn generation(number: u64) -> Generation {
        Generation {
            definition: Digest::of(b"p"),
            number,
        }
    }

    #[test]
    fn states_lie_beside_each_other_and_are_dropped_as_a_whole() {
        let rows = Projections::over(Arc::new(MemoryEngine::default()));
        let mut commit = Commit::default();
        for number in [1, 2] {
            commit.progress(
                generation(number),
                Progress {
                    offset: number,
                    ..Progress::default()
                },
            );
            for key in ["", "a", "ab", "b"] {
                let state = KeyState {
                    born: 1,
                    since: number,
                    state: Value::from(key),
                };
                commit.state(generation(number), key, &state);
            }
        }
        commit.dropping(generation(1));
        rows.commit(commit).expect("committed");
        let keys = |number, after, limit| {
            let states = rows.states(generation(number), after, limit).expect("read");
            states.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys(1, None, 9), ["", "a", "ab", "b"]);
        assert_eq!(keys(1, Some("a"), 1), ["ab"]);
        assert_eq!(rows.to_drop().expect("read"), [generation(1)]);
        while !rows.drop_some(generation(1), 2).expect("dropped") {}
        assert!(rows.to_drop().expect("read").is_empty());
        assert!(keys(1, None, 9).is_empty());
        assert_eq!(rows.progress(generation(1)).expect("read").offset, 0);
        assert_eq!(keys(2, None, 9).len(), 4);
        assert_eq!(rows.progress(generation(2)).expect("read").offset, 2);
    }

    #[test]
    fn the_keys_are_what_they_were() {
        let hex = |bytes: Vec<u8>| {
            bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        insta::assert_snapshot!(
            [
                hex(generations_key(&Digest::of(b"p"))),
                hex(under(DROPPING, generation(1))),
                hex(row(generation(1), PROGRESS, "")),
                hex(row(generation(1), STATE, "k")),
                hex(row(generation(1), snapshots::SNAPSHOTS, "")),
                hex(snapshots::before_row(generation(1), 7, "k")),
            ]
            .join("\n")
        );
    }
}
