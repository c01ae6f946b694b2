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
use fedsx_core::state::State;

use crate::engine::{Batch, Engine, prefix_end};
use crate::index::{Index, decode};
use crate::journal::{Eraser, Journal, JournalReader, Place};
use crate::schema::{EvidenceRow, Table, key, url_hash};
use crate::store::at_place;
use crate::view::ReadError;

/// Documents erased between two syncs.
const AT_ONCE: usize = 64;

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
        let place_key = key(Table::Meta, &[b"erased"]);
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
