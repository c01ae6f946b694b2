//! What is kept until its verb is defined, whose definitions are taken, and what hostile servers get.

use std::time::Duration;

use fedsx_core::canonical::jcs_map;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::definition::{Definition, Kind, read_source};
use fedsx_core::refusal::Code;
use fedsx_core::trust::Trust;
use fedsx_core::value::{Map, Value};
use fedsx_node::{LearnOptions, PublishOptions, Standing};
use fedsx_store::engine::EngineKind;

use crate::definitions::{PIN, SHORT_PIN, define, pin};
use crate::harness::{Instance, Net, run_until};
use crate::{ALICE, BOB, follow, followed};

/// Publishes as bob; the document as it goes out.
async fn published(b: &Instance, document: Map) -> Map {
    let published = b.node.publish("bob", document, PublishOptions::default());
    b.document(&published.await.expect("publishes").cid)
}

/// bob's `Pin`s of these paths, received.
async fn received(b: &Instance, a: &Instance, paths: &[&str]) -> Vec<Cid> {
    let mut cids = Vec::new();
    for path in paths {
        let document = published(b, pin(path)).await;
        let receipt = a.receive(None, &document).await.expect("kept");
        cids.push(receipt.cid);
    }
    cids
}

/// Learns until it has come to that.
async fn learn(a: &Instance, options: &LearnOptions, until: impl AsyncFn() -> bool) {
    run_until(until, |stop| a.node.clone().learn(options.clone(), stop)).await;
}

async fn standing(a: &Instance, cid: &Cid) -> Standing {
    let told = a.node.explain(&cid.to_string()).await;
    told.expect("it is known").standing
}

async fn why(a: &Instance, cid: &Cid) -> String {
    let told = a.node.explain(&cid.to_string()).await;
    told.expect("it is known").why.unwrap_or_default()
}

fn kept(a: &Instance) -> Vec<Digest> {
    let rows = a.node.view().kept(0, 1_000).expect("reads");
    rows.into_iter().map(|kept| kept.digest).collect()
}

async fn trust(a: &Instance, trust: Trust) {
    a.node.set_trust(trust).await.expect("on record");
}

#[tokio::test]
async fn too_much_and_what_waited_too_long_expires_oldest_first() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    define(&b, "bob", PIN).await.expect("defines");
    let cids = received(&b, &a, &["1", "2", "3", "4", "5"]).await;
    let digests = |cids: &[Cid]| cids.iter().map(|cid| cid.digest).collect::<Vec<_>>();
    assert_eq!(kept(&a), digests(&cids));
    assert_eq!(a.node.view().state().kept_total(BOB).expect("reads"), 5);
    let bounds = LearnOptions {
        kept_per_actor: 4,
        kept_per_host: 3,
        ..LearnOptions::default()
    };
    learn(&a, &bounds, async || kept(&a).len() == 3).await;
    assert_eq!(kept(&a), digests(&cids[2..]));
    assert!(matches!(standing(&a, &cids[0]).await, Standing::Expired(_)));
    assert_eq!(
        why(&a, &cids[0]).await,
        "`Pin` was not defined here in its time"
    );
    let short = LearnOptions {
        kept_ms: 1,
        ..LearnOptions::default()
    };
    learn(&a, &short, async || kept(&a).is_empty()).await;
    let state = a.node.view().state();
    let totals = [BOB, "b.test"].map(|whose| state.kept_total(whose).expect("reads"));
    assert_eq!(totals, [0, 0]);
    // What has expired is not judged any more.
    a.create("definer", false).await;
    define(&a, "definer", PIN).await.expect("defines");
    let later = received(&b, &a, &["6"]).await;
    let is_judged = async || standing(&a, &later[0]).await == Standing::Stored;
    learn(&a, &LearnOptions::default(), is_judged).await;
    assert!(matches!(standing(&a, &cids[4]).await, Standing::Expired(_)));
    a.close_and_compare();
}

#[tokio::test]
async fn a_definition_is_asked_for_once_and_taken_by_its_cid_and_proof() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    trust(&a, Trust::Followed).await;
    let mut cases = Vec::new();
    for name in ["Gone", "Other", "Bare", "Large", "Late"] {
        let mut object = read_source(&PIN.replace("Pin", name)).expect(name);
        if name == "Large" {
            object.insert("note", "x".repeat(70_000));
        }
        define_object(&b, object).await;
        let act = Map::from([
            ("type", name),
            ("path", "x"),
            ("object", "https://c.test/a"),
        ]);
        let document = published(&b, act).await;
        let create = document.get("definedBy").and_then(Value::as_str);
        let url = format!("https://b.test/artifacts/{}", create.expect("a CID"));
        let stored: Cid = create.expect("a CID").parse().expect("a CID");
        let mut create = b.document(&stored);
        let size = jcs_map(&create).len();
        match name {
            "Gone" => net.serve(&url, None),
            "Other" => {
                create.insert("note", "another");
                net.serve(&url, Some(b.resign("bob", &create)));
            }
            "Bare" => {
                create.remove("proof");
                net.serve(&url, Some(create));
            }
            _ => {}
        }
        let receipt = a.receive(None, &document).await.expect("kept");
        cases.push((name, receipt.cid, url, size));
    }
    let options = LearnOptions {
        fetches_per_peer: 4,
        ..LearnOptions::default()
    };
    let settled = async || {
        for (_, cid, ..) in &cases {
            let why = why(&a, cid).await;
            if why.is_empty() || why.contains("is being fetched") {
                return false;
            }
        }
        true
    };
    learn(&a, &options, settled).await;
    let mut page = Vec::new();
    for (name, cid, url, size) in &cases {
        let told = why(&a, cid).await.replace(url, "URL");
        // A signature in base58 is now and then a byte shorter.
        let told = told.replace(&format!(" {size} bytes"), " SIZE bytes");
        let told = told
            .split("; asked for again")
            .next()
            .unwrap_or_default()
            .to_owned();
        let asked = net.asked(url);
        page.push(format!("{name}: asked {asked} times\n  {told}"));
    }
    insta::assert_snapshot!(page.join("\n"));
    assert_eq!(kept(&a).len(), cases.len(), "nothing is taken");
    // Another day the budget is whole again.
    net.pass(Duration::from_secs(25 * 3_600));
    let late = &cases[4].1;
    let is_admitted = async || matches!(standing(&a, late).await, Standing::Admitted(_));
    learn(&a, &LearnOptions::default(), is_admitted).await;
    a.close_and_compare();
}

async fn define_object(b: &Instance, object: Map) {
    let role = fedsx_core::entry::Role::Definer;
    b.node.set_role("bob", role, true).await.expect("an actor");
    let options = PublishOptions::default();
    b.node
        .publish("bob", object, options)
        .await
        .expect("defines");
}

#[tokio::test]
async fn who_is_followed_later_is_trusted_then() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    let b = net.instance("b.test", EngineKind::Memory);
    a.create("alice", false).await;
    b.create("bob", false).await;
    trust(&a, Trust::Followed).await;
    define(&b, "bob", PIN).await.expect("defines");
    let mut act = pin("x");
    act.insert("to", vec![Value::from(ALICE)]);
    let document = published(&b, act).await;
    let cid = a.receive(None, &document).await.expect("kept").cid;
    let options = LearnOptions::default();
    let is_told = async || why(&a, &cid).await.contains("nobody here follows");
    learn(&a, &options, is_told).await;
    let registry = a.node.registry();
    assert!(
        !registry.is_named(Kind::Activity, "Pin"),
        "nothing is taken"
    );

    let is_admitted = async || matches!(standing(&a, &cid).await, Standing::Admitted(_));
    tokio::join!(learn(&a, &options, is_admitted), follow(&a, &b));
    a.close_and_compare();
}

#[tokio::test]
async fn an_earlier_definition_does_not_take_the_place_of_a_later_one() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    trust(&a, Trust::Followed).await;
    let mut creates = Vec::new();
    for source in [PIN, SHORT_PIN] {
        let defined = define(&b, "bob", source).await.expect("defines");
        creates.push(b.document(&defined.cid));
    }
    let options = LearnOptions::default();
    let mut cids = Vec::new();
    for create in creates.iter().rev() {
        cids.push(a.receive(None, create).await.expect("taken").cid);
        let first = &cids[0];
        let is_active = async || matches!(standing(&a, first).await, Standing::Activated(_));
        learn(&a, &options, is_active).await;
    }
    assert_eq!(standing(&a, &cids[1]).await, Standing::Offered);
    assert_eq!(
        why(&a, &cids[1]).await,
        "a later `Pin` of the same actor is active"
    );
    let registry = a.node.registry();
    let active = registry
        .resolve(Kind::Activity, "Pin", None)
        .expect("active");
    let later = Definition::from_source(SHORT_PIN).expect(SHORT_PIN);
    assert_eq!(active.definition.cid(), later.cid());
    let mut long = b.raw("bob", "Pin", "https://c.test/a".into(), ALICE);
    long.insert("path", "abcdef");
    let refused = a.receive(None, &b.resign("bob", &long)).await;
    assert_eq!(refused.expect_err("too long").code, Code::Schema);
    a.close_and_compare();
}

#[tokio::test]
async fn what_is_not_for_peers_to_say_is_not_taken() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    trust(&a, Trust::Followed).await;
    a.create("definer", false).await;
    define(&a, "definer", PIN).await.expect("defines");
    let like = "(DefineActivity :name \"Like\" :schema (fn (act) false))";
    let announce = "(DefineActivity :name \"Announce\" :schema (fn (act) false))";
    let check = "(DefineValidator :name \"none\" :on \"Create\" :check (fn (act env) \"no\"))";
    let trigger = "(DefineTrigger :name \"echo\" :on \"Create\" :then (fn (act env) nil))";
    let mut cids = Vec::new();
    for source in [SHORT_PIN, like, announce, check, trigger] {
        let defined = define(&b, "bob", source).await.expect(source);
        let receipt = a.receive(None, &b.document(&defined.cid)).await;
        cids.push(receipt.expect("it is an activity like others").cid);
    }
    let taken = define(&b, "bob", &PIN.replace("Pin", "Mark")).await;
    let taken = b.document(&taken.expect("defines").cid);
    let taken = a.receive(None, &taken).await.expect("taken").cid;
    let is_active = async || matches!(standing(&a, &taken).await, Standing::Activated(_));
    learn(&a, &LearnOptions::default(), is_active).await;
    let mut page = Vec::new();
    for cid in &cids {
        let told = a.node.explain(&cid.to_string()).await.expect("known");
        let why = told.why.unwrap_or_default();
        page.push(format!("{}: {why}", told.standing.as_str()));
    }
    insta::assert_snapshot!(page.join("\n"));
    let registry = a.node.registry();
    let of_bob = registry
        .active(None)
        .filter(|active| active.authority.as_str() == BOB)
        .map(|active| active.definition.name());
    assert_eq!(of_bob.collect::<Vec<_>>(), ["Mark"]);
    a.close_and_compare();
}
