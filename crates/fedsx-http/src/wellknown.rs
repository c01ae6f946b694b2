//! What this instance says of itself: `/`, WebFinger, NodeInfo and its capabilities.
//!
//! The documents are built in `fedsx-discovery`; here are the facts they are built of. WebFinger: RFC
//! 7033, sections 4.2 to 5 (CORS included). NodeInfo: <https://nodeinfo.diaspora.software/protocol>.
//! Capabilities: design, section 9.4. Deliberately absent: WebFinger's `rel` filter, which servers may
//! leave out.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use fedsx_core::backfill::Mode;
use fedsx_core::decide::publish::VERBS;
use fedsx_core::definition::Kind;
use fedsx_core::limits::BATCH_ITEMS;
use fedsx_core::refusal::Code;
use fedsx_core::value::Map;
use fedsx_discovery::nodeinfo::{self, Capabilities, Usage};
use fedsx_discovery::webfinger;
use fedsx_node::Node;
use http::{HeaderMap, Uri};

use crate::actor::{named, no_such_actor};
use crate::answer::{Outgoing, json};
use crate::negotiate::{PLAIN, answered};
use crate::problem::Problem;
use crate::query::Query;
use crate::router::HttpState;

/// The version of the software.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the count of posts is taken for true, milliseconds: it asks after every actor.
const POSTS_KEPT_MS: i64 = 60_000;

/// `GET /`: a summary of the instance.
pub(crate) async fn instance(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, PLAIN)?;
    let read = |node: &Node| {
        let instance = node.instance();
        let base = instance.base_url();
        let mut about: Map = [
            ("url", base.to_owned()),
            ("name", instance.authority().to_owned()),
            ("actor", instance.own_actor_url()),
            ("sharedInbox", instance.shared_inbox()),
            ("nodeinfo", format!("{base}/nodeinfo/2.1")),
            (
                "capabilities",
                format!("{base}/.well-known/sx-capabilities"),
            ),
        ]
        .into();
        about.insert(
            "software",
            Map::from([("name", "fed-sx"), ("version", VERSION)]),
        );
        about.insert("actors", i64::from(node.view().state().actor_count()?));
        Ok(Outgoing::made(about))
    };
    Ok(state.read(read).await?.answer(&headers, media))
}

/// `GET /.well-known/webfinger?resource=…`.
pub(crate) async fn webfinger(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, Problem> {
    let resource = Query::of(&uri)
        .value("resource")?
        .unwrap_or_default()
        .into_owned();
    if resource.is_empty() {
        let detail = "the parameter `resource` says who is looked up, such as acct:alice@host";
        return Err(Problem::new(Code::MissingResource, detail));
    }
    let read = move |node: &Node| {
        if node.itself().is_some() && webfinger::is_itself(node.instance(), &resource) {
            return Ok(webfinger::jrd_of_itself(node.instance()));
        }
        let name = webfinger::name_of_resource(node.instance(), &resource);
        let name = name.ok_or_else(no_such_actor)?;
        named(node, name.as_str())?;
        Ok(webfinger::jrd_for(node.instance(), &name))
    };
    Ok(json(webfinger::MEDIA_TYPE, state.read(read).await?))
}

/// `GET /.well-known/nodeinfo`.
pub(crate) async fn nodeinfo_links(State(state): State<HttpState>) -> Response {
    json("application/json", nodeinfo::links(state.node().instance()))
}

/// `GET /nodeinfo/2.1`.
pub(crate) async fn nodeinfo(State(state): State<HttpState>) -> Result<Response, Problem> {
    let now_ms = state.node().now_ms();
    let posts = match state.posts_at(now_ms) {
        Some(posts) => posts,
        None => {
            let posts = state.read(count_posts).await?;
            state.keep_posts(posts, now_ms + POSTS_KEPT_MS);
            posts
        }
    };
    let actors = |node: &Node| Ok(node.view().state().actor_count()?);
    let actors = state.read(actors).await?;
    let usage = Usage {
        version: VERSION,
        name: state.node().instance().authority(),
        actors: u64::from(actors),
        posts,
    };
    Ok(json(nodeinfo::MEDIA_TYPE, nodeinfo::document(&usage)))
}

fn count_posts(node: &Node) -> Result<u64, Problem> {
    let view = node.view();
    view.actors()?.iter().try_fold(0, |posts, actor| {
        Ok(posts + view.state().outbox_totals(actor.no)?.public)
    })
}

/// `GET /.well-known/sx-capabilities`.
pub(crate) async fn capabilities(
    State(state): State<HttpState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let media = answered(&headers, PLAIN)?;
    let registry = state.node().registry();
    let mut verbs: BTreeMap<String, Option<String>> =
        VERBS.map(|verb| (verb.to_owned(), None)).into();
    for active in registry.active(Some(Kind::Activity)) {
        let name = active.definition.name();
        let meant = registry.resolve(Kind::Activity, name, None);
        let cid = meant.map(|active| active.definition.cid().to_string());
        verbs.insert(name.to_owned(), cid);
    }
    let facts = Capabilities {
        version: VERSION,
        codecs: &["json-jcs"],
        suites: &["eddsa-jcs-2022", "rfc9421", "rsa-sha256-http"],
        verbs: &verbs,
        backfill: &Mode::NAMES,
        batch: Some(BATCH_ITEMS),
    };
    let document = nodeinfo::capabilities(state.node().instance(), &facts);
    Ok(Outgoing::made(document).answer(&headers, media))
}
