//! Bearer tokens: by one, an actor's own client publishes and reads its inbox over HTTP, and nobody
//! else does, whatever is killed in between.

use serde_json::{Value, json};

use crate::harness::{AS2, Instance, Web};

/// A new token of an actor: its id and the whole of it.
fn token(here: &Instance, name: &str, scope: &str) -> (String, String) {
    let issued = here.json(["actor", "token", "create", name, "--scope", scope]);
    let text = |member: &str| issued[member].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

fn note(content: &str) -> Vec<u8> {
    json!({"type": "Note", "content": content})
        .to_string()
        .into_bytes()
}

/// Publishes, which must succeed.
async fn published(web: &Web, path: &str, document: Vec<u8>) -> Value {
    let answer = web.post(path, document).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let told = answer.json();
    assert_eq!(answer.header("location"), told["id"]);
    assert_eq!(answer.header("cache-control"), "no-store");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_publishes_with_its_actors_token() {
    let here = Instance::start().await;
    here.create(&["alice", "bob"]);
    let (_, secret) = token(&here, "alice", "publish");
    let web = here
        .web()
        .with_header("authorization", &format!("Bearer {secret}"));
    let told = published(&web, "/actors/alice/outbox", note("hello")).await;
    let path = told["id"].as_str().expect("a URL");
    let document = here.web().get(path).await.ok(AS2);
    assert_eq!(document["type"], "Create");
    assert_eq!(document["actor"], *here.actor_url("alice"));
    assert_eq!(document["object"]["content"], "hello");
    let again = published(&web, "/activity", note("as whoever the token says")).await;
    assert_eq!(again["seq"], told["seq"].as_u64().expect("a place") + 1);

    let keyed = web.clone().with_header("idempotency-key", "once");
    let first = published(&keyed, "/actors/alice/outbox", note("once")).await;
    let before = here.state();
    let second = published(&keyed, "/actors/alice/outbox", note("once")).await;
    assert_eq!((&second, here.state()), (&first, before.clone()));

    let of_bob = json!({"type": "Create", "actor": here.actor_url("bob"), "object": {"type": "Note", "content": "x"}});
    for path in ["/actors/alice/outbox", "/activity"] {
        let answer = web.post(path, of_bob.to_string()).await;
        answer.refused(403, "not-authorised");
        web.post(path, "{").await.refused(400, "malformed");
        let text = web.post_as(path, Some("text/plain"), note("x")).await;
        text.refused(415, "media-type");
    }
    let other = web.post("/actors/bob/outbox", note("x")).await;
    other.refused(403, "not-authorised");
    let unread = web.get("/actors/alice/inbox").await;
    unread.refused(403, "not-authorised");
    assert_eq!(here.state(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_reads_the_inbox_until_it_is_revoked_whatever_is_killed() {
    let mut here = Instance::start().await;
    here.create(&["alice", "bob"]);
    let (id, secret) = token(&here, "alice", "read");
    let (_, of_bob) = token(&here, "bob", "publish,read");
    let bearing = |secret: &str| format!("Bearer {secret}");
    let alice = here.web().with_header("authorization", &bearing(&secret));
    let bob = here.web().with_header("authorization", &bearing(&of_bob));
    let direct = json!({"type": "Note", "content": "for alice", "to": here.actor_url("alice")});
    let told = published(&bob, "/activity", direct.to_string().into_bytes()).await;
    here.delivered().await;

    here.kill();
    here.restart().await;
    let collection = alice.get("/actors/alice/inbox").await;
    assert_eq!(collection.header("cache-control"), "no-store");
    let collection = collection.ok(AS2);
    assert_eq!(collection["totalItems"], 1, "{collection}");
    let first = collection["first"].as_str().expect("a page");
    let page = alice.get(first).await.ok(AS2);
    assert_eq!(page["orderedItems"][0]["id"], told["id"], "{page}");
    assert_eq!(page["orderedItems"][0]["object"]["content"], "for alice");
    let other = bob.get("/actors/alice/inbox").await;
    other.refused(403, "not-authorised");
    let unpublished = alice.post("/activity", note("x")).await;
    unpublished.refused(403, "not-authorised");

    let listed = here.json(["actor", "token", "list", "alice"]);
    assert_eq!(listed[0]["id"], *id);
    assert_eq!(listed[0]["scopes"], json!(["read"]));
    assert!(listed[0].get("token").is_none(), "{listed}");
    here.cli(["actor", "token", "revoke", "bob", &id])
        .refused(1);
    here.json(["actor", "token", "revoke", "alice", &id]);
    for _ in 0..2 {
        let refused = alice.get("/actors/alice/inbox").await;
        refused.refused(401, "token-required");
        here.kill();
        here.restart().await;
    }
    assert_eq!(here.json(["actor", "token", "list", "alice"]), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tries_tokens_is_soon_told_to_wait() {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let bare = here.web().post("/activity", note("x")).await;
    bare.refused(401, "token-required");
    assert_eq!(bare.header("www-authenticate"), "Bearer");
    let wrong = format!("Bearer fedsx_{}_{}", "0".repeat(16), "0".repeat(64));
    let wrong = here.web().with_header("authorization", &wrong);
    let mut last = wrong.post("/activity", note("x")).await;
    last.refused(401, "token-required");
    for _ in 0..40 {
        last = wrong.post("/activity", note("x")).await;
    }
    last.refused(429, "rate-limited");
    let after: u32 = last.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&after), "{after}");
}
