//! What readers ask for.

use bytes::Bytes;
use fedsx_core::cid::Cid;
use fedsx_core::notation::{Notation, read_document};
use fedsx_core::value::Value;
use fedsx_node::Published;
use tokio_util::sync::CancellationToken;

use crate::setting::{Answer, Here, Network, answer_of, page};

const LD_JSON: &str = "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";
const FIREFOX: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn alice() -> Here {
    let here = Here::new("here.example", &Network::default());
    here.actor("alice").await;
    here
}

/// The path of one of this instance's URLs.
fn path(url: &str) -> &str {
    url.strip_prefix("https://here.example")
        .expect("a URL of this instance")
}

/// The contents of the notes in a page of an outbox, in order; the verb where there is none.
fn contents(page: &Answer) -> Vec<String> {
    assert_eq!(page.status, 200, "{}", page.text());
    let map = page.map();
    let items = map
        .get("orderedItems")
        .and_then(Value::as_list)
        .expect("a page");
    let content = |item: &Value| {
        let object = item.get("object");
        let content = object
            .and_then(|object| object.get("content"))
            .and_then(Value::as_str);
        content.unwrap_or("-").to_owned()
    };
    items.iter().map(content).collect()
}

fn member(answer: &Answer, name: &str) -> Option<String> {
    answer
        .map()
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// The id of the object that an activity brought.
fn object_of(here: &Here, published: &Published) -> String {
    let document = here.document(published);
    let id = document.get("object").and_then(|object| object.get("id"));
    id.and_then(Value::as_str).expect("an id").to_owned()
}

#[tokio::test]
async fn the_instance_tells_of_itself() {
    let here = alice().await;
    let answers = [
        here.get("/", &[("accept", FIREFOX)]).await,
        here.get(
            "/.well-known/webfinger?resource=acct:alice@here.example",
            &[],
        )
        .await,
        here.get(
            "/.well-known/webfinger?resource=https%3A%2F%2Fhere.example%2Factors%2Falice",
            &[],
        )
        .await,
        here.get("/.well-known/webfinger", &[]).await,
        here.get(
            "/.well-known/webfinger?resource=acct:nobody@here.example",
            &[],
        )
        .await,
        here.get(
            "/.well-known/webfinger?resource=acct:alice@there.example",
            &[],
        )
        .await,
        here.get("/.well-known/webfinger?resource=%ff", &[]).await,
        here.get("/.well-known/nodeinfo", &[]).await,
        here.get("/nodeinfo/2.1", &[]).await,
        here.get("/.well-known/sx-capabilities", &[]).await,
        here.get(
            "/.well-known/sx-capabilities",
            &[("accept", "application/sx")],
        )
        .await,
    ];
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn actors_are_served() {
    let here = alice().await;
    let actor = "/actors/alice";
    let first = here.get(actor, &[]).await;
    let etag = first.headers["etag"].clone();
    let sx = here.get(actor, &[("accept", "application/sx")]).await;
    assert_ne!(sx.headers["etag"], etag, "an entity tag for each notation");
    let known = [("if-none-match", etag.as_str())];
    let answers = [
        first,
        here.get(actor, &[("accept", LD_JSON)]).await,
        sx,
        here.get(actor, &known).await,
        here.ask("HEAD", actor, &[], Bytes::new()).await,
        here.get(actor, &[("accept", "image/png")]).await,
        here.get("/actors/nobody", &[]).await,
        here.get("/actors/Alice", &[]).await,
        here.ask("DELETE", actor, &[], Bytes::new()).await,
        here.get("/actors/alice/followers", &[]).await,
        here.get("/actors/alice/following", &[]).await,
        here.get("/actors/nobody/followers", &[]).await,
        here.get("/actors/%ff", &[]).await,
    ];
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn an_outbox_is_paged() {
    let here = alice().await;
    let outbox = "/actors/alice/outbox";
    let followers = "https://here.example/actors/alice/followers";
    let first = here.note("alice", "one", &[]).await;
    here.note("alice", "secret", &[followers]).await;
    let direct = here
        .note("alice", "for bob", &["https://there.example/actors/bob"])
        .await;
    here.note("alice", "two", &[]).await;
    let last = here.note("alice", "three", &[]).await;

    let ask = |query: &str| {
        let path = format!("{outbox}?{query}");
        let here = &here;
        async move { here.get(&path, &[]).await }
    };
    assert_eq!(
        contents(&ask("page=true").await),
        ["three", "two", "one", "-"]
    );
    assert_eq!(contents(&ask("page=last&limit=2").await), ["one", "-"]);
    assert_eq!(
        contents(&ask("since=0").await),
        ["-", "one", "two", "three"]
    );
    assert_eq!(
        contents(&ask(&format!("since={}", first.cid)).await),
        ["two", "three"]
    );
    assert_eq!(
        contents(&ask(&format!("since={}", last.cid)).await),
        [""; 0]
    );
    assert_eq!(
        contents(&ask(&format!("before={}", first.seq)).await),
        ["-"]
    );

    // Page by page, either way, by what `next` says.
    for (start, expected) in [
        ("page=true&limit=1", ["three", "two", "one", "-"]),
        ("since=0&limit=1", ["-", "one", "two", "three"]),
    ] {
        let mut seen = Vec::new();
        let mut next = Some(format!("https://here.example{outbox}?{start}"));
        while let Some(url) = next {
            let page = here.get(path(&url), &[]).await;
            assert_eq!(member(&page, "id").as_deref(), Some(url.as_str()));
            seen.extend(contents(&page));
            next = member(&page, "next");
        }
        assert_eq!(seen, expected);
    }

    let answers = [
        here.get(outbox, &[]).await,
        ask("page=true&limit=1").await,
        here.get(
            &format!("{outbox}?since=0&limit=1"),
            &[("accept", "application/sx")],
        )
        .await,
        ask(&format!("since={}", direct.cid)).await,
        ask("since=nonsense").await,
        ask("limit=many").await,
        ask("before=1&since=1").await,
        here.get("/actors/nobody/outbox", &[]).await,
        here.post(outbox, "{}").await,
        here.post("/activity", "{}").await,
    ];
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn documents_are_served_as_they_were_kept() {
    let here = alice().await;
    let note = here.note("alice", "hello", &[]).await;
    let object = object_of(&here, &note);
    let artifact = format!("/artifacts/{}", note.cid);

    let json = here.get(&artifact, &[]).await;
    assert_eq!(json.body, here.bytes(&note), "byte by byte");
    let by_id = here.get(path(&note.id), &[]).await;
    assert_eq!(by_id.body, json.body);
    for (accept, notation) in [
        ("application/sx", Notation::Sx),
        ("application/cbor", Notation::Cbor),
    ] {
        let other = here.get(&artifact, &[("accept", accept)]).await;
        let map = read_document(notation, &other.body, 1 << 20).expect("the notation asked for");
        assert_eq!(map, here.document(&note));
    }
    let etag = json.headers["etag"].clone();
    assert_eq!(etag, format!("\"{}.json\"", note.cid));
    let answers = [
        json,
        here.get(&artifact, &[("accept", "application/sx")]).await,
        here.get(&artifact, &[("accept", "application/cbor")]).await,
        here.get(&artifact, &[("if-none-match", &etag)]).await,
        here.get(
            &artifact,
            &[("if-none-match", &etag), ("accept", "application/sx")],
        )
        .await,
        by_id,
        here.get(path(&object), &[]).await,
    ];
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn what_one_may_not_read_is_unknown() {
    let here = alice().await;
    let followers = "https://here.example/actors/alice/followers";
    for to in [followers, "https://there.example/actors/bob"] {
        let note = here.note("alice", "secret", &[to]).await;
        let object = object_of(&here, &note);
        let artifact = format!("/artifacts/{}", note.cid);
        for address in [path(&note.id), path(&object), &artifact] {
            let answer = here.get(address, &[]).await;
            assert_eq!(answer.code().as_deref(), Some("not-found"), "{address}");
        }
    }
    let unknown = Cid::of_document(fedsx_core::cid::Digest::of(b"nothing"));
    let raw = Cid::of_raw(b"nothing");
    let answers = [
        here.get(
            "/actors/alice/activities/019b76da-a800-7000-8000-000000000000",
            &[],
        )
        .await,
        here.get(
            "/actors/alice/objects/019b76da-a800-7000-8000-000000000000",
            &[],
        )
        .await,
        here.get(&format!("/artifacts/{unknown}"), &[]).await,
        here.get(&format!("/artifacts/{raw}"), &[]).await,
        here.get("/artifacts/bafy", &[]).await,
        here.get(
            "/artifacts/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
            &[],
        )
        .await,
        here.get("/nowhere", &[]).await,
    ];
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn the_admin_listener_is_watched() {
    let here = alice().await;
    here.get("/nowhere", &[]).await;
    let ask = |path: &'static str| answer_of(&here.admin, "GET", path, &[], Bytes::new());
    assert_eq!(ask("/healthz").await.text(), "ok\n");
    assert_eq!(ask("/readyz").await.text(), "ready\n");
    let metrics = ask("/metrics").await.text();
    for line in [
        "fedsx_http_answers_total{status=\"404\"} 1",
        "fedsx_http_refusals_total{code=\"not-found\"} 1",
        "fedsx_actors 1",
        "fedsx_journal_offset 1",
    ] {
        assert!(
            metrics.lines().any(|have| have == line),
            "{line}\n{metrics}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projections_are_served_in_every_notation_and_only_public_ones() {
    let here = alice().await;
    let published = here.note("alice", "hello", &[]).await;
    let private = here
        .note("alice", "hush", &["https://there.example/bob"])
        .await;
    let (note, hushed) = (object_of(&here, &published), object_of(&here, &private));
    here.node.take_up_definitions().expect("the genesis");
    let folds = here.node.folds().clone();
    let stop = CancellationToken::new();
    let end = here.node.view().applied();
    let path = format!("/projections/notes?key={note}&wait={end}");
    let asked = async {
        let mut answers = vec![here.get(&path, &[]).await];
        for accept in [
            "application/json",
            "application/sx",
            "application/cbor",
            "image/png",
        ] {
            answers.push(here.get(&path, &[("accept", accept)]).await);
        }
        let etag = answers[0].headers["etag"].clone();
        answers.push(here.get(&path, &[("if-none-match", &etag)]).await);
        for (path, accept) in [
            ("/projections", LD_JSON),
            ("/projections", "application/sx"),
            (&*format!("/projections/notes?key={hushed}"), LD_JSON),
            ("/projections/notes", LD_JSON),
            ("/projections/notes?key=", LD_JSON),
            ("/projections/notes?key=a&key=b", LD_JSON),
            ("/projections/notes?key=a&wait=-1", LD_JSON),
            ("/projections/timeline?key=a", LD_JSON),
            ("/projections/none", LD_JSON),
        ] {
            answers.push(here.get(path, &[("accept", accept)]).await);
        }
        stop.cancel();
        answers
    };
    let (folded, answers) = tokio::join!(folds.run(stop.clone()), asked);
    folded.expect("folds");
    let value = |answer: &Answer, notation| {
        read_document(notation, &answer.body, answer.body.len()).expect("a document")
    };
    let json = value(&answers[0], Notation::Json);
    assert_eq!(value(&answers[2], Notation::Sx), json);
    assert_eq!(value(&answers[3], Notation::Cbor), json);
    insta::assert_snapshot!(page(&answers));
}
