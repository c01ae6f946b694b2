//! The files of peers' verifiable logs, which are no documents: checked by hashes and signatures, whatever they are
//! served as.

use bytes::Bytes;
use fedsx_core::limits;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::client::{BodyLimit, Request};
use crate::document::FetchError;
use crate::pool::{Fetcher, Purpose};

/// The media type of signed notes.
pub const NOTE: &str = "text/plain; charset=utf-8";

/// Where an instance tells what it kept of the log of an actor.
#[must_use]
pub fn witness_url(base_url: &str, actor: &str) -> String {
    let actor = utf8_percent_encode(actor, NON_ALPHANUMERIC);
    format!("{base_url}/witness?actor={actor}")
}

impl Fetcher {
    /// The bytes at a URL of a log, asked for with a signature.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn log_file(
        &self,
        url: &str,
        max_bytes: usize,
        purpose: Purpose,
    ) -> Result<Bytes, FetchError> {
        let request = Request::get(url, "*/*", BodyLimit::Refuse(max_bytes));
        let response = self.send(self.signed(request), purpose).await?;
        match response.status {
            status if status.is_success() => Ok(response.body),
            StatusCode::NOT_FOUND => Err(FetchError::NotFound),
            StatusCode::GONE => Err(FetchError::Gone { tombstone: None }),
            status => Err(FetchError::Status {
                status,
                retry_after_s: response.retry_after_s(self.now_ms()),
            }),
        }
    }

    /// Sends a signed note to a URL of a log.
    ///
    /// # Errors
    /// [`FetchError`], where it was not taken.
    pub async fn send_note(&self, url: &str, note: String) -> Result<(), FetchError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(NOTE))]);
        let limit = BodyLimit::Cut(limits::NOTE_BYTES);
        let request = Request::post(url, headers, Bytes::from(note), limit);
        let response = self.send(self.signed(request), Purpose::Own).await?;
        match response.status {
            status if status.is_success() => Ok(()),
            status => Err(FetchError::Status {
                status,
                retry_after_s: response.retry_after_s(self.now_ms()),
            }),
        }
    }
}
