//! The journal: the one total order over everything appended, in segmented append-only files. It is the
//! truth of an instance; everything else is an index of it.
//!
//! Invariants: an offset counts entries from 1 and is never given twice for durable entries; a batch
//! counts whole or not at all; after one failed write or sync nothing more is taken, ever (a second
//! `fdatasync` may succeed without having written what the first dropped).
//! One thread appends; the sync may run on another beside it ([`SyncHandle`]), so that a batch is
//! encoded while the one before reaches the disk. Deliberately absent: what entries mean, and group
//! commit (writer.rs). Design, section 4; byte layout: journal/frame.rs.

mod erase;
mod error;
mod file;
mod frame;
mod reader;
mod recover;
mod scan;
mod segment;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minicbor::{Decode, Encode};

pub use self::erase::Eraser;
pub use self::error::{Bad, Damage, JournalError};
pub use self::file::{Directory, Files, OpenFile};
pub use self::frame::Frame;
use self::frame::{
    BATCH_BYTES, BATCH_HEADER, BatchHeader, FRAME_HEADER, SEGMENT_HEADER, batch_length,
    encode_batch,
};
pub use self::reader::{Ended, JournalReader, Scan, Scanned};
pub use self::recover::Recovered;
pub(crate) use self::recover::cut_back;
pub use self::scan::Torn;
use self::segment::{Segment, Segments};

/// Where an entry stands: what the index keeps to read it again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Place {
    /// The segment, from 1.
    #[n(0)]
    pub segment: u32,
    /// Where its frame begins in the segment, bytes.
    #[n(1)]
    pub position: u32,
}

/// Where the entries of the next batch will stand, by the lengths of those before.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    segment: u32,
    position: u64,
}

impl Places {
    /// The place of the next entry, whose header and payload have these lengths.
    pub fn next(&mut self, header: usize, payload: usize) -> Place {
        let position = u32::try_from(self.position).expect("a reserved batch ends in its segment");
        self.position += (FRAME_HEADER + header + payload) as u64;
        Place {
            segment: self.segment,
            position,
        }
    }
}

/// How a journal is laid out. May differ from one opening to the next.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// A segment is closed before it would grow beyond this, bytes.
    pub segment_bytes: u32,
    /// Disk space is taken and zeroed in such steps, bytes, so that an append changes neither the
    /// file's length nor its map of blocks, and its sync is one write. A step holds one batch up for
    /// some milliseconds a MiB; an idle instance stays small.
    pub step_bytes: u32,
    /// The marker of all segments begun, instead of random ones: for snapshots of the encoding only,
    /// because a payload that holds it can pass for a batch in the torn tail.
    pub fixed_marker: Option<[u8; 8]>,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 256 << 20,
            step_bytes: 1 << 20,
            fixed_marker: None,
        }
    }
}

/// The one appender.
#[derive(Debug)]
pub struct Journal {
    options: JournalOptions,
    segments: Arc<Segments>,
    marks: Arc<Marks>,
    segment: Arc<Segment>,
    position: u64,
    /// The length of the segment's file, bytes.
    allocated: u64,
    next_offset: u64,
    /// What the headers written so far attest as durable.
    attested: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the journal in a directory, makes it when there is none, cuts off a torn tail. With the
    /// index's watermark (the last entry whose effect is durable in the index) only what stands behind
    /// it is read.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] and [`JournalError::MissingSegment`] when something that was durable
    /// can't be read, the watermark included; [`JournalError::Newer`]; [`JournalError::Io`].
    pub fn open(
        files: Arc<dyn Files>,
        options: JournalOptions,
        watermark: Option<(u64, Place)>,
    ) -> Result<(Self, Recovered), JournalError> {
        let segments = Arc::new(Segments::new(files));
        let (end, recovered) = recover::recover(&segments, watermark, options.marker()?)?;
        let mark = Mark {
            segment: end.segment.number,
            position: end.position,
            offset: end.next_offset - 1,
        };
        let allocated = end.segment.file.length();
        let allocated =
            allocated.map_err(|error| JournalError::io("read", end.segment.number, error))?;
        let journal = Self {
            options,
            marks: Arc::new(Marks::at(mark)),
            segments,
            segment: end.segment,
            position: end.position,
            allocated,
            next_offset: end.next_offset,
            attested: end.attested,
            buffer: Vec::new(),
        };
        Ok((journal, recovered))
    }

    /// The offset that the next entry gets.
    #[must_use]
    pub const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Where the next batch begins, unless it needs a new segment.
    #[must_use]
    pub fn end(&self) -> Place {
        Place {
            segment: self.segment.number,
            position: u32::try_from(self.position).expect("within a segment"),
        }
    }

    /// The highest offset that is durable, 0 when there is none.
    #[must_use]
    pub fn durable_offset(&self) -> u64 {
        self.marks.durable().offset
    }

    /// The longest batch that is taken, frames and header included, bytes.
    #[must_use]
    pub fn batch_limit(&self) -> u64 {
        let room = u64::from(self.options.segment_bytes).saturating_sub(SEGMENT_HEADER as u64);
        room.min(BATCH_BYTES)
    }

    /// Makes room for a batch of at most `bytes`, frames and header included, so that the next
    /// [`Journal::write`] goes where it says: what points to an entry can be made before the entry is
    /// written.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] with nothing done; when a new segment was needed and could not be
    /// begun, the journal is poisoned.
    pub fn reserve(&mut self, bytes: u64) -> Result<Places, JournalError> {
        self.marks.check()?;
        self.make_room(bytes)?;
        let position = self.position + BATCH_HEADER as u64;
        Ok(Places {
            segment: self.segment.number,
            position,
        })
    }

    /// Appends entries, each a header and a payload, as one batch, and tells the place of each. They get
    /// the offsets from [`Journal::next_offset`] on. Written, not durable: that is `sync`.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] and [`JournalError::Full`], with nothing written; otherwise the
    /// journal is poisoned.
    pub fn write<H: AsRef<[u8]>, P: AsRef<[u8]>>(
        &mut self,
        entries: &[(H, P)],
    ) -> Result<Vec<Place>, JournalError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.append(entries)
    }

    /// Makes everything written so far durable: one `fdatasync`.
    ///
    /// # Errors
    /// [`JournalError::Io`] the first time, [`JournalError::Poisoned`] ever after.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.sync_handle().sync().map(|_offset| ())
    }

    /// Syncs, and writes down that everything is durable, so that damage to the last batch is told from
    /// a torn tail too. For shutdown and for idle moments: the next batch says the same of this one.
    ///
    /// # Errors
    /// As `write` and `sync`.
    pub fn attest(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        if self.attested < self.durable_offset() {
            self.append::<&[u8], &[u8]>(&[])?;
            self.sync()?;
        }
        Ok(())
    }

    /// A handle that syncs from another thread while this one writes on.
    #[must_use]
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle {
            segments: Arc::clone(&self.segments),
            marks: Arc::clone(&self.marks),
        }
    }

    /// A handle that overwrites payloads from another thread.
    #[must_use]
    pub fn eraser(&self) -> Eraser {
        Eraser {
            segments: Arc::clone(&self.segments),
            marks: Arc::clone(&self.marks),
        }
    }

    /// A reader of this journal.
    #[must_use]
    pub fn reader(&self) -> JournalReader {
        JournalReader::live(Arc::clone(&self.segments), Arc::clone(&self.marks))
    }

    fn append<H: AsRef<[u8]>, P: AsRef<[u8]>>(
        &mut self,
        entries: &[(H, P)],
    ) -> Result<Vec<Place>, JournalError> {
        self.marks.check()?;
        let length = batch_length(entries);
        self.make_room(length)?;
        self.allocate(self.position + length)?;
        let header = BatchHeader {
            marker: self.segment.marker,
            segment: self.segment.number,
            position: u32::try_from(self.position).expect("below segment_bytes"),
            length: 0,
            first_offset: self.next_offset,
            synced_to: self.durable_offset(),
            count: 0,
        };
        let positions = encode_batch(&mut self.buffer, header, entries);
        let written = self.segment.file.write_at(&self.buffer, self.position);
        written.map_err(|error| {
            self.marks.poison();
            JournalError::io("write", self.segment.number, error)
        })?;
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        self.attested = header.synced_to;
        self.position += length;
        self.next_offset += entries.len() as u64;
        self.marks.set_written(Mark {
            segment: self.segment.number,
            position: self.position,
            offset: self.next_offset - 1,
        });
        let segment = self.segment.number;
        let place = |position| Place { segment, position };
        Ok(positions.into_iter().map(place).collect())
    }

    /// Begins a new segment when the present one does not hold `length` more bytes.
    fn make_room(&mut self, length: u64) -> Result<(), JournalError> {
        let limit = self.batch_limit();
        if length > limit {
            return Err(JournalError::TooLarge {
                bytes: length,
                limit,
            });
        }
        if self.position + length > u64::from(self.options.segment_bytes) {
            let rotated = self.rotate();
            rotated.inspect_err(|_| self.marks.poison())?;
        }
        Ok(())
    }

    /// Closes the segment, durable and cut to its length, and begins the next.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let number = self.segment.number;
        let cut = self.segment.file.truncate(self.position);
        cut.map_err(|error| JournalError::io("cut", number, error))?;
        self.marks.sync(&self.segment)?;
        self.marks.set_durable(self.marks.written());
        let marker = self.options.marker()?;
        self.segment = self.segments.begin(number + 1, self.next_offset, marker)?;
        self.position = SEGMENT_HEADER as u64;
        self.allocated = self.position;
        Ok(())
    }

    fn allocate(&mut self, needed: u64) -> Result<(), JournalError> {
        if needed <= self.allocated {
            return Ok(());
        }
        let step = u64::from(self.options.step_bytes.max(1));
        let length = needed
            .next_multiple_of(step)
            .min(u64::from(self.options.segment_bytes))
            .max(needed);
        let allocated = self.segment.file.allocate(length);
        allocated.map_err(|source| JournalError::Full { source })?;
        self.allocated = length;
        Ok(())
    }
}

/// What the encoding buffer keeps between batches, bytes: an ordinary batch of the writer.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

impl JournalOptions {
    fn marker(&self) -> Result<[u8; 8], JournalError> {
        if let Some(marker) = self.fixed_marker {
            return Ok(marker);
        }
        let mut marker = [0; 8];
        let drawn = getrandom::fill(&mut marker);
        drawn.map_err(|error| JournalError::io("draw a marker for", 0, error.into()))?;
        Ok(marker)
    }
}

/// Makes the journal durable from another thread.
#[derive(Clone, Debug)]
pub struct SyncHandle {
    segments: Arc<Segments>,
    marks: Arc<Marks>,
}

impl SyncHandle {
    /// Makes everything that was written before the call durable, by one `fdatasync`, none when it is
    /// already; tells up to which offset.
    ///
    /// # Errors
    /// [`JournalError::Io`] the first time, [`JournalError::Poisoned`] ever after.
    pub fn sync(&self) -> Result<u64, JournalError> {
        self.marks.check()?;
        let written = self.marks.written();
        if self.marks.durable() < written {
            let segment = self.segments.load(written.segment)?;
            self.marks.sync(&segment)?;
            self.marks.set_durable(written);
        }
        Ok(self.marks.durable().offset)
    }
}

/// How far the journal goes: the end of a batch, and the highest offset before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Mark {
    segment: u32,
    position: u64,
    offset: u64,
}

/// How far is written and how far is durable, seen by writer, syncer and readers.
#[derive(Debug)]
struct Marks {
    written: Mutex<Mark>,
    durable: Mutex<Mark>,
    syncing: Mutex<()>,
    poisoned: AtomicBool,
}

impl Marks {
    const fn at(mark: Mark) -> Self {
        Self {
            written: Mutex::new(mark),
            durable: Mutex::new(mark),
            syncing: Mutex::new(()),
            poisoned: AtomicBool::new(false),
        }
    }

    fn written(&self) -> Mark {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> Mark {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_written(&self, mark: Mark) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    fn set_durable(&self, mark: Mark) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        *durable = mark.max(*durable);
    }

    /// Syncs a segment. One at a time: the system tells of a failure once, so that whoever was told has
    /// to poison the journal before another is believed, whose sync may cover what that one dropped.
    fn sync(&self, segment: &Segment) -> Result<(), JournalError> {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        segment.file.sync_data().map_err(|error| {
            self.poison();
            JournalError::io("sync", segment.number, error)
        })
    }

    fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), JournalError> {
        if self.poisoned.load(Ordering::SeqCst) {
            Err(JournalError::Poisoned)
        } else {
            Ok(())
        }
    }
}
