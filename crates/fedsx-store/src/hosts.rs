//! Strangers: the hosts and actors that the operator blocks, the hosts that one actor does, the recovery key a peer is held to, and evidence; their rows.

use fedsx_core::entry::ActorNo;
use fedsx_core::state::Row;

use crate::engine::{self, Batch, prefix_end};
use crate::index::{decode, fixed};
use crate::schema::{EvidenceRow, Of, Table, encode, key, put_or_delete, url_hash};
use crate::view::{ReadError, View};

/// The key of a table of (actor, host).
pub(crate) fn actor_host_key(table: Table, actor: ActorNo, host: &str) -> Vec<u8> {
    key(table, &[&actor.0.to_be_bytes(), host.as_bytes()])
}

impl View {
    /// The hosts behind one that a local actor blocks, by their authorities, in their order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn hosts_blocked_by(
        &self,
        actor: ActorNo,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, ReadError> {
        let table = Table::ActorHostBlock;
        let mut from = actor_host_key(table, actor, after);
        // Behind `after` itself, since no authority holds a zero.
        from.push(0);
        let end = prefix_end(&actor_host_key(table, actor, ""));
        let rows = self.engine.scan(&from, &end, limit, false)?;
        Ok(rows.iter().map(|(key, _)| authority(&key[5..])).collect())
    }

    /// The hosts that local actors block, of those with which relations are still to be ended, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn host_blocks_ending(&self, limit: usize) -> Result<Vec<(ActorNo, String)>, ReadError> {
        let table = [Table::HostBlockEnds as u8];
        let rows = self.engine.scan_prefix(&table, limit, false)?;
        let of_key = |(key, _): &engine::Row| {
            let no = u32::from_be_bytes(fixed(&key[1..5])?);
            Ok((ActorNo(no), authority(&key[5..])))
        };
        rows.iter().map(of_key).collect()
    }

    /// The blocked hosts behind one, by their authorities, in their order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn blocked_hosts(&self, after: &str, limit: usize) -> Result<Vec<String>, ReadError> {
        // Behind `after` itself, since no authority holds a zero.
        let from = key(Table::HostBlock, &[after.as_bytes(), &[0]]);
        let end = prefix_end(&[Table::HostBlock as u8]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        Ok(rows.iter().map(|(key, _)| authority(&key[1..])).collect())
    }

    /// The blocked actors behind one, by their URLs, in no particular but a stable order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn blocked_peers(&self, after: &str, limit: usize) -> Result<Vec<String>, ReadError> {
        let from = match after {
            "" => key(Table::PeerBlock, &[]),
            after => prefix_end(&key(Table::PeerBlock, &[&url_hash(after)])),
        };
        let end = prefix_end(&[Table::PeerBlock as u8]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let peers = rows
            .iter()
            .map(|(_, row)| Ok(decode::<Of<bool>>(row)?.peer));
        peers.collect()
    }
}

fn authority(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The rows of strangers: whom the operator blocks, what a peer is held to, and who said two things under one id.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::Evidence {
            actor,
            id,
            kept,
            at,
        } => {
            let key = key(Table::Evidence, &[&url_hash(&actor), &url_hash(&id)]);
            let row = EvidenceRow {
                actor,
                id,
                kept,
                at,
            };
            batch.put(key, encode(row));
        }
        Row::Recovery { peer, digest } => {
            let key = key(Table::Recovery, &[&url_hash(&peer)]);
            let value = Some(digest);
            batch.put(key, encode(Of { peer, value }));
        }
        Row::HostBlock { host, blocked } => {
            let key = key(Table::HostBlock, &[host.as_bytes()]);
            match blocked {
                true => batch.put(key, []),
                false => batch.delete(key),
            }
        }
        Row::PeerBlock { peer, blocked } => {
            let key = key(Table::PeerBlock, &[&url_hash(&peer)]);
            put_or_delete(batch, key, peer, blocked.then_some(true));
        }
        Row::ActorHostBlock {
            actor,
            host,
            blocked,
            ends,
        } => {
            let tables = [
                (Table::ActorHostBlock, blocked),
                (Table::HostBlockEnds, ends),
            ];
            for (table, is_there) in tables {
                let key = actor_host_key(table, actor, &host);
                match is_there {
                    true => batch.put(key, []),
                    false => batch.delete(key),
                }
            }
        }
        other => unreachable!("{other:?} is laid out by the schema"),
    }
}
