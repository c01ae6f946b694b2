//! Uploaded files: which are taken, what their entries say, and by what one is found to be erased.
//!
//! Their bytes are the payload of a control entry, because the journal is all that is durable: so what makes an
//! index anew, verifies, erases or exports needs no second place. They are named by their `raw` CID (design,
//! sections 3 and 11). Invariant: what a file is goes by its first bytes, never by what its sender says.
//! Deliberately absent: reading the pictures, and any format in which a browser would find a script.

use minicbor::{Decode, Encode};

use crate::cid::Digest;
use crate::entry::ActorNo;
use crate::limits::BLOB_BYTES;
use crate::refusal::{Code, Refusal};

/// The media types that are taken. Entries of the journal hold the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Media {
    /// PNG (RFC 2083, section 3.1).
    #[n(0)]
    Png,
    /// JPEG: the marker that begins it, and the next one.
    #[n(1)]
    Jpeg,
    /// GIF, of either version.
    #[n(2)]
    Gif,
    /// WebP: a RIFF container of that kind (RFC 9649, section 2.4).
    #[n(3)]
    WebP,
}

impl Media {
    /// As `mediaType` and `Content-Type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }

    /// What begins like this.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::WebP),
            _ => None,
        }
    }

    /// What an uploaded file is.
    ///
    /// # Errors
    /// `too-large`, or `media-type` for what is no picture.
    pub fn of_upload(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > BLOB_BYTES {
            let most = BLOB_BYTES >> 10;
            let why = format!("a picture may have {most} KiB; make it smaller");
            return Err(Refusal::new(Code::TooLarge, why));
        }
        let why = "the file is no picture that is taken: PNG, JPEG, GIF and WebP are";
        Self::of(bytes).ok_or_else(|| Refusal::new(Code::MediaType, why))
    }
}

/// What becomes of a file, of one local actor: two that upload the same have an entry each.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Blob {
    /// It is kept; the payload is the file.
    #[n(0)]
    Kept {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The digest inside its CID.
        #[n(1)]
        digest: Digest,
        /// What it is.
        #[n(2)]
        media: Media,
    },
    /// The actor names it no longer, or is gone: the payload is overwritten.
    #[n(1)]
    Erased {
        /// Whose.
        #[n(0)]
        actor: ActorNo,
        /// The digest inside its CID.
        #[n(1)]
        digest: Digest,
        /// The entry that holds it.
        #[n(2)]
        offset: u64,
    },
}

/// By what the payload of the entry at an offset is erased. Not by the digest alone: a file that was erased can be
/// uploaded again, and then one of two payloads with one digest is to go.
#[must_use]
pub fn payload_of(offset: u64, digest: &Digest) -> Digest {
    Digest::of(&[&offset.to_be_bytes()[..], digest.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_like() {
        let cases: [(&[u8], Option<&str>); 9] = [
            (b"\x89PNG\r\n\x1a\n....", Some("image/png")),
            (b"\xff\xd8\xff\xe0..JFIF", Some("image/jpeg")),
            (b"GIF87a", Some("image/gif")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
            (b"<!doctype html><script>", None),
            (b"", None),
        ];
        for (bytes, media) in cases {
            assert_eq!(Media::of(bytes).map(Media::as_str), media, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_picture_is_refused() {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        png.resize(BLOB_BYTES, 0);
        assert_eq!(Media::of_upload(&png), Ok(Media::Png));
        png.push(0);
        let code = |bytes: &[u8]| Media::of_upload(bytes).map_err(|refusal| refusal.code);
        assert_eq!(code(&png), Err(Code::TooLarge));
        assert_eq!(code(b"%PDF-1.7"), Err(Code::MediaType));
    }
}
