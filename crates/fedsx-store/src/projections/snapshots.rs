//! What states were at up to 16 earlier offsets of a generation.
//!
//! A snapshot costs nothing when it is taken: it is an offset. Only when a key is changed for the first
//! time behind it, the state that the key had is kept under the snapshot. So the state of a key at a
//! snapshot is what is kept under it, else under the next one that keeps any, else the state as it is
//! now. When there are 16, every second goes, and the next come at twice the distance: what is kept under
//! one that goes is moved under the one before, in chunks, unless that keeps a state of the key already.
//! Invariant: with each state goes the offset of the entry that made it and that of the key's first, so that
//! a reader beside the thread that folds sees whether what it found was true at the snapshot.

use fedsx_core::notation::cbor;
use fedsx_core::value::Value;
use minicbor::{Decode, Encode};

use super::{Generation, ProjectionError, Projections, row};
use crate::engine::{Batch, prefix_end};

/// Snapshots kept of a generation.
const KEPT: usize = 16;
/// Entries between two at least.
const INTERVAL: u64 = 4_096;
/// How often a look is repeated that the folding thread ran into.
const LOOKS: usize = 64;
/// The kind of row that says which there are, and that of what is kept under them.
pub(super) const SNAPSHOTS: u8 = 0x03;
const BEFORE: u8 = 0x04;

/// The state of a key, and since when it is so.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyState {
    /// The offset of the first entry that was folded into the key.
    pub born: u64,
    /// The offset of the entry that made this state.
    pub since: u64,
    /// The state.
    pub state: Value,
}

impl KeyState {
    /// `born`, `since`, each big-endian, and the state in CBOR.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (born, since) = (self.born.to_be_bytes(), self.since.to_be_bytes());
        [&born[..], &since, &cbor::write(&self.state)].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ProjectionError> {
        let (born, rest) = bytes.split_first_chunk().ok_or(ProjectionError::Short)?;
        let (since, state) = rest.split_first_chunk().ok_or(ProjectionError::Short)?;
        Ok(Self {
            born: u64::from_be_bytes(*born),
            since: u64::from_be_bytes(*since),
            state: cbor::read(state)?,
        })
    }
}

/// Which snapshots there are of a generation.
#[derive(Clone, Default, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Snapshots {
    /// Entries between two.
    #[n(0)]
    interval: u64,
    /// At which offsets, ascending.
    #[n(1)]
    kept: Vec<u64>,
    /// Those that go, ascending.
    #[n(2)]
    going: Vec<u64>,
}

impl Snapshots {
    /// Those of a generation that begins to fold a journal of so many entries: so far apart that none
    /// has to go before its end.
    #[must_use]
    pub fn over(entries: u64) -> Self {
        let interval = entries.div_ceil(KEPT as u64).next_power_of_two();
        Self {
            interval: interval.max(INTERVAL),
            ..Self::default()
        }
    }

    /// The newest, behind which a changed key's state is to be kept.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.kept.last().copied()
    }

    /// Takes one at an offset up to which everything is committed, if it is time; whether anything
    /// changed.
    pub fn take(&mut self, offset: u64) -> bool {
        let is_time = |all: &Self| offset >= all.newest().unwrap_or_default() + all.interval;
        if !is_time(self) || (self.kept.len() >= KEPT && !self.going.is_empty()) {
            return false;
        }
        if self.kept.len() >= KEPT {
            let mut at = 0;
            let is_second = |_: &mut u64| {
                at += 1;
                at % 2 == 0
            };
            self.going = self.kept.extract_if(.., is_second).collect();
            self.interval = self.interval.saturating_mul(2);
        }
        if is_time(self) {
            self.kept.push(offset);
        }
        true
    }

    /// Whether some go.
    #[must_use]
    pub fn is_going(&self) -> bool {
        !self.going.is_empty()
    }

    /// The newest that goes, and the one before it.
    fn last_going(&self) -> Option<(u64, Option<u64>)> {
        let going = *self.going.last()?;
        let before = self.kept.iter().rev().find(|kept| **kept < going);
        Some((going, before.copied()))
    }

    /// All under which something may be kept, from one on, ascending.
    fn from(&self, first: u64) -> Vec<u64> {
        let all = self.kept.iter().chain(&self.going).copied();
        let mut all: Vec<u64> = all.filter(|offset| *offset >= first).collect();
        all.sort_unstable();
        all
    }
}

/// What a key's state was when an offset had been folded, as far as it is known without folding.
#[derive(Clone, PartialEq, Debug)]
pub struct Earlier {
    /// The state at [`Earlier::offset`]; none where nothing had been folded into the key.
    pub state: Option<Value>,
    /// At most the offset asked for; entries behind it are still to be folded.
    pub offset: u64,
}

impl Projections {
    /// The snapshots of a generation, if it has begun.
    ///
    /// # Errors
    /// When the database can't be read; so for all of these.
    pub fn snapshots(&self, generation: Generation) -> Result<Option<Snapshots>, ProjectionError> {
        self.decoded(&row(generation, SNAPSHOTS, ""))
    }

    /// The state of a key as of an offset, or of the nearest one before.
    ///
    /// # Errors
    /// As above; [`ProjectionError::Busy`] when folding overtook every look.
    pub fn earlier(
        &self,
        generation: Generation,
        key: &str,
        offset: u64,
    ) -> Result<Earlier, ProjectionError> {
        for _ in 0..LOOKS {
            if let Some(earlier) = self.look_back(generation, key, offset)? {
                return Ok(earlier);
            }
        }
        Err(ProjectionError::Busy)
    }

    /// One look; none where the key was changed, or what is kept of it was moved, meanwhile.
    fn look_back(
        &self,
        generation: Generation,
        key: &str,
        offset: u64,
    ) -> Result<Option<Earlier>, ProjectionError> {
        // Before the states, which are then at least as new.
        let folded = self.progress(generation)?.offset;
        let snapshots = self.snapshots(generation)?.unwrap_or_default();
        let base = snapshots.kept.iter().rev().find(|kept| **kept <= offset);
        let base = base.copied().unwrap_or_default();
        // With the offset until when it was so.
        let mut found = None;
        for level in snapshots.from(base.max(1)) {
            let bytes = self.engine.get(&before_row(generation, level, key))?;
            if let Some(bytes) = bytes {
                found = Some((KeyState::decode(&bytes)?, level));
                break;
            }
        }
        if found.is_none() {
            let live = self.state(generation, key)?;
            found = live.map(|live| {
                let until = folded.max(live.since);
                (live, until)
            });
        }
        let earlier = |state, until: u64| {
            let offset = offset.min(until);
            Some(Earlier { state, offset })
        };
        Ok(match found {
            None => earlier(None, folded),
            Some((found, until)) if found.since <= offset => earlier(Some(found.state), until),
            // Nothing was folded into it before its first entry.
            Some((found, _)) if found.born > base => earlier(None, found.born - 1),
            // What it was at the base is kept under none any more, or not yet.
            Some(_) => None,
        })
    }

    /// Moves up to `limit` of the states kept under a snapshot that goes. Called by the thread that commits.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn move_some(
        &self,
        generation: Generation,
        snapshots: &mut Snapshots,
        limit: usize,
    ) -> Result<(), ProjectionError> {
        let Some((going, before)) = snapshots.last_going() else {
            return Ok(());
        };
        let prefix = before_row(generation, going, "");
        let rows = self
            .engine
            .scan(&prefix, &prefix_end(&prefix), limit, false)?;
        let is_last = rows.len() < limit;
        let mut batch = Batch::new();
        for (from, bytes) in rows {
            let since = KeyState::decode(&bytes)?.since;
            // Where it was made behind the one before, that keeps an earlier state of the key.
            if let Some(before) = before.filter(|before| since <= *before) {
                let mut to = before_row(generation, before, "");
                to.extend(&from[prefix.len()..]);
                batch.put(to, bytes);
            }
            batch.delete(from);
        }
        if is_last {
            snapshots.going.pop();
            put_snapshots(&mut batch, generation, snapshots);
        }
        Ok(self.engine.commit(batch)?)
    }
}

pub(super) fn put_snapshots(batch: &mut Batch, generation: Generation, snapshots: &Snapshots) {
    batch.put(
        row(generation, SNAPSHOTS, ""),
        minicbor::to_vec(snapshots).expect("writing to a Vec can't fail"),
    );
}

/// Where the state is kept that a key had at a snapshot.
pub(super) fn before_row(generation: Generation, snapshot: u64, key: &str) -> Vec<u8> {
    let mut before = row(generation, BEFORE, "");
    before.extend(snapshot.to_be_bytes());
    before.extend(key.as_bytes());
    before
}

#[cfg(test)]
mod tests;
