//! A deleted note is gone: told of as a Tombstone, and from every byte of both data directories, also where
//! everything is killed in the midst of it; and what is left verifies.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};

use crate::harness::{AS2, Instance, eventually, inbox, outbox, program};

/// Nowhere else, also not in part of a row that an engine shortens.
const SECRET: &str = "a-sentence-that-is-nowhere-else";

async fn friends(engine: &'static str) -> (Instance, Instance) {
    let (a, b) = Instance::two_on(engine).await;
    a.create(&["alice"]);
    b.create(&["bob"]);
    a.follow("alice", &b.handle("bob"));
    a.following("alice", 1).await;
    (a, b)
}

/// The files below a place in which a text is. What is removed meanwhile holds nothing.
fn holding(place: &Path, text: &str) -> Vec<String> {
    let found = if place.is_dir() {
        let within = |entry: io::Result<DirEntry>| Ok(holding(&entry?.path(), text));
        fs::read_dir(place).and_then(|entries| entries.map(within).collect::<io::Result<Vec<_>>>())
    } else {
        fs::read(place).map(|bytes| match memmem::find(&bytes, text.as_bytes()) {
            Some(_) => vec![vec![place.display().to_string()]],
            None => Vec::new(),
        })
    };
    match found {
        Ok(found) => found.concat(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("{}: {error}", place.display()),
    }
}

/// Waits until the text is in no file of an instance.
pub(crate) async fn gone(instance: &Instance, text: &str) {
    let what = format!("{text} to go from {}", instance.dir().display());
    let look = async || holding(&instance.dir(), text).is_empty().then_some(());
    eventually(&what, look).await;
}

/// The path of a URL of an instance.
fn path(instance: &Instance, url: &Value) -> String {
    let url = url.as_str().expect("a URL");
    url.strip_prefix(&instance.url())
        .expect("its own")
        .to_owned()
}

/// A note that bob wrote and changed, and that is in every place where it can be.
async fn written(a: &Instance, b: &Instance, text: &str) -> (String, Value) {
    let create = b.post("bob", text);
    let note = b.json(["get", &create])["document"]["object"].clone();
    let mut changed = note.clone();
    changed["content"] = json!(format!("{text}, changed"));
    let update = json!({"type": "Update", "object": changed}).to_string();
    let file = b.dir().with_file_name("update.json");
    fs::write(&file, update).expect("a file");
    b.json(["publish", "bob", file.to_str().expect("UTF-8")]);
    for instance in [a, b] {
        folded(instance, &note["id"], |state| {
            state["content"] == changed["content"]
        })
        .await;
    }
    (create, note)
}

/// Waits for what `notes` says of a note.
async fn folded(instance: &Instance, id: &Value, is_so: impl Fn(&Value) -> bool) {
    let id = id.as_str().expect("a URL");
    eventually("the state of the note", async || {
        let shown = instance.json(["projection", "show", "notes", "--key", id]);
        is_so(&shown["state"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_note_is_gone_from_both_sides_and_both_logs_verify() {
    let (mut a, mut b) = friends("fjall").await;
    let (create, note) = written(&a, &b, SECRET).await;
    let announce = a.json(["announce", "alice", &create]);
    let kept = b.post("bob", "another sentence, which stays");
    eventually("what stays", async || {
        let entries = inbox(&a, "alice");
        entries
            .iter()
            .any(|entry| entry["cid"] == kept)
            .then_some(())
    })
    .await;
    for instance in [&a, &b] {
        assert!(!holding(&instance.dir(), SECRET).is_empty());
    }
    b.json(["delete", "bob", &create]);
    served_as_gone(&b, &create, &note).await;
    listed_as_gone(&b, &outbox(&b, "bob"), &create);
    eventually("the Delete at alice's", async || {
        let explained = a.json(["explain", &create]);
        (explained["standing"] == "erased").then_some(())
    })
    .await;
    a.web().get(&format!("/artifacts/{create}")).await.gone();
    listed_as_gone(&a, &inbox(&a, "alice"), &create);
    let said = b.cli(["delete", "bob", &create]).refused(1);
    assert!(said.contains("[gone]"), "{said}");
    let said = a.cli(["announce", "alice", &create]).refused(1);
    assert!(said.contains("[gone]"), "{said}");
    for instance in [&mut a, &mut b] {
        gone(instance, SECRET).await;
        folded(instance, &note["id"], |state| state["deleted"] == true).await;
        is_what_its_journal_says(instance, &kept).await;
    }
    let said = a.json(["get", announce["cid"].as_str().expect("a CID")]);
    assert_eq!(said["document"]["object"], note["id"], "its name stays");
}

/// HTTP tells that it was there, and nothing of it.
async fn served_as_gone(here: &Instance, create: &str, note: &Value) {
    let web = here.web();
    let left = web.get(&path(here, &note["id"])).await.gone();
    assert_eq!(
        (&left["id"], &left["formerType"]),
        (&note["id"], &json!("Note"))
    );
    assert!(left["deleted"].is_string(), "{left}");
    let activity = here.json(["get", create])["document"]["id"].clone();
    for place in [path(here, &activity), format!("/artifacts/{create}")] {
        let left = web.get(&place).await.gone();
        assert_eq!(left["id"], activity);
        assert_eq!(left["formerType"], "Create");
        assert!(left["deleted"].is_string(), "{left}");
    }
    let page = web.get("/actors/bob/outbox?page=true").await.ok(AS2);
    let items = page["orderedItems"].as_array().expect("a list");
    let left: Vec<_> = items
        .iter()
        .filter(|item| item["type"] == "Tombstone")
        .collect();
    assert_eq!(left.len(), 2, "the Create and its Update: {page}");
    assert!(left.iter().any(|item| item["id"] == activity));
}

/// The command line does so too.
fn listed_as_gone(here: &Instance, log: &[Value], create: &str) {
    let entry = log.iter().find(|entry| entry["cid"] == create);
    let entry = entry.expect("its place stays");
    assert_eq!(
        (&entry["state"], &entry["document"]["type"]),
        (&json!("erased"), &json!("Tombstone")),
        "{entry}"
    );
    let dumped = here.cli(["journal", "dump"]).ok().stdout;
    let mut lines = dumped
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let erasures = lines
        .by_ref()
        .filter(|line: &Value| line["kind"] == "erased");
    assert!(erasures.count() >= 2, "the Create and its Update");
}

/// What is left verifies, and is what the journal folds into.
async fn is_what_its_journal_says(instance: &mut Instance, kept: &str) {
    let report = instance.verify();
    assert!(report["erased"].as_u64() >= Some(2), "{report}");
    assert!(!holding(&instance.dir(), "which stays").is_empty());
    let before = (instance.state(), instance.json(["get", kept]));
    instance.stop().await;
    instance.json(["reindex"]);
    assert!(holding(&instance.dir(), SECRET).is_empty());
    instance.restart().await;
    assert_eq!((instance.state(), instance.json(["get", kept])), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_it_is_deleted_ends_the_same() {
    let (mut a, mut b) = friends("sled").await;
    for (number, pause_ms) in [(1, 0), (2, 4), (3, 40)] {
        let text = format!("{SECRET}-{number}");
        let (create, note) = written(&a, &b, &text).await;
        let mut deleting = program();
        deleting
            .arg("--data-dir")
            .arg(b.dir())
            .args(["delete", "bob", &create]);
        let deleting = deleting.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut deleting = deleting.expect("the program starts");
        // Anywhere between the request and what follows from it.
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        b.kill();
        deleting.wait().expect("it ended");
        b.restart().await;
        let again = b.cli(["delete", "bob", &create]);
        assert!(
            again.code == Some(0) || again.stderr.contains("[gone]"),
            "{again:?}"
        );
        eventually("the Delete at alice's", async || {
            let explained = a.json(["explain", &create]);
            (explained["standing"] == "erased").then_some(())
        })
        .await;
        a.kill();
        a.restart().await;
        for instance in [&a, &b] {
            folded(instance, &note["id"], |state| state["deleted"] == true).await;
        }
    }
    for instance in [&mut a, &mut b] {
        gone(instance, SECRET).await;
        instance.verify();
        let before = instance.state();
        instance.kill();
        instance.json(["reindex"]);
        instance.restart().await;
        assert_eq!(instance.state(), before);
    }
}

/// Waits until what had that CID is told of as gone, and is in no file.
async fn erased(here: &Instance, cid: &str, text: &str) {
    eventually("its erasure", async || {
        let explained = here.json(["explain", cid]);
        (explained["standing"] == "erased").then_some(())
    })
    .await;
    let path = format!("/artifacts/{cid}");
    here.web().get(&path).await.gone();
    gone(here, text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_no_more_is_told_of_what_it_was_sent() {
    let (mut a, b) = friends("fjall").await;
    let sent = b.post("bob", SECRET);
    let told = eventually("the note", async || {
        let entries = inbox(&a, "alice");
        entries.into_iter().find(|entry| entry["cid"] == sent)
    });
    told.await;
    a.json(["unfollow", "alice", &b.actor_url("bob")]);
    b.followers("bob", 0).await;
    let unsent = b.post("bob", "said to nobody there");
    b.delivered().await;
    for cid in [&unsent, &sent] {
        b.json(["delete", "bob", cid]);
    }
    erased(&a, &sent, SECRET).await;
    // Of the other it never heard.
    b.delivered().await;
    let entries = inbox(&a, "alice");
    let deletes = entries
        .iter()
        .filter(|it| it["document"]["type"] == "Delete");
    assert_eq!(deletes.count(), 1);
    let before = a.state();
    a.kill();
    a.json(["reindex"]);
    a.restart().await;
    assert_eq!(a.state(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_an_actor_goes_with_it() {
    let (mut a, b) = friends("fjall").await;
    b.create(&["bea"]);
    a.follow("alice", &b.handle("bea"));
    a.following("alice", 2).await;
    let (one, two) = (
        b.post("bob", SECRET),
        b.post("bob", &format!("{SECRET}, twice")),
    );
    let stays = b.post("bea", "another sentence, which stays");
    eventually("what was said", async || {
        let entries = inbox(&a, "alice");
        let came = |cid: &String| entries.iter().any(|entry| entry["cid"] == **cid);
        [&one, &two, &stays].into_iter().all(came).then_some(())
    })
    .await;
    b.json(["actor", "delete", "bob", "--confirm", "bob"]);
    for cid in [&one, &two] {
        erased(&a, cid, SECRET).await;
    }
    a.following("alice", 1).await;
    assert!(!holding(&a.dir(), "which stays").is_empty());
    let report = a.verify();
    assert!(report["erased"].as_u64() >= Some(2), "{report}");
    let before = a.state();
    a.kill();
    a.json(["reindex"]);
    a.restart().await;
    assert_eq!(a.state(), before);
}
