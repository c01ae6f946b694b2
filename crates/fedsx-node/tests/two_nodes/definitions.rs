//! What is defined here judges what is published and received.

use fedsx_core::cid::Cid;
use fedsx_core::definition::{Definition, Kind, read_source};
use fedsx_core::entry::{Mark, Role};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Published, Status};

use crate::followed;
use crate::harness::{Instance, Net};

pub(crate) const PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand."
  :schema (fn (act) (and (string? (get act :path)) (string? (get act :object)))))"#;
pub(crate) const SHORT_PIN: &str = r#"(DefineActivity :name "Pin" :doc "To keep a link at hand, shortly."
  :schema (fn (act) (and (string? (get act :path)) (< (len (get act :path)) 4))))"#;
const LOOP: &str = r#"(DefineActivity :name "Loop" :doc "Never ends."
  :schema (fn (act) (let ((again (fn (again n) (again again (+ n 1))))) (again again 0))))"#;

async fn publish(instance: &Instance, name: &str, document: Map) -> Result<Published, Refusal> {
    let options = PublishOptions::default();
    instance.node.publish(name, document, options).await
}

pub(crate) async fn define(
    instance: &Instance,
    name: &str,
    source: &str,
) -> Result<Published, Refusal> {
    let role = instance.node.set_role(name, Role::Definer, true).await;
    role.expect("an actor");
    publish(instance, name, read_source(source).expect(source)).await
}

pub(crate) fn pin(path: &str) -> Map {
    Map::from([
        ("type", "Pin"),
        ("path", path),
        ("object", "https://c.test/a"),
    ])
}

#[tokio::test]
async fn what_is_published_while_a_verb_changes_is_judged_by_what_stands_before_it() {
    let net = Net::default();
    let (_a, b) = followed(&net).await;
    define(&b, "bob", PIN).await.expect("defines");
    publish(&b, "bob", pin("longer")).await.expect("a Pin");
    // All are judged by what stands when they are begun, and get to the writer behind the definition.
    let pins = (0..50).map(|_| publish(&b, "bob", pin("longer")));
    let shorter = define(&b, "bob", SHORT_PIN);
    let (shorter, pins) = tokio::join!(shorter, futures_util::future::join_all(pins));
    shorter.expect("defines");
    for refused in pins {
        assert_eq!(refused.expect_err("too long now").code, Code::Schema);
    }
}

#[tokio::test]
async fn what_is_received_while_a_verb_changes_is_judged_by_what_stands_before_it() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    define(&a, "alice", PIN).await.expect("defines");
    let pin = || {
        let mut pin = b.raw("bob", "Pin", "https://c.test/a".into(), crate::ALICE);
        pin.insert("path", "longer");
        b.resign("bob", &pin)
    };
    let taken = a.receive(None, &pin()).await.expect("a Pin");
    assert_eq!(taken.status, Status::Accepted);
    let pins: Vec<Map> = (0..20).map(|_| pin()).collect();
    let pins = pins.iter().map(|pin| a.receive(None, pin));
    let shorter = define(&a, "alice", SHORT_PIN);
    let (shorter, pins) = tokio::join!(shorter, futures_util::future::join_all(pins));
    shorter.expect("defines");
    for refused in pins {
        assert_eq!(refused.expect_err("too long now").code, Code::Schema);
    }
}

#[tokio::test]
async fn who_may_define_and_what_it_changes() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let object = read_source(PIN).expect(PIN);
    let undefined = publish(&b, "bob", pin("x")).await.expect_err("no verb");
    assert_eq!(undefined.code, Code::UndefinedVerb);
    let refused = publish(&b, "bob", object.clone()).await;
    assert_eq!(refused.expect_err("no role").code, Code::NotAuthorised);

    let broken = PIN.replace("string?", "strung?");
    let refused = define(&b, "bob", &broken).await.expect_err("no function");
    assert_eq!(refused.code, Code::Schema);
    insta::assert_snapshot!(refused.detail);

    let defined = define(&b, "bob", PIN).await.expect("defines");
    let definition = Definition::from_source(PIN).expect(PIN);
    let create = b.document(&defined.cid);
    assert_eq!(create.get("object"), Some(&Value::Map(object)));
    let found = b.node.registry();
    let found = found.resolve(Kind::Activity, "Pin", None).expect("active");
    assert_eq!(found.definition.cid(), definition.cid());
    assert_eq!(found.offset, defined.offset);

    let published = publish(&b, "bob", pin("x")).await.expect("a Pin");
    let document = b.document(&published.cid);
    let text = |member| {
        document
            .get(member)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    assert_eq!(text("definition"), Some(definition.cid().to_string()));
    assert_eq!(text("definedBy"), Some(defined.cid.to_string()));
    let bad = Map::from([("type", "Pin"), ("object", "https://c.test/a")]);
    let refused = publish(&b, "bob", bad).await.expect_err("no path");
    assert_eq!(refused.code, Code::Schema);
    insta::assert_snapshot!(refused.to_string());

    // The other instance keeps the verb that it does not know, and says so.
    let receipt = a.receive(None, &document).await.expect("kept");
    assert_eq!(receipt.status, Status::Accepted);
    let stored = a.node.view().stored(&published.cid.digest).expect("reads");
    let mark = stored.and_then(|stored| stored.activity()?.mark);
    assert_eq!(mark, Some(Mark::UndefinedVerb));

    // A later definition takes the place of the first, which stays.
    define(&b, "bob", SHORT_PIN).await.expect("defines anew");
    let refused = publish(&b, "bob", pin("long")).await.expect_err("too long");
    assert_eq!(refused.code, Code::Schema);
    publish(&b, "bob", pin("abc")).await.expect("short");
    let create = b.node.view().create_of_definition(&definition.digest());
    let create = create.expect("reads").expect("kept");
    assert_eq!(
        Cid::of_document(create.activity().expect("a Create").digest),
        defined.cid
    );

    let taken = b.node.set_role("bob", Role::Definer, false).await;
    taken.expect("taken");
    let refused = publish(&b, "bob", read_source(PIN).expect(PIN)).await;
    assert_eq!(refused.expect_err("no role").code, Code::NotAuthorised);
    b.close_and_compare();
    a.close_and_compare();
}

#[tokio::test]
async fn what_is_received_is_judged_by_what_is_defined_here() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    define(&b, "bob", SHORT_PIN).await.expect("defines");
    let name = Value::from("https://b.test/actors/bob/objects/1");
    let received = async |path: &str| {
        let mut document = a.raw("alice", "Pin", name.clone(), crate::BOB);
        document.insert("path", path);
        let document = a.resign("alice", &document);
        (b.receive(Some("bob"), &document).await, document)
    };
    let (passed, _) = received("abc").await;
    assert_eq!(passed.expect("passes").status, Status::Accepted);
    let (refused, document) = received("abcdef").await;
    assert_eq!(refused.expect_err("too long").code, Code::Schema);
    let id = document.get("id").and_then(Value::as_str).expect("an id");
    let kept = b.node.view().activity_by_id(id);
    assert!(kept.expect("reads").is_none(), "nothing is stored");

    define(&b, "bob", LOOP).await.expect("defines");
    let looped = publish(
        &b,
        "bob",
        Map::from([("type", "Loop"), ("object", "https://c.test/a")]),
    );
    let refused = looped.await.expect_err("no end");
    assert_eq!(refused.code, Code::Schema);
    insta::assert_snapshot!(refused.detail);
    b.close_and_compare();
}
