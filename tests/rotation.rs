//! Keys that are rotated while others listen, are away, or go by what they fetched before: all that was signed
//! before verifies, all that is new arrives, and nothing is refused on the way.

use std::time::Duration;

use fedsx_admin::proto::{PublishRequest, RotateKeyRequest};
use fedsx_core::actor::PeerActor;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::http_signature::Scheme;
use fedsx_core::key::{Ed25519Signer, KeyRecord, rotated};
use fedsx_core::notation::{Notation, read_document, write};
use fedsx_core::proof::{self, Presented};
use fedsx_core::time::{format_rfc3339_ms, parse_rfc3339_ms};
use fedsx_core::value::{Map, Value};
use tokio::sync::oneshot;

use crate::harness::{Instance, Stranger, Web, activity, cids, eventually, inbox, now_ms, outbox};

const BYTES: usize = 1 << 20;

/// alice on A, whom bob on B follows.
async fn pair() -> (Instance, Instance) {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob"]);
    b.follow("bob", &a.handle("alice"));
    b.following("bob", 1).await;
    (a, b)
}

/// Rotates alice's key; the id of the new one.
fn rotate(a: &Instance) -> String {
    let rotated = a.json(["actor", "rotate-key", "alice"]);
    rotated["key"]["id"].as_str().expect("an id").to_owned()
}

/// An actor's document, as whoever checks signatures fetches it.
async fn document(instance: &Instance, name: &str) -> PeerActor {
    let served = instance.web().get(&format!("/actors/{name}")).await;
    let document = read_document(Notation::Json, &served.body, BYTES);
    PeerActor::parse(&document.expect("a document")).expect("an actor")
}

/// All of alice's outbox verifies by her present document, each by the key of its time, and times count up; the
/// numbers of the keys.
async fn verified(a: &Instance) -> Vec<String> {
    let alice = document(a, "alice").await;
    let mut last_ms = i64::MIN;
    let mut keys = Vec::new();
    for entry in outbox(a, "alice") {
        let bytes = entry["document"].to_string();
        let activity = read_document(Notation::Json, bytes.as_bytes(), BYTES).expect("a document");
        let proofs = proof::examine(&activity);
        let [Presented::Verifiable(proof)] = &proofs[..] else {
            panic!("not one proof: {proofs:?}");
        };
        let key = alice.find_key(proof.verification_method()).expect("listed");
        let digest = Digest::of(&document_bytes(&activity));
        proof.verify(&digest, &key.key).expect("verifies");
        let text = |member| {
            activity
                .get(member)
                .and_then(Value::as_str)
                .expect("a text")
        };
        let published_ms = parse_rfc3339_ms(text("published")).expect("a time");
        assert!(key.valid_at(published_ms, text("id")), "{entry} by {key:?}");
        assert!(published_ms > last_ms, "{entry}");
        last_ms = published_ms;
        keys.push(key.id.rsplit('-').next().expect("a number").to_owned());
    }
    keys
}

/// What alice published since bob follows her is in bob's inbox, once and in order, and what was refused has one of
/// these codes.
async fn arrived(a: &Instance, b: &Instance, refusals: &[&str]) {
    a.delivered().await;
    let sent = outbox(a, "alice");
    let heard = sent.iter().skip(1).map(|entry| entry["cid"].clone());
    let heard: Vec<_> = heard.collect();
    let got = cids(&inbox(b, "bob"));
    assert_eq!(got, heard, "in bob's inbox");
    let dead = a.json(["dead-letters"]);
    assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
    assert_refused_only(b, refusals).await;
}

async fn assert_refused_only(instance: &Instance, codes: &[&str]) {
    let metrics = Web::new(instance.admin().0).get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let metrics = metrics.text();
    assert!(metrics.contains("fedsx_http_answers_total{"), "{metrics}");
    let refused = metrics.lines().filter_map(|line| {
        let counted = line.strip_prefix("fedsx_http_refusals_total{code=\"")?;
        let (code, count) = counted.split_once("\"} ").expect("a count");
        (count != "0" && !codes.contains(&code)).then_some(line)
    });
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_heard_while_a_follower_listens_and_twice_in_a_row() {
    let (a, b) = pair().await;
    a.post("alice", "by the first");
    a.delivered().await;
    assert_eq!(rotate(&a), format!("{}#ed25519-2", a.actor_url("alice")));
    a.post("alice", "by the second");
    arrived(&a, &b, &[]).await;
    rotate(&a);
    rotate(&a);
    a.post("alice", "by the fourth");
    arrived(&a, &b, &[]).await;
    assert_eq!(verified(&a).await, ["1", "1", "1", "1", "2", "2", "3", "4"]);

    let keys = a.json(["actor", "keys", "alice"]);
    let keys = keys["keys"].as_array().expect("a list");
    let current: Vec<bool> = keys.iter().map(|key| key["superseded"].is_null()).collect();
    assert_eq!(current, [true, false, false, false]);
    for key in &keys[1..] {
        assert_eq!(key["holders"].as_array().map(Vec::len), Some(0), "{key}");
        assert_eq!(key["unexpanded"], false, "{key}");
    }
    a.verify();
    b.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_while_a_follower_is_away_costs_it_nothing() {
    let (a, mut b) = pair().await;
    b.stop().await;
    // Queued, and signed by what has ended when they are sent.
    let mut directs = Vec::new();
    for number in 0..3 {
        a.post("alice", &format!("before {number}"));
        let to = b.actor_url("bob");
        let direct = a.json(["post", "alice", "for you alone", "--to", &to]);
        directs.push(direct["cid"].as_str().expect("a CID").to_owned());
    }
    rotate(&a);
    a.post("alice", "between");
    rotate(&a);
    a.post("alice", "after");
    let waiting = eventually("a failed delivery to B", async || {
        let keys = a.json(["actor", "keys", "alice"]);
        let holder = &keys["keys"][1]["holders"][0];
        (holder["detail"] != "" && holder["state"] == "waiting").then(|| keys.clone())
    })
    .await;
    for key in [1, 2] {
        let holders = waiting["keys"][key]["holders"].as_array().expect("a list");
        assert_eq!(holders.len(), 1, "{waiting}");
        assert_eq!(holders[0]["host"], b.authority(), "{waiting}");
    }
    b.restart().await;
    // In a batch nothing vouches for what an ended key signed; by itself it comes with its sender's signature.
    arrived(&a, &b, &["no-active-key"]).await;
    let got = cids(&inbox(&b, "bob"));
    assert!(directs.iter().all(|direct| got.contains(direct)));
    verified(&a).await;
    a.verify();
    b.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_told_finds_out_by_itself() {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob"]);
    let direct = || {
        let to = b.actor_url("bob");
        let direct = a.json(["post", "alice", "for you alone", "--to", &to]);
        direct["cid"].as_str().expect("a CID").to_owned()
    };
    // From here on B goes by this document, and as nobody there follows her, nobody tells it of another.
    let mut sent = vec![direct()];
    a.delivered().await;
    for _ in 0..2 {
        rotate(&a);
        sent.push(direct());
        a.delivered().await;
    }
    assert_eq!(cids(&inbox(&b, "bob")), sent);
    assert_refused_only(&b, &[]).await;
    verified(&a).await;
}

/// bob elsewhere, whose keys the test holds: as of `superseded_ms`, by the second.
struct Rotated {
    there: Stranger,
    old: Ed25519Signer,
    new: Ed25519Signer,
    superseded_ms: i64,
}

impl Rotated {
    fn new() -> Self {
        let there = Stranger::start(&["bob"]);
        let bob = there.actor_url("bob");
        let superseded_ms = now_ms() - 60_000;
        let signer =
            |number: u8| Ed25519Signer::new(format!("{bob}#ed25519-{number}"), &[number; 32]);
        let (old, new) = (signer(1), signer(2));
        let first = KeyRecord {
            id: format!("{bob}#ed25519-1"),
            key: old.public_key(),
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        let next = (format!("{bob}#ed25519-2"), new.public_key());
        let update = format!("{bob}/activities/rotation");
        let keys = rotated(&[first], next, superseded_ms, &update);
        there.list_keys("bob", &keys);
        Self {
            there,
            old,
            new,
            superseded_ms,
        }
    }

    /// A note to alice, published then, with a proof by the superseded key.
    fn note(&self, number: u32, alice: &str, published_ms: i64) -> Map {
        let bob = self.there.actor_url("bob");
        let note = Map::from([("type", "Note"), ("content", "by whom?")]);
        let mut create = activity(&bob, number, "Create", note);
        create.insert("to", alice);
        create.insert("published", format_rfc3339_ms(published_ms));
        proof::sign(&create, &self.old, published_ms)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_key_says_nothing_new_and_old_things_with_a_second_witness_only() {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let (web, alice) = (here.web(), here.actor_url("alice"));
    let peer = Rotated::new();
    let json = |map: &Map| write(Notation::Json, &Value::Map(map.clone()));
    let before = here.state();

    let fresh = json(&peer.note(1, &alice, now_ms()));
    web.post("/inbox", fresh.clone())
        .await
        .refused(401, "no-active-key");
    let witness = Stranger::signed_with(&peer.new, &web.url("/inbox"), &fresh);
    let answer = web.post_signed("/inbox", witness, fresh).await;
    answer.refused(401, "no-active-key");

    let dated = peer.note(2, &alice, peer.superseded_ms - 1);
    let bytes = json(&dated);
    web.post("/inbox", bytes.clone())
        .await
        .refused(401, "no-active-key");
    let no_witness = Stranger::signed_with(&peer.old, &web.url("/inbox"), &bytes);
    let answer = web.post_signed("/inbox", no_witness, bytes.clone()).await;
    answer.refused(401, "no-active-key");
    assert_eq!(here.state(), before);

    // By a present key on the request, or by the origin.
    let witness = Stranger::signed_with(&peer.new, &web.url("/inbox"), &bytes);
    web.post_signed("/inbox", witness, bytes)
        .await
        .taken("accepted");
    let served = peer.note(3, &alice, peer.superseded_ms - 1);
    peer.there.serve(&served);
    web.post("/inbox", json(&served)).await.taken("accepted");
    assert_eq!(inbox(&here, "alice").len(), 2);
    here.verify();
}

/// Kills that fall before and into each step of a rotation: the key at rest, the `Update`, its answer. They are
/// what is tried, and nothing waits for them; the last kill comes behind the answer, however long that takes.
const KILLS_AFTER_MS: [u64; 9] = [0, 1, 2, 3, 4, 6, 8, 11, 15];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_any_instant_of_a_rotation_leaves_a_key_that_signs() {
    let (mut a, b) = pair().await;
    let mut answered = 0;
    for after_ms in KILLS_AFTER_MS.map(Some).into_iter().chain([None]) {
        let client = a.client().await;
        let rotation = client.rotate_key(RotateKeyRequest {
            name: "alice".to_owned(),
            rsa: false,
        });
        let note = client.publish(PublishRequest {
            actor: "alice".to_owned(),
            document_json: br#"{"type":"Note","content":"meanwhile"}"#.to_vec(),
            ..PublishRequest::default()
        });
        let (tell, answer) = oneshot::channel();
        let rotation = async {
            let rotation = rotation.await;
            // Whoever kills by the clock does not listen.
            let _unheard = tell.send(());
            rotation
        };
        let kill = async {
            match after_ms {
                Some(after_ms) => tokio::time::sleep(Duration::from_millis(after_ms)).await,
                None => answer.await.expect("an answer"),
            }
            a.kill();
        };
        let (rotation, _, ()) = tokio::join!(rotation, note, kill);
        answered += usize::from(rotation.is_ok());
        a.restart().await;
        a.post("alice", &format!("after a kill at {after_ms:?} ms"));
    }
    let keys = verified(&a).await;
    let last: usize = keys.last().expect("a post").parse().expect("a number");
    assert!(last > answered, "each that was answered counts: {keys:?}");
    assert!(answered > 0, "none was in time");
    // Killed in the middle, a server can't be asked for its keys; it tries again.
    // What waited in a batch with what an ended key signed comes by itself.
    arrived(&a, &b, &["keys-unresolved", "no-active-key"]).await;
    a.verify();
    b.verify();
    let live = a.state();
    a.stop().await;
    a.json(["reindex"]);
    a.restart().await;
    assert_eq!(a.state(), live);
}

/// bob, whose server knows the older scheme alone and keeps the documents of signers, follows alice; every delivery
/// to it since her RSA key was replaced twice, with the knocks that each took, whether or not it was let in.
async fn by_main_key(listens: bool) -> Vec<String> {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    let there = Stranger::start(&["bob"]);
    there.demand(Scheme::Cavage);
    there.remember_signers(listens);
    let follow = activity(
        &there.actor_url("bob"),
        1,
        "Follow",
        here.actor_url("alice").as_str(),
    );
    let answer = here
        .web()
        .post("/inbox", there.signed("bob", &follow))
        .await;
    answer.taken("accepted");
    here.delivered().await;
    let before = there.delivered().len();
    there.asked();
    let served = |document: PeerActor| document.rsa_keys[0].key.clone();
    let first = served(document(&here, "alice").await);
    for round in 0..2 {
        let rotated = here.json(["actor", "rotate-key", "alice", "--rsa"]);
        assert_eq!(
            rotated["key"]["id"],
            format!("{}#main-key", here.actor_url("alice"))
        );
        here.post("alice", &format!("behind rotation {round}"));
        here.delivered().await;
        // What is remembered of the host is gone with the process; which keys there are is not.
        here.stop().await;
        here.restart().await;
    }
    assert_ne!(served(document(&here, "alice").await), first);
    here.post("alice", "by and by");
    here.delivered().await;
    assert_eq!(
        there.delivered().len() - before,
        5,
        "two Updates, three notes"
    );
    let dead = here.json(["dead-letters"]);
    assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
    here.verify();
    let asked = there.asked().into_iter();
    asked
        .filter(|line| line.starts_with("POST") && line.contains("#main-key"))
        .map(|line| line.rsplit(' ').next().expect("a word").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_rsa_alone_and_hears_of_a_rotation_takes_what_is_behind_it() {
    // The first Update by the key before. The note behind it by that, in vain, and by the new one; and so on.
    let asked = by_main_key(true).await.join(" ");
    insta::assert_snapshot!(asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_rsa_alone_and_never_hears_of_a_rotation_keeps_receiving() {
    let asked = by_main_key(false).await.join(" ");
    insta::assert_snapshot!(asked);
}
