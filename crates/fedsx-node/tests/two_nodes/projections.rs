//! Projections: the same states however they came about, and the account of what can't be folded.

use std::collections::BTreeMap;

use bytes::Bytes;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::Draft;
use fedsx_core::definition::Definition;
use fedsx_core::entry::{Activity, Authenticated, Control, LogId, Visibility};
use fedsx_core::notation::Notation;
use fedsx_core::projection::state_cid;
use fedsx_core::refusal::Code;
use fedsx_core::value::Value;
use fedsx_node::{Folds, PublishOptions, WAIT_MAX};
use fedsx_store::Priority;
use fedsx_store::engine::EngineKind;
use tokio_util::sync::CancellationToken;

use crate::harness::{Instance, Net, note};

/// How often each verb was seen.
const COUNTS: &str = r#"(DefineProjection :name "counts" :initialState {}
  :fold (fn (state act) (update state (get act :type) (fn (n) (+ 1 (or n 0))))))"#;
/// The texts of each of three kinds, oldest first; public ones only.
const TEXTS: &str = r#"(DefineProjection :name "texts" :scope "public" :on "Create" :initialState []
  :key (fn (act) (map (fn (n) (str "k" n)) (range 0 3)))
  :fold (fn (state act env) (append state [(get-in act [:object :content]) (get env :offset)])))"#;
/// By the actors whose logs were joined.
const JOINED: &str = r#"(DefineProjection :name "joined" :initialState 0
  :key (fn (act env) (get env :actors)) :fold (fn (state) (+ 1 state)))"#;
/// Fails at every note of an odd length.
const PICKY: &str = r#"(DefineProjection :name "picky" :on ["Create"] :initialState 0
  :fold (fn (state act) (let ((text (get-in act [:object :content] "")))
    (if (odd? (string-length text)) (error "odd") (+ 1 state)))))"#;

fn definitions() -> Vec<Definition> {
    [COUNTS, TEXTS, JOINED, PICKY]
        .map(|source| match Definition::from_source(source) {
            Ok(definition) => definition,
            Err(error) => panic!("{}", error.page()),
        })
        .into()
}

/// Folds until everything is folded, and stops; with `rebuild`, everything is folded anew besides.
async fn folded(instance: &Instance, rebuild: bool) -> Folds {
    let folds = instance.node.folds().clone();
    for definition in definitions() {
        assert!(folds.activate(&definition));
    }
    let stop = CancellationToken::new();
    let applied = instance.node.view().applied();
    let until = async {
        for overview in folds.list() {
            folds.wait(&overview.name, applied).await.expect("there");
        }
        if rebuild {
            let before = folds.list();
            for overview in &before {
                folds.rebuild(&overview.name).expect("there");
            }
            let is_rebuilt = || {
                let mut pairs = before.iter().zip(folds.list());
                pairs.all(|(before, now)| now.generation > before.generation)
            };
            let rebuilt = async {
                while !is_rebuilt() {
                    tokio::task::yield_now().await;
                }
            };
            let deadline = std::time::Duration::from_secs(60);
            let in_time = tokio::time::timeout(deadline, rebuilt).await;
            in_time.expect("all are rebuilt");
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(folds.clone().run(stop.clone()), until);
    outcome.expect("folds");
    folds
}

/// The CID of every state.
fn states(folds: &Folds) -> BTreeMap<String, Cid> {
    let mut states = BTreeMap::new();
    for overview in folds.list() {
        let name = overview.name;
        assert!(overview.complete, "{name}");
        for (key, state) in folds.states(&name, None, 1_000).expect("reads") {
            states.insert(format!("{name}/{key}"), state_cid(&state));
        }
    }
    states
}

async fn write(instance: &Instance, from: usize, to: usize) {
    for n in from..to {
        let mut note = note(&"x".repeat(n % 7));
        if n.is_multiple_of(3) {
            note.insert("to", "https://www.w3.org/ns/activitystreams#Public");
        }
        let published = instance
            .node
            .publish("alice", note, PublishOptions::default());
        published.await.expect("published");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_engine_and_every_way_comes_to_the_same_states() {
    let mut all = Vec::new();
    for engine in [EngineKind::Fjall, EngineKind::Sled, EngineKind::Memory] {
        let net = Net::default();
        let instance = net.instance("a.test", engine);
        instance.create("alice", false).await;
        write(&instance, 0, 20).await;
        folded(&instance, false).await;
        // On from what is committed; on the memory engine, from the first entry.
        let instance = instance.reopened(&net);
        write(&instance, 20, 40).await;
        let folds = folded(&instance, false).await;
        let live = states(&folds);
        assert_eq!(live.len(), 6, "{live:?}");
        drop(folds);
        // All from the first entry at once, and beside what is served.
        let instance = instance.reopened(&net);
        assert_eq!(states(&folded(&instance, true).await), live);
        let applied = instance.node.view().applied();
        let folds = instance.node.folds();
        for (name, key) in [("counts", None), ("texts", Some("k1"))] {
            let now = folds.state(name, key).expect("reads");
            assert_eq!(folds.state_at(name, key, applied).expect("folds"), now);
            let before = folds.state_at(name, key, applied - 1).expect("folds");
            assert_ne!(before.state, now.state);
        }
        let counts = folds.state("counts", None).expect("reads").state;
        assert_eq!(counts.get("Create"), Some(&Value::Int(41)));
        all.push(live);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}

/// What an entry was received as and where it stands goes into states, so that this is one journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_journal_comes_to_the_same_states_on_every_engine() {
    let net = Net::default();
    let mut instance = net.instance("a.test", EngineKind::Fjall);
    instance.create("alice", false).await;
    instance.create("bob", false).await;
    instance.node.follow("bob", "alice").await.expect("asks");
    instance.settle().await;
    write(&instance, 0, 30).await;
    let mut all = Vec::new();
    for engine in [EngineKind::Fjall, EngineKind::Sled, EngineKind::Memory] {
        instance = instance.reopened_on(&net, engine);
        // Those of genesis as well.
        instance.node.take_up_definitions().expect("reads");
        let live = states(&folded(&instance, false).await);
        let is_timeline = |key: &String| key.starts_with("timeline/");
        assert!(live.keys().any(is_timeline), "{live:?}");
        instance = instance.reopened_on(&net, engine);
        instance.node.take_up_definitions().expect("reads");
        let rebuilt = states(&folded(&instance, true).await);
        assert_eq!(rebuilt, live, "rebuilt on {engine}");
        all.push((live, instance.digest()));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_and_the_state_stays() {
    let net = Net::default();
    let instance = net.instance("a.test", EngineKind::Memory);
    instance.create("alice", false).await;
    write(&instance, 0, 7).await;
    let folds = folded(&instance, false).await;
    let picky = folds.state("picky", None).expect("reads");
    // The actor's own Create, and the texts of 0, 2, 4 and 6.
    assert_eq!(picky.state, Value::Int(5));
    assert_eq!(picky.overview.failures, 3);
    let failures = folds.failures("picky").expect("reads");
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(|failure| failure.error.contains("odd")));

    let code = |key| folds.state("texts", key).expect_err("refused").code;
    assert_eq!(
        (code(None), code(Some(""))),
        (Code::Malformed, Code::Malformed)
    );
    let other = folds
        .state("texts", Some("other"))
        .expect("as before anything");
    assert_eq!(other.state, Value::from(Vec::<Value>::new()));
    assert_eq!(
        folds.state("none", None).expect_err("none").code,
        Code::NotFound
    );
    assert!(folds.deactivate(&definitions()[0]));
    assert_eq!(
        folds.state("counts", None).expect_err("gone").code,
        Code::NotFound
    );
}

/// Notes of a peer, as they stand in the journal; nothing judges them.
async fn received(instance: &Instance, numbers: std::ops::Range<u64>) {
    let alice = instance.node.actor("alice").expect("an actor").no;
    let mut answers = Vec::new();
    for number in numbers {
        let id = format!("https://b.test/notes/{number}");
        let payload =
            format!(r#"{{"type":"Create","object":{{"type":"Note","number":{number}}}}}"#);
        let draft = Draft {
            activity: Activity {
                digest: Digest::of(id.as_bytes()),
                object_id: None,
                id,
                verb: "Create".to_owned(),
                actor: "https://b.test/actors/bob".to_owned(),
                published_ms: 1_767_225_600_000,
                authenticated: Authenticated::Proof,
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
                derived: None,
                defined_by: None,
                announced_by: None,
                embeds: None,
                imported: None,
            },
            logs: vec![LogId::inbox(alice)],
            payload: Bytes::from(payload),
            received_ms: 1_767_225_600_000,
            new_as_of: None,
            judged_as_of: None,
        };
        let answer = instance.node.writer().append(draft, Priority::Local);
        answers.push(answer.expect("room"));
        if answers.len() == 1_000 {
            for answer in answers.drain(..) {
                answer.wait().await.expect("durable");
            }
        }
    }
    for answer in answers {
        answer.wait().await.expect("durable");
    }
}

/// How many notes there were, and the last one's number; by the last two digits of its number, too.
const SEEN: &str = r#"(DefineProjection :name "seen" :initialState {:count 0 :last nil}
  :fold (fn (state act)
    (let ((number (get-in act [:object :number])))
      (if (nil? number) state {:count (inc (get state :count)) :last number}))))"#;
const BY_DIGITS: &str = r#"(DefineProjection :name "by-digits" :initialState []
  :key (fn (act)
    (let ((number (get-in act [:object :number])))
      (if (nil? number) [] (str "n" (mod number 100)))))
  :fold (fn (state act) (append state (get-in act [:object :number]))))"#;
/// A key for each note.
const EACH: &str = r#"(DefineProjection :name "each" :initialState nil
  :key (fn (act)
    (let ((number (get-in act [:object :number]))) (if (nil? number) [] (str number))))
  :fold (fn (state act) (get-in act [:object :number])))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_offset_of_a_long_journal_can_be_asked_for() {
    const NOTES: u64 = 9_000;
    let net = Net::default();
    let instance = net.instance("a.test", EngineKind::Memory);
    instance.create("alice", false).await;
    let begin = instance.node.view().applied();
    let folds = instance.node.folds().clone();
    for source in [SEEN, BY_DIGITS, EACH] {
        assert!(folds.activate(&Definition::from_source(source).expect(source)));
    }
    let stop = CancellationToken::new();
    let asked = async {
        received(&instance, 0..NOTES).await;
        let applied = instance.node.view().applied();
        for name in ["seen", "by-digits", "each"] {
            while folds.overview(name).expect("there").offset < applied {
                folds.wait(name, applied).await.expect("there");
            }
        }
        // Behind a snapshot, before the first, at the ends, and of what is still to come.
        for many in [
            0, 1, 99, 4_095, 4_096, 4_097, 5_000, 8_191, 8_192, 8_999, 9_000,
        ] {
            let offset = begin + many;
            let seen = folds.state_at("seen", None, offset).expect("folds").state;
            let count = i64::try_from(many).expect("small");
            assert_eq!(seen.get("count"), Some(&Value::Int(count)), "{many}");
            let digits = folds.state_at("by-digits", Some("n7"), offset);
            let digits = digits.expect("folds").state;
            let expected = (7..count).step_by(100).map(Value::Int);
            assert_eq!(digits, expected.collect::<Vec<_>>().into(), "{many}");
            let each = folds.state_at("each", Some("4200"), offset);
            let expected = if many > 4_200 {
                Value::Int(4_200)
            } else {
                Value::Nil
            };
            assert_eq!(each.expect("folds").state, expected, "{many}");
        }
        let ahead = folds.state_at("seen", None, u64::MAX).expect("folds");
        assert_eq!(ahead.state, folds.state("seen", None).expect("reads").state);

        // Many keys, page after page, in the order of their bytes and each once.
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = folds
                .states("each", after.as_deref(), 1_000)
                .expect("reads");
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            keys.extend(page.into_iter().map(|(key, _)| key));
        }
        let mut expected: Vec<String> = (0..NOTES).map(|number| number.to_string()).collect();
        expected.sort();
        assert_eq!(keys, expected);
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(folds.clone().run(stop.clone()), asked);
    outcome.expect("folds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placed_entry_is_shown_to_those_that_read_the_actors_and_to_no_other() {
    let net = Net::default();
    let instance = net.instance("a.test", EngineKind::Memory);
    for name in ["alice", "carol", "dan"] {
        instance.create(name, false).await;
    }
    let published = instance
        .node
        .publish("alice", note("x"), PublishOptions::default());
    let digest = published.await.expect("published").cid.digest;
    let inbox = |name: &str| LogId::inbox(instance.node.actor(name).expect("an actor").no);
    let placed = instance
        .node
        .writer()
        .place(digest, vec![inbox("carol"), inbox("dan")], 0);
    placed.expect("room").wait().await.expect("placed");
    let folds = folded(&instance, false).await;
    let joined = |name: &str| {
        let url = instance.node.instance().actor_url(name);
        folds.state("joined", Some(&url)).expect("reads").state
    };
    // Each their own Create, and the note.
    let all = ["alice", "carol", "dan"].map(joined);
    assert_eq!(all, [2, 2, 2].map(Value::Int));
    let counts = folds.state("counts", None).expect("reads").state;
    assert_eq!(counts.get("Create"), Some(&Value::Int(4)), "the note once");
}

#[tokio::test]
async fn who_waits_for_what_never_comes_is_told_what_there_is() {
    let net = Net::default();
    let instance = net.instance("a.test", EngineKind::Memory);
    let folds = instance.node.folds();
    assert!(folds.activate(&definitions()[0]));
    let waited = tokio::time::timeout(WAIT_MAX * 2, folds.wait("counts", u64::MAX));
    waited.await.expect("a bound").expect("there");
    let state = folds.state("counts", None).expect("reads");
    assert_eq!(state.overview.offset, 0);
    let none = folds.wait("none", 1).await.expect_err("there is none");
    assert_eq!(none.code, Code::NotFound);
}

#[tokio::test]
async fn what_was_kept_for_its_verb_is_shown_alone_once_it_is_admitted() {
    let net = Net::default();
    let (a, b) = crate::followed(&net).await;
    a.node.take_up_definitions().expect("the genesis");
    let zap = b.raw("bob", "Zap", Value::from("https://b.test/1"), crate::ALICE);
    let receipt = a.receive(None, &zap).await.expect("kept");
    let digest = receipt.cid.digest;
    let stored = a.node.view().stored(&digest).expect("reads").expect("kept");
    let alone = || {
        let folds = a.node.folds();
        folds
            .alone("timeline", crate::ALICE, &stored)
            .expect("reads")
    };
    assert_eq!(alone(), None, "nothing has judged it");
    let admitted = Control::Admitted {
        digest,
        definitions: Vec::new(),
    };
    let answer = a.node.writer().control(admitted, Bytes::new(), 0);
    answer.expect("room").wait().await.expect("admitted");
    let records = alone().expect("a record");
    let mut records = records.as_map().expect("by when and CID").iter();
    let (_, record) = records.next().expect("one");
    assert_eq!(record.get("verb"), Some(&Value::from("Zap")));
    let follow = b.raw("bob", "Follow", Value::from(crate::ALICE), crate::ALICE);
    let receipt = a.receive(None, &follow).await.expect("kept").cid.digest;
    let follow = a
        .node
        .view()
        .stored(&receipt)
        .expect("reads")
        .expect("kept");
    let follow = a.node.folds().alone("timeline", crate::ALICE, &follow);
    assert_eq!(follow.expect("reads"), None, "no follow is in a timeline");
}
