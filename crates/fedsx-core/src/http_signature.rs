//! HTTP signatures: both schemes of peers verified, RFC 9421 with Ed25519 and the older one with RSA made.
//!
//! A signature counts only if it covers what makes a request this one: method, target, our own
//! authority, a time within the skew and the digest of the body. The authority is our own URL's,
//! never what `Host` claims. Deliberately absent: finding the key ([`Presented::key_id`] names it),
//! whether its owner may say what the body says, and responses.
//!
//! Specs: draft-cavage-http-signatures-12, RFC 9421, RFC 9530 and RFC 3230; design, section 9.3.

mod cavage;
mod digest;
mod rfc9421;
mod signed;

pub use cavage::sign_cavage;
pub use rfc9421::{sign_rfc9421, sign_rfc9421_with};
pub use signed::{SignError, SignedHeaders};

use http::HeaderMap;
use http::header::{HOST, HeaderName};

use crate::address::Origin;
use crate::key::{PublicKey, RsaPublicKey};
use crate::limits;
use crate::refusal::{Code, Refusal};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// A `Signature` or `Signature-Input` field, all its lines together, bytes.
const FIELD_BYTES: usize = 8_192;
/// Components or headers one signature may cover.
const COMPONENTS: usize = 32;
/// Signatures of one request looked at.
const LABELS: usize = 4;

/// What of a request signatures cover, its body apart.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, in upper case as received.
    pub method: &'a str,
    /// Our own origin, whatever the `Host` header says.
    pub origin: &'a Origin,
    /// Path and query as received, undecoded: `/inbox?a=b`.
    pub path_and_query: &'a str,
    /// The headers as received.
    pub headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    /// Bodies are bound by their digests, and a request that could have one counts as having one.
    fn needs_digest(&self, body: Option<&[u8]>) -> bool {
        body.is_some_and(|body| !body.is_empty()) || !matches!(self.method, "GET" | "HEAD")
    }

    /// The value of a field: its lines trimmed and joined.
    fn field(&self, name: &str) -> Result<String, SignatureError> {
        let mut lines = self.headers.get_all(name).iter();
        let missing = || SignatureError::MissingHeader(name.to_owned());
        let text = |line: &http::HeaderValue| match line.to_str() {
            Ok(text) => Ok(text.trim_matches([' ', '\t']).to_owned()),
            Err(_) => Err(SignatureError::Malformed("a covered header is not ASCII")),
        };
        let mut value = text(lines.next().ok_or_else(missing)?)?;
        for line in lines {
            value.push_str(", ");
            value.push_str(&text(line)?);
        }
        Ok(value)
    }

    /// A field of a signature itself, within its bound; `None` where it is absent.
    fn signature_field(&self, name: &HeaderName) -> Result<Option<String>, SignatureError> {
        let lines = self.headers.get_all(name).iter();
        let bytes: usize = lines.map(http::HeaderValue::len).sum();
        if bytes > FIELD_BYTES {
            return Err(SignatureError::TooLarge);
        }
        if !self.headers.contains_key(name) {
            return Ok(None);
        }
        self.field(name.as_str()).map(Some)
    }

    /// A covered `Host` must name us: with a default port or in upper case, it still does.
    fn check_host(&self) -> Result<(), SignatureError> {
        let host = self.field(HOST.as_str())?.to_ascii_lowercase();
        let default_port = if self.origin.is_https() {
            ":443"
        } else {
            ":80"
        };
        let authority = host.strip_suffix(default_port).unwrap_or(&host);
        if authority == self.origin.authority() {
            Ok(())
        } else {
            Err(SignatureError::WrongHost)
        }
    }
}

/// Which way of signing a request uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// draft-cavage-http-signatures-12: one `Signature` header.
    Cavage,
    /// RFC 9421: `Signature-Input` and `Signature`.
    Rfc9421,
}

/// A signature algorithm that is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// Ed25519.
    Ed25519,
}

/// A key that verifies HTTP signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpKey {
    /// From an actor's `assertionMethod`.
    Ed25519(PublicKey),
    /// From an actor's `publicKey`.
    Rsa(RsaPublicKey),
}

impl HttpKey {
    /// The algorithm this key is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Rsa(_) => Algorithm::RsaSha256,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => signature
                .try_into()
                .is_ok_and(|signature| key.verifies(message, signature)),
            Self::Rsa(key) => key.verifies(message, signature),
        }
    }
}

/// Why a signature is not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// The headers don't follow the scheme's grammar.
    #[error("the HTTP signature is malformed: {0}")]
    Malformed(&'static str),
    /// A signature header, or its list of components, is past its bound.
    #[error("the HTTP signature is too large")]
    TooLarge,
    /// An algorithm other than RSA with SHA-256 or Ed25519.
    #[error("the HTTP signature's algorithm is not supported")]
    UnsupportedAlgorithm,
    /// A component that is unknown or has parameters.
    #[error("the HTTP signature covers a component that is not supported: {0}")]
    UnsupportedComponent(String),
    /// Something that must be covered is not.
    #[error("the HTTP signature must cover {0}")]
    NotCovered(&'static str),
    /// A covered header is not there.
    #[error("the HTTP signature covers `{0}`, which the request lacks")]
    MissingHeader(String),
    /// The request was made for another host.
    #[error("the signed `Host` is not this one")]
    WrongHost,
    /// The signature's time is missing, unreadable or too far from now.
    #[error("the HTTP signature's time is off by more than an hour")]
    Stale,
    /// It expired, by its own word.
    #[error("the HTTP signature has expired")]
    Expired,
    /// The digest header is malformed or knows neither SHA-256 nor SHA-512.
    #[error("the digest header has no usable SHA-256 or SHA-512 digest")]
    UnusableDigest,
    /// The body is not the one whose digest was signed.
    #[error("the body's digest is another")]
    DigestMismatch,
    /// The key found is of another kind than the algorithm.
    #[error("the key does not fit the HTTP signature's algorithm")]
    KeyMismatch,
    /// The signature is not the key's over this request.
    #[error("the HTTP signature does not verify")]
    Invalid,
}

impl SignatureError {
    /// Whether another key under the same id could change the outcome, so that fetching it afresh
    /// makes sense.
    #[must_use]
    pub fn blames_key(&self) -> bool {
        matches!(self, Self::KeyMismatch | Self::Invalid)
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        Self::new(Code::BadSignature, error.to_string())
    }
}

/// A signature as a request presents it: well-formed and covering enough, not verified yet.
#[derive(Clone, Debug)]
pub struct Presented {
    key_id: String,
    /// `None`: the key decides.
    algorithm: Option<Algorithm>,
    created_s: Option<i64>,
    expires_s: Option<i64>,
    signature: Vec<u8>,
    covered: Covered,
}

#[derive(Clone, Debug)]
enum Covered {
    Cavage(Vec<String>),
    Rfc9421(rfc9421::Components),
}

impl Presented {
    /// The id of the key that is said to have signed.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The scheme used.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.covered {
            Covered::Cavage(_) => Scheme::Cavage,
            Covered::Rfc9421(_) => Scheme::Rfc9421,
        }
    }

    /// The algorithm it names; `None` where that is left to the key.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Whether the header of that name, in lower case, is signed.
    #[must_use]
    pub fn covers(&self, field: &str) -> bool {
        match &self.covered {
            Covered::Cavage(names) => cavage::covers(names, field),
            Covered::Rfc9421(components) => components.covers_field(field),
        }
    }

    /// The text that was signed.
    fn base(&self, head: &RequestHead<'_>) -> Result<String, SignatureError> {
        match &self.covered {
            Covered::Cavage(names) => cavage::base(self, names, head),
            Covered::Rfc9421(components) => components.base(head),
        }
    }

    fn check_coverage(&self, head: &RequestHead<'_>, digest: bool) -> Result<(), SignatureError> {
        match &self.covered {
            Covered::Cavage(names) => cavage::check_coverage(names, digest),
            Covered::Rfc9421(components) => components.check_coverage(self, head, digest),
        }
    }
}

/// The signature of a request: the first, of at most four, that could be accepted. `None` when the
/// request is not signed.
///
/// # Errors
/// The first signature's fault, where none could be accepted.
pub fn present(head: &RequestHead<'_>) -> Result<Option<Presented>, SignatureError> {
    let Some(signature) = head.signature_field(&SIGNATURE)? else {
        return Ok(None);
    };
    let accepted = |presented: Presented| {
        presented.check_coverage(head, head.needs_digest(None))?;
        Ok(presented)
    };
    let Some(input) = head.signature_field(&SIGNATURE_INPUT)? else {
        return cavage::parse(&signature).and_then(accepted).map(Some);
    };
    let mut first_fault = None;
    for candidate in rfc9421::parse(&input, &signature)? {
        match candidate.and_then(accepted) {
            Ok(presented) => return Ok(Some(presented)),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    Err(first_fault.unwrap_or(SignatureError::Malformed("no signature is listed")))
}

/// Everything about a signature that needs no key: what it covers, the host, the times, the body's
/// digest. Worth doing before a key is fetched.
///
/// # Errors
/// What of it does not hold.
pub fn check(
    presented: &Presented,
    head: &RequestHead<'_>,
    body: Option<&[u8]>,
    now_ms: i64,
) -> Result<(), SignatureError> {
    presented.check_coverage(head, head.needs_digest(body))?;
    let names_host = match &presented.covered {
        Covered::Cavage(names) => {
            cavage::check_date(names, head, now_ms)?;
            cavage::covers(names, "host")
        }
        Covered::Rfc9421(components) => components.covers_field("host"),
    };
    if names_host {
        head.check_host()?;
    }
    if let Some(created_s) = presented.created_s {
        check_time(created_s.saturating_mul(1_000), now_ms)?;
    }
    if let Some(expires_s) = presented.expires_s
        && now_ms > expires_s.saturating_mul(1_000)
    {
        return Err(SignatureError::Expired);
    }
    let body = body.unwrap_or_default();
    match &presented.covered {
        Covered::Cavage(names) if cavage::covers(names, "digest") => {
            digest::check_digest(&head.field("digest")?, body)
        }
        Covered::Rfc9421(components) if components.covers_field("content-digest") => {
            digest::check_content_digest(&head.field("content-digest")?, body)
        }
        _ => Ok(()),
    }
}

/// Verifies a presented signature with the key it names, after [`check`].
///
/// # Errors
/// Whatever [`check`] finds, a key of the wrong kind, or a signature that is not the key's.
pub fn verify(
    presented: &Presented,
    head: &RequestHead<'_>,
    body: Option<&[u8]>,
    key: &HttpKey,
    now_ms: i64,
) -> Result<(), SignatureError> {
    check(presented, head, body, now_ms)?;
    if presented
        .algorithm
        .is_some_and(|named| named != key.algorithm())
    {
        return Err(SignatureError::KeyMismatch);
    }
    if key.verifies(presented.base(head)?.as_bytes(), &presented.signature) {
        Ok(())
    } else {
        Err(SignatureError::Invalid)
    }
}

fn check_time(ms: i64, now_ms: i64) -> Result<(), SignatureError> {
    if ms.abs_diff(now_ms) <= limits::CLOCK_SKEW_MS.unsigned_abs() {
        Ok(())
    } else {
        Err(SignatureError::Stale)
    }
}

/// A key id within its bound.
fn key_id(text: &str) -> Result<String, SignatureError> {
    if text.is_empty() {
        return Err(SignatureError::Malformed("the key id is empty"));
    }
    if text.len() > limits::URL_BYTES {
        return Err(SignatureError::TooLarge);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
