//! History asked for with a follow, between processes: each mode, what only followers may read, and through kills.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Instance, Setup, Stranger, Writer, eventually, inbox, soak, within};

/// Notes that a short run fetches, and a long one.
const NOTES: [usize; 2] = [2_000, 50_000];
/// Who writes them at once.
const PENS: usize = 8;

/// What of the past is in an inbox.
fn remembered(entries: &[Value]) -> Vec<Value> {
    let is_past = |entry: &&Value| entry["state"] == "backfilled";
    entries.iter().filter(is_past).cloned().collect()
}

fn texts(entries: &[Value]) -> Vec<String> {
    let text = |entry: &Value| {
        let object = &entry["document"]["object"];
        let text = object["content"].as_str().or(object["type"].as_str());
        text.unwrap_or_default().to_owned()
    };
    entries.iter().map(text).collect()
}

/// The backfill of `who`, once it has ended.
async fn ended(instance: &Instance, name: &str) -> Value {
    eventually("the end of a backfill", async || {
        let list = instance.json(["backfill", name]);
        let one = list.as_array()?.first()?.clone();
        (one["state"] != "asked" && one["state"] != "running").then_some(one)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_gives_what_it_says_and_followers_get_what_is_theirs() {
    let (here, there) = tokio::join!(Instance::start(), Instance::start());
    there.create(&["bob"]);
    here.create(&["all", "last", "window", "since", "none", "late"]);
    let one = there.post("bob", "one");
    let two = there.post("bob", "two");
    there.json(["post", "bob", "three", "--visibility", "followers"]);
    let stranger = Stranger::start(&["carol"]);
    there.json(["post", "bob", "psst", "--to", &stranger.actor_url("carol")]);
    there.post("bob", "four");
    let since = format!("since:{two}");
    let modes = [
        ("all", "full", vec!["Person", "one", "two", "three", "four"]),
        ("last", "last:2", vec!["three", "four"]),
        (
            "window",
            "window:3600",
            vec!["Person", "one", "two", "three", "four"],
        ),
        ("since", &since, vec!["three", "four"]),
        ("none", "none", vec![]),
    ];
    for (name, mode, expected) in modes {
        here.json(["follow", name, &there.handle("bob"), "--backfill", mode]);
        here.following(name, 1).await;
        if mode == "none" {
            assert_eq!(here.json(["backfill", name]), json!([]));
        } else {
            let ended = ended(&here, name).await;
            assert_eq!(ended["state"], "complete", "{mode}: {ended}");
            assert_eq!(ended["mode"], mode);
            assert_eq!(ended["why"], Value::Null, "it is held against the log");
        }
        let past = texts(&remembered(&inbox(&here, name)));
        assert_eq!(past, expected, "{mode}");
    }
    // Begun by hand, later, and once more: it is here already.
    here.follow("late", &there.handle("bob"));
    here.following("late", 1).await;
    here.cli(["backfill", "late", &there.handle("bob")])
        .refused(1);
    for entered in [5, 0] {
        let begun = ["backfill", "late", &there.handle("bob"), "--mode", "full"];
        let begun = here.json(begun);
        assert_eq!(begun["state"], "complete", "{begun}");
        assert!(begun["entered"].as_u64() >= Some(entered), "{begun}");
    }
    let explained = here.json(["explain", &two]);
    assert_eq!(explained["backfilled"], true, "{explained}");
    strangers_see_what_is_public(&there, &stranger).await;
    // What was deleted keeps its leaf in the log, and is not withheld.
    there.json(["delete", "bob", &one]);
    let begun = ["backfill", "late", &there.handle("bob"), "--mode", "full"];
    let begun = here.json(begun);
    assert_eq!(begun["state"], "complete", "{begun}");
    assert_eq!(begun["why"], Value::Null, "{begun}");
    assert_eq!(there.json(["dead-letters"]), json!([]));
}

/// carol reads what is public and what is for her, and nothing that is for followers.
async fn strangers_see_what_is_public(there: &Instance, stranger: &Stranger) {
    let url = format!("{}/outbox?since=0&limit=1000", there.actor_url("bob"));
    let signed = stranger.signed_get("carol", &url);
    let answer = there.web().get_signed(&url, signed).await;
    assert_eq!(answer.status, 200);
    let page: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let items = page["orderedItems"].as_array().expect("a list");
    let notes = items
        .iter()
        .filter_map(|item| item["object"]["content"].as_str());
    let notes: Vec<&str> = notes.collect();
    assert_eq!(notes, ["one", "two", "psst", "four"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_comes_whole_and_in_order_through_kills() {
    let notes = NOTES[usize::from(soak())];
    let patience = Duration::from_secs(if soak() { 900 } else { 90 });
    let unlimited = ["server.posts_per_minute=0", "server.reads_per_minute=0"];
    let setup = Setup {
        settings: unlimited.map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    let (mut here, there) = tokio::join!(
        Instance::start_as(setup.clone()),
        Instance::start_as(setup.clone())
    );
    there.create(&["bob"]);
    here.create(&["alice"]);
    written(&there, notes).await;
    here.json([
        "follow",
        "alice",
        &there.handle("bob"),
        "--backfill",
        "full",
    ]);
    let count = |here: &Instance| {
        let shown = here.json(["actor", "show", "alice"]);
        shown["inbox"].as_u64().expect("a count")
    };
    for kill in 0..3_u64 {
        let least = 1 + kill * notes as u64 / 4;
        within(patience, "more of the history", async || {
            (count(&here) >= least).then_some(())
        })
        .await;
        here.kill();
        here.restart().await;
    }
    let ended = within(patience, "the end of the history", async || {
        let one = here.json(["backfill", "alice"])[0].clone();
        (one["state"] != "running").then_some(one)
    })
    .await;
    assert_eq!(ended["state"], "complete", "{ended}");
    let entered = ended["entered"].as_u64().zip(ended["here"].as_u64());
    let (entered, already) = entered.expect("two counts");
    assert_eq!(entered + already, notes as u64 + 1, "{ended}");
    let history = journal(&there, |entry| entry["verb"] == "Create");
    let past = journal(&here, |entry| entry["backfilled"] == true);
    assert_eq!(history.len(), notes + 1);
    assert!(past == history, "complete, in order, each once");
    assert_eq!(count(&here), notes as u64 + 2, "and the Accept");
    here.rebuilt_equals_live().await;
}

/// The CIDs of some activities of a journal, in its order.
fn journal(instance: &Instance, is_meant: impl Fn(&Value) -> bool) -> Vec<String> {
    let dumped = instance.cli(["journal", "dump"]).ok();
    let entries = dumped.stdout.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        entry
    });
    let meant = entries.filter(|entry| entry["kind"] == "activity" && is_meant(entry));
    let cid = |entry: Value| entry["cid"].as_str().expect("a CID").to_owned();
    meant.map(cid).collect()
}

/// bob writes so many notes.
async fn written(there: &Instance, notes: usize) {
    let writer = Writer {
        contact: there.contact(),
        name: "bob".to_owned(),
        count: Arc::default(),
    };
    let mut pens = JoinSet::new();
    for pen in 0..PENS {
        let (writer, client) = (writer.clone(), there.client().await);
        pens.spawn(async move {
            for number in (pen..notes).step_by(PENS) {
                writer.write(&client, number).await.expect("published");
            }
        });
    }
    pens.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_away_is_asked_again_and_goes_on_by_itself() {
    let setup = Setup {
        settings: vec!["backfill.retry=50ms".to_owned()],
        ..Setup::default()
    };
    let (here, mut there) = tokio::join!(Instance::start_as(setup), Instance::start());
    there.create(&["bob"]);
    here.create(&["alice"]);
    there.post("bob", "before");
    here.follow("alice", &there.handle("bob"));
    here.following("alice", 1).await;
    there.delivered().await;
    there.stop().await;
    let bob = there.actor_url("bob");
    here.json(["backfill", "alice", &bob, "--mode", "full", "--detach"]);
    eventually("a try that failed", async || {
        let one = here.json(["backfill", "alice"])[0].clone();
        (one["state"] == "running" && one["why"].is_string()).then_some(())
    })
    .await;
    there.restart().await;
    let ended = ended(&here, "alice").await;
    assert_eq!(ended["state"], "complete", "{ended}");
    let past = texts(&remembered(&inbox(&here, "alice")));
    // Its answer to the follow is here already.
    assert_eq!(past, ["Person", "before"]);
}
