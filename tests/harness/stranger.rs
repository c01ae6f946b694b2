//! A peer that is no instance of ours: actors whose keys the test holds, served by the test itself,
//! so that it can sign whatever it wants.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use fedsx_core::actor::{ActorKind, LocalActor, PeerActor, ed25519_key_id};
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::context;
use fedsx_core::http_signature::{
    HttpKey, RequestHead, Scheme, SignedHeaders, present, sign_rfc9421, verify,
};
use fedsx_core::key::{Commitment, Ed25519Signer, KeyRecord, RecoveryKey, Signer as _};
use fedsx_core::notation::{Notation, read_document, write};
use fedsx_core::proof;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use tokio::task::JoinSet;

use super::web::{AS2, Web};

/// When every actor came to be: 2026-01-01, Unix milliseconds.
const PUBLISHED_MS: i64 = 1_767_225_600_000;

/// A host with actors. It is gone when dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    instance: Instance,
    signers: BTreeMap<String, Ed25519Signer>,
    host: Arc<Mutex<Host>>,
    _served: JoinSet<()>,
}

/// What the host serves, and what came to it.
#[derive(Debug, Default)]
struct Host {
    documents: BTreeMap<String, Vec<u8>>,
    /// What deliveries are answered with: 202 unless told otherwise.
    answer: Option<Told>,
    delivered: Vec<Delivered>,
    /// The scheme of the signature without which nothing is served or taken.
    demand: Option<Scheme>,
    /// The documents of signers that it fetched, where it keeps them, and whether an `Update` makes it fetch again.
    remembers: Option<(BTreeMap<String, PeerActor>, bool)>,
    asked: Vec<String>,
}

/// A delivery, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer to deliveries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) text: &'static str,
    /// `Retry-After`, seconds.
    pub(crate) retry_after: Option<u32>,
}

impl Stranger {
    /// A host with these actors.
    pub(crate) fn start(names: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let instance = Instance::new(&format!("http://{address}")).expect("a base URL");
        let mut signers = BTreeMap::new();
        let mut host = Host::default();
        for (name, seed) in names.iter().zip(1_u8..) {
            let url = instance.actor_url(name);
            let signer = Ed25519Signer::new(ed25519_key_id(&url, 1), &[seed; 32]);
            let document = document(&instance, name, &[key(&signer)]);
            host.documents.insert((*name).to_owned(), document);
            signers.insert((*name).to_owned(), signer);
        }
        let host = Arc::new(Mutex::new(host));
        let router = Router::new()
            .route("/actors/{name}", get(actor))
            .route("/actors/{name}/activities/{id}", get(served))
            .route("/actors/{name}/inbox", post(inbox))
            .route("/inbox", post(inbox))
            .with_state(Arc::clone(&host))
            .layer(from_fn_with_state(
                (instance.clone(), Arc::clone(&host)),
                demanding,
            ));
        let mut served = JoinSet::new();
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        served.spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            instance,
            signers,
            host,
            _served: served,
        }
    }

    /// `127.0.0.1:port`.
    pub(crate) fn authority(&self) -> &str {
        self.instance.authority()
    }

    /// Itself, as the core knows hosts.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Answers deliveries with this from now on; with 202 when told nothing.
    pub(crate) fn tell(&self, answer: Option<Told>) {
        locked(&self.host).answer = answer;
    }

    /// Serves and takes nothing any more without a signature in that scheme, for which it asks the signer's host
    /// unsigned.
    pub(crate) fn demand(&self, scheme: Scheme) {
        locked(&self.host).demand = Some(scheme);
    }

    /// It goes by the documents of signers that it fetched once, from now on; an `Update` of one makes it fetch that
    /// again where it listens.
    pub(crate) fn remember_signers(&self, listens: bool) {
        locked(&self.host).remembers = Some((BTreeMap::new(), listens));
    }

    /// What was asked for since it demands signatures: the request, by which key, and whether it was let in.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.host).asked)
    }

    /// An actor's document lists these keys from now on.
    pub(crate) fn list_keys(&self, name: &str, keys: &[KeyRecord]) {
        let document = document(&self.instance, name, keys);
        let mut host = locked(&self.host);
        host.documents.insert(name.to_owned(), document);
    }

    /// An actor's document lists these keys and commits to that recovery key from now on.
    pub(crate) fn commit(&self, name: &str, keys: &[KeyRecord], commitment: &Commitment) -> Map {
        let mut document = document_of(&self.instance, name, keys);
        document.insert("recoveryDigest", commitment.as_str());
        let bytes = write(Notation::Json, &Value::Map(document.clone()));
        let mut host = locked(&self.host);
        host.documents.insert(name.to_owned(), bytes);
        document
    }

    /// An activity is served under its `id`.
    pub(crate) fn serve(&self, activity: &Map) {
        let id = activity.get("id").and_then(Value::as_str);
        let (_, path) = id.and_then(|id| id.split_once("/actors/")).expect("an id");
        let document = write(Notation::Json, &Value::Map(activity.clone()));
        let mut host = locked(&self.host);
        host.documents.insert(path.to_owned(), document);
    }

    /// An actor goes for good.
    pub(crate) fn remove(&self, name: &str) {
        locked(&self.host).documents.remove(name);
    }

    /// Everything that was delivered, refused or not, oldest first.
    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        locked(&self.host).delivered.clone()
    }

    /// The headers of a POST signed by an actor's key (RFC 9421).
    pub(crate) fn signed_post(&self, name: &str, url: &str, body: &[u8]) -> SignedHeaders {
        Self::signed_with(&self.signers[name], url, body)
    }

    /// The headers of a GET signed by an actor's key (RFC 9421).
    pub(crate) fn signed_get(&self, name: &str, url: &str) -> SignedHeaders {
        let signed = sign_rfc9421("GET", url, None, &self.signers[name], now_ms() / 1_000);
        signed.expect("ASCII")
    }

    /// The headers of a POST signed by any key.
    pub(crate) fn signed_with(signer: &Ed25519Signer, url: &str, body: &[u8]) -> SignedHeaders {
        let signed = sign_rfc9421("POST", url, Some(body), signer, now_ms() / 1_000);
        signed.expect("ASCII")
    }

    /// An actor's signature of bytes.
    pub(crate) fn signature(&self, name: &str, message: &[u8]) -> [u8; 64] {
        self.signers[name].sign(message)
    }

    /// An actor's key, as its document shows it.
    pub(crate) fn multibase(&self, name: &str) -> String {
        self.signers[name].public_key().multibase().to_owned()
    }

    /// An actor's document says something else in one place.
    pub(crate) fn rewrite(&self, name: &str, from: &str, to: &str) {
        let mut host = locked(&self.host);
        let document = host.documents.get_mut(name).expect("an actor");
        let text = String::from_utf8(document.clone()).expect("JSON");
        assert!(text.contains(from), "{text}");
        *document = text.replace(from, to).into_bytes();
    }

    /// The key that an actor signs with was superseded long ago, by one that nobody has.
    pub(crate) fn supersede(&self, name: &str) {
        let signer = &self.signers[name];
        let url = self.actor_url(name);
        let old = KeyRecord {
            created_ms: Some(PUBLISHED_MS),
            superseded_ms: Some(PUBLISHED_MS + 1_000),
            superseded_by: Some(format!("{url}/activities/superseding")),
            ..key(signer)
        };
        let new = Ed25519Signer::new(ed25519_key_id(&url, 2), &[99; 32]);
        let new = KeyRecord {
            created_ms: Some(PUBLISHED_MS + 1_000),
            ..key(&new)
        };
        let document = document(&self.instance, name, &[old, new]);
        locked(&self.host)
            .documents
            .insert(name.to_owned(), document);
    }

    /// An actor's keys were replaced long ago by its recovery key, as which `name_recovery` signs from now on.
    pub(crate) fn recover(&mut self, name: &str) {
        let (url, recovery) = (self.actor_url(name), RecoveryKey::new([98; 32]));
        let revealed = recovery.signer(format!("{url}#recovery"));
        let listed = KeyRecord {
            created_ms: Some(PUBLISHED_MS),
            superseded_ms: Some(PUBLISHED_MS),
            superseded_by: Some(format!("{url}/activities/recovery")),
            ..key(&revealed)
        };
        self.list_keys(name, &[listed, key(&self.signers[name])]);
        self.signers.insert(format!("{name}_recovery"), revealed);
    }

    pub(crate) fn actor_url(&self, name: &str) -> String {
        self.instance.actor_url(name)
    }

    /// The document with a proof by an actor's key.
    pub(crate) fn proved(&self, name: &str, document: &Map) -> Map {
        proof::sign(document, &self.signers[name], now_ms())
    }

    /// [`Self::proved`], as JSON.
    pub(crate) fn signed(&self, name: &str, document: &Map) -> Vec<u8> {
        write(Notation::Json, &Value::Map(self.proved(name, document)))
    }
}

/// An activity without its proof: `number` makes its id.
pub(crate) fn activity(actor: &str, number: u32, verb: &str, object: impl Into<Value>) -> Map {
    let id = format!("{actor}/activities/019b76da-a800-7000-8000-{number:012}");
    Map::from([
        ("@context", context::of_activity()),
        ("id", Value::from(id)),
        ("type", Value::from(verb)),
        ("actor", Value::from(actor)),
        ("published", Value::from(format_rfc3339_ms(now_ms()))),
        ("object", object.into()),
    ])
}

/// A key in force, from whenever on.
fn key(signer: &Ed25519Signer) -> KeyRecord {
    KeyRecord {
        id: signer.key_id().to_owned(),
        key: signer.public_key(),
        created_ms: None,
        superseded_ms: None,
        superseded_by: None,
    }
}

fn document(instance: &Instance, name: &str, keys: &[KeyRecord]) -> Vec<u8> {
    let document = document_of(instance, name, keys);
    write(Notation::Json, &Value::Map(document))
}

fn document_of(instance: &Instance, name: &str, keys: &[KeyRecord]) -> Map {
    let name = ActorName::parse(name).expect("a name");
    let actor = LocalActor {
        instance,
        name: &name,
        kind: ActorKind::Person,
        display_name: None,
        summary: None,
        manually_approves: false,
        keys,
        rsa_pem: None,
        published_ms: PUBLISHED_MS,
    };
    actor.document()
}

type Shared = State<Arc<Mutex<Host>>>;

fn locked(host: &Mutex<Host>) -> MutexGuard<'_, Host> {
    host.lock().expect("nobody panicked")
}

/// Lets in what is signed as demanded.
async fn demanding(
    State((here, host)): State<(Instance, Arc<Mutex<Host>>)>,
    request: Request,
    next: Next,
) -> Response {
    let Some(scheme) = locked(&host).demand else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let target = parts.uri.path_and_query().expect("a path").as_str();
    let head = RequestHead {
        method: parts.method.as_str(),
        origin: here.origin(),
        path_and_query: target,
        headers: &parts.headers,
    };
    let presented = present(&head).expect("a sound signature");
    let key_id = presented.as_ref().map_or("nobody", |by| by.key_id());
    let let_in = match &presented {
        Some(presented) if presented.scheme() == scheme => {
            let (url, _) = key_id.split_once('#').expect("an actor's key");
            let signer = signer(&host, url).await;
            let key = match scheme {
                Scheme::Rfc9421 => {
                    HttpKey::Ed25519(signer.find_key(key_id).expect("there").key.clone())
                }
                Scheme::Cavage => HttpKey::Rsa(signer.find_rsa_key(key_id).expect("there").clone()),
            };
            verify(presented, &head, Some(&body), &key, now_ms()).is_ok()
        }
        _ => false,
    };
    let line = format!("{} {target} {key_id} {let_in}", parts.method);
    note(&host, line, &body, let_in);
    match let_in {
        true => next.run(Request::from_parts(parts, body.into())).await,
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// Notes a request; who listens to an `Update` fetches its actor again when that signs next.
fn note(host: &Mutex<Host>, line: String, body: &[u8], let_in: bool) {
    let mut host = locked(host);
    host.asked.push(line);
    let Some((known, true)) = &mut host.remembers else {
        return;
    };
    if let Ok(activity) = read_document(Notation::Json, body, 1 << 20)
        && let_in
        && activity.get("type").and_then(Value::as_str) == Some("Update")
        && let Some(who) = activity.get("actor").and_then(Value::as_str)
    {
        known.remove(who);
    }
}

/// The document of who signed, fetched unless it is remembered.
async fn signer(host: &Mutex<Host>, url: &str) -> PeerActor {
    let known = locked(host)
        .remembers
        .as_ref()
        .and_then(|(known, _)| known.get(url).cloned());
    if let Some(known) = known {
        return known;
    }
    let signer = Web::new(String::new()).get(url).await;
    let signer = read_document(Notation::Json, &signer.body, 1 << 20).expect("a document");
    let signer = PeerActor::parse(&signer).expect("an actor");
    if let Some((known, _)) = &mut locked(host).remembers {
        known.insert(url.to_owned(), signer.clone());
    }
    signer
}

async fn actor(Path(name): Path<String>, State(host): Shared) -> Response {
    match locked(&host).documents.get(&name) {
        Some(document) => ([(header::CONTENT_TYPE, AS2)], document.clone()).into_response(),
        None => StatusCode::GONE.into_response(),
    }
}

async fn served(Path((name, id)): Path<(String, String)>, State(host): Shared) -> Response {
    let path = format!("{name}/activities/{id}");
    match locked(&host).documents.get(&path) {
        Some(document) => ([(header::CONTENT_TYPE, AS2)], document.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn inbox(State(host): Shared, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut host = locked(&host);
    host.delivered.push(Delivered {
        path: uri.path().to_owned(),
        headers,
        body,
    });
    let Some(told) = host.answer else {
        return StatusCode::ACCEPTED.into_response();
    };
    let status = StatusCode::from_u16(told.status).expect("a status");
    let mut answer = (status, told.text).into_response();
    if let Some(seconds) = told.retry_after {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// The present time, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_millis()).expect("this era")
}
