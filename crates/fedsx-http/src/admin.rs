//! `/healthz`, `/readyz` and `/metrics`, for the admin listener: plain text for machines that watch.
//!
//! Deliberately absent: a token. What is told here is counts, and the listener is on loopback.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use crate::metrics::{counter, gauge};
use crate::router::HttpState;

type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Gauges = Arc<dyn Fn(&mut String) + Send + Sync>;

/// What the three routes tell of.
#[derive(Clone)]
pub struct AdminState {
    http: HttpState,
    ready: Ready,
    gauges: Gauges,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState").finish_non_exhaustive()
    }
}

impl AdminState {
    /// Of a surface that is always ready.
    #[must_use]
    pub fn new(http: HttpState) -> Self {
        Self {
            http,
            ready: Arc::new(|| Ok(())),
            gauges: Arc::new(|_| {}),
        }
    }

    /// Asks `ready` each time; `Err` says what is not.
    #[must_use]
    pub fn ready_when(
        self,
        ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ready: Arc::new(ready),
            ..self
        }
    }

    /// Lets `gauges` append its own metrics (see [`gauge`] and [`counter`](crate::counter)).
    #[must_use]
    pub fn with_gauges(self, gauges: impl Fn(&mut String) + Send + Sync + 'static) -> Self {
        Self {
            gauges: Arc::new(gauges),
            ..self
        }
    }
}

/// The three routes.
pub fn admin_router(state: AdminState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn readyz(State(state): State<AdminState>) -> Response {
    match (state.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")).into_response(),
    }
}

async fn metrics(State(state): State<AdminState>) -> Response {
    // Counting may read the index, and that the disk.
    let written = tokio::task::spawn_blocking(move || written(&state)).await;
    let Ok(page) = written else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], page).into_response()
}

fn written(state: &AdminState) -> String {
    let mut page = String::with_capacity(8 << 10);
    state.http.metrics().write(&mut page);
    let view = state.http.node().view();
    let help = "The newest visible offset of the journal.";
    gauge(&mut page, "fedsx_journal_offset", help, view.applied());
    match view.state().actor_count() {
        Ok(count) => gauge(&mut page, "fedsx_actors", "Actors of this instance.", count),
        Err(error) => tracing::error!(%error, "the actors can't be counted"),
    }
    let help = "Entries that the projection furthest behind has still to fold.";
    let lag = state.http.node().folds().lag();
    gauge(&mut page, "fedsx_projections_lag", help, lag);
    let triggers = state.http.node().triggers();
    let help = "The offset up to which triggers have met the journal; 0 before there are any.";
    gauge(&mut page, "fedsx_triggers_offset", help, triggers.met());
    let names = [
        (
            "fedsx_triggers_published_total",
            "Activities that triggers made.",
        ),
        (
            "fedsx_triggers_failed_total",
            "Activities at which a trigger failed.",
        ),
        (
            "fedsx_triggers_ended_total",
            "Chains of triggers that ended.",
        ),
    ];
    for ((name, help), count) in names.into_iter().zip(triggers.counts()) {
        counter(&mut page, name, help, count);
    }
    (state.gauges)(&mut page);
    page
}
