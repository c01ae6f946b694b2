//! The logs of actors, and what is kept of those of peers: their rows, and how they are read (design, section 10).
//!
//! The hash of a leaf follows from the leaf, so that only those of full tiles are kept.

use fedsx_core::cid::Digest;
use fedsx_core::entry::ActorNo;
use fedsx_core::state::Row;
use fedsx_core::transparency::Fork;

use crate::engine::{Batch, prefix_end};
use crate::index::decode;
use crate::schema::{Of, Table, encode, key, url_hash};
use crate::view::{ReadError, View};

/// The first byte behind the table's: of the last checkpoint of a peer.
const CHECKPOINT: u8 = 0;
/// Of evidence.
const FORK: u8 = 1;

/// The key of the right edge of an actor's tree.
pub(crate) fn frontier_key(actor: ActorNo) -> Vec<u8> {
    key(Table::LogFrontier, &[&actor.0.to_be_bytes()])
}

/// The key of the last checkpoint of a peer's log.
pub(crate) fn witnessed_key(peer: &str) -> Vec<u8> {
    key(Table::Witnessed, &[&[CHECKPOINT], &url_hash(peer)])
}

/// The prefix of what contradicts itself in a peer's log.
pub(crate) fn forks_prefix(peer: &str) -> Vec<u8> {
    key(Table::Witnessed, &[&[FORK], &url_hash(peer)])
}

fn leaf_key(actor: ActorNo, number: u64) -> Vec<u8> {
    let parts: [&[u8]; 2] = [&actor.0.to_be_bytes(), &number.to_be_bytes()];
    key(Table::Leaf, &parts)
}

fn hash_key(actor: ActorNo, level: u8, index: u64) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&actor.0.to_be_bytes(), &[level], &index.to_be_bytes()];
    key(Table::LogHash, &parts)
}

/// Lays the rows out as writes of a batch.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::Leaf {
            actor,
            number,
            digest,
        } => batch.put(leaf_key(actor, number), *digest.as_bytes()),
        Row::LogHash { actor, hash } => {
            let key = hash_key(actor, hash.level, hash.index);
            batch.put(key, *hash.hash.as_bytes());
        }
        Row::LogFrontier { actor, frontier } => batch.put(frontier_key(actor), encode(frontier)),
        Row::Witnessed { peer, witnessed } => {
            let (key, value) = (witnessed_key(&peer), Some(witnessed));
            batch.put(key, encode(Of { peer, value }));
        }
        Row::Fork { peer, offset, fork } => {
            let mut key = forks_prefix(&peer);
            key.extend_from_slice(&offset.to_be_bytes());
            let value = fork;
            batch.put(key, encode(Of { peer, value }));
        }
        other => unreachable!("{other:?} is laid out by `schema`"),
    }
}

impl View {
    /// The leaves of an actor's log from number `first` on, at most `count`: the digests inside their CIDs.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn log_leaves(
        &self,
        actor: ActorNo,
        first: u64,
        count: usize,
    ) -> Result<Vec<Digest>, ReadError> {
        let end = first.saturating_add(count as u64);
        self.digests(&leaf_key(actor, first), &leaf_key(actor, end), count)
    }

    /// The hashes of full tiles one level below `level`, from place `first` on, at most `count`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn log_hashes(
        &self,
        actor: ActorNo,
        level: u8,
        first: u64,
        count: usize,
    ) -> Result<Vec<Digest>, ReadError> {
        let end = first.saturating_add(count as u64);
        let (from, to) = (hash_key(actor, level, first), hash_key(actor, level, end));
        self.digests(&from, &to, count)
    }

    /// The evidence against peers' logs behind a place, each with its peer and its own place, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn log_forks(
        &self,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, String, Fork)>, ReadError> {
        let prefix = key(Table::Witnessed, &[&[FORK]]);
        // Behind `after` itself: its keys all have one length.
        let from = [
            &prefix[..],
            after,
            if after.is_empty() { &[] } else { &[0] },
        ]
        .concat();
        let rows = self
            .engine
            .scan(&from, &prefix_end(&prefix), limit, false)?;
        let forks = rows.iter().map(|(key, row)| {
            let Of { peer, value } = decode::<Of<Fork>>(row)?;
            Ok((key[prefix.len()..].to_vec(), peer, value))
        });
        forks.collect()
    }

    fn digests(&self, from: &[u8], to: &[u8], count: usize) -> Result<Vec<Digest>, ReadError> {
        let rows = self.engine.scan(from, to, count, false)?;
        let digests = rows.iter().map(|(_, value)| crate::index::digest_of(value));
        Ok(digests.collect::<Result<_, _>>()?)
    }
}
