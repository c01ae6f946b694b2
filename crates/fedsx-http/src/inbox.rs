//! `POST /actors/{name}/inbox` and `POST /inbox`: deliveries from others.
//!
//! ActivityPub, section 7. Answered with 202 once the activity is durable, and with what became of
//! it: `accepted`, `replay` or `dropped`. Nothing is judged here beyond what is HTTP: the media type
//! and the size. The path each delivery takes, so nothing is copied on it.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_node::{InboxPost, Receipt, RequestParts, Status};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};

use crate::negotiate;
use crate::problem::Problem;
use crate::router::HttpState;
use crate::serve::Remote;

/// `POST /actors/{name}/inbox`.
pub(crate) async fn of_actor(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    deliver(&state, Some(name), request).await
}

/// `POST /inbox`.
pub(crate) async fn shared(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, Problem> {
    deliver(&state, None, request).await
}

async fn deliver(
    state: &HttpState,
    target: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let notation = negotiate::received(request.headers())?;
    let (parts, body) = request.into_parts();
    let body = state
        .bodies()
        .read(&parts.headers, body, DOCUMENT_IN_BYTES)
        .await?;
    let receipt = state
        .node()
        .ingest(InboxPost {
            target,
            notation,
            body,
            source: source_of(&parts),
            head: head_of(parts),
        })
        .await?;
    Ok(accepted(&receipt))
}

/// The address that a request came from.
pub(crate) fn source_of(parts: &Parts) -> IpAddr {
    // Only a request that came over no socket has no address.
    let source = parts.extensions.get::<Remote>().map(|remote| remote.0);
    source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// What of a request its signature may cover.
pub(crate) fn head_of(parts: Parts) -> RequestParts {
    RequestParts {
        method: parts.method,
        path_and_query: parts
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
            .to_owned(),
        headers: parts.headers,
    }
}

fn accepted(receipt: &Receipt) -> Response {
    let status = match receipt.status {
        Status::Accepted => "accepted",
        Status::Replay => "replay",
        Status::Dropped(_) => "dropped",
    };
    let body = format!("{{\"cid\":\"{}\",\"status\":\"{status}\"}}", receipt.cid);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
