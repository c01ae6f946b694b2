//! An actor that changes what it says of itself is heard by those who follow it.

use fedsx_core::actor::PeerActor;
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::pool::Purpose;

use super::{BOB, Net, followed};

#[tokio::test]
async fn a_profile_that_changed_is_what_followers_know_of_it() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let known = async || {
        let peers = a.node.peers();
        peers.actor(BOB, Purpose::Own).await.expect("an actor")
    };
    assert_eq!(known().await.display_name.as_deref(), Some("bob"));
    let members = Map::from([
        ("name", Value::from("Bob")),
        ("icon", "https://b.test/bob.png".into()),
        ("manuallyApprovesFollowers", true.into()),
    ]);
    // Beside a rotation: neither takes back the other.
    let (updated, rotated) = tokio::join!(
        b.node.update_actor("bob", &members),
        b.node.rotate_key("bob")
    );
    let (actor, published) = updated.expect("updated");
    assert!(actor.manual_approval);
    let rotated = rotated.expect("rotated").published;
    let mut updates = [published, rotated];
    updates.sort_by_key(|update| update.offset);
    for update in &updates {
        let update = b.document(&update.cid);
        a.receive(None, &update).await.expect("taken");
    }
    let heard = known().await;
    assert_eq!(heard.display_name.as_deref(), Some("Bob"));
    assert!(heard.manually_approves);
    let served = b
        .node
        .view()
        .actor_document(&b.node.actor("bob").expect("an actor"));
    let served = PeerActor::parse(&served.expect("reads")).expect("an actor");
    assert_eq!(served.keys.len(), 2);
    assert_eq!(served.document.get("icon"), heard.document.get("icon"));

    let own = Map::from([("inbox", "https://elsewhere.test/")]);
    let refused = b.node.update_actor("bob", &own).await.expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    a.close_and_compare();
    b.close_and_compare();
}
