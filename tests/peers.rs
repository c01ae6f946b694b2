//! A peer that is no instance of ours: what it is sent is signed and proved, what it refuses is kept
//! for a person to look at, and what it signs is taken.

use std::time::Duration;

use fedsx_core::actor::PeerActor;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::http_signature::{self, HttpKey, RequestHead, Scheme};
use fedsx_core::notation::{Notation, read_document, write};
use fedsx_core::proof::{self, Presented};
use fedsx_core::value::{Map, Value};

use crate::harness::{
    Delivered, Instance, Setup, Stranger, Told, activity, eventually, inbox, now_ms,
};

const BYTES: usize = 1 << 20;

/// alice here, and bob elsewhere, who follows her.
struct Scene {
    here: Instance,
    there: Stranger,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    async fn with(setup: Setup) -> Self {
        let here = Instance::start_as(setup).await;
        here.create(&["alice"]);
        let there = Stranger::start(&["bob"]);
        let scene = Self { here, there };
        let alice = scene.here.actor_url("alice");
        let follow = activity(&scene.bob(), 1, "Follow", alice.as_str());
        let signed = scene.there.signed("bob", &follow);
        let web = scene.here.web();
        web.post("/inbox", signed).await.taken("accepted");
        scene.arrived("Accept", 1).await;
        scene
    }

    fn bob(&self) -> String {
        self.there.actor_url("bob")
    }

    /// Waits until `count` activities of a type came to the host.
    async fn arrived(&self, verb: &str, count: usize) -> Vec<Delivered> {
        eventually(&format!("{count} × {verb}"), async || {
            let came = self.there.delivered();
            let of_verb = |one: &Delivered| document(one).get("type") == Some(&Value::from(verb));
            let came: Vec<_> = came.into_iter().filter(of_verb).collect();
            (came.len() >= count).then_some(came)
        })
        .await
    }

    /// alice's document, as whoever checks her signatures fetches it.
    async fn alice(&self) -> PeerActor {
        let served = self.here.web().get("/actors/alice").await;
        let document = read_document(Notation::Json, &served.body, BYTES);
        PeerActor::parse(&document.expect("a document")).expect("an actor")
    }

    /// The lane to the host.
    async fn lane(&self, what: &str, is: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        eventually(what, async || {
            let lanes = self.here.json(["deliveries"]);
            let mut lanes = lanes["lanes"].as_array().expect("a list").iter();
            let lane = lanes.find(|lane| lane["host"] == self.there.authority())?;
            is(lane).then(|| lane.clone())
        })
        .await
    }

    /// The dead letters, once there are so many.
    async fn dead_letters(&self, count: usize) -> Vec<serde_json::Value> {
        eventually(&format!("{count} dead letters"), async || {
            let letters = self.here.json(["dead-letters"]);
            let letters = letters.as_array().expect("a list").clone();
            (letters.len() == count).then_some(letters)
        })
        .await
    }
}

fn document(delivered: &Delivered) -> Map {
    read_document(Notation::Json, &delivered.body, BYTES).expect("a document")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_out_is_signed_and_proved() {
    let scene = Scene::new().await;
    scene.here.post("alice", "to all");
    let place = tempfile::tempdir().expect("a temporary directory");
    let file = place.path().join("hidden.json");
    let bob = scene.bob();
    let hidden = format!(r#"{{"type":"Note","content":"hidden","bto":["{bob}"],"bcc":["{bob}"]}}"#);
    std::fs::write(&file, hidden).expect("written");
    scene
        .here
        .json(["publish", "alice", file.to_str().expect("a path")]);
    let alice = scene.alice().await;
    let mut came = scene.arrived("Accept", 1).await;
    came.extend(scene.arrived("Create", 2).await);
    for delivered in &came {
        signed_by(&scene, delivered, &alice);
        let text = String::from_utf8_lossy(&delivered.body).into_owned();
        assert!(
            !text.contains("\"bto\"") && !text.contains("\"bcc\""),
            "{text}"
        );
    }
}

/// The request is alice's (RFC 9421), and so is the document in it.
fn signed_by(scene: &Scene, delivered: &Delivered, alice: &PeerActor) {
    let head = RequestHead {
        method: "POST",
        origin: scene.there.instance().origin(),
        path_and_query: &delivered.path,
        headers: &delivered.headers,
    };
    let presented = http_signature::present(&head).expect("a sound signature");
    let presented = presented.expect("a signature");
    assert_eq!(presented.scheme(), Scheme::Rfc9421);
    let key = alice.find_key(presented.key_id()).expect("a key of alice");
    let body = Some(&delivered.body[..]);
    let verified = http_signature::verify(
        &presented,
        &head,
        body,
        &HttpKey::Ed25519(key.key.clone()),
        now_ms(),
    );
    verified.expect("alice's request");

    let document = document(delivered);
    let proofs = proof::examine(&document);
    let [Presented::Verifiable(proof)] = &proofs[..] else {
        panic!("not one proof: {proofs:?}");
    };
    let key = alice.find_key(proof.verification_method());
    let digest = Digest::of(&document_bytes(&document));
    let verified = proof.verify(&digest, &key.expect("a key of alice").key);
    verified.expect("alice's document");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_a_dead_letter_until_it_is_sent_again_or_dropped() {
    let scene = Scene::new().await;
    scene.there.tell(Some(Told {
        status: 400,
        text: "no notes, please",
        retry_after: None,
    }));
    let notes = [
        scene.here.post("alice", "one"),
        scene.here.post("alice", "two"),
    ];
    let letters = scene.dead_letters(2).await;
    for letter in &letters {
        assert_eq!(letter["status"], 400, "{letter}");
        assert_eq!(letter["host"], scene.there.authority(), "{letter}");
        assert_eq!(letter["actor"], "alice", "{letter}");
        let answer = letter["answer"].as_str().expect("an answer");
        assert!(answer.contains("no notes, please"), "{letter}");
        assert!(notes.iter().any(|note| letter["cid"] == **note), "{letter}");
    }
    // Nothing waits for them.
    scene.here.delivered().await;
    let came = scene.there.delivered().len();
    scene.there.tell(None);
    let id = letters[0]["id"].as_str().expect("an id");
    scene.here.json(["dead-letters", "retry", id]);
    scene.dead_letters(1).await;
    scene.here.delivered().await;
    assert_eq!(scene.there.delivered().len(), came + 1);
    scene.here.json(["dead-letters", "drop", "--all"]);
    scene.dead_letters(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_asks_for_time_gets_it_and_a_sign_of_life_ends_the_wait() {
    let hour = Duration::from_secs(3_600);
    let mut scene = Scene::new().await;
    scene.there.tell(Some(Told {
        status: 503,
        text: "",
        retry_after: Some(u32::try_from(hour.as_secs()).expect("small")),
    }));
    scene.here.post("alice", "one");
    let waits = |lane: &serde_json::Value| lane["failures"].as_u64() > Some(0);
    let lane = scene.lane("a failed delivery", waits).await;
    assert_eq!(lane["state"], "backing-off", "{lane}");
    let next = lane["nextTry"].as_str().expect("a time");
    let next_ms = fedsx_core::time::parse_rfc3339_ms(next).expect("a time");
    assert!(next_ms - now_ms() > 50 * 60 * 1_000, "{lane}");
    // A restart does not make it forget.
    scene.here.stop().await;
    scene.here.restart().await;
    let lane = scene.lane("the lane", |lane| lane["queued"] == 1).await;
    assert_eq!(lane["nextTry"], next, "{lane}");
    let came = scene.there.delivered().len();

    scene.there.tell(None);
    let mut note = activity(
        &scene.bob(),
        2,
        "Create",
        Map::from([("type", "Note"), ("content", "hi")]),
    );
    note.insert("to", scene.here.actor_url("alice"));
    let signed = scene.there.signed("bob", &note);
    let web = scene.here.web();
    web.post("/inbox", signed).await.taken("accepted");
    scene.here.delivered().await;
    assert_eq!(scene.there.delivered().len(), came + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_gone_follows_no_longer() {
    let scene = Scene::new().await;
    scene.here.followers("alice", 1).await;
    scene.there.remove("bob");
    scene.there.tell(Some(Told {
        status: 410,
        text: "",
        retry_after: None,
    }));
    scene.here.post("alice", "anybody?");
    scene.here.followers("alice", 0).await;
    scene.here.delivered().await;
    let before = scene.there.delivered().len();
    scene.here.post("alice", "nobody");
    scene.here.delivered().await;
    assert_eq!(scene.there.delivered().len(), before);
    scene.here.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_signed_over_http_needs_no_proof() {
    let scene = Scene::new().await;
    let mut note = activity(
        &scene.bob(),
        3,
        "Create",
        Map::from([("type", "Note"), ("content", "hi")]),
    );
    note.insert("to", scene.here.actor_url("alice"));
    let body = write(Notation::Json, &Value::Map(note));
    let web = scene.here.web();
    let url = web.url("/inbox");
    let signed = scene.there.signed_post("bob", &url, &body);
    let mut other = body.clone();
    other.push(b' ');
    let before = scene.here.state();
    // The signature covers another body, or another inbox.
    for (path, body) in [("/inbox", &other), ("/actors/alice/inbox", &body)] {
        let answer = web.post_signed(path, signed.clone(), body.clone()).await;
        answer.refused(401, "bad-signature");
    }
    assert_eq!(scene.here.state(), before);
    let answer = web.post_signed("/inbox", signed, body).await;
    answer.taken("accepted");
    let kept = inbox(&scene.here, "alice");
    let newest = kept.last().expect("bob's note");
    assert!(newest["document"].get("proof").is_none(), "{newest}");
    assert_eq!(newest["document"]["actor"], scene.bob());
    scene.here.verify();
}
