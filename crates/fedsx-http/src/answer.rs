//! A document on its way out: its notation, its entity tag and how long it may be kept.
//!
//! Design, section 11. Invariants: bytes that were received go out as they were received wherever
//! the notation asked for is theirs, so that a proof stays checkable by anybody; and `signature`
//! never goes out. The entity tag is `"CID.notation"`, for documents made here as well.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};
use fedsx_store::Stored;
use futures_util::stream;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::negotiate::{Media, is_unchanged};
use crate::problem::{Problem, SaysItself};

/// How long others may keep an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keeping {
    /// Asked again each time, by its entity tag: what changes has to be seen at once.
    Revalidated,
    /// Not at all: it is for one reader.
    Never,
    /// An hour: what is named by its content can only be erased.
    Hour,
}

impl Keeping {
    const fn cache_control(self) -> &'static str {
        match self {
            Self::Revalidated => "no-cache",
            Self::Never => "no-store",
            Self::Hour => "public, max-age=3600",
        }
    }
}

/// A document to be answered.
#[derive(Debug)]
pub(crate) struct Outgoing {
    map: Map,
    digest: Digest,
    /// The bytes as received, where they may go out.
    received: Option<(Notation, Bytes)>,
    keeping: Keeping,
    /// What the answer depends on.
    vary: &'static str,
    /// Whether it is what is left of something: 410, not 200.
    is_gone: bool,
}

/// On who asks, for what not everybody may read.
const BY_READER: &str = "Accept, Signature, Signature-Input, Authorization";

impl Outgoing {
    /// A document made for this answer, the same for every reader.
    pub(crate) fn made(map: Map) -> Self {
        let digest = Digest::of(&document_bytes(&map));
        Self {
            map,
            digest,
            received: None,
            keeping: Keeping::Revalidated,
            vary: "Accept",
            is_gone: false,
        }
    }

    /// The Tombstone of something that was deleted.
    pub(crate) fn gone(tombstone: Map) -> Self {
        Self {
            is_gone: true,
            vary: BY_READER,
            ..Self::made(tombstone)
        }
    }

    /// A document named by its content, the part of a kept one that its CID covers.
    pub(crate) fn named(map: Map) -> Self {
        Self {
            keeping: Keeping::Hour,
            vary: BY_READER,
            ..Self::made(map)
        }
    }

    /// A kept document, or what is left of it.
    pub(crate) fn kept(stored: Stored, keeping: Keeping) -> Result<Self, Problem> {
        let mut map = stored.map()?;
        if stored.erased {
            return Ok(Self::gone(map));
        }
        let (digest, received) = match (map.remove("signature"), stored.activity()) {
            (None, Some(activity)) => (activity.digest, Some((stored.notation, stored.document))),
            _ => (Digest::of(&document_bytes(&map)), None),
        };
        Ok(Self {
            map,
            digest,
            received,
            keeping,
            vary: BY_READER,
            is_gone: false,
        })
    }

    /// The same, for one reader alone.
    pub(crate) fn for_one(self) -> Self {
        Self {
            keeping: Keeping::Never,
            ..self.by_reader()
        }
    }

    /// The same, where another reader might be answered otherwise.
    pub(crate) fn by_reader(self) -> Self {
        Self {
            vary: BY_READER,
            ..self
        }
    }

    /// The answer to a request with these headers: 200, or 304 when the reader has it already; 410 with a
    /// Tombstone.
    pub(crate) fn answer(self, request: &HeaderMap, media: Media) -> Response {
        let notation = media.notation();
        let etag = format!("\"{}.{notation}\"", Cid::of_document(self.digest));
        let etag = HeaderValue::try_from(etag).expect("a CID and a word are plain ASCII");
        let is_unchanged = !self.is_gone && is_unchanged(request, &etag);
        let mut response = Response::new(Body::empty());
        if self.is_gone {
            *response.status_mut() = StatusCode::GONE;
            response.extensions_mut().insert(SaysItself);
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, etag);
        headers.insert(VARY, HeaderValue::from_static(self.vary));
        let keeping = HeaderValue::from_static(self.keeping.cache_control());
        headers.insert(CACHE_CONTROL, keeping);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if is_unchanged {
            return unchanged(response);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        *response.body_mut() = match self.received {
            Some((received, bytes)) if received == notation => Body::from(bytes),
            _ => Body::from(notation::write(notation, &Value::Map(self.map))),
        };
        response
    }
}

/// Says that the reader has it already.
pub(crate) fn unchanged(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    // Of no known size: a length here would be taken for that of the document (RFC 9110, section 8.6).
    *response.body_mut() = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    response
}

/// A JSON answer of a fixed media type that is no document of ours.
pub(crate) fn json(content_type: &'static str, map: Map) -> Response {
    let body = notation::write(Notation::Json, &Value::Map(map));
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
