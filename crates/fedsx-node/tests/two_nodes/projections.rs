//! Projections: the same states however they came about, and the account of what can't be folded.

use std::collections::BTreeMap;

use fedsx_core::cid::Cid;
use fedsx_core::definition::Definition;
use fedsx_core::projection::state_cid;
use fedsx_core::refusal::Code;
use fedsx_core::value::Value;
use fedsx_node::{Folds, PublishOptions};
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
