//! Host types of a whole instance: published, served by their CIDs, and kept to.

use serde_json::{Value, json};

use crate::harness::{AS2, Instance};

const THING: &str =
    r#"(DefineType :name "Thing" :doc "What has a name." :fields {:name "string"})"#;
const DISH: &str = r#"(DefineType :name "Dish" :doc "What is served."
  :fields {:serves "integer" :tags ["string"]}
  :schema (fn (obj) (> (get obj :serves) 0)))"#;

fn file(instance: &Instance, name: &str, text: &str) -> String {
    let path = instance.dir().with_file_name(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn cid(value: &Value) -> String {
    value["cid"].as_str().expect("a CID").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_names_a_type_is_kept_to_it() {
    let mut here = Instance::start().await;
    here.create(&["alice"]);
    let publish = |here: &Instance, document: &Value| {
        let path = file(here, "document.json", &document.to_string());
        here.cli(["publish", "alice", &path])
    };
    let thing = file(&here, "thing.sx", THING);
    let thing = cid(&here.json(["define", &thing, "--as", "alice"]));
    let dish = file(&here, "dish.sx", DISH);
    let dish = cid(&here.json(["define", &dish, "--as", "alice"]));
    let served = here.web().get(&format!("/types/{dish}")).await.ok(AS2);
    assert_eq!(
        (&served["type"], &served["name"]),
        (&json!("DefineType"), &json!("Dish"))
    );
    let object = json!({"type": dish, "serves": 4, "tags": ["soup"]});
    publish(&here, &object).json();
    let refused = |here: &Instance, object: &Value| {
        let said = publish(here, object).refused(1);
        assert!(said.contains("[object-schema]"), "{said}");
        said
    };
    for wrong in [
        json!({"type": dish, "serves": "4", "tags": []}),
        json!({"type": dish, "serves": 0, "tags": []}),
        json!({"type": "Dish", "definition": dish, "serves": 4}),
    ] {
        refused(&here, &wrong);
    }

    // The verb does what `Create` does; from then on a dish must be a thing.
    let subtype =
        json!({"type": "SubtypeOf", "name": "dish-thing", "parent": thing, "child": dish});
    let verb = json!({"type": "SubtypeOf", "object": subtype});
    publish(&here, &verb).json();
    let nameless = json!({"type": "SubtypeOf", "object": {"parent": thing, "child": dish}});
    let said = publish(&here, &nameless).refused(1);
    assert!(said.contains("[schema]"), "{said}");
    let said = refused(&here, &object);
    assert!(said.contains("Thing"), "{said}");
    let named = json!({"type": dish, "name": "soup", "serves": 4, "tags": []});
    let created = publish(&here, &named).json();
    let dump = here.json(["journal", "dump", "--from", &created["offset"].to_string()]);
    assert_eq!(dump["definitions"], json!([dish, thing]), "{dump}");

    for (path, status) in [
        (format!("/types/{}", cid(&created)), 404),
        ("/types/x".to_owned(), 400),
    ] {
        assert_eq!(here.web().get(&path).await.status, status, "{path}");
    }
    let live = here.state();
    here.kill();
    here.restart().await;
    refused(&here, &object);
    here.web().get(&format!("/types/{thing}")).await.ok(AS2);
    here.stop().await;
    here.verify();
    here.json(["reindex"]);
    here.restart().await;
    assert_eq!(here.state(), live, "rebuilt equals live");
    here.stop().await;
}
