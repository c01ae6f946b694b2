//! Actors that are exported, lost with all their data, and imported again under the same URL: who followed them
//! goes on hearing from them, and a file that is not the one that was written changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use fedsx_admin::proto::PublishRequest;
use fedsx_core::cid::cid;
use fedsx_core::export::{Begin, Between, Entry, KeyKind, Record};
use fedsx_core::follow::{Direction, Phase, Relation};
use fedsx_core::notation::{Notation, read_document};
use fedsx_core::time::parse_rfc3339_ms;
use fedsx_store::export::{OpenError, Opening, Sealing};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Instance, Ran, cids, eventually, inbox, notes_by, outbox};

/// Where the file and its passphrase are.
struct Kept {
    place: TempDir,
}

impl Kept {
    fn new() -> Self {
        let place = TempDir::new().expect("a temporary directory");
        let kept = Self { place };
        std::fs::write(kept.path("passphrase"), "a passphrase of the test\n").expect("written");
        kept
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn export(&self, instance: &Instance, name: &str) -> Vec<u8> {
        let (out, passphrase) = (self.text("alice"), self.text("passphrase"));
        let args = [
            "actor",
            "export",
            name,
            "--out",
            &out,
            "--passphrase-file",
            &passphrase,
        ];
        let told = instance.json(args);
        let file = std::fs::read(&out).expect("a file");
        assert_eq!(told["bytes"], file.len(), "{told}");
        file
    }

    /// Imports these bytes.
    fn import(&self, instance: &Instance, file: &[u8]) -> Ran {
        let (path, passphrase) = (self.text("changed"), self.text("passphrase"));
        std::fs::write(&path, file).expect("written");
        instance.cli(["actor", "import", &path, "--passphrase-file", &passphrase])
    }
}

/// An instance that lost all it had.
async fn wipe(instance: &mut Instance) {
    instance.stop().await;
    std::fs::remove_dir_all(instance.dir()).expect("removed");
    instance.restart().await;
}

/// `published` counts up along an outbox.
fn counts_up(outbox: &[Value]) {
    // A Tombstone says when it was deleted, not when it was published.
    let kept = outbox
        .iter()
        .filter(|entry| entry["document"]["type"] != "Tombstone");
    let times = kept.map(|entry| {
        let published = entry["document"]["published"].as_str().expect("a time");
        parse_rfc3339_ms(published).expect("a time")
    });
    let times: Vec<_> = times.collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

/// A picture, as far as its first bytes go.
const ICON: &[u8] = b"\x89PNG\r\n\x1a\nand the rest of it";

/// alice on A, who has followers there and on B, has rotated her key, and taken one note back: its CID.
async fn eventful() -> (Instance, Instance, String) {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice", "carol"]);
    b.create(&["bob"]);
    b.follow("bob", &a.handle("alice"));
    a.follow("alice", &b.handle("bob"));
    a.follow("carol", "alice");
    b.following("bob", 1).await;
    a.following("alice", 1).await;
    a.following("carol", 1).await;
    a.post("alice", "by the first key");
    let gone = a.post("alice", "to be taken back");
    a.json(["delete", "alice", &gone]);
    a.json(["actor", "rotate-key", "alice"]);
    a.post("alice", "by the second key");
    a.json([
        "post",
        "alice",
        "for you alone",
        "--to",
        &b.actor_url("bob"),
    ]);
    b.post("bob", "heard by alice");
    let icon = a.dir().with_file_name("icon.png");
    std::fs::write(&icon, ICON).expect("written");
    let icon = icon.to_str().expect("UTF-8");
    let profile = ["--display-name", "Alice A.", "--icon-file", icon];
    let [name, text, file, path] = profile;
    a.json(["actor", "update", "alice", name, text, file, path]);
    let kept = tempfile::tempdir().expect("a temporary directory");
    let [first, second] = ["first", "second"].map(|name| {
        let file = kept.path().join(name);
        file.to_str().expect("UTF-8").to_owned()
    });
    a.json(["actor", "recovery-key", "create", "alice", "--out", &first]);
    let spend = [
        "actor",
        "recovery-key",
        "use",
        "alice",
        "--key",
        &first,
        "--out",
        &second,
    ];
    a.json(spend);
    a.post("alice", "by the key after a recovery");
    a.delivered().await;
    b.delivered().await;
    (a, b, gone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_goes_on_from_its_export_and_its_followers_with_it() {
    let (mut a, b, gone) = eventful().await;
    let kept = Kept::new();
    let [sent, got] = [outbox(&a, "alice"), inbox(&a, "alice")];
    let heard = inbox(&b, "bob");
    let shown = a.json(["actor", "show", "alice"]);
    let keys = a.json(["actor", "keys", "alice"]);
    let file = kept.export(&a, "alice");

    wipe(&mut a).await;
    let imported = kept.import(&a, &file).json();
    assert_eq!(imported["name"], "alice", "{imported}");
    assert_eq!(cids(&outbox(&a, "alice")), cids(&sent));
    assert_eq!(cids(&inbox(&a, "alice")), cids(&got));
    for same in [
        "document",
        "url",
        "followers",
        "following",
        "outbox",
        "inbox",
    ] {
        assert_eq!(imported[same], shown[same], "{same}");
    }
    let key_of = |keys: &Value| keys["keys"][0]["id"].clone();
    assert_eq!(key_of(&a.json(["actor", "keys", "alice"])), key_of(&keys));
    a.web().get(&format!("/artifacts/{gone}")).await.gone();
    let icon = imported["document"]["icon"]["url"].as_str();
    let icon = a.web().get(icon.expect("an icon")).await;
    assert_eq!((icon.status, &*icon.body), (200, ICON));
    let waiting = a.json(["deliveries"]);
    assert_eq!(waiting["unexpanded"], 0, "{waiting}");
    assert_eq!(waiting["lanes"], Value::Array(Vec::new()), "{waiting}");
    assert!(!a.dir().join("import").exists());

    a.post("alice", "after all was lost");
    a.json(["actor", "rotate-key", "alice"]);
    a.post("alice", "by the third key");
    b.post("bob", "to whoever is there");
    a.delivered().await;
    b.delivered().await;
    let now = cids(&inbox(&b, "bob"));
    assert_eq!(now[..heard.len()], cids(&heard), "nothing came again");
    assert_eq!(now.len(), heard.len() + 3);
    assert_eq!(notes_by(&inbox(&a, "alice"), &b.actor_url("bob")).len(), 2);
    counts_up(&outbox(&a, "alice"));
    let dead = a.json(["dead-letters"]);
    assert_eq!(dead, Value::Array(Vec::new()));
    a.rebuilt_equals_live().await;
    b.verify();

    only_where_it_belongs(&mut a, &b, &kept, &file).await;
}

/// An export is taken by the instance that lost the actor alone; what it holds by now can be exported again.
async fn only_where_it_belongs(a: &mut Instance, b: &Instance, kept: &Kept, file: &[u8]) {
    let refused = kept.import(a, file).refused(1);
    assert!(
        refused.contains("here already") && refused.ends_with("[conflict]"),
        "{refused}"
    );
    let refused = kept.import(b, file).refused(1);
    assert!(
        refused.contains(&a.url()) && refused.ends_with("[conflict]"),
        "{refused}"
    );
    std::fs::remove_file(kept.path("alice")).expect("removed");
    let sent = outbox(a, "alice");
    let file = kept.export(a, "alice");
    wipe(a).await;
    kept.import(a, &file).ok();
    assert_eq!(cids(&outbox(a, "alice")), cids(&sent));
    a.rebuilt_equals_live().await;
}

/// A generator of places, the same in each run.
struct Places(u64);

impl Places {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Bytes of the head, and of a chunk with its tag (docs/export.md).
const HEAD: usize = 72;
const CHUNK: usize = 65_536 + 16;
const SEED: u64 = 4;
const FLIPS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_bit_changed_or_a_part_missing_changes_nothing() {
    let mut a = Instance::start().await;
    let kept = Kept::new();
    a.create(&["alice"]);
    let long = "a".repeat(20_000);
    for number in 0..6 {
        a.post("alice", &format!("{number} {long}"));
    }
    let file = kept.export(&a, "alice");
    assert!(file.len() > HEAD + 2 * CHUNK, "{}", file.len());
    wipe(&mut a).await;
    a.create(&["carol"]);
    let before = a.state();

    let chunks = (HEAD..file.len()).step_by(CHUNK);
    let edges: Vec<usize> = chunks
        .flat_map(|at| [at - 1, at])
        .chain([0, 8, 12, 16, 48, 64, file.len() - 1])
        .collect();
    let mut places = Places(SEED);
    let sampled = std::iter::repeat_with(|| places.below(file.len())).take(FLIPS);
    for at in edges.iter().copied().chain(sampled.collect::<Vec<_>>()) {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = kept.import(&a, &changed).refused(1);
        let chunk = at
            .checked_sub(HEAD)
            .map(|at| format!("chunk {} (", at / CHUNK));
        let place = match (at, chunk) {
            (0..8, _) => "does not begin like one".to_owned(),
            (_, chunk) => chunk.unwrap_or_else(|| "the head (".to_owned()),
        };
        assert!(refused.contains(&place), "byte {at}: {refused}");
        assert!(
            refused.ends_with("[damaged]") || at < 8,
            "byte {at}: {refused}"
        );
    }
    for cut in edges
        .iter()
        .copied()
        .chain([1, HEAD + 1, HEAD + CHUNK / 2, file.len() / 2])
    {
        let refused = kept.import(&a, &file[..cut]).refused(1);
        let is_named = refused.contains("cut off") || refused.contains("chunk ") || cut == 0;
        assert!(is_named, "cut at {cut}: {refused}");
    }
    let refused = kept.import(&a, &[&file[..], b"more"].concat()).refused(1);
    assert!(refused.ends_with("[damaged]"), "{refused}");
    std::fs::write(kept.path("passphrase"), "another passphrase\n").expect("written");
    let refused = kept.import(&a, &file).refused(1);
    assert!(refused.ends_with("[not-authorised]"), "{refused}");
    assert_eq!(a.state(), before);
    assert!(!a.dir().join("import").exists());
    a.verify();
    std::fs::write(kept.path("passphrase"), "a passphrase of the test\n").expect("written");
    kept.import(&a, &file).ok();
    assert_eq!(outbox(&a, "alice").len(), 7);
}

/// Another file with the same seal.
fn resealed(file: &[u8], change: impl Fn(usize, Record) -> Option<Record>) -> Vec<u8> {
    let passphrase = b"a passphrase of the test";
    let mut opening = Opening::new(passphrase);
    let mut records = Vec::new();
    let mut each = |record, _: &str| {
        records.push(record);
        Ok::<_, OpenError>(())
    };
    opening.feed(file, &mut each).expect("whole");
    opening.finish(&mut each).expect("whole");
    let mut sealing = Sealing::new(passphrase).expect("random bytes");
    let records = records.into_iter().enumerate();
    for record in records.filter_map(|(at, record)| change(at, record)) {
        sealing.push(&record);
    }
    sealing.finish()
}

/// The entries of a file, changed where `change` says so.
fn with_entries(file: &[u8], change: impl Fn(&mut Entry)) -> Vec<u8> {
    resealed(file, |_, record| match record {
        Record::Entry(mut entry) => {
            change(&mut entry);
            Some(Record::Entry(entry))
        }
        other => Some(other),
    })
}

/// Says something else in the second entry.
fn reworded(entry: &mut Entry) {
    if entry.outbox == Some(2) {
        let document = entry.document.take().expect("a document");
        let text = String::from_utf8(document.to_vec()).expect("JSON");
        assert!(text.contains("first words"), "{text}");
        entry.document = Some(text.replace("first words", "other words").into());
    }
}

/// Puts the second and third entry in each other's place.
fn exchanged(entry: &mut Entry) {
    entry.outbox = entry.outbox.map(|seq| match seq {
        2 => 3,
        3 => 2,
        other => other,
    });
}

/// Somebody who follows, and never asked.
fn made_up() -> Between {
    Between::Relation {
        direction: Direction::Follower,
        peer: "https://b.example/actors/mallory".to_owned(),
        relation: Relation {
            phase: Phase::Accepted,
            id: Some("https://b.example/follows/1".to_owned()),
            inbox: Some("https://b.example/inbox".to_owned()),
            ..Relation::default()
        },
    }
}

/// What is well sealed, and forged all the same.
fn forged(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let without = |gone: usize| resealed(file, |at, record| (at != gone).then_some(record));
    vec![
        ("other words", with_entries(file, reworded)),
        (
            "other words under their own CID",
            with_entries(file, |entry| {
                reworded(entry);
                let document = entry.document.clone().expect("a document");
                let map = read_document(Notation::Json, &document, 1 << 20).expect("JSON");
                entry.digest = cid(&map).digest;
            }),
        ),
        (
            "an entry left out",
            resealed(file, |_, record| match record {
                Record::Entry(entry) if entry.outbox == Some(2) => None,
                other => Some(other),
            }),
        ),
        (
            "two entries in each other's place",
            with_entries(file, exchanged),
        ),
        (
            "another key named",
            with_entries(file, |entry| entry.key = None),
        ),
        (
            "a follower made up",
            resealed(file, |_, record| {
                Some(match record {
                    Record::Between(_) => Record::Between(made_up()),
                    other => other,
                })
            }),
        ),
        (
            "another secret",
            resealed(file, |_, mut record| {
                if let Record::Key(key) = &mut record
                    && key.kind == KeyKind::Ed25519
                {
                    key.secret = vec![9; 32];
                }
                Some(record)
            }),
        ),
        ("no secret", without(1)),
        ("nothing at the beginning", without(0)),
        (
            "no end",
            resealed(file, |_, record| {
                (!matches!(record, Record::End(_))).then_some(record)
            }),
        ),
        (
            "another name",
            resealed(file, |_, record| {
                Some(match record {
                    Record::Begin(begin) => Record::Begin(Begin {
                        name: "mallory".to_owned(),
                        actor: begin.actor.replace("alice", "mallory"),
                        ..begin
                    }),
                    other => other,
                })
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_well_sealed_and_forged_is_refused_by_what_is_wrong_with_it() {
    let (mut a, b) = tokio::join!(Instance::start(), Instance::start());
    let kept = Kept::new();
    a.create(&["alice"]);
    b.create(&["bob"]);
    a.post("alice", "first words");
    a.json(["actor", "rotate-key", "alice"]);
    a.post("alice", "last words");
    b.follow("bob", &a.handle("alice"));
    b.following("bob", 1).await;
    let file = kept.export(&a, "alice");
    wipe(&mut a).await;
    let before = a.state();
    let mut page = Vec::new();
    for (what, file) in forged(&file) {
        let refused = kept.import(&a, &file).refused(1);
        page.push(format!("{what}: {refused}").replace(&a.url(), "URL"));
    }
    insta::assert_snapshot!(page.join("\n"));
    assert_eq!(a.state(), before);
    assert!(!a.dir().join("import").exists());
    kept.import(&a, &resealed(&file, |_, record| Some(record)))
        .ok();
    a.verify();
}

/// Kills that fall before, into and behind the import; they are what is tried, and nothing waits for them.
const KILLS_AFTER_MS: [u64; 10] = [40, 80, 120, 160, 200, 240, 280, 320, 400, 500];
const POSTS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_at_any_instant_of_an_import_leaves_all_of_it_or_nothing() {
    let mut a = Instance::start().await;
    let kept = Kept::new();
    a.create(&["alice"]);
    let client = a.client().await;
    for number in 0..POSTS {
        let published = client.publish(PublishRequest {
            actor: "alice".to_owned(),
            document_json: format!(r#"{{"type":"Note","content":"{number}"}}"#).into_bytes(),
            ..PublishRequest::default()
        });
        published.await.expect("published");
    }
    let file = kept.export(&a, "alice");
    wipe(&mut a).await;
    a.create(&["carol"]);
    let before = a.state();
    let mut undone = 0;
    for after_ms in KILLS_AFTER_MS {
        let (path, passphrase) = (kept.text("changed"), kept.text("passphrase"));
        std::fs::write(&path, &file).expect("written");
        let dir = a.dir().to_str().expect("UTF-8").to_owned();
        let mut import = crate::harness::program();
        import.args([
            "--data-dir",
            &dir,
            "actor",
            "import",
            &path,
            "--passphrase-file",
            &passphrase,
        ]);
        let mut import = import
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        a.kill();
        // Its server is gone, so that it ends.
        import.wait().expect("it ended");
        a.restart().await;
        assert!(!a.dir().join("import").exists());
        a.verify();
        let is_here = a.cli(["actor", "show", "alice"]).code == Some(0);
        if is_here {
            assert_eq!(
                outbox(&a, "alice").len(),
                POSTS + 1,
                "killed after {after_ms} ms"
            );
            wipe(&mut a).await;
            a.create(&["carol"]);
        } else {
            undone += 1;
            assert_eq!(a.state().0, before.0, "killed after {after_ms} ms");
        }
    }
    assert!(undone > 0, "no kill came before the end");
    kept.import(&a, &file).ok();
    a.post("alice", "after all");
    eventually("the whole log", async || {
        (outbox(&a, "alice").len() == POSTS + 2).then_some(())
    })
    .await;
    counts_up(&outbox(&a, "alice"));
    a.rebuilt_equals_live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_comes_back_with_those_who_control_it_and_what_it_announced() {
    let kept = Kept::new();
    let (mut a, b) = tokio::join!(Instance::start(), Instance::start());
    a.json(["actor", "create", "club", "--kind", "group"]);
    b.create(&["bob", "carol"]);
    let club = a.actor_url("club");
    b.follow("carol", &club);
    b.following("carol", 1).await;
    a.json(["group", "add", "club", &b.handle("carol"), "--controller"]);
    a.json(["group", "add", "club", &b.handle("bob"), "--member"]);
    let said = b.json([
        "post",
        "bob",
        "to all",
        "--to",
        &club,
        "--visibility",
        "public",
    ]);
    eventually("it to be announced", async || {
        let announces = |entry: &Value| entry["document"]["objectCid"] == said["cid"];
        outbox(&a, "club").iter().any(announces).then_some(())
    })
    .await;
    a.delivered().await;
    let shown = a.json(["group", "show", "club"]);

    let file = kept.export(&a, "club");
    wipe(&mut a).await;
    kept.import(&a, &file).ok();
    assert_eq!(a.json(["group", "show", "club"]), shown);
    // carol removes what the group announced before.
    let object = b.json(["get", said["cid"].as_str().expect("a CID")]);
    let object = object["document"]["object"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let delete = serde_json::json!({"type": "Delete", "object": object, "to": [club]});
    let path = kept.text("delete.json");
    std::fs::write(&path, delete.to_string()).expect("written");
    b.json(["publish", "carol", &path]);
    eventually("it to be gone from the group", async || {
        let deletes = |entry: &Value| entry["document"]["type"] == "Delete";
        outbox(&a, "club").iter().any(deletes).then_some(())
    })
    .await;
    a.rebuilt_equals_live().await;
}
