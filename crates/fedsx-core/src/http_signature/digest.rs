//! Digests of bodies: `Content-Digest` (RFC 9530) and the older `Digest` (RFC 3230).
//!
//! SHA-256 and SHA-512 count, other algorithms are passed over; at least one must be there, and
//! every one that counts must be the body's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::{Dictionary, ListEntry, Parser};
use sha2::{Digest as _, Sha256, Sha512};

use super::SignatureError;

/// Digests of one field looked at.
const DIGESTS: usize = 8;

/// Checks a `Digest` value such as `SHA-256=…, SHA-512=…` against the body.
pub(super) fn check_digest(field: &str, body: &[u8]) -> Result<(), SignatureError> {
    let mut counted = Counted::new(body);
    for entry in field.split(',').take(DIGESTS) {
        let (algorithm, value) = entry
            .trim_ascii()
            .split_once('=')
            .ok_or(SignatureError::UnusableDigest)?;
        let algorithm = algorithm.to_ascii_lowercase();
        if is_known(&algorithm) {
            let value = STANDARD.decode(value);
            let value = value.map_err(|_| SignatureError::UnusableDigest)?;
            counted.count(&algorithm, &value)?;
        }
    }
    counted.finish()
}

/// Checks a `Content-Digest` value such as `sha-256=:…:` against the body.
pub(super) fn check_content_digest(field: &str, body: &[u8]) -> Result<(), SignatureError> {
    let entries: Dictionary = Parser::new(field)
        .parse()
        .map_err(|_| SignatureError::UnusableDigest)?;
    let mut counted = Counted::new(body);
    for (algorithm, entry) in entries.iter().take(DIGESTS) {
        if !is_known(algorithm.as_str()) {
            continue;
        }
        let ListEntry::Item(item) = entry else {
            return Err(SignatureError::UnusableDigest);
        };
        let value = item.bare_item.as_byte_sequence();
        counted.count(
            algorithm.as_str(),
            value.ok_or(SignatureError::UnusableDigest)?,
        )?;
    }
    counted.finish()
}

/// The value of a `Content-Digest` for a body made here.
pub(super) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

/// The value of a `Digest` for a body made here.
pub(super) fn digest(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(Sha256::digest(body)))
}

fn is_known(algorithm: &str) -> bool {
    matches!(algorithm, "sha-256" | "sha-512")
}

struct Counted<'a> {
    body: &'a [u8],
    any: bool,
}

impl<'a> Counted<'a> {
    fn new(body: &'a [u8]) -> Self {
        Self { body, any: false }
    }

    fn count(&mut self, algorithm: &str, value: &[u8]) -> Result<(), SignatureError> {
        self.any = true;
        let equal = match algorithm {
            "sha-256" => Sha256::digest(self.body).as_slice() == value,
            _ => Sha512::digest(self.body).as_slice() == value,
        };
        if equal {
            Ok(())
        } else {
            Err(SignatureError::DigestMismatch)
        }
    }

    fn finish(self) -> Result<(), SignatureError> {
        if self.any {
            Ok(())
        } else {
            Err(SignatureError::UnusableDigest)
        }
    }
}
