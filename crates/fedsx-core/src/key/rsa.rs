//! RSA public keys as actors publish them: one PEM in `publicKey.publicKeyPem`.
//!
//! Only for HTTP signatures of peers, with PKCS #1 v1.5 padding and SHA-256; documents are never
//! proved with RSA. 2048 to 8192 bits. Deliberately absent: secret RSA keys.
//!
//! Specs: RFC 7468 (PEM), RFC 5280 section 4.1 (SubjectPublicKeyInfo), RFC 8017 appendix A.1.1.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minicbor::{Decode, Encode};

/// The longest PEM text looked at, bytes; a key of 8192 bits takes about 1,500.
const PEM_BYTES: usize = 8_192;
/// Bits of an accepted modulus.
const BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// Why a text or bytes give no usable RSA key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RsaKeyError {
    /// No PEM block, one too long, or something beside it.
    #[error("this is no PEM text of one block")]
    Pem,
    /// A PEM block that holds no public key in a known form.
    #[error("the PEM block is neither `PUBLIC KEY` nor `RSA PUBLIC KEY`")]
    Label,
    /// The DER inside is no RSA key.
    #[error("the bytes are no RSA public key")]
    Der,
    /// The modulus is too short or too long.
    #[error("an RSA key must have 2048 to 8192 bits")]
    Size,
}

/// An RSA public key, decoded; a clone costs a reference count.
#[derive(Clone)]
pub struct RsaPublicKey(Arc<Decoded>);

struct Decoded {
    key: ParsedPublicKey,
    spki: Box<[u8]>,
    bits: usize,
}

impl RsaPublicKey {
    /// The key of a PEM text, `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS #1).
    ///
    /// # Errors
    /// No such PEM text, or no RSA key of an accepted size in it.
    pub fn from_pem(text: &str) -> Result<Self, RsaKeyError> {
        let (label, der) = read_pem(text)?;
        match label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Self::from_der(&der),
            _ => Err(RsaKeyError::Label),
        }
    }

    /// The key of DER bytes, SPKI or PKCS #1.
    ///
    /// # Errors
    /// The bytes are no RSA key of an accepted size.
    pub fn from_der(der: &[u8]) -> Result<Self, RsaKeyError> {
        let key =
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| RsaKeyError::Der)?;
        let spki: PublicKeyX509Der<'_> = key.as_der().map_err(|_| RsaKeyError::Der)?;
        let bits = PublicEncryptingKey::from_der(spki.as_ref())
            .map_err(|_| RsaKeyError::Size)?
            .key_size_bits();
        if !BITS.contains(&bits) {
            return Err(RsaKeyError::Size);
        }
        let spki = spki.as_ref().into();
        Ok(Self(Arc::new(Decoded { key, spki, bits })))
    }

    /// How many bits the modulus has.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.bits
    }

    /// The key as SubjectPublicKeyInfo DER.
    #[must_use]
    pub fn as_spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The key as PEM (`PUBLIC KEY`).
    #[must_use]
    pub fn to_pem(&self) -> String {
        spki_to_pem(&self.0.spki)
    }

    /// Whether `signature` is this key's over `message` (RSASSA-PKCS1-v1_5 with SHA-256).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.key.verify_sig(message, signature).is_ok()
    }
}

/// An RSA key that an actor had before: requests to servers that may still go by it are signed with it for a while.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FormerRsa {
    /// Its public half, SubjectPublicKeyInfo DER.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub spki: Vec<u8>,
    /// Until when it is of use, Unix milliseconds, exclusive.
    #[n(1)]
    pub until_ms: i64,
}

impl PartialEq for RsaPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for RsaPublicKey {}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey")
            .field("bits", &self.0.bits)
            .finish_non_exhaustive()
    }
}

/// SubjectPublicKeyInfo DER as PEM text, with a line feed at its end.
#[must_use]
pub fn spki_to_pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a boundary.
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PUBLIC KEY-----\n");
    pem
}

/// The label and the bytes of the one PEM block of a text.
fn read_pem(text: &str) -> Result<(&str, Vec<u8>), RsaKeyError> {
    if text.len() > PEM_BYTES {
        return Err(RsaKeyError::Pem);
    }
    let block = || {
        let inner = text.trim().strip_prefix("-----BEGIN ")?;
        let (label, inner) = inner.split_once("-----")?;
        let body = inner.strip_suffix("-----")?;
        let (body, end) = body.split_once("-----END ")?;
        (end == label).then_some((label, body))
    };
    let (label, body) = block().ok_or(RsaKeyError::Pem)?;
    let digits: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(digits).map_err(|_| RsaKeyError::Pem)?;
    Ok((label, der))
}
