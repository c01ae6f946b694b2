//! Who reads what: a signed GET or a token shows more than everybody sees, to whom it is for and to
//! nobody else, and what one may not read can't be told from what is not there.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fedsx_core::actor::ed25519_key_id;
use fedsx_core::cid::Cid;
use fedsx_core::key::{Ed25519Signer, Signer as _};
use fedsx_core::value::Map;
use serde_json::{Value, json};

use crate::harness::{AS2, Answer, Instance, Stranger, Web, activity, eventually, now_ms};

/// What alice has written, and what is not there.
const WRITTEN: [&str; 5] = ["public", "followers", "direct", "hidden", "unknown"];

/// alice here; bob, carol and dave elsewhere. bob follows her, one note is for carol alone, and dave
/// is a hidden recipient of another.
struct Scene {
    here: Instance,
    there: Stranger,
    /// What was answered to each publication, in the order of [`WRITTEN`].
    written: Vec<Value>,
    web: Web,
}

impl Scene {
    async fn new() -> Self {
        let here = Instance::start().await;
        here.create(&["alice"]);
        let there = Stranger::start(&["bob", "carol", "dave"]);
        let mut scene = Self {
            web: here.web(),
            here,
            there,
            written: Vec::new(),
        };
        let follow = scene.of("bob", 1, "Follow", &scene.here.actor_url("alice"));
        scene.deliver("bob", &follow).await;
        scene.here.followers("alice", 1).await;
        let carol = scene.there.actor_url("carol");
        let here = &scene.here;
        scene.written = vec![
            here.json(["post", "alice", "to all"]),
            here.json(["post", "alice", "among us", "--visibility", "followers"]),
            here.json(["post", "alice", "psst", "--to", &carol]),
            scene.hidden_note(),
        ];
        scene
    }

    fn hidden_note(&self) -> Value {
        let place = tempfile::tempdir().expect("a temporary directory");
        let file = place.path().join("hidden.json");
        let note = json!({"type": "Note", "content": "x", "bcc": [self.there.actor_url("dave")]});
        std::fs::write(&file, note.to_string()).expect("written");
        let file = file.to_str().expect("a path");
        self.here.json(["publish", "alice", file])
    }

    fn of(&self, name: &str, number: u32, verb: &str, object: &str) -> Map {
        activity(&self.there.actor_url(name), number, verb, object)
    }

    async fn deliver(&self, name: &str, activity: &Map) {
        let signed = self.there.signed(name, activity);
        self.web.post("/inbox", signed).await.taken("accepted");
    }

    /// Where something is: as an artifact, as an activity, as its object.
    fn places(&self, what: &str) -> [String; 3] {
        let written = WRITTEN.iter().position(|one| *one == what);
        match self.written.get(written.expect("one of them")) {
            Some(published) => {
                let text = |member: &str| published[member].as_str().expect("a text").to_owned();
                let document = self.here.json(["get", &text("id")])["document"].clone();
                let object = document["object"]["id"].as_str().expect("an id");
                [
                    format!("/artifacts/{}", text("cid")),
                    text("id"),
                    object.to_owned(),
                ]
            }
            None => {
                let none = Cid::of_document(Cid::of_raw(b"nothing").digest);
                let alice = self.here.actor_url("alice");
                [
                    format!("/artifacts/{none}"),
                    format!("{alice}/activities/019b76da-a800-7000-8000-000000000000"),
                    format!("{alice}/objects/019b76da-a800-7000-8000-000000000000"),
                ]
            }
        }
    }

    /// What somebody elsewhere is answered.
    async fn get(&self, name: &str, path: &str) -> Answer {
        let url = self.web.url(path);
        let signed = self.there.signed_get(name, &url);
        self.web.get_signed(&url, signed).await
    }

    fn token(&self, scope: &str) -> Web {
        let issued = self
            .here
            .json(["actor", "token", "create", "alice", "--scope", scope]);
        let secret = issued["token"].as_str().expect("a token");
        let web = self.here.web();
        web.with_header("authorization", &format!("Bearer {secret}"))
    }

    /// What a reader sees of everything written: status and how long it may be kept.
    async fn seen_by(&self, reader: &str, alice: &Web) -> String {
        let mut line = format!("{reader:<9}");
        for what in WRITTEN {
            let mut told = Vec::new();
            for place in self.places(what) {
                let answer = match reader {
                    "everybody" => self.web.get(&place).await,
                    "alice" => alice.get(&place).await,
                    name => self.get(name, &place).await,
                };
                let kept = answer.header("cache-control").to_owned();
                if answer.status == 200 {
                    let vary = "Accept, Signature, Signature-Input, Authorization";
                    assert_eq!(answer.header("vary"), vary, "{place}");
                } else {
                    answer.refused(404, "not-found");
                    assert_eq!(kept, "no-store", "{place}");
                }
                told.push(match (answer.status, &*kept) {
                    (200, "no-store") => "alone",
                    (200, _) => "open",
                    _ => "-",
                });
            }
            told.dedup();
            let _ = write!(line, "  {what}: {:<5}", told.join("/"));
        }
        line.trim_end().to_owned()
    }

    /// The size of alice's outbox and the ids in its newest page, as somebody reads them.
    async fn outbox(&self, reader: &str) -> (u64, Vec<String>) {
        let collection = match reader {
            "everybody" => self.web.get("/actors/alice/outbox").await,
            name => self.get(name, "/actors/alice/outbox").await,
        };
        let page = match reader {
            "everybody" => self.web.get("/actors/alice/outbox?page=true").await,
            name => self.get(name, "/actors/alice/outbox?page=true").await,
        };
        let keeping = match reader {
            "everybody" => "no-cache",
            _ => "no-store",
        };
        assert_eq!(page.header("cache-control"), keeping);
        let total = collection.ok(AS2)["totalItems"].as_u64().expect("a count");
        let page = page.ok(AS2);
        let items = page["orderedItems"].as_array().expect("a list").iter();
        let ids = items.map(|item| item["id"].as_str().expect("an id").to_owned());
        (total, ids.collect())
    }

    fn has(&self, (_, ids): &(u64, Vec<String>), what: &str) -> bool {
        ids.contains(&self.places(what)[1])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reads_what_is_for_it() {
    let scene = Scene::new().await;
    let alice = scene.token("read");
    let mut page = String::new();
    for reader in ["everybody", "bob", "carol", "dave", "alice"] {
        page += &(scene.seen_by(reader, &alice).await + "\n");
    }
    insta::assert_snapshot!(page, @r"
    everybody  public: open   followers: -      direct: -      hidden: -      unknown: -
    bob        public: open   followers: alone  direct: -      hidden: -      unknown: -
    carol      public: open   followers: -      direct: alone  hidden: -      unknown: -
    dave       public: open   followers: -      direct: -      hidden: alone  unknown: -
    alice      public: open   followers: alone  direct: alone  hidden: alone  unknown: -
    ");
    let unread = scene.token("publish").get(&scene.places("direct")[1]).await;
    unread.refused(403, "not-authorised");

    let open = scene.outbox("everybody").await;
    let bobs = scene.outbox("bob").await;
    let carols = scene.outbox("carol").await;
    assert_eq!(bobs.0, open.0 + 1);
    assert_eq!(carols.0, open.0);
    let shown = |outbox: &(u64, Vec<String>)| {
        WRITTEN[..4]
            .iter()
            .map(|one| scene.has(outbox, one))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&open), [true, false, false, false]);
    assert_eq!(shown(&bobs), [true, true, false, false]);
    assert_eq!(shown(&carols), [true, false, true, false]);
    let all = alice.get("/actors/alice/outbox?page=true").await.ok(AS2);
    let collection = alice.get("/actors/alice/outbox").await.ok(AS2);
    assert_eq!(
        all["orderedItems"]
            .as_array()
            .map(|items| items.len() as u64),
        collection["totalItems"].as_u64()
    );
    // A place that one may not read is none.
    let since = |what: &str| {
        let cid = scene.places(what)[0].replace("/artifacts/", "");
        format!("/actors/alice/outbox?since={cid}")
    };
    scene.get("bob", &since("followers")).await.ok(AS2);
    for (name, what) in [
        ("carol", "followers"),
        ("bob", "direct"),
        ("bob", "unknown"),
    ] {
        scene
            .get(name, &since(what))
            .await
            .refused(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_parts_or_is_blocked_reads_no_more() {
    let scene = Scene::new().await;
    let among = scene.places("followers");
    scene.get("bob", &among[0]).await.ok(AS2);
    let follow = format!(
        "{}/activities/019b76da-a800-7000-8000-000000000001",
        scene.there.actor_url("bob")
    );
    let undo = scene.of("bob", 2, "Undo", &follow);
    scene.deliver("bob", &undo).await;
    for place in &among {
        scene.get("bob", place).await.refused(404, "not-found");
    }

    let direct = scene.places("direct");
    let carol = scene.there.actor_url("carol");
    let block = scene.here.json(["block", "alice", &carol]);
    let places = [direct[0].as_str(), &direct[1], &direct[2]];
    for place in places {
        scene.get("carol", place).await.refused(404, "not-found");
    }
    scene.get("carol", &scene.places("public")[1]).await.ok(AS2);
    let undone = scene.here.json(["unblock", "alice", &carol]);
    for place in places {
        scene.get("carol", place).await.ok(AS2);
    }
    // That she was blocked is alice's own affair.
    for said in [block, undone] {
        let id = said["id"].as_str().expect("an id");
        scene.get("carol", id).await.refused(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_something_was_deleted_is_told_to_its_readers_alone() {
    let scene = Scene::new().await;
    let places = scene.places("followers");
    let place = tempfile::tempdir().expect("a temporary directory");
    let file = place.path().join("delete.json");
    let delete = json!({"type": "Delete", "object": places[2]});
    std::fs::write(&file, delete.to_string()).expect("written");
    let file = file.to_str().expect("a path");
    scene.here.json(["publish", "alice", file]);
    for place in &places {
        let told = eventually("a Tombstone", async || {
            let answer = scene.get("bob", place).await;
            (answer.status == 410).then_some(answer)
        })
        .await;
        assert_eq!(told.header("cache-control"), "no-store");
        assert_eq!(told.json()["type"], "Tombstone", "{}", told.text());
        scene.get("carol", place).await.refused(404, "not-found");
        scene.web.get(place).await.refused(404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_does_not_hold_reads_nothing() {
    let scene = Scene::new().await;
    let among = scene.places("followers")[1].clone();
    let unknown = scene.places("unknown")[1].clone();
    let before = scene.here.state();
    for url in [&among, &unknown] {
        // Made for another address, by a key that is not bob's, an hour and more ago, by nobody.
        let other = scene.there.signed_get("bob", &scene.web.url("/inbox"));
        let answer = scene.web.get_signed(url, other).await;
        answer.refused(401, "bad-signature");
        let key_id = ed25519_key_id(&scene.there.actor_url("bob"), 1);
        let forger = Ed25519Signer::new(key_id, &[77; 32]);
        let answer = cavage(&scene, &forger, url, now_ms() / 1_000).await;
        assert_eq!(answer, (401, "bad-signature".to_owned()));
        let bob = Ed25519Signer::new(ed25519_key_id(&scene.there.actor_url("bob"), 1), &[1; 32]);
        let answer = cavage(&scene, &bob, url, now_ms() / 1_000 - 3_700).await;
        assert_eq!(answer, (401, "bad-signature".to_owned()));
        let nobody = ed25519_key_id(&scene.there.actor_url("nobody"), 1);
        let nobody = Ed25519Signer::new(nobody, &[78; 32]);
        let answer = cavage(&scene, &nobody, url, now_ms() / 1_000).await;
        assert_eq!(answer, (401, "bad-signature".to_owned()));
        let local =
            Ed25519Signer::new(ed25519_key_id(&scene.here.actor_url("alice"), 1), &[79; 32]);
        let answer = cavage(&scene, &local, url, now_ms() / 1_000).await;
        assert_eq!(answer, (401, "bad-signature".to_owned()));
    }
    let bob = Ed25519Signer::new(ed25519_key_id(&scene.there.actor_url("bob"), 1), &[1; 32]);
    let answer = cavage(&scene, &bob, &among, now_ms() / 1_000).await;
    assert_eq!(answer.0, 200, "the older scheme: {}", answer.1);
    // For what is public nobody looks at signatures.
    let public = scene.places("public")[1].clone();
    let other = scene.there.signed_get("bob", &scene.web.url("/inbox"));
    scene.web.get_signed(&public, other).await.ok(AS2);
    assert_eq!(scene.here.state(), before, "who reads changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_operator_blocks_reads_nothing_that_is_not_for_everybody() {
    let scene = Scene::new().await;
    let among = scene.places("followers")[1].clone();
    let psst = scene.places("direct")[1].clone();
    let public = scene.places("public")[1].clone();
    scene.get("carol", &psst).await.ok(AS2);
    scene.get("bob", &among).await.ok(AS2);
    for name in ["bob", "carol"] {
        scene
            .here
            .json(["peer", "block", &scene.there.actor_url(name)]);
        for place in [&psst, &among] {
            scene.get(name, place).await.refused(403, "blocked");
        }
        scene.get(name, &public).await.ok(AS2);
    }
    let hidden = scene.places("hidden")[1].clone();
    scene.get("dave", &hidden).await.ok(AS2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_shows_what_a_private_projection_keeps_of_its_actor() {
    let scene = Scene::new().await;
    scene.here.create(&["eve"]);
    let timeline = |name: &str| {
        let url = scene.here.actor_url(name);
        format!("/projections/timeline?key={url}")
    };
    let (read, publish) = (scene.token("read"), scene.token("publish"));
    let own = timeline("alice");
    let shown = eventually("what alice has written", async || {
        let shown = read.get_as(&own, "application/json").await;
        let told = shown.json();
        (told["state"] != Value::Null && !told["state"].as_object()?.is_empty()).then_some(shown)
    })
    .await;
    shown.ok("application/json");
    assert_eq!(shown.header("cache-control"), "no-store");
    assert!(shown.json().get("offset").is_none());
    // What is somebody else's, or nobody's, can't be told from what is not there.
    let unknown = read.get("/projections/nowhere").await;
    unknown.refused(404, "not-found");
    for path in [
        timeline("eve"),
        timeline("nobody"),
        "/projections/timeline".to_owned(),
        "/projections/timeline?key=".to_owned(),
    ] {
        let answer = read.get(&path).await;
        answer.refused(404, "not-found");
        let told = answer.json()["detail"].as_str().map(str::to_owned);
        let expected = unknown.json()["detail"].as_str().map(str::to_owned);
        let expected = expected.map(|text| text.replace("nowhere", "timeline"));
        assert_eq!(told, expected);
    }
    publish.get(&own).await.refused(403, "not-authorised");
    scene.web.get(&own).await.refused(401, "token-required");
    let none = scene.here.web().with_header("authorization", "Bearer none");
    none.get(&own).await.refused(401, "token-required");
}

/// Status and code (or the text) of a GET signed in the older scheme.
async fn cavage(scene: &Scene, signer: &Ed25519Signer, url: &str, created_s: i64) -> (u16, String) {
    let path = url
        .strip_prefix(&scene.here.url())
        .expect("a URL of the instance");
    let host = scene.here.authority();
    let signed = format!("(request-target): get {path}\n(created): {created_s}\nhost: {host}");
    let signature = STANDARD.encode(signer.sign(signed.as_bytes()));
    let key_id = signer.key_id();
    let field = format!(
        "keyId=\"{key_id}\",algorithm=\"hs2019\",created={created_s},headers=\"(request-target) (created) host\",signature=\"{signature}\""
    );
    let answer = scene
        .here
        .web()
        .with_header("signature", &field)
        .get(url)
        .await;
    let code = match answer.status {
        200 => answer.text(),
        _ => answer.json()["code"].as_str().expect("a code").to_owned(),
    };
    (answer.status, code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_could_not_be_fetched_are_asked_for_again() {
    let here = Instance::start().await;
    here.create(&["alice"]);
    let there = Stranger::start(&["bob"]);
    let note = here.json(["post", "alice", "psst", "--to", &there.actor_url("bob")]);
    let web = here.web();
    let url = note["id"].as_str().expect("an id").to_owned();
    let signed = there.signed_get("bob", &url);
    web.get_signed(&url, signed).await.ok(AS2);
    // A host that nobody answers at.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = gone.local_addr().expect("its address");
    drop(gone);
    let key_id = ed25519_key_id(&format!("http://{address}/actors/bob"), 1);
    let signer = Ed25519Signer::new(key_id, &[5; 32]);
    let headers =
        fedsx_core::http_signature::sign_rfc9421("GET", &url, None, &signer, now_ms() / 1_000);
    let answer = web.get_signed(&url, headers.expect("ASCII")).await;
    answer.refused(503, "keys-unresolved");
    let wait = answer.header("retry-after").parse::<u32>();
    assert!(wait.expect("seconds") > 0);
}
