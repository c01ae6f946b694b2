//! What it means for the rows that a document is erased: it is on record as such for ever, waits for
//! nothing more, and every payload that holds it is named to whoever overwrites it, also one that came
//! after (design, section 4, "Erasure").
//!
//! Deliberately absent: the overwriting; a row of a log, an `id` or an object stays as it is, because
//! they hold no text.

use super::Moment;
use crate::cid::Digest;
use crate::entry::{Activity, Effect};
use crate::state::{Deleted, Erasure, Row, Seen, StateError};

impl Moment<'_> {
    /// A kept document is erased. Of one that is not kept, or is erased already, nothing changes.
    pub(super) fn erase(
        &self,
        digest: &Digest,
        deleted_ms: i64,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
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
                erased: Some(Erasure {
                    offset: self.offset,
                    deleted_ms,
                }),
                ..seen
            },
        });
        self.overwrite(digest, rows);
        Ok(())
    }

    /// The actor of a `Delete` takes something back, and what goes with it. The first word holds.
    pub(super) fn deleted(
        &self,
        delete: &Activity,
        effect: &Effect,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Effect::Deleted {
            object,
            with,
            former_type,
        } = effect
        else {
            return Ok(());
        };
        let with = with.iter().map(|with| (with, &None));
        for (id, former_type) in std::iter::once((object, former_type)).chain(with) {
            if self.state.deleted(id, &delete.actor)?.is_none() {
                rows.push(Row::Deleted(Deleted {
                    id: id.clone(),
                    owner: delete.actor.clone(),
                    former_type: former_type.clone(),
                    offset: self.offset,
                    deleted_ms: delete.published_ms,
                }));
            }
        }
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
