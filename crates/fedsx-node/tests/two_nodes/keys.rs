//! A key that is rotated: what was signed by it verifies for ever, what is new does not.

use std::time::Duration;

use fedsx_core::actor::{PeerActor, RsaRecord};
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::entry::LogId;
use fedsx_core::key::Signer;
use fedsx_core::limits::{FORMER_RSA_KEYS, FORMER_RSA_MS};
use fedsx_core::proof::{self, Presented};
use fedsx_core::refusal::Code;
use fedsx_core::time::{format_rfc3339_ms, parse_rfc3339_ms};
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Published, Status};
use fedsx_store::SeqRange;
use fedsx_store::engine::EngineKind;
use futures_util::future::join_all;

use super::{ALICE, Instance, Net, followed, note};

async fn post(instance: &Instance, name: &str, text: &str) -> Published {
    let published = instance
        .node
        .publish(name, note(text), PublishOptions::default())
        .await;
    published.expect("publishes")
}

/// A log, oldest first.
fn log(instance: &Instance, name: &str, log: fn(fedsx_core::entry::ActorNo) -> LogId) -> Vec<Map> {
    let actor = instance.node.actor(name).expect("an actor");
    let entries = instance
        .node
        .view()
        .log(log(actor.no), SeqRange::default(), false, 1_000);
    let entries = entries.expect("reads").into_iter();
    entries
        .map(|entry| entry.stored.map().expect("reads"))
        .collect()
}

fn document(instance: &Instance, name: &str) -> PeerActor {
    let actor = instance.node.actor(name).expect("an actor");
    let document = instance.node.view().actor_document(&actor).expect("reads");
    PeerActor::parse(&document).expect("an actor")
}

fn text<'a>(map: &'a Map, member: &str) -> &'a str {
    map.get(member).and_then(Value::as_str).expect("a text")
}

/// The number of the key that signed an activity, which must have been in force then.
fn signed_by(owner: &PeerActor, activity: &Map) -> String {
    let proofs = proof::examine(activity);
    let [Presented::Verifiable(proof)] = &proofs[..] else {
        panic!("not one proof: {proofs:?}");
    };
    let key = owner.find_key(proof.verification_method()).expect("listed");
    let digest = Digest::of(&document_bytes(activity));
    proof.verify(&digest, &key.key).expect("verifies");
    let published_ms = parse_rfc3339_ms(text(activity, "published")).expect("a time");
    assert!(
        key.valid_at(published_ms, text(activity, "id")),
        "{key:?} at {published_ms}"
    );
    let number = key.id.rsplit('-').next().expect("a number");
    number.to_owned()
}

/// Whom an actor is signed by and when: all of its outbox, whose times count up.
fn outbox_keys(instance: &Instance, name: &str) -> Vec<(String, String)> {
    let owner = document(instance, name);
    let outbox = log(instance, name, LogId::outbox);
    let times = outbox.iter().map(|activity| text(activity, "published"));
    assert!(
        times.is_sorted_by(|earlier, later| earlier < later),
        "times count up"
    );
    let keys = outbox.iter().map(|activity| {
        (
            text(activity, "type").to_owned(),
            signed_by(&owner, activity),
        )
    });
    keys.collect()
}

#[tokio::test]
async fn each_activity_is_signed_by_the_key_of_its_time_and_peers_take_them_all() {
    let net = Net::default();
    let (b, a) = followed(&net).await;
    // bob is on A here: `followed` has alice follow bob.
    let bob = "bob";
    post(&a, bob, "one").await;
    let first = a.node.rotate_key(bob).await.expect("rotated");
    post(&a, bob, "two").await;
    let second = a.node.rotate_key(bob).await.expect("rotated");
    post(&a, bob, "three").await;
    assert_eq!(first.key.id, format!("{}#ed25519-2", super::BOB));
    assert_eq!(second.key.id, format!("{}#ed25519-3", super::BOB));

    let listed = document(&a, bob);
    let shown: Vec<_> = listed
        .keys
        .iter()
        .map(|key| (key.id.as_str(), key.superseded_by.as_deref()))
        .collect();
    let old = format!("{}#ed25519-1", super::BOB);
    assert_eq!(
        shown,
        [
            (second.key.id.as_str(), None),
            (first.key.id.as_str(), Some(&*second.published.id)),
            (&*old, Some(&*first.published.id)),
        ]
    );
    assert_eq!(listed.keys[0].created_ms, listed.keys[1].superseded_ms);

    let keys = outbox_keys(&a, bob);
    let keys: Vec<_> = keys.iter().map(|(verb, key)| (&**verb, &**key)).collect();
    assert_eq!(
        keys,
        [
            ("Create", "1"),
            ("Accept", "1"),
            ("Create", "1"),
            ("Update", "1"),
            ("Create", "2"),
            ("Update", "2"),
            ("Create", "3"),
        ]
    );
    // B has the document of before; nothing that was published since has come to it.
    let verbs = a.carry(&b).await;
    assert_eq!(verbs, ["Create", "Update", "Create", "Update", "Create"]);
    assert_eq!(log(&b, "alice", LogId::inbox).len(), 6);
    let again = a.document(&first.published.cid);
    let replay = b.receive(None, &again).await.expect("taken");
    assert_eq!(replay.status, Status::Replay);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn rotations_amid_publishing_leave_no_activity_unverifiable() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    a.create("alice", false).await;
    let posts = join_all((0..60).map(|number| {
        let a = &a;
        async move {
            tokio::task::yield_now().await;
            post(a, "alice", &number.to_string()).await
        }
    }));
    let rotations = join_all((0..3).map(|_| a.node.rotate_key("alice")));
    let more = async {
        for _ in 0..3 {
            a.node.rotate_key("alice").await.expect("rotated");
        }
    };
    let (_, rotated, ()) = tokio::join!(posts, rotations, more);
    let done = 3 + rotated.iter().filter(|rotated| rotated.is_ok()).count();
    assert!(done > 3, "{rotated:?}");
    post(&a, "alice", "last").await;
    let keys = outbox_keys(&a, "alice");
    let updates = keys.iter().filter(|(verb, _)| verb == "Update").count();
    assert_eq!((keys.len(), updates), (62 + done, done));
    let (_, last) = keys.last().expect("the last");
    assert_eq!(*last, (done + 1).to_string());
    a.close_and_compare();
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_leaves_a_key_that_signs() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Fjall);
    a.create("alice", false).await;
    let made = a.key_at_rest(&format!("{ALICE}#ed25519-2"));
    let a = a.reopened(&net);
    post(&a, "alice", "still by the first").await;
    let rotation = a.node.rotate_key("alice").await.expect("rotated");
    assert_eq!(rotation.key.key, made);
    let a = a.reopened(&net);
    post(&a, "alice", "by the second").await;
    let keys = outbox_keys(&a, "alice");
    let keys: Vec<_> = keys.iter().map(|(_, key)| &**key).collect();
    assert_eq!(keys, ["1", "1", "1", "2"]);
    a.close_and_compare();
}

/// A note of bob's that is on no server, `published` then, signed by `signer`.
fn forged(number: u32, published_ms: i64, signer: &dyn Signer) -> Map {
    let bob = super::BOB;
    let document = Map::from([
        ("@context", fedsx_core::context::of_activity()),
        ("id", format!("{bob}/activities/forged-{number}").into()),
        ("type", "Create".into()),
        ("actor", bob.into()),
        ("to", vec![ALICE].into()),
        ("published", format_rfc3339_ms(published_ms).into()),
        ("object", note("by whom?").into()),
    ]);
    proof::sign(&document, signer, published_ms)
}

#[tokio::test]
async fn what_a_superseded_key_signs_needs_a_second_witness_and_nothing_new_is_its() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let key = || {
        let bob = b.node.actor("bob").expect("an actor");
        b.node.signer(&bob).expect("a key")
    };
    let old = key();
    let before_ms = b.node.now_ms();
    net.pass(Duration::from_secs(60));
    let rotation = b.node.rotate_key("bob").await.expect("rotated");
    let new = key();
    assert_ne!(old.key_id(), new.key_id());

    let update = b.document(&rotation.published.cid);
    let taken = a.receive_signed(&update, &*new).await.expect("taken");
    assert_eq!(taken.status, Status::Accepted);

    let refused = |refusal: Result<_, fedsx_core::refusal::Refusal>| {
        let refusal: Result<fedsx_node::Receipt, _> = refusal;
        refusal.expect_err("refused").code
    };
    // New, by the old key: whoever delivers it.
    let fresh = forged(1, b.node.now_ms(), &*old);
    assert_eq!(refused(a.receive(None, &fresh).await), Code::NoActiveKey);
    let witnessed = a.receive_signed(&fresh, &*new).await;
    assert_eq!(refused(witnessed), Code::NoActiveKey);

    // Back-dated: neither alone nor with the old key's signature on the request.
    let dated = forged(2, before_ms, &*old);
    assert_eq!(refused(a.receive(None, &dated).await), Code::NoActiveKey);
    let by_old = a.receive_signed(&dated, &*old).await;
    assert_eq!(refused(by_old), Code::NoActiveKey);
    // The origin serves something else under its id.
    let other = forged(2, before_ms + 1, &*new);
    net.serve(text(&dated, "id"), Some(other));
    assert_eq!(refused(a.receive(None, &dated).await), Code::NoActiveKey);
    let inbox = log(&a, "alice", LogId::inbox).len();

    // A present key stands for it, or the origin does.
    let taken = a.receive_signed(&dated, &*new).await.expect("taken");
    assert_eq!(taken.status, Status::Accepted);
    let served = forged(3, before_ms, &*old);
    net.serve(text(&served, "id"), Some(served.clone()));
    let taken = a.receive(None, &served).await.expect("taken");
    assert_eq!(taken.status, Status::Accepted);
    assert_eq!(log(&a, "alice", LogId::inbox).len(), inbox + 2);
    a.close_and_compare();
}

#[tokio::test]
async fn a_stale_document_is_healed_and_a_forger_spends_one_fetch() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let bob = b.node.actor("bob").expect("an actor");
    let forger = b.node.signer(&bob).expect("a key");
    let asked = net.asked(super::BOB);
    b.node.rotate_key("bob").await.expect("rotated");
    let posted = post(&b, "bob", "by a key that is not known there").await;
    let taken = a.receive(None, &b.document(&posted.cid)).await;
    assert_eq!(taken.expect("taken").status, Status::Accepted);
    assert_eq!(net.asked(super::BOB), asked + 1);
    for number in 0..5 {
        let forged = forged(number, b.node.now_ms(), &*forger);
        let refusal = a.receive(None, &forged).await.expect_err("refused");
        assert_eq!(refusal.code, Code::NoActiveKey);
    }
    assert_eq!(net.asked(super::BOB), asked + 2, "one for the old key");
    net.pass(Duration::from_secs(301));
    let forged = forged(9, b.node.now_ms(), &*forger);
    a.receive(None, &forged).await.expect_err("refused");
    assert_eq!(net.asked(super::BOB), asked + 3);
}

#[tokio::test]
async fn a_key_that_can_t_be_asked_for_now_may_come_again() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.node.rotate_key("bob").await.expect("rotated");
    let posted = post(&b, "bob", "by a key that is not known there").await;
    let posted = b.document(&posted.cid);
    net.silence(super::BOB, true);
    for _ in 0..2 {
        let refusal = a.receive(None, &posted).await.expect_err("not now");
        assert_eq!(refusal.code, Code::KeysUnresolved);
        let wait_s = refusal.retry_after_s.expect("says when");
        assert!(wait_s <= 6, "{wait_s}");
    }
    net.silence(super::BOB, false);
    net.pass(Duration::from_secs(6));
    let taken = a.receive(None, &posted).await.expect("taken");
    assert_eq!(taken.status, Status::Accepted);
}

#[tokio::test]
async fn a_replaced_rsa_key_is_dropped_after_seven_days_and_not_before() {
    let net = Net::default();
    let a = net.instance("a.example", EngineKind::Memory);
    a.create("alice", false).await;
    let listed = || document(&a, "alice").rsa_keys[0].clone();
    let is_here = |key: &RsaRecord| a.has_rsa(&key.id, &key.key);
    let first = listed();
    let rotation = a.node.rotate_main_key("alice").await.expect("rotated");
    let second = listed();
    assert_eq!(second.key.to_pem(), rotation.pem);
    assert_eq!((&second.id, second.key == first.key), (&first.id, false));
    // A further change of the document keeps what is on record.
    a.node.rotate_key("alice").await.expect("rotated");
    net.pass(Duration::from_millis(FORMER_RSA_MS.unsigned_abs()) - Duration::from_mins(1));
    a.node.drop_useless_keys().expect("drops nothing");
    assert!(is_here(&first) && is_here(&second));

    net.pass(Duration::from_mins(1));
    assert!(a.node.now_ms() >= rotation.former_until_ms);
    a.node.drop_useless_keys().expect("drops");
    assert!(!is_here(&first) && is_here(&second));
    a.node.drop_useless_keys().expect("drops nothing");

    for _ in 0..FORMER_RSA_KEYS {
        a.node.rotate_main_key("alice").await.expect("rotated");
    }
    let refused = a.node.rotate_main_key("alice").await;
    assert_eq!(refused.expect_err("too often").code, Code::Conflict);
    a.close_and_compare();
}
