//! An actor that moves takes its followers along, where the new one says that it is the same.

use std::time::Duration;

use fedsx_core::actor::PeerActor;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::pool::Purpose;
use fedsx_node::Status;
use fedsx_store::engine::EngineKind;

use super::{BOB, Instance, Net, followed, phase};

const BOBBY: &str = "https://c.test/actors/bobby";

async fn names(instance: &Instance, name: &str, other: &str) {
    let members = Map::from([("alsoKnownAs", other)]);
    let updated = instance.node.update_actor(name, &members, None).await;
    updated.expect("updated");
}

/// What alice's relations to the old and the new actor are.
fn follows(a: &Instance, old: &str, new: &str) -> [Phase; 2] {
    [old, new].map(|peer| phase(a, "alice", Direction::Following, peer))
}

fn move_of(b: &Instance, name: &str, of: &str, target: &str) -> Map {
    let mut moved = b.raw(name, "Move", of.into(), &format!("{BOB}/followers"));
    moved.insert("target", target);
    b.resign(name, &moved)
}

#[tokio::test]
async fn followers_go_along_with_who_moves() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let c = net.instance("c.test", EngineKind::Memory);
    c.create("bobby", false).await;
    // Known there before it says anything.
    let peers = a.node.peers();
    peers.actor(BOBBY, Purpose::Own).await.expect("an actor");
    let refused = b.node.move_actor("bob", BOBBY).await.expect_err("refused");
    assert_eq!(refused.code, Code::Conflict);
    names(&c, "bobby", BOB).await;
    let (target, moved) = b.node.move_actor("bob", BOBBY).await.expect("moves");
    assert_eq!(target, BOBBY);
    let bob = b
        .node
        .view()
        .actor_document(&b.node.actor("bob").expect("an actor"));
    let bob = PeerActor::parse(&bob.expect("reads")).expect("an actor");
    assert_eq!(bob.moved_to.as_deref(), Some(BOBBY));

    let document = b.document(&moved.cid);
    net.silence(BOBBY, true);
    let refused = a.receive(None, &document).await.expect_err("not now");
    assert_eq!(refused.code, Code::KeysUnresolved);
    assert!(refused.retry_after_s.is_some());
    net.silence(BOBBY, false);
    net.pass(Duration::from_secs(60));
    assert_eq!(b.carry(&a).await, ["Update", "Move"]);
    assert_eq!(follows(&a, BOB, BOBBY), [Phase::Accepted, Phase::None]);
    a.settle().await;
    assert_eq!(follows(&a, BOB, BOBBY), [Phase::None, Phase::Pending]);
    // Each takes what is for it.
    assert_eq!(a.carry(&c).await, ["Follow", "Undo"]);
    c.settle().await;
    c.carry(&a).await;
    assert_eq!(follows(&a, BOB, BOBBY), [Phase::None, Phase::Accepted]);
    for instance in [a, b, c] {
        instance.close_and_compare();
    }
}

#[tokio::test]
async fn an_actor_that_comes_here_is_followed_here() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    a.create("bobby", false).await;
    let here = a.node.instance().actor_url("bobby");
    names(&a, "bobby", BOB).await;
    b.node.move_actor("bob", &here).await.expect("moves");
    b.carry(&a).await;
    a.settle().await;
    assert_eq!(follows(&a, BOB, &here), [Phase::None, Phase::Accepted]);
    a.close_and_compare();
}

#[tokio::test]
async fn nobody_is_moved_by_another_or_to_one_who_does_not_say_so() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let c = net.instance("c.test", EngineKind::Memory);
    c.create("bobby", false).await;
    b.create("mallory", false).await;
    names(&c, "bobby", "https://b.test/actors/mallory").await;
    let to_other = move_of(&b, "bob", BOB, BOBBY);
    let by_other = move_of(&b, "mallory", BOB, BOBBY);
    let nowhere = move_of(&b, "bob", BOB, "https://nowhere.test/actors/x");
    for (moved, status) in [
        (to_other, Status::Accepted),
        (
            by_other,
            Status::Dropped("it is about nobody and nothing here"),
        ),
        (nowhere, Status::Accepted),
    ] {
        let taken = a.receive(None, &moved).await.expect("taken");
        assert_eq!(taken.status, status);
        assert!(a.node.view().owed_all(1).expect("reads").is_empty());
    }
    assert_eq!(follows(&a, BOB, BOBBY), [Phase::Accepted, Phase::None]);
    let published = b.node.publish(
        "bob",
        Map::from([("type", Value::from("Move")), ("target", BOBBY.into())]),
        fedsx_node::PublishOptions::default(),
    );
    let refused = published.await.expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    a.close_and_compare();
}
