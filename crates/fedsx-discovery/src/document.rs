//! Documents fetched from where their `id` says they are.
//!
//! Invariant: a fetched document came with an ActivityStreams media type from the very URL that is its
//! `id`, so its origin vouches for it. Deliberately absent: proofs, and contexts, which are never fetched.
//! Source: design section 9.4; FEP-fe34.

use std::sync::Arc;

use bytes::Bytes;
use fedsx_core::address::{Origin, http_url};
use fedsx_core::limits;
use fedsx_core::notation::{self, Notation, NotationError};
use fedsx_core::value::{Map, Value};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::client::{BodyLimit, Request, Response, SignRequests, TransportError};
use crate::pool::{Fetcher, Purpose};

/// What a document is asked for as.
pub const ACCEPT: &str = "application/activity+json, application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";

/// A document and where it came from.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The document.
    pub document: Map,
    /// Its bytes as received.
    pub bytes: Bytes,
    /// How they are written.
    pub notation: Notation,
    /// The URL that answered, which is the document's `id` unless it was asked for by CID.
    pub final_url: String,
}

/// Why there is no document.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum FetchError {
    /// No whole answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is nothing (404).
    #[error("there is no document at that URL")]
    NotFound,
    /// It was deleted (410).
    #[error("the document was deleted")]
    Gone {
        /// The document that took its place, when there is one and it names that URL as its `id`.
        tombstone: Option<Map>,
    },
    /// Any other answer that is none.
    #[error("answered with status {status}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// What the answer's `Retry-After` says.
        retry_after_s: Option<u32>,
    },
    /// No ActivityStreams media type.
    #[error("the media type `{0}` is none of ActivityStreams")]
    MediaType(String),
    /// Not in its notation, or outside the profile.
    #[error("the document can't be read: {0}")]
    Malformed(#[from] NotationError),
    /// No `id`, or one that the document doesn't come from.
    #[error("the document's id is not the URL it comes from")]
    Id,
}

impl FetchError {
    /// Whether a later try may go otherwise.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(error) => {
                let busy = matches!(error, TransportError::Busy { .. });
                busy || (error.is_host_failure() && !error.is_forbidden())
            }
            Self::Status { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 401 | 403 | 408 | 425 | 429)
            }
            Self::NotFound
            | Self::Gone { .. }
            | Self::MediaType(_)
            | Self::Malformed(_)
            | Self::Id => false,
        }
    }
}

impl Fetcher {
    /// Fetches one document.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn document(&self, url: &str, purpose: Purpose) -> Result<Fetched, FetchError> {
        self.fetch(url, purpose, limits::DOCUMENT_IN_BYTES).await
    }

    /// Fetches a page of a collection, which may be as large as a wrapper.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn page(&self, url: &str, purpose: Purpose) -> Result<Fetched, FetchError> {
        self.fetch(url, purpose, limits::WRAPPER_BYTES).await
    }

    /// Fetches what a host serves by CID: who asks compares that, whatever the document's `id` is.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn artifact(
        &self,
        url: &str,
        purpose: Purpose,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        self.fetch_once(url, purpose, max_bytes).await
    }

    /// Fetches a page that is served to one reader, who signs. Whose the page is, who asks knows by its URL.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn signed_page(
        &self,
        url: &str,
        reader: Arc<dyn SignRequests>,
        purpose: Purpose,
    ) -> Result<Fetched, FetchError> {
        let max_bytes = limits::WRAPPER_BYTES;
        let request = Request::get(url, ACCEPT, BodyLimit::Refuse(max_bytes));
        self.answer(request.signed_by(reader), purpose, max_bytes)
            .await
    }

    /// Fetches what an instance of this kind says of itself.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn capabilities(&self, of: &Origin, purpose: Purpose) -> Result<Map, FetchError> {
        let url = format!("{of}/.well-known/sx-capabilities");
        let max_bytes = limits::CAPABILITIES_BYTES;
        let request = Request::get(url, "application/json", BodyLimit::Refuse(max_bytes));
        let response = self.send(request, purpose).await?;
        match response.status {
            status if status.is_success() => {
                let body = &response.body;
                Ok(notation::read_document(Notation::Json, body, max_bytes)?)
            }
            StatusCode::NOT_FOUND => Err(FetchError::NotFound),
            status => Err(FetchError::Status {
                status,
                retry_after_s: response.retry_after_s(self.now_ms()),
            }),
        }
    }

    async fn fetch(
        &self,
        url: &str,
        purpose: Purpose,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        let first = self.fetch_once(url, purpose, max_bytes).await?;
        let id = id_of(&first.document)?;
        if is_same_url(id, &first.final_url) {
            return Ok(first);
        }
        let second = self.fetch_once(id, purpose, max_bytes).await?;
        if is_same_url(id_of(&second.document)?, &second.final_url) {
            Ok(second)
        } else {
            Err(FetchError::Id)
        }
    }

    async fn fetch_once(
        &self,
        url: &str,
        purpose: Purpose,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        let request = Request::get(url, ACCEPT, BodyLimit::Refuse(max_bytes));
        self.answer(self.signed(request), purpose, max_bytes).await
    }

    async fn answer(
        &self,
        request: Request,
        purpose: Purpose,
        max_bytes: usize,
    ) -> Result<Fetched, FetchError> {
        let response = self.send(request, purpose).await?;
        match response.status {
            status if status.is_success() => read(response, max_bytes),
            StatusCode::NOT_FOUND => Err(FetchError::NotFound),
            StatusCode::GONE => Err(FetchError::Gone {
                tombstone: read(response, max_bytes).ok().and_then(vouched_for),
            }),
            status => Err(FetchError::Status {
                status,
                retry_after_s: response.retry_after_s(self.now_ms()),
            }),
        }
    }
}

fn read(response: Response, max_bytes: usize) -> Result<Fetched, FetchError> {
    let media_type = response.headers.get(CONTENT_TYPE);
    let media_type = media_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let notation = Notation::of_content_type(media_type)
        .filter(|_| notation::is_activity_streams(media_type))
        .ok_or_else(|| FetchError::MediaType(media_type.chars().take(100).collect()))?;
    Ok(Fetched {
        document: notation::read_document(notation, &response.body, max_bytes)?,
        bytes: response.body,
        notation,
        final_url: response.final_url,
    })
}

fn vouched_for(fetched: Fetched) -> Option<Map> {
    let vouched = is_same_url(id_of(&fetched.document).ok()?, &fetched.final_url);
    vouched.then_some(fetched.document)
}

fn id_of(document: &Map) -> Result<&str, FetchError> {
    let id = document.get("id").and_then(Value::as_str);
    id.ok_or(FetchError::Id)
}

/// Whether both are one URL, however its host or default port is spelt.
fn is_same_url(a: &str, b: &str) -> bool {
    a == b || http_url(a).is_some_and(|a| http_url(b).is_some_and(|b| a == b))
}

#[cfg(test)]
mod tests;
