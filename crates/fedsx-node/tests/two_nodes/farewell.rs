//! A local actor that is deleted: who followed it hears of it, what it signed still verifies, and nothing comes
//! after.

use fedsx_core::actor::PeerActor;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::Digest;
use fedsx_core::entry::LogId;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::proof::{self, Presented};
use fedsx_core::refusal::Code;
use fedsx_core::value::{Map, Value};
use fedsx_node::{NewActor, PublishOptions};
use fedsx_store::SeqRange;
use futures_util::future::join_all;

use super::{ALICE, BOB, Instance, Net, followed, note, phase};

/// An outbox, oldest first, whoever its actor is.
fn outbox(instance: &Instance, name: &str) -> Vec<Map> {
    let view = instance.node.view();
    let actor = view.state().actor_by_name(name).expect("reads");
    let log = LogId::outbox(actor.expect("an actor").no);
    let entries = view.log(log, SeqRange::default(), false, 1_000);
    let entries = entries.expect("reads").into_iter();
    entries
        .map(|entry| entry.stored.map().expect("reads"))
        .collect()
}

fn verb(activity: &Map) -> &str {
    let verb = activity.get("type").and_then(Value::as_str);
    verb.expect("a verb")
}

fn left_of(instance: &Instance, name: &str) -> PeerActor {
    let view = instance.node.view();
    let actor = view.state().actor_by_name(name).expect("reads");
    let document = view.actor_document(&actor.expect("an actor"));
    PeerActor::parse(&document.expect("reads")).expect("a Tombstone")
}

#[tokio::test]
async fn who_is_deleted_is_followed_no_more_and_what_it_said_verifies() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let posted = b
        .node
        .publish("bob", note("before"), PublishOptions::default());
    let posted = posted.await.expect("published");
    assert_eq!(b.carry(&a).await, ["Create"]);
    let said_before = outbox(&b, "bob");
    let tokens = || b.node.tokens("bob");
    b.node
        .issue_token("bob", vec![fedsx_node::Scope::Read])
        .expect("issued");
    assert_eq!(tokens().expect("reads").len(), 1);

    b.node.delete_actor("bob").await.expect("deleted");
    assert_eq!(b.carry(&a).await, ["Delete"]);
    assert_eq!(phase(&a, "alice", Direction::Following, BOB), Phase::None);

    let left = left_of(&b, "bob");
    assert!(left.is_gone());
    let kept: Vec<&str> = left.document.iter().map(|(member, _)| &**member).collect();
    assert_eq!(
        kept,
        [
            "@context",
            "assertionMethod",
            "deleted",
            "formerType",
            "id",
            "publicKey",
            "type"
        ]
    );
    // What peers have of it still verifies; here it is gone.
    for said in said_before {
        let proofs = proof::examine(&said);
        let [Presented::Verifiable(proof)] = &proofs[..] else {
            panic!("not one proof: {proofs:?}");
        };
        let key = left.find_key(proof.verification_method()).expect("kept");
        let digest = Digest::of(&document_bytes(&said));
        proof.verify(&digest, &key.key).expect("verifies");
    }

    let erased = b.node.view().stored(&posted.cid.digest).expect("reads");
    assert!(erased.is_some_and(|stored| stored.erased));

    let code = |refusal: fedsx_core::refusal::Refusal| refusal.code;
    let said = b
        .node
        .publish("bob", note("after"), PublishOptions::default());
    assert_eq!(said.await.map_err(code), Err(Code::Gone));
    assert_eq!(
        b.node.delete_actor("bob").await.map_err(code),
        Err(Code::Gone)
    );
    assert_eq!(tokens().map_err(code), Err(Code::Gone));
    let to_bob = a.raw("alice", "Like", BOB.into(), BOB);
    let received = b.receive(Some("bob"), &to_bob).await;
    assert_eq!(
        received.map(|receipt| receipt.status).map_err(code),
        Err(Code::Gone)
    );
    let again = NewActor {
        name: "bob".to_owned(),
        kind: fedsx_core::actor::ActorKind::Person,
        display_name: None,
        summary: None,
        manual_approval: false,
    };
    let again = b.node.create_actor(again).await;
    assert_eq!(again.map(drop).map_err(code), Err(Code::Conflict));
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn who_is_deleted_takes_back_what_it_asked_for_and_says_nothing_after() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    b.create("carol", true).await;
    let asked = a.node.follow("alice", "acct:carol@b.test").await;
    asked.expect("asked");
    let notes = join_all((0..8).map(|number| {
        let note = note(&number.to_string());
        a.node.publish("alice", note, PublishOptions::default())
    }));
    let (deleted, notes) = tokio::join!(a.node.delete_actor("alice"), notes);
    deleted.expect("deleted");
    let before = notes.iter().filter(|published| published.is_ok()).count();
    let log = outbox(&a, "alice");
    let verbs: Vec<&str> = log.iter().map(verb).collect();
    assert_eq!(verbs.last(), Some(&"Delete"), "{verbs:?}");
    let count = |one: &str| verbs.iter().filter(|verb| **verb == one).count();
    assert_eq!(count("Undo"), 2, "{verbs:?}");
    // All but its own beginning are erased.
    assert_eq!(count("Create"), 1, "{verbs:?}");
    assert_eq!(count("Tombstone"), before, "{verbs:?}");
    a.carry(&b).await;
    for peer in ["bob", "carol"] {
        assert_eq!(phase(&b, peer, Direction::Follower, ALICE), Phase::None);
    }
    a.close_and_compare();
    b.close_and_compare();
}
