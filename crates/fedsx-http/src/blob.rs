//! Uploaded files by their `raw` CID, as they came in. Design, section 11.
//!
//! They are pictures of a few formats, told by their first bytes when they were taken. Invariant: whatever else a
//! browser might find in one, it takes it for nothing but that picture (`nosniff`) and runs nothing of it
//! (`CSP: sandbox`). Deliberately absent: other sizes of them, ranges, and files that not everybody may read.

use axum::body::Body;
use axum::response::Response;
use fedsx_core::cid::Cid;
use fedsx_core::refusal::Code;
use fedsx_store::FoundBlob;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

use crate::answer::unchanged;
use crate::negotiate::is_unchanged;
use crate::problem::Problem;
use crate::router::HttpState;

/// A year: what a CID names never changes, and is asked for again only by who has lost it.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The file of a `raw` CID.
pub(crate) async fn file(
    state: &HttpState,
    cid: Cid,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let found = state
        .read(move |node| Ok(node.view().blob(&cid.digest)?))
        .await?;
    let (media, bytes) = match found {
        Some(FoundBlob::Kept(media, bytes)) => (media, bytes),
        Some(FoundBlob::Erased) => return Err(Problem::new(Code::Gone, "the file was erased")),
        None => return Err(Problem::not_found()),
    };
    let etag = HeaderValue::try_from(format!("\"{cid}\"")).expect("a CID is plain ASCII");
    let is_unchanged = is_unchanged(request, &etag);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, KEPT);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let sandbox = HeaderValue::from_static("sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    if is_unchanged {
        return Ok(unchanged(response));
    }
    let media = HeaderValue::from_static(media.as_str());
    headers.insert(CONTENT_TYPE, media);
    *response.body_mut() = Body::from(bytes);
    Ok(response)
}
