//! Segment files: their names, how one is begun and opened, and the set of them that writer and readers
//! share.
//!
//! Invariants: a segment's header is durable, name and contents, before a batch is written into it; all
//! of a segment is durable, and its preallocated end cut off, before the next is begun. So a valid
//! segment header attests everything before its first offset.
//! Deliberately absent: what stands between the headers (frame.rs) and which of it counts (scan.rs).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::error::{Bad, Damage, JournalError};
use super::file::{Files, OpenFile};
use super::frame::{Marker, SEGMENT_HEADER, SegmentHeader, VERSION};

/// Segments kept open at once. Reads of older ones open their file again.
const OPEN_SEGMENTS: usize = 64;

/// How much is read at a time when reading on, bytes.
const READ_AHEAD: usize = 256 << 10;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) first_offset: u64,
    pub(super) marker: Marker,
    pub(super) file: Arc<dyn OpenFile>,
}

/// All segments of one journal, opened as needed.
#[derive(Debug)]
pub(super) struct Segments {
    files: Arc<dyn Files>,
    open: Mutex<BTreeMap<u32, Arc<Segment>>>,
}

/// What the file of a segment turned out to hold.
#[derive(Debug)]
pub(super) enum Found {
    /// A segment.
    Valid(Arc<Segment>),
    /// A file whose header was never durable, thus neither was anything in it.
    Unfinished,
    /// No file.
    Missing,
}

impl Segments {
    pub(super) fn new(files: Arc<dyn Files>) -> Self {
        Self {
            files,
            open: Mutex::default(),
        }
    }

    /// The numbers of the segment files, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u32>, JournalError> {
        let names = self.files.list();
        let names = names.map_err(|error| JournalError::io("list", 0, error))?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Looks at a segment's file.
    pub(super) fn find(&self, number: u32) -> Result<Found, JournalError> {
        if let Some(segment) = self.lock().get(&number) {
            return Ok(Found::Valid(Arc::clone(segment)));
        }
        let file = match self.files.open(&name_of(number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(JournalError::io("open", number, error)),
        };
        let failed = |error| JournalError::io("read", number, error);
        let mut header = read_header(file.as_ref(), number).map_err(failed)?;
        if header.is_none() {
            if is_zero_from(file.as_ref(), SEGMENT_HEADER as u64).map_err(failed)? {
                return Ok(Found::Unfinished);
            }
            // A process that writes beside us may have begun it between the two reads.
            header = read_header(file.as_ref(), number).map_err(failed)?;
        }
        let Some(header) = header else {
            return Err(JournalError::Damaged(Box::new(Damage {
                segment: number,
                position: 0,
                offset: 0,
                what: Bad::SegmentHeader,
                header: None,
            })));
        };
        if header.version != VERSION {
            return Err(JournalError::Newer {
                segment: number,
                version: header.version,
            });
        }
        let segment = Arc::new(Segment {
            number,
            first_offset: header.first_offset,
            marker: header.marker,
            file,
        });
        self.keep(&segment);
        Ok(Found::Valid(segment))
    }

    /// A segment that must be there.
    pub(super) fn load(&self, number: u32) -> Result<Arc<Segment>, JournalError> {
        match self.find(number)? {
            Found::Valid(segment) => Ok(segment),
            Found::Unfinished | Found::Missing => {
                Err(JournalError::MissingSegment { segment: number })
            }
        }
    }

    /// Begins a segment: durable, name and header, on return.
    pub(super) fn begin(
        &self,
        number: u32,
        first_offset: u64,
        marker: Marker,
    ) -> Result<Arc<Segment>, JournalError> {
        let failed = |error| JournalError::io("begin", number, error);
        let file = self.files.create(&name_of(number)).map_err(failed)?;
        let header = SegmentHeader {
            version: VERSION,
            segment: number,
            first_offset,
            marker,
        };
        file.write_at(&header.encode(), 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        self.files.sync_dir().map_err(failed)?;
        let segment = Arc::new(Segment {
            number,
            first_offset,
            marker,
            file,
        });
        self.keep(&segment);
        Ok(segment)
    }

    /// Removes a segment that was begun but never finished.
    pub(super) fn discard(&self, number: u32) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("remove", number, error);
        self.files.remove(&name_of(number)).map_err(failed)?;
        self.files.sync_dir().map_err(failed)
    }

    /// Makes the names of the segments durable.
    pub(super) fn sync_names(&self) -> Result<(), JournalError> {
        let synced = self.files.sync_dir();
        synced.map_err(|error| JournalError::io("sync", 0, error))
    }

    fn keep(&self, segment: &Arc<Segment>) {
        let mut open = self.lock();
        open.insert(segment.number, Arc::clone(segment));
        if open.len() > OPEN_SEGMENTS {
            // The oldest: what is read most is new.
            open.pop_first();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, Arc<Segment>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moving view of a file, so that reading on costs few system calls.
#[derive(Debug, Default)]
pub(super) struct Window {
    segment: u32,
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// `length` bytes from `at` on, fewer only where the file ends.
    pub(super) fn bytes(
        &mut self,
        segment: &Segment,
        at: u64,
        length: usize,
    ) -> Result<Bytes, JournalError> {
        let end = at + length as u64;
        let held = self.start..self.start + self.bytes.len() as u64;
        if self.segment != segment.number || at < held.start || end > held.end {
            let mut buffer = BytesMut::zeroed(length.max(READ_AHEAD));
            let read = segment.file.read_at(&mut buffer, at);
            let read = read.map_err(|error| JournalError::io("read", segment.number, error))?;
            buffer.truncate(read);
            *self = Self {
                segment: segment.number,
                start: at,
                bytes: buffer.freeze(),
            };
        }
        let from = usize::try_from(at - self.start).expect("at lies in the window");
        let to = (from + length).min(self.bytes.len());
        Ok(self.bytes.slice(from..to))
    }

    /// Forgets what was read, for a file that another process writes.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

fn read_header(file: &dyn OpenFile, number: u32) -> io::Result<Option<SegmentHeader>> {
    let mut bytes = [0; SEGMENT_HEADER];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(SegmentHeader::decode(&bytes[..length]).filter(|header| header.segment == number))
}

/// Whether the file holds nothing but zeros from `at` on.
pub(super) fn is_zero_from(file: &dyn OpenFile, at: u64) -> io::Result<bool> {
    Ok(last_written(file, at)? == at)
}

/// Where the last byte that is not zero ends, `at` at least.
pub(super) fn last_written(file: &dyn OpenFile, at: u64) -> io::Result<u64> {
    let mut buffer = vec![0; READ_AHEAD];
    let (mut position, mut last) = (at, at);
    loop {
        let read = file.read_at(&mut buffer, position)?;
        if let Some(index) = buffer[..read].iter().rposition(|&byte| byte != 0) {
            last = position + index as u64 + 1;
        }
        position += read as u64;
        if read < buffer.len() {
            return Ok(last);
        }
    }
}

fn name_of(number: u32) -> String {
    format!("{number:08}.seg")
}

fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (name_of(number) == name && number > 0).then_some(number)
}
