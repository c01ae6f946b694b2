//! What local groups have to announce and who is what in them: the layout of the rows, and how they are read.

use fedsx_core::entry::ActorNo;
use fedsx_core::group::{Standing, ToAnnounce};
use fedsx_core::state::{Row, StateError};

use crate::engine::{Batch, Row as EngineRow, prefix_end};
use crate::index;
use crate::schema::{Of, Table, encode, key, pair_key, put_or_delete};
use crate::view::{ReadError, View};

impl View {
    /// What the group of that number, or the next behind it that has any, has to announce, in the order of the
    /// journal, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn to_announce(&self, from: ActorNo, limit: usize) -> Result<Vec<ToAnnounce>, ReadError> {
        let end = prefix_end(&[Table::ToAnnounce as u8]);
        let from = key(Table::ToAnnounce, &[&from.0.to_be_bytes()]);
        let rows = self.engine.scan(&from, &end, limit, false)?;
        let rows = rows.iter().map(|(_, value)| index::decode(value));
        let mut owed = rows.collect::<Result<Vec<ToAnnounce>, StateError>>()?;
        let group = owed.first().map(|owed| owed.announcing.group);
        owed.retain(|owed| Some(owed.announcing.group) == group);
        Ok(owed)
    }

    /// What everybody is in a local group, by URL in its order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn standings(&self, group: ActorNo) -> Result<Vec<(String, Standing)>, ReadError> {
        let rows = self.engine.scan_prefix(&prefix(group), usize::MAX, false)?;
        let mut standings = standings(rows)?;
        standings.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(standings)
    }
}

/// Everybody's standing in a group, in the rows of its prefix.
pub(crate) fn standings(rows: Vec<EngineRow>) -> Result<Vec<(String, Standing)>, StateError> {
    let standing = |(_, value): &EngineRow| -> Result<_, StateError> {
        let row: Of<Standing> = index::decode(value)?;
        Ok((row.peer, row.value))
    };
    rows.iter().map(standing).collect()
}

/// The prefix of everybody's standing in a group.
pub(crate) fn prefix(group: ActorNo) -> Vec<u8> {
    key(Table::Standing, &[&group.0.to_be_bytes()])
}

/// Lays out the rows of groups.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::ToAnnounce { owed, is_owed } => {
            let group = owed.announcing.group.0.to_be_bytes();
            let offset = owed.offset.to_be_bytes();
            let form = [owed.announcing.form.number()];
            let key = key(Table::ToAnnounce, &[&group, &offset, &form]);
            match is_owed {
                true => batch.put(key, encode(owed)),
                false => batch.delete(key),
            }
        }
        Row::Standing {
            group,
            who,
            standing,
        } => {
            let key = pair_key(Table::Standing, group, &who);
            let kept = (standing != Standing::default()).then_some(standing);
            put_or_delete(batch, key, who, kept);
        }
        other => unreachable!("{other:?} is laid out by `schema::write`"),
    }
}
