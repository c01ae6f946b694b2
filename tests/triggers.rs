//! What follows from activities: once each, also when the process is killed on the way, and never further
//! than what it follows from.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Instance, Setup, Web, eventually, outbox};

const TEST_ECHO: &str = r#"(DefineActivity :name "TestEcho" :doc "Says that something was heard."
  :schema (fn (act) (string? (get act :object))))"#;
const TOPIC: &str = r##"(DefineSubscription :name "Topic" :doc "What has a hashtag."
  :match (fn (act params)
    (let ((tags (get-in act [:object :tag] [])) (name (str "#" (get params :topic))))
      (contains? (map (fn (tag) (get tag :name)) (if (list? tags) tags [tags])) name))))"##;
const ECHO: &str = r#"(DefineTrigger :name "echo" :doc "Echoes what is selected." :on "Topic"
  :then (fn (act env) {:type "TestEcho" :object (get act :id) :heard (get env :cid)}))"#;

/// A file beside the instance's data.
fn file(instance: &Instance, name: &str, text: &str) -> String {
    let path: PathBuf = instance.dir().with_file_name(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn define(instance: &Instance, actor: &str, source: &str) -> Value {
    let path = file(instance, "definition.sx", source);
    instance.json(["define", &path, "--as", actor])
}

fn publish(instance: &Instance, actor: &str, document: &Value) -> Value {
    let path = file(instance, "document.json", &document.to_string());
    instance.json(["publish", actor, &path])
}

fn tagged(tag: &str) -> Value {
    let tag = json!([{"type": "Hashtag", "name": tag}]);
    json!({"type": "Note", "content": "listen", "tag": tag})
}

fn subscribe() -> Value {
    json!({"type": "Subscribe", "object": "Topic", "params": {"topic": "smoketest"}})
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().expect(member)
}

/// What an actor published under a verb, oldest first.
fn published(instance: &Instance, actor: &str, verb: &str) -> Vec<Value> {
    let log = outbox(instance, actor);
    let documents = log.into_iter().map(|entry| entry["document"].clone());
    documents.filter(|one| one["type"] == verb).collect()
}

/// Waits until triggers have met all that is in the journal, and all that followed.
async fn met(instance: &Instance) {
    let admin = Web::new(instance.admin().0);
    eventually("triggers to have met everything", async || {
        let page = String::from_utf8(admin.get("/metrics").await.body).expect("text");
        let mut lines = page.lines();
        let met = lines.find_map(|line| line.strip_prefix("fedsx_triggers_offset "))?;
        let applied = instance.json(["status"])["offset"].as_u64();
        (met.parse().ok() == applied).then_some(())
    })
    .await;
}

fn trigger(instance: &Instance, name: &str) -> Value {
    let triggers = instance.json(["triggers"]);
    let mut triggers = triggers.as_array().expect("a list").iter();
    let found = triggers.find(|trigger| trigger["name"] == name);
    found.expect(name).clone()
}

/// An instance where `alice` echoes what has the tag, or would if triggers ran.
async fn listening(run: bool) -> (Instance, String) {
    let setup = Setup {
        settings: vec![format!("triggers.run={run}")],
        ..Setup::default()
    };
    let instance = Instance::start_as(setup).await;
    instance.create(&["alice", "bob"]);
    define(&instance, "alice", TEST_ECHO);
    define(&instance, "alice", TOPIC);
    let trigger = define(&instance, "alice", ECHO);
    (instance, text(&trigger, "cid").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tagged_note_leads_to_one_echo_that_names_it() {
    let (mut here, echo) = listening(true).await;
    let nameless = json!({"type": "Subscribe", "object": "Tropic"});
    let nameless = file(&here, "nameless.json", &nameless.to_string());
    let said = here.cli(["publish", "alice", &nameless]).refused(1);
    assert!(
        said.contains("Tropic") && said.contains("[not-found]"),
        "{said}"
    );
    // Before it is subscribed to, nothing is selected.
    publish(&here, "alice", &tagged("#smoketest"));
    let subscribed = publish(&here, "alice", &subscribe());
    let listed = here.json(["subscriptions", "alice"]);
    assert_eq!(listed[0]["params"]["topic"], "smoketest", "{listed}");

    publish(&here, "alice", &tagged("#other"));
    let note = publish(&here, "alice", &tagged("#smoketest"));
    met(&here).await;
    let echoes = published(&here, "alice", "TestEcho");
    assert_eq!(echoes.len(), 1, "{echoes:?}");
    assert_eq!(echoes[0]["heard"], note["cid"]);
    assert_eq!(echoes[0]["object"], note["id"]);
    assert_eq!(echoes[0]["causedBy"], json!([note["cid"]]));
    assert_eq!(echoes[0]["trigger"], *echo);
    assert_eq!(trigger(&here, "echo")["published"], 1);
    // A local selection is nobody else's matter.
    let shown = here
        .web()
        .get(&format!("/artifacts/{}", text(&subscribed, "cid")))
        .await;
    assert_eq!(shown.status, 404);

    // What reaches the actor is in its logs as well; what is in another's is not.
    publish(&here, "bob", &tagged("#smoketest"));
    here.follow("alice", "bob");
    here.following("alice", 1).await;
    let heard = publish(&here, "bob", &tagged("#smoketest"));
    met(&here).await;
    let echoes = published(&here, "alice", "TestEcho");
    assert_eq!(echoes.len(), 2, "{echoes:?}");
    assert_eq!(echoes[1]["heard"], heard["cid"]);
    assert!(published(&here, "bob", "TestEcho").is_empty());

    let undo = json!({"type": "Undo", "object": subscribed["id"]});
    publish(&here, "alice", &undo);
    assert_eq!(here.json(["subscriptions", "alice"]), json!([]));
    publish(&here, "alice", &tagged("#smoketest"));
    met(&here).await;
    assert_eq!(published(&here, "alice", "TestEcho").len(), 2);
    let again = file(&here, "undo.json", &undo.to_string());
    let said = here.cli(["publish", "alice", &again]).refused(1);
    assert!(said.contains("[conflict]"), "{said}");
    here.verify();
    here.stop().await;
}

/// Triggers are held back by their setting, so that the kill falls between the append of the note and
/// what follows from it, every time; the place up to which they have met the journal is taken away, so
/// that the second kill falls between what follows and the keeping of the place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_an_activity_and_what_follows_changes_nothing() {
    let (mut here, _) = listening(false).await;
    publish(&here, "alice", &subscribe());
    let note = publish(&here, "alice", &tagged("#smoketest"));
    assert!(published(&here, "alice", "TestEcho").is_empty());
    here.kill();

    here.set("triggers.run=true");
    here.restart().await;
    met(&here).await;
    let echoes = published(&here, "alice", "TestEcho");
    assert_eq!(echoes.len(), 1, "{echoes:?}");
    assert_eq!(echoes[0]["heard"], note["cid"]);
    let live = here.state();

    here.kill();
    std::fs::remove_dir_all(here.dir().join("projections-fjall")).expect("the place is there");
    here.restart().await;
    met(&here).await;
    assert_eq!(here.state(), live, "nothing more is published");

    here.stop().await;
    here.verify();
    here.json(["reindex"]);
    here.restart().await;
    met(&here).await;
    assert_eq!(here.state(), live, "rebuilt equals live");
    let note = publish(&here, "alice", &tagged("#smoketest"));
    met(&here).await;
    let echoes = published(&here, "alice", "TestEcho");
    assert_eq!(echoes.len(), 2, "{echoes:?}");
    assert_eq!(echoes[1]["heard"], note["cid"]);
    here.stop().await;
}

/// Wherever it falls: while activities are appended and what follows is published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_and_repeat_nothing() {
    // So that an hour's bound is not met.
    const KILLS: usize = 3;
    const BETWEEN: usize = 15;
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    define(&here, "alice", TEST_ECHO);
    define(&here, "alice", &answering("echo", "Listen", "TestEcho"));
    for kill in 0..KILLS {
        let client = here.client().await;
        for n in 0..BETWEEN {
            let object = format!("https://a.example/{kill}/{n}");
            let document = json!({"type": "Listen", "object": object}).to_string();
            let request = fedsx_admin::proto::PublishRequest {
                actor: "alice".to_owned(),
                document_json: document.into_bytes(),
                ..Default::default()
            };
            client.publish(request).await.expect("published");
        }
        here.kill();
        here.restart().await;
    }
    met(&here).await;
    let heard = published(&here, "alice", "Listen");
    assert_eq!(heard.len(), KILLS * BETWEEN);
    let mut echoes: Vec<_> = published(&here, "alice", "TestEcho")
        .iter()
        .map(|echo| text(echo, "object").to_owned())
        .collect();
    echoes.sort();
    let mut expected: Vec<_> = heard.iter().map(|one| text(one, "id").to_owned()).collect();
    expected.sort();
    assert_eq!(echoes, expected, "one each");
    here.verify();
    here.stop().await;
}

fn answering(name: &str, on: &str, verb: &str) -> String {
    format!(
        "(DefineTrigger :name \"{name}\" :doc \"Answers.\" :on \"{on}\" :then (fn (act env) \
         {{:type \"{verb}\" :object (get act :id)}}))"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_end() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    for verb in ["Ping", "Pong"].into_iter().chain(STEPS) {
        let source = TEST_ECHO.replace("TestEcho", verb);
        define(&here, "alice", &source);
    }
    define(&here, "alice", &answering("to-ping", "Ping", "Pong"));
    define(&here, "alice", &answering("to-pong", "Pong", "Ping"));
    let object = "https://a.example/";
    let ping = publish(&here, "alice", &json!({"type": "Ping", "object": object}));
    met(&here).await;
    let [pings, pongs] = ["Ping", "Pong"].map(|verb| published(&here, "alice", verb));
    assert_eq!((pings.len(), pongs.len()), (2, 1), "{pings:?} {pongs:?}");
    let chain = &pings[1]["causedBy"];
    assert_eq!(chain.as_array().map(Vec::len), Some(2), "{chain}");
    assert_eq!(chain[0], ping["cid"]);

    // One that no trigger meets twice ends by its length.
    for (at, pair) in STEPS.windows(2).enumerate() {
        define(
            &here,
            "alice",
            &answering(&format!("step-{at}"), pair[0], pair[1]),
        );
    }
    publish(&here, "alice", &json!({"type": STEPS[0], "object": object}));
    met(&here).await;
    let counts = STEPS.map(|verb| published(&here, "alice", verb).len());
    assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let last = published(&here, "alice", STEPS[8]);
    assert_eq!(last[0]["causedBy"].as_array().map(Vec::len), Some(8));
    here.stop().await;
}

const STEPS: [&str; 10] = [
    "StepA", "StepB", "StepC", "StepD", "StepE", "StepF", "StepG", "StepH", "StepI", "StepJ",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_changes_nothing_for_another() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    define(&here, "alice", TEST_ECHO);
    let triggers = [
        (
            "endless",
            "(let ((again (fn (again) (again again)))) (again again))",
        ),
        ("no-activity", "7"),
        (
            "not-defined",
            "{:type \"Nonsense\" :object \"https://a.example/\"}",
        ),
        ("refused", "{:type \"TestEcho\"}"),
        (
            "somebody-else",
            "{:type \"TestEcho\" :object (get act :id) :actor \"https://a.example/eve\"}",
        ),
        ("silent", "nil"),
        ("good", "{:type \"TestEcho\" :object (get act :id)}"),
    ];
    for (name, then) in triggers {
        let source = format!(
            "(DefineTrigger :name \"{name}\" :doc \"A test.\" :on \"Create\" :guard (fn (act) \
             (= (get-in act [:object :type]) \"Note\")) :then (fn (act env) {then}))"
        );
        define(&here, "alice", &source);
    }
    let note = publish(&here, "alice", &json!({"type": "Note", "content": "x"}));
    met(&here).await;
    let echoes = published(&here, "alice", "TestEcho");
    assert_eq!(echoes.len(), 1, "{echoes:?}");
    let mut page = String::new();
    for (name, _) in triggers {
        let trigger = trigger(&here, name);
        let counts = ["published", "nothing", "limited", "failed"];
        let counts = counts.map(|count| trigger[count].to_string()).join(" ");
        let failure = &trigger["lastFailure"];
        if !failure.is_null() {
            assert_eq!(failure["cid"], note["cid"]);
        }
        let error = failure["error"].as_str().unwrap_or_default();
        page.push_str(&format!("{name}: {counts} {error}\n"));
    }
    insta::assert_snapshot!(page);

    // Neither is tried again.
    let live = here.state();
    here.kill();
    here.restart().await;
    met(&here).await;
    assert_eq!(here.state(), live);

    here.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_actors_activities_an_hour_sees_sixty_at_most() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    define(&here, "alice", TEST_ECHO);
    define(&here, "alice", &answering("good", "Listen", "TestEcho"));
    let client = here.client().await;
    for n in 0..61 {
        let object = format!("https://a.example/{n}");
        let request = fedsx_admin::proto::PublishRequest {
            actor: "alice".to_owned(),
            document_json: json!({"type": "Listen", "object": object})
                .to_string()
                .into_bytes(),
            ..Default::default()
        };
        client.publish(request).await.expect("published");
    }
    met(&here).await;
    assert_eq!(published(&here, "alice", "TestEcho").len(), 60);
    let good = trigger(&here, "good");
    let counts = (&good["published"], &good["limited"]);
    assert_eq!(counts, (&json!(60), &json!(1)));
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_further_than_what_it_follows_from() {
    let mut here = Instance::start().await;
    here.create(&["alice", "bob"]);
    define(&here, "alice", TEST_ECHO);
    let of_notes = |name: &str, to: &str| {
        format!(
            "(DefineTrigger :name \"{name}\" :doc \"Answers notes.\" :on \"Create\" :guard (fn (act) \
             (= (get-in act [:object :type]) \"Note\")) :then (fn (act) {{:type \"TestEcho\" \
             :object (get act :id) {to}}}))"
        )
    };
    let public = ":to [\"https://www.w3.org/ns/activitystreams#Public\"]";
    define(&here, "alice", &of_notes("loud", public));
    define(&here, "alice", &of_notes("quiet", ""));
    here.follow("bob", "alice");
    here.followers("alice", 1).await;
    here.json([
        "post",
        "alice",
        "for followers",
        "--visibility",
        "followers",
    ]);
    here.json(["post", "alice", "for bob", "--to", "bob"]);
    met(&here).await;

    let followers = format!("{}/followers", here.actor_url("alice"));
    let echoes = published(&here, "alice", "TestEcho");
    let to: Vec<_> = echoes.iter().map(|echo| echo["to"].clone()).collect();
    assert_eq!(to, [json!([followers]), json!([here.actor_url("bob")])]);
    let failed = trigger(&here, "loud");
    assert_eq!(
        (&failed["published"], &failed["failed"]),
        (&json!(0), &json!(2))
    );
    for echo in &echoes {
        let url = text(echo, "id");
        let path = url
            .strip_prefix(&here.url())
            .expect("a URL of this instance");
        assert_eq!(here.web().get(path).await.status, 404, "{url}");
    }
    // What is for everybody may be told to everybody.
    here.json(["post", "alice", "for all"]);
    met(&here).await;
    assert_eq!(trigger(&here, "loud")["published"], 1);
    here.stop().await;
}
