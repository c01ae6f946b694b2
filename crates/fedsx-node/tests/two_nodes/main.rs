//! Two nodes over an in-memory transport: the whole path of follows and notes, and what hostile input
//! gets, without a server.

mod announce;
mod backfill;
mod comparing;
mod definitions;
mod erasure;
mod farewell;
mod groups;
mod harness;
mod keys;
mod learning;
mod logs;
mod moving;
mod profile;
mod projections;
mod triggers;

use std::time::Duration;

use fedsx_core::cid::Cid;
use fedsx_core::entry::LogId;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::notation::Notation;
use fedsx_core::proof;
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Status};
use fedsx_store::SeqRange;
use fedsx_store::engine::EngineKind;

use harness::{Instance, Net, note};

async fn followed(net: &Net) -> (Instance, Instance) {
    let (a, b) = (
        net.instance("a.test", EngineKind::Memory),
        net.instance("b.test", EngineKind::Memory),
    );
    a.create("alice", false).await;
    b.create("bob", false).await;
    follow(&a, &b).await;
    (a, b)
}

/// alice follows bob, who lets her.
async fn follow(a: &Instance, b: &Instance) {
    let asked = a.node.follow("alice", "acct:bob@b.test").await;
    asked.expect("follows");
    a.carry(b).await;
    b.settle().await;
    b.carry(a).await;
}

fn phase(instance: &Instance, name: &str, direction: Direction, peer: &str) -> Phase {
    let actor = instance.node.actor(name).expect("an actor");
    let state = instance.node.view().state();
    state
        .relation(actor.no, direction, peer)
        .expect("reads")
        .phase
}

const ALICE: &str = "https://a.test/actors/alice";
const BOB: &str = "https://b.test/actors/bob";

#[tokio::test]
async fn a_follow_is_accepted_and_a_note_arrives_once() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    assert_eq!(
        phase(&a, "alice", Direction::Following, BOB),
        Phase::Accepted
    );
    assert_eq!(
        phase(&b, "bob", Direction::Follower, ALICE),
        Phase::Accepted
    );
    let published = b
        .node
        .publish("bob", note("hello"), PublishOptions::default())
        .await;
    let published = published.expect("publishes");
    let document = b.document(&published.cid);
    for expected in [Status::Accepted, Status::Replay, Status::Replay] {
        let receipt = a.receive(None, &document).await.expect("accepted");
        assert_eq!((receipt.cid, receipt.status), (published.cid, expected));
    }
    let own = a.receive(Some("alice"), &document).await.expect("accepted");
    assert_eq!(own.status, Status::Replay, "the own inbox is the same log");
    let alice = a.node.actor("alice").expect("an actor");
    let log = a
        .node
        .view()
        .log(LogId::inbox(alice.no), SeqRange::default(), true, 10);
    let log = log.expect("reads");
    assert_eq!(
        log[0].stored.activity().map(|note| note.digest),
        Some(published.cid.digest)
    );
    a.node.unfollow("alice", BOB).await.expect("unfollows");
    a.carry(&b).await;
    assert_eq!(phase(&b, "bob", Direction::Follower, ALICE), Phase::None);
    let second = b
        .node
        .publish("bob", note("unheard"), PublishOptions::default())
        .await;
    let second = b.document(&second.expect("publishes").cid);
    let dropped = a.receive(None, &second).await.expect("answered");
    assert!(matches!(dropped.status, Status::Dropped(_)));
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_hidden_recipient_who_follows_nobody_has_what_comes_to_its_own_inbox() {
    let net = Net::default();
    let (a, b) = (
        net.instance("a.test", EngineKind::Memory),
        net.instance("b.test", EngineKind::Memory),
    );
    a.create("alice", false).await;
    b.create("bob", false).await;
    let said = |to: &str| {
        Map::from([
            ("type", Value::from("Create")),
            ("object", note("between us").into()),
            ("to", vec![to].into()),
            ("bto", vec![BOB].into()),
        ])
    };
    let options = PublishOptions::default;
    let private = said("https://c.test/actors/carol");
    let private = a.node.publish("alice", private, options()).await;
    let private = a.document(&private.expect("publishes").cid);
    assert!(!private.contains_key("bto"));
    let shared = b.receive(None, &private).await.expect("answered");
    assert!(
        matches!(shared.status, Status::Dropped(_)),
        "it names nobody"
    );
    let own = b.receive(Some("bob"), &private).await.expect("accepted");
    assert_eq!(own.status, Status::Accepted);
    // What everybody may read anybody could send him.
    let public = said(fedsx_core::audience::PUBLIC);
    let public = a.node.publish("alice", public, options()).await;
    let public = a.document(&public.expect("publishes").cid);
    let dropped = b.receive(Some("bob"), &public).await.expect("answered");
    assert!(matches!(dropped.status, Status::Dropped(_)));
    // Nor is what changes the relations of others his.
    let carol = "https://c.test/actors/carol";
    let follow = a.raw("alice", "Follow", carol.into(), carol);
    let other = b.receive(Some("bob"), &follow).await.expect("answered");
    assert!(matches!(other.status, Status::Dropped(_)));
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn follows_answered_by_hand_wait() {
    let net = Net::default();
    let (a, b) = (
        net.instance("a.test", EngineKind::Memory),
        net.instance("b.test", EngineKind::Memory),
    );
    a.create("alice", false).await;
    b.create("bob", true).await;
    a.node.follow("alice", BOB).await.expect("follows");
    a.carry(&b).await;
    b.settle().await;
    assert_eq!(phase(&b, "bob", Direction::Follower, ALICE), Phase::Pending);
    b.node.accept("bob", ALICE).await.expect("accepts");
    b.carry(&a).await;
    assert_eq!(
        phase(&a, "alice", Direction::Following, BOB),
        Phase::Accepted
    );
    b.node.block("bob", ALICE).await.expect("blocks");
    b.settle().await;
    let told = b.carry(&a).await;
    assert!(
        !told.iter().any(|verb| verb == "Block"),
        "a block is never sent: {told:?}"
    );
    assert_eq!(phase(&a, "alice", Direction::Following, BOB), Phase::None);
    let refused = a
        .node
        .publish("alice", note("to bob"), PublishOptions::default())
        .await;
    let document = a.document(&refused.expect("publishes").cid);
    let refusal = b
        .receive(Some("bob"), &document)
        .await
        .expect_err("blocked");
    assert_eq!(refusal.code, Code::Blocked);
}

#[tokio::test]
async fn local_actors_hear_each_other_in_one_entry() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    for name in ["alice", "carol"] {
        a.create(name, false).await;
    }
    a.node.follow("alice", "carol").await.expect("follows");
    a.settle().await;
    assert_eq!(
        phase(
            &a,
            "alice",
            Direction::Following,
            "https://a.test/actors/carol"
        ),
        Phase::Accepted
    );
    let published = a
        .node
        .publish("carol", note("near"), PublishOptions::default())
        .await;
    let stored = a
        .node
        .view()
        .stored(&published.expect("publishes").cid.digest)
        .expect("reads");
    assert_eq!(
        stored.and_then(|stored| stored.activity().map(|note| note.joined.len())),
        Some(2)
    );
    a.close_and_compare();
}

#[tokio::test]
async fn a_request_named_by_its_client_is_answered_once() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    a.create("alice", false).await;
    let options = PublishOptions {
        idempotency_key: Some("one".to_owned()),
    };
    let publish = || a.node.publish("alice", note("once"), options.clone());
    let (first, second) = tokio::join!(publish(), publish());
    assert_eq!(
        first.as_ref().expect("publishes"),
        second.as_ref().expect("publishes")
    );
    assert_eq!(
        publish().await.expect("publishes"),
        first.expect("publishes")
    );
}

#[tokio::test]
async fn hostile_input_is_refused_and_changes_nothing() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("mallory", false).await;
    let note_cid = b
        .node
        .publish("bob", note("true"), PublishOptions::default())
        .await;
    let document = b.document(&note_cid.expect("publishes").cid);
    let before = a.node.view().applied();
    let altered = with(
        &document,
        "published",
        Value::from("2020-01-01T00:00:00.000Z"),
    );
    let extended = {
        // Not to be had from its origin, or the true document would be fetched and kept.
        let document = b.raw(
            "bob",
            "Like",
            "https://a.test/actors/alice/objects/1".into(),
            ALICE,
        );
        let context: Vec<Value> = document
            .get("@context")
            .expect("there")
            .items()
            .cloned()
            .chain(["x:y".into()])
            .collect();
        with(
            &document,
            "@context",
            Value::List(context.into_iter().collect()),
        )
    };
    let by_mallory = b.signed_by("mallory", &document);
    let cases = [
        ("an altered note", altered, Code::BadSignature),
        ("a proof by another's key", by_mallory, Code::BadSignature),
        (
            "a context extended under its proof",
            extended,
            Code::BadSignature,
        ),
        (
            "an id on another origin",
            with(&document, "id", "https://c.test/1".into()),
            Code::Envelope,
        ),
        ("no actor", without(&document, "actor"), Code::Envelope),
    ];
    let mut page = String::new();
    for (name, document, code) in cases {
        let refusal = a.receive(None, &document).await.expect_err(name);
        assert_eq!(refusal.code, code, "{name}: {refusal}");
        page.push_str(&format!("{name}: {refusal}\n"));
    }
    insta::assert_snapshot!(page);
    let nobody = a
        .receive(Some("nobody"), &document)
        .await
        .expect_err("no such actor");
    assert_eq!(nobody.code, Code::NoSuchActor);
    assert_eq!(a.node.view().applied(), before, "nothing was stored");
}

#[tokio::test]
async fn authority_is_judged_before_anything_happens() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("mallory", false).await;
    let before = a.node.view().applied();
    let follow_id = {
        let alice = a.node.actor("alice").expect("an actor");
        let relation = a
            .node
            .view()
            .state()
            .relation(alice.no, Direction::Following, BOB);
        relation.expect("reads").id.expect("there is a follow")
    };
    let strangers_undo = b.raw("mallory", "Undo", Value::from(follow_id.as_str()), ALICE);
    let refusal = a
        .receive(None, &strangers_undo)
        .await
        .expect_err("a stranger's undo");
    assert_eq!(refusal.code, Code::NotAuthorised);
    let accept_for_bob = b.raw("mallory", "Accept", Value::from(follow_id.as_str()), ALICE);
    let refusal = a
        .receive(None, &accept_for_bob)
        .await
        .expect_err("not the followed");
    assert_eq!(refusal.code, Code::NotAuthorised);
    let follow = Map::from([
        ("type", Value::from("Follow")),
        ("actor", ALICE.into()),
        ("object", "https://b.test/actors/mallory".into()),
    ]);
    let unasked = b.raw("mallory", "Accept", Value::Map(follow), ALICE);
    let receipt = a.receive(None, &unasked).await.expect("202");
    assert!(
        matches!(receipt.status, Status::Dropped(_)),
        "an Accept nobody asked for"
    );
    assert_eq!(a.node.view().applied(), before, "nothing was stored");
}

#[tokio::test]
async fn every_engine_folds_the_same() {
    let mut digests = Vec::new();
    for engine in EngineKind::ALL {
        let net = Net::default();
        let a = net.instance("a.test", engine);
        for name in ["alice", "carol"] {
            a.create(name, false).await;
        }
        a.node.follow("alice", "carol").await.expect("follows");
        a.settle().await;
        a.node
            .publish("carol", note("near"), PublishOptions::default())
            .await
            .expect("publishes");
        digests.push(a.close_and_compare());
    }
    assert!(
        digests.iter().all(|rows| *rows == digests[0]),
        "rows: {digests:?}"
    );
}

#[tokio::test]
async fn one_proved_document_stands_under_an_id() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let first = b.raw(
        "bob",
        "Like",
        Value::from("https://a.test/actors/alice/objects/1"),
        ALICE,
    );
    let other = b.resign("bob", &with(&first, "summary", "another".into()));
    a.receive(None, &first).await.expect("the first");
    for _ in 0..2 {
        let refusal = a.receive(None, &other).await.expect_err("the second");
        assert_eq!(refusal.code, Code::Equivocation);
    }
    let evidence = a.node.view().evidence(BOB).expect("reads");
    let [(kept, second)] = evidence.as_slice() else {
        panic!("one pair is kept: {evidence:?}");
    };
    assert_eq!(*kept, fedsx_core::cid::cid(&first).digest);
    assert_eq!(second.map().expect("reads"), other);
    a.close_and_compare();
}

fn with(document: &Map, key: &str, value: Value) -> Map {
    let mut document = document.clone();
    document.insert(key, value);
    document
}

fn without(document: &Map, key: &str) -> Map {
    let mut document = document.clone();
    document.remove(key);
    document
}

#[tokio::test]
async fn what_is_published_verifies_for_a_third_party() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    a.create("alice", false).await;
    let published = a
        .node
        .publish("alice", note("signed"), PublishOptions::default())
        .await;
    let cid: Cid = published.expect("publishes").cid;
    let document = a.document(&cid);
    assert_eq!(fedsx_core::cid::cid(&document), cid);
    let actor = a.node.actor("alice").expect("an actor");
    let proof::Presented::Verifiable(proof) = &proof::examine(&document)[0] else {
        panic!("no proof to verify");
    };
    proof
        .verify(&cid.digest, &actor.keys[0].key)
        .expect("verifies");
    let json = fedsx_core::notation::write(Notation::Json, &Value::Map(document));
    assert!(json.len() < 4_096);
}

#[tokio::test]
async fn a_follow_that_comes_behind_a_newer_one_and_its_undo_says_nothing() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let follow = || {
        let follow = b.raw("bob", "Follow", ALICE.into(), ALICE);
        net.pass(Duration::from_secs(1));
        follow
    };
    let (older, newer) = (follow(), follow());
    let undo = b.raw("bob", "Undo", newer.clone().into(), ALICE);
    for activity in [&newer, &undo, &older] {
        a.receive(None, activity).await.expect("taken");
    }
    assert_eq!(phase(&a, "alice", Direction::Follower, BOB), Phase::None);
    net.pass(Duration::from_secs(1));
    a.receive(None, &follow()).await.expect("taken");
    assert_ne!(phase(&a, "alice", Direction::Follower, BOB), Phase::None);
    a.close_and_compare();
}
