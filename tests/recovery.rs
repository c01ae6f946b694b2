//! Keys that are stolen or lost, and the recovery key that replaces them: peers end with the owner's keys, whatever
//! the thief said before and says after.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fedsx_core::key::{Ed25519Signer, KeyRecord, RecoveryKey, Signer as _, rotated};
use fedsx_core::notation::{Notation, write};
use fedsx_core::proof;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};
use fedsx_store::vault::Vault;
use tempfile::TempDir;

use crate::harness::{Instance, Stranger, activity, cids, inbox, now_ms, outbox};

/// alice on A, whom bob on B follows, and a place for her recovery keys.
struct Scene {
    a: Instance,
    b: Instance,
    place: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (a, b) = tokio::join!(Instance::start(), Instance::start());
        a.create(&["alice"]);
        b.create(&["bob"]);
        b.follow("bob", &a.handle("alice"));
        b.following("bob", 1).await;
        let place = tempfile::tempdir().expect("a temporary directory");
        let scene = Self { a, b, place };
        let (key, name) = (scene.key(1), "alice");
        scene
            .a
            .json(["actor", "recovery-key", "create", name, "--out", &key]);
        scene
    }

    /// The file of her recovery key of that number.
    fn key(&self, number: u32) -> String {
        let file = self.place.path().join(number.to_string());
        file.to_str().expect("a path in UTF-8").to_owned()
    }

    /// Uses the recovery key of that number, and keeps the next.
    fn recover(&self, number: u32) -> serde_json::Value {
        let (key, next) = (self.key(number), self.key(number + 1));
        let words = ["actor", "recovery-key", "use", "alice", "--key", &key];
        let [a, b, c, d, e, f] = words;
        self.a.json([a, b, c, d, e, f, "--out", &next])
    }

    /// All that alice said since bob follows her is in his inbox, once and in order.
    async fn arrived(&self) {
        self.a.delivered().await;
        let sent = cids(&outbox(&self.a, "alice"));
        assert_eq!(cids(&inbox(&self.b, "bob")), sent[1..]);
        let dead = self.a.json(["dead-letters"]);
        assert_eq!(dead.as_array().map(Vec::len), Some(0), "{dead}");
    }
}

/// An `Update` of alice by this key, which says that another is hers.
fn update(alice: &str, by: &Ed25519Signer, published_ms: i64) -> Vec<u8> {
    let document = Map::from([
        ("id", Value::from(alice)),
        ("type", "Person".into()),
        ("inbox", format!("{alice}/inbox").into()),
    ]);
    let mut update = activity(alice, 7, "Update", document);
    update.insert("published", format_rfc3339_ms(published_ms));
    update.insert("to", "https://www.w3.org/ns/activitystreams#Public");
    let proved = proof::sign(&update, by, published_ms);
    write(Notation::Json, &Value::Map(proved))
}

/// Whether any file below a directory holds these bytes.
fn holds(place: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(place).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .any(|path| match path.is_dir() {
            true => holds(&path, bytes),
            false => {
                let held = std::fs::read(&path).expect("a file");
                held.windows(bytes.len()).any(|window| window == bytes)
            }
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_gets_back_what_a_thief_took() {
    let mut scene = Scene::new().await;
    let alice = scene.a.actor_url("alice");
    let text = std::fs::read_to_string(scene.key(1)).expect("the recovery key");
    let mode = std::fs::metadata(scene.key(1))
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    assert!(!holds(&scene.a.dir(), text.trim().as_bytes()));
    let again = ["actor", "recovery-key", "create", "alice"];
    assert!(scene.a.cli(again).refused(1).contains("[conflict]"));

    // The thief has her keys, and has others hear of another one.
    scene.a.json(["actor", "rotate-key", "alice"]);
    scene.a.post("alice", "by the thief");
    scene.arrived().await;
    scene.a.stop().await;
    let vault = Vault::open(&scene.a.dir(), None).expect("the vault");
    let stolen = [1, 2].map(|number| {
        let signer = vault.signer(&format!("{alice}#ed25519-{number}"));
        signer.expect("readable").expect("there")
    });
    drop(vault);
    scene.a.restart().await;

    let recovered = scene.recover(1);
    assert_eq!(recovered["key"]["id"], format!("{alice}#ed25519-3"));
    scene.a.post("alice", "by the owner");
    scene.arrived().await;
    // What the thief says from here on, whenever it is said to be from.
    for signer in &stolen {
        for published_ms in [now_ms(), now_ms() - 1_000_000] {
            let said = update(&alice, signer, published_ms);
            let answer = scene.b.web().post("/actors/bob/inbox", said).await;
            answer.refused(401, "no-active-key");
        }
    }
    let spent = scene.key(1);
    let again = ["actor", "recovery-key", "use", "alice", "--key", &spent];
    assert!(scene.a.cli(again).refused(1).contains("[not-authorised]"));

    // A peer that was away hears of two at once.
    scene.b.stop().await;
    scene.recover(2);
    scene.a.post("alice", "between");
    scene.recover(3);
    scene.a.post("alice", "after");
    scene.b.restart().await;
    scene.arrived().await;
    assert_eq!(
        scene.a.json(["actor", "keys", "alice"])["keys"]
            .as_array()
            .map(Vec::len),
        Some(8)
    );
    for instance in [&mut scene.a, &mut scene.b] {
        instance.rebuilt_equals_live().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_lost_are_replaced() {
    let mut scene = Scene::new().await;
    scene.a.post("alice", "before");
    scene.arrived().await;
    scene.a.stop().await;
    for key in std::fs::read_dir(scene.a.dir().join("keys")).expect("the vault") {
        std::fs::remove_file(key.expect("an entry").path()).expect("removed");
    }
    scene.a.restart().await;
    scene.a.cli(["post", "alice", "without a key"]).refused(1);
    scene.recover(1);
    scene.a.post("alice", "after");
    scene.arrived().await;
    scene.a.verify();
    scene.b.verify();
}

/// bob elsewhere: who commits to a recovery key, loses his host to somebody, and gets it back.
struct Usurped {
    there: Stranger,
    keys: Vec<KeyRecord>,
    recovery: RecoveryKey,
    next: RecoveryKey,
}

impl Usurped {
    fn new() -> Self {
        let there = Stranger::start(&["bob"]);
        let first = KeyRecord {
            id: Self::key_id(&there, 1),
            key: Self::signer(&there, 1).public_key(),
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        let recovery = RecoveryKey::new([8; 32]);
        there.commit("bob", std::slice::from_ref(&first), &recovery.commitment());
        Self {
            there,
            keys: vec![first],
            recovery,
            next: RecoveryKey::new([9; 32]),
        }
    }

    fn key_id(there: &Stranger, number: u8) -> String {
        format!("{}#ed25519-{number}", there.actor_url("bob"))
    }

    fn signer(there: &Stranger, number: u8) -> Ed25519Signer {
        Ed25519Signer::new(Self::key_id(there, number), &[number; 32])
    }

    /// A note to alice by the key of that number.
    fn note(&self, number: u8, alice: &str) -> Vec<u8> {
        let note = Map::from([("type", "Note"), ("content", "whose?")]);
        let bob = self.there.actor_url("bob");
        let mut create = activity(&bob, number.into(), "Create", note);
        create.insert("to", alice);
        let proved = proof::sign(&create, &Self::signer(&self.there, number), now_ms());
        write(Notation::Json, &Value::Map(proved))
    }

    /// Replaces every key by that of `number`, at his host and with the proof of the recovery key.
    fn recover(&self, number: u8) {
        let (bob, now_ms) = (self.there.actor_url("bob"), now_ms() - 1_000);
        let update_id = format!("{bob}/activities/recovery");
        let new = Self::signer(&self.there, number);
        let key = (new.key_id().to_owned(), new.public_key());
        let mut keys = rotated(&self.keys, key, now_ms, &update_id);
        let by = self.recovery.signer(format!("{bob}#recovery"));
        keys.insert(
            1,
            KeyRecord {
                id: by.key_id().to_owned(),
                key: by.public_key(),
                created_ms: Some(now_ms),
                superseded_ms: Some(now_ms),
                superseded_by: Some(update_id.clone()),
            },
        );
        let document = self.there.commit("bob", &keys, &self.next.commitment());
        let mut update = activity(&bob, 9, "Update", document);
        update.insert("id", update_id);
        update.insert("published", format_rfc3339_ms(now_ms));
        self.there.serve(&proof::sign(&update, &by, now_ms));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_does_not_exchange_what_its_actor_committed_to() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    let alice = here.actor_url("alice");
    let peer = Usurped::new();
    let first = here.web().post("/inbox", peer.note(1, &alice)).await;
    first.taken("accepted");

    // Somebody who has the host lists a key of his own, and commits to another recovery key, or to none.
    let usurper = KeyRecord {
        id: Usurped::key_id(&peer.there, 2),
        key: Usurped::signer(&peer.there, 2).public_key(),
        ..peer.keys[0].clone()
    };
    let usurper = std::slice::from_ref(&usurper);
    peer.there.commit("bob", usurper, &peer.next.commitment());
    let answer = here.web().post("/inbox", peer.note(2, &alice)).await;
    answer.refused(401, "bad-signature");
    // Nor when all that was at hand is forgotten.
    here.stop().await;
    here.restart().await;
    let answer = here.web().post("/inbox", peer.note(2, &alice)).await;
    answer.refused(401, "bad-signature");
    peer.there.list_keys("bob", usurper);
    here.stop().await;
    here.restart().await;
    let answer = here.web().post("/inbox", peer.note(2, &alice)).await;
    answer.refused(401, "bad-signature");
    assert_eq!(inbox(&here, "alice").len(), 1);

    // He has it back, and proves it.
    peer.recover(3);
    here.stop().await;
    here.restart().await;
    let answer = here.web().post("/inbox", peer.note(3, &alice)).await;
    answer.taken("accepted");
    assert_eq!(inbox(&here, "alice").len(), 2);
    here.verify();
    let live = here.state();
    here.stop().await;
    here.json(["reindex"]);
    here.restart().await;
    assert_eq!(here.state(), live);
}
