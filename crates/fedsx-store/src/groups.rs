//! What local groups have to announce: the layout of its rows, and how they are read.

use fedsx_core::entry::ActorNo;
use fedsx_core::group::ToAnnounce;
use fedsx_core::state::StateError;

use crate::engine::{Batch, prefix_end};
use crate::index;
use crate::schema::{Table, encode, key};
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
}

/// The row of something that a group has to announce.
pub(crate) fn write_owed(owed: ToAnnounce, is_owed: bool, batch: &mut Batch) {
    let group = owed.announcing.group.0.to_be_bytes();
    let offset = owed.offset.to_be_bytes();
    let form = [owed.announcing.form.number()];
    let key = key(Table::ToAnnounce, &[&group, &offset, &form]);
    match is_owed {
        true => batch.put(key, encode(owed)),
        false => batch.delete(key),
    }
}
