//! When a document is fetched, and what outlives a failure.

use std::sync::Arc;

use fedsx_core::notation::{Notation, write};
use fedsx_core::value::{Map, Value};
use futures_util::future::join_all;
use http::StatusCode;

use super::{PeerError, Peers, PeersOptions};
use crate::client::TransportError;
use crate::pool::{PoolOptions, Purpose};
use crate::scripted::{Web, actor_document};

const BOB: &str = "https://peer.example/actors/bob";
const HOUR_MS: i64 = 3_600_000;

fn bob(seed: u8) -> Map {
    actor_document("https://peer.example", "bob", seed)
}

fn setting() -> (Arc<Web>, Peers) {
    let web = Web::new();
    let peers = Peers::new(web.fetcher(PoolOptions::default()), PeersOptions::default());
    (web, peers)
}

fn inbound(last: u8) -> Purpose {
    Purpose::Inbound {
        source: [1, 2, 3, last].into(),
    }
}

fn retry_after_s(error: PeerError) -> u32 {
    match error {
        PeerError::Unreachable { retry_after_s, .. } => retry_after_s,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_document_is_used_for_a_day() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    assert!(peers.peek(BOB).is_none());
    for _ in 0..3 {
        let actor = peers.actor(BOB, Purpose::Own).await.expect("an actor");
        assert_eq!(actor.id, BOB);
    }
    assert_eq!(web.asked().len(), 1);
    web.pass_ms(24 * HOUR_MS - 1);
    assert!(peers.peek(BOB).is_some());
    web.pass_ms(1);
    assert!(peers.peek(BOB).is_none());
    web.serve(BOB, bob(2));
    let newer = peers.actor(BOB, Purpose::Own).await.expect("an actor");
    assert!(newer.find_key(&format!("{BOB}#ed25519-2")).is_some());
}

#[tokio::test]
async fn a_document_that_its_actor_says_has_changed_is_fetched_anew_once() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    peers.expire(BOB);
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    assert_eq!(web.asked().len(), 1);
    peers.expire(BOB);
    assert!(peers.peek(BOB).is_none());
    web.fail(BOB);
    // What is known stands in while nobody answers.
    let known = peers.actor(BOB, Purpose::Own).await.expect("an actor");
    assert!(known.find_key(&format!("{BOB}#ed25519-1")).is_some());
    assert!(peers.peek(BOB).is_some());
    assert_eq!(web.asked().len(), 1);
    peers.expire(BOB);
    web.serve(BOB, bob(2));
    let newer = peers.actor(BOB, Purpose::Own).await.expect("an actor");
    assert!(newer.find_key(&format!("{BOB}#ed25519-2")).is_some());
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    assert_eq!(web.asked().len(), 1);
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    let closed = web.gate.acquire().await.expect("an open gate");
    let waiting = join_all((0..50).map(|n| peers.actor(BOB, inbound(n))));
    let (found, ()) = futures_util::future::join(waiting, async { drop(closed) }).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(web.asked().len(), 1);
}

#[tokio::test]
async fn an_abandoned_fetch_hinders_nobody() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    let closed = web.gate.acquire().await.expect("an open gate");
    let abandoned = Box::pin(peers.actor(BOB, Purpose::Own));
    let abandoned = futures_util::future::select(abandoned, std::future::ready(())).await;
    drop((abandoned, closed));
    assert!(peers.actor(BOB, Purpose::Own).await.is_ok());
}

#[tokio::test]
async fn a_no_is_believed_for_a_while() {
    let (web, peers) = setting();
    let ask = || peers.actor(BOB, Purpose::Own);
    assert!(matches!(ask().await, Err(PeerError::NotFound)));
    web.serve(BOB, bob(1));
    assert!(matches!(ask().await, Err(PeerError::NotFound)));
    web.pass_ms(HOUR_MS / 6);
    assert!(ask().await.is_ok());
    assert_eq!(web.asked().len(), 2);

    let note = Map::from([("id", "https://peer.example/n"), ("type", "Note")]);
    web.serve("https://peer.example/n", note);
    let not_an_actor = peers.actor("https://peer.example/n", Purpose::Own).await;
    assert!(matches!(not_an_actor, Err(PeerError::NotAnActor(_))));

    let refused = TransportError::ForbiddenUrl {
        url: "http://in.example/".to_owned(),
        reason: "only https is allowed",
    };
    web.set("http://in.example/", Err(refused));
    let forbidden = peers.actor("http://in.example/", Purpose::Own).await;
    assert!(matches!(forbidden, Err(PeerError::Forbidden(_))));
}

#[tokio::test]
async fn a_silent_host_is_left_alone_longer_each_time() {
    let (web, peers) = setting();
    web.fail(BOB);
    let mut waits_s = Vec::new();
    for _ in 0..6 {
        let silent = peers.actor(BOB, Purpose::Own).await.expect_err("silent");
        assert_eq!(web.asked().len(), 1);
        let wait_s = retry_after_s(silent);
        let repeated = peers.actor(BOB, Purpose::Own).await.expect_err("silent");
        assert_eq!((retry_after_s(repeated), web.asked().len()), (wait_s, 0));
        web.pass_ms(i64::from(wait_s) * 1_000);
        waits_s.push(wait_s);
    }
    assert_eq!(waits_s, [6, 21, 81, 321, 601, 601]);
    web.serve(BOB, bob(1));
    assert!(peers.actor(BOB, Purpose::Own).await.is_ok());
}

#[tokio::test]
async fn a_failed_fetch_evicts_nothing_good() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    let not_found = Ok((StatusCode::NOT_FOUND, "", Vec::new()));
    let html = Ok((StatusCode::OK, "text/html", b"<html>".to_vec()));
    let down = Err(TransportError::Connect("refused".to_owned()));
    for failure in [not_found, html, down] {
        web.pass_ms(25 * HOUR_MS);
        web.set(BOB, failure);
        web.asked();
        assert!(peers.peek(BOB).is_none(), "past its time");
        assert!(peers.actor(BOB, Purpose::Own).await.is_ok());
        assert!(peers.peek(BOB).is_some(), "used a little longer");
        assert!(peers.actor(BOB, Purpose::Own).await.is_ok());
        assert_eq!(web.asked().len(), 1);
        assert!(peers.refetch(BOB, Purpose::Own).await.is_ok());
    }
}

#[tokio::test]
async fn the_deleted_are_gone_and_their_keys_remain() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    let json = "application/activity+json";
    web.set(BOB, Ok((StatusCode::GONE, json, Vec::new())));
    let gone = peers.refetch(BOB, Purpose::Own).await.expect_err("gone");
    let PeerError::Gone {
        last_known: Some(last_known),
    } = gone
    else {
        panic!("{gone:?}");
    };
    assert_eq!(last_known.keys.len(), 1);
    assert!(peers.peek(BOB).is_none());

    let mut tombstone = bob(1);
    tombstone.insert("type", "Tombstone");
    let bytes = write(Notation::Json, &Value::from(tombstone));
    web.set(BOB, Ok((StatusCode::GONE, json, bytes)));
    let gone = peers.refetch(BOB, Purpose::Own).await.expect_err("gone");
    assert!(matches!(
        gone,
        PeerError::Gone {
            last_known: Some(_)
        }
    ));
    assert!(peers.peek(BOB).is_some_and(|tombstone| tombstone.is_gone()));
    assert!(matches!(
        peers.actor(BOB, Purpose::Own).await,
        Err(PeerError::Gone { .. })
    ));
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_per_source() {
    let (web, peers) = setting();
    let key_id = format!("{BOB}#ed25519-2");
    web.serve(BOB, bob(1));
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    web.asked();
    let forged = format!("{BOB}#forged");
    for _ in 0..3 {
        assert!(peers.refresh(BOB, &forged, inbound(1)).await.is_ok());
    }
    assert_eq!(web.asked().len(), 1, "a forger asks once");
    web.serve(BOB, bob(2));
    let rotated = peers
        .refresh(BOB, &key_id, inbound(2))
        .await
        .expect("an actor");
    assert!(
        rotated.find_key(&key_id).is_some(),
        "and spends nobody else's turn"
    );
    web.pass_ms(HOUR_MS / 12);
    web.asked();
    peers
        .refresh(BOB, &forged, inbound(1))
        .await
        .expect("an actor");
    assert_eq!(web.asked().len(), 1);
}

#[tokio::test]
async fn a_key_that_could_not_be_asked_for_is_not_said_to_be_missing() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    web.asked();
    web.fail(BOB);
    let key_id = format!("{BOB}#ed25519-2");
    let ask = || peers.refresh(BOB, &key_id, inbound(1));
    let mut waits_s = Vec::new();
    for _ in 0..4 {
        waits_s.push(retry_after_s(ask().await.expect_err("silent")));
        assert_eq!(web.asked().len(), 1);
        // Meanwhile it is not asked again, and what is known stays.
        assert!(matches!(ask().await, Err(PeerError::Unreachable { .. })));
        assert!(peers.peek(BOB).is_some());
        assert_eq!(web.asked().len(), 0);
        web.pass_ms(i64::from(waits_s[waits_s.len() - 1]) * 1_000);
    }
    assert_eq!(waits_s, [6, 21, 81, 301]);
    web.serve(BOB, bob(2));
    let rotated = ask().await.expect("an actor");
    assert!(rotated.find_key(&key_id).is_some());
}

#[tokio::test]
async fn who_asks_for_a_key_and_is_gone_leaves_nothing_behind() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    peers.actor(BOB, Purpose::Own).await.expect("an actor");
    web.serve(BOB, bob(2));
    web.asked();
    let key_id = format!("{BOB}#ed25519-2");
    let ask = || peers.refresh(BOB, &key_id, inbound(1));
    let closed = web.gate.acquire().await.expect("an open gate");
    let gone = futures_util::future::select(Box::pin(ask()), std::future::ready(())).await;
    drop(gone);
    // Both of these come while it is being fetched.
    let meanwhile = futures_util::future::join(ask(), ask());
    let (found, ()) = futures_util::future::join(meanwhile, async { drop(closed) }).await;
    for rotated in [found.0, found.1] {
        let rotated = rotated.expect("an actor");
        assert!(rotated.find_key(&key_id).is_some());
    }
    web.asked();
    ask().await.expect("an actor");
    assert_eq!(web.asked().len(), 0, "one answer counts for all");
}

#[tokio::test]
async fn another_url_of_an_actor_leads_to_its_id() {
    let (web, peers) = setting();
    web.serve(BOB, bob(1));
    web.serve("https://peer.example/@bob", bob(1));
    for _ in 0..2 {
        let actor = peers.actor("https://peer.example/@bob", Purpose::Own).await;
        assert_eq!(actor.expect("an actor").id, BOB);
    }
    assert_eq!(web.asked(), ["https://peer.example/@bob", BOB]);
    assert!(peers.peek(BOB).is_some());
    assert!(peers.peek("https://peer.example/@bob").is_none());
}

#[tokio::test]
async fn a_spent_budget_is_nobody_elses_matter() {
    let web = Web::new();
    let options = PoolOptions {
        per_minute: 1,
        ..PoolOptions::default()
    };
    let peers = Peers::new(web.fetcher(options), PeersOptions::default());
    web.serve(BOB, bob(1));
    assert!(
        peers
            .actor("https://peer.example/x", inbound(1))
            .await
            .is_err()
    );
    let spent = peers.actor(BOB, inbound(1)).await.expect_err("spent");
    assert_eq!(retry_after_s(spent), 60);
    let spent_again = peers.actor(BOB, inbound(1));
    let other = peers.actor(BOB, inbound(2));
    let (spent_again, other) = futures_util::future::join(spent_again, other).await;
    assert!(spent_again.is_err() && other.is_ok());
    assert!(
        peers.actor(BOB, inbound(1)).await.is_ok(),
        "what is at hand costs nothing"
    );
}
