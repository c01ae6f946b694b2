//! The read side: logs, documents, actors and relations, beside the writer and from any thread.
//!
//! A view shows whole batches only. It reads positions from the index and documents from the journal.
//! Deliberately absent: who may see what (that is for those who serve it).

use std::sync::Arc;

use fedsx_core::actor::tombstone;
use fedsx_core::cid::Digest;
use fedsx_core::entry::{ActorNo, LogId};
use fedsx_core::follow::{Direction, Owed, Phase, Relation};
use fedsx_core::notation::NotationError;
use fedsx_core::state::{Actor, At, Seen, State, StateError};
use fedsx_core::value::{Map, Value};
use tokio::sync::watch;

use crate::cache::{Cached, RowCache};
use crate::engine::{Engine, EngineError, prefix_end};
use crate::index::{self, Index};
use crate::journal::{JournalError, JournalReader, Place};
use crate::schema::{self, Of, Table, key, log_key, log_prefix};
use crate::stored::{Stored, stored};
use crate::tail::Tail;

/// Reads everything that is applied. Cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) journal: JournalReader,
    pub(crate) index: Index<Cached>,
    applied: watch::Receiver<u64>,
}

/// Why something can't be read: always the store's fault.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The index.
    #[error(transparent)]
    State(#[from] StateError),
    /// The engine under the index.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A header that this version can't read.
    #[error("the header of entry {offset} can't be read: {source}")]
    Header {
        /// Which entry.
        offset: u64,
        /// What the decoder said.
        source: minicbor::decode::Error,
    },
    /// A document that was readable when it was kept, and is not now.
    #[error("the document of entry {offset} can't be read: {source}")]
    Document {
        /// Which entry.
        offset: u64,
        /// What the reader said.
        source: NotationError,
    },
    /// An actor whose document is not where its row says.
    #[error("the document of actor {0} is missing")]
    NoActorDocument(String),
}

/// A part of a log, by sequence, both ends exclusive.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SeqRange {
    /// Only what stands behind this place.
    pub after: Option<u64>,
    /// Only what stands before this place.
    pub before: Option<u64>,
}

/// An entry in a log.
#[derive(Clone, Debug)]
pub struct InLog {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// The entry.
    pub stored: Stored,
}

impl View {
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        journal: JournalReader,
        applied: watch::Receiver<u64>,
        cache: Arc<RowCache>,
    ) -> Self {
        let rows = Cached {
            engine: Arc::clone(&engine),
            cache,
        };
        let index = Index::with_journal(rows, journal.clone());
        Self {
            engine,
            journal,
            index,
            applied,
        }
    }

    /// The applied state.
    #[must_use]
    pub fn state(&self) -> &dyn State {
        &self.index
    }

    /// One hash over all derived rows, and their number; reads the whole index.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn digest(&self) -> Result<(Digest, u64), EngineError> {
        crate::check::digest(&self.engine)
    }

    /// The newest offset that is visible.
    #[must_use]
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Tells each new offset that becomes visible.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// All local actors, in the order of creation.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn actors(&self) -> Result<Vec<Actor>, ReadError> {
        let rows = self
            .engine
            .scan_prefix(&[Table::Actor as u8], usize::MAX, false)?;
        Ok(rows
            .iter()
            .map(|(_, value)| index::decode(value))
            .collect::<Result<_, _>>()?)
    }

    /// The AS2 document of a local actor, or the Tombstone of one that was deleted.
    ///
    /// # Errors
    /// As above, and [`ReadError::NoActorDocument`].
    pub fn actor_document(&self, actor: &Actor) -> Result<Map, ReadError> {
        match self.at(actor.document)?.map()?.get("object") {
            Some(Value::Map(document)) => Ok(match actor.gone_ms {
                Some(deleted_ms) => tombstone(document, deleted_ms),
                None => document.clone(),
            }),
            _ => Err(ReadError::NoActorDocument(actor.name.clone())),
        }
    }

    /// The entry of a document, with its proof where one was attached later; where it is erased, with what
    /// is left of it.
    ///
    /// # Errors
    /// As above.
    pub fn stored(&self, digest: &Digest) -> Result<Option<Stored>, ReadError> {
        let Some(seen) = self.index.seen(digest)? else {
            return Ok(None);
        };
        Ok(Some(self.completed(self.at(seen.at)?, &seen)?))
    }

    /// The entry kept under an activity's `id`.
    ///
    /// # Errors
    /// As above.
    pub fn activity_by_id(&self, id: &str) -> Result<Option<Stored>, ReadError> {
        let Some(digest) = self.index.digest_of_id(id)? else {
            return Ok(None);
        };
        let stored = self.stored(&digest)?;
        Ok(stored.filter(|stored| stored.activity().is_some_and(|activity| activity.id == id)))
    }

    /// The `Create` kept for the object of that `id`.
    ///
    /// # Errors
    /// As above.
    pub fn activity_of_object(&self, object_id: &str) -> Result<Option<Stored>, ReadError> {
        let Some(digest) = self.index.digest_of_object(object_id)? else {
            return Ok(None);
        };
        let stored = self.stored(&digest)?;
        Ok(stored.filter(|stored| {
            let created = stored
                .activity()
                .and_then(|activity| activity.object_id.as_deref());
            created == Some(object_id)
        }))
    }

    /// The evidence kept against an actor: for each `id`, the document kept first and the entry of the
    /// second.
    ///
    /// # Errors
    /// As above.
    pub fn evidence(&self, actor: &str) -> Result<Vec<(Digest, Stored)>, ReadError> {
        let prefix = key(Table::Evidence, &[&schema::url_hash(actor)]);
        let rows = self.engine.scan_prefix(&prefix, usize::MAX, false)?;
        rows.iter()
            .map(|(_, value)| {
                let row: schema::EvidenceRow = index::decode(value)?;
                Ok((row.kept, self.at(row.at)?))
            })
            .collect()
    }

    /// Entries of a log.
    ///
    /// # Errors
    /// As above.
    pub fn log(
        &self,
        log: LogId,
        range: SeqRange,
        newest_first: bool,
        limit: usize,
    ) -> Result<Vec<InLog>, ReadError> {
        let prefix = log_prefix(log);
        let from = log_key(log, range.after.map_or(0, |after| after.saturating_add(1)));
        let to = range
            .before
            .map_or_else(|| prefix_end(&prefix), |before| log_key(log, before));
        let rows = self.engine.scan(&from, &to, limit, newest_first)?;
        rows.iter()
            .map(|(key, value)| {
                let (seq, at) = index::log_row(key, value)?;
                Ok(InLog {
                    seq,
                    stored: self.complete(self.at(at)?)?,
                })
            })
            .collect()
    }

    /// The place of a document in a log.
    ///
    /// # Errors
    /// As above.
    pub fn seq_in(&self, digest: &Digest, log: LogId) -> Result<Option<u64>, ReadError> {
        let Some(seen) = self.index.seen(digest)? else {
            return Ok(None);
        };
        if let Some(joined) = seen.joined.iter().find(|joined| joined.log == log) {
            return Ok(Some(joined.seq));
        }
        let placed = self.engine.get(&schema::placed_key(digest, log))?;
        let placed = placed.and_then(|value| schema::placed_of(&value));
        Ok(placed.map(|(seq, _)| seq))
    }

    /// Entries of the journal behind an offset, in order, control entries too.
    #[must_use]
    pub fn tail(&self, after: u64) -> Tail {
        Tail::new(self.clone(), after)
    }

    /// The entry at an offset in an actor's outbox, found by halving.
    ///
    /// # Errors
    /// As above.
    pub fn outbox_entry(&self, actor: ActorNo, offset: u64) -> Result<Option<InLog>, ReadError> {
        let log = LogId::outbox(actor);
        let seq = self.seq_at(log, offset)?;
        let at = self.index.row::<At>(&log_key(log, seq))?;
        let Some(at) = at.filter(|at| at.offset == offset) else {
            return Ok(None);
        };
        let stored = self.complete(self.at(at)?)?;
        Ok(Some(InLog { seq, stored }))
    }

    /// The offsets of an actor's outbox from one on, in order, at most `limit`.
    ///
    /// # Errors
    /// As above.
    pub fn outbox_offsets(
        &self,
        actor: ActorNo,
        from: u64,
        limit: usize,
    ) -> Result<Vec<u64>, ReadError> {
        let log = LogId::outbox(actor);
        let from = log_key(log, self.seq_at(log, from)?);
        let to = prefix_end(&log_prefix(log));
        let rows = self.engine.scan(&from, &to, limit, false)?;
        let offset = |(key, value): &(Vec<u8>, Vec<u8>)| Ok(index::log_row(key, value)?.1.offset);
        rows.iter().map(offset).collect()
    }

    /// The least place of a log that holds an offset or one behind it, found by halving.
    fn seq_at(&self, log: LogId, offset: u64) -> Result<u64, ReadError> {
        let (mut low, mut high) = (1, self.index.log_len(log)? + 1);
        while low < high {
            let seq = low + (high - low) / 2;
            match self.index.row::<At>(&log_key(log, seq))? {
                Some(at) if at.offset < offset => low = seq + 1,
                _ => high = seq,
            }
        }
        Ok(low)
    }

    /// Relations of an actor in one direction, those of phase `none` left out, in no particular but a
    /// stable order, behind `after_peer`.
    ///
    /// # Errors
    /// As above.
    pub fn relations(
        &self,
        actor: ActorNo,
        direction: Direction,
        after_peer: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Relation)>, ReadError> {
        let prefix = schema::relation_prefix(actor, direction);
        let mut from = prefix.clone();
        if let Some(peer) = after_peer {
            from = prefix_end(&schema::relation_key(actor, direction, peer));
        }
        let mut relations = Vec::new();
        while relations.len() < limit {
            let rows = self
                .engine
                .scan(&from, &prefix_end(&prefix), limit, false)?;
            let Some((last, _)) = rows.last() else { break };
            from = prefix_end(last);
            for (_, value) in &rows {
                let (peer, relation) = index::relation_row(value)?;
                if relation.phase != Phase::None && relations.len() < limit {
                    relations.push((peer, relation));
                }
            }
            if rows.len() < limit {
                break;
            }
        }
        Ok(relations)
    }

    /// What is owed to peers, at most `limit` rows.
    ///
    /// # Errors
    /// As above.
    pub fn owed_all(&self, limit: usize) -> Result<Vec<(ActorNo, String, Vec<Owed>)>, ReadError> {
        let rows = self
            .engine
            .scan_prefix(&[Table::Owed as u8], limit, false)?;
        rows.iter()
            .map(|(key, value)| {
                let no = key
                    .get(1..5)
                    .and_then(|no| no.try_into().ok())
                    .unwrap_or_default();
                let row: Of<Vec<Owed>> = index::decode(value)?;
                Ok((ActorNo(u32::from_be_bytes(no)), row.peer, row.value))
            })
            .collect()
    }

    pub(crate) fn at(&self, at: At) -> Result<Stored, ReadError> {
        let place = Place {
            segment: at.segment,
            position: at.position,
        };
        stored(self.journal.read(place)?)
    }

    /// The same entry; one that was imported with its actor while its document was here for another, with that.
    pub(crate) fn filled(&self, stored: Stored) -> Result<Stored, ReadError> {
        let imported = stored.activity().filter(|it| it.imported.is_some());
        let Some(activity) = imported.filter(|_| stored.document.is_empty() && !stored.erased)
        else {
            return Ok(stored);
        };
        let Some(held) = self.stored(&activity.digest)? else {
            return Ok(stored);
        };
        Ok(Stored {
            header: stored.header,
            ..held
        })
    }

    /// The same entry with the proof that came later, if one did; of one that is erased, what is left.
    fn complete(&self, stored: Stored) -> Result<Stored, ReadError> {
        let seen = match stored.activity() {
            Some(activity) => self.index.seen(&activity.digest)?,
            None => None,
        };
        match seen {
            Some(seen) => self.completed(stored, &seen),
            None => Ok(stored),
        }
    }

    fn completed(&self, mut stored: Stored, seen: &Seen) -> Result<Stored, ReadError> {
        if let Some(erasure) = seen.erased {
            stored.erase(Some(erasure.deleted_ms));
        } else if let Some(proved) = seen.with_proof {
            let proved = self.at(proved)?;
            stored.document = proved.document;
            stored.notation = proved.notation;
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::url_hash;

    #[test]
    fn a_url_is_hashed_the_same_for_ever() {
        let hash = url_hash("https://a.example/actors/alice");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex);
    }
}
