//! A verb learnt across instances: kept where it is unknown, fetched and activated where its definer is
//! trusted, admitted in order, explained all the while; and what a schema refuses, in quarantine.

use fedsx_admin::proto;
use fedsx_core::audience::PUBLIC;
use fedsx_core::cid::cid;
use fedsx_core::notation::{Notation, write};
use fedsx_core::value::Map;
use serde_json::{Value, json};

use crate::harness::{AS2, Instance, Setup, Stranger, activity, cids, eventually, inbox};

const PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))"#;
const SHORT_PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand, shortly."
  :schema (fn (act) (< (string-length (get act :path)) 4)))"#;
/// In the order in which they are folded.
const PINS: &str = r#"(DefineProjection :name "pins" :doc "What is pinned, in order."
  :on "Pin" :scope "public" :initialState []
  :fold (fn (state act) (append state (get act :path))))"#;
/// By whose log they joined, which is shown where something is admitted.
const READERS: &str = r#"(DefineProjection :name "readers" :doc "What reached whom."
  :on "Pin" :scope "public" :initialState [] :key (fn (act env) (get env :actors))
  :fold (fn (state act) (append state (get act :path))))"#;

/// alice at one instance, whom bob at the other follows.
struct Pair {
    a: Instance,
    b: Instance,
}

impl Pair {
    /// alice has defined `Pin` before bob, who runs under that policy, follows her.
    async fn new(trust: &str) -> Self {
        let a = Instance::start().await;
        a.create(&["alice"]);
        define(&a, "alice", PIN);
        let b = Instance::start_as(trusting(trust)).await;
        b.create(&["bob", "carol"]);
        for name in ["bob", "carol"] {
            b.follow(name, &a.handle("alice"));
        }
        b.following("bob", 1).await;
        b.following("carol", 1).await;
        Self { a, b }
    }

    /// Publishes a Pin of each path; their CIDs, once they are all at the other instance.
    async fn pins(&self, paths: &[String]) -> Vec<String> {
        let client = self.a.client().await;
        let mut cids = Vec::new();
        for path in paths {
            let pin = json!({"type": "Pin", "path": path, "object": "https://c.example/"});
            let request = proto::PublishRequest {
                actor: "alice".to_owned(),
                document_json: pin.to_string().into_bytes(),
                ..Default::default()
            };
            let published = client.publish(request).await.expect("published");
            cids.push(published.published.expect("what was published").cid);
        }
        let last = cids.last().expect("a Pin").clone();
        eventually("the last Pin to arrive", async || {
            explain(&self.b, &last).map(|_| ())
        })
        .await;
        cids
    }

    async fn end(mut self) {
        self.b.rebuilt_equals_live().await;
        self.b.stop().await;
        self.a.stop().await;
    }
}

fn trusting(trust: &str) -> Setup {
    let settings = vec![
        format!("definitions.trust={trust}"),
        "definitions.fetch_every=500ms".to_owned(),
    ];
    Setup {
        settings,
        ..Setup::default()
    }
}

fn paths(many: usize) -> Vec<String> {
    (0..many).map(|number| format!("p{number}")).collect()
}

fn define(instance: &Instance, name: &str, source: &str) -> Value {
    let path = instance.dir().with_file_name("defined.sx");
    std::fs::write(&path, source).expect("a file");
    let path = path.to_str().expect("a path in UTF-8");
    instance.json(["define", path, "--as", name])
}

/// What is told of an activity; nothing while it is not known.
fn explain(instance: &Instance, cid: &str) -> Option<Value> {
    let ran = instance.cli(["explain", cid]);
    (ran.code == Some(0)).then(|| serde_json::from_str(&ran.stdout).expect("JSON"))
}

fn why(instance: &Instance, cid: &str, standing: &str) -> String {
    let told = explain(instance, cid).expect("it is known");
    assert_eq!(told["standing"], standing, "{told}");
    told["why"].as_str().unwrap_or_default().to_owned()
}

/// The state of a projection, when everything is folded.
async fn folded(instance: &Instance, query: &str) -> Value {
    let (offset, _) = instance.state();
    let wait = if query.contains('?') { '&' } else { '?' };
    let path = format!("/projections/{query}{wait}wait={offset}");
    let answer = instance.web().get(&path).await;
    assert_eq!(answer.status, 200, "{query}");
    answer.json()["state"].clone()
}

async fn is_folded(instance: &Instance, query: &str, expected: &Value) {
    eventually(&format!("{query} to be {expected}"), async || {
        (folded(instance, query).await == *expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_is_kept_under_none_and_learnt_under_followed() {
    let mut pair = Pair::new("none").await;
    define(&pair.b, "bob", PINS);
    define(&pair.b, "bob", READERS);
    let cids = pair.pins(&paths(3)).await;
    for cid in &cids {
        let why = why(&pair.b, cid, "kept");
        assert!(why.contains("`definitions.trust` is `none`"), "{why}");
    }
    let told = explain(&pair.b, &cids[0]).expect("known");
    assert_eq!(told["mark"], "undefined-verb", "{told}");
    assert_eq!(folded(&pair.b, "pins").await, json!([]));
    assert_eq!(pair.b.json(["status"])["trust"], "none");

    pair.b.stop().await;
    pair.b.run_with(trusting("followed").settings);
    pair.b.restart().await;
    is_folded(&pair.b, "pins", &json!(["p0", "p1", "p2"])).await;
    for name in ["bob", "carol"] {
        let key = pair.b.actor_url(name);
        is_folded(
            &pair.b,
            &format!("readers?key={key}"),
            &json!(["p0", "p1", "p2"]),
        )
        .await;
    }
    assert_eq!(pair.b.json(["status"])["trust"], "followed");
    let told = explain(&pair.b, &cids[1]).expect("known");
    assert_eq!(told["standing"], "admitted", "{told}");
    let judged = told["definitions"][0].as_str().expect("a definition");
    let verbs = pair.b.json(["verbs"]);
    let pin = verbs
        .as_array()
        .expect("a list")
        .iter()
        .find(|verb| verb["name"] == "Pin");
    let pin = pin.expect("it was learnt");
    assert_eq!(
        (&pin["cid"], &pin["authority"]),
        (&json!(judged), &json!(pair.a.actor_url("alice")))
    );
    let artifact = pair
        .b
        .web()
        .get(&format!("/artifacts/{judged}"))
        .await
        .ok(AS2);
    assert_eq!(artifact["name"], "Pin");

    // From now on it is judged when it arrives.
    let later = pair.pins(&["later".to_owned()]).await;
    let told = explain(&pair.b, &later[0]).expect("known");
    assert_eq!(
        (&told["standing"], &told["mark"]),
        (&json!("stored"), &Value::Null)
    );
    let all = json!(["p0", "p1", "p2", "later"]);
    is_folded(&pair.b, "pins", &all).await;
    pair.b.kill();
    pair.b.restart().await;
    is_folded(&pair.b, "pins", &all).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_followed_peer_defines_later_arrives_with_it() {
    let pair = Pair::new("followed").await;
    define(&pair.a, "alice", PINS);
    let defined = define(&pair.a, "alice", &PIN.replace("Pin", "Mark"));
    let create = defined["published"]["cid"].as_str().expect("a CID");
    eventually("the verb to be activated", async || {
        let told = explain(&pair.b, create)?;
        (told["standing"] == "activated").then_some(())
    })
    .await;
    pair.pins(&paths(2)).await;
    is_folded(&pair.b, "pins", &json!(["p0", "p1"])).await;

    let thing = r#"(DefineType :name "Thing" :doc "What has a name." :fields {:name "string"})"#;
    let thing = define(&pair.a, "alice", thing);
    let path = format!("/types/{}", thing["cid"].as_str().expect("a CID"));
    eventually("the type to be served here too", async || {
        let answer = pair.b.web().get(&path).await;
        (answer.status == 200).then_some(())
    })
    .await;

    // A name that is held here is not for peers to give a meaning.
    let endorse = r#"(DefineActivity :name "Endorse" :doc "No." :schema (fn (act) false))"#;
    let refused = define(&pair.a, "alice", endorse);
    let create = refused["published"]["cid"].as_str().expect("a CID");
    let told = eventually("the definition to arrive", async || {
        explain(&pair.b, create)
    })
    .await;
    assert_eq!(told["standing"], "offered", "{told}");
    let why = told["why"].as_str().expect("a reason");
    assert!(
        why.contains("`Endorse` is defined already: genesis"),
        "{why}"
    );
    let verbs = pair.b.json(["verbs"]);
    let verbs = verbs.as_array().expect("a list").iter();
    let endorse: Vec<&Value> = verbs.filter(|verb| verb["name"] == "Endorse").collect();
    assert_eq!(endorse.len(), 1);
    assert_eq!(endorse[0]["authority"], "genesis");
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_trusted_changes_nothing_until_it_is_defined_here() {
    let pair = Pair::new("https://c.example/actors/carol").await;
    define(&pair.b, "bob", PINS);
    let cids = pair.pins(&["abc".to_owned(), "abcdef".to_owned()]).await;
    eventually("the reason", async || {
        let why = why(&pair.b, &cids[0], "kept");
        let expected = format!("does not name {}", pair.a.actor_url("alice"));
        why.contains(&expected).then_some(())
    })
    .await;
    let verbs = pair.b.json(["verbs"]);
    let verbs = verbs.as_array().expect("a list");
    assert!(
        verbs.iter().all(|verb| verb["authority"] == "genesis"),
        "{verbs:?}"
    );

    define(&pair.b, "bob", SHORT_PIN);
    is_folded(&pair.b, "pins", &json!(["abc"])).await;
    let why = why(&pair.b, &cids[1], "kept");
    assert!(why.contains("refuses it: schema"), "{why}");
    // A later definition judges again what did not pass.
    define(&pair.b, "bob", PIN);
    is_folded(&pair.b, "pins", &json!(["abc", "abcdef"])).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_activation_and_admission_ends_the_same() {
    let mut pair = Pair::new("none").await;
    define(&pair.b, "bob", PINS);
    let paths = paths(150);
    pair.pins(&paths).await;
    pair.b.run_with(trusting("followed").settings);
    let mut kills = 0;
    pair.b.kill();
    pair.b.restart().await;
    eventually("the verb to be activated", async || {
        let client = pair.b.contact().client().await?;
        let request = proto::ListDefinitionsRequest {
            kind: "DefineActivity".to_owned(),
            limit: 1_000,
            page_token: String::new(),
        };
        let listed = client.definitions(request).await.ok()?;
        let mut names = listed.definitions.iter().map(|defined| &*defined.name);
        names.any(|name| name == "Pin").then_some(())
    })
    .await;
    while kills < 3 {
        pair.b.kill();
        pair.b.restart().await;
        kills += 1;
    }
    is_folded(&pair.b, "pins", &json!(paths)).await;
    pair.end().await;
}

/// A peer that signs whatever it is asked to.
struct Peer {
    there: Stranger,
    to: Vec<String>,
}

impl Peer {
    fn new(here: &Instance, names: &[&str]) -> Self {
        let mut to = vec![PUBLIC.to_owned()];
        to.extend(names.iter().map(|name| here.actor_url(name)));
        let there = Stranger::start(&["alice"]);
        Self { there, to }
    }

    fn pin(&self, number: u32, path: &str) -> Map {
        let alice = self.there.actor_url("alice");
        let mut pin = activity(&alice, number, "Pin", "https://c.example/");
        pin.insert("path", path);
        pin.insert("to", self.to.clone());
        self.there.proved("alice", &pin)
    }
}

fn json_of(map: &Map) -> Vec<u8> {
    write(Notation::Json, &map.clone().into())
}

fn cid_of(map: &Map) -> String {
    cid(map).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_admitted_is_folded_once_for_each_log_whenever_it_joined() {
    let mut here = Instance::start().await;
    let names = ["bob", "carol", "dave"];
    here.create(&names);
    define(&here, "bob", READERS);
    define(&here, "bob", PINS);
    let peer = Peer::new(&here, &names);
    let pin = peer.pin(1, "x");
    let receive = async |name: &str, status: &str| {
        let inbox = format!("/actors/{name}/inbox");
        let answer = here.web().post(&inbox, json_of(&pin)).await;
        answer.taken(status);
    };
    receive("bob", "accepted").await;
    receive("carol", "accepted").await;
    assert_eq!(folded(&here, "pins").await, json!([]));
    define(&here, "bob", PIN);
    is_folded(&here, "pins", &json!(["x"])).await;
    receive("dave", "accepted").await;
    receive("bob", "replay").await;
    let all = async |here: &Instance| {
        let mut states = vec![folded(here, "pins").await];
        for name in names {
            let key = format!("readers?key={}", here.actor_url(name));
            states.push(folded(here, &key).await);
        }
        states
    };
    let expected = vec![json!(["x"]); 4];
    assert_eq!(all(&here).await, expected);
    let live = here.state();
    here.json(["projection", "rebuild", "readers"]);
    assert_eq!(all(&here).await, expected);
    here.stop().await;
    here.json(["reindex"]);
    here.restart().await;
    assert_eq!(here.state(), live, "rebuilt equals live");
    assert_eq!(all(&here).await, expected);
    here.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_schema_refuses_is_in_quarantine_until_it_is_released() {
    let mut here = Instance::start().await;
    here.create(&["bob"]);
    define(&here, "bob", SHORT_PIN);
    define(&here, "bob", PINS);
    let peer = Peer::new(&here, &["bob"]);
    let (long, longer) = (peer.pin(1, "abcdef"), peer.pin(2, "abcdefgh"));
    let (first, second) = (cid_of(&long), cid_of(&longer));
    let before = here.state();
    let own = "/actors/bob/inbox";
    for (pin, inbox) in [(&long, own), (&longer, "/inbox"), (&long, "/inbox")] {
        let answer = here.web().post(inbox, json_of(pin)).await;
        answer.refused(422, "schema");
    }
    let held = here.json(["quarantine", "list"]);
    let held = held.as_array().expect("a list");
    let told = |member: &str| -> Vec<Value> {
        let members = held.iter().map(|held| held[member].clone());
        members.collect()
    };
    assert_eq!(told("cid"), [second.clone(), first.clone()], "each once");
    assert_eq!(told("code"), ["schema", "schema"]);
    assert_eq!(told("verb"), ["Pin", "Pin"]);
    assert!(why(&here, &first, "quarantined").contains("its schema says so"));
    assert_eq!(here.json(["status"])["quarantined"], 2);
    assert_eq!(here.state(), before, "nothing of it is stored");

    here.kill();
    here.restart().await;
    let shown = here.json(["quarantine", "show", &first]);
    assert_eq!(shown["document"]["path"], "abcdef", "{shown}");
    here.json(["quarantine", "release", &first]);
    assert_eq!(cids(&inbox(&here, "bob")), [&*first]);
    is_folded(&here, "pins", &json!(["abcdef"])).await;
    assert_eq!(why(&here, &first, "stored"), "");
    here.json(["quarantine", "discard", &second]);
    let said = here.cli(["quarantine", "discard", &second]).refused(1);
    assert!(said.contains("[not-found]"), "{said}");
    assert_eq!(here.json(["quarantine", "list"]), json!([]));
    here.stop().await;
    here.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_refusals_are_only_remembered() {
    let mut here = Instance::start().await;
    here.create(&["bob"]);
    let peer = Peer::new(&here, &["bob"]);
    let mut forged = peer.pin(1, "abc");
    forged.insert("path", "abd");
    let answer = here.web().post("/inbox", json_of(&forged)).await;
    answer.refused(401, "bad-signature");
    let id = forged.get("id").and_then(|id| id.as_str()).expect("an id");
    for what in [&*cid_of(&forged), id] {
        let told = explain(&here, what).expect("known");
        let found = (&told["standing"], &told["code"]);
        assert_eq!(found, (&json!("refused"), &json!("bad-signature")));
    }
    let unknown = here.cli(["explain", &cid_of(&peer.pin(2, "abc"))]);
    let unknown = unknown.refused(1);
    assert!(unknown.contains("[not-found]"), "{unknown}");
    assert_eq!(here.json(["quarantine", "list"]), json!([]));
    here.stop().await;
}
