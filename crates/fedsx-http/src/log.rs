//! `GET /actors/{name}/log/…`: an actor's verifiable log, as C2SP tlog-tiles lays it out; the cosignatures that it takes;
//! and what this instance kept of others' logs.
//!
//! A checkpoint may be kept for some seconds, a full tile for ever. Nobody is asked who reads: only what is public is
//! in it. Deliberately absent: gzip, since hashes don't get shorter. Design, sections 10 and 11.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::limits::NOTE_BYTES;
use fedsx_core::refusal::Code;
use fedsx_discovery::log::NOTE;
use fedsx_node::LogFile;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode, Uri};

use crate::problem::Problem;
use crate::query::Query;
use crate::router::HttpState;
use crate::serve::Remote;

/// What grows with the next activity.
const SHORT: &str = "public, max-age=5";
/// A partial tile stays what it is, and is asked for only until the next checkpoint.
const PARTIAL: &str = "public, max-age=3600";
/// A full tile, a year.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// `GET /actors/{name}/log/{path}`.
pub(crate) async fn file(
    State(state): State<HttpState>,
    Path((name, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let read = move |node: &fedsx_node::Node| Ok(node.log_file(&name, &path)?);
    let (body, content_type, keeping) = match state.read(read).await? {
        LogFile::Checkpoint(note) => (note.to_string().into_bytes(), NOTE, SHORT),
        LogFile::Tile { bytes, is_full } => {
            let keeping = if is_full { FOR_EVER } else { PARTIAL };
            (bytes, "application/octet-stream", keeping)
        }
    };
    Ok(answer(body, content_type, keeping))
}

/// `POST /actors/{name}/log/{path}`: only cosignatures are taken.
pub(crate) async fn cosign(
    State(state): State<HttpState>,
    Path((name, path)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    if path.rsplit('/').next() != Some("cosignatures") {
        return Err(Problem::not_found());
    }
    let (parts, body) = request.into_parts();
    let body = state
        .bodies()
        .read(&parts.headers, body, NOTE_BYTES)
        .await?;
    // Only a request that came over no socket has no address.
    let source = parts.extensions.get::<Remote>().map(|remote| remote.0);
    let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let taken = state.node().take_cosignature(&name, &body, source);
    taken.await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `GET /witness?actor=URL`: the last checkpoint of that actor's log that went on from the one before, with the
/// cosignature of this instance. That it keeps one is no secret: its cosignature stands on the log.
pub(crate) async fn witnessed(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, Problem> {
    let actor = Query::of(&uri)
        .value("actor")?
        .unwrap_or_default()
        .into_owned();
    if actor.is_empty() {
        let why = "the parameter `actor` says whose log is meant, by its URL";
        return Err(Problem::new(Code::MissingResource, why));
    }
    let read = move |node: &fedsx_node::Node| Ok(node.witnessed(&actor)?);
    let note = state.read(read).await?;
    Ok(answer(note.into_bytes(), NOTE, "no-cache"))
}

fn answer(body: Vec<u8>, content_type: &'static str, keeping: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, keeping),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
