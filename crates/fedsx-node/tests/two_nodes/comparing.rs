//! Followers' sets that came apart are mended by who asked, on either side; what is on its way is left alone, and
//! nobody is believed about another's followers.

use std::time::Duration;

use fedsx_core::entry::Control;
use fedsx_core::export::Between;
use fedsx_core::follow::synchronization::{HEADER, Synchronization};
use fedsx_core::follow::{Direction, Partial, Phase, Relation};
use fedsx_core::refusal::Code;
use fedsx_core::value::Map;
use fedsx_node::{CompareOptions, Comparison, PublishOptions};
use fedsx_store::engine::EngineKind;
use futures_util::future::join_all;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::harness::run_until;
use super::{ALICE, BOB, Instance, Net, follow, followed, note, phase};

const PART: &str = "https://b.test/actors/bob/followers_synchronization";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Everything at once.
const AT_ONCE: CompareOptions = CompareOptions {
    every_ms: 0,
    pause_ms: 0,
    settle_ms: 0,
    ask_again_ms: 0,
};

/// Has the options count, without comparing by itself.
async fn decided(instance: &Instance, options: CompareOptions) {
    let stop = CancellationToken::new();
    stop.cancel();
    instance.node.clone().compare(options, stop).await;
}

async fn compared(instance: &Instance, who: &str) -> Comparison {
    let compared = instance.node.compare_now(who).await;
    compared.expect("compared")
}

/// Lets the workers take what is due, once.
async fn worked(instance: &Instance) {
    let node = instance.node.clone();
    run_until(async || true, |stop| node.compare(AT_ONCE, stop)).await;
}

fn phases(a: &Instance, b: &Instance) -> [Phase; 2] {
    [
        phase(a, "alice", Direction::Following, BOB),
        phase(b, "bob", Direction::Follower, ALICE),
    ]
}

/// How often alice said something.
fn times(a: &Instance, verb: &str) -> usize {
    a.said("alice").iter().filter(|said| *said == verb).count()
}

/// A follower of bob, as if imported.
fn follower(peer: &str) -> Between {
    Between::Relation {
        direction: Direction::Follower,
        peer: peer.to_owned(),
        relation: Relation {
            phase: Phase::Accepted,
            id: Some(format!("{peer}/activities/1")),
            inbox: Some(format!("{peer}/inbox")),
            ..Relation::default()
        },
    }
}

fn between(b: &Instance, peer: &str) -> Control {
    Control::Between {
        actor: b.node.actor("bob").expect("an actor").no,
        between: Box::new(follower(peer)),
    }
}

/// What bob says to the followers on a host.
fn told(b: &Instance, inbox: &str) -> Option<Synchronization> {
    let bob = b.node.actor("bob").expect("an actor");
    b.node.synchronization(&bob, inbox).expect("reads")
}

#[tokio::test]
async fn a_ghost_at_the_followed_is_undone() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    decided(&a, AT_ONCE).await;
    let in_step = compared(&a, BOB).await;
    assert_eq!(
        in_step,
        Comparison {
            listed: 1,
            here: 1,
            ..Comparison::default()
        }
    );
    a.node.unfollow("alice", BOB).await.expect("unfollows");
    a.lose();
    assert_eq!(phases(&a, &b), [Phase::None, Phase::Accepted]);
    let mended = compared(&a, BOB).await;
    assert_eq!((mended.listed, mended.here, mended.undone), (1, 0, 1));
    assert_eq!(a.carry(&b).await, ["Undo"]);
    assert_eq!(phases(&a, &b), [Phase::None, Phase::None]);
    assert_eq!(compared(&a, BOB).await, Comparison::default());
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_ghost_of_which_nothing_is_known_is_undone_by_the_pair() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    let b = net.instance("b.test", EngineKind::Memory);
    a.create("alice", false).await;
    b.create("bob", false).await;
    b.control(between(&b, ALICE)).await;
    b.control(between(&b, "https://a.test/actors/nobody")).await;
    b.control(between(&b, "https://c.test/actors/alice")).await;
    decided(&a, AT_ONCE).await;
    let mended = compared(&a, BOB).await;
    let expected = Comparison {
        listed: 2,
        undone: 1,
        left: 1,
        ..Comparison::default()
    };
    assert_eq!(mended, expected, "nobody speaks for who is not here");
    a.carry(&b).await;
    assert_eq!(phases(&a, &b), [Phase::None, Phase::None]);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_follow_that_was_lost_there_is_asked_for_anew_once() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    decided(&a, AT_ONCE).await;
    b.node.reject("bob", ALICE).await.expect("rejects");
    b.lose();
    assert_eq!(phases(&a, &b), [Phase::Accepted, Phase::None]);
    assert_eq!(compared(&a, BOB).await.asked, 1);
    assert_eq!(phases(&a, &b), [Phase::Pending, Phase::None]);
    // Before it has arrived there is nothing more to mend.
    let meanwhile = compared(&a, BOB).await;
    assert_eq!(meanwhile, Comparison::default());
    assert_eq!(a.carry(&b).await, ["Follow"]);
    b.settle().await;
    b.carry(&a).await;
    assert_eq!(phases(&a, &b), [Phase::Accepted, Phase::Accepted]);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn an_answer_that_was_not_heard_is_asked_for_again() {
    let net = Net::default();
    let a = net.instance("a.test", EngineKind::Memory);
    let b = net.instance("b.test", EngineKind::Memory);
    a.create("alice", false).await;
    b.create("bob", true).await;
    decided(&a, AT_ONCE).await;
    a.node.follow("alice", BOB).await.expect("asks");
    a.carry(&b).await;
    b.node.accept("bob", ALICE).await.expect("accepts");
    b.lose();
    assert_eq!(phases(&a, &b), [Phase::Pending, Phase::Accepted]);
    net.pass(MINUTE);
    assert_eq!(compared(&a, BOB).await.asked, 1);
    assert_eq!(
        phases(&a, &b)[0],
        Phase::Pending,
        "only the followed accepts"
    );
    a.carry(&b).await;
    b.settle().await;
    b.carry(&a).await;
    assert_eq!(phases(&a, &b), [Phase::Accepted, Phase::Accepted]);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn what_is_young_or_on_its_way_is_left_alone() {
    let net = Net::default();
    let (a, _b) = followed(&net).await;
    let options = CompareOptions {
        settle_ms: 600_000,
        ..AT_ONCE
    };
    decided(&a, options).await;
    a.node.unfollow("alice", BOB).await.expect("unfollows");
    let said = a.said("alice");
    let young = compared(&a, BOB).await;
    assert_eq!((young.undone, young.left), (0, 1));
    net.pass(11 * MINUTE);
    let place = a.queue("alice", "b.test");
    let queued = compared(&a, BOB).await;
    assert_eq!((queued.undone, queued.left), (0, 1));
    assert_eq!(a.said("alice"), said);
    a.unqueue(&place);
    let lost = compared(&a, BOB).await;
    assert_eq!((lost.undone, lost.left), (1, 0));
}

#[tokio::test]
async fn what_arrives_between_two_looks_is_not_mended() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let options = CompareOptions {
        settle_ms: 600_000,
        ..AT_ONCE
    };
    decided(&a, options).await;
    net.pass(HOUR);
    b.node.reject("bob", ALICE).await.expect("rejects");
    // Something of bob's that says who follows him, without alice.
    let said = Synchronization {
        digest: Partial::default().hex(),
        ..told(&b, "https://a.test/inbox").unwrap_or(Synchronization {
            collection_id: format!("{BOB}/followers"),
            url: PART.to_owned(),
            digest: String::new(),
        })
    };
    let post = b.raw("bob", "Create", note("hello").into(), ALICE);
    let signer = b.node.signer(&b.node.actor("bob").expect("an actor"));
    let signer = signer.expect("a key");
    let received = a
        .receive_told(&post, &*signer, &said.to_string(), true)
        .await;
    received.expect("received");
    net.pass(2 * MINUTE);
    let node = a.node.clone();
    run_until(
        async || a.node.comparisons_waiting() == [0, 1],
        |stop| node.compare(AT_ONCE, stop),
    )
    .await;
    let before = a.said("alice");
    assert_eq!(b.carry(&a).await, ["Reject"]);
    net.pass(15 * MINUTE);
    let node = a.node.clone();
    let looked_twice = async || a.node.comparisons_waiting() == [0, 0];
    run_until(looked_twice, |stop| node.compare(AT_ONCE, stop)).await;
    assert_eq!(net.asked(PART), 2);
    assert_eq!(a.said("alice"), before);
    assert_eq!(phases(&a, &b), [Phase::None, Phase::None]);
}

#[tokio::test]
async fn a_header_starts_a_comparison_and_a_forged_one_does_not() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("carol", false).await;
    decided(&a, AT_ONCE).await;
    let [bob, carol] = ["bob", "carol"].map(|name| {
        let actor = b.node.actor(name).expect("an actor");
        b.node.signer(&actor).expect("a key")
    });
    let in_step = told(&b, "https://a.test/inbox").expect("a follower there");
    assert_eq!(in_step.url, PART);
    assert!(
        told(&b, "https://c.test/inbox").is_none(),
        "no follower there"
    );
    b.node.reject("bob", ALICE).await.expect("rejects");
    b.lose();
    let apart = Synchronization {
        digest: Partial::default().hex(),
        ..in_step.clone()
    };
    let post = |text: &str| b.raw("bob", "Create", note(text).into(), ALICE);
    let another = Synchronization {
        collection_id: "https://b.test/actors/carol/followers".to_owned(),
        ..apart.clone()
    };
    for (signer, what, said, is_covered) in [
        (&bob, "in-step", in_step.clone(), true),
        (&bob, "not-covered", apart.clone(), false),
        (&carol, "another-signs", apart.clone(), true),
        (&bob, "another-collection", another, true),
    ] {
        // The address tells which it was.
        let url = format!("{PART}?{what}");
        let said = Synchronization { url, ..said }.to_string();
        let document = post(what);
        let received = a.receive_told(&document, &**signer, &said, is_covered);
        received.await.expect("the proof stands for the document");
        worked(&a).await;
        assert_eq!(net.asked(&format!("{PART}?{what}")), 0, "{what}");
    }
    let elsewhere = Synchronization {
        url: "https://c.test/actors/bob/followers_synchronization".to_owned(),
        ..apart.clone()
    };
    let (document, said) = (post("elsewhere"), elsewhere.to_string());
    let received = a.receive_told(&document, &*bob, &said, true).await;
    received.expect("received");
    let mut unsigned = HeaderMap::new();
    let said = apart.to_string();
    unsigned.insert(HEADER, said.parse().expect("a header"));
    let received = a.receive_with(None, &post("unsigned"), unsigned).await;
    received.expect("received");
    worked(&a).await;
    assert_eq!(net.asked(&elsewhere.url) + net.asked(PART), 0);

    let received = a.receive_told(&post("true"), &*bob, &said, true).await;
    received.expect("received");
    let node = a.node.clone();
    let mended = async || times(&a, "Follow") == 2;
    run_until(mended, |stop| node.compare(AT_ONCE, stop)).await;
    assert_eq!(net.asked(PART), 2, "two looks");
    assert_eq!(phases(&a, &b)[0], Phase::Pending);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_post_that_is_for_nobody_here_tells_of_a_ghost() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    decided(&a, AT_ONCE).await;
    a.node.unfollow("alice", BOB).await.expect("unfollows");
    a.lose();
    let said = told(&b, "https://a.test/inbox").expect("a follower there");
    let published = b.node.publish("bob", note("x"), PublishOptions::default());
    let post: Map = b.document(&published.await.expect("published").cid);
    let bob = b.node.actor("bob").expect("an actor");
    let signer = b.node.signer(&bob).expect("a key");
    let received = a
        .receive_told(&post, &*signer, &said.to_string(), true)
        .await;
    let status = received.expect("received").status;
    assert!(
        matches!(status, fedsx_node::Status::Dropped(_)),
        "{status:?}"
    );
    let node = a.node.clone();
    let undone = async || times(&a, "Undo") == 2;
    run_until(undone, |stop| node.compare(AT_ONCE, stop)).await;
    assert_eq!(a.carry(&b).await, ["Undo"]);
    assert_eq!(phases(&a, &b), [Phase::None, Phase::None]);
}

#[tokio::test]
async fn a_pass_finds_what_nobody_tells_and_says_stuck_requests_again() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("carol", true).await;
    let carol = "https://b.test/actors/carol";
    a.node.follow("alice", carol).await.expect("asks");
    a.lose();
    b.node.reject("bob", ALICE).await.expect("rejects");
    b.lose();
    let options = CompareOptions {
        every_ms: 16,
        ask_again_ms: 6 * 3_600_000,
        ..AT_ONCE
    };
    decided(&a, options).await;
    let follows = || times(&a, "Follow");
    // Of carol's part there is no first look before her request is looked at.
    let rounds = |more: usize| {
        let part = format!("{carol}/followers_synchronization");
        let enough = net.asked(&part) + more;
        let (net, node) = (&net, a.node.clone());
        run_until(
            async move || net.asked(&part) >= enough,
            |stop| node.compare(AT_ONCE, stop),
        )
    };
    rounds(3).await;
    assert_eq!(phases(&a, &b)[0], Phase::Pending, "bob's was lost");
    assert_eq!(follows(), 3, "alice asked bob again, and carol not yet");
    net.pass(7 * HOUR);
    rounds(3).await;
    // Bob's is stuck as well by now.
    assert_eq!(follows(), 5);
    net.pass(6 * HOUR);
    rounds(3).await;
    assert_eq!(
        follows(),
        5,
        "each time after as long as was waited till then"
    );
    net.pass(2 * HOUR);
    rounds(3).await;
    assert_eq!(follows(), 7);
}

#[tokio::test]
async fn the_operator_is_told_why_nothing_can_be_compared() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    a.create("anna", false).await;
    let code = async |who: &str| a.node.compare_now(who).await.map_err(|error| error.code);
    assert_eq!(code("anna").await, Err(Code::Conflict));
    assert_eq!(
        code("https://b.test/actors/nobody").await,
        Err(Code::Unresolvable)
    );
    b.node.delete_actor("bob").await.expect("deleted");
    assert_eq!(code(BOB).await, Err(Code::Unresolvable));
    net.silence("https://b.test/.well-known/sx-capabilities", true);
    let c = net.instance("c.test", EngineKind::Memory);
    c.create("carl", false).await;
    net.silence("https://c.test/.well-known/sx-capabilities", true);
    let error = a.node.compare_now("https://c.test/actors/carl").await;
    let error = error.expect_err("not offered");
    assert_eq!(error.code, Code::Unresolvable);
    assert!(error.detail.contains("says nowhere"), "{}", error.detail);
}

#[tokio::test]
async fn twenty_thousand_followers_are_compared_page_by_page() {
    let net = Net::default();
    let (a, b) = (
        net.instance("a.test", EngineKind::Memory),
        net.instance("b.test", EngineKind::Memory),
    );
    a.create("alice", false).await;
    b.create("bob", false).await;
    let names: Vec<String> = (0..20_000)
        .map(|n| format!("https://a.test/actors/n{n}"))
        .collect();
    for chunk in names.chunks(1_000) {
        join_all(chunk.iter().map(|peer| b.control(between(&b, peer)))).await;
    }
    follow(&a, &b).await;
    decided(&a, AT_ONCE).await;
    let all = names.iter().map(String::as_str).chain([ALICE]);
    let counted = all.fold(Partial::default(), |partial, id| partial.with(id, true));
    let said = told(&b, "https://a.test/inbox").expect("followers there");
    assert_eq!(said.digest, counted.hex());
    let found = compared(&a, BOB).await;
    let expected = Comparison {
        listed: 20_001,
        here: 1,
        left: 20_000,
        ..Comparison::default()
    };
    assert_eq!(found, expected);
    assert_eq!(net.asked(PART), 2, "each look asks once for the beginning");
    b.close_and_compare();
}
