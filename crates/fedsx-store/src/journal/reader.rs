//! The read side of the journal: one entry by its place, or all of them in order.
//!
//! Invariant: nothing is handed out whose checksums don't match. A reader of the live journal scans only
//! what is durable; one that was opened read-only, beside another process's writer, reads as far as
//! there is something whole and says where and how it ended. Deliberately absent: any change to a file.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::sync::Arc;

use super::error::{Bad, JournalError};
use super::file::Files;
use super::frame::{Frame, FrameHead};
use super::scan::{Scanner, Step, Torn};
use super::segment::{Found, Segments};
use super::{Marks, Place};

/// Reads the journal from any thread; a clone shares the open files.
#[derive(Clone, Debug)]
pub struct JournalReader {
    segments: Arc<Segments>,
    /// The writer's marks; none in a read-only journal.
    marks: Option<Arc<Marks>>,
}

/// One read covers most entries: a header of some 300 bytes and a document of 1 to 3 KB.
const GUESSED_BYTES: usize = 4 << 10;

impl JournalReader {
    pub(super) fn live(segments: Arc<Segments>, marks: Arc<Marks>) -> Self {
        Self {
            segments,
            marks: Some(marks),
        }
    }

    /// The journal in a directory, for reading only, also beside a process that writes it (give a
    /// [`super::Directory::read_only`]).
    #[must_use]
    pub fn open_read_only(files: Arc<dyn Files>) -> Self {
        Self {
            segments: Arc::new(Segments::new(files)),
            marks: None,
        }
    }

    /// The entry at a place, its checksums checked.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when there is no whole entry at that place.
    pub fn read(&self, place: Place) -> Result<Frame, JournalError> {
        match self.read_once(place) {
            // It may be being erased, and is marked by now.
            Err(JournalError::Damaged(damage)) if damage.what == Bad::Payload => {
                self.read_once(place)
            }
            read => read,
        }
    }

    fn read_once(&self, place: Place) -> Result<Frame, JournalError> {
        let segment = self.segments.load(place.segment)?;
        let damaged = |offset, what, header| JournalError::damaged(place, offset, what, header);
        let at = u64::from(place.position);
        let mut buffer = vec![0; GUESSED_BYTES];
        let failed = |error| JournalError::io("read", place.segment, error);
        let read = segment.file.read_at(&mut buffer, at).map_err(failed)?;
        buffer.truncate(read);
        let head = FrameHead::read(&buffer).ok_or_else(|| damaged(0, Bad::CutShort, None))?;
        let length = head.length();
        if length > buffer.len() as u64 {
            // The length can't be trusted yet: it must not make us take memory for what the file
            // doesn't hold.
            let held = segment.file.length().map_err(failed)?.saturating_sub(at);
            if length > held || length > super::frame::BATCH_BYTES {
                return Err(damaged(head.offset, Bad::FrameHeader, None));
            }
            let have = buffer.len();
            buffer.resize(usize::try_from(length).expect("at most BATCH_BYTES"), 0);
            let rest = segment.file.read_at(&mut buffer[have..], at + have as u64);
            buffer.truncate(have + rest.map_err(failed)?);
        }
        head.open(&buffer.into())
            .map_err(|(what, header)| damaged(head.offset, what, header))
    }

    /// All entries in order, from the first or from behind the one given (which must be there). Ends
    /// with what is durable now; read-only, with what is whole.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] or [`JournalError::MissingSegment`] when the place to start from can't
    /// be read. A read-only journal without any segment is empty.
    pub fn scan(&self, from: Option<(u64, Place)>) -> Result<Scan, JournalError> {
        let until = self.marks.as_ref().map(|marks| marks.durable().offset);
        if self.marks.is_none() && from.is_none() && self.segments.numbers()?.is_empty() {
            return Ok(Scan::empty());
        }
        let scanner = match from {
            Some((offset, place)) => {
                Scanner::from_entry(Arc::clone(&self.segments), offset, place)?
            }
            None => Scanner::from_start(Arc::clone(&self.segments))?,
        };
        Ok(Scan::of(
            scanner,
            until,
            from.map_or(0, |(offset, _)| offset),
        ))
    }

    /// All entries behind an offset whose place is not known: from the beginning of its segment.
    ///
    /// # Errors
    /// As [`JournalReader::scan`].
    pub fn scan_behind(&self, offset: u64) -> Result<Scan, JournalError> {
        let until = self.marks.as_ref().map(|marks| marks.durable().offset);
        for number in self.segments.numbers()?.into_iter().rev() {
            let Found::Valid(segment) = self.segments.find(number)? else {
                continue;
            };
            if number == 1 || segment.first_offset <= offset {
                let scanner = Scanner::from_segment(Arc::clone(&self.segments), number)?;
                return Ok(Scan::of(scanner, until, offset));
            }
        }
        self.scan(None)
    }
}

/// An entry and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scanned {
    /// Where it stands.
    pub place: Place,
    /// The entry, with its offset.
    pub frame: Frame,
}

/// The entries of a journal, in order. After an error there is nothing more.
#[derive(Debug)]
pub struct Scan {
    scanner: Option<Scanner>,
    until: Option<u64>,
    behind: u64,
    ready: VecDeque<Scanned>,
    ended: Option<Ended>,
}

/// Where a scan ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// The highest offset read.
    pub last_offset: u64,
    /// What stands behind it that is not whole: the tail of a crash, or a batch being written.
    pub torn: Option<Torn>,
}

impl Scan {
    fn of(mut scanner: Scanner, until: Option<u64>, behind: u64) -> Self {
        scanner.attest(until.unwrap_or(0));
        Self {
            scanner: Some(scanner),
            until,
            behind,
            ready: VecDeque::new(),
            ended: None,
        }
    }

    fn empty() -> Self {
        Self {
            scanner: None,
            until: None,
            behind: 0,
            ready: VecDeque::new(),
            ended: Some(Ended {
                last_offset: 0,
                torn: None,
            }),
        }
    }

    /// Where it ended, once it did without an error.
    #[must_use]
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    fn fill(&mut self) -> Result<(), JournalError> {
        while let (true, Some(scanner)) = (self.ready.is_empty(), &mut self.scanner) {
            let last_offset = scanner.next_offset() - 1;
            if self.until.is_some_and(|until| last_offset >= until) {
                self.finish(Ended {
                    last_offset,
                    torn: None,
                });
                break;
            }
            match scanner.step()? {
                Step::Batch(batch) => {
                    let behind = self.behind;
                    let frames = batch.frames.into_iter();
                    self.ready = frames
                        .map(|(place, frame)| Scanned { place, frame })
                        .filter(|scanned| scanned.frame.offset > behind)
                        .collect();
                }
                Step::End(end) => self.finish(Ended {
                    last_offset: end.next_offset - 1,
                    torn: end.torn,
                }),
            }
        }
        Ok(())
    }

    fn finish(&mut self, ended: Ended) {
        self.scanner = None;
        self.ended = Some(ended);
    }
}

impl Iterator for Scan {
    type Item = Result<Scanned, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            self.scanner = None;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

impl FusedIterator for Scan {}
