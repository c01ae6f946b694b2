//! Every route of the public listener, and what the routes share.
//!
//! Design, section 11. Deliberately absent until their time: pages.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use fedsx_discovery::budget::{AddressBudget, Rate};
use fedsx_node::Node;
use ipnet::IpNet;

use crate::admission::Admission;
use crate::body::BodyReader;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::request_id::RequestIds;
use crate::surface::{Clock, Surface};
use crate::{
    actor, batch, bearer, document, forwarded, inbox, itself, log, outbox, projections, publish,
    synchronization, wellknown,
};

/// What the surface can be told.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long the body of a request may take to arrive.
    pub body_time: Duration,
    /// A number drawn at the start of the process, so that the request ids of two processes differ.
    pub salt: u64,
    /// Whose `X-Forwarded-For` and `Forwarded` are believed. Those that send neither are not limited.
    pub trusted_proxies: Vec<IpNet>,
    /// How often one address may post; `None` is no limit.
    pub posts: Option<Rate>,
    /// How often one address may ask for anything else.
    pub reads: Option<Rate>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            body_time: Duration::from_secs(30),
            salt: 0,
            trusted_proxies: forwarded::loopback(),
            posts: Some(Rate {
                per_minute: 3_000,
                burst: 1_000,
            }),
            reads: Some(Rate {
                per_minute: 6_000,
                burst: 2_000,
            }),
        }
    }
}

/// What the routes share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    node: Node,
    metrics: Arc<Metrics>,
    bodies: BodyReader,
    options: HttpOptions,
    /// How many posts there are, and until when that is taken for true, Unix milliseconds.
    posts: Mutex<Option<(u64, i64)>>,
    wrong_tokens: AddressBudget,
}

impl HttpState {
    /// The surface of a node.
    #[must_use]
    pub fn new(node: Node, options: &HttpOptions) -> Self {
        let metrics = Arc::default();
        Self(Arc::new(Shared {
            node,
            metrics,
            bodies: BodyReader::new(options.body_time),
            options: options.clone(),
            posts: Mutex::default(),
            wrong_tokens: AddressBudget::new(bearer::FAILURES),
        }))
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.0.metrics)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }

    pub(crate) fn bodies(&self) -> &BodyReader {
        &self.0.bodies
    }

    /// An address showed a token that is none; when it did so too often, after how many seconds it may again.
    pub(crate) fn wrong_token(&self, source: IpAddr) -> Result<(), u32> {
        self.0.wrong_tokens.spend(source, self.0.node.now_ms())
    }

    /// The number of posts, if it was counted lately.
    pub(crate) fn posts_at(&self, now_ms: i64) -> Option<u64> {
        let kept = *self.0.posts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.filter(|(_, until_ms)| now_ms < *until_ms)
            .map(|(posts, _)| posts)
    }

    /// Keeps the number of posts.
    pub(crate) fn keep_posts(&self, posts: u64, until_ms: i64) {
        *self.0.posts.lock().unwrap_or_else(PoisonError::into_inner) = Some((posts, until_ms));
    }

    /// Reads the store on a thread where waiting for the disk holds up nobody.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let node = self.0.node.clone();
        let span = tracing::Span::current();
        let work = move || span.in_scope(|| work(&node));
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

/// The routes of the public listener.
pub fn router(state: HttpState) -> Router {
    let node = state.node().clone();
    let clock: Clock = Arc::new(move || node.now_ms());
    let options = &state.0.options;
    let admission = Admission::new(
        options.trusted_proxies.clone(),
        options.posts,
        options.reads,
        Arc::clone(&clock),
    );
    let surface = Surface {
        ids: Arc::new(RequestIds::new(options.salt)),
        clock,
        metrics: state.metrics(),
    };
    Router::new()
        .route("/", get(wellknown::instance))
        .route("/.well-known/webfinger", get(wellknown::webfinger))
        .route("/.well-known/nodeinfo", get(wellknown::nodeinfo_links))
        .route("/nodeinfo/2.1", get(wellknown::nodeinfo))
        .route("/.well-known/sx-capabilities", get(wellknown::capabilities))
        .route("/inbox", post(inbox::shared))
        .route("/inbox/batch", post(batch::batch))
        .route("/activity", post(publish::activity))
        .route("/actor", get(itself::document))
        .route("/actor/inbox", post(itself::inbox))
        .route("/actor/outbox", get(itself::outbox))
        .route("/actors/{name}", get(actor::document))
        .route(
            "/actors/{name}/inbox",
            post(inbox::of_actor).get(outbox::own_inbox),
        )
        .route(
            "/actors/{name}/outbox",
            get(outbox::outbox).post(publish::to_outbox),
        )
        .route("/actors/{name}/followers", get(actor::followers))
        .route("/actors/{name}/following", get(actor::following))
        .route(
            "/actors/{name}/followers_synchronization",
            get(synchronization::followers),
        )
        .route("/actors/{name}/controllers", get(actor::controllers))
        .route("/actors/{name}/activities/{id}", get(document::activity))
        .route("/actors/{name}/objects/{id}", get(document::object))
        .route(
            "/actors/{name}/log/{*path}",
            get(log::file).post(log::cosign),
        )
        .route("/witness", get(log::witnessed))
        .route("/artifacts/{cid}", get(document::artifact))
        .route("/types/{cid}", get(document::host_type))
        .route("/projections", get(projections::list))
        .route("/projections/{name}", get(projections::one))
        .with_state(state)
        .layer(admission)
        .layer(surface)
}
