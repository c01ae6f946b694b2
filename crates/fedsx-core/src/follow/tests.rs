//! The follow table as one page, and what must hold of it under any order of inputs.

use std::fmt::Write;

use proptest::prelude::{Just, Strategy, prop_oneof, proptest};

use super::{Direction, Input, Outcome, Owed, Phase, Relation, Times, Which, step};

const NOW_MS: i64 = 1_000;
const NOW: Times = Times::at(NOW_MS);

fn standing(phase: Phase) -> Relation {
    let id = (phase != Phase::None).then(|| "f1".to_owned());
    Relation {
        phase,
        id,
        previous: Some("f0".to_owned()),
        ..Relation::default()
    }
}

fn by_id(id: &str) -> Which<'_> {
    Which {
        id: Some(id),
        pair: false,
    }
}

const PAIR: Which<'_> = Which {
    id: None,
    pair: true,
};

fn inputs() -> Vec<(&'static str, Input<'static>)> {
    let both = |id| Which {
        id: Some(id),
        pair: true,
    };
    vec![
        ("Follow f1", Input::Follow { id: "f1" }),
        ("Follow f2, a new id", Input::Follow { id: "f2" }),
        (
            "Follow f0, replaced or ended before",
            Input::Follow { id: "f0" },
        ),
        ("Accept f1", Input::Accept(by_id("f1"))),
        ("Accept f9, unknown id", Input::Accept(by_id("f9"))),
        ("Accept f9 with the pair", Input::Accept(both("f9"))),
        ("Accept by the pair", Input::Accept(PAIR)),
        ("Reject f1", Input::Reject(by_id("f1"))),
        ("Reject f9, unknown id", Input::Reject(by_id("f9"))),
        ("Reject by the pair", Input::Reject(PAIR)),
        ("Undo f1", Input::Undo(by_id("f1"))),
        (
            "Undo f0, replaced or ended before",
            Input::Undo(by_id("f0")),
        ),
        ("Undo f0 with the pair", Input::Undo(both("f0"))),
        ("Undo f9, unknown id", Input::Undo(by_id("f9"))),
        ("Undo f9 with the pair", Input::Undo(both("f9"))),
        ("Undo by the pair", Input::Undo(PAIR)),
        ("Block by the local actor", Input::BlockedByUs),
        ("Block by the peer", Input::BlockedByThem),
        ("Delete of the peer, or its inbox gone", Input::PeerGone),
        (
            "Refused f1, by the peer's server",
            Input::Refused { id: "f1" },
        ),
        (
            "Refused f0, replaced or ended before",
            Input::Refused { id: "f0" },
        ),
        ("Taken f1, by the peer's server", Input::Taken { id: "f1" }),
        (
            "Taken f0, replaced or ended before",
            Input::Taken { id: "f0" },
        ),
        ("Lost f1, at the peer's server", Input::Lost { id: "f1" }),
        (
            "Lost f0, replaced or ended before",
            Input::Lost { id: "f0" },
        ),
    ]
}

fn line(outcome: &Outcome) -> String {
    if outcome.ignored {
        return "ignored".to_owned();
    }
    let relation = &outcome.relation;
    let mut line = relation.phase.as_str().to_owned();
    if let Some(id) = &relation.id {
        write!(line, " on {id}").expect("writes to a String");
    }
    if let Some(undo) = &relation.early_undo {
        write!(line, ", undo of {} remembered", undo.id).expect("writes to a String");
    }
    match &outcome.owed {
        Some(Owed::Accept { id }) => write!(line, ", Accept {id} owed"),
        Some(Owed::Reject { id }) => write!(line, ", Reject {id} owed"),
        Some(Owed::Undo { id }) => write!(line, ", Undo {id} owed"),
        // Owed by a Move, which is no input of the table.
        Some(owed @ Owed::Refollow { .. }) => panic!("{owed:?}"),
        None => Ok(()),
    }
    .expect("writes to a String");
    line
}

#[test]
fn the_table() {
    let mut page = String::new();
    let titles = [
        (
            Direction::Follower,
            false,
            "the peer follows the local actor, who accepts by itself",
        ),
        (
            Direction::Follower,
            true,
            "the peer follows the local actor, who answers by hand",
        ),
        (
            Direction::Following,
            false,
            "the local actor follows the peer",
        ),
    ];
    for (direction, manual, title) in titles {
        writeln!(page, "{title}\n{}", "-".repeat(title.len())).expect("writes to a String");
        let phases = [Phase::None, Phase::Pending, Phase::Accepted, Phase::Refused];
        // What a peer asks for is refused before it comes to the table.
        let phases = match direction {
            Direction::Follower => &phases[..3],
            Direction::Following => &phases[..],
        };
        for &phase in phases {
            for (name, input) in inputs() {
                let outcome = step(direction, manual, &standing(phase), input, NOW);
                writeln!(page, "{:<9} {name:<40} {}", phase.as_str(), line(&outcome))
                    .expect("writes to a String");
            }
        }
        page.push('\n');
    }
    insta::assert_snapshot!(page);
}

#[test]
fn an_undo_that_came_early_swallows_its_follow_for_six_hours() {
    let start = Relation::default();
    let undone = step(
        Direction::Follower,
        false,
        &start,
        Input::Undo(by_id("f1")),
        NOW,
    )
    .relation;
    let follow = Input::Follow { id: "f1" };
    let early = step(
        Direction::Follower,
        false,
        &undone,
        follow,
        Times::at(NOW_MS + 6 * 3_600_000 - 1),
    );
    assert!(early.ignored);
    let late = step(
        Direction::Follower,
        false,
        &undone,
        follow,
        Times::at(NOW_MS + 6 * 3_600_000),
    );
    assert_eq!(late.relation.phase, Phase::Pending);
}

#[test]
fn a_refused_follow_stands_when_it_is_taken_or_accepted_after_all() {
    let direction = Direction::Following;
    let turn = |relation: &Relation, input| step(direction, false, relation, input, NOW).relation;
    let refused = turn(&standing(Phase::Pending), Input::Refused { id: "f1" });
    assert_eq!(refused.phase, Phase::Refused);
    let taken = turn(&refused, Input::Taken { id: "f1" });
    assert_eq!(
        (taken.phase, taken.id.as_deref()),
        (Phase::Pending, Some("f1"))
    );
    let other = step(direction, false, &refused, Input::Accept(by_id("f0")), NOW);
    assert!(other.ignored);
    let accepted = turn(&refused, Input::Accept(by_id("f1")));
    assert_eq!(
        (accepted.phase, accepted.id.as_deref()),
        (Phase::Accepted, Some("f1"))
    );
    // Asked anew, the old one is settled.
    let anew = turn(&refused, Input::Follow { id: "f2" });
    let gone = turn(&anew, Input::Reject(by_id("f2")));
    let late = step(direction, false, &gone, Input::Accept(by_id("f1")), NOW);
    assert!(late.ignored);
}

#[test]
fn a_follow_said_again_is_open_once_the_accepted_one_is_rejected() {
    let turn = |relation: &Relation, input| {
        step(Direction::Following, false, relation, input, NOW).relation
    };
    let again = turn(&standing(Phase::Accepted), Input::Follow { id: "f2" });
    let thrice = turn(&again, Input::Follow { id: "f3" });
    assert_eq!(thrice.phase, Phase::Accepted);
    let open = turn(&thrice, Input::Reject(by_id("f1")));
    assert_eq!(
        (open.phase, open.id.as_deref()),
        (Phase::Pending, Some("f3"))
    );
    // Once the new one is accepted, a word about the old one is stale.
    let accepted = turn(&thrice, Input::Accept(by_id("f3")));
    let late = step(
        Direction::Following,
        false,
        &accepted,
        Input::Reject(by_id("f1")),
        NOW,
    );
    assert!(late.ignored);
}

#[test]
fn an_answer_to_an_older_follow_is_none_to_the_newest() {
    let id = |number: u32| format!("https://a.example/actors/alice/activities/{number}");
    let (first, second, third) = (id(1), id(2), id(3));
    let asked = |relation: &Relation, id| {
        let input = Input::Follow { id };
        step(Direction::Following, false, relation, input, NOW).relation
    };
    let embedded = |id| Which {
        id: Some(id),
        pair: true,
    };
    let mut relation = Relation::default();
    for id in [&first, &second, &third] {
        relation = asked(&relation, id);
    }
    let refused = Input::Refused { id: &third };
    let refused = step(Direction::Following, false, &relation, refused, NOW).relation;
    for relation in [&relation, &refused] {
        let answer = |input| step(Direction::Following, false, relation, input, NOW);
        assert!(answer(Input::Accept(embedded(&first))).ignored);
        assert!(answer(Input::Reject(embedded(&first))).ignored);
        // An id of the answerer's own making, and the right one.
        let foreign = "https://b.example/activities/1";
        for id in [foreign, &third] {
            let accepted = answer(Input::Accept(embedded(id))).relation;
            assert_eq!(accepted.phase, Phase::Accepted);
        }
    }
}

#[test]
fn of_several_follows_the_last_that_was_accepted_is_the_one_that_is_rejected() {
    let id = |number: u32| format!("https://a.example/actors/alice/activities/{number}");
    let (first, second, third) = (id(1), id(2), id(3));
    let turn = |relation: &Relation, input| {
        step(Direction::Following, false, relation, input, NOW).relation
    };
    let mut relation = Relation::default();
    relation = turn(&relation, Input::Follow { id: &first });
    relation = turn(&relation, Input::Accept(by_id(&first)));
    for id in [&second, &third] {
        relation = turn(&relation, Input::Follow { id });
    }
    relation = turn(&relation, Input::Accept(by_id(&second)));
    assert_eq!(relation.phase, Phase::Accepted);
    relation = turn(&relation, Input::Reject(by_id(&second)));
    assert_eq!(
        (relation.phase, relation.id.as_deref()),
        (Phase::Pending, Some(&*third))
    );
}

#[test]
fn an_older_follow_says_nothing_behind_a_newer_one_or_its_undo() {
    let direction = Direction::Follower;
    let said = |relation: &Relation, input, published_ms, now_ms| {
        let times = Times {
            published_ms,
            now_ms,
        };
        step(direction, false, relation, input, times)
    };
    let (older, newer) = (Input::Follow { id: "f1" }, Input::Follow { id: "f2" });
    let undo = Input::Undo(by_id("f2"));
    let asked = said(&Relation::default(), newer, 20, 100).relation;
    assert!(said(&asked, older, 10, 101).ignored);
    let undone = said(&asked, undo, 30, 102).relation;
    assert!(said(&undone, older, 10, 103).ignored);
    // The Undo came first of all.
    let early = said(&Relation::default(), undo, 30, 100).relation;
    assert!(said(&early, older, 10, 101).ignored);
    // Nor does the Undo of the older one, by whatever id, say anything of the newer.
    let by_pair = Input::Undo(Which {
        id: Some("f9"),
        pair: true,
    });
    let still = said(&asked, by_pair, 15, 104).relation;
    assert_eq!((still.phase, still.id), (asked.phase, asked.id.clone()));
    assert_eq!(said(&asked, by_pair, 25, 104).relation.phase, Phase::None);
    // What is said later counts, also by a clock that was ahead when it said the last word.
    let again = Input::Follow { id: "f3" };
    assert!(!said(&undone, again, 31, 104).ignored);
    let ahead = said(&asked, undo, 5_000, 102).relation;
    assert!(!said(&ahead, again, 103, 103).ignored);
}

fn any_input() -> impl Strategy<Value = Input<'static>> {
    let id = || prop_oneof![Just("f0"), Just("f1"), Just("f2")];
    let which = || (id(), proptest::bool::ANY).prop_map(|(id, pair)| Which { id: Some(id), pair });
    prop_oneof![
        id().prop_map(|id| Input::Follow { id }),
        which().prop_map(Input::Accept),
        which().prop_map(Input::Reject),
        which().prop_map(Input::Undo),
        Just(Input::BlockedByUs),
        Just(Input::PeerGone),
        id().prop_map(|id| Input::Refused { id }),
        id().prop_map(|id| Input::Taken { id }),
        id().prop_map(|id| Input::Lost { id }),
    ]
}

proptest! {
    /// Receiving everything twice in a row, as at-least-once delivery does, is receiving it once.
    #[test]
    fn duplicates_change_nothing(
        inputs in proptest::collection::vec(any_input(), 0..40),
        manual in proptest::bool::ANY,
    ) {
        for direction in [Direction::Follower, Direction::Following] {
            let mut once = Relation::default();
            let mut twice = Relation::default();
            for input in &inputs {
                once = step(direction, manual, &once, *input, NOW).relation;
                twice = step(direction, manual, &twice, *input, NOW).relation;
                twice = step(direction, manual, &twice, *input, NOW).relation;
            }
            proptest::prop_assert_eq!(&once, &twice);
        }
    }

    /// A follow and its undo end in no relation, in whichever order they come.
    #[test]
    fn follow_and_undo_commute(undo_first in proptest::bool::ANY, pair in proptest::bool::ANY) {
        let undo = Input::Undo(Which { id: Some("f1"), pair });
        let mut inputs = [Input::Follow { id: "f1" }, undo];
        if undo_first {
            inputs.reverse();
        }
        let end = inputs.into_iter().fold(Relation::default(), |relation, input| {
            step(Direction::Follower, false, &relation, input, NOW).relation
        });
        proptest::prop_assert_eq!(end.phase, Phase::None);
    }
}
