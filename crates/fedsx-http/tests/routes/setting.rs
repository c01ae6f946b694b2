//! Instances over temporary directories, the network between them, and how an answer is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use fedsx_core::actor::ActorKind;
use fedsx_core::address::Instance;
use fedsx_core::http_signature::Scheme;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{self, Transport, TransportError};
use fedsx_discovery::clock::Clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_http::{AdminState, HttpOptions, HttpState, admin_router, router};
use fedsx_node::{HostPolicy, NewActor, Node, Parts, PublishOptions, Published};
use fedsx_store::engine::EngineKind;
use fedsx_store::{Store, StoreOptions};
use futures_util::future::{BoxFuture, FutureExt as _};
use http::{Request, Uri};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// 2026-01-01T00:00:00Z.
const NOW_MS: i64 = 1_767_225_600_000;

/// Instances by their authority.
#[derive(Clone, Default, Debug)]
pub(crate) struct Network(Arc<Mutex<BTreeMap<String, Router>>>);

impl Transport for Network {
    fn send(
        &self,
        request: client::Request,
    ) -> BoxFuture<'_, Result<client::Response, TransportError>> {
        let uri: Uri = request.url.parse().expect("a URL");
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let router = self
            .0
            .lock()
            .expect("nobody panicked")
            .get(&authority)
            .cloned();
        async move {
            let Some(router) = router else {
                return Err(TransportError::Connect(authority));
            };
            let headers = request.headers_for(&request.url, Scheme::Rfc9421);
            let headers = headers.expect("signed");
            let mut asked = Request::new(Body::from(request.body));
            *asked.method_mut() = request.method;
            *asked.uri_mut() = uri;
            *asked.headers_mut() = headers;
            let (parts, body) = router
                .oneshot(asked)
                .await
                .expect("infallible")
                .into_parts();
            Ok(client::Response {
                status: parts.status,
                headers: parts.headers,
                body: to_bytes(body, 1 << 23).await.expect("a body in memory"),
                final_url: request.url,
            })
        }
        .boxed()
    }
}

/// An instance.
pub(crate) struct Here {
    pub(crate) node: Node,
    pub(crate) router: Router,
    pub(crate) admin: Router,
    _store: Store,
    _dir: TempDir,
}

impl Here {
    /// The instance `https://{authority}` in that network.
    pub(crate) fn new(authority: &str, network: &Network) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let base_url = format!("https://{authority}");
        let options = StoreOptions {
            engine: EngineKind::Memory,
            segment_bytes: 1 << 20,
            flush_every: Duration::from_secs(1),
            base_url: base_url.clone(),
            secret: Some(vec![7; 32]),
        };
        let (store, _) = Store::open(dir.path(), &options).expect("a new store");
        let clock: Clock = Arc::new(|| NOW_MS);
        let transport: Arc<dyn Transport> = Arc::new(network.clone());
        let fetcher = Fetcher::new(transport, PoolOptions::default(), Arc::clone(&clock));
        let fetcher = Arc::new(fetcher);
        let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
        let webfinger = WebFinger::new(Arc::clone(&fetcher), peers.clone(), false);
        let instance = Instance::new(&base_url).expect("a base URL");
        let parts = Parts {
            instance,
            store: &store,
            fetcher,
            peers,
            webfinger,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        };
        let node = Node::new(parts, clock);
        let state = HttpState::new(node.clone(), &HttpOptions::default());
        let admin = admin_router(AdminState::new(state.clone()));
        let router = router(state);
        let mut routers = network.0.lock().expect("nobody panicked");
        routers.insert(authority.to_owned(), router.clone());
        Self {
            node,
            router,
            admin,
            _store: store,
            _dir: dir,
        }
    }

    /// Makes an actor.
    pub(crate) async fn actor(&self, name: &str) {
        let new = NewActor {
            name: name.to_owned(),
            kind: ActorKind::Person,
            display_name: None,
            summary: None,
            manual_approval: false,
        };
        self.node.create_actor(new).await.expect("a new actor");
    }

    /// Publishes a note to those recipients; to everybody when there are none.
    pub(crate) async fn note(&self, name: &str, text: &str, to: &[&str]) -> Published {
        let mut note = Map::from([("type", "Note"), ("content", text)]);
        if !to.is_empty() {
            note.insert("to", Value::from(to.to_vec()));
        }
        let published = self
            .node
            .publish(name, note, PublishOptions::default())
            .await;
        published.expect("a note")
    }

    /// The bytes of an activity published here.
    pub(crate) fn bytes(&self, published: &Published) -> Bytes {
        let stored = self
            .node
            .view()
            .activity_by_id(&published.id)
            .expect("the store reads");
        stored.expect("it was published").document
    }

    /// The value of an activity published here.
    pub(crate) fn document(&self, published: &Published) -> Map {
        let stored = self
            .node
            .view()
            .activity_by_id(&published.id)
            .expect("the store reads");
        stored
            .expect("it was published")
            .map()
            .expect("it is a document")
    }

    /// A GET without a body.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, Bytes::new()).await
    }

    /// A POST of ActivityStreams JSON.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("content-type", "application/activity+json")];
        self.ask("POST", path, &headers, body.into()).await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        answer_of(&self.router, method, path, headers, body).await
    }
}

/// Asks a router.
pub(crate) async fn answer_of(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let (parts, body) = router
        .clone()
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let asked = headers.iter().filter(|(name, _)| *name != "content-type");
    let asked: Vec<_> = asked
        .map(|(name, value)| format!(" [{name}: {value}]"))
        .collect();
    Answer {
        asked: format!("{method} {path}{}", asked.concat()),
        status: parts.status.as_u16(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    value.to_str().expect("text").to_owned(),
                )
            })
            .collect(),
        body: to_bytes(body, 1 << 23).await.expect("a body in memory"),
    }
}

/// An answer, and what it answers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    asked: String,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Says what was sent.
    pub(crate) fn name(&mut self, what: &str) {
        write!(self.asked, " ({what})").expect("a string");
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> Option<String> {
        self.map()
            .get("code")
            .and_then(Value::as_str)
            .map(str::to_owned)
    }

    /// The body as an object; an empty one when it is none.
    pub(crate) fn map(&self) -> Map {
        use fedsx_core::notation::{Notation, read_document};
        read_document(Notation::Json, &self.body, self.body.len()).unwrap_or_default()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A page of answers. What is random is named by its kind and the order of appearance.
pub(crate) fn page(answers: &[Answer]) -> String {
    let mut page = String::new();
    for answer in answers {
        writeln!(page, "{}\n{}", answer.asked, answer.status).expect("a string");
        for (name, value) in &answer.headers {
            match name.as_str() {
                // Signatures have more than one length in base58.
                "content-length" => writeln!(page, "  {name}: N").expect("a string"),
                "x-request-id" => {}
                _ => writeln!(page, "  {name}: {value}").expect("a string"),
            }
        }
        let is_text = std::str::from_utf8(&answer.body).is_ok();
        let body = if is_text {
            answer.text()
        } else {
            "(bytes)".to_owned()
        };
        writeln!(page, "  {body}\n").expect("a string");
    }
    // First what is long and random: a part of it may look like a name.
    named(&without_pem(&without_contexts(&page)))
}

/// The contexts are long and are tested where they are made.
fn without_contexts(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    let begin = |text: &str| {
        let begins = ["\"@context\":[", ":@context ["];
        begins
            .iter()
            .filter_map(|begin| Some(text.find(begin)? + begin.len()))
            .min()
    };
    while let Some(at) = begin(rest) {
        let (before, behind) = rest.split_at(at);
        let mut depth = 1;
        let end = behind.find(|c: char| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        out.push_str(before);
        out.push('…');
        rest = &behind[end.expect("an array ends")..];
    }
    out + rest
}

fn named(page: &str) -> String {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        let kind = if word.starts_with("baga6yaqse") && word.len() > 50 {
            "CID"
        } else if word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4 {
            "UUID"
        } else if word.starts_with('z') && word.len() > 40 {
            "BASE58"
        } else {
            out.push_str(word);
            continue;
        };
        let name = names.entry(word.to_owned()).or_insert_with(|| {
            let count = counts.entry(kind).or_default();
            *count += 1;
            format!("{kind}-{count}")
        });
        out.push_str(name);
    }
    out + rest
}

fn without_pem(page: &str) -> String {
    let (begin, end) = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----");
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once(begin) {
        let (_, after) = behind.split_once(end).unwrap_or(("", ""));
        out.push_str(before);
        out.push_str("PEM");
        rest = after;
    }
    out + rest
}
