//! Strangers: the hosts and actors that the operator blocks, the recovery key a peer is held to, and evidence; their rows.

use fedsx_core::state::Row;

use crate::engine::{Batch, prefix_end};
use crate::index::decode;
use crate::schema::{EvidenceRow, Of, Table, encode, key, put_or_delete, url_hash};
use crate::view::{ReadError, View};

impl View {
    /// The blocked hosts behind one, by their authorities, in their order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn blocked_hosts(&self, after: &str, limit: usize) -> Result<Vec<String>, ReadError> {
        // Behind `after` itself, since no authority holds a zero.
        let from = key(Table::HostBlock, &[after.as_bytes(), &[0]]);
        let end = prefix_end(&[Table::HostBlock as u8]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let host = |(key, _): &(_, _)| -> String {
            let key: &Vec<u8> = key;
            String::from_utf8_lossy(&key[1..]).into_owned()
        };
        Ok(rows.iter().map(host).collect())
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
        other => unreachable!("{other:?} is laid out by the schema"),
    }
}
