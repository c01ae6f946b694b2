//! Reading on through the journal, batch by batch, every byte checked, and judging the place where it
//! ends.
//!
//! Invariant: what some later byte attests as durable (a batch header's `synced_to`, a segment that was
//! begun behind it, the caller's watermark) is read or it is damage, an error; only behind the highest
//! attested offset may the journal end in something else than zeros, and that is its torn tail.
//! A batch counts whole or not at all: it is acknowledged as a whole.
//! Deliberately absent: writing; cutting the tail is recover.rs.

use std::sync::Arc;

use memchr::memmem;

use super::Place;
use super::error::{Bad, Damage, JournalError};
use super::frame::{
    BATCH_HEADER, BadFrame, BatchHeader, FRAME_HEADER, Frame, FrameHead, SEGMENT_HEADER,
    decode_batch,
};
use super::segment::{Found, Segment, Segments, Window, last_written};

/// Reads on from a place to the end.
#[derive(Debug)]
pub(super) struct Scanner {
    segments: Arc<Segments>,
    segment: Arc<Segment>,
    position: u64,
    next_offset: u64,
    /// The highest offset that is known to have been durable.
    attested: u64,
    window: Window,
    /// Where a bad batch was read a second time already.
    reread_at: Option<(u32, u64)>,
}

/// A batch, read and checked.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<(Place, Frame)>,
}

/// What reading on found.
#[derive(Debug)]
pub(super) enum Step {
    Batch(Batch),
    End(End),
}

/// Where the journal ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) segment: Arc<Segment>,
    pub(super) position: u64,
    pub(super) next_offset: u64,
    pub(super) attested: u64,
    pub(super) torn: Option<Torn>,
    /// A segment file behind it that was never finished.
    pub(super) unfinished: Option<u32>,
}

/// The torn tail: written, never durable, never acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// The segment that holds it.
    pub segment: u32,
    /// Where it begins.
    pub position: u32,
    /// The offset that its first entry would have had.
    pub offset: u64,
    /// What is bad about its first batch.
    pub what: Bad,
    /// Entries in it, as far as its batch headers can be read.
    pub entries: u64,
    /// Bytes in it up to the last that is not zero.
    pub bytes: u64,
}

impl Scanner {
    /// From the beginning of the first segment on.
    pub(super) fn from_start(segments: Arc<Segments>) -> Result<Self, JournalError> {
        Self::from_segment(segments, 1)
    }

    /// From the beginning of a segment on.
    pub(super) fn from_segment(segments: Arc<Segments>, number: u32) -> Result<Self, JournalError> {
        let segment = segments.load(number)?;
        Ok(Self {
            position: SEGMENT_HEADER as u64,
            next_offset: segment.first_offset,
            attested: 0,
            window: Window::default(),
            reread_at: None,
            segments,
            segment,
        })
    }

    /// From the batch on that holds the entry `offset` at `place`. That entry must be there.
    pub(super) fn from_entry(
        segments: Arc<Segments>,
        offset: u64,
        place: Place,
    ) -> Result<Self, JournalError> {
        let segment = segments.load(place.segment)?;
        let damaged = |what| JournalError::damaged(place, offset, what, None);
        // By itself: a window that begins here would not hold the batch's header, which stands before.
        let mut bytes = [0; FRAME_HEADER];
        let read = segment.file.read_at(&mut bytes, u64::from(place.position));
        let read = read.map_err(|error| JournalError::io("read", segment.number, error))?;
        let head = FrameHead::read(&bytes[..read]).ok_or_else(|| damaged(Bad::Nothing))?;
        let mut window = Window::default();
        let start = place.position.checked_sub(head.back);
        let start = start.filter(|_| head.offset == offset);
        let start = start.ok_or_else(|| damaged(Bad::FrameHeader))?;
        let bytes = window.bytes(&segment, u64::from(start), BATCH_HEADER)?;
        let batch = BatchHeader::decode(&bytes, segment.marker, segment.number, start)
            .filter(|batch| {
                (batch.first_offset..batch.first_offset + u64::from(batch.count)).contains(&offset)
            })
            .ok_or_else(|| damaged(Bad::BatchHeader))?;
        Ok(Self {
            position: u64::from(start),
            next_offset: batch.first_offset,
            attested: offset,
            window,
            reread_at: None,
            segments,
            segment,
        })
    }

    /// Takes everything up to `offset` for attested.
    pub(super) fn attest(&mut self, offset: u64) {
        self.attested = self.attested.max(offset);
    }

    /// The offset of the entry to come.
    pub(super) const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// The next batch, or where and how the journal ends.
    pub(super) fn step(&mut self) -> Result<Step, JournalError> {
        loop {
            let bad = match self.read_batch()? {
                Ok(batch) => return Ok(Step::Batch(batch)),
                Err(bad) => bad,
            };
            let (mut sealed, mut unfinished) = (false, None);
            match self.segments.find(self.segment.number + 1)? {
                Found::Valid(next) => {
                    self.attest(next.first_offset - 1);
                    if bad.what == Bad::Nothing
                        && next.first_offset == self.next_offset
                        && self.rest_is_zero()?
                    {
                        self.position = SEGMENT_HEADER as u64;
                        self.segment = next;
                        continue;
                    }
                    sealed = true;
                }
                Found::Unfinished => unfinished = Some(self.segment.number + 1),
                Found::Missing => {}
            }
            let (entries, last) = self.survey()?;
            if sealed || self.attested >= self.next_offset {
                // A process that writes beside us finishes a batch before it attests it: what was
                // read too early is whole now.
                let here = (self.segment.number, self.position);
                if self.reread_at != Some(here) {
                    self.reread_at = Some(here);
                    self.window.forget();
                    continue;
                }
                return Err(JournalError::Damaged(Box::new(Damage {
                    segment: self.segment.number,
                    position: bad.position,
                    offset: bad.offset,
                    what: bad.what,
                    header: bad.header,
                })));
            }
            return Ok(Step::End(self.end(bad.what, entries, last, unfinished)));
        }
    }

    fn end(&self, what: Bad, entries: u64, last: u64, unfinished: Option<u32>) -> End {
        let torn = (last > self.position).then(|| Torn {
            segment: self.segment.number,
            position: fit(self.position),
            offset: self.next_offset,
            what,
            entries,
            bytes: last - self.position,
        });
        End {
            segment: Arc::clone(&self.segment),
            position: self.position,
            next_offset: self.next_offset,
            attested: self.attested,
            torn,
            unfinished,
        }
    }

    fn read_batch(&mut self) -> Result<Result<Batch, BadFrame>, JournalError> {
        let Ok(position) = u32::try_from(self.position) else {
            return Ok(Err(self.bad(Bad::CutShort)));
        };
        let segment = Arc::clone(&self.segment);
        let bytes = self.window.bytes(&segment, self.position, BATCH_HEADER)?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(Err(self.bad(Bad::Nothing)));
        }
        let header = BatchHeader::decode(&bytes, segment.marker, segment.number, position);
        let Some(header) = header.filter(|header| position.checked_add(header.length).is_some())
        else {
            return Ok(Err(self.bad(Bad::BatchHeader)));
        };
        if header.first_offset != self.next_offset {
            return Ok(Err(self.bad(Bad::Sequence)));
        }
        let length = header.length as usize;
        let bytes = self.window.bytes(&segment, self.position, length)?;
        if bytes.len() < length {
            return Ok(Err(self.bad(Bad::CutShort)));
        }
        let frames = match decode_batch(&header, &bytes) {
            Ok(frames) => frames,
            Err(bad) => return Ok(Err(bad)),
        };
        self.position += length as u64;
        self.next_offset += u64::from(header.count);
        self.attest(header.synced_to);
        let place = |position| Place {
            segment: segment.number,
            position,
        };
        let frames = frames
            .into_iter()
            .map(|(position, frame)| (place(position), frame))
            .collect();
        Ok(Ok(Batch { frames }))
    }

    fn bad(&self, what: Bad) -> BadFrame {
        BadFrame {
            position: fit(self.position),
            offset: self.next_offset,
            what,
            header: None,
        }
    }

    fn rest_is_zero(&self) -> Result<bool, JournalError> {
        let last = last_written(self.segment.file.as_ref(), self.position);
        let last = last.map_err(|error| JournalError::io("read", self.segment.number, error))?;
        Ok(last == self.position)
    }

    /// Looks behind a bad batch for what later batch headers attest. Tells the entries they claim and
    /// where the last byte that is not zero ends.
    fn survey(&mut self) -> Result<(u64, u64), JournalError> {
        let segment = Arc::clone(&self.segment);
        let failed = |error| JournalError::io("read", segment.number, error);
        let last = last_written(segment.file.as_ref(), self.position).map_err(failed)?;
        let finder = memmem::Finder::new(&segment.marker);
        let (mut entries, mut at) = (0, self.position);
        while at < last {
            let bytes = self.window.bytes(&segment, at, SURVEYED)?;
            for index in finder.find_iter(&bytes) {
                let position = u32::try_from(at + index as u64).ok();
                let header = position.and_then(|position| {
                    BatchHeader::decode(&bytes[index..], segment.marker, segment.number, position)
                });
                if let Some(header) = header {
                    self.attest(header.synced_to);
                    entries += u64::from(header.count);
                }
            }
            if bytes.len() < SURVEYED {
                break;
            }
            at += (SURVEYED - BATCH_HEADER + 1) as u64;
        }
        Ok((entries, last))
    }
}

/// How much a survey looks at at once, bytes; parts overlap by one byte less than a
/// batch header.
const SURVEYED: usize = 1 << 20;

fn fit(position: u64) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
