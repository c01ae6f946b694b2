//! Overwriting what is erased, behind the entry that says so: a walk over the rows of erased documents,
//! with its place kept.
//!
//! Invariants: a row is visible only when its entry is durable, so that nothing is overwritten that a
//! crash could bring back as never erased; the place is committed after the overwriting is durable, so
//! that a crash repeats some and skips none. An index made anew has no place: all is overwritten again.
//! Deliberately absent: which documents are erased (core/apply/erase.rs), how (journal/erase.rs), and
//! copies outside the journal. Design, section 4, "Erasure".

use std::sync::Arc;

use fedsx_core::cid::Digest;
use fedsx_core::entry::{Header, Subject};
use fedsx_core::state::{Deleted, State as _};

use crate::engine::{Batch, Engine, prefix_end};
use crate::index::{Index, decode};
use crate::journal::{Bad, Eraser, Journal, JournalError, JournalReader, Place, Scanned};
use crate::schema::{EvidenceRow, Table, carrier_key, key, url_hash};
use crate::store::{StoreError, at_place};
use crate::stored::held;
use crate::view::{ReadError, View};

/// Documents erased between two syncs.
const AT_ONCE: usize = 64;

/// How far the overwriting has come.
fn overwritten_key() -> Vec<u8> {
    key(Table::Meta, &[b"erased"])
}

/// Up to which deletion every copy is on record as erased.
fn carried_out_key() -> Vec<u8> {
    key(Table::Meta, &[b"deleted"])
}

/// The one walk.
#[derive(Debug)]
pub(crate) struct Erasure {
    engine: Arc<dyn Engine>,
    journal: JournalReader,
    eraser: Eraser,
}

impl Erasure {
    /// The walk over what an index of this journal says is erased.
    pub(crate) fn of(journal: &Journal, engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            journal: journal.reader(),
            eraser: journal.eraser(),
        }
    }

    /// Overwrites the next documents, a few at a time; tells whether there were any.
    ///
    /// # Errors
    /// When the index can't be read, or a payload not be overwritten; the place stays before it.
    pub(crate) fn step(&self) -> Result<bool, ReadError> {
        let place_key = overwritten_key();
        let from = match self.engine.get(&place_key)? {
            Some(last) => prefix_end(&last),
            None => key(Table::Erased, &[]),
        };
        let end = prefix_end(&key(Table::Erased, &[]));
        let rows = self.engine.scan(&from, &end, AT_ONCE, false)?;
        let Some((last, _)) = rows.last() else {
            return Ok(false);
        };
        let mut places = Vec::new();
        for (_, value) in &rows {
            self.payloads(&decode(value)?, &mut places)?;
        }
        self.eraser.erase(&places)?;
        let mut batch = Batch::new();
        batch.put(place_key, last.clone());
        self.engine.commit(batch)?;
        Ok(true)
    }

    /// Where the document stands: as received, with a proof attached later, and what contradicts it.
    fn payloads(&self, digest: &Digest, places: &mut Vec<Place>) -> Result<(), ReadError> {
        let index = Index::over(Arc::clone(&self.engine));
        let Some(seen) = index.seen(digest)? else {
            return Ok(());
        };
        places.push(at_place(seen.at));
        places.extend(seen.with_proof.map(at_place));
        let frame = self.journal.read(at_place(seen.at))?;
        let header = Header::decode(&frame.header).map_err(|source| ReadError::Header {
            offset: frame.offset,
            source,
        })?;
        let Subject::Activity(activity) = header.subject else {
            return Ok(());
        };
        let of_id = [&url_hash(&activity.actor)[..], &url_hash(&activity.id)[..]];
        let evidence: Option<EvidenceRow> = index.row(&key(Table::Evidence, &of_id))?;
        let contradicting = evidence.filter(|row| row.kept == *digest);
        places.extend(contradicting.map(|row| at_place(row.at)));
        Ok(())
    }
}

/// What is overwritten in a part of the journal that is applied again: the entries that erased it may stand behind
/// it there.
#[derive(Debug, Default)]
pub(crate) struct Overwritten(Vec<(u64, Place, Option<Digest>)>);

impl Overwritten {
    /// Remembers an entry, where it is overwritten.
    pub(crate) fn note(&mut self, scanned: &Scanned, header: &Header) {
        if scanned.frame.erased {
            let document = held(header);
            self.0.push((header.offset, scanned.place, document));
        }
    }

    /// Everything that is overwritten must have been erased, once all is applied. Before that it was durably
    /// on record, so that nothing else than damage is at odds with it.
    pub(crate) fn must_be_covered(&self, engine: &Arc<dyn Engine>) -> Result<(), StoreError> {
        let index = Index::over(Arc::clone(engine));
        for (offset, place, document) in &self.0 {
            let seen = match document {
                Some(document) => index.seen(document)?,
                None => None,
            };
            if seen.is_none_or(|seen| seen.erased.is_none()) {
                let what = Bad::Overwritten;
                return Err(JournalError::damaged(*place, *offset, what, None).into());
            }
        }
        Ok(())
    }
}

/// Something deleted, and its place in the order in which things were.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// What.
    pub deleted: Deleted,
    place: Vec<u8>,
}

impl View {
    /// The next deletions of which copies may not be on record as erased, in the order of the journal, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the index can't be read; so for all of these.
    pub fn next_deletions(&self, limit: usize) -> Result<Vec<Deletion>, ReadError> {
        let from = match self.engine.get(&carried_out_key())? {
            Some(last) => prefix_end(&last),
            None => key(Table::Deletion, &[]),
        };
        let end = prefix_end(&key(Table::Deletion, &[]));
        let mut deletions = Vec::new();
        for (place, _) in self.engine.scan(&from, &end, limit, false)? {
            let row = place.get(9..).unwrap_or_default();
            let deleted = self.index.row(&key(Table::Deleted, &[row]))?;
            deletions.extend(deleted.map(|deleted| Deletion { deleted, place }));
        }
        Ok(deletions)
    }

    /// Every copy of it is on record as erased. Kept beside the rows that the journal folds into: an index
    /// made anew has no place, and all deletions are looked at again.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn carried_out(&self, deletion: Deletion) -> Result<(), ReadError> {
        let mut batch = Batch::new();
        batch.put(carried_out_key(), deletion.place);
        Ok(self.engine.commit(batch)?)
    }

    /// What holds a copy of what has this `id`, by its entry's offset, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// As above.
    pub fn carriers(
        &self,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Digest)>, ReadError> {
        let end = prefix_end(&key(Table::Carrier, &[&url_hash(id)]));
        let from = carrier_key(id, after.saturating_add(1));
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let carriers = rows.iter().filter_map(|(key, digest)| {
            let (_, offset) = key.split_last_chunk()?;
            let digest = <[u8; 32]>::try_from(&digest[..]).ok()?;
            Some((u64::from_be_bytes(*offset), Digest::from(digest)))
        });
        Ok(carriers.collect())
    }

    /// The documents that entries behind `after` and up to `through` erased, with the offsets of these
    /// entries, at most `limit`.
    ///
    /// # Errors
    /// As above.
    pub fn erased_between(
        &self,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Digest)>, ReadError> {
        let place = |offset: u64| key(Table::Erased, &[&offset.saturating_add(1).to_be_bytes()]);
        let rows = self
            .engine
            .scan(&place(after), &place(through), limit, false)?;
        rows.iter()
            .map(|(key, digest)| Ok((offset_of(key), decode(digest)?)))
            .collect()
    }

    /// The offset of the newest entry that erased something; 0 where there is none.
    ///
    /// # Errors
    /// As above.
    pub fn erased_through(&self) -> Result<u64, ReadError> {
        let newest = self.engine.scan_prefix(&[Table::Erased as u8], 1, true)?;
        Ok(newest.first().map_or(0, |(key, _)| offset_of(key)))
    }

    /// The offset up to which everything that is erased is overwritten as well.
    ///
    /// # Errors
    /// As above.
    pub fn overwritten_through(&self) -> Result<u64, ReadError> {
        let place = self.engine.get(&overwritten_key())?;
        Ok(place.map_or(0, |key| offset_of(&key)))
    }
}

/// The offset in a key of [`Table::Erased`].
fn offset_of(key: &[u8]) -> u64 {
    let offset = key.get(1..).and_then(|rest| rest.first_chunk());
    offset.map_or(0, |offset| u64::from_be_bytes(*offset))
}
