//! Two instances, each a real store, node and delivery, over a transport in memory: a follow, its Accept
//! and notes go out by themselves, signed, while the other side is away and comes back.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fedsx_core::actor::ActorKind;
use fedsx_core::address::{self, Origin};
use fedsx_core::entry::LogId;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::http_signature::{HttpKey, RequestHead, Scheme, present, verify};
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};
use fedsx_deliver::{Delivery, DeliveryOptions, LaneStatus, OverNode, Selection};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{Request, Response, Transport, TransportError};
use fedsx_discovery::clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_node::{HostPolicy, InboxPost, NewActor, Node, Parts, PublishOptions, RequestParts};
use fedsx_store::engine::EngineKind;
use fedsx_store::{SeqRange, Store, StoreOptions};
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const ALICE: &str = "https://a.test/actors/alice";
const BOB: &str = "https://b.test/actors/bob";

/// What was posted: where to, and the document.
type Posts = Vec<(String, Map)>;

/// Who is reachable, by authority, and all that is posted.
#[derive(Clone, Default, Debug)]
struct Net(Arc<Mutex<BTreeMap<String, Node>>>, Arc<Mutex<Posts>>);

struct Instance {
    authority: &'static str,
    node: Node,
    store: Store,
    options: StoreOptions,
    dir: TempDir,
}

impl Transport for Net {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let origin = Origin::of(&request.url).expect("a URL");
        let node = self
            .0
            .lock()
            .expect("lock")
            .get(origin.authority())
            .cloned();
        if request.method == http::Method::POST {
            let document = notation::read_document(Notation::Json, &request.body, 1 << 20);
            let post = (request.url.clone(), document.expect("a document"));
            self.1.lock().expect("lock").push(post);
        }
        Box::pin(async move {
            let Some(node) = node else {
                return Err(TransportError::Connect("nobody is there".to_owned()));
            };
            let (status, body) = match request.method {
                http::Method::POST => (received(&node, &request).await, Bytes::new()),
                _ => served(&node, &request.url),
            };
            let media_type = header::HeaderValue::from_static("application/activity+json");
            Ok(Response {
                status,
                headers: HeaderMap::from_iter([(header::CONTENT_TYPE, media_type)]),
                body,
                final_url: request.url,
            })
        })
    }
}

fn served(node: &Node, url: &str) -> (StatusCode, Bytes) {
    let actor = node
        .instance()
        .local_name(url)
        .and_then(|name| node.actor(name).ok());
    let Some(actor) = actor else {
        return (StatusCode::NOT_FOUND, Bytes::new());
    };
    let document = Value::Map(node.view().actor_document(&actor).expect("read"));
    (
        StatusCode::OK,
        Bytes::from(notation::write(Notation::Json, &document)),
    )
}

async fn received(node: &Node, request: &Request) -> StatusCode {
    assert_eq!(
        request.headers[header::CONTENT_TYPE],
        "application/activity+json"
    );
    // What the client does with every request.
    let headers = request.headers_for(&request.url, Scheme::Rfc9421);
    let request = &Request {
        headers: headers.expect("signed"),
        ..request.clone()
    };
    check_signature(node, request);
    let base = node.instance().base_url();
    let path = request.url.strip_prefix(base).expect("on this instance");
    let target = path
        .strip_prefix("/actors/")
        .and_then(|path| path.strip_suffix("/inbox"));
    let post = InboxPost {
        target: target.map(str::to_owned),
        notation: Notation::Json,
        body: request.body.clone(),
        head: RequestParts {
            method: request.method.clone(),
            path_and_query: path.to_owned(),
            headers: request.headers.clone(),
        },
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    match node.ingest(post).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(refusal) => StatusCode::from_u16(refusal.code.http_status()).expect("a status"),
    }
}

/// Every request carries an RFC 9421 signature by the key of the document's actor.
fn check_signature(node: &Node, request: &Request) {
    let origin = node.instance().origin();
    let head = RequestHead {
        method: "POST",
        origin,
        path_and_query: request
            .url
            .strip_prefix(origin.as_str())
            .expect("on this instance"),
        headers: &request.headers,
    };
    let presented = present(&head).expect("well-formed").expect("there");
    let document = notation::read_document(Notation::Json, &request.body, 1 << 20).expect("read");
    let actor = document
        .get("actor")
        .and_then(Value::as_str)
        .expect("an actor");
    assert!(
        presented.key_id().starts_with(actor),
        "signed by the sender"
    );
    let peer = node.peers().peek(actor);
    // At the first contact its key is not known yet.
    if let Some(peer) = peer {
        let key = HttpKey::Ed25519(peer.keys[0].key.clone());
        verify(&presented, &head, Some(&request.body), &key, node.now_ms()).expect("it verifies");
    }
}

impl Net {
    fn instance(&self, authority: &'static str) -> Instance {
        let options = StoreOptions {
            engine: EngineKind::Memory,
            segment_bytes: 4 << 20,
            flush_every: Duration::from_secs(1),
            base_url: format!("https://{authority}"),
            secret: Some(vec![7; 32]),
        };
        let dir = TempDir::new().expect("a directory");
        self.open(authority, options, dir)
    }

    fn open(&self, authority: &'static str, options: StoreOptions, dir: TempDir) -> Instance {
        let (store, _) = Store::open(dir.path(), &options).expect("opens");
        let transport: Arc<dyn Transport> = Arc::new(self.clone());
        let fetcher = Fetcher::new(transport, PoolOptions::default(), clock::system());
        let fetcher = Arc::new(fetcher);
        let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
        let webfinger = WebFinger::new(Arc::clone(&fetcher), peers.clone(), false);
        let instance = address::Instance::new(&options.base_url).expect("a base URL");
        let parts = Parts {
            instance,
            store: &store,
            fetcher,
            peers,
            webfinger,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        };
        let node = Node::new(parts, clock::system());
        self.0
            .lock()
            .expect("lock")
            .insert(authority.to_owned(), node.clone());
        Instance {
            authority,
            node,
            store,
            options,
            dir,
        }
    }

    /// alice on one instance and bob on another.
    async fn two(&self) -> (Instance, Instance) {
        let (a, b) = (self.instance("a.test"), self.instance("b.test"));
        a.create("alice").await;
        b.create("bob").await;
        (a, b)
    }

    fn part(&self, authority: &str) {
        self.0.lock().expect("lock").remove(authority);
    }

    /// Where what a note of that text is in was posted to, in no particular order.
    fn posted(&self, text: &str) -> Vec<(String, Map)> {
        let posts = self.1.lock().expect("lock");
        let has_it = |(_, document): &&(String, Map)| match document.get("object") {
            Some(Value::Map(object)) => object.get("content") == Some(&Value::from(text)),
            _ => false,
        };
        let mut posted: Vec<_> = posts.iter().filter(has_it).cloned().collect();
        posted.sort_by(|(a, _), (b, _)| a.cmp(b));
        posted
    }

    fn join(&self, instance: &Instance) {
        let node = instance.node.clone();
        self.0
            .lock()
            .expect("lock")
            .insert(instance.authority.to_owned(), node);
    }

    fn delivery(&self, instance: &Instance) -> Delivery<OverNode> {
        // Long enough that nothing but a sign of life brings a lane back within the test.
        let options = DeliveryOptions {
            schedule_ms: vec![3_600_000],
            pause_in_place_ms: 5,
            ..DeliveryOptions::default()
        };
        let (node, deliveries) = (instance.node.clone(), instance.store.deliveries());
        Delivery::over_node(node, Arc::new(self.clone()), deliveries, options)
    }
}

impl Instance {
    async fn create(&self, name: &str) {
        self.create_who(name, false).await;
    }

    /// An actor who answers by hand, or not.
    async fn create_who(&self, name: &str, manual_approval: bool) {
        let new = NewActor {
            name: name.to_owned(),
            kind: ActorKind::Person,
            display_name: None,
            summary: None,
            manual_approval,
        };
        self.node.create_actor(new).await.expect("an actor");
    }

    async fn post(&self, name: &str, text: &str) {
        let note = Map::from([("type", "Note"), ("content", text)]);
        self.node
            .publish(name, note, PublishOptions::default())
            .await
            .expect("publishes");
    }

    fn phase(&self, name: &str, direction: Direction, peer: &str) -> Phase {
        let actor = self.node.actor(name).expect("an actor");
        let relation = self.node.view().state().relation(actor.no, direction, peer);
        relation.expect("read").phase
    }

    /// The texts of the notes in an inbox log, in order.
    fn notes(&self, name: &str) -> Vec<String> {
        let actor = self.node.actor(name).expect("an actor");
        let view = self.node.view();
        let log = view.log(LogId::inbox(actor.no), SeqRange::default(), false, 1_000);
        let texts = log.expect("read").into_iter().filter_map(|entry| {
            let document = entry.stored.map().expect("read");
            let Some(Value::Map(object)) = document.get("object") else {
                return None;
            };
            Some(object.get("content")?.as_str()?.to_owned())
        });
        texts.collect()
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect(what);
}

/// [`until`] the lanes are so.
async fn until_lanes(
    what: &str,
    delivery: &Delivery<OverNode>,
    are_so: impl Fn(&[LaneStatus]) -> bool,
) {
    until(what, || are_so(&delivery.lanes().expect("read"))).await;
}

/// alice follows bob and hears of him.
async fn followed_and_heard(a: &Instance, b: &Instance, text: &str) {
    a.node.follow("alice", BOB).await.expect("follows");
    until("accepted on both sides", || {
        a.phase("alice", Direction::Following, BOB) == Phase::Accepted
            && b.phase("bob", Direction::Follower, ALICE) == Phase::Accepted
    })
    .await;
    b.post("bob", text).await;
    until("the note is there", || a.notes("alice") == [text]).await;
}

/// Runs what two instances run, beside `what`.
async fn running<T>(
    instances: [(&Instance, &Delivery<OverNode>); 2],
    what: impl Future<Output = T>,
) -> T {
    let stop = CancellationToken::new();
    let [(a, a_delivery), (b, b_delivery)] = instances;
    let both = async {
        let result = what.await;
        stop.cancel();
        result
    };
    let (_, _, a_ran, b_ran, result) = tokio::join!(
        a.node.clone().run(stop.clone()),
        b.node.clone().run(stop.clone()),
        a_delivery.run(stop.clone()),
        b_delivery.run(stop.clone()),
        both,
    );
    a_ran.and(b_ran).expect("delivery doesn't fail");
    result
}

#[tokio::test]
async fn a_follow_and_notes_arrive_by_themselves_also_what_was_posted_to_one_who_was_away() {
    let net = Net::default();
    let (a, b) = net.two().await;
    let (a_delivery, b_delivery) = (net.delivery(&a), net.delivery(&b));
    running([(&a, &a_delivery), (&b, &b_delivery)], async {
        followed_and_heard(&a, &b, "one").await;

        net.part("a.test");
        for text in ["two", "three", "four"] {
            b.post("bob", text).await;
        }
        let lane = || b_delivery.lanes().expect("read").pop();
        until("the lane waits", || {
            lane().is_some_and(|lane| lane.failures == 1)
        })
        .await;
        until("all is queued", || {
            lane().is_some_and(|lane| lane.queued == 3)
        })
        .await;

        // Back, and heard from: bob is told something.
        net.join(&a);
        b.node.follow("bob", ALICE).await.expect("follows");
        a.node.follow("alice", BOB).await.expect("follows again");
        until("what was missed arrives", || {
            a.notes("alice") == ["one", "two", "three", "four"]
        })
        .await;
        until_lanes("the queue is empty", &b_delivery, <[_]>::is_empty).await;
        until("the follow went the same way", || {
            b.phase("bob", Direction::Following, ALICE) == Phase::Accepted
        })
        .await;
    })
    .await;
    assert!(b_delivery.dead_letters(0, 10).expect("read").is_empty());
}

#[tokio::test]
async fn a_follow_that_was_refused_waits_again_once_it_is_taken() {
    let net = Net::default();
    let (a, b) = (net.instance("a.test"), net.instance("b.test"));
    a.create("alice").await;
    b.create_who("bob", true).await;
    let (a_delivery, b_delivery) = (net.delivery(&a), net.delivery(&b));
    running([(&a, &a_delivery), (&b, &b_delivery)], async {
        b.node.block("bob", ALICE).await.expect("blocks");
        a.node.follow("alice", BOB).await.expect("asks");
        until("bob's server refuses it", || {
            a.phase("alice", Direction::Following, BOB) == Phase::Refused
        })
        .await;
        b.node.unblock("bob", ALICE).await.expect("unblocks");
        let retried = a_delivery.retry(Selection::All).await;
        assert_eq!(retried.expect("retried"), 1);
        until("it waits on both sides", || {
            a.phase("alice", Direction::Following, BOB) == Phase::Pending
                && b.phase("bob", Direction::Follower, ALICE) == Phase::Pending
        })
        .await;
    })
    .await;
    assert!(a_delivery.dead_letters(0, 10).expect("read").is_empty());
}

#[tokio::test]
async fn an_index_that_is_never_on_disk_sends_only_what_was_not_settled() {
    let net = Net::default();
    let (a, b) = net.two().await;
    let (a_delivery, b_delivery) = (net.delivery(&a), net.delivery(&b));
    running([(&a, &a_delivery), (&b, &b_delivery)], async {
        followed_and_heard(&a, &b, "before").await;
        until_lanes("it is settled", &b_delivery, <[_]>::is_empty).await;
        net.part("a.test");
        b.post("bob", "meanwhile").await;
        until_lanes("it waits", &b_delivery, |lanes| {
            lanes.iter().any(|lane| lane.failures > 0)
        })
        .await;
    })
    .await;
    drop((a_delivery, b_delivery));
    let Instance {
        authority,
        node,
        store,
        options,
        dir,
    } = b;
    let replays = a.node.view().applied();
    drop(node);
    net.part("b.test");
    store.close().expect("closes");

    let b = net.open(authority, options, dir);
    let (a_delivery, b_delivery) = (net.delivery(&a), net.delivery(&b));
    let lanes = b_delivery.lanes().expect("read");
    assert_eq!(
        lanes.len(),
        1,
        "the lane's state is in the ledger: {lanes:?}"
    );
    net.join(&a);
    running([(&a, &a_delivery), (&b, &b_delivery)], async {
        until_lanes("it is expanded again", &b_delivery, |lanes| {
            lanes.iter().any(|lane| lane.queued == 1)
        })
        .await;
        b_delivery.wake_host("a.test");
        until("it arrives", || {
            b_delivery.wake_host("a.test");
            a.notes("alice") == ["before", "meanwhile"]
        })
        .await;
    })
    .await;
    assert_eq!(a.node.view().applied(), replays + 1, "nothing else came");
}

/// A note of that text, addressed so.
fn note(text: &str, addressed: &[(&str, &str)]) -> Map {
    let mut note = Map::from([("type", Value::from("Note")), ("content", text.into())]);
    for (member, to) in addressed {
        note.insert(*member, vec![*to]);
    }
    note
}

const CAROL: &str = "https://b.test/actors/carol";
const DAVE: &str = "https://b.test/actors/dave";
const FOLLOWERS: &str = "https://a.test/actors/alice/followers";

/// Notes of alice, and whom they are for besides nobody, which is everybody.
const NOTES: [(&str, &[(&str, &str)]); 5] = [
    ("to all", &[]),
    ("to followers", &[("to", FOLLOWERS)]),
    ("to bob", &[("to", BOB)]),
    ("to bob and dave", &[("to", BOB), ("bcc", DAVE)]),
    (
        "to followers and carol",
        &[("to", FOLLOWERS), ("bto", CAROL)],
    ),
];

/// Where each of them was posted to, in documents that name none of the hidden.
fn doors(net: &Net) -> String {
    let mut page = String::new();
    for (text, _) in NOTES {
        for (url, document) in net.posted(text) {
            let Some(Value::Map(object)) = document.get("object") else {
                unreachable!("it was found by it");
            };
            for map in [&document, object] {
                let is_told = map.get("bto").is_some() || map.get("bcc").is_some();
                assert!(!is_told, "{text}");
            }
            page.push_str(&format!("{text} | {url}\n"));
        }
    }
    page
}

#[tokio::test]
async fn what_is_not_for_all_goes_through_no_wider_door_and_nobody_is_told_of_the_hidden() {
    let net = Net::default();
    let (a, b) = net.two().await;
    for name in ["carol", "dave"] {
        b.create(name).await;
    }
    let (a_delivery, b_delivery) = (net.delivery(&a), net.delivery(&b));
    running([(&a, &a_delivery), (&b, &b_delivery)], async {
        for name in ["bob", "carol"] {
            b.node.follow(name, ALICE).await.expect("follows");
        }
        until("both follow", || {
            [BOB, CAROL]
                .iter()
                .all(|peer| a.phase("alice", Direction::Follower, peer) == Phase::Accepted)
        })
        .await;
        for (text, addressed) in NOTES {
            let options = PublishOptions::default();
            let published = a.node.publish("alice", note(text, addressed), options);
            published.await.expect("publishes");
        }
        let is_last_there = || b.notes("carol").iter().any(|text| text.contains("carol"));
        until("the last is there", is_last_there).await;
        until_lanes("the queue is empty", &a_delivery, <[_]>::is_empty).await;
    })
    .await;
    insta::assert_snapshot!(doors(&net));
    assert_eq!(b.notes("bob"), NOTES.map(|(text, _)| text));
    assert_eq!(b.notes("dave"), ["to bob and dave"]);
    let carols = ["to all", "to followers", "to followers and carol"];
    assert_eq!(b.notes("carol"), carols);
}
