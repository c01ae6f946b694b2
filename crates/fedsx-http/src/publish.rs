//! `POST /actors/{name}/outbox` and `POST /activity`: an actor's own client publishes.
//!
//! ActivityPub, section 6; design, sections 5 and 11. The body is an activity, or an object that is wrapped
//! in `Create`, in any notation. Answered with 201, `Location`, and `{"id","cid","seq","offset"}`, once it
//! is durable. `Idempotency-Key` makes a second try safe. What is published is judged in the node, like
//! all that is. Deliberately absent: uploads.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use fedsx_core::limits::DOCUMENT_OUT_BYTES;
use fedsx_core::notation::read_document;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_node::{PublishOptions, Published, Scope};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::problem::Problem;
use crate::router::HttpState;
use crate::{bearer, negotiate};

/// `POST /actors/{name}/outbox`.
pub(crate) async fn to_outbox(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    publish(&state, Some(&name), request).await
}

/// `POST /activity`: as the actor whose token it is.
pub(crate) async fn activity(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, Problem> {
    publish(&state, None, request).await
}

async fn publish(
    state: &HttpState,
    name: Option<&str>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // Who may not publish is not read.
    let actor = bearer::actor(state, &parts, Scope::Publish, name).await?;
    let notation = negotiate::received(&parts.headers)?;
    let options = PublishOptions {
        idempotency_key: idempotency_key(&parts.headers)?,
    };
    let body = state
        .bodies()
        .read(&parts.headers, body, DOCUMENT_OUT_BYTES)
        .await?;
    let document = read_document(notation, &body, DOCUMENT_OUT_BYTES).map_err(Refusal::from)?;
    let published = state.node().publish(&actor.name, document, options).await?;
    created(&published)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() => Ok(Some(key.to_owned())),
        _ => {
            let why = "an idempotency key is plain text";
            Err(Refusal::new(Code::Malformed, why))
        }
    }
}

fn created(published: &Published) -> Result<Response, Problem> {
    // A URL of ours is plain text, and so is a CID: nothing of it needs an escape.
    let body = format!(
        "{{\"id\":\"{}\",\"cid\":\"{}\",\"seq\":{},\"offset\":{}}}",
        published.id, published.cid, published.seq, published.offset
    );
    let location = HeaderValue::try_from(&published.id).map_err(|e| Problem::internal(&e))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
