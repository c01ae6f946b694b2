//! Rows that every request asks for and hardly any entry changes (actors, relations, blocks), kept at
//! hand above the engine.
//!
//! Invariant: a row is put here only if nothing was committed to these tables since it was read, and
//! what a batch changes is forgotten before the batch is answered; so whoever was answered reads what
//! it wrote. The ids of all activities, and of all that was deleted, are kept besides, as a filter: see known.rs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::{Engine, EngineError, Row, prefix_end};
use crate::index::Rows;
use crate::known::{IdHash, KnownIds};
use crate::schema::Table;

/// Rows kept; past it all are dropped and read again.
const ROWS: usize = 32_768;
/// Ids read from the engine at once.
const LEARNED_AT_ONCE: usize = 4_096;
/// The prefix of the one table that is asked for by prefix: its byte and the hash of a peer.
const RELATED_PREFIX: usize = 17;

#[derive(Debug, Default)]
struct Kept {
    /// Counts the commits to these tables.
    generation: u64,
    rows: HashMap<Vec<u8>, Option<Vec<u8>>>,
    prefixes: HashMap<Vec<u8>, Vec<Row>>,
}

/// The rows at hand, and which ids have none.
#[derive(Debug, Default)]
pub(crate) struct RowCache {
    kept: RwLock<Kept>,
    ids: KnownIds,
}

/// The tables whose keys begin with an id, and that hardly any id has a row in.
const OF_IDS: [Table; 2] = [Table::Id, Table::Deleted];

/// The id in a key of these tables.
fn id_of(key: &[u8]) -> Option<&IdHash> {
    let (table, rest) = key.split_first()?;
    let is_of_id = OF_IDS.iter().any(|of| *of as u8 == *table);
    rest.first_chunk().filter(|_| is_of_id)
}

impl RowCache {
    fn is_kept(key: &[u8]) -> bool {
        const TABLES: [u8; 10] = [
            Table::Actor as u8,
            Table::ActorName as u8,
            Table::ActorUrl as u8,
            Table::Relation as u8,
            Table::Blocks as u8,
            Table::HostBlock as u8,
            Table::PeerBlock as u8,
            Table::Related as u8,
            Table::Standing as u8,
            // Asked for with every delivery to followers.
            Table::Partial as u8,
        ];
        key.first().is_some_and(|table| TABLES.contains(table))
    }

    /// Learns the ids of a batch that is about to be committed.
    pub(crate) fn learn<'a>(&self, keys: impl Iterator<Item = &'a Vec<u8>>) {
        for id in keys.filter_map(|key| id_of(key)) {
            self.ids.add(id);
        }
    }

    /// Learns the ids that an engine held when it was opened, until `stopped`.
    pub(crate) fn learn_all(
        &self,
        engine: &dyn Engine,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), EngineError> {
        for table in OF_IDS {
            let end = [table as u8 + 1];
            let mut from = vec![table as u8];
            loop {
                if stopped() {
                    return Ok(());
                }
                let rows = engine.scan(&from, &end, LEARNED_AT_ONCE, false)?;
                self.learn(rows.iter().map(|(key, _)| key));
                match rows.last() {
                    Some((last, _)) if rows.len() == LEARNED_AT_ONCE => from = prefix_end(last),
                    _ => break,
                }
            }
        }
        self.ids.complete();
        Ok(())
    }

    /// The keys of a batch that are of these tables.
    pub(crate) fn touched<'a>(keys: impl Iterator<Item = &'a Vec<u8>>) -> Vec<Vec<u8>> {
        keys.filter(|key| Self::is_kept(key)).cloned().collect()
    }

    /// Forgets what a committed batch has changed.
    pub(crate) fn forget(&self, touched: &[Vec<u8>]) {
        if touched.is_empty() {
            return;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.generation += 1;
        for key in touched {
            kept.rows.remove(key);
            if key[0] == Table::Related as u8 {
                kept.prefixes.remove(&key[..RELATED_PREFIX]);
            }
        }
    }

    /// What is kept under `find`, or `read` and kept.
    fn get<T: Clone>(
        &self,
        key: &[u8],
        part: fn(&Kept) -> &HashMap<Vec<u8>, T>,
        part_mut: fn(&mut Kept) -> &mut HashMap<Vec<u8>, T>,
        read: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let generation = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = part(&kept).get(key) {
                return Ok(found.clone());
            }
            kept.generation
        };
        let found = read()?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.generation == generation {
            let rows = part_mut(&mut kept);
            if rows.len() >= ROWS {
                rows.clear();
            }
            rows.insert(key.to_vec(), found.clone());
        }
        Ok(found)
    }
}

/// An engine with the rows at hand above it.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) cache: Arc<RowCache>,
}

impl Rows for Cached {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let read = || self.engine.get(key);
        if id_of(key).is_some_and(|id| self.cache.ids.is_new(id)) {
            return Ok(None);
        }
        if !RowCache::is_kept(key) {
            return read();
        }
        self.cache
            .get(key, |kept| &kept.rows, |kept| &mut kept.rows, read)
    }

    fn scan_prefix(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        let read = || self.engine.scan_prefix(prefix, limit, reverse);
        let related = prefix.len() == RELATED_PREFIX && prefix[0] == Table::Related as u8;
        if !related || limit != usize::MAX || reverse {
            return read();
        }
        self.cache.get(
            prefix,
            |kept| &kept.prefixes,
            |kept| &mut kept.prefixes,
            read,
        )
    }
}
