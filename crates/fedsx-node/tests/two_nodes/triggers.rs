//! What follows from entries, wherever the walk along the journal is cut, and from what peers send.

use std::collections::BTreeMap;
use std::time::Duration;

use fedsx_core::cid::Cid;
use fedsx_core::definition::read_source;
use fedsx_core::entry::{LogId, Role};
use fedsx_core::value::{Map, Value};
use fedsx_node::{PublishOptions, Published, Status};
use fedsx_store::SeqRange;
use fedsx_store::engine::EngineKind;
use tokio_util::sync::CancellationToken;

use crate::followed;
use crate::harness::{Instance, Net, note};

const TEST_ECHO: &str =
    r#"(DefineActivity :name "TestEcho" :doc "An echo." :schema (fn (act) true))"#;
/// One that makes something, one that makes nothing, one that fails.
const TRIGGERS: [&str; 3] = [
    r#"(DefineTrigger :name "echo" :on "Create" :guard (fn (act) (= (get-in act [:object :type]) "Note"))
      :then (fn (act env) {:type "TestEcho" :heard (get env :cid)}))"#,
    r#"(DefineTrigger :name "silent" :on "Create" :then (fn (act) nil))"#,
    r#"(DefineTrigger :name "broken" :on "Create" :then (fn (act) (error "no")))"#,
];

async fn publish(instance: &Instance, name: &str, document: Map) -> Published {
    let options = PublishOptions::default();
    let published = instance.node.publish(name, document, options).await;
    published.expect("published")
}

async fn define(instance: &Instance, name: &str, source: &str) -> Published {
    let role = instance.node.set_role(name, Role::Definer, true).await;
    role.expect("an actor");
    publish(instance, name, read_source(source).expect(source)).await
}

/// Runs triggers until they have met everything, or `entries` were appended meanwhile: then the walk is
/// dropped where it stands, as by the end of the process.
async fn walk(instance: &Instance, entries: Option<u64>) {
    let node = &instance.node;
    let view = node.view();
    let end = entries.map(|entries| view.applied() + entries);
    let triggers = node.triggers().clone();
    let walk = triggers.clone().run(node.clone(), CancellationToken::new());
    let until = async {
        while triggers.met() < view.applied() && end.is_none_or(|end| view.applied() < end) {
            tokio::task::yield_now().await;
        }
    };
    let walked = async {
        tokio::select! {
            ended = walk => panic!("it ended by itself: {ended:?}"),
            () = until => {}
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), walked).await;
    in_time.expect("everything is met");
}

/// How often each activity was echoed by an actor, by CID.
fn echoed(instance: &Instance, name: &str) -> BTreeMap<String, usize> {
    let mut echoed = BTreeMap::new();
    for document in outbox(instance, name, "TestEcho") {
        let heard = document.get("heard").and_then(Value::as_str);
        *echoed.entry(heard.expect("a CID").to_owned()).or_default() += 1;
    }
    echoed
}

fn outbox(instance: &Instance, name: &str, verb: &str) -> Vec<Map> {
    let log = LogId::outbox(instance.node.actor(name).expect("an actor").no);
    let view = instance.node.view();
    let log = view.log(log, SeqRange::default(), false, 10_000);
    let documents = log.expect("reads").into_iter();
    let documents = documents.map(|entry| entry.stored.map().expect("reads"));
    documents
        .filter(|document| document.get("type") == Some(&Value::from(verb)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_walk_is_cut_each_note_is_echoed_once() {
    for engine in [EngineKind::Fjall, EngineKind::Memory] {
        let net = Net::default();
        let mut instance = net.instance("a.test", engine);
        instance.create("alice", false).await;
        define(&instance, "alice", TEST_ECHO).await;
        for source in TRIGGERS {
            define(&instance, "alice", source).await;
        }
        let mut notes = BTreeMap::new();
        for cut in 0..14 {
            let published = publish(&instance, "alice", note(&cut.to_string())).await;
            notes.insert(published.cid.to_string(), 1);
            walk(&instance, Some(cut % 4)).await;
            if cut % 3 == 0 {
                instance = instance.reopened(&net);
                instance.node.take_up_definitions().expect("reads");
            }
            if cut % 2 == 0 {
                instance.forget_triggers_met();
            }
        }
        walk(&instance, None).await;
        assert_eq!(echoed(&instance, "alice"), notes, "{engine}");
        instance.forget_triggers_met();
        // One that has met nothing yet.
        instance = instance.reopened(&net);
        instance.node.take_up_definitions().expect("reads");
        let applied = instance.node.view().applied();
        walk(&instance, None).await;
        assert_eq!(instance.node.view().applied(), applied, "nothing more");
        // The notes, and each definition above a trigger's own.
        let totals = TRIGGERS.map(|source| {
            let object = read_source(source).expect(source);
            let digest = fedsx_core::cid::cid(&object).digest;
            instance.node.view().trigger(&digest).expect("reads").0
        });
        let [echo, silent, broken] = totals;
        assert_eq!((echo.published, echo.nothing, echo.failed), (14, 0, 0));
        assert_eq!(
            (silent.published, silent.nothing, silent.failed),
            (0, 15, 0)
        );
        assert_eq!(
            (broken.published, broken.nothing, broken.failed),
            (0, 0, 14)
        );
        instance.close_and_compare();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_sends_is_met_and_what_it_defines_is_not() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    define(&a, "alice", TEST_ECHO).await;
    define(&a, "alice", TRIGGERS[0]).await;
    // A trigger of the peer is kept like any other object.
    define(&b, "bob", TRIGGERS[2]).await;
    let mut private = note("for those who follow");
    private.insert("to", "https://b.test/actors/bob/followers");
    let heard = publish(&b, "bob", private).await;
    b.carry(&a).await;
    walk(&a, None).await;
    let echoes = outbox(&a, "alice", "TestEcho");
    assert_eq!(echoes.len(), 1, "{echoes:?}");
    let member = |member: &str| echoes[0].get(member).cloned();
    assert_eq!(member("causedBy"), Some(vec![heard.cid.to_string()].into()));
    assert_eq!(
        member("to"),
        Some(vec![crate::BOB].into()),
        "its author alone"
    );
    assert_eq!(member("cc"), None);
    let [published, failed, _] = a.node.triggers().counts();
    assert_eq!((published, failed), (1, 0));

    // A peer that says that eight went before ends the chain.
    let mut document = b.raw("bob", "Create", Value::Nil, crate::ALICE);
    document.insert("object", note("again"));
    let ancestors: Vec<Value> = (0_u8..8)
        .map(|n| {
            Cid::of_document(fedsx_core::cid::Digest::of(&[n]))
                .to_string()
                .into()
        })
        .collect();
    document.insert("causedBy", ancestors);
    let received = a.receive(None, &b.resign("bob", &document)).await;
    assert_eq!(received.expect("kept").status, Status::Accepted);
    walk(&a, None).await;
    assert_eq!(outbox(&a, "alice", "TestEcho").len(), 1);
    a.close_and_compare();
    b.close_and_compare();
}
