//! Which triggers are asked about an entry, and what they answer.

use proptest::prelude::*;

use super::*;
use crate::entry::{Authenticated, LogId, Mark, Visibility};
use crate::notation::Notation;

const ALICE: ActorNo = ActorNo(0);
const BOB: ActorNo = ActorNo(1);

fn definition(source: &str) -> Definition {
    match Definition::from_source(source) {
        Ok(definition) => definition,
        Err(error) => panic!("{}", error.page()),
    }
}

fn trigger(name: &str, on: &str) -> Definition {
    definition(&format!(
        "(DefineTrigger :name \"{name}\" :on \"{on}\" :then (fn (act env) {{:type \"{name}\"}}))"
    ))
}

fn topic() -> Definition {
    definition(
        "(DefineSubscription :name \"Topic\" :match (fn (act params) (= (get act :about) (get params :topic))))",
    )
}

fn subscribed(actor: ActorNo, topic: &str, version: Option<Digest>, from: u64) -> Subscribed {
    Subscribed {
        actor,
        subscribe: Digest::of(&from.to_be_bytes()),
        name: "Topic".to_owned(),
        version,
        params: Map::from([("topic", topic)]).into(),
        from,
    }
}

fn note() -> Activity {
    Activity {
        digest: Digest::of(b"x"),
        id: "https://a.example/1".to_owned(),
        verb: "Create".to_owned(),
        actor: "https://a.example/actors/alice".to_owned(),
        object_id: None,
        published_ms: 0,
        authenticated: Authenticated::Local,
        key: None,
        visibility: Visibility::Public,
        notation: Notation::Json,
        joined: Vec::new(),
        hidden: Vec::new(),
        effect: None,
        fan_out: false,
        backfilled: false,
        audience: Vec::new(),
        definitions: Vec::new(),
        mark: None,
        defined_by: None,
        announced_by: None,
        embeds: None,
        imported: None,
        derived: None,
    }
}

/// The names of what is due at an entry in the logs of these actors.
fn due(standing: &Standing, activity: &Activity, offset: u64, actors: &[ActorNo]) -> Vec<String> {
    let joined: Vec<_> = actors
        .iter()
        .map(|actor| Joined {
            log: LogId::inbox(*actor),
            seq: 1,
        })
        .collect();
    let due = standing.due(Met {
        offset,
        activity,
        joined: &joined,
    });
    due.iter()
        .map(|due| due.trigger.definition.name().to_owned())
        .collect()
}

fn answer(standing: &Standing, document: Map) -> Result<Ran, String> {
    let activity = note();
    let joined = [Joined {
        log: LogId::outbox(ALICE),
        seq: 1,
    }];
    let due = standing.due(Met {
        offset: 9,
        activity: &activity,
        joined: &joined,
    });
    let shown = Shown::new(&activity, 9, 0, &[], Some(document));
    due.first().expect("one is due").run(&shown)
}

#[test]
fn a_trigger_meets_what_is_above_it_in_its_owners_logs() {
    let mut standing = Standing::default();
    standing.define(trigger("echo", "Create"), ALICE, 5);
    let at = |offset, actors: &[ActorNo]| due(&standing, &note(), offset, actors);
    assert_eq!(at(6, &[BOB, ALICE]), ["echo"]);
    assert!(at(6, &[BOB]).is_empty(), "another's logs");
    assert!(at(5, &[ALICE]).is_empty(), "its own Create");
    assert!(at(6, &[]).is_empty());
    let other = |change: fn(&mut Activity)| {
        let mut activity = note();
        change(&mut activity);
        due(&standing, &activity, 6, &[ALICE])
    };
    assert!(other(|activity| activity.verb = "Like".to_owned()).is_empty());
    assert!(other(|activity| activity.backfilled = true).is_empty());
    assert!(other(|activity| activity.mark = Some(Mark::UndefinedVerb)).is_empty());
    let block = |activity: &mut Activity| {
        activity.effect = Some(Effect::Block {
            blocker: String::new(),
            blocked: String::new(),
        });
    };
    assert!(other(block).is_empty());
}

#[test]
fn a_subscription_selects_for_its_own_actor_as_long_as_it_lasts() {
    let mut standing = Standing::default();
    standing.define(trigger("echo", "Topic"), ALICE, 1);
    standing.define(topic(), ALICE, 2);
    standing.subscribe(subscribed(BOB, "x", None, 3));
    assert!(
        due(&standing, &note(), 9, &[ALICE, BOB]).is_empty(),
        "bob's"
    );
    standing.subscribe(subscribed(ALICE, "x", None, 4));
    assert!(due(&standing, &note(), 4, &[ALICE]).is_empty());
    assert_eq!(due(&standing, &note(), 9, &[ALICE]), ["echo"]);
    let about = |topic: &str| answer(&standing, Map::from([("about", topic)]));
    assert_eq!(about("y"), Ok(Ran::Passed));
    assert_eq!(about("x"), Ok(Ran::Activity(Map::from([("type", "echo")]))));

    // A later version of the name takes its place, but where one was named.
    let never = definition("(DefineSubscription :name \"Topic\" :match (fn (act) false))");
    let mut later = standing.clone();
    later.define(never, ALICE, 6);
    let x = || Map::from([("about", "x")]);
    assert_eq!(answer(&later, x()), Ok(Ran::Passed));
    later.subscribe(subscribed(ALICE, "x", Some(topic().digest()), 7));
    assert!(matches!(answer(&later, x()), Ok(Ran::Activity(_))));

    standing.unsubscribe(&subscribed(ALICE, "x", None, 4).subscribe);
    assert!(due(&standing, &note(), 9, &[ALICE]).is_empty());
}

#[test]
fn what_triggers_answer() {
    let page: Vec<String> = [
        ":then (fn (act env) {:type \"Echo\" :of (get env :offset)})",
        ":then (fn (act) nil)",
        ":then (fn (act) [{:type \"Echo\"}])",
        ":then (fn (act) {:type (fn (x) x)})",
        ":then (fn (act) (error \"no\"))",
        ":guard (fn (act) false) :then (fn (act) (error \"not asked\"))",
        ":guard (fn (act) nil) :then (fn (act) nil)",
        ":guard (fn (act) (+ 1 act)) :then (fn (act) nil)",
        ":then (fn (act) (let ((again (fn (again) (again again)))) (again again)))",
    ]
    .into_iter()
    .map(|members| {
        let mut standing = Standing::default();
        let source = format!("(DefineTrigger :name \"t\" :on \"Create\" {members})");
        standing.define(definition(&source), ALICE, 1);
        let answer = match answer(&standing, Map::from([("type", "Create")])) {
            Ok(Ran::Activity(map)) => crate::notation::json::pretty(&map.into()),
            other => format!("{other:?}"),
        };
        format!("{members}\n  {answer}")
    })
    .collect();
    insta::assert_snapshot!(page.join("\n"));
}

proptest! {
    /// Whatever was defined when, by whom and in which order it was superseded: at most one trigger of a
    /// name is due, the last one defined, and only above its own offset in its own actor's logs.
    #[test]
    fn only_the_last_of_a_name_is_due(
        defined in prop::collection::vec((0_usize..3, 0_u32..3, any::<bool>()), 0..12),
        offset in 0_u64..14,
        logs in prop::collection::vec(0_u32..3, 0..3),
    ) {
        let mut standing = Standing::default();
        let names = ["a", "b", "c"];
        let mut last = [None; 3];
        for ((name, owner, on_create), at) in defined.into_iter().zip(1_u64..) {
            let on = if on_create { "Create" } else { "Like" };
            standing.define(trigger(names[name], on), ActorNo(owner), at);
            last[name] = Some((owner, on_create, at));
        }
        let actors: Vec<_> = logs.iter().copied().map(ActorNo).collect();
        let is_due = |last: &Option<(u32, bool, u64)>| {
            last.is_some_and(|(owner, on_create, at)| {
                on_create && at < offset && logs.contains(&owner)
            })
        };
        let expected: Vec<&str> = (0..3).filter(|n| is_due(&last[*n])).map(|n| names[n]).collect();
        prop_assert_eq!(due(&standing, &note(), offset, &actors), expected);
    }
}
