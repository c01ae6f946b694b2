//! The admin API over a real node and store, asked through its client and by hand.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use fedsx_admin::client::{Client, ClientError};
use fedsx_admin::proto;
use fedsx_admin::{
    About, AdminState, Backlog, DeadLetter, DeliveryAdmin, DeliveryRecord, Lane, Selection, Token,
    WaitingOf, serve,
};
use fedsx_core::address::Instance;
use fedsx_core::entry::ActorNo;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::actor_cache::{Peers, PeersOptions};
use fedsx_discovery::client::{ClientOptions, GuardedClient};
use fedsx_discovery::clock;
use fedsx_discovery::pool::{Fetcher, PoolOptions};
use fedsx_discovery::webfinger::WebFinger;
use fedsx_node::{HostPolicy, Node, Parts};
use fedsx_store::engine::EngineKind;
use fedsx_store::{Store, StoreOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const URL: &str = "http://127.0.0.1:1";

/// Two lanes and two dead letters.
#[derive(Debug)]
struct Deliveries;

impl DeliveryAdmin for Deliveries {
    fn records_of(&self, _: u64, _: usize) -> Result<Vec<DeliveryRecord>, Refusal> {
        Ok(Vec::new())
    }

    fn backlog(&self) -> Result<Backlog, Refusal> {
        let lane = |host: &str| Lane {
            host: host.to_owned(),
            state: "backing-off".to_owned(),
            queued: 3,
            set_aside: 0,
            in_flight: 1,
            failures: 2,
            next_try_ms: Some(1_767_225_600_000),
            last_error: Some("no route".to_owned()),
            oldest_offset: Some(7),
            missed_from: Some(9),
        };
        Ok(Backlog {
            unexpanded: 5,
            lanes: vec![lane("b.example"), lane("a.example")],
        })
    }

    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, Refusal> {
        let letter = |id: &str| DeadLetter {
            id: id.to_owned(),
            host: "a.example".to_owned(),
            inbox: "https://a.example/inbox".to_owned(),
            cid: "baga".to_owned(),
            actor: "alice".to_owned(),
            offset: 9,
            status: Some(400),
            answer: "no".to_owned(),
            at_ms: 1_767_225_600_000,
        };
        Ok(["2", "1"].into_iter().map(letter).take(limit).collect())
    }

    fn waiting_of(&self, _: ActorNo, _: u64) -> Result<WaitingOf, Refusal> {
        Ok(WaitingOf {
            hosts: vec!["a.example".to_owned()],
            unexpanded: false,
        })
    }

    fn dead_letter_count(&self) -> Result<u64, Refusal> {
        Ok(2)
    }

    fn retry(&self, which: Selection) -> Result<u64, Refusal> {
        match which {
            Selection::All => Ok(2),
            Selection::Id(id) if id == "1" => Ok(1),
            _ => Err(Refusal::new(Code::NotFound, "there is no such dead letter")),
        }
    }

    fn discard(&self, which: Selection) -> Result<u64, Refusal> {
        self.retry(which)
    }

    fn wake(&self, host: &str) -> Result<bool, Refusal> {
        Ok(host == "a.example")
    }
}

struct Server {
    url: String,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _store: Store,
    _dir: tempfile::TempDir,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test owns its server and waits for its end"
)]
async fn server() -> Server {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = StoreOptions {
        engine: EngineKind::Memory,
        segment_bytes: 1 << 20,
        flush_every: std::time::Duration::from_secs(1),
        base_url: URL.to_owned(),
        secret: None,
    };
    let (store, _report) = Store::open(dir.path(), &options).expect("an empty store");
    let client = GuardedClient::new(&ClientOptions::new(URL)).expect("an HTTP client");
    let fetcher = Arc::new(Fetcher::new(
        Arc::new(client),
        PoolOptions::default(),
        clock::system(),
    ));
    let peers = Peers::new(Arc::clone(&fetcher), PeersOptions::default());
    let webfinger = WebFinger::new(Arc::clone(&fetcher), peers.clone(), true);
    let instance = Instance::new(URL).expect("a base URL");
    let node = Node::new(
        Parts {
            instance,
            store: &store,
            fetcher,
            peers,
            webfinger,
            hosts: HostPolicy::new(store.view(), Vec::new()),
        },
        clock::system(),
    );
    node.take_up_definitions().expect("the genesis");
    let folds = node.folds().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let state = AdminState {
        node,
        deliveries: Arc::new(Deliveries),
        token: Token::new("secret"),
        about: About {
            version: "0.0.0".into(),
            engine: "memory".into(),
            started_ms: 1_767_225_600_000,
        },
        routes: Router::new().route("/healthz", get(|| async { "ok\n" })),
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let served = tokio::spawn(async move {
        let folded = folds.run(stopped.clone());
        let served = serve(listener, state, stopped);
        let (served, folded) = tokio::join!(served, folded);
        served.expect("served to the end");
        folded.expect("folded to the end");
    });
    Server {
        url,
        stop,
        served,
        _store: store,
        _dir: dir,
    }
}

async fn client(server: &Server) -> Client {
    Client::connect(&server.url, "secret")
        .await
        .expect("a connection")
}

async fn actor(client: &Client, name: &str) -> proto::Published {
    let request = proto::CreateActorRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    let answer = client.create_actor(request).await.expect("a new actor");
    answer.published.expect("its Create")
}

async fn note(client: &Client, name: &str, text: &str) -> proto::Published {
    let request = proto::PublishRequest {
        actor: name.to_owned(),
        document_json: format!(r#"{{"type":"Note","content":"{text}"}}"#).into_bytes(),
        ..Default::default()
    };
    client
        .publish(request)
        .await
        .expect("published")
        .published
        .expect("what was published")
}

fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> String {
    match answer {
        Err(ClientError::Refused { code, detail, .. }) => format!("{code}: {detail}"),
        other => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_are_created_and_found() {
    let server = server().await;
    let client = client(&server).await;
    let published = actor(&client, "alice").await;
    assert_eq!((published.seq, published.offset), (1, 1));
    actor(&client, "bob").await;
    let again = proto::CreateActorRequest {
        name: "Alice".into(),
        ..Default::default()
    };
    assert!(code(client.create_actor(again).await).starts_with("conflict: "));
    let odd = proto::CreateActorRequest {
        name: "a b".into(),
        ..Default::default()
    };
    assert!(code(client.create_actor(odd).await).starts_with("envelope: "));
    let alice = client
        .actor(proto::GetActorRequest {
            name: "alice".into(),
        })
        .await
        .expect("alice");
    assert_eq!(
        (&*alice.url, &*alice.handle),
        ("http://127.0.0.1:1/actors/alice", "acct:alice@127.0.0.1:1")
    );
    let entry = alice.entry.expect("the entry of her document");
    assert_ne!(
        entry.cid, published.cid,
        "the document has a CID of its own"
    );
    assert_eq!((entry.offset, &*entry.state), (1, "active"));
    let by_url = proto::GetActivityRequest {
        cid_or_url: alice.url,
    };
    assert_eq!(
        client.activity(by_url).await.expect("the actor").cid,
        entry.cid
    );
    let missing = client
        .actor(proto::GetActorRequest {
            name: "nobody".into(),
        })
        .await;
    insta::assert_snapshot!(code(missing), @"no-such-actor: there is no actor `nobody` here; `fedsx actor list` shows who is");
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListActorsRequest {
            limit: 1,
            page_token,
        };
        let page = client.list_actors(request).await.expect("a page");
        names.extend(page.actors.into_iter().map(|actor| actor.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["alice", "bob"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_found_listed_and_paged() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    let mut cids = Vec::new();
    for n in 0..5 {
        cids.insert(0, note(&client, "alice", &format!("note {n}")).await.cid);
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListLogRequest {
            actor: "alice".into(),
            side: proto::Side::Outbox.into(),
            limit: 2,
            page_token,
        };
        let page = client.list_log(request).await.expect("a page");
        listed.extend(page.entries.into_iter().map(|entry| (entry.seq, entry.cid)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        listed.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        [6, 5, 4, 3, 2, 1]
    );
    assert!(
        listed.iter().map(|(_, cid)| cid).take(5).eq(&cids),
        "newest first"
    );
    for what in [&cids[2], "http://127.0.0.1:1/actors/alice"] {
        let request = proto::GetActivityRequest {
            cid_or_url: what.to_owned(),
        };
        assert!(client.activity(request).await.is_ok(), "{what}");
    }
    for (what, expected) in [
        ("baga", "malformed-cid: "),
        ("http://127.0.0.1:1/actors/nobody", "not-found: "),
    ] {
        let request = proto::GetActivityRequest {
            cid_or_url: what.to_owned(),
        };
        assert!(
            code(client.activity(request).await).starts_with(expected),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_are_found_by_any_of_their_names() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    actor(&client, "bob").await;
    let publish = |to: &str, visibility: proto::Visibility| {
        client.publish(proto::PublishRequest {
            actor: "alice".into(),
            document_json: br#"{"type":"Note","content":"hi"}"#.to_vec(),
            to: vec![to.to_owned()],
            visibility: visibility.into(),
            idempotency_key: None,
        })
    };
    for who in [
        "bob",
        "@bob@127.0.0.1:1",
        "acct:bob@127.0.0.1:1",
        "http://127.0.0.1:1/actors/bob",
    ] {
        let answer = publish(who, proto::Visibility::Direct).await.expect(who);
        let cid_or_url = answer.published.expect("what was published").cid;
        let entry = client
            .activity(proto::GetActivityRequest { cid_or_url })
            .await
            .expect("kept");
        assert_eq!(entry.visibility, "direct");
        let document = String::from_utf8(entry.document_json).expect("JSON");
        assert!(
            document.contains(r#""to":["http://127.0.0.1:1/actors/bob"]"#),
            "{document}"
        );
    }
    let unknown = publish("nobody", proto::Visibility::Direct).await;
    assert!(code(unknown).starts_with("no-such-actor: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_are_listed_with_their_state() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    actor(&client, "bob").await;
    let pair = proto::FollowRequest {
        actor: "bob".into(),
        who: "alice".into(),
        ..Default::default()
    };
    client.follow(pair).await.expect("asked");
    let list = || proto::ListRelationsRequest {
        actor: "bob".into(),
        ..Default::default()
    };
    let following = client
        .list_following(list())
        .await
        .expect("a list")
        .relations;
    assert_eq!(following.len(), 1);
    assert_eq!(following[0].peer, "http://127.0.0.1:1/actors/alice");
    let follow = following[0].follow.as_ref().expect("the Follow is kept");
    assert_eq!((&follow.state, follow.seq), (&following[0].state, 2));
    let myself = proto::FollowRequest {
        actor: "bob".into(),
        who: "bob".into(),
        ..Default::default()
    };
    assert!(matches!(
        client.follow(myself).await,
        Err(ClientError::Refused { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tail_shows_what_is_there_and_what_comes_and_ends_with_the_server() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    let mut tail = client
        .tail(proto::TailRequest {
            after_offset: Some(0),
        })
        .await
        .expect("a stream");
    let first = tail.next().await.expect("an entry").expect("an entry");
    assert_eq!((first.offset, &*first.places[0].actor), (1, "alice"));
    let published = note(&client, "alice", "live").await;
    let second = tail.next().await.expect("an entry").expect("an entry");
    assert_eq!(second.cid, published.cid);
    server.stop.cancel();
    assert!(matches!(
        tail.next().await,
        Err(ClientError::Unreachable { .. })
    ));
    server.served.await.expect("it ended in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_paged_and_selected() {
    let server = server().await;
    let client = client(&server).await;
    let first = client
        .lanes(proto::LanesRequest {
            limit: 1,
            ..Default::default()
        })
        .await
        .expect("lanes");
    let page_token = first.next_page_token;
    let second = client
        .lanes(proto::LanesRequest {
            limit: 1,
            page_token,
        })
        .await
        .expect("lanes");
    assert_eq!(
        (&*first.lanes[0].host, &*second.lanes[0].host),
        ("a.example", "b.example")
    );
    assert_eq!(second.next_page_token, "");
    assert_eq!((first.unexpanded, second.unexpanded), (5, 5));
    let letters = client
        .dead_letters(proto::DeadLettersRequest::default())
        .await
        .expect("letters");
    assert_eq!(letters.dead_letters.len(), 2);
    let selected = |which| Some(proto::Selection { which: Some(which) });
    let one = proto::RetryRequest {
        selection: selected(proto::selection::Which::Id("1".into())),
    };
    assert_eq!(client.retry(one).await.expect("retried").count, 1);
    let all = proto::DropRequest {
        selection: selected(proto::selection::Which::All(true)),
    };
    assert_eq!(client.discard(all).await.expect("dropped").count, 2);
    assert!(code(client.discard(proto::DropRequest::default()).await).starts_with("malformed: "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    let status = client
        .status(proto::StatusRequest { digest: false })
        .await
        .expect("the status");
    insta::assert_debug_snapshot!(status);
    let with = client
        .status(proto::StatusRequest { digest: true })
        .await
        .expect("the status");
    assert_eq!(with.digest.map(|digest| digest.len()), Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_only_health_and_the_further_routes_answer() {
    let server = server().await;
    let stranger = Client::connect(&server.url, "wrong")
        .await
        .expect("a connection");
    let refused = stranger.status(proto::StatusRequest::default()).await;
    assert!(code(refused).starts_with("token-required: "));
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /healthz HTTP/1.1\r\nhost: {address}\r\nx-request-id: mine\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
    assert!(answer.contains("x-request-id: mine"), "{answer}");
    let nowhere = Client::connect("http://127.0.0.1:1", "secret").await;
    assert!(matches!(nowhere, Err(ClientError::Unreachable { .. })));
}

/// All of a timeline, in pages of `limit`; `between` happens after the first.
async fn timeline(client: &Client, limit: u32, between: impl AsyncFnOnce()) -> Vec<proto::Entry> {
    let (mut entries, mut page_token) = (Vec::new(), String::new());
    let mut between = Some(between);
    loop {
        let request = proto::TimelineRequest {
            actor: "alice".into(),
            limit,
            page_token,
        };
        let page = client.timeline(request).await.expect("a page");
        assert_eq!(page.lag, 0, "it waits");
        assert!(page.entries.len() <= limit as usize);
        entries.extend(page.entries);
        if let Some(between) = between.take() {
            between().await;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return entries;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_goes_on_behind_what_its_projection_keeps() {
    let server = server().await;
    let client = client(&server).await;
    actor(&client, "alice").await;
    actor(&client, "bob").await;
    let to_alice = |number: usize| proto::PublishRequest {
        actor: "bob".into(),
        document_json: format!(r#"{{"type":"Note","content":"to {number}"}}"#).into_bytes(),
        to: vec!["alice".into()],
        ..Default::default()
    };
    let mut cids = Vec::new();
    for number in 0..230 {
        let published = if number % 10 == 0 {
            let answer = client.publish(to_alice(number)).await.expect("published");
            answer.published.expect("what was published")
        } else {
            note(&client, "alice", &format!("note {number}")).await
        };
        cids.insert(0, published.cid);
    }
    for limit in [1_000, 60, 7] {
        // Her own Create is not in it.
        let entries = timeline(&client, limit, async || {}).await;
        let listed: Vec<&String> = entries.iter().map(|entry| &entry.cid).collect();
        assert_eq!(listed, cids.iter().collect::<Vec<_>>(), "{limit}");
    }
    // What comes meanwhile pushes others out of the projection, and not out of the list.
    let entries = timeline(&client, 60, async || {
        for number in 0..20 {
            note(&client, "alice", &format!("later {number}")).await;
        }
    });
    let entries = entries.await;
    let listed: Vec<&String> = entries.iter().map(|entry| &entry.cid).collect();
    assert_eq!(listed, cids.iter().collect::<Vec<_>>());
    let received = |entry: &proto::Entry| {
        let inbox =
            |place: &&proto::Place| place.actor == "alice" && place.side() == proto::Side::Inbox;
        entry.places.iter().find(inbox).map(|place| place.seq)
    };
    let received: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.seq, received(entry)?)))
        .collect();
    assert_eq!(received.len(), 23);
    assert!(received.iter().all(|(seq, place)| seq == place));
    let wrong = proto::TimelineRequest {
        actor: "alice".into(),
        page_token: "7".into(),
        ..Default::default()
    };
    assert!(code(client.timeline(wrong).await).starts_with("malformed: "));
}

/// What each of alice's notes is under, by their length; some fail.
const LENGTHS: &str = r#"{"type":"DefineProjection","name":"lengths","on":["Create"],"initialState":0,
  "key":"(fn (act) (let ((text (get-in act [:object :content]))) (if (nil? text) [] (str (string-length text)))))",
  "fold":"(fn (state act) (if (= \"odd\" (get-in act [:object :content])) (error \"no odd\") (inc state)))"}"#;

/// Notes of alice of each length up to 40, two of length 2 and one that fails, with the projection of
/// their lengths; the second note of length 2, and where its definition stands.
async fn lengths(client: &Client) -> (proto::Published, proto::Published) {
    actor(client, "alice").await;
    for length in 1..=40 {
        note(client, "alice", &"x".repeat(length)).await;
    }
    let second = note(client, "alice", "xx").await;
    note(client, "alice", "odd").await;
    let request = proto::DefineRequest {
        actor: "alice".into(),
        document_json: LENGTHS.into(),
    };
    let defined = client.define(request).await.expect("defined");
    (second, defined.published.expect("its Create"))
}

fn query(key: Option<&str>, at: Option<u64>) -> proto::QueryProjectionRequest {
    proto::QueryProjectionRequest {
        name: "lengths".into(),
        key: key.map(str::to_owned),
        at,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_is_queried_now_and_as_it_was() {
    let server = server().await;
    let client = client(&server).await;
    let (second, definition) = lengths(&client).await;
    let request = proto::QueryProjectionRequest {
        wait: Some(definition.offset),
        ..query(Some("2"), None)
    };
    let two = client.projection(request).await.expect("a state");
    assert_eq!(two.state_json, b"2", "history is folded");
    let about = two.projection.expect("which");
    assert!(about.complete && about.keyed && about.offset >= definition.offset);
    assert_eq!(
        (&*about.scope, about.lag, about.failures),
        ("private", 0, 1)
    );
    let failed: Vec<u64> = two.failures.iter().map(|failure| failure.offset).collect();
    assert_eq!(failed, [second.offset + 1]);
    assert!(two.failures[0].error.contains("no odd"));
    assert!(two.failures[0].cid.starts_with("baga"));
    for (offset, expected) in [(second.offset - 1, "1"), (second.offset, "2"), (1, "0")] {
        let answer = client.projection(query(Some("2"), Some(offset))).await;
        let state = answer.expect("a state").state_json;
        assert_eq!(String::from_utf8(state).expect("JSON"), expected);
    }
    // Who has just published sees it.
    note(&client, "alice", "yy").await;
    let three = client.projection(query(Some("2"), None)).await;
    assert_eq!(three.expect("a state").state_json, b"3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projections_and_their_keys_are_paged() {
    let server = server().await;
    let client = client(&server).await;
    lengths(&client).await;
    let (mut keys, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::QueryProjectionRequest {
            limit: 17,
            page_token,
            ..query(None, None)
        };
        let page = client.projection(request).await.expect("a page");
        assert!(page.states.len() <= 17 && page.state_json.is_empty());
        keys.extend(page.states.into_iter().map(|state| state.key));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut expected: Vec<String> = (1..=40).map(|length: u32| length.to_string()).collect();
    expected.sort();
    assert_eq!(keys, expected);

    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = proto::ListProjectionsRequest {
            limit: 2,
            page_token,
        };
        let page = client.projections(request).await.expect("a page");
        names.extend(page.projections.into_iter().map(|one| one.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let expected = [
        "announcements",
        "endorsements",
        "lengths",
        "notes",
        "timeline",
    ];
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_is_rebuilt_beside_what_is_served() {
    let server = server().await;
    let client = client(&server).await;
    lengths(&client).await;
    let first = client.projection(query(Some("2"), None)).await;
    assert_eq!(first.expect("a state").state_json, b"2");
    let rebuild = |name: &str| proto::RebuildProjectionRequest { name: name.into() };
    let ordered = client.rebuild(rebuild("lengths")).await.expect("ordered");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let now = client.projection(query(Some("2"), None)).await;
        let now = now.expect("a state");
        assert_eq!(now.state_json, b"2", "served all the while");
        if now.projection.expect("which").generation > ordered.generation {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "never rebuilt");
    }
    let none = proto::QueryProjectionRequest {
        name: "none".into(),
        ..Default::default()
    };
    let refusals = [
        code(client.projection(none).await),
        code(client.rebuild(rebuild("none")).await),
        code(client.projection(query(Some(""), None)).await),
        code(client.projection(query(None, Some(1))).await),
    ];
    insta::assert_snapshot!(refusals.join("\n"));
}
