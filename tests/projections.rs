//! Projections of a whole instance: what is served after a kill is what was served before it.

use serde_json::json;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::harness::{Instance, Setup, Writer, eventually};

const PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))"#;

const PIN_STATE: &str = r#"(DefineProjection :name "pin-state" :doc "What is pinned where."
  :on "Pin" :scope "public" :initialState {}
  :fold (fn (state act) (assoc state (get act :path) (get act :object))))"#;

/// How often each verb was seen.
const COUNTS: &str = r#"(DefineProjection :name "counts" :doc "How often each verb was seen."
  :scope "public" :initialState {}
  :fold (fn (state act) (update state (get act :type) (fn (n) (inc (or n 0))))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_and_what_it_adds_up_to_are_learnt_while_running() {
    let mut instance = Instance::start().await;
    instance.create(&["alice"]);
    let file = |instance: &Instance, name: &str, text: &str| {
        let path = instance.dir().with_file_name(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path in UTF-8").to_owned()
    };
    for (name, source) in [("pin.sx", PIN), ("pin-state.sx", PIN_STATE)] {
        let path = file(&instance, name, source);
        instance.json(["define", &path, "--as", "alice"]);
    }
    for (path, object) in [
        ("a", "https://a.example/"),
        ("b", "https://b.example/"),
        ("a", "https://c.example/"),
    ] {
        let pin = json!({"type": "Pin", "path": path, "object": object}).to_string();
        let pin = file(&instance, "pin.json", &pin);
        instance.json(["publish", "alice", &pin]);
    }
    let bad = file(
        &instance,
        "bad.json",
        &json!({"type": "Pin", "path": 7}).to_string(),
    );
    let said = instance.cli(["publish", "alice", &bad]).refused(1);
    assert!(said.contains("[schema]"), "{said}");

    let before = whole(&instance, "pin-state").await;
    let state = r#""state":{"a":"https://c.example/","b":"https://b.example/"}"#;
    assert!(before.contains(state), "{before}");
    instance.kill();
    instance.restart().await;
    assert_eq!(whole(&instance, "pin-state").await, before);
    let rebuilt = instance.json(["projection", "rebuild", "pin-state"]);
    assert_eq!(rebuilt["complete"], true, "{rebuilt}");
    assert_eq!(whole(&instance, "pin-state").await, before);
    shown(&instance);
    instance.stop().await;
}

/// What the command line tells of `pin-state`.
fn shown(instance: &Instance) {
    let (end, _) = instance.state();
    let wait = end.to_string();
    let now = instance.json(["projection", "show", "pin-state", "--wait", &wait]);
    assert_eq!(now["state"]["a"], "https://c.example/", "{now}");
    assert_eq!((&now["offset"], &now["lag"]), (&json!(end), &json!(0)));
    let before = (end - 1).to_string();
    let earlier = instance.json(["projection", "show", "pin-state", "--at", &before]);
    assert_eq!(earlier["state"]["a"], "https://a.example/", "{earlier}");
    let list = instance.json(["projection", "list"]);
    let names = list.as_array().expect("a list").iter();
    let names: Vec<_> = names
        .map(|one| one["name"].as_str().expect("a name"))
        .collect();
    let expected = [
        "announcements",
        "endorsements",
        "notes",
        "pin-state",
        "timeline",
    ];
    assert_eq!(names, expected);
    let failed = instance.json(["projection", "show", "pin-state", "--failures"]);
    assert_eq!(failed, json!([]));
    let said = instance.cli(["projection", "show", "none"]).refused(1);
    assert!(said.contains("`fedsx projection list`"), "{said}");
    let said = instance
        .cli(["projection", "show", "notes", "--at", "1"])
        .refused(1);
    assert!(said.contains("name one"), "{said}");
}

/// Killed while it folds what is being written; then the states are those of a fold from the first entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_it_folds_lose_nothing_and_fold_nothing_twice() {
    const KILLS: usize = 4;
    const NOTES: usize = 30;
    let mut instance = Instance::start().await;
    instance.create(&["alice"]);
    let path = instance.dir().with_file_name("counts.sx");
    std::fs::write(&path, COUNTS).expect("a file");
    instance.json(["define", path.to_str().expect("text"), "--as", "alice"]);
    let writer = Writer {
        contact: instance.contact(),
        name: "alice".to_owned(),
        count: Arc::default(),
    };
    for round in 0..KILLS {
        let write = async {
            for number in round * NOTES..(round + 1) * NOTES {
                writer.write_whatever_happens(number).await;
            }
        };
        let kill = async {
            let half = u32::try_from(round * NOTES + NOTES / 2).expect("small");
            eventually("half of it is written", async || {
                (writer.count.load(Ordering::Relaxed) >= half).then_some(())
            })
            .await;
            instance.kill();
            instance.restart().await;
        };
        tokio::join!(write, kill);
    }
    let live = whole(&instance, "counts").await;
    let text = instance.json(["outbox", "alice", "--limit", "10000"]);
    let verbs = text.as_array().expect("a list").iter();
    let creates = verbs.filter(|one| one["document"]["type"] == "Create");
    let creates = creates.count();
    assert!(creates > KILLS * NOTES, "{creates}");
    assert!(live.contains(&format!("\"Create\":{creates}")), "{live}");
    for name in ["counts", "notes", "timeline"] {
        instance.json(["projection", "rebuild", name]);
    }
    assert_eq!(whole(&instance, "counts").await, live);
    instance.stop().await;
}

/// What one reads of another, passed on by a third: across processes, by the command line alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_passed_on_reaches_followers_and_is_counted() {
    let (a, b) = tokio::join!(Instance::start(), Instance::start());
    a.create(&["alice"]);
    b.create(&["bob", "carol"]);
    a.follow("alice", &b.actor_url("bob"));
    b.follow("carol", &a.actor_url("alice"));
    a.following("alice", 1).await;
    a.followers("alice", 1).await;
    let note = b.post("bob", "worth passing on");
    eventually("bob's note at alice's", async || {
        (a.json(["timeline", "alice"])[0]["cid"] == *note).then_some(())
    })
    .await;
    let announced = a.json(["announce", "alice", &note]);
    let liked = a.json(["endorse", "alice", &note]);
    let id = b.json(["get", &note])["document"]["object"]["id"].clone();
    let id = id.as_str().expect("an id");
    eventually("carol sees what alice passed on", async || {
        let newest = &b.json(["timeline", "carol"])[1];
        let is_it = newest["cid"] == announced["cid"] && newest["document"]["object"] == id;
        is_it.then_some(())
    })
    .await;
    eventually("bob is told", async || {
        let inbox = b.json(["inbox", "bob"]);
        let mut inbox = inbox.as_array().expect("a list").iter();
        inbox.find(|one| one["cid"] == liked["cid"]).map(|_| ())
    })
    .await;
    let (end, _) = b.state();
    for (name, count) in [
        ("announcements", r#""count":1"#),
        ("endorsements", r#""like":{"actors""#),
    ] {
        let path = format!("/projections/{name}?key={id}&wait={end}");
        let answer = b.web().get(&path).await;
        let text = String::from_utf8(answer.body).expect("text");
        assert!(text.contains(count), "{text}");
    }
    let said = a.cli(["announce", "alice", "nothing"]).refused(1);
    assert!(said.contains("neither a CID nor the URL"), "{said}");
}

/// The state of a projection without keys, when everything is folded.
async fn whole(instance: &Instance, name: &str) -> String {
    let (offset, _) = instance.state();
    let path = format!("/projections/{name}?wait={offset}");
    let answer = instance.web().get(&path).await;
    let body = String::from_utf8(answer.body).expect("text");
    assert_eq!(answer.status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_changes_no_projection() {
    for engine in ["fjall", "memory"] {
        let setup = Setup {
            engine,
            ..Setup::default()
        };
        let mut instance = Instance::start_as(setup).await;
        instance.create(&["alice"]);
        let mut notes = Vec::new();
        for number in 0..10 {
            let cid = instance.post("alice", &format!("note {number}"));
            let entry = instance.json(["get", &cid]);
            let id = entry["document"]["object"]["id"]
                .as_str()
                .map(str::to_owned);
            notes.push(id.expect("the id of a note"));
        }
        let before = served(&instance, &notes).await;
        assert!(before[1].contains("note 1"), "{}", before[1]);

        instance.kill();
        instance.restart().await;
        assert_eq!(served(&instance, &notes).await, before);
        instance.post("alice", "once more");
        assert_eq!(served(&instance, &notes).await, before);

        let web = instance.web();
        assert_eq!(web.get("/projections/timeline").await.status, 401);
        assert_eq!(web.get("/projections/none").await.status, 404);
        assert_eq!(web.get("/projections/notes").await.status, 400);
        let list = web.get("/projections").await;
        let list = String::from_utf8(list.body).expect("text");
        assert!(
            list.contains("\"notes\"") && !list.contains("\"timeline\""),
            "{list}"
        );
    }
}

/// The state of each note, when everything is folded.
async fn served(instance: &Instance, notes: &[String]) -> Vec<String> {
    let (offset, _) = instance.state();
    let mut served = Vec::new();
    for id in notes {
        let path = format!("/projections/notes?key={id}&wait={offset}");
        let answer = instance.web().get(&path).await;
        let body = String::from_utf8(answer.body).expect("text");
        assert_eq!(answer.status, 200, "{body}");
        served.push(body);
    }
    served
}
