//! Projections of a whole instance: what is served after a kill is what was served before it.

use serde_json::json;

use crate::harness::{Instance, Setup};

const PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))"#;

const PIN_STATE: &str = r#"(DefineProjection :name "pin-state" :doc "What is pinned where."
  :on "Pin" :scope "public" :initialState {}
  :fold (fn (state act) (assoc state (get act :path) (get act :object))))"#;

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
    instance.stop().await;
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
