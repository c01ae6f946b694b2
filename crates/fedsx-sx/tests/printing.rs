//! The canonical print and the layout for people, of values.

use fedsx_sx::data::{List, Map, Value};
use fedsx_sx::layout::pretty;
use fedsx_sx::print::{is_head, print};

fn sample() -> Value {
    let mut note: Map = [("type", "Note"), ("content", "\"hi\"\n\u{1}é😀")].into();
    note.insert("@context", vec!["https://www.w3.org/ns/activitystreams"]);
    note.insert("odd key", Map::new());
    note.insert("", Value::Nil);
    note.insert("toot:sensitive", true);
    note.insert("empty", List::default());
    note.insert("\u{1f600}", 1);
    note.insert("\u{fb33}", Value::Double(1e21));
    let mut create: Map = [("type", "Create"), ("actor", "https://a.example/1")].into();
    create.insert("object", note);
    create.insert("bare", Map::from([("type", "nil"), ("summary", "no head")]));
    create.insert("typed", Map::from([("type", "Place")]));
    let numbers: List = [Value::Int(-5), Value::Double(0.25)].into_iter().collect();
    create.insert("numbers", numbers);
    Value::Map(create)
}

#[test]
fn a_sample_printed_both_ways() {
    let value = sample();
    insta::assert_snapshot!(
        "a_sample_printed_both_ways",
        format!("{}\n\n{}", print(&value), pretty(&value))
    );
}

#[test]
fn what_no_document_holds_prints_too() {
    let list: List = [Value::Symbol("inc".into()), Value::Keyword("a b".into())]
        .into_iter()
        .collect();
    assert_eq!(print(&Value::List(list)), "[inc :\"a b\"]");
}

#[test]
fn heads_are_plain_names() {
    for head in ["Note", "a", "A-b_9", "nill"] {
        assert!(is_head(head), "{head}");
    }
    for other in [
        "",
        "nil",
        "true",
        "false",
        "9a",
        "-a",
        "as:Note",
        "a b",
        "é",
        "https://a",
    ] {
        assert!(!is_head(other), "{other}");
    }
}
