//! Hostile inputs, one file each with what it must be answered with, sent to a live instance:
//! each gets its code, and nothing of any is in the journal or the index afterwards.
//!
//! `hostile/README.md` says how a file is written; `hostile/request.rs` makes a request of one. Invariant:
//! what is expected stands in the file and nowhere else. So that no input is refused for another reason
//! than its own, those in `hostile/good` are made in the same ways with nothing wrong, and are accepted.

mod request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fedsx_admin::client::{Client, ClientError};
use fedsx_admin::proto;
use fedsx_core::key::{Ed25519Signer, KeyRecord, PublicKey, RecoveryKey};
use fedsx_core::notation::{Notation, write};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};

use crate::harness::{Instance, Setup, Stranger, activity, outbox};
use request::{Input, Scenery};

/// How many there must be, so that none is lost unseen.
const INPUTS: usize = 473;
/// Where the files are, from the crate whose test this is.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/hostile");
/// The one who has been blocked, one whose key is superseded, one whose key is a small-order point, one whose keys
/// were recovered, and one in whose name others serve keys.
const STRANGERS: [&str; 7] = ["bob", "mallory", "eve", "dave", "frank", "grace", "heidi"];
/// The identity, the smallest of small-order points, as a Multikey.
const SMALL_ORDER: [u8; 34] = {
    let mut key = [0; 34];
    (key[0], key[1], key[2]) = (0xed, 0x01, 0x01);
    key
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_input_gets_its_code_and_leaves_nothing() {
    let scene = Scene::new().await;
    let (state, journal) = scene.kept();
    let (mut wrong, mut count) = (Vec::new(), 0);
    let mut before = state.clone();
    for family in families() {
        for input in Input::all_of(&family) {
            count += 1;
            wrong.extend(scene.mismatch(&input, count).await);
        }
        let after = scene.here.state();
        if after != before {
            wrong.push(format!("something of {} left a trace", family.display()));
            before = after;
        }
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert!(count >= INPUTS, "{count} inputs");
    assert_eq!(scene.kept(), (state, journal));

    for input in Input::all_of(&Path::new(PLACE).join("good")) {
        count += 1;
        wrong.extend(scene.mismatch(&input, count).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    scene.here.verify();
}

/// The directories of hostile inputs, in order.
fn families() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(PLACE).expect("the inputs");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let is_hostile = |path: &PathBuf| path.is_dir() && !path.ends_with("good");
    let mut families: Vec<_> = entries.filter(is_hostile).collect();
    families.retain(|path| !path.ends_with("defined"));
    families.sort();
    families
}

/// alice and carol here, strangers elsewhere, and between them what hostile inputs refer to.
struct Scene {
    here: Instance,
    there: Stranger,
    client: Client,
    scenery: BTreeMap<String, String>,
}

impl Scene {
    async fn new() -> Self {
        // Only those who come through a proxy are limited.
        let settings = ["server.posts_per_minute=1", "server.posts_burst=2"];
        let here = Instance::start_as(Setup {
            settings: settings.map(str::to_owned).to_vec(),
            ..Setup::default()
        })
        .await;
        here.create(&["alice", "carol"]);
        for source in sources(&Path::new(PLACE).join("defined")) {
            let source = source.to_str().expect("a path in UTF-8");
            here.json(["define", source, "--as", "alice"]);
        }
        let mut there = Stranger::start(&STRANGERS);
        there.supersede("dave");
        there.recover("grace");
        let own = there.multibase("frank");
        let small = format!("z{}", bs58::encode(SMALL_ORDER).into_string());
        there.rewrite("frank", &own, &small);
        let client = here.client().await;
        let mut scene = Self {
            here,
            there,
            client,
            scenery: BTreeMap::new(),
        };
        scene.prepare().await;
        scene
    }

    /// bob follows alice, who has asked to follow him and has blocked eve; there are notes of alice,
    /// of bob and of mallory, and bob has said two things under one id already.
    async fn prepare(&mut self) {
        let (here, there) = (&self.here, &self.there);
        let (alice, bob) = (here.actor_url("alice"), there.actor_url("bob"));
        let mallory = there.actor_url("mallory");
        let asked = activity(&bob, 1, "Follow", alice.as_str());
        let said = note(&bob, 2, "said first", &alice);
        let other = note(&bob, 2, "said otherwise", &alice);
        let theirs = note(&mallory, 3, "mallory's own", &alice);
        for (who, document) in [("bob", &asked), ("bob", &said), ("mallory", &theirs)] {
            let signed = there.signed(who, document);
            let answer = here.web().post("/actors/alice/inbox", signed).await;
            answer.taken("accepted");
        }
        let other = there.signed("bob", &other);
        let answer = here.web().post("/actors/alice/inbox", other).await;
        answer.refused(409, "equivocation");
        here.followers("alice", 1).await;
        self.usurp_heidi().await;
        let among = here.json(["post", "alice", "among us", "--visibility", "followers"]);
        let among = among["id"].as_str().expect("an id");
        let among = among.replace(&here.url(), "");
        here.post("alice", "what alice says");
        here.follow("alice", &bob);
        here.json(["block", "alice", &there.actor_url("eve")]);
        here.delivered().await;

        let id = |document: &Map| text(document.get("id"));
        let published = outbox(here, "alice");
        let of_verb = |verb: &str| {
            let mut entries = published.iter().map(|entry| &entry["document"]);
            let found = entries.find(|document| document["type"] == verb);
            found.expect("it was published").clone()
        };
        let (ours, follow) = (of_verb("Create"), of_verb("Follow"));
        let json = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let mut scenery = BTreeMap::from([
            ("asked", id(&asked)),
            ("said", id(&said)),
            ("their_note", format!("{mallory}/objects/3")),
            ("note", json(&ours["object"]["id"])),
            ("create", json(&ours["id"])),
            ("follow", json(&follow["id"])),
            ("among", among),
            ("here", here.url()),
            ("authority", here.authority()),
            ("there", format!("http://{}", there.authority())),
            ("alice", alice),
            ("carol", here.actor_url("carol")),
        ]);
        for name in STRANGERS {
            scenery.insert(name, there.actor_url(name));
        }
        let owned = scenery
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text));
        self.scenery = owned.collect();
    }

    /// heidi commits to a recovery key and is heard; then her host lists the key that she signs with here, and
    /// commits to another.
    async fn usurp_heidi(&self) {
        let (alice, heidi) = (self.here.actor_url("alice"), self.there.actor_url("heidi"));
        let record = |key| KeyRecord {
            id: format!("{heidi}#ed25519-1"),
            key,
            created_ms: None,
            superseded_ms: None,
            superseded_by: None,
        };
        let hers = record(Ed25519Signer::new("", &[97; 32]).public_key());
        let commitment = |seed| RecoveryKey::new([seed; 32]).commitment();
        self.there.commit("heidi", &[hers], &commitment(96));
        let said = note(&heidi, 4, "by her origin", &alice);
        self.there.serve(&said);
        let said = write(Notation::Json, &Value::Map(said));
        let answer = self.here.web().post("/inbox", said).await;
        answer.taken("accepted");
        let usurper = PublicKey::parse(&self.there.multibase("heidi")).expect("a key");
        self.there
            .commit("heidi", &[record(usurper)], &commitment(95));
    }

    /// Offset and digest, and the whole journal read out.
    fn kept(&self) -> ((u64, String), String) {
        let journal = self.here.cli(["journal", "dump"]).ok().stdout;
        (self.here.state(), journal)
    }

    /// What was answered, where it is not what was expected.
    async fn mismatch(&self, input: &Input, number: usize) -> Option<String> {
        let scenery = Scenery::new(&self.scenery, number, &self.there);
        let answer = match input.published_by(&scenery) {
            Some((actor, document_json)) => self.publish(actor, document_json).await,
            None => input.send(&scenery, &self.here.authority()),
        };
        let expected = &input.expected;
        (answer.0 != *expected).then(|| {
            let (got, said) = answer;
            format!("{}: expected {expected}, got {got} ({said})", input.name)
        })
    }

    /// Through the admin API, where a refusal has no status: that of its code is taken.
    async fn publish(&self, actor: String, document_json: Vec<u8>) -> (String, String) {
        let request = proto::PublishRequest {
            actor,
            document_json,
            ..Default::default()
        };
        match self.client.publish(request).await {
            Ok(_) => ("201".to_owned(), String::new()),
            Err(ClientError::Refused { code, detail, .. }) => {
                let bare = code.split(':').next().unwrap_or_default();
                let known = Code::ALL.iter().find(|known| known.as_str() == bare);
                let status = known.map_or(0, |known| known.http_status());
                (format!("{status} {code}"), detail)
            }
            Err(error) => (error.to_string(), String::new()),
        }
    }
}

/// The files of a directory, in order.
fn sources(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).expect("a directory of inputs");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn note(actor: &str, number: u32, content: &str, to: &str) -> Map {
    let note = Map::from([
        ("id", format!("{actor}/objects/{number}")),
        ("type", "Note".to_owned()),
        ("attributedTo", actor.to_owned()),
        ("content", content.to_owned()),
    ]);
    let mut create = activity(actor, number, "Create", note);
    create.insert("to", to);
    create
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).expect("a text").to_owned()
}
