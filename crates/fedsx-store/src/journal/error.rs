//! What goes wrong in the journal, told so that an operator knows the segment, the offset and what is
//! bad about it.
//!
//! Deliberately absent: refusals (nothing here is a peer's fault).

use std::fmt;
use std::io;

use bytes::Bytes;

use super::Place;

/// An operational error of the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file operation failed. After a failed write or sync the journal is poisoned.
    #[error("cannot {operation} journal segment {segment}: {source}")]
    Io {
        /// What was tried: `read`, `write`, `sync`, …
        operation: &'static str,
        /// The segment, 0 for the directory.
        segment: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// What must be valid is not. Never skipped, never cut.
    #[error("the journal is damaged: {0}")]
    Damaged(Box<Damage>),
    /// A segment file is not there although one behind it, or the index, says it was.
    #[error("journal segment {segment} is missing")]
    MissingSegment {
        /// The missing one.
        segment: u32,
    },
    /// Written by a newer version of this program.
    #[error(
        "journal segment {segment} has format version {version}, written by a newer fedsx; \
         this one knows {known}",
        known = super::frame::VERSION
    )]
    Newer {
        /// The segment.
        segment: u32,
        /// Its version.
        version: u16,
    },
    /// More in one batch than a segment or the format takes. Nothing was written.
    #[error("a batch of {bytes} bytes is too large for the journal, which takes {limit}")]
    TooLarge {
        /// The encoded batch, bytes.
        bytes: u64,
        /// What is taken, bytes.
        limit: u64,
    },
    /// There is no disk space for the batch. Nothing was written; worth another try later.
    #[error("no disk space for the journal: {source}")]
    Full {
        /// What the operating system said.
        source: io::Error,
    },
    /// An earlier write or sync failed: what is durable is no longer known, so nothing more is taken.
    /// Only opening the journal anew mends it.
    #[error("the journal takes nothing more after a failed write or sync")]
    Poisoned,
}

impl JournalError {
    /// Whether the same call may succeed later on the same journal.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Damage at a place; of which entry, as far as that is known, else 0.
    pub(crate) fn damaged(place: Place, offset: u64, what: Bad, header: Option<Bytes>) -> Self {
        Self::Damaged(Box::new(Damage {
            segment: place.segment,
            position: place.position,
            offset,
            what,
            header,
        }))
    }

    pub(super) const fn io(operation: &'static str, segment: u32, source: io::Error) -> Self {
        Self::Io {
            operation,
            segment,
            source,
        }
    }
}

/// Where the journal is damaged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// Where in it the bad batch or frame begins, bytes.
    pub position: u32,
    /// The first entry that can't be read.
    pub offset: u64,
    /// What is bad.
    pub what: Bad,
    /// The entry's header, when it is the payload that is bad: it tells which document is hurt.
    pub header: Option<Bytes>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            position,
            offset,
            what,
            ..
        } = self;
        write!(
            f,
            "segment {segment}, byte {position}, offset {offset}: {what}"
        )
    }
}

/// What is bad about bytes that should be a batch, a frame or a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Bad {
    /// Zeros, or the end of the file.
    #[error("nothing is there")]
    Nothing,
    /// The segment's header is not one.
    #[error("the segment header is not valid")]
    SegmentHeader,
    /// No batch header: another marker, checksum or place.
    #[error("the batch header is not valid")]
    BatchHeader,
    /// A valid batch header, but not the one that follows.
    #[error("the batch continues at another offset")]
    Sequence,
    /// The batch's frames don't fill its length.
    #[error("the frames do not fill the batch")]
    Length,
    /// The file ends within the batch.
    #[error("the file ends within the batch")]
    CutShort,
    /// A frame's header does not match its checksum.
    #[error("the entry's header does not match its checksum")]
    FrameHeader,
    /// A frame is neither live nor erased.
    #[error("the entry is neither live nor erased")]
    State,
    /// A payload does not match its checksum.
    #[error("the payload does not match its checksum")]
    Payload,
    /// A payload is overwritten, and no entry erased it.
    #[error("the payload is overwritten, and nothing erased it")]
    Overwritten,
}
