//! The main job: two instances find each other, follow, and deliver, and both remember it all.

use std::collections::BTreeSet;

use reqwest::header::ETAG;
use serde_json::{Value, json};

use crate::harness::{AS2, Instance, cids, eventually, inbox, notes_by, outbox};

/// alice on A and bob on B, each following the other.
async fn friends() -> (Instance, Instance) {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob"]);
    a.follow("alice", &b.handle("bob"));
    b.follow("bob", &a.actor_url("alice"));
    for (instance, name) in [(&a, "alice"), (&b, "bob")] {
        instance.following(name, 1).await;
        instance.followers(name, 1).await;
    }
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_bob_writes_reaches_alice_once_and_is_kept() {
    let (mut a, mut b) = friends().await;
    let text = "Is 1 < 2 & \"so\" on?";
    let note = b.post("bob", text);
    let arrived = eventually("bob's note in alice's inbox", async || {
        inbox(&a, "alice")
            .into_iter()
            .find(|entry| entry["cid"] == note)
    })
    .await;
    let document = &arrived["document"];
    assert_eq!(document["actor"], b.actor_url("bob"));
    let object = &document["object"];
    assert_eq!(object["content"], "Is 1 &lt; 2 &amp; &quot;so&quot; on?");
    assert_eq!(
        object["source"],
        json!({"content": text, "mediaType": "text/plain"})
    );
    let got = a.json(["get", &note]);
    assert_eq!(got["document"], *document);

    replayed_is_quiet(&a, &b, &note).await;
    a.delivered().await;
    b.delivered().await;
    let before = (logs(&a, "alice"), logs(&b, "bob"), a.state(), b.state());
    a.stop().await;
    b.stop().await;
    a.restart().await;
    b.restart().await;
    let after = (logs(&a, "alice"), logs(&b, "bob"), a.state(), b.state());
    assert_eq!(before, after, "a restart changes nothing");
    for instance in [&a, &b] {
        let report = instance.verify();
        assert_eq!(report["proofs"], report["activities"], "{report}");
    }
    timeline(&a, &b).await;
}

fn logs(instance: &Instance, name: &str) -> (Vec<Value>, Vec<Value>) {
    (outbox(instance, name), inbox(instance, name))
}

/// What B serves is what A has, and sent again it changes nothing.
async fn replayed_is_quiet(a: &Instance, b: &Instance, note: &str) {
    let served = b.web().get(&format!("/artifacts/{note}")).await;
    served.ok(AS2);
    let before = a.state();
    for inbox in ["/actors/alice/inbox", "/inbox"] {
        a.web()
            .post(inbox, served.body.clone())
            .await
            .taken("replay");
    }
    assert_eq!(a.state(), before);
}

/// Both sides of the talk, newest first, and nothing of its machinery.
async fn timeline(a: &Instance, b: &Instance) {
    let (bobs, mine) = (b.post("bob", "and again"), a.post("alice", "I see"));
    eventually("both sides in the timeline", async || {
        let list = a.json(["timeline", "alice", "--limit", "2"]);
        let list = cids(list.as_array().expect("a list"));
        (list.contains(&bobs) && list.contains(&mine)).then_some(())
    })
    .await;
    let all = a.json(["timeline", "alice"]);
    let all = all.as_array().expect("a list");
    assert!(
        all.iter()
            .all(|entry| entry["document"]["type"] == "Create"),
        "{all:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_over_http() {
    let a = Instance::start().await;
    let web = a.web();
    let created = a.json([
        "actor",
        "create",
        "alice",
        "--display-name",
        "Alice",
        "--summary",
        "Hi",
    ]);
    // It answers when all of it is served.
    let actor = web.get("/actors/alice").await.ok(AS2);
    assert_eq!(actor["id"], created["url"]);
    assert_eq!(
        (&actor["name"], &actor["summary"]),
        (&json!("Alice"), &json!("Hi"))
    );
    webfinger(&a).await;
    let capabilities = web.get_as("/.well-known/sx-capabilities", "*/*").await;
    assert!(capabilities.ok("application/json").is_object());
    let links = web
        .get_as("/.well-known/nodeinfo", "*/*")
        .await
        .ok("application/json");
    let link = links["links"][0]["href"]
        .as_str()
        .expect("a link")
        .to_owned();
    let nodeinfo = web.get_as(&link, "*/*").await;
    assert_eq!(nodeinfo.status, 200);
    assert_eq!(nodeinfo.json()["version"], "2.1");

    let posted: Vec<String> = (0..5)
        .map(|n| a.post("alice", &format!("note {n}")))
        .collect();
    pages(&a, &posted).await;
    artifacts(&a, &posted[0]).await;
    let note = a.json(["get", &posted[0]]);
    for id in [&note["document"]["id"], &note["document"]["object"]["id"]] {
        let served = web.get(id.as_str().expect("a URL")).await.ok(AS2);
        assert_eq!(served["id"], *id);
    }
    for closed in ["/actors/alice/outbox", "/activity"] {
        web.post(closed, b"{}".as_slice())
            .await
            .refused(401, "token-required");
    }
    web.get("/actors/alice/inbox")
        .await
        .refused(401, "token-required");
}

async fn webfinger(a: &Instance) {
    for resource in [a.handle("alice"), a.actor_url("alice")] {
        let answer = a
            .web()
            .get_as(
                &format!("/.well-known/webfinger?resource={resource}"),
                "*/*",
            )
            .await;
        let jrd = answer.ok("application/jrd+json");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(jrd["subject"], a.handle("alice"));
        let links = jrd["links"].as_array().expect("links");
        let me = links.iter().find(|link| link["rel"] == "self");
        assert_eq!(
            me.expect("a link to the actor")["href"],
            a.actor_url("alice")
        );
    }
}

/// The outbox is paged newest first, `since` oldest first, and the pages make the whole.
async fn pages(a: &Instance, posted: &[String]) {
    let url = format!("{}/outbox", a.actor_url("alice"));
    let outbox = a.web().get(&url).await.ok(AS2);
    assert_eq!(outbox["type"], "OrderedCollection");
    assert_eq!(outbox["totalItems"], 6, "her Create and five notes");
    let mut found = Vec::new();
    let mut next = Some(format!("{url}?page=true&limit=2"));
    while let Some(page) = next {
        let page = a.web().get(&page).await.ok(AS2);
        found.extend(items(&page));
        next = page["next"].as_str().map(str::to_owned);
    }
    let kept: Vec<String> = ids(&a.json(["outbox", "alice"]));
    assert_eq!(found, kept, "newest first");
    let page = a
        .web()
        .get(&format!("{url}?since={}&limit=2", posted[0]))
        .await
        .ok(AS2);
    let notes = a.json(["outbox", "alice"]);
    let notes = ids(&notes);
    assert_eq!(
        items(&page),
        [notes[3].clone(), notes[2].clone()],
        "oldest first"
    );
    let page = a
        .web()
        .get(&format!("{url}?before={}&limit=1", posted[1]))
        .await
        .ok(AS2);
    assert_eq!(items(&page), [notes[4].clone()]);
}

fn items(page: &Value) -> Vec<String> {
    let items = page["orderedItems"].as_array().expect("items");
    items.iter().map(id).collect()
}

fn ids(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().expect("a list");
    entries.iter().map(|entry| id(&entry["document"])).collect()
}

fn id(document: &Value) -> String {
    document["id"].as_str().expect("an id").to_owned()
}

/// One CID, three notations, each with its own `ETag`.
async fn artifacts(a: &Instance, cid: &str) {
    let path = format!("/artifacts/{cid}");
    let mut etags = BTreeSet::new();
    for accept in [AS2, "application/sx", "application/cbor"] {
        let served = a.web().get_as(&path, accept).await;
        assert_eq!(served.status, 200, "{}", served.text());
        let etag = served.header(ETAG.as_str()).to_owned();
        assert!(etag.starts_with(&format!("\"{cid}.")), "{etag}");
        let again = a.web().get_unless(&path, accept, &etag).await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        etags.insert(etag);
    }
    assert_eq!(etags.len(), 3);
    let none = a.web().get_as(&path, "image/png").await;
    none.refused(406, "not-acceptable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_are_asked_for_answered_and_ended() {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.json(["actor", "create", "alice", "--manual-approval"]);
    b.create(&["bob", "carol"]);
    b.follow("bob", &a.handle("alice"));
    b.follow("carol", &a.handle("alice"));
    let requests = eventually("both requests", async || {
        let list = a.json(["follow-requests", "alice"]);
        (list.as_array().map(Vec::len) == Some(2)).then_some(list)
    })
    .await;
    assert!(
        requests
            .as_array()
            .expect("a list")
            .iter()
            .all(|one| one["state"] == "pending")
    );
    assert_eq!(b.json(["following", "bob"])[0]["state"], "pending");
    a.json(["accept", "alice", &b.actor_url("bob")]);
    a.json(["reject", "alice", &b.handle("carol")]);
    b.following("bob", 1).await;
    a.followers("alice", 1).await;
    b.following("carol", 0).await;

    // What is for followers goes to them alone.
    let note = cid(&a.json(["post", "alice", "among us", "--visibility", "followers"]));
    eventually("the note among followers", async || {
        cids(&inbox(&b, "bob")).contains(&note).then_some(())
    })
    .await;
    a.web()
        .get(&format!("/artifacts/{note}"))
        .await
        .refused(404, "not-found");
    assert!(!cids(&inbox(&b, "carol")).contains(&note));

    b.json(["unfollow", "bob", &a.handle("alice")]);
    b.following("bob", 0).await;
    a.followers("alice", 0).await;
    let after = a.post("alice", "nobody listens");
    let direct = cid(&a.json(["post", "alice", "psst", "--to", &b.handle("bob")]));
    eventually("the note to bob", async || {
        cids(&inbox(&b, "bob")).contains(&direct).then_some(())
    })
    .await;
    // Order is kept per actor and host: had it been sent, it would be there.
    assert!(!cids(&inbox(&b, "bob")).contains(&after));
    assert!(!cids(&inbox(&b, "carol")).contains(&direct));
    assert_eq!(notes_by(&inbox(&b, "bob"), &a.actor_url("alice")).len(), 2);
}

fn cid(published: &Value) -> String {
    published["cid"].as_str().expect("a CID").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_published_in_json_and_sx() {
    let a = Instance::start().await;
    a.create(&["alice"]);
    let place = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in [
        ("note.json", r#"{"type": "Note", "content": "the same"}"#),
        ("note.sx", r#"(Note :content "the same")"#),
        ("create.sx", r#"(Create (Note :content "the same"))"#),
    ] {
        let file = place.path().join(name);
        std::fs::write(&file, text).expect("written");
        let published = a.json(["publish", "alice", file.to_str().expect("a path")]);
        let kept = a.json(["get", published["id"].as_str().expect("an id")]);
        let document = &kept["document"];
        assert_eq!(kept["cid"], published["cid"]);
        assert_eq!(document["type"], "Create", "{name}: {document}");
        assert_eq!(
            document["object"]["content"], "the same",
            "{name}: {document}"
        );
        assert_eq!(
            document["object"]["attributedTo"],
            a.actor_url("alice"),
            "{name}"
        );
    }
}
