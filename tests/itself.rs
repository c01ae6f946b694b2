//! The actor that is the instance itself: what it is to others, and what is asked for and delivered with a
//! signature in the scheme that a host takes.

use fedsx_core::http_signature::Scheme;
use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};

use crate::harness::{Instance, Stranger, activity, eventually, inbox, outbox};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_instance_is_an_actor_and_none_of_its_actors() {
    let (mut here, there) = tokio::join!(Instance::start(), Instance::start());
    here.create(&["alice"]);
    let web = here.web();
    let itself = format!("{}/actor", here.url());
    let document: serde_json::Value =
        serde_json::from_slice(&web.get("/actor").await.body).expect("JSON");
    assert_eq!(document["id"], itself);
    assert_eq!(document["type"], "Application");
    assert_eq!(document["preferredUsername"], "127.0.0.1");
    let said: serde_json::Value =
        serde_json::from_slice(&web.get("/actor/outbox").await.body).expect("JSON");
    assert_eq!(said["totalItems"], 0);

    // Others find it by its handle, which leads back, and are told that it follows and is followed by nobody.
    there.create(&["bob"]);
    let handle = format!("acct:127.0.0.1@{}", here.authority());
    there.follow("bob", &handle);
    let follow = &outbox(&there, "bob")[1]["document"];
    assert_eq!(follow["object"], itself, "{follow}");
    let letter = eventually("a dead letter", async || {
        let letters = there.json(["dead-letters"]);
        let letter = letters.as_array().expect("a list").first();
        letter.cloned()
    })
    .await;
    assert_eq!(letter["status"], 403, "{letter}");
    there.is_refused("bob").await;

    // It takes nothing in, and nothing is done with it that is done with actors.
    let before = here.state();
    let answer = web.post("/actor/inbox", "{}").await;
    answer.refused(403, "not-authorised");
    let actors = here.json(["actor", "list"]);
    assert_eq!(actors.as_array().map(Vec::len), Some(1), "{actors}");
    for name in ["127.0.0.1", "actor"] {
        for command in ["show", "rotate-key", "keys"] {
            here.cli(["actor", command, name]).refused(1);
        }
    }
    assert_eq!(here.state(), before);

    // Its keys are kept.
    here.stop().await;
    here.restart().await;
    let again: serde_json::Value =
        serde_json::from_slice(&here.web().get("/actor").await.body).expect("JSON");
    assert_eq!(again, document);
}

/// Who follows alice and says something to her, on a host that demands signatures in that scheme; what it was
/// asked for.
async fn exchange(scheme: Scheme) -> String {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let there = Stranger::start(&["bob"]);
    there.demand(scheme);
    let (bob, alice) = (there.actor_url("bob"), here.actor_url("alice"));
    let web = here.web();
    let follow = activity(&bob, 1, "Follow", alice.as_str());
    let signed = there.signed("bob", &follow);
    web.post("/inbox", signed).await.taken("accepted");
    eventually("the Accept", async || {
        (there.delivered().len() == 1).then_some(())
    })
    .await;

    // Nothing vouches for it but its origin, which is asked with a signature.
    let note = Map::from([("type", "Note"), ("content", "by its origin")]);
    let mut create = activity(&bob, 2, "Create", note);
    create.insert("to", alice.as_str());
    there.serve(&create);
    let bytes = write(Notation::Json, &Value::Map(create));
    web.post("/inbox", bytes).await.taken("accepted");
    assert_eq!(inbox(&here, "alice").len(), 2);
    here.verify();
    there.asked().join("\n").replace(&here.url(), "HERE")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_demands_signatures_gets_them() {
    let asked = exchange(Scheme::Rfc9421).await;
    insta::assert_snapshot!(asked, @r"
    GET /actors/bob HERE/actor#ed25519-1 true
    POST /actors/bob/inbox HERE/actors/alice#ed25519-1 true
    GET /actors/bob/activities/019b76da-a800-7000-8000-000000000002 HERE/actor#ed25519-1 true
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_knows_the_older_scheme_alone_is_asked_in_it() {
    let asked = exchange(Scheme::Cavage).await;
    insta::assert_snapshot!(asked, @r"
    GET /actors/bob HERE/actor#ed25519-1 false
    GET /actors/bob HERE/actor#main-key true
    POST /actors/bob/inbox HERE/actors/alice#main-key true
    GET /actors/bob/activities/019b76da-a800-7000-8000-000000000002 HERE/actor#main-key true
    ");
}
