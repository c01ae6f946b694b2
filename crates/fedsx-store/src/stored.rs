//! An entry as it is read: its header and its document, or what is left of that.
//!
//! Invariant: what is erased has no bytes here, also where they are still to be overwritten, and reads as a
//! Tombstone, so that nobody who reads documents need ask.

use bytes::Bytes;
use fedsx_core::blob::{Blob, payload_of};
use fedsx_core::cid::Digest;
use fedsx_core::entry::{Activity, Control, Header, Subject};
use fedsx_core::notation::{Notation, read_document};
use fedsx_core::tombstone::tombstone;
use fedsx_core::value::Map;

use crate::journal::Frame;
use crate::view::ReadError;

/// An entry of the journal with its document.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The header.
    pub header: Header,
    /// The document's bytes as received; empty for most control entries, and for what is erased.
    pub document: Bytes,
    /// The notation of the bytes.
    pub notation: Notation,
    /// Whether the document was erased.
    pub erased: bool,
    /// When its owner deleted it, Unix milliseconds, where that was looked up.
    pub deleted_ms: Option<i64>,
}

impl Stored {
    /// The activity's header, unless this is a control entry.
    #[must_use]
    pub fn activity(&self) -> Option<&Activity> {
        match &self.header.subject {
            Subject::Activity(activity) => Some(activity),
            Subject::Control(_) => None,
        }
    }

    /// The document; a Tombstone in place of one that is erased.
    ///
    /// # Errors
    /// [`ReadError::Document`].
    pub fn map(&self) -> Result<Map, ReadError> {
        if self.erased {
            return Ok(match self.activity() {
                Some(gone) => tombstone(&gone.id, Some(&gone.verb), self.deleted_ms),
                None => Map::new(),
            });
        }
        read_document(self.notation, &self.document, self.document.len()).map_err(|source| {
            ReadError::Document {
                offset: self.header.offset,
                source,
            }
        })
    }

    /// Nothing of the document is read any more.
    pub(crate) fn erase(&mut self, deleted_ms: Option<i64>) {
        self.erased = true;
        self.deleted_ms = deleted_ms;
        self.document = Bytes::new();
    }
}

/// Reads a frame as an entry.
pub(crate) fn stored(frame: Frame) -> Result<Stored, ReadError> {
    let offset = frame.offset;
    let header =
        Header::decode(&frame.header).map_err(|source| ReadError::Header { offset, source })?;
    let notation = match &header.subject {
        Subject::Activity(activity) => activity.notation,
        Subject::Control(
            Control::ProofAttached { notation, .. } | Control::Equivocation { notation, .. },
        ) => *notation,
        Subject::Control(_) => Notation::Json,
    };
    Ok(Stored {
        header,
        document: frame.payload,
        notation,
        erased: frame.erased,
        deleted_ms: None,
    })
}

/// Whose document the payload of an entry is, or contradicts; of an uploaded file, by what that is erased.
pub(crate) fn held(header: &Header) -> Option<Digest> {
    match &header.subject {
        Subject::Activity(activity) => Some(activity.digest),
        Subject::Control(
            Control::ProofAttached { digest, .. } | Control::Equivocation { kept: digest, .. },
        ) => Some(*digest),
        Subject::Control(Control::Blob(Blob::Kept { digest, .. })) => {
            Some(payload_of(header.offset, digest))
        }
        Subject::Control(_) => None,
    }
}
