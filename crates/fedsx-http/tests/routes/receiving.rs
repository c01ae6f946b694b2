//! What others deliver.

use bytes::Bytes;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::{Notation, read_document, write};
use fedsx_core::proof::sign;
use fedsx_core::value::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::setting::{Here, Network, page};

const INBOX: &str = "/actors/alice/inbox";
const ALICE: &str = "https://here.example/actors/alice";
const BOB: &str = "https://there.example/actors/bob";
const MALLORY: &str = "https://there.example/actors/mallory";

/// alice here, bob there.
async fn two() -> (Here, Here) {
    let network = Network::default();
    let (here, there) = (
        Here::new("here.example", &network),
        Here::new("there.example", &network),
    );
    here.actor("alice").await;
    there.actor("bob").await;
    (here, there)
}

#[tokio::test]
async fn a_follow_is_accepted_once() {
    let (here, there) = two().await;
    let follow = there
        .node
        .follow("bob", "https://here.example/actors/alice")
        .await;
    let follow = there.bytes(&follow.expect("a follow"));
    let first = here.post(INBOX, follow.clone()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let again = here.post(INBOX, follow.clone()).await;
    let shared = here.post("/inbox", follow.clone()).await;
    insta::assert_snapshot!(page(&[first, again, shared]));

    // The answer is made beside, and counted where everybody sees it.
    let stop = CancellationToken::new();
    let mut applied = here.node.view().watch();
    let accepted = async {
        loop {
            let state = here.node.view().state();
            let alice = state
                .actor_by_name("alice")
                .expect("it reads")
                .expect("she is here");
            let relation = state
                .relation(alice.no, Direction::Follower, BOB)
                .expect("it reads");
            if relation.phase == Phase::Accepted {
                break;
            }
            applied.changed().await.expect("the store is open");
        }
        stop.cancel();
    };
    tokio::join!(here.node.clone().run(stop.clone()), accepted);
    let followers = here.get("/actors/alice/followers", &[]).await;
    assert!(
        followers.text().contains("\"totalItems\":1"),
        "{}",
        followers.text()
    );
}

#[tokio::test]
async fn bad_input_is_refused_and_nothing_is_kept() {
    let (here, there) = two().await;
    let follow = there
        .node
        .follow("bob", "https://here.example/actors/alice")
        .await;
    let good = there.bytes(&follow.expect("a follow"));
    let text = String::from_utf8(good.to_vec()).expect("JSON");
    let before = here.node.view().applied();

    let bodies: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("truncated", text[..text.len() / 2].to_owned()),
        ("no object", "[]".to_owned()),
        ("a key twice", "{\"id\":1,\"id\":2}".to_owned()),
        ("2^53", "{\"id\":9007199254740992}".to_owned()),
        ("a lone surrogate", "{\"id\":\"\\ud800\"}".to_owned()),
        ("a depth bomb", "[".repeat(100_000)),
        ("no envelope", "{\"type\":\"Create\"}".to_owned()),
        ("altered", text.replace("\"Follow\"", "\"Like\"")),
        ("too large", "x".repeat(DOCUMENT_IN_BYTES + 1)),
    ];
    let mut answers = Vec::new();
    for (what, body) in bodies {
        let mut answer = here.post(INBOX, body).await;
        assert!(answer.status >= 400, "{what}: {}", answer.text());
        answer.name(what);
        answers.push(answer);
    }
    let ask = |method: &'static str, path: &'static str, content_type: Option<&'static str>| {
        let (here, good) = (&here, good.clone());
        async move {
            let headers: Vec<_> = content_type
                .map(|kind| ("content-type", kind))
                .into_iter()
                .collect();
            here.ask(
                method,
                path,
                &headers,
                if method == "GET" { Bytes::new() } else { good },
            )
            .await
        }
    };
    answers.extend([
        ask(
            "POST",
            "/actors/nobody/inbox",
            Some("application/activity+json"),
        )
        .await,
        ask("POST", INBOX, None).await,
        ask("POST", INBOX, Some("text/plain")).await,
        ask("POST", INBOX, Some("application/cbor")).await,
        ask("GET", INBOX, None).await,
        ask("GET", "/inbox", None).await,
        ask("PUT", INBOX, Some("application/activity+json")).await,
    ]);
    assert_eq!(here.node.view().applied(), before, "nothing is kept");
    insta::assert_snapshot!(page(&answers));
}

/// A document with a proof by the key of that actor of `there`.
fn proved(there: &Here, signer: &str, document: &Map) -> Vec<u8> {
    let actor = there.node.actor(signer).expect("an actor");
    let signer = there.node.signer(&actor).expect("its key");
    let signed = sign(document, &*signer, there.node.now_ms());
    write(Notation::Json, &Value::Map(signed))
}

/// bob's follow of alice, without its proof.
async fn unsigned_follow(there: &Here) -> Map {
    let follow = there.node.follow("bob", ALICE).await.expect("a follow");
    let mut follow = there.document(&follow);
    follow.remove("proof");
    follow
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let (here, there) = two().await;
    there.actor("mallory").await;
    let follow = unsigned_follow(&there).await;
    let with = |name: &str, value: &str| {
        let mut other = follow.clone();
        other.insert(name, value);
        proved(&there, "bob", &other)
    };
    let signed = proved(&there, "bob", &follow);
    let mut extended = read_document(Notation::Json, &signed, 1 << 20).expect("a document");
    let mut context = extended
        .get("@context")
        .and_then(Value::as_list)
        .expect("a list")
        .clone();
    context.push(Value::from("https://evil.example/context"));
    extended.insert("@context", context);

    let mut answers = Vec::new();
    for (what, body) in [
        (
            "a proof by another's key",
            proved(&there, "mallory", &follow),
        ),
        (
            "a context that was extended",
            write(Notation::Json, &Value::Map(extended)),
        ),
        ("an id elsewhere", with("id", "https://elsewhere.example/1")),
        (
            "published in the future",
            with("published", "2026-01-01T01:00:01Z"),
        ),
    ] {
        let before = here.node.view().applied();
        let mut answer = here.post(INBOX, body).await;
        answer.name(what);
        assert_eq!(here.node.view().applied(), before, "{what}");
        answers.push(answer);
    }
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn what_means_nothing_changes_nothing() {
    let (here, there) = two().await;
    there.actor("mallory").await;
    let follow = unsigned_follow(&there).await;
    let id = follow.get("id").and_then(Value::as_str).expect("an id");
    let about = |who: &str, verb: &str, what: &str| {
        let mut about = follow.clone();
        about.insert(
            "id",
            format!("{who}/activities/019b76da-a800-7000-8000-000000000000"),
        );
        about.insert("type", verb);
        about.insert("actor", who);
        about.insert("object", what);
        about
    };
    let unknown = format!("{ALICE}/activities/019b76da-a800-7000-8000-000000000001");

    let mut answers = Vec::new();
    for (what, body) in [
        ("the follow itself", proved(&there, "bob", &follow)),
        (
            "an Undo by a stranger",
            proved(&there, "mallory", &about(MALLORY, "Undo", id)),
        ),
        (
            "an Accept that nobody asked for",
            proved(&there, "bob", &about(BOB, "Accept", &unknown)),
        ),
    ] {
        let mut answer = here.post(INBOX, body).await;
        answer.name(what);
        answers.push(answer);
    }
    let state = here.node.view().state();
    let no = here.node.actor("alice").expect("she is here").no;
    let relation = state
        .relation(no, Direction::Follower, BOB)
        .expect("it reads");
    assert_eq!(
        relation.phase,
        Phase::Pending,
        "the stranger's Undo changes nothing"
    );
    let relation = state
        .relation(no, Direction::Following, BOB)
        .expect("it reads");
    assert_eq!(relation.phase, Phase::None, "nor does the Accept");
    insta::assert_snapshot!(page(&answers));
}

#[tokio::test]
async fn a_sender_that_can_t_be_asked_may_come_again() {
    let (here, _) = two().await;
    let elsewhere = Here::new("elsewhere.example", &Network::default());
    elsewhere.actor("carol").await;
    let note = elsewhere.note("carol", "hi", &[ALICE]).await;
    let answer = here.post(INBOX, elsewhere.bytes(&note)).await;
    insta::assert_snapshot!(page(&[answer]));
}
