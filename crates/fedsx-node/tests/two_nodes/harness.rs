//! Instances in one process: each a real store and node, with the others behind a transport in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fedsx_core::actor::ActorKind;
use fedsx_core::address::{self, ActorName, Origin};
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::entry::{ActorNo, Control, LogId};
use fedsx_core::follow::synchronization::HEADER;
use fedsx_core::http_signature::{Scheme, sign_rfc9421, sign_rfc9421_with};
use fedsx_core::key::{Ed25519Signer, PublicKey, RsaPublicKey, Signer};
use fedsx_core::notation::{self, Notation};
use fedsx_core::proof;
use fedsx_core::reader::Reader;
use fedsx_core::refusal::Refusal;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{Request, Response, Transport, TransportError};
use fedsx_discovery::clock::Clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::{WebFinger, jrd_for, name_of_resource};
use fedsx_node::{
    HostPolicy, InboxPost, Itself, LogFile, NewActor, Node, Parts, Receipt, RequestParts,
};
use fedsx_store::check;
use fedsx_store::delivery::{Item, Place, Placed, Recipient};
use fedsx_store::engine::EngineKind;
use fedsx_store::{SeqRange, Store, StoreOptions, schema};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Followers in a page of a part.
const PARTIAL_PAGE: usize = 5_000;
/// How often a wait looks again.
const GLANCE: Duration = Duration::from_millis(2);
/// How long something may take at most before its test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// All instances, by authority, and the clock they share.
#[derive(Clone, Default, Debug)]
pub(crate) struct Net {
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
    clock_ms: Arc<AtomicI64>,
    /// What is served instead, by URL.
    instead: Arc<Mutex<BTreeMap<String, Option<Map>>>>,
    /// Files of logs that are served instead, by URL.
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// What gives no answer, by URL.
    silent: Arc<Mutex<BTreeSet<String>>>,
    /// How often each URL was asked for.
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

pub(crate) struct Instance {
    pub(crate) node: Node,
    store: Store,
    options: StoreOptions,
    dir: TempDir,
    net: Net,
    carried: Mutex<BTreeMap<u32, u64>>,
}

impl Net {
    pub(crate) fn instance(&self, authority: &str, engine: EngineKind) -> Instance {
        self.clock_ms
            .fetch_max(1_767_225_600_000, Ordering::Relaxed);
        let base_url = format!("https://{authority}");
        let options = StoreOptions {
            engine,
            segment_bytes: 4 << 20,
            flush_every: Duration::from_secs(1),
            base_url,
            secret: Some(vec![7; 32]),
        };
        self.open(options, TempDir::new().expect("a directory"))
    }

    fn open(&self, options: StoreOptions, dir: TempDir) -> Instance {
        let base_url = options.base_url.clone();
        let authority = base_url.trim_start_matches("https://");
        let (store, _) = Store::open(dir.path(), &options).expect("opens");
        let ticks = Arc::clone(&self.clock_ms);
        let clock: Clock = Arc::new(move || ticks.fetch_add(1, Ordering::Relaxed));
        let transport: Arc<dyn Transport> = Arc::new(self.clone());
        let fetcher = Arc::new(Fetcher::new(
            transport,
            PoolOptions::default(),
            Arc::clone(&clock),
        ));
        let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
        let webfinger = WebFinger::new(Arc::clone(&fetcher), peers.clone(), false);
        let instance = address::Instance::new(&base_url).expect("a base URL");
        let parts = Parts {
            instance,
            store: &store,
            fetcher,
            peers,
            webfinger,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        };
        let node = Node::new(parts, clock);
        self.nodes
            .lock()
            .expect("lock")
            .insert(authority.to_owned(), node.clone());
        Instance {
            node,
            store,
            options,
            dir,
            net: self.clone(),
            carried: Mutex::default(),
        }
    }

    /// Serves another document at a URL, or none.
    pub(crate) fn serve(&self, url: &str, document: Option<Map>) {
        let mut instead = self.instead.lock().expect("lock");
        instead.insert(url.to_owned(), document);
    }

    /// Serves another file of a log at a URL.
    pub(crate) fn serve_file(&self, url: &str, bytes: Vec<u8>) {
        let mut files = self.files.lock().expect("lock");
        files.insert(url.to_owned(), bytes);
    }

    /// Serves the files of logs as they are again.
    pub(crate) fn serve_logs(&self) {
        self.files.lock().expect("lock").clear();
    }

    /// A file of a log, what an instance kept of one, or what became of a note that was sent.
    async fn log_file(&self, request: &Request) -> Option<Vec<u8>> {
        let url = &request.url;
        if request.method == Method::GET
            && let Some(bytes) = self.files.lock().expect("lock").get(url)
        {
            return Some(bytes.clone());
        }
        let node = self.node(Origin::of(url)?.authority())?;
        if let Some((_, escaped)) = url.split_once("/witness?actor=") {
            let escapes = [("%3A", ":"), ("%2F", "/"), ("%2E", ".")].iter();
            let actor = escapes.fold(escaped.to_owned(), |url, (from, to)| url.replace(from, to));
            return node.witnessed(&actor).ok().map(String::into_bytes);
        }
        let (actor, path) = url.split_once("/log/")?;
        let name = node.instance().local_name(actor)?;
        if request.method == Method::POST {
            let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let taken = node.take_cosignature(name, &request.body, source).await;
            return taken.ok().map(|()| Vec::new());
        }
        match node.log_file(name, path).ok()? {
            LogFile::Checkpoint(note) => Some(note.to_string().into_bytes()),
            LogFile::Tile { bytes, .. } => Some(bytes),
        }
    }

    /// Gives no answer at a URL any more, or again.
    pub(crate) fn silence(&self, url: &str, is_silent: bool) {
        let mut silent = self.silent.lock().expect("lock");
        if is_silent {
            silent.insert(url.to_owned());
        } else {
            silent.remove(url);
        }
    }

    /// How often a URL was asked for.
    pub(crate) fn asked(&self, url: &str) -> usize {
        let asked = self.asked.lock().expect("lock");
        asked.get(url).copied().unwrap_or_default()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).expect("a short time");
        self.clock_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Nothing of an instance stays open.
    fn forget(&self, options: &StoreOptions) {
        let authority = options.base_url.trim_start_matches("https://");
        self.nodes.lock().expect("lock").remove(authority);
    }

    /// The part of a followers collection, for who signed the request.
    async fn partial(&self, request: &Request) -> Option<Map> {
        let (of, query) = request.url.split_once("/followers_synchronization")?;
        let origin = Origin::of(&request.url)?;
        let node = self.node(origin.authority())?;
        let name = node.instance().local_name(of)?;
        let actor = node.actor(name).ok()?;
        let head = RequestParts {
            method: Method::GET,
            path_and_query: request.url[origin.as_str().len()..].to_owned(),
            headers: request.headers_for(&request.url, Scheme::Rfc9421).ok()?,
        };
        let reader = node.reader(&head, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
        let Ok(Reader::Actor(reader)) = reader else {
            return None;
        };
        let reader = Origin::of(&reader)?;
        let view = node.view();
        let after = query.strip_prefix("?after=").map(schema::url_hash);
        let mut found = view
            .followers_on(actor.no, reader.as_str(), after.as_ref(), PARTIAL_PAGE + 1)
            .expect("reads");
        let next = (found.len() > PARTIAL_PAGE).then(|| {
            found.truncate(PARTIAL_PAGE);
            let (_, last) = found.last().expect("a page");
            format!("{of}/followers_synchronization?after={last}")
        });
        let members: Vec<String> = found.into_iter().map(|(_, peer)| peer).collect();
        let mut page = Map::from([
            ("type", Value::from("OrderedCollectionPage")),
            ("orderedItems", members.into()),
        ]);
        if let Some(next) = next {
            page.insert("next", next);
        }
        Some(page)
    }

    fn node(&self, authority: &str) -> Option<Node> {
        self.nodes.lock().expect("lock").get(authority).cloned()
    }

    fn count(&self, url: &str) {
        let mut asked = self.asked.lock().expect("lock");
        *asked.entry(url.to_owned()).or_default() += 1;
    }

    fn answer(&self, request: &Request) -> Option<Map> {
        let url = &request.url;
        if let Some(instead) = self.instead.lock().expect("lock").get(url) {
            return instead.clone();
        }
        let origin = Origin::of(url)?;
        let node = self.node(origin.authority())?;
        if let Some((_, resource)) = url.split_once("/.well-known/webfinger?resource=") {
            let resource = resource
                .replace("%3A", ":")
                .replace("%40", "@")
                .replace("%2F", "/");
            let name = name_of_resource(node.instance(), &resource)?;
            node.actor(name.as_str()).ok()?;
            return Some(jrd_for(node.instance(), &name));
        }
        if url.ends_with("/.well-known/sx-capabilities") {
            return Some(Map::from([("followersSynchronization", true)]));
        }
        if let Some((_, cid)) = url.split_once("/artifacts/") {
            let cid: Cid = cid.parse().ok()?;
            return node.view().stored(&cid.digest).ok()??.map().ok();
        }
        if *url == node.instance().own_actor_url() {
            return node.itself().map(|itself| itself.document().clone());
        }
        if let Some(name) = node.instance().local_name(url) {
            let actor = node.actor(ActorName::parse(name).ok()?.as_str()).ok()?;
            return node.view().actor_document(&actor).ok();
        }
        if let Some(activity) = node.view().activity_by_id(url).ok()? {
            return activity.map().ok();
        }
        let create = node.view().activity_of_object(url).ok()??.map().ok()?;
        create.get("object")?.as_map().cloned()
    }
}

impl Transport for Net {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        if self.silent.lock().expect("lock").contains(&request.url) {
            let silence = TransportError::Connect("nobody answers".to_owned());
            return Box::pin(async { Err(silence) });
        }
        self.count(&request.url);
        if request.url.contains("/followers_synchronization") {
            return Box::pin(async move {
                let page = self.partial(&request).await;
                Ok(answered(&request, page.as_ref()))
            });
        }
        if request.url.contains("/log/") || request.url.contains("/witness?") {
            return Box::pin(async move {
                let file = self.log_file(&request).await;
                let mut answer = answered(&request, None);
                if let Some(bytes) = file {
                    answer.status = StatusCode::OK;
                    answer.body = Bytes::from(bytes);
                }
                Ok(answer)
            });
        }
        let document = self.answer(&request);
        let mut answer = answered(&request, document.as_ref());
        let kind = document.as_ref().and_then(|document| document.get("type"));
        if request.url.contains("/artifacts/") && kind == Some(&"Tombstone".into()) {
            answer.status = StatusCode::GONE;
        }
        Box::pin(async { Ok(answer) })
    }
}

fn answered(request: &Request, answer: Option<&Map>) -> Response {
    let is_jrd = request.url.contains("webfinger");
    let media_type = if is_jrd {
        "application/jrd+json"
    } else {
        "application/activity+json"
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media_type.parse().expect("a header"));
    let body = answer.map(json).unwrap_or_default();
    let status = if answer.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    Response {
        status,
        headers,
        body,
        final_url: request.url.clone(),
    }
}

impl Instance {
    /// Gives the instance an actor of its own, by whose key it cosigns.
    pub(crate) fn be_itself(&self) {
        let (instance, vault) = (self.node.instance(), self.store.vault());
        let itself = Itself::open(instance, &vault, Arc::clone(self.node.clock()));
        self.node.be(itself.expect("made"));
    }

    /// The key of that id, to sign with.
    pub(crate) fn signer(&self, key_id: &str) -> Arc<Ed25519Signer> {
        let signer = self.store.vault().signer(key_id).expect("opens");
        signer.expect("there")
    }

    pub(crate) async fn create(&self, name: &str, manual_approval: bool) {
        self.create_as(ActorKind::Person, name, manual_approval)
            .await;
    }

    pub(crate) async fn create_as(&self, kind: ActorKind, name: &str, manual_approval: bool) {
        let new = NewActor {
            name: name.to_owned(),
            kind,
            display_name: None,
            summary: None,
            manual_approval,
        };
        self.node.create_actor(new).await.expect("an actor");
    }

    /// Gives all that is new in the outboxes here, and addressed to others, to `to`; tells the verbs.
    pub(crate) async fn carry(&self, to: &Instance) -> Vec<String> {
        let mut verbs = Vec::new();
        for actor in self.node.view().actors().expect("reads") {
            let after = self.carried.lock().expect("lock").get(&actor.no.0).copied();
            let range = SeqRange {
                after,
                before: None,
            };
            let log = self
                .node
                .view()
                .log(LogId::outbox(actor.no), range, false, 1_000);
            for entry in log.expect("reads") {
                self.carried
                    .lock()
                    .expect("lock")
                    .insert(actor.no.0, entry.seq);
                let activity = entry.stored.activity().expect("an activity");
                if activity.fan_out && !entry.stored.erased {
                    verbs.push(activity.verb.clone());
                    let document = entry.stored.map().expect("reads");
                    to.receive(None, &document).await.expect("received");
                }
            }
        }
        verbs
    }

    /// Has all that is new in the outboxes here go nowhere.
    pub(crate) fn lose(&self) {
        for actor in self.node.view().actors().expect("reads") {
            let log = LogId::outbox(actor.no);
            let last = self.node.view().log(log, SeqRange::default(), true, 1);
            let last = last.expect("reads").first().map_or(0, |entry| entry.seq);
            self.carried.lock().expect("lock").insert(actor.no.0, last);
        }
    }

    /// The verbs of the activities of an actor, oldest first.
    pub(crate) fn said(&self, name: &str) -> Vec<String> {
        let log = LogId::outbox(self.node.actor(name).expect("an actor").no);
        let entries = self.node.view().log(log, SeqRange::default(), false, 1_000);
        let entries = entries.expect("reads").into_iter();
        entries
            .map(|entry| entry.stored.activity().expect("an activity").verb.clone())
            .collect()
    }

    /// A document of an actor here waits for a host.
    pub(crate) fn queue(&self, name: &str, host: &str) -> Place {
        let actor = self.node.actor(name).expect("an actor");
        let placed = Placed {
            place: Place {
                host: Arc::from(host),
                due_ms: None,
                actor: actor.no,
                offset: 1,
                recipient: 1,
            },
            item: Item {
                digest: Digest::of(b"a document"),
                bytes: 1,
                recipient: Recipient::Named(format!("https://{host}/")),
                inbox: None,
                failures: 0,
                queued_ms: 0,
                past_blocks: false,
                past_follows: false,
            },
        };
        let deliveries = self.store.deliveries();
        let mut change = deliveries.change();
        change.put(&placed);
        deliveries.commit(change).expect("queued");
        placed.place
    }

    /// It waits no longer.
    pub(crate) fn unqueue(&self, place: &Place) {
        let deliveries = self.store.deliveries();
        let mut change = deliveries.change();
        change.remove(place);
        deliveries.commit(change).expect("removed");
    }

    /// Runs the worker of what is owed until nothing is.
    pub(crate) async fn settle(&self) {
        let is_settled = async || {
            let view = self.node.view();
            let announced = view.to_announce(ActorNo(0), 1).expect("reads").is_empty();
            announced && view.owed_all(1).expect("reads").is_empty()
        };
        run_until(is_settled, |stop| self.node.clone().run(stop)).await;
    }

    pub(crate) async fn receive(
        &self,
        target: Option<&str>,
        document: &Map,
    ) -> Result<Receipt, Refusal> {
        self.receive_with(target, document, HeaderMap::new()).await
    }

    /// A delivery whose request `signer` signs.
    pub(crate) async fn receive_signed(
        &self,
        document: &Map,
        signer: &dyn Signer,
    ) -> Result<Receipt, Refusal> {
        let url = self.node.instance().shared_inbox();
        let now_s = self.node.now_ms() / 1_000;
        let signed = sign_rfc9421("POST", &url, Some(&json(document)), signer, now_s);
        let mut headers = HeaderMap::new();
        signed.expect("ASCII").insert_into(&mut headers);
        self.receive_with(None, document, headers).await
    }

    /// A delivery whose signature covers what it says of followers, or does not.
    pub(crate) async fn receive_told(
        &self,
        document: &Map,
        signer: &dyn Signer,
        said: &str,
        is_covered: bool,
    ) -> Result<Receipt, Refusal> {
        let url = self.node.instance().shared_inbox();
        let now_s = self.node.now_ms() / 1_000;
        let body = json(document);
        let fields = [(HEADER, said)];
        let fields = if is_covered { &fields[..] } else { &[] };
        let signed = sign_rfc9421_with("POST", &url, Some(&body), fields, signer, now_s);
        let mut headers = HeaderMap::new();
        signed.expect("ASCII").insert_into(&mut headers);
        headers.insert(HEADER, said.parse().expect("a header"));
        self.receive_with(None, document, headers).await
    }

    pub(crate) async fn receive_with(
        &self,
        target: Option<&str>,
        document: &Map,
        headers: HeaderMap,
    ) -> Result<Receipt, Refusal> {
        let post = InboxPost {
            target: target.map(str::to_owned),
            notation: Notation::Json,
            body: json(document),
            head: RequestParts {
                method: Method::POST,
                path_and_query: "/inbox".to_owned(),
                headers,
            },
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        self.node.ingest(post).await
    }

    pub(crate) fn document(&self, cid: &Cid) -> Map {
        let stored = self
            .node
            .view()
            .stored(&cid.digest)
            .expect("reads")
            .expect("kept");
        stored.map().expect("reads")
    }

    /// An activity signed by a local actor but published nowhere.
    pub(crate) fn raw(&self, name: &str, verb: &str, object: Value, to: &str) -> Map {
        let url = self.node.instance().actor_url(name);
        let published = fedsx_core::time::format_rfc3339_ms(self.node.now_ms());
        let document = Map::from([
            ("@context", fedsx_core::context::of_activity()),
            (
                "id",
                Value::from(format!("{url}/activities/{verb}-{published}")),
            ),
            ("type", verb.into()),
            ("actor", url.into()),
            ("object", object),
            ("to", vec![to].into()),
            ("published", published.into()),
        ]);
        self.resign(name, &document)
    }

    /// The document with a fresh proof by `name`'s key, whoever its actor is.
    pub(crate) fn resign(&self, name: &str, document: &Map) -> Map {
        let actor = self.node.actor(name).expect("an actor");
        let signer = self.node.signer(&actor).expect("a key");
        proof::sign(document, &*signer, self.node.now_ms())
    }

    pub(crate) fn signed_by(&self, name: &str, document: &Map) -> Map {
        self.resign(name, document)
    }

    /// Whether an RSA key is at rest.
    pub(crate) fn has_rsa(&self, key_id: &str, key: &RsaPublicKey) -> bool {
        let found = self.store.vault().rsa(key_id, key.as_spki_der());
        found.expect("reads").is_some()
    }

    /// What a rotation leaves that was cut off before its `Update`.
    pub(crate) fn key_at_rest(&self, key_id: &str) -> PublicKey {
        let vault = self.store.vault();
        vault.create_ed25519(key_id).expect("kept")
    }

    /// Opens the directory in a new instance, as after the end of a process.
    pub(crate) fn reopened(self, net: &Net) -> Instance {
        let engine = self.options.engine;
        self.reopened_on(net, engine)
    }

    /// [`Self::reopened`], with the index in another engine, to be made from the journal where there is none.
    pub(crate) fn reopened_on(self, net: &Net, engine: EngineKind) -> Instance {
        let Self {
            node,
            store,
            mut options,
            dir,
            ..
        } = self;
        options.engine = engine;
        drop(node);
        net.forget(&options);
        store.close().expect("closes");
        net.open(options, dir)
    }

    /// Where its data is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Appends a control entry as it stands.
    pub(crate) async fn control(&self, control: Control) {
        let now_ms = self.node.now_ms();
        let answer = self.store.writer().control(control, Bytes::new(), now_ms);
        answer.expect("room").wait().await.expect("appended");
    }

    /// Closes the store and leaves the directory.
    pub(crate) fn close(self) -> TempDir {
        let Self {
            node,
            store,
            options,
            dir,
            net,
            ..
        } = self;
        drop(node);
        net.forget(&options);
        store.close().expect("closes");
        dir
    }

    /// Loses the place up to which triggers have met the journal.
    pub(crate) fn forget_triggers_met(&self) {
        let rows = self.store.projections();
        rows.set_triggers_met(0).expect("kept");
    }

    /// The hash of the derived rows, and their number.
    pub(crate) fn digest(&self) -> (Digest, u64) {
        self.store.digest().expect("reads")
    }

    /// Closes the store, checks it, and compares the live index with one made anew. Returns the rows.
    pub(crate) fn close_and_compare(self) -> u64 {
        let (live, options) = (self.digest(), self.options.clone());
        let dir = self.close();
        let report = check::verify(dir.path()).expect("reads");
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        assert!(report.proofs > 0);
        check::reindex(dir.path(), &options).expect("rebuilds");
        let (store, _) = Store::open(dir.path(), &options).expect("opens again");
        assert_eq!(store.digest().expect("reads"), live, "rebuilt equals live");
        store.close().expect("closes");
        live.1
    }
}

pub(crate) fn note(text: &str) -> Map {
    Map::from([("type", "Note"), ("content", text)])
}

fn json(map: &Map) -> Bytes {
    Bytes::from(notation::write(Notation::Json, &Value::Map(map.clone())))
}

/// Runs a worker until it has come to something, which it must in time.
pub(crate) async fn run_until<F: Future<Output = ()>>(
    is_so: impl AsyncFn() -> bool,
    work: impl FnOnce(CancellationToken) -> F,
) {
    let stop = CancellationToken::new();
    let watch = async {
        while !is_so().await {
            tokio::time::sleep(GLANCE).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(work(stop.clone()), watch) };
    let ended = tokio::time::timeout(PATIENCE, both).await;
    ended.expect("it comes to that");
}
