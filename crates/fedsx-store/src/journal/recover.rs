//! Opening the journal after whatever ended the last run: find the end, cut the torn tail.
//!
//! Invariant: what was ever answered is kept or opening fails; a cut is durable before anything is
//! written behind it, so that bytes of an earlier life can't come back as data. Deliberately absent:
//! applying what was read (the index's owner scans again, from page cache).
//! Design, section 4, "Recovery".

use std::sync::Arc;

use super::Place;
use super::error::JournalError;
use super::file::Directory;
use super::frame::Marker;
use super::scan::{End, Scanner, Step, Torn};
use super::segment::{Found, Segments};

/// What opening found and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The highest offset there is, 0 when the journal is empty.
    pub last_offset: u64,
    /// Entries read and checked; with a watermark, those of its batch and behind.
    pub entries_checked: u64,
    /// The torn tail that was cut off, if there was one.
    pub cut: Option<Torn>,
    /// A segment file that a crash had left without a header, and that was removed.
    pub discarded_segment: Option<u32>,
}

/// Reads on to the end and cuts what is torn. `marker` is for the first segment of a new journal.
pub(super) fn recover(
    segments: &Arc<Segments>,
    from: Option<(u64, Place)>,
    marker: Marker,
) -> Result<(End, Recovered), JournalError> {
    let discarded_first = begin_if_new(segments, from.is_some(), marker)?;
    check_contiguous(segments)?;
    let mut scanner = match from {
        Some((offset, place)) => Scanner::from_entry(Arc::clone(segments), offset, place)?,
        None => Scanner::from_start(Arc::clone(segments))?,
    };
    let first = scanner.next_offset();
    let end = loop {
        if let Step::End(end) = scanner.step()? {
            break end;
        }
    };
    cut(segments, &end)?;
    let recovered = Recovered {
        last_offset: end.next_offset - 1,
        entries_checked: end.next_offset - first,
        cut: end.torn,
        discarded_segment: end.unfinished.or(discarded_first),
    };
    Ok((end, recovered))
}

/// Begins segment 1 when there is no segment at all, or only a first one that was never finished.
fn begin_if_new(
    segments: &Segments,
    is_expected: bool,
    marker: Marker,
) -> Result<Option<u32>, JournalError> {
    let numbers = segments.numbers()?;
    let discarded = match (numbers.as_slice(), is_expected) {
        ([], false) => None,
        ([1], false) if matches!(segments.find(1)?, Found::Unfinished) => {
            segments.discard(1)?;
            Some(1)
        }
        _ => return Ok(None),
    };
    segments.begin(1, 1, marker)?;
    Ok(discarded)
}

fn check_contiguous(segments: &Segments) -> Result<(), JournalError> {
    let numbers = segments.numbers()?;
    match (1..).zip(&numbers).find(|(due, found)| due != *found) {
        Some((segment, _)) => Err(JournalError::MissingSegment { segment }),
        None => Ok(()),
    }
}

/// Cuts a journal that nobody has open back to an end that it had, durably: what was appended behind it never
/// counted.
pub(crate) fn cut_back(directory: &Directory, end: Place) -> Result<(), JournalError> {
    let segments = Segments::new(Arc::new(directory.clone()));
    for number in segments.numbers()?.into_iter().rev() {
        if number > end.segment {
            segments.discard(number)?;
        }
    }
    let number = end.segment;
    let file = &segments.load(number)?.file;
    let cut = file.truncate(end.position.into());
    cut.map_err(|error| JournalError::io("cut", number, error))?;
    let synced = file.sync_data();
    synced.map_err(|error| JournalError::io("sync", number, error))?;
    segments.sync_names()
}

fn cut(segments: &Segments, end: &End) -> Result<(), JournalError> {
    let number = end.segment.number;
    if let Some(unfinished) = end.unfinished {
        if segments.numbers()?.last() != Some(&unfinished) {
            return Err(JournalError::MissingSegment {
                segment: unfinished,
            });
        }
        segments.discard(unfinished)?;
    }
    let file = &end.segment.file;
    if end.torn.is_some() {
        let cut = file.truncate(end.position);
        cut.map_err(|error| JournalError::io("cut", number, error))?;
    }
    // Also without a cut: what a killed process had written but not synced, the name of a segment it
    // had just begun included, is read back from the page cache, and counts from now on.
    let synced = file.sync_data();
    synced.map_err(|error| JournalError::io("sync", number, error))?;
    segments.sync_names()
}
