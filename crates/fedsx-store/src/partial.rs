//! The parts of followers collections that instances host: their rows, and how they are read (FEP-8fcf).

use fedsx_core::entry::ActorNo;
use fedsx_core::follow::Partial;
use fedsx_core::state::Row;

use crate::engine::{Batch, prefix_end};
use crate::index;
use crate::schema::{Of, Table, encode, key, put_or_delete, url_hash};
use crate::view::{ReadError, View};

/// The place of a URL among others: how far a walk has come.
pub type UrlHash = [u8; 16];

/// The first byte behind the table's: of a local actor's followers.
const ON: u8 = 0;
/// Of a peer's followers that are local.
const HERE: u8 = 1;

/// The key of a local actor's followers that an origin hosts.
pub(crate) fn followers_on_key(actor: ActorNo, origin: &str) -> Vec<u8> {
    let parts: [&[u8]; 3] = [&[ON], &actor.0.to_be_bytes(), &url_hash(origin)];
    key(Table::Partial, &parts)
}

/// The key of the local actors that follow a peer.
pub(crate) fn followers_here_key(peer: &str) -> Vec<u8> {
    key(Table::Partial, &[&[HERE], &url_hash(peer)])
}

fn followers_prefix(actor: ActorNo, origin: &str) -> Vec<u8> {
    let parts: [&[u8]; 2] = [&actor.0.to_be_bytes(), &url_hash(origin)];
    key(Table::PartialFollower, &parts)
}

/// Lays the rows out as writes of a batch.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::FollowersOn {
            actor,
            origin,
            partial,
        } => {
            let key = followers_on_key(actor, &origin);
            put_or_delete(batch, key, origin, (partial.count > 0).then_some(partial));
        }
        Row::FollowerOn {
            actor,
            origin,
            peer,
            follows,
        } => {
            let mut key = followers_prefix(actor, &origin);
            key.extend_from_slice(&url_hash(&peer));
            match follows {
                true => batch.put(key, peer.into_bytes()),
                false => batch.delete(key),
            }
        }
        Row::FollowersHere { peer, partial } => {
            let key = followers_here_key(&peer);
            let value = partial;
            batch.put(key, encode(Of { peer, value }));
        }
        other => unreachable!("{other:?} is laid out by `schema`"),
    }
}

impl View {
    /// The followers of a local actor that an origin hosts, behind one of them, in a stable order; each with its
    /// place.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn followers_on(
        &self,
        actor: ActorNo,
        origin: &str,
        after: Option<&UrlHash>,
        limit: usize,
    ) -> Result<Vec<(UrlHash, String)>, ReadError> {
        let prefix = followers_prefix(actor, origin);
        let rows = self.behind(&prefix, after, limit)?;
        let follower = |(place, peer): (UrlHash, Vec<u8>)| {
            (place, String::from_utf8_lossy(&peer).into_owned())
        };
        Ok(rows.into_iter().map(follower).collect())
    }

    /// The peers that a local actor ever asked to follow, behind one of them, in a stable order; each with its
    /// place.
    ///
    /// # Errors
    /// As above.
    pub fn peers_asked(
        &self,
        after: Option<&UrlHash>,
        limit: usize,
    ) -> Result<Vec<(UrlHash, String)>, ReadError> {
        let prefix = key(Table::Partial, &[&[HERE]]);
        let rows = self.behind(&prefix, after, limit)?;
        let peer = |(place, row): (UrlHash, Vec<u8>)| {
            let row: Of<Partial> = index::decode(&row)?;
            Ok((place, row.peer))
        };
        rows.into_iter().map(peer).collect()
    }

    fn behind(
        &self,
        prefix: &[u8],
        after: Option<&UrlHash>,
        limit: usize,
    ) -> Result<Vec<(UrlHash, Vec<u8>)>, ReadError> {
        let from = match after {
            Some(place) => prefix_end(&[prefix, place].concat()),
            None => prefix.to_vec(),
        };
        let rows = self.engine.scan(&from, &prefix_end(prefix), limit, false)?;
        let placed = |(key, value): (Vec<u8>, Vec<u8>)| Some((*key.last_chunk()?, value));
        Ok(rows.into_iter().filter_map(placed).collect())
    }
}
