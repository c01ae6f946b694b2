//! What surrounds every route: the request's id, its span in the log, the last resort for a panic,
//! problem details and counters. One layer with one allocation, because each inbox delivery passes
//! through it.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use fedsx_core::refusal::Code;
use futures_util::FutureExt as _;
use http::Method;
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::metrics::Metrics;
use crate::problem::{Problem, refusal_of, rendered};
use crate::request_id::{HEADER, RequestIds};

/// The time in Unix milliseconds, from outside.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Surrounds a route.
#[derive(Clone)]
pub(crate) struct Surface {
    /// Gives out request ids.
    pub(crate) ids: Arc<RequestIds>,
    /// The time that goes into them.
    pub(crate) clock: Clock,
    /// Counts answers.
    pub(crate) metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Surface {
    type Service = Surfaced<S>;

    fn layer(&self, inner: S) -> Surfaced<S> {
        Surfaced {
            inner,
            surface: self.clone(),
        }
    }
}

/// A route, surrounded.
#[derive(Clone)]
pub(crate) struct Surfaced<S> {
    inner: S,
    surface: Surface,
}

impl<S> Service<Request> for Surfaced<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let began = Instant::now();
        let id = self.surface.ids.next((self.surface.clock)());
        let span = tracing::info_span!(
            "request",
            %id,
            method = %request.method(),
            path = %request.uri().path()
        );
        let is_head = request.method() == Method::HEAD;
        let metrics = Arc::clone(&self.surface.metrics);
        let answer = AssertUnwindSafe(span.in_scope(|| self.inner.call(request))).catch_unwind();
        let finished = async move {
            let mut response = match answer.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The hook has printed where it happened; the span says for which request.
                Err(_) => Problem::internal(&"a handler panicked").into_response(),
            };
            if let Some(refusal) = refusal_of(&mut response) {
                metrics.refused(refusal.code);
                if refusal.code != Code::Internal {
                    tracing::debug!(%refusal, "refused");
                }
                response = rendered(response, &refusal, id, is_head);
            }
            response.headers_mut().insert(HEADER, id.header());
            let took = began.elapsed();
            metrics.answered(response.status(), took);
            tracing::debug!(
                status = response.status().as_u16(),
                took_us = took.as_micros(),
                "answered"
            );
            Ok(response)
        };
        Box::pin(finished.instrument(span))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use fedsx_core::refusal::Refusal;
    use tower::ServiceExt as _;

    use super::*;

    async fn sum() -> Result<&'static str, Problem> {
        Err(Refusal::new(Code::QueueFull, "too much at once")
            .retry_after(3)
            .into())
    }

    async fn panics() -> &'static str {
        panic!("a bug")
    }

    /// The answers to a list of requests, as they go over the wire.
    async fn shown(requests: &[(&str, &str)]) -> String {
        let surface = Surface {
            ids: Arc::new(RequestIds::new(7)),
            clock: Arc::new(|| 1_700_000_000_000),
            metrics: Arc::default(),
        };
        let router = Router::new()
            .route("/good", get(|| async { "good" }))
            .route("/busy", get(sum))
            .route("/panics", get(panics))
            .layer(surface);
        let mut page = String::new();
        for (method, path) in requests {
            let request = Request::builder()
                .method(*method)
                .uri(*path)
                // Taken from nobody.
                .header(HEADER, "mine")
                .body(Body::empty())
                .expect("a request");
            let response = router.clone().oneshot(request).await.expect("infallible");
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, 1 << 20).await.expect("a body in memory");
            page.push_str(&format!("{method} {path}: {}\n", parts.status));
            let mut lines: Vec<_> = parts
                .headers
                .iter()
                .map(|(name, value)| format!("  {name}: {}\n", value.to_str().expect("text")))
                .collect();
            lines.sort();
            page.extend(lines);
            page.push_str(&format!("  {}\n", String::from_utf8_lossy(&body)));
        }
        page
    }

    #[tokio::test]
    async fn every_answer_has_its_id_and_every_refusal_its_details() {
        let requests = [
            ("GET", "/good"),
            ("HEAD", "/good"),
            ("GET", "/busy"),
            ("HEAD", "/busy"),
            ("GET", "/nowhere"),
            ("POST", "/good"),
            ("GET", "/panics"),
        ];
        insta::assert_snapshot!(shown(&requests).await);
    }
}
