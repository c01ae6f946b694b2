//! A verb is defined on a running instance, is used, is superseded, and outlives a restart.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{AS2, Instance};

const PIN: &str = r#";; To keep a link at hand.
(DefineActivity :name "Pin" :doc "To keep a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))"#;

/// A file beside the instance's data.
fn file(instance: &Instance, name: &str, text: &str) -> String {
    let path: PathBuf = instance.dir().with_file_name(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().expect(member)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verb_is_defined_used_superseded_and_remembered() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    let pin = json!({"type": "Pin", "path": "links/a", "object": "https://a.example/"});
    let good = file(&here, "good.json", &pin.to_string());
    let bad = json!({"type": "Pin", "object": "https://a.example/"});
    let bad = file(&here, "bad.json", &bad.to_string());
    let source = file(&here, "pin.sx", PIN);
    let said = here.cli(["publish", "alice", &good]).refused(1);
    assert!(said.contains("[undefined-verb]"), "{said}");

    let broken = file(&here, "broken.sx", &PIN.replace("string?", "strung?"));
    let said = here.cli(["define", &broken, "--as", "alice"]).page(1);
    assert!(
        said.contains("broken.sx") && said.contains("strung?"),
        "{said}"
    );

    let defined = here.json(["define", &source, "--as", "alice"]);
    let cid = text(&defined, "cid").to_owned();
    assert_eq!(defined["authority"], "local", "{defined}");
    let verbs = here.json(["verbs"]);
    let found = |verbs: &Value| {
        let verbs = verbs.as_array().expect("a list").iter();
        let mut own = verbs.filter(|verb| verb["authority"] == "local");
        own.next().map(|verb| text(verb, "cid").to_owned())
    };
    assert_eq!(found(&verbs), Some(cid.clone()), "{verbs}");
    let artifact = here.web().get(&format!("/artifacts/{cid}")).await.ok(AS2);
    assert_eq!(artifact["name"], "Pin", "{artifact}");
    assert!(artifact.get("id").is_none() && artifact.get("@context").is_none());
    let capabilities = here
        .web()
        .get_as("/.well-known/sx-capabilities", "application/json")
        .await
        .json();
    assert_eq!(capabilities["verbs"]["Pin"], *cid, "{capabilities}");

    let published = here.json(["publish", "alice", &good]);
    let kept = here.json(["get", text(&published, "cid")]);
    assert_eq!(kept["document"]["definition"], *cid, "{kept}");
    let before = here.state();
    let said = here.cli(["publish", "alice", &bad]).refused(1);
    assert!(said.contains("[schema]"), "{said}");
    assert_eq!(here.state(), before, "nothing is stored");

    let narrower = PIN.replace("(string? (get act :object))", "(= (get act :path) \"b\")");
    let narrower = file(&here, "narrower.sx", &narrower);
    let later = here.json(["define", &narrower, "--as", "alice"]);
    assert_ne!(text(&later, "cid"), cid);
    here.cli(["publish", "alice", &good]).refused(1);
    here.web().get(&format!("/artifacts/{cid}")).await.ok(AS2);

    here.json(["actor", "role", "alice", "-definer"]);
    here.rebuilt_equals_live().await;
    assert_eq!(
        found(&here.json(["verbs"])),
        Some(text(&later, "cid").to_owned())
    );
    let said = here.cli(["publish", "alice", &good]).refused(1);
    assert!(said.contains("[schema]"), "{said}");
    let object = json!({"type": "DefineActivity", "name": "Pin", "schema": "(fn (act) true)"});
    let object = file(&here, "object.json", &object.to_string());
    let said = here.cli(["publish", "alice", &object]).refused(1);
    assert!(said.contains("[not-authorised]"), "{said}");
    here.stop().await;
}
