//! The byte layout of the journal: segment headers, batch headers and entry frames, encoded and decoded
//! here and nowhere else. All integers are little-endian, all checksums CRC32C.
//!
//! ```text
//! segment header, 36 bytes at the start of each file
//!    0  8  magic "FEDSXJ\r\n"
//!    8  2  format version, 1
//!   10  2  reserved, 0
//!   12  4  segment number, from 1
//!   16  8  offset of the first entry in it
//!   24  8  marker: random bytes that begin each batch of this segment
//!   32  4  checksum of bytes 0..32
//! batch header, 48 bytes, behind the segment header or the batch before
//!    0  8  marker of the segment
//!    8  2  format version, 1
//!   10  2  reserved, 0
//!   12  4  segment number
//!   16  4  position of this header in the segment
//!   20  4  length of the batch with this header
//!   24  8  offset of its first entry (of the next one, when it has none)
//!   32  8  synced_to: the highest offset that was durable when this was encoded
//!   40  4  entries in it, may be 0
//!   44  4  checksum of bytes 0..44
//! entry frame, 32 bytes and header and payload, back to back behind the batch header
//!    0  4  checksum of bytes 8..32 and the header
//!    4  4  state: LIVE or ERASED
//!    8  8  offset
//!   16  4  distance back to the batch header
//!   20  4  header length
//!   24  4  payload length
//!   28  4  checksum of the payload as it was written
//! ```
//!
//! Invariants: every byte is covered by a checksum, but for
//! `state`, whose two values differ in every bit, and the payload of an erased frame, which is
//! overwritten in place with the header kept (erase.rs). A mark that a crash cut off, some of its bytes of
//! either value, is one of an erased frame. A payload can't pass for a batch: it would have to hold the
//! segment's random marker, which never leaves the instance.
//! Deliberately absent: what headers and payloads mean.

use bytes::Bytes;

use super::error::Bad;

/// The format version written.
pub(super) const VERSION: u16 = 1;

pub(super) const SEGMENT_HEADER: usize = 36;
pub(super) const BATCH_HEADER: usize = 48;
pub(super) const FRAME_HEADER: usize = 32;

/// The longest batch, bytes: what a damaged length can make a reader allocate. Far above the writer's
/// batches of 4 MiB.
pub(super) const BATCH_BYTES: u64 = 64 << 20;

const SEGMENT_MAGIC: [u8; 8] = *b"FEDSXJ\r\n";
const LIVE: u32 = 0xA5C3_96F0;
const ERASED: u32 = !LIVE;

/// Where the state stands in a frame, and what is written there to erase.
pub(super) const STATE_AT: u64 = 4;
pub(super) const ERASED_MARK: [u8; 4] = ERASED.to_le_bytes();

/// The random bytes that begin each batch of one segment.
pub(super) type Marker = [u8; 8];

/// What a segment file begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SegmentHeader {
    pub(super) version: u16,
    pub(super) segment: u32,
    pub(super) first_offset: u64,
    pub(super) marker: Marker,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.marker);
        let checksum = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SEGMENT_HEADER] = bytes.first_chunk()?;
        let valid =
            bytes[0..8] == SEGMENT_MAGIC && crc32c::crc32c(&bytes[..32]) == u32_at(bytes, 32);
        valid.then(|| Self {
            version: u16_at(bytes, 8),
            segment: u32_at(bytes, 12),
            first_offset: u64_at(bytes, 16),
            marker: chunk(bytes, 24),
        })
    }
}

/// What a batch begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BatchHeader {
    pub(super) marker: Marker,
    pub(super) segment: u32,
    pub(super) position: u32,
    pub(super) length: u32,
    pub(super) first_offset: u64,
    pub(super) synced_to: u64,
    pub(super) count: u32,
}

impl BatchHeader {
    fn encode(self) -> [u8; BATCH_HEADER] {
        let mut bytes = [0; BATCH_HEADER];
        bytes[0..8].copy_from_slice(&self.marker);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.position.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_offset.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.synced_to.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..44]);
        bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header, if these bytes are one that was written for this marker, segment and position.
    pub(super) fn decode(
        bytes: &[u8],
        marker: Marker,
        segment: u32,
        position: u32,
    ) -> Option<Self> {
        let bytes: &[u8; BATCH_HEADER] = bytes.first_chunk()?;
        let header = Self {
            marker: chunk(bytes, 0),
            segment: u32_at(bytes, 12),
            position: u32_at(bytes, 16),
            length: u32_at(bytes, 20),
            first_offset: u64_at(bytes, 24),
            synced_to: u64_at(bytes, 32),
            count: u32_at(bytes, 40),
        };
        let valid = crc32c::crc32c(&bytes[..44]) == u32_at(bytes, 44)
            && header.marker == marker
            && u16_at(bytes, 8) == VERSION
            && header.segment == segment
            && header.position == position
            && header.synced_to < header.first_offset
            && header.length as usize >= BATCH_HEADER
            && u64::from(header.length) <= BATCH_BYTES;
        valid.then_some(header)
    }
}

/// One entry as it stands in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Which entry it is, from 1.
    pub offset: u64,
    /// The header, opaque here.
    pub header: Bytes,
    /// The payload, opaque here; empty once erased.
    pub payload: Bytes,
    /// Whether the payload was overwritten, or is being so.
    pub erased: bool,
}

/// The fixed part of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameHead {
    header_checksum: u32,
    state: u32,
    pub(super) offset: u64,
    pub(super) back: u32,
    pub(super) header_length: u32,
    pub(super) payload_length: u32,
    payload_checksum: u32,
}

impl FrameHead {
    /// Reads the fixed part; whether it can be trusted is known only after [`FrameHead::open`].
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER] = bytes.first_chunk()?;
        Some(Self {
            header_checksum: u32_at(bytes, 0),
            state: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            back: u32_at(bytes, 16),
            header_length: u32_at(bytes, 20),
            payload_length: u32_at(bytes, 24),
            payload_checksum: u32_at(bytes, 28),
        })
    }

    /// The whole frame, bytes.
    pub(super) fn length(self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.header_length) + u64::from(self.payload_length)
    }

    /// Whether the checksum of the header holds in `bytes`, which begin with the frame and hold all of
    /// its header.
    pub(super) fn matches(self, bytes: &[u8]) -> bool {
        let header_end = FRAME_HEADER + self.header_length as usize;
        crc32c::crc32c(&bytes[8..header_end]) == self.header_checksum
    }

    /// Checks the whole frame in `bytes`, which begin with it. With a bad payload the header comes
    /// along, to tell whose it is.
    pub(super) fn open(self, bytes: &Bytes) -> Result<Frame, (Bad, Option<Bytes>)> {
        let header_end = FRAME_HEADER + self.header_length as usize;
        let end = header_end + self.payload_length as usize;
        if bytes.len() < header_end {
            return Err((Bad::FrameHeader, None));
        }
        if !self.matches(bytes) {
            return Err((Bad::FrameHeader, None));
        }
        let header = bytes.slice(FRAME_HEADER..header_end);
        let erased = match self.state {
            LIVE => false,
            state if is_erased(state) => true,
            _ => return Err((Bad::State, Some(header))),
        };
        if bytes.len() < end {
            return Err((Bad::CutShort, Some(header)));
        }
        let payload = if erased {
            Bytes::new()
        } else {
            bytes.slice(header_end..end)
        };
        if !erased && crc32c::crc32c(&payload) != self.payload_checksum {
            return Err((Bad::Payload, Some(header)));
        }
        Ok(Frame {
            offset: self.offset,
            header,
            payload,
            erased,
        })
    }
}

/// Whether the mark of an erasure stands there, or part of one.
fn is_erased(state: u32) -> bool {
    let bytes = state.to_le_bytes().into_iter();
    let mut either = bytes.zip(LIVE.to_le_bytes().into_iter().zip(ERASED_MARK));
    state != LIVE && either.all(|(byte, (live, erased))| byte == live || byte == erased)
}

/// The encoded length of a batch of such entries, bytes.
pub(super) fn batch_length<H: AsRef<[u8]>, P: AsRef<[u8]>>(entries: &[(H, P)]) -> u64 {
    entries
        .iter()
        .fold(BATCH_HEADER as u64, |sum, (header, payload)| {
            sum + (FRAME_HEADER + header.as_ref().len() + payload.as_ref().len()) as u64
        })
}

/// Encodes a batch over what `buffer` held and tells the position of each frame in the segment. The
/// header comes with `length` and `count` unset; the batch must not be longer than [`BATCH_BYTES`].
pub(super) fn encode_batch<H: AsRef<[u8]>, P: AsRef<[u8]>>(
    buffer: &mut Vec<u8>,
    header: BatchHeader,
    entries: &[(H, P)],
) -> Vec<u32> {
    let fits = |length: usize| u32::try_from(length).expect("a batch is at most BATCH_BYTES long");
    buffer.clear();
    buffer.resize(BATCH_HEADER, 0);
    let mut positions = Vec::with_capacity(entries.len());
    for (offset, (entry_header, payload)) in (header.first_offset..).zip(entries) {
        let (entry_header, payload) = (entry_header.as_ref(), payload.as_ref());
        let start = buffer.len();
        positions.push(header.position + fits(start));
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&LIVE.to_le_bytes());
        buffer.extend_from_slice(&offset.to_le_bytes());
        buffer.extend_from_slice(&fits(start).to_le_bytes());
        buffer.extend_from_slice(&fits(entry_header.len()).to_le_bytes());
        buffer.extend_from_slice(&fits(payload.len()).to_le_bytes());
        buffer.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        buffer.extend_from_slice(entry_header);
        let checksum = crc32c::crc32c(&buffer[start + 8..]);
        buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        buffer.extend_from_slice(payload);
    }
    let header = BatchHeader {
        length: fits(buffer.len()),
        count: fits(entries.len()),
        ..header
    };
    buffer[..BATCH_HEADER].copy_from_slice(&header.encode());
    positions
}

/// Takes a batch apart and checks every byte of it. `bytes` hold the whole batch. The error comes with
/// the position of the bad frame, its offset and, if known, its header.
pub(super) fn decode_batch(
    batch: &BatchHeader,
    bytes: &Bytes,
) -> Result<Vec<(u32, Frame)>, BadFrame> {
    let mut frames = Vec::with_capacity((batch.count as usize).min(bytes.len() / FRAME_HEADER));
    let mut at = BATCH_HEADER;
    for offset in (batch.first_offset..).take(batch.count as usize) {
        let position =
            batch.position + u32::try_from(at).expect("a batch is at most BATCH_BYTES long");
        let bad = |what, header| BadFrame {
            position,
            offset,
            what,
            header,
        };
        let rest = bytes.slice(at..);
        let head = FrameHead::read(&rest).ok_or_else(|| bad(Bad::Length, None))?;
        if head.length() > rest.len() as u64 {
            return Err(bad(Bad::FrameHeader, None));
        }
        let frame = head
            .open(&rest)
            .map_err(|(what, header)| bad(what, header))?;
        if head.offset != offset || head.back as usize != at {
            return Err(bad(Bad::Sequence, Some(frame.header)));
        }
        at += usize::try_from(head.length()).expect("not longer than the bytes at hand");
        frames.push((position, frame));
    }
    if at == bytes.len() {
        Ok(frames)
    } else {
        Err(BadFrame {
            position: batch.position,
            offset: batch.first_offset,
            what: Bad::Length,
            header: None,
        })
    }
}

/// A frame that can't be read.
#[derive(Debug)]
pub(super) struct BadFrame {
    pub(super) position: u32,
    pub(super) offset: u64,
    pub(super) what: Bad,
    pub(super) header: Option<Bytes>,
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..]
        .first_chunk()
        .expect("fields lie within the fixed layouts")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(chunk(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(chunk(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(chunk(bytes, at))
}
