//! Backfills: their rows in the index, and beside it how far each has come.

mod progress;

use fedsx_core::backfill::Backfill;
use fedsx_core::entry::ActorNo;

use crate::engine::{Batch, prefix_end};
use crate::index::{BadRow, decode, state_error};
use crate::schema::{Of, Table, encode, key, pair_key};
use crate::view::{ReadError, View};

pub use progress::{Progress, Progresses};

impl View {
    /// The backfills that are due, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn backfills_due(&self, limit: usize) -> Result<Vec<(ActorNo, String)>, ReadError> {
        let table = Table::BackfillDue as u8;
        let rows = self.engine.scan_prefix(&[table], limit, false)?;
        let due = rows.iter().map(|(key, peer)| {
            let no = key.get(1..5).and_then(|no| no.try_into().ok());
            let no = no.ok_or_else(|| state_error(BadRow("a key is too short".to_owned())))?;
            Ok((ActorNo(u32::from_be_bytes(no)), decode(peer)?))
        });
        due.collect()
    }

    /// What an actor asked of its peers' past, behind a peer, in no particular but a stable order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn backfills(
        &self,
        actor: ActorNo,
        after_peer: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Backfill)>, ReadError> {
        let prefix = key(Table::Backfill, &[&actor.0.to_be_bytes()]);
        let from = match after_peer {
            Some(peer) => prefix_end(&pair_key(Table::Backfill, actor, peer)),
            None => prefix.clone(),
        };
        let rows = self
            .engine
            .scan(&from, &prefix_end(&prefix), limit, false)?;
        let rows = rows.iter().map(|(_, value)| {
            let row: Of<Backfill> = decode(value)?;
            Ok((row.peer, row.value))
        });
        rows.collect()
    }
}

/// The rows of a backfill.
pub(crate) fn write(actor: ActorNo, peer: String, backfill: Backfill, batch: &mut Batch) {
    let due = pair_key(Table::BackfillDue, actor, &peer);
    match backfill.is_due() {
        true => batch.put(due, encode(&peer)),
        false => batch.delete(due),
    }
    let row = pair_key(Table::Backfill, actor, &peer);
    let value = backfill;
    batch.put(row, encode(Of { peer, value }));
}
