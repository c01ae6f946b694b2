//! Reading the journal forward, entry by entry as they are visible, and reading on later from where that
//! ended.

use crate::journal::{Place, Scan};
use crate::stored::{Stored, stored};
use crate::view::{ReadError, View};

/// Reads the journal forward, a few entries at a time, remembering the place.
#[derive(Debug)]
pub struct Tail {
    view: View,
    after: u64,
    place: Option<Place>,
}

/// Entries read one after the other from where a [`Tail`] stands. Dropped soon: what it has read ahead is
/// as it was then, also of an entry that is erased meanwhile.
#[derive(Debug)]
pub struct Reading<'a> {
    tail: &'a mut Tail,
    scan: Option<Scan>,
}

impl Tail {
    pub(crate) const fn new(view: View, after: u64) -> Self {
        Self {
            view,
            after,
            place: None,
        }
    }

    /// The next entries that are visible, at most `limit`; none when there are no more yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn next(&mut self, limit: usize) -> Result<Vec<Stored>, ReadError> {
        self.reading().next(limit)
    }

    /// To read on a few entries at a time.
    pub fn reading(&mut self) -> Reading<'_> {
        Reading {
            tail: self,
            scan: None,
        }
    }
}

impl Reading<'_> {
    /// As [`Tail::next`].
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn next(&mut self, limit: usize) -> Result<Vec<Stored>, ReadError> {
        let Tail { view, after, place } = &mut *self.tail;
        let applied = view.applied();
        if applied <= *after {
            return Ok(Vec::new());
        }
        let mut scan = match (self.scan.take(), *place) {
            (Some(scan), _) => scan,
            (None, Some(place)) => view.journal.scan(Some((*after, place)))?,
            (None, None) => view.journal.scan_behind(*after)?,
        };
        let mut entries = Vec::new();
        for scanned in scan.by_ref().take(limit) {
            let scanned = scanned?;
            if scanned.frame.offset > applied {
                // Read again once it is visible.
                return Ok(entries);
            }
            (*after, *place) = (scanned.frame.offset, Some(scanned.place));
            entries.push(view.filled(stored(scanned.frame)?)?);
        }
        self.scan = (entries.len() == limit).then_some(scan);
        Ok(entries)
    }
}
