//! `POST /inbox/batch`: several deliveries from another instance in one request.
//!
//! Each activity is judged by itself, as one in the shared inbox is, by its own proof: a signature of the request is
//! none of it. Answered with 200 and an array, in order, of what each would have been answered with alone; a refusal of
//! the whole means that nothing of it was looked at. An address pays for each activity. Design, section 9.3.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use fedsx_core::batch::{self, Answer};
use fedsx_core::limits::WRAPPER_BYTES;
use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_node::InBatch;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use crate::admission::Charge;
use crate::inbox::{head_of, source_of};
use crate::negotiate;
use crate::problem::Problem;
use crate::router::HttpState;

/// `POST /inbox/batch`.
pub(crate) async fn batch(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, Problem> {
    if negotiate::received(request.headers())? != Notation::Json {
        return Err(Problem::new(Code::MediaType, "a batch is JSON"));
    }
    let (parts, body) = request.into_parts();
    let body = state
        .bodies()
        .read(&parts.headers, body, WRAPPER_BYTES)
        .await?;
    let activities = batch::read(&body)?;
    if let Some(charge) = parts.extensions.get::<Charge>() {
        // One was paid for when the request came.
        charge.more(activities.len().saturating_sub(1))?;
    }
    let (source, head) = (source_of(&parts), head_of(parts));
    let judged = state.node().ingest_batch(activities, &head, source).await?;
    let metrics = state.metrics();
    let answers: Vec<Answer> = judged
        .into_iter()
        .map(|InBatch { cid, outcome }| match outcome {
            Ok(_) => Answer {
                cid,
                status: StatusCode::ACCEPTED.as_u16(),
                code: None,
                detail: None,
                retry_after_s: None,
            },
            Err(refusal) => {
                metrics.refused(refusal.code);
                refused(cid, &refusal)
            }
        })
        .collect();
    let mut response = Response::new(Body::from(batch::write_answers(&answers)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

fn refused(cid: Option<fedsx_core::cid::Cid>, refusal: &Refusal) -> Answer {
    Answer {
        cid,
        status: refusal.code.http_status(),
        code: Some(refusal.code_text().into_owned()),
        detail: Some(refusal.detail.clone()),
        retry_after_s: refusal.retry_after_s,
    }
}
