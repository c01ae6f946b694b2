//! What is kept for a definition, or offers one: its rows, and how they are read (design, section 8.2).
//!
//! Rows stand in the order of offsets, and are found again by actor, host and verb.

use fedsx_core::cid::Digest;
use fedsx_core::entry::Joined;
use fedsx_core::state::{Kept, Outcome, Row, Seen, State, Waiting};
use fedsx_core::value::Map;

use crate::engine::{Batch, prefix_end};
use crate::index;
use crate::schema::{self, Table, encode, kept_key, key, url_hash};
use crate::view::{ReadError, View};

/// By what something that is kept is found.
#[derive(Clone, Copy, Debug)]
pub enum KeptUnder<'a> {
    /// The URL of its actor, or the host of that.
    Whose(&'a str),
    /// Its verb, which is not defined.
    Verb(&'a str),
}

impl KeptUnder<'_> {
    fn prefix(self) -> Vec<u8> {
        let hash = match self {
            Self::Whose(whose) => url_hash(whose),
            // No URL and no host has a space in it.
            Self::Verb(verb) => url_hash(&format!("verb {verb}")),
        };
        key(Table::KeptUnder, &[&hash])
    }

    fn key(self, offset: u64) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend_from_slice(&offset.to_be_bytes());
        key
    }
}

/// Lays the rows out as writes of a batch.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::Kept(kept) => {
            for under in found_under(&kept) {
                batch.put(under, []);
            }
            batch.put(kept_key(kept.at.offset), encode(kept));
        }
        Row::Unkept(kept) => {
            for under in found_under(&kept) {
                batch.delete(under);
            }
            batch.delete(kept_key(kept.at.offset));
        }
        Row::KeptTotal { whose, total } => {
            let key = key(Table::KeptTotal, &[&url_hash(&whose)]);
            schema::put_or_delete(batch, key, whose, (total > 0).then_some(total));
        }
        Row::Trust(trust) => batch.put(key(Table::Trust, &[]), encode(trust)),
        other => unreachable!("{other:?} is laid out by `schema`"),
    }
}

fn found_under(kept: &Kept) -> Vec<Vec<u8>> {
    let (offset, host) = (kept.at.offset, kept.host());
    let mut keys = vec![
        KeptUnder::Whose(&kept.actor).key(offset),
        KeptUnder::Whose(&host).key(offset),
    ];
    if let Waiting::Verb { verb, .. } = &kept.waiting {
        keys.push(KeptUnder::Verb(verb).key(offset));
    }
    keys
}

impl View {
    /// What is kept for a definition or offers one, behind an offset, oldest first.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn kept(&self, after: u64, limit: usize) -> Result<Vec<Kept>, ReadError> {
        let from = kept_key(after.saturating_add(1));
        let end = prefix_end(&[Table::Kept as u8]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let kept = rows.iter().map(|(_, value)| index::decode(value));
        Ok(kept.collect::<Result<_, _>>()?)
    }

    /// [`View::kept`], of one actor, host or verb.
    ///
    /// # Errors
    /// As above.
    pub fn kept_under(
        &self,
        under: KeptUnder<'_>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Kept>, ReadError> {
        let from = under.key(after.saturating_add(1));
        let end = prefix_end(&under.prefix());
        let mut kept = Vec::new();
        for (key, _) in self.engine.scan(&from, &end, limit, false)? {
            let offset = key
                .last_chunk()
                .map_or(0, |bytes| u64::from_be_bytes(*bytes));
            // A row that was settled in between is no longer there.
            kept.extend(self.index.kept(offset)?);
        }
        Ok(kept)
    }

    /// The document of something that is kept.
    ///
    /// # Errors
    /// As above.
    pub fn kept_document(&self, kept: &Kept) -> Result<Map, ReadError> {
        self.at(kept.at)?.map()
    }

    /// What became of a document that was kept for a definition or offers one.
    ///
    /// # Errors
    /// As above.
    pub fn outcome(&self, digest: &Digest) -> Result<Option<Outcome>, ReadError> {
        Ok(self.index.seen(digest)?.and_then(|seen| seen.outcome))
    }

    /// The logs that a document had joined before an offset.
    ///
    /// # Errors
    /// As above.
    pub fn joined_before(&self, digest: &Digest, offset: u64) -> Result<Vec<Joined>, ReadError> {
        let Some(Seen { joined, .. }) = self.index.seen(digest)? else {
            return Ok(Vec::new());
        };
        let mut joined = joined;
        let placed = key(Table::Placed, &[digest.as_bytes()]);
        for (key, value) in self.engine.scan_prefix(&placed, usize::MAX, false)? {
            let place = schema::placed_log(&key).zip(schema::placed_of(&value));
            if let Some((log, (seq, at))) = place
                && at < offset
            {
                joined.push(Joined { log, seq });
            }
        }
        Ok(joined)
    }
}
