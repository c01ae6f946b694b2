//! An actor that changes what it says of itself is heard by those who follow it.

use bytes::Bytes;
use fedsx_core::actor::PeerActor;
use fedsx_core::blob::{Blob, Media};
use fedsx_core::cid::Digest;
use fedsx_core::entry::{ActorNo, Control};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::pool::Purpose;
use fedsx_store::check;

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
        b.node.update_actor("bob", &members, None),
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
    let refused = b
        .node
        .update_actor("bob", &own, None)
        .await
        .expect_err("refused");
    assert_eq!(refused.code, Code::NotAuthorised);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_file_that_is_not_what_its_entry_says_is_found() {
    let net = Net::default();
    let (a, _) = followed(&net).await;
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n");
    let digest = Digest::of(&png);
    let faults = || {
        let report = check::verify(a.dir()).expect("reads");
        let whats = report.faults.into_iter().map(|fault| fault.what);
        whats.collect::<Vec<_>>()
    };
    let cases = [
        (digest, Media::Png, None),
        (Digest::of(b"another"), Media::Png, Some("another CID")),
        (digest, Media::Gif, Some("another media type")),
    ];
    for (digest, media, fault) in cases {
        let before = faults().len();
        let actor = ActorNo(0);
        let kept = Blob::Kept {
            actor,
            digest,
            media,
        };
        let writer = a.node.writer();
        let queued = writer.control(Control::Blob(kept), png.clone(), a.node.now_ms());
        queued.expect("queued").wait().await.expect("appended");
        let found = faults();
        let newest = found.get(before);
        let is_so = match fault {
            Some(fault) => newest.is_some_and(|what| what.contains(fault)),
            None => newest.is_none(),
        };
        assert!(is_so, "{found:?}");
    }
}
