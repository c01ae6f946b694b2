//! What it means for the rows that a document is erased: it is on record as such for ever, waits for
//! nothing more, and every payload that holds it is named to whoever overwrites it, also one that came
//! after (design, section 4, "Erasure").
//!
//! Deliberately absent: the overwriting; a row of a log, an `id` or an object stays as it is, because
//! they hold no text.

use super::Moment;
use crate::cid::Digest;
use crate::state::{Row, Seen, StateError};

impl Moment<'_> {
    /// A kept document is erased. Of one that is not kept, or is erased already, nothing changes.
    pub(super) fn erase(&self, digest: &Digest, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let seen = self.state.seen(digest)?;
        let Some(seen) = seen.filter(|seen| seen.erased.is_none()) else {
            return Ok(());
        };
        if let Some(kept) = self.state.kept(seen.at.offset)? {
            self.count(&kept, |total| total.saturating_sub(1), rows)?;
            rows.push(Row::Unkept(kept));
        }
        rows.push(Row::Seen {
            digest: *digest,
            seen: Seen {
                erased: Some(self.offset),
                ..seen
            },
        });
        self.overwrite(digest, rows);
        Ok(())
    }

    /// This entry brought a further payload of a document: it goes too, where the document is erased.
    pub(super) fn further(&self, digest: &Digest, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let seen = self.state.seen(digest)?;
        if seen.is_some_and(|seen| seen.erased.is_some()) {
            self.overwrite(digest, rows);
        }
        Ok(())
    }

    fn overwrite(&self, digest: &Digest, rows: &mut Vec<Row>) {
        rows.push(Row::Erased {
            by: self.offset,
            digest: *digest,
        });
    }
}
