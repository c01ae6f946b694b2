//! The projections of genesis over sample activities: what they keep, that the order of arrival does
//! not matter, and that a state stays within its bound.

use std::collections::BTreeMap;

use fedsx_core::canonical::jcs;
use fedsx_core::definition::{Body, Projection};
use fedsx_core::notation::sx::read;
use fedsx_core::value::{Map, Value};
use fedsx_sx::budget::Limits;
use fedsx_sx::print::print;

use super::definition;

/// The bound on the state of a key, bytes.
const STATE_BYTES: usize = 1 << 20;

fn projection(name: &str) -> &'static Projection {
    match definition("projections", name).body() {
        Body::Projection(projection) => projection,
        other => panic!("{other:?}"),
    }
}

/// Folds as the kernel does: into each key, the state of each beginning anew.
#[derive(Default)]
struct States(BTreeMap<String, Value>);

impl States {
    fn fold(&mut self, projection: &Projection, number: usize, act: &Value) {
        let env = Value::Map(Map::from([
            ("cid", Value::from(format!("baga{number:04}"))),
            (
                "received",
                Value::from(format!(
                    "2026-01-02T{:02}:{:02}:00.000Z",
                    number / 60 % 24,
                    number % 60
                )),
            ),
            (
                "actors",
                Value::from(vec!["https://h.example/actors/alice"]),
            ),
        ]));
        let key = projection.key.as_ref().expect("each is keyed");
        let keys = key.call(vec![act.clone(), env.clone()], Limits::default());
        let keys = keys.result.unwrap_or_else(|error| panic!("key: {error}"));
        for key in keys.items() {
            let key = key.as_str().expect("a key is a string").to_owned();
            let state = self
                .0
                .entry(key)
                .or_insert_with(|| projection.initial.clone());
            let fold = projection.fold.as_ref().expect("written in SX");
            let arguments = vec![state.clone(), act.clone(), env.clone()];
            let outcome = fold.call(arguments, Limits::default());
            *state = outcome
                .result
                .unwrap_or_else(|error| panic!("fold: {error}"));
        }
    }

    fn page(&self) -> String {
        let line = |(key, state): (&String, &Value)| format!("{key}\n  {}", print(state));
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The page of what the activities fold to, in their order and against it.
fn folded(name: &str, activities: &[&str]) -> String {
    let projection = projection(name);
    let activities: Vec<_> = activities
        .iter()
        .map(|text| read(text.as_bytes()).expect(text))
        .enumerate()
        .collect();
    let mut forth = States::default();
    let mut back = States::default();
    for (number, act) in &activities {
        forth.fold(projection, *number, act);
    }
    for (number, act) in activities.iter().rev() {
        back.fold(projection, *number, act);
    }
    assert_eq!(forth.page(), back.page(), "{name}: the order of arrival");
    forth.fold(projection, 999, &Value::Nil);
    assert_eq!(
        forth.page(),
        back.page(),
        "{name}: an erased entry changes nothing"
    );
    forth.page()
}

#[test]
fn announcements() {
    insta::assert_snapshot!(folded(
        "announcements",
        &[
            r#"(Announce :actor "https://a.example/a" :object "https://c.example/1" :published "2026-01-01T00:00:01Z")"#,
            r#"(Announce :actor "https://b.example/b" :object {:id "https://c.example/1"} :published "2026-01-01T00:00:02Z")"#,
            r#"(Undo :actor "https://a.example/a" :object (Announce :object "https://c.example/1"))"#,
            r#"(Announce :actor "https://a.example/a" :object ["https://c.example/1" "https://c.example/2"] :published "2026-01-01T00:00:01.5Z")"#,
            r#"(Undo :actor "https://a.example/a" :object "https://a.example/announces/1")"#,
            r#"(Undo :actor "https://a.example/a" :object (Follow :object "https://c.example/1"))"#,
            r#"(Announce :actor "https://a.example/a" :objectCid "baga-of-1" :published "2026-01-01T00:00:03Z")"#,
        ]
    ));
}

#[test]
fn endorsements() {
    insta::assert_snapshot!(folded(
        "endorsements",
        &[
            r#"(Like :actor "https://a.example/a" :object "https://c.example/1")"#,
            r#"(EmojiReact :actor "https://b.example/b" :object "https://c.example/1" :content "⭐")"#,
            r#"(Endorse :actor "https://b.example/b" :object "https://c.example/1" :kind "reviewed" :published "2026-01-01T00:00:01Z")"#,
            r#"(Undo :actor "https://a.example/a" :object (Like :object "https://c.example/1"))"#,
            r#"(Endorse :actor "https://d.example/d" :object {:id "https://c.example/2"} :kind "like")"#,
            r#"(Endorse :actor "https://d.example/d" :objectCid "baga-of-1" :kind "agree")"#,
        ]
    ));
}

#[test]
fn notes() {
    insta::assert_snapshot!(folded(
        "notes",
        &[
            r#"(Create :actor "https://a.example/a" :published "2026-01-01T00:00:01Z" :object (Note :id "https://a.example/1" :content "one" :published "2026-01-01T00:00:01Z" :attributedTo "https://a.example/a"))"#,
            r#"(Update :actor "https://a.example/a" :published "2026-01-01T00:00:02Z" :object (Note :id "https://a.example/1" :content "two" :inReplyTo {:id "https://b.example/1"}))"#,
            r#"(Create :actor "https://a.example/a" :published "2026-01-01T00:00:03Z" :object [(Note :id "https://a.example/2" :content "gone")])"#,
            r#"(Delete :actor "https://a.example/a" :published "2026-01-01T00:00:04Z" :object (Tombstone :id "https://a.example/2"))"#,
            r#"(Delete :actor "https://a.example/a" :object "https://a.example/a")"#,
            r#"(Create :actor "https://a.example/a" :object (Article :id "https://a.example/3" :content "other"))"#,
        ]
    ));
}

#[test]
fn timeline() {
    insta::assert_snapshot!(folded(
        "timeline",
        &[
            r#"(Create :id "https://a.example/c/1" :actor "https://a.example/a" :published "2026-01-01T00:00:01Z" :object (Note :content "one"))"#,
            r#"(Follow :id "https://b.example/f/1" :actor {:id "https://b.example/b"} :object "https://h.example/actors/alice")"#,
            r#"(Announce :id "https://c.example/n/1" :actor "https://c.example/c" :published "2026-01-01T00:00:00Z" :object "https://a.example/1")"#,
            r#"(Accept :id "https://b.example/a/1" :actor "https://b.example/b" :object (Follow :actor "https://h.example/actors/alice"))"#,
            r#"(Create :id "https://h.example/c/1" :actor "https://h.example/actors/alice" :object (DefineActivity :name "Pin"))"#,
            r#"(Undo :id "https://c.example/u/1" :actor "https://c.example/c" :published "2026-01-01T00:00:02Z" :object (Announce :object "https://a.example/1"))"#,
        ]
    ));
}

#[test]
fn a_note_is_its_makers_in_whatever_order_words_come() {
    let create = r#"(Create :actor "https://a.example/a" :published "2026-01-01T00:00:01Z" :object (Note :id "https://a.example/1" :content "mine"))"#;
    let update = r#"(Update :actor "https://a.example/m" :published "2026-01-01T00:00:02Z" :object (Note :id "https://a.example/1" :content "theirs"))"#;
    let delete = r#"(Delete :actor "https://a.example/m" :published "2026-01-01T00:00:03Z" :object "https://a.example/1")"#;
    for order in [
        [create, update, delete],
        [delete, create, update],
        [update, delete, create],
    ] {
        let states = folded("notes", &order);
        assert!(
            states.contains("mine") && !states.contains("theirs"),
            "{states}"
        );
    }
}

/// The state after more than it keeps, from the longest that comes.
fn full(name: &str, count: usize, act: impl Fn(usize) -> Value) -> Value {
    let projection = projection(name);
    let mut states = States::default();
    for number in 0..count {
        states.fold(projection, number, &act(number));
    }
    let state = states.0.into_values().next().expect("a key");
    let bytes = jcs(&state).len();
    assert!(
        bytes <= STATE_BYTES && state.weight() <= STATE_BYTES as u64,
        "{name}: {bytes}"
    );
    state
}

fn long(number: usize, length: usize) -> String {
    let head = format!("https://a.example/{number:05}/");
    let rest = length - head.len();
    head + &"a".repeat(rest)
}

#[test]
fn states_stay_within_their_bound() {
    let act = |verb: &str, number| {
        Value::Map(Map::from([
            ("type", Value::from(verb)),
            ("id", Value::from(long(number, 2048))),
            ("actor", Value::from(long(number, 256))),
            ("kind", Value::from("reviewed")),
            ("object", Value::from("https://c.example/1")),
        ]))
    };
    let announced = full("announcements", 1_010, |number| act("Announce", number));
    assert_eq!(announced.get("count"), Some(&Value::Int(1_000)));
    assert_eq!(announced.get("more"), Some(&Value::Int(10)));
    let endorsed = full("endorsements", 2_010, |number| act("Endorse", number));
    assert_eq!(endorsed.get("kept"), Some(&Value::Int(2_000)));
    for (count, kept) in [(209, 209), (210, 200), (211, 201)] {
        let timeline = full("timeline", count, |number| act("Announce", number));
        assert_eq!(timeline.as_map().map(Map::len), Some(kept));
    }
    let note = Map::from([
        ("type", Value::from("Note")),
        ("id", Value::from(long(1, 2048))),
        ("content", Value::from("🙂".repeat(60_000))),
        ("summary", Value::from("🙂".repeat(60_000))),
    ]);
    let create = Map::from([
        ("type", Value::from("Create")),
        ("object", Value::Map(note)),
    ]);
    full("notes", 1, |_| Value::Map(create.clone()));
}
