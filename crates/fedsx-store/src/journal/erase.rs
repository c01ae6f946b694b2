//! Overwriting payloads in place, with everything else of their frames kept.
//!
//! Invariants: a frame is durably marked as erased before a byte of its payload is touched, so that
//! whatever ends the process, a payload that does not match its checksum is damage and never half an
//! erasure; an erasure that was cut off is finished by asking for it again, and what was asked for
//! before is synced again, because zeros read back may be those of a killed process, not of the disk.
//! Deliberately absent: why an entry may be erased, and which are still to be; that has to be durable
//! before this is called. Design, section 4, "Erasure".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Bad, JournalError};
use super::frame::{ERASED_MARK, FRAME_HEADER, FrameHead, STATE_AT};
use super::segment::{Segment, Segments};
use super::{Marks, Place};

/// How much is overwritten with one call, bytes.
const ZEROS_BYTES: usize = 64 << 10;

/// Erases from any thread, beside the writer.
#[derive(Clone, Debug)]
pub struct Eraser {
    pub(super) segments: Arc<Segments>,
    pub(super) marks: Arc<Marks>,
}

/// A payload to be overwritten.
#[derive(Clone, Copy, Debug)]
struct Target {
    /// Where its frame begins, bytes.
    frame: u64,
    /// Where it begins, bytes.
    payload: u64,
    /// How long it is, bytes.
    length: u64,
}

impl Eraser {
    /// Overwrites the payloads of the durable entries at `places` with zeros: durable on return, by two
    /// syncs for each segment that holds some. What is erased already is erased again.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when there is no durable entry at one of the places, with nothing
    /// overwritten; otherwise the journal is poisoned.
    pub fn erase(&self, places: &[Place]) -> Result<(), JournalError> {
        self.marks.check()?;
        let mut found: BTreeMap<u32, (Arc<Segment>, Vec<Target>)> = BTreeMap::new();
        for place in places {
            let segment = self.segments.load(place.segment)?;
            let target = self.target(&segment, *place)?;
            let (_, targets) = found
                .entry(place.segment)
                .or_insert_with(|| (segment, Vec::new()));
            targets.push(target);
        }
        for (segment, targets) in found.values() {
            for target in targets {
                self.write(segment, &ERASED_MARK, target.frame + STATE_AT)?;
            }
            self.marks.sync(segment)?;
            for target in targets {
                self.overwrite(segment, *target)?;
            }
            self.marks.sync(segment)?;
        }
        Ok(())
    }

    /// What to overwrite. The payload itself need not be whole: it is to be destroyed.
    fn target(&self, segment: &Segment, place: Place) -> Result<Target, JournalError> {
        let damaged = |offset, what| JournalError::damaged(place, offset, what, None);
        let frame = u64::from(place.position);
        let durable = self.marks.durable();
        if (place.segment, frame) >= (durable.segment, durable.position) {
            return Err(damaged(0, Bad::Nothing));
        }
        let failed = |error| JournalError::io("read", place.segment, error);
        let mut fixed = [0; FRAME_HEADER];
        let read = segment.file.read_at(&mut fixed, frame).map_err(failed)?;
        let head = FrameHead::read(&fixed[..read]).ok_or_else(|| damaged(0, Bad::CutShort))?;
        let held = segment.file.length().map_err(failed)?;
        if frame + head.length() > held || head.length() > super::frame::BATCH_BYTES {
            return Err(damaged(head.offset, Bad::FrameHeader));
        }
        let header_end = FRAME_HEADER + head.header_length as usize;
        let mut bytes = vec![0; header_end];
        let read = segment.file.read_at(&mut bytes, frame).map_err(failed)?;
        if read < header_end || !head.matches(&bytes) {
            return Err(damaged(head.offset, Bad::FrameHeader));
        }
        Ok(Target {
            frame,
            payload: frame + header_end as u64,
            length: u64::from(head.payload_length),
        })
    }

    fn overwrite(&self, segment: &Segment, target: Target) -> Result<(), JournalError> {
        let zeros = [0; ZEROS_BYTES];
        let (mut at, end) = (target.payload, target.payload + target.length);
        while at < end {
            let part = usize::try_from(end - at).map_or(ZEROS_BYTES, |left| left.min(ZEROS_BYTES));
            self.write(segment, &zeros[..part], at)?;
            at += part as u64;
        }
        Ok(())
    }

    fn write(&self, segment: &Segment, bytes: &[u8], at: u64) -> Result<(), JournalError> {
        segment.file.write_at(bytes, at).map_err(|error| {
            self.marks.poison();
            JournalError::io("erase in", segment.number, error)
        })
    }
}
