//! What the schemas take and refuse: the shapes that peers send, and what means nothing.

use fedsx_core::definition::Body;
use fedsx_core::notation::sx::read;
use fedsx_core::value::Value;
use fedsx_sx::budget::Limits;

use super::definition;

fn holds(section: &str, name: &str, document: &str) -> bool {
    let (Body::Activity { schema, .. } | Body::Object { schema, .. }) =
        definition(section, name).body()
    else {
        panic!("{name} has no schema");
    };
    let value = read(document.as_bytes()).expect(document);
    match schema.call(vec![value], Limits::default()).result {
        Ok(Value::Bool(truth)) => truth,
        other => panic!("{name} of {document}: {other:?}"),
    }
}

/// Each with whether it is taken.
const VERBS: &[(&str, bool)] = &[
    (r#"(Create :object (Note :content "hi"))"#, true),
    (r#"(Create :object [(Note :content "hi")])"#, true),
    (r#"(Create :object "https://a.example/1")"#, false),
    ("(Create :object [])", false),
    ("(Create)", false),
    (
        r#"(Update :object (Person :id "https://a.example/a"))"#,
        true,
    ),
    (r#"(Update :object "https://a.example/a")"#, true),
    ("(Update :object 1)", false),
    (
        r#"(Delete :object (Tombstone :id "https://a.example/1"))"#,
        true,
    ),
    (r#"(Delete :object "https://a.example/a")"#, true),
    ("(Delete)", false),
    (
        r#"(Announce :object "https://a.example/1" :objectCid "baga")"#,
        true,
    ),
    (r#"(Announce :objectCid "baga")"#, true),
    (
        r#"(Announce :object "https://a.example/1" :objectCid 1)"#,
        false,
    ),
    ("(Announce)", false),
    (
        r#"(Endorse :object "https://a.example/1" :kind "like")"#,
        true,
    ),
    (r#"(Endorse :object "https://a.example/1")"#, false),
    (r#"(Endorse :kind "like")"#, false),
    (r#"(Follow :object "https://a.example/a")"#, true),
    (r#"(Follow :object {:id "https://a.example/a"})"#, true),
    (r#"(Follow :object ["https://a.example/a"])"#, true),
    (r#"(Follow :object "")"#, false),
    (
        r#"(Accept :object (Follow :object "https://a.example/a"))"#,
        true,
    ),
    (r#"(Accept :object "https://a.example/follows/1")"#, true),
    ("(Accept)", false),
    (r#"(Reject :object "https://a.example/follows/1")"#, true),
    ("(Reject :object nil)", false),
    (
        r#"(Undo :object (Like :object "https://a.example/1"))"#,
        true,
    ),
    ("(Undo :object [1])", false),
    (r#"(Block :object "https://a.example/a")"#, true),
    ("(Block)", false),
    (
        r#"(Move :object "https://a.example/a" :target "https://b.example/a")"#,
        true,
    ),
    (r#"(Move :object "https://a.example/a")"#, false),
    (
        r#"(Add :object "https://a.example/1" :target "https://a.example/featured")"#,
        true,
    ),
    (r#"(Add :object "https://a.example/1")"#, false),
    (
        r#"(Remove :object "https://a.example/1" :origin "https://a.example/featured")"#,
        true,
    ),
    (r#"(Remove :object "https://a.example/1")"#, false),
    (
        r#"(DefineType :object (DefineType :name "Point" :fields {:x "number"}))"#,
        true,
    ),
    (r#"(DefineType :object (DefineType :name "Point"))"#, false),
    (
        r#"(SubtypeOf :object (SubtypeOf :parent "a" :child "b"))"#,
        true,
    ),
    (
        r#"(SubtypeOf :object (SubtypeOf :parent "a" :child "a"))"#,
        false,
    ),
    (r#"(Subscribe :object "pins" :params {:path "a"})"#, true),
    (r#"(Subscribe :object "pins" :params 1)"#, false),
];

#[test]
fn verbs() {
    for (document, good) in VERBS {
        let name = &document[1..document.find([' ', ')']).expect("a head")];
        assert_eq!(holds("activity-types", name, document), *good, "{document}");
    }
}

/// Each with whether it is taken.
const OBJECTS: &[(&str, bool)] = &[
    (r#"(Note :content "hi")"#, true),
    (r#"(Note :contentMap {:en "hi"})"#, true),
    (r#"(Note :name "an answer")"#, true),
    (
        r#"(Note :content nil :attachment [(Document :url "https://a.example/1.png")])"#,
        true,
    ),
    ("(Note :attachment [])", false),
    ("(Note :content 1)", false),
    (
        r#"(Article :name "title" :url "https://a.example/1")"#,
        true,
    ),
    ("(Article)", false),
    (
        r#"(Tombstone :id "https://a.example/1" :deleted "2026-01-01T00:00:00Z")"#,
        true,
    ),
    ("(Tombstone)", false),
    (
        r#"(Person :id "https://a.example/a" :inbox "https://a.example/a/inbox")"#,
        true,
    ),
    (r#"(Person :id "https://a.example/a")"#, true),
    (r#"(Service :inbox "https://a.example/a/inbox")"#, false),
    (r#"(Group :id "https://a.example/a" :inbox 1)"#, false),
    (r#"(Application :id "https://a.example/a")"#, true),
    (
        r#"(Collection :totalItems 3 :first "https://a.example/c?page=1")"#,
        true,
    ),
    ("(Collection :items [])", true),
    ("(Collection :totalItems -1)", false),
    ("(OrderedCollection :orderedItems 1)", false),
    ("(OrderedCollection :orderedItems [1 2])", true),
    (
        r#"(SXArtifact :content "(fn (x) x)" :mediaType "application/sx")"#,
        true,
    ),
    (
        r#"(SXArtifact :content "x" :mediaType "text/plain")"#,
        false,
    ),
    (
        r#"(DefineActivity :name "Pin" :schema "(fn (act) true)")"#,
        true,
    ),
    (r#"(DefineActivity :schema "(fn (act) true)")"#, false),
    (
        r#"(DefineObject :name "Pin" :schema "(fn (obj) true)" :extends "Note")"#,
        true,
    ),
    (
        r#"(DefineProjection :name "pins" :fold "(fn (s) s)" :on "Pin" :scope "public")"#,
        true,
    ),
    (
        r#"(DefineProjection :name "pins" :fold "(fn (s) s)" :scope "all")"#,
        false,
    ),
    (
        r#"(DefineValidator :name "pins" :on ["Pin"] :check "(fn (act) nil)")"#,
        true,
    ),
    (
        r#"(DefineValidator :name "pins" :check "(fn (act) nil)")"#,
        false,
    ),
    (
        r#"(DefineAudience :name "pins" :resolve "(fn (act) [])")"#,
        true,
    ),
    (r#"(DefineAudience :name "public" :builtin true)"#, true),
    (
        r#"(DefineSubscription :name "pins" :match "(fn (act) true)")"#,
        true,
    ),
    (
        r#"(DefineTrigger :name "pins" :on "Pin" :then "(fn (act) nil)")"#,
        true,
    ),
    (r#"(DefineTrigger :name "pins" :on "Pin")"#, false),
    (r#"(DefineCodec :name "cbor" :builtin "cbor")"#, true),
    (r#"(DefineSigSuite :name "rfc9421")"#, false),
    (r#"(DefineType :name "Point" :fields {:x "number"})"#, true),
    (r#"(SubtypeOf :name "s" :parent "a" :child "b")"#, true),
];

#[test]
fn objects() {
    for (document, good) in OBJECTS {
        let name = &document[1..document.find([' ', ')']).expect("a head")];
        assert_eq!(holds("object-types", name, document), *good, "{document}");
    }
}

#[test]
fn a_kind_of_endorsement_is_one_word() {
    let Body::Validator { check, .. } = definition("validators", "endorsement-kind").body() else {
        panic!("a validator");
    };
    let reason = |kind: &str| {
        let act = Value::Map([("type", "Endorse"), ("kind", kind)].into());
        check.call(vec![act, Value::Nil], Limits::default()).result
    };
    assert_eq!(reason("like"), Ok(Value::Nil));
    assert_eq!(reason("a b"), Ok(Value::from("`kind` must be one word")));
    assert_eq!(
        reason(&"a".repeat(65)),
        Ok(Value::from("`kind` must have 1 to 64 characters"))
    );
}
