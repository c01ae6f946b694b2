//! Bad input gets problem details with a stable code, and nothing of it is kept.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use fedsx_core::limits::{DEPTH, DOCUMENT_IN_BYTES};
use fedsx_core::notation::{Notation, write};
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};

use crate::harness::{AS2, Instance, Stranger, activity, inbox, now_ms};

const INBOX: &str = "/actors/alice/inbox";
const HOUR_MS: i64 = 3_600_000;

/// alice here; bob, whose follow she has accepted, and mallory at a host of strangers.
struct Scene {
    here: Instance,
    there: Stranger,
    follow: Map,
    before: (u64, String),
}

impl Scene {
    async fn new() -> Self {
        let here = Instance::start().await;
        here.create(&["alice"]);
        let there = Stranger::start(&["bob", "mallory"]);
        let alice = here.actor_url("alice");
        let follow = activity(&there.actor_url("bob"), 1, "Follow", alice);
        let signed = there.signed("bob", &follow);
        here.web().post(INBOX, signed).await.taken("accepted");
        here.followers("alice", 1).await;
        here.delivered().await;
        let before = here.state();
        Self {
            here,
            there,
            follow,
            before,
        }
    }

    /// A note of bob to alice, without its proof.
    fn note(&self) -> Map {
        let note = Map::from([("type", "Note"), ("content", "hello")]);
        let mut note = activity(&self.there.actor_url("bob"), 2, "Create", note);
        note.insert("to", self.here.actor_url("alice"));
        note
    }

    /// bob's note, signed by him, as text.
    fn signed(&self) -> String {
        let signed = self.there.signed("bob", &self.note());
        String::from_utf8(signed).expect("JSON")
    }

    /// The note with one member replaced, signed by bob.
    fn with(&self, name: &str, value: &str) -> Vec<u8> {
        let mut note = self.note();
        note.insert(name, value);
        self.there.signed("bob", &note)
    }

    /// A body that both inboxes must refuse, and that must leave no trace.
    async fn refused(&self, what: &str, body: impl Into<Vec<u8>>, status: u16, code: &str) {
        let body = body.into();
        for inbox in [INBOX, "/inbox"] {
            let answer = self.here.web().post(inbox, body.clone()).await;
            let found = (answer.status, answer.json()["code"].clone());
            assert_eq!(found, (status, code.into()), "{what} to {inbox}");
            answer.refused(status, code);
            self.unchanged(what);
        }
    }

    #[track_caller]
    fn unchanged(&self, what: &str) {
        assert_eq!(self.here.state(), self.before, "{what} left a trace");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_document_is_refused() {
    let scene = Scene::new().await;
    let good = scene.signed();
    let hello = "\"content\":\"hello\"";
    assert!(good.contains(hello), "{good}");
    let instead = |other: &str| good.replace(hello, other);
    let deep = format!("\"content\":{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    for (what, body) in [
        ("an empty body", String::new()),
        ("a truncated body", good[..good.len() / 2].to_owned()),
        (
            "a body without its last byte",
            good[..good.len() - 1].to_owned(),
        ),
        ("two documents", format!("{good}{good}")),
        ("no object", "[]".to_owned()),
        ("a key twice", instead(&format!("{hello},{hello}"))),
        ("2^53", instead("\"content\":9007199254740992")),
        ("-2^53", instead("\"content\":-9007199254740992")),
        ("a number beyond all", instead("\"content\":1e400")),
        ("no number", instead("\"content\":NaN")),
        ("a lone high surrogate", instead("\"content\":\"\\ud800\"")),
        ("a lone low surrogate", instead("\"content\":\"\\udc00 \"")),
        ("a depth bomb", "[".repeat(500_000)),
        ("a document too deep", instead(&deep)),
    ] {
        scene.refused(what, body, 400, "malformed").await;
    }
    let mut latin1 = good.clone().into_bytes();
    latin1.push(0xe9);
    scene.refused("no UTF-8", latin1, 400, "malformed").await;
    let large = vec![b' '; DOCUMENT_IN_BYTES + 1];
    scene
        .refused("an oversized body", large, 413, "too-large")
        .await;

    let (web, body) = (scene.here.web(), good.into_bytes());
    for (media_type, status, code) in [
        (None, 415, "media-type"),
        (Some("text/plain"), 415, "media-type"),
        (Some("application/xml"), 415, "media-type"),
        (Some("application/cbor"), 400, "malformed"),
        (Some("application/sx"), 400, "malformed"),
    ] {
        let answer = web.post_as(INBOX, media_type, body.clone()).await;
        answer.refused(status, code);
    }
    scene.unchanged("the wrong media type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_its_actors_is_refused() {
    let scene = Scene::new().await;
    let note = scene.note();
    let altered = scene.signed().replace("hello", "HELLO");
    scene
        .refused("an altered activity", altered, 401, "bad-signature")
        .await;
    let other = scene.there.signed("mallory", &note);
    scene
        .refused("a proof by another's key", other, 401, "bad-signature")
        .await;
    let mut extended = scene.there.proved("bob", &note);
    let context = extended.get("@context").and_then(Value::as_list);
    let mut context = context.expect("a list").clone();
    context.push(Value::from("https://evil.example/context"));
    extended.insert("@context", context);
    let extended = json(&extended);
    scene
        .refused("an extended context", extended, 401, "bad-signature")
        .await;
    scene
        .refused("no proof at all", json(&note), 401, "bad-signature")
        .await;
    let mut of_alice = note.clone();
    let alice = scene.here.actor_url("alice");
    of_alice.insert(
        "id",
        format!("{alice}/activities/019b76da-a800-7000-8000-000000000001"),
    );
    of_alice.insert("actor", alice);
    let of_alice = scene.there.signed("bob", &of_alice);
    scene
        .refused("one of ours", of_alice, 403, "not-authorised")
        .await;

    let id = scene
        .follow
        .get("id")
        .and_then(Value::as_str)
        .expect("an id");
    let mallory = scene.there.actor_url("mallory");
    let undo = activity(&mallory, 3, "Undo", id);
    let undo = scene.there.signed("mallory", &undo);
    scene
        .refused("an Undo by a stranger", undo, 403, "not-authorised")
        .await;
    let whole = activity(&mallory, 4, "Undo", Value::Map(scene.follow.clone()));
    let whole = scene.there.signed("mallory", &whole);
    scene
        .refused(
            "an Undo of an embedded Follow",
            whole,
            403,
            "not-authorised",
        )
        .await;
    scene.here.followers("alice", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_envelope_is_refused() {
    let scene = Scene::new().await;
    for (what, body) in [
        ("no id", "{\"type\":\"Create\"}".into()),
        (
            "an id elsewhere",
            scene.with("id", "https://elsewhere.example/1"),
        ),
        ("an id that is no URL", scene.with("id", "1")),
        ("no time", scene.with("published", "yesterday")),
    ] {
        scene.refused(what, body, 422, "envelope").await;
    }
    let late = format_rfc3339_ms(now_ms() + HOUR_MS + 60_000);
    let late = scene.with("published", &late);
    scene.refused("a time ahead", late, 422, "future").await;

    let (web, good) = (scene.here.web(), scene.signed());
    web.post(INBOX, good.clone()).await.taken("accepted");
    let kept = inbox(&scene.here, "alice");
    let other = scene.with("summary", "another text under the same id");
    web.post(INBOX, other.clone())
        .await
        .refused(409, "equivocation");
    // The pair is kept as evidence, once, and joins no log.
    let before = scene.here.state();
    for body in [other, scene.with("summary", "and a third one")] {
        web.post(INBOX, body).await.refused(409, "equivocation");
    }
    web.post(INBOX, good).await.taken("replay");
    assert_eq!(scene.here.state(), before);
    assert_eq!(inbox(&scene.here, "alice"), kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_means_nothing_here_is_taken_and_changes_nothing() {
    let scene = Scene::new().await;
    let web = scene.here.web();
    let again = scene.there.signed("bob", &scene.follow);
    for inbox in [INBOX, "/inbox"] {
        web.post(inbox, again.clone()).await.taken("replay");
        scene.unchanged("a replay");
    }
    let (alice, bob) = (scene.here.actor_url("alice"), scene.there.actor_url("bob"));
    let follow = activity(&alice, 1, "Follow", bob.as_str());
    let accept = activity(&bob, 5, "Accept", Value::Map(follow));
    let accept = scene.there.signed("bob", &accept);
    let answer = web.post(INBOX, accept).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    scene.here.following("alice", 0).await;
    scene.unchanged("an Accept that nobody asked for");
    let elsewhere = activity(&bob, 6, "Like", "https://elsewhere.example/1");
    let elsewhere = scene.there.signed("bob", &elsewhere);
    web.post("/inbox", elsewhere).await.taken("dropped");
    scene.unchanged("what is about nobody here");
    let mallory = scene.there.actor_url("mallory");
    let gone = scene.there.signed(
        "mallory",
        &activity(&mallory, 7, "Delete", mallory.as_str()),
    );
    let answer = web.post("/inbox", gone).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    scene.unchanged("a stranger's Delete of itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_can_t_be_asked_may_come_again() {
    let scene = Scene::new().await;
    let nowhere = "http://127.0.0.1:1/actors/carol";
    let mut note = activity(nowhere, 1, "Create", Map::from([("type", "Note")]));
    note.insert("to", scene.here.actor_url("alice"));
    let body = scene.there.signed("bob", &note);
    let answer = scene.here.web().post(INBOX, body).await;
    // A proof by a key of another origin is none at all, so that the origin itself is asked.
    assert!([401, 503].contains(&answer.status), "{}", answer.text());
    let mut theirs = note.clone();
    theirs.remove("proof");
    let answer = scene.here.web().post(INBOX, json(&theirs)).await;
    answer.refused(503, "keys-unresolved");
    let after: u32 = answer.header("retry-after").parse().expect("seconds");
    assert!(after >= 1);
    scene.unchanged("a note of somebody unreachable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_said_to_be_missing() {
    let scene = Scene::new().await;
    let web = scene.here.web();
    let good = scene.signed();
    web.post("/actors/nobody/inbox", good)
        .await
        .refused(404, "no-such-actor");
    let cid = "baga6yaqseadzh2gzpyw6jomjwkznpjp25dhzihyqfib4b3fladyd5krdgddfa";
    let malformed = [
        "/artifacts/nonsense".to_owned(),
        format!("/artifacts/{}", &cid[..cid.len() - 1]),
        format!("/artifacts/{}", cid.to_uppercase()),
        "/actors/alice/outbox?page=true&since=nonsense".to_owned(),
    ];
    for path in malformed {
        web.get(&path).await.refused(400, "malformed-cid");
    }
    for query in ["", "?", "?resource=", "?rel=self"] {
        let answer = web.get(&format!("/.well-known/webfinger{query}")).await;
        answer.refused(400, "missing-resource");
    }
    for (path, code) in [
        (format!("/artifacts/{cid}"), "not-found"),
        ("/actors/nobody".to_owned(), "no-such-actor"),
        ("/actors/nobody/outbox".to_owned(), "no-such-actor"),
        ("/nowhere".to_owned(), "not-found"),
    ] {
        web.get(&path).await.refused(404, code);
    }
    for resource in ["acct:nobody@", "acct:alice@elsewhere.example"] {
        let resource = match resource {
            "acct:nobody@" => scene.here.handle("nobody"),
            other => other.to_owned(),
        };
        let answer = web
            .get(&format!("/.well-known/webfinger?resource={resource}"))
            .await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    scene.unchanged("looking around");
}

/// A body that ends before its length, and a request that is none at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_leaves_nothing() {
    let scene = Scene::new().await;
    let good = scene.signed();
    let head = format!(
        "POST {INBOX} HTTP/1.1\r\nhost: {}\r\ncontent-type: {AS2}\r\ncontent-length: {}\r\n\r\n",
        scene.here.authority(),
        good.len() + 1
    );
    for request in [format!("{head}{good}"), head, "\u{0}\r\n\r\n".to_owned()] {
        let mut stream = TcpStream::connect(scene.here.authority()).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        // What counts is that it ends; an abrupt end is one.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        scene.unchanged("a cut connection");
    }
    let answer = scene.here.web().post(INBOX, good).await;
    answer.taken("accepted");
}

fn json(document: &Map) -> Vec<u8> {
    write(Notation::Json, &Value::Map(document.clone()))
}
