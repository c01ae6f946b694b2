//! What is answered to a peer or a caller whose input is refused: a stable code (design, section 5)
//! and a sentence that is safe to show. Operational errors are no refusals and live elsewhere.

use std::borrow::Cow;
use std::fmt;

/// The stable code of a refusal; its text and HTTP status never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(
    missing_docs,
    reason = "each code is documented by its text in `as_str`"
)]
pub enum Code {
    RateLimited,
    Blocked,
    TooLarge,
    MediaType,
    Malformed,
    Envelope,
    NoSuchActor,
    Gone,
    BadSignature,
    NoActiveKey,
    KeysUnresolved,
    Future,
    Equivocation,
    NotAuthorised,
    Schema,
    ObjectSchema,
    Validator,
    UndefinedVerb,
    QueueFull,
    ReadOnly,
    TokenRequired,
    NotFound,
    NotAcceptable,
    MalformedCid,
    MissingResource,
    MethodNotAllowed,
    Conflict,
    Unresolvable,
    TooFarBack,
    Damaged,
    Inconsistent,
    Internal,
}

impl Code {
    /// Every code, in the order of the pipeline.
    pub const ALL: [Self; 32] = [
        Self::RateLimited,
        Self::Blocked,
        Self::TooLarge,
        Self::MediaType,
        Self::Malformed,
        Self::Envelope,
        Self::NoSuchActor,
        Self::Gone,
        Self::BadSignature,
        Self::NoActiveKey,
        Self::KeysUnresolved,
        Self::Future,
        Self::Equivocation,
        Self::NotAuthorised,
        Self::Schema,
        Self::ObjectSchema,
        Self::Validator,
        Self::UndefinedVerb,
        Self::QueueFull,
        Self::ReadOnly,
        Self::TokenRequired,
        Self::NotFound,
        Self::NotAcceptable,
        Self::MalformedCid,
        Self::MissingResource,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::Unresolvable,
        Self::TooFarBack,
        Self::Damaged,
        Self::Inconsistent,
        Self::Internal,
    ];

    /// The code as it stands in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate-limited",
            Self::Blocked => "blocked",
            Self::TooLarge => "too-large",
            Self::MediaType => "media-type",
            Self::Malformed => "malformed",
            Self::Envelope => "envelope",
            Self::NoSuchActor => "no-such-actor",
            Self::Gone => "gone",
            Self::BadSignature => "bad-signature",
            Self::NoActiveKey => "no-active-key",
            Self::KeysUnresolved => "keys-unresolved",
            Self::Future => "future",
            Self::Equivocation => "equivocation",
            Self::NotAuthorised => "not-authorised",
            Self::Schema => "schema",
            Self::ObjectSchema => "object-schema",
            Self::Validator => "validator",
            Self::UndefinedVerb => "undefined-verb",
            Self::QueueFull => "queue-full",
            Self::ReadOnly => "read-only",
            Self::TokenRequired => "token-required",
            Self::NotFound => "not-found",
            Self::NotAcceptable => "not-acceptable",
            Self::MalformedCid => "malformed-cid",
            Self::MissingResource => "missing-resource",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::Unresolvable => "unresolvable",
            Self::TooFarBack => "too-far-back",
            Self::Damaged => "damaged",
            Self::Inconsistent => "inconsistent",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed | Self::MalformedCid | Self::MissingResource => 400,
            Self::BadSignature | Self::NoActiveKey | Self::TokenRequired => 401,
            Self::Blocked | Self::NotAuthorised => 403,
            Self::NoSuchActor | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::Equivocation | Self::Conflict => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::Envelope
            | Self::Future
            | Self::Schema
            | Self::ObjectSchema
            | Self::Validator
            | Self::UndefinedVerb
            | Self::Unresolvable
            | Self::TooFarBack
            | Self::Damaged
            | Self::Inconsistent => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::KeysUnresolved | Self::QueueFull | Self::ReadOnly => 503,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the peer's or the caller's fault (or our overload), safe to show to it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// One sentence that says what was wrong.
    pub detail: String,
    /// After how many seconds another try makes sense.
    pub retry_after_s: Option<u32>,
    /// The validator that refused, for `validator`.
    pub validator: Option<String>,
}

impl Refusal {
    /// A refusal without `Retry-After`.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after_s: None,
            validator: None,
        }
    }

    /// Whether the same may be taken later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        self.retry_after_s.is_some() || self.code.http_status() >= 500
    }

    /// The refusal of a validator.
    #[must_use]
    pub fn of_validator(name: &str, reason: String) -> Self {
        Self {
            validator: Some(name.to_owned()),
            ..Self::new(Code::Validator, reason)
        }
    }

    /// The code as it stands in an answer, with the validator's name where one refused.
    #[must_use]
    pub fn code_text(&self) -> Cow<'static, str> {
        match &self.validator {
            Some(name) => Cow::Owned(format!("{}:{name}", self.code)),
            None => Cow::Borrowed(self.code.as_str()),
        }
    }

    /// The same refusal, to be tried again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }
}
