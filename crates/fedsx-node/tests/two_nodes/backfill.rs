//! History that is asked for with a follow: entered as it was, changing nothing else, and a source that serves
//! another than its own is caught and named.

use std::time::Duration;

use fedsx_core::backfill::Mode;
use fedsx_core::cid::{Cid, cid};
use fedsx_core::entry::{Authenticated, LogId};
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::value::{Map, Value};
use fedsx_node::{BackfillOptions, BackfillStatus, PublishOptions, Status};
use fedsx_store::SeqRange;
use fedsx_store::engine::EngineKind;

use super::harness::run_until;
use super::logs::{post, public, serve_long, serve_other};
use super::{BOB, Instance, Net, note, phase, with, without};

const OUTBOX: &str = "https://b.test/actors/bob/outbox";
const WHOLE: &str = "https://b.test/actors/bob/outbox?since=0&limit=1000";

const LOG: &str = "https://b.test/actors/bob/log";

/// bob has said some things, and alice asks to follow him and for a part of them. What bob's outbox gives her, oldest
/// first: his `Create` of himself and so many notes.
async fn asked(net: &Net, mode: Option<Mode>, notes: usize) -> (Instance, Instance, Vec<Map>) {
    let a = net.instance("a.test", EngineKind::Memory);
    let b = net.instance("b.test", EngineKind::Memory);
    a.create("alice", false).await;
    b.create("bob", false).await;
    for number in 0..notes {
        say(&b, &format!("before {number}")).await;
    }
    b.lose();
    let history = history(&b);
    let asked = a.node.follow_with("alice", BOB, mode).await;
    asked.expect("follows");
    a.carry(&b).await;
    b.settle().await;
    b.carry(&a).await;
    assert_eq!(
        phase(&a, "alice", Direction::Following, BOB),
        Phase::Accepted
    );
    (a, b, history)
}

async fn say(b: &Instance, text: &str) -> Cid {
    let options = PublishOptions::default();
    let said = b.node.publish("bob", note(text), options).await;
    said.expect("publishes").cid
}

/// All that bob has published, oldest first.
fn history(b: &Instance) -> Vec<Map> {
    let log = LogId::outbox(b.node.actor("bob").expect("an actor").no);
    let all = b.node.view().log(log, SeqRange::default(), false, 1_000);
    let all = all.expect("reads").into_iter();
    all.map(|entry| entry.stored.map().expect("reads"))
        .collect()
}

fn page(items: Vec<Map>, next: Option<&str>) -> Option<Map> {
    let items: Vec<Value> = items.into_iter().map(Value::Map).collect();
    let mut page = Map::from([
        ("type", Value::from("OrderedCollectionPage")),
        ("orderedItems", items.into()),
    ]);
    if let Some(next) = next {
        page.insert("next", next);
    }
    Some(page)
}

fn status(a: &Instance) -> BackfillStatus {
    let alice = a.node.actor("alice").expect("an actor");
    let status = a.node.backfill_status(&alice, BOB);
    status.expect("reads").expect("one was asked for")
}

/// Runs backfills until alice's is as asked.
async fn run(a: &Instance, is_so: impl Fn(&BackfillStatus) -> bool) -> BackfillStatus {
    let options = BackfillOptions {
        retry_ms: 1,
        ..BackfillOptions::default()
    };
    let node = a.node.clone();
    run_until(
        async || is_so(&status(a)),
        |stop| node.backfill(options, stop),
    )
    .await;
    status(a)
}

async fn ended(a: &Instance) -> BackfillStatus {
    run(a, |status| status.backfill.ended.is_some()).await
}

/// How one ended, in a line, and what its source was caught at.
fn told(status: &BackfillStatus) -> String {
    let ended = status.backfill.ended.as_ref().expect("it has ended");
    let mut told = format!(
        "{}: {} entered, {} here",
        ended.outcome.as_str(),
        ended.entered,
        ended.here
    );
    if let Some(why) = &ended.why {
        told.push_str(&format!("; {why}"));
    }
    told
}

fn found(status: &BackfillStatus) -> Vec<(&'static str, String)> {
    let ended = status.backfill.ended.as_ref().expect("it has ended");
    let found = ended.found.iter();
    found
        .map(|found| (found.wrong.as_str(), found.what.clone()))
        .collect()
}

/// The CIDs of what is in alice's inbox by bob and filled in from history, in its order.
fn remembered(a: &Instance) -> Vec<Cid> {
    let log = LogId::inbox(a.node.actor("alice").expect("an actor").no);
    let all = a.node.view().log(log, SeqRange::default(), false, 1_000);
    let all = all.expect("reads").into_iter();
    let activities = all.filter_map(|entry| entry.stored.activity().cloned());
    activities
        .filter(|activity| activity.backfilled)
        .map(|activity| Cid::of_document(activity.digest))
        .collect()
}

fn cids(documents: &[Map]) -> Vec<Cid> {
    documents.iter().map(cid).collect()
}

fn id(document: &Map) -> String {
    let id = document.get("id").and_then(Value::as_str);
    id.expect("an id").to_owned()
}

#[tokio::test]
async fn history_is_entered_in_its_order_and_changes_nothing_else() {
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Full), 3).await;
    // Public, and it would have alice follow somebody else.
    let moves = with(
        &b.raw("bob", "Move", BOB.into(), super::ALICE),
        "target",
        "https://b.test/actors/rob".into(),
    );
    // Said before the Accept, which is the last of the outbox.
    let accepted = status(&a).backfill.due.expect("it is due").until_ms;
    let moves = with(
        &moves,
        "published",
        fedsx_core::time::format_rfc3339_ms(accepted - 1).into(),
    );
    let mut served = history.clone();
    served.push(b.resign("bob", &without(&moves, "proof")));
    served.push(b.document(&say(&b, "after").await));
    net.serve(WHOLE, page(served, None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 4 entered, 0 here");
    assert_eq!(remembered(&a), cids(&history));
    assert_eq!(
        phase(&a, "alice", Direction::Following, BOB),
        Phase::Accepted
    );
    let said = a.said("alice");
    assert_eq!(said, ["Create", "Follow"], "nobody answers history");
    // What is delivered later is here already, and what is said now is not history.
    let again = a.receive(None, &history[1]).await.expect("taken");
    assert_eq!(again.status, Status::Replay);
    let live = b.document(&say(&b, "live").await);
    let live = a.receive(None, &live).await.expect("taken");
    assert_eq!(live.status, Status::Accepted);
    assert_eq!(remembered(&a).len(), 4);
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn an_accept_says_where_history_is_and_by_what_it_is_checked() {
    let net = Net::default();
    let (_a, b, before) = asked(&net, Some(Mode::Full), 1).await;
    let said = history(&b);
    let accept = said.last().expect("an Accept");
    let answer = accept.get("backfill").and_then(Value::as_map);
    let answer = answer.expect("an answer");
    let text = |member| answer.get(member).and_then(Value::as_str);
    assert_eq!(text("outbox"), Some(OUTBOX));
    assert_eq!(text("tip"), Some(&*cid(&before[1]).to_string()));
    assert_eq!(text("checkpoint"), Some(&*format!("{LOG}/checkpoint")));
}

#[tokio::test]
async fn what_was_delivered_is_not_entered_again() {
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Full), 2).await;
    a.receive(None, &history[2]).await.expect("taken");
    net.serve(WHOLE, page(history, None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 2 entered, 1 here");
    drop(b);
}

#[tokio::test]
async fn a_part_of_history_is_found_from_its_end() {
    let net = Net::default();
    let (a, _b, history) = asked(&net, Some(Mode::Last { count: 2 }), 4).await;
    let newest_first: Vec<Map> = history.iter().rev().cloned().collect();
    let search = format!("{OUTBOX}?page=true&limit=3");
    net.serve(&search, page(newest_first[..3].to_vec(), None));
    let mark = cid(&history[2]);
    let rest = format!("{OUTBOX}?since={mark}&limit=1000");
    net.serve(&rest, page(history[3..].to_vec(), None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 2 entered, 0 here");
    assert_eq!(remembered(&a), cids(&history[3..]));
}

#[tokio::test]
async fn a_source_that_serves_another_history_is_caught_and_named() {
    // An entry that is not as bob signed it.
    let net = Net::default();
    let (a, _b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    let altered = id(&history[2]);
    history[2] = with(&history[2], "object", note("never said").into());
    net.serve(WHOLE, page(history, None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "disputed: 3 entered, 0 here");
    assert_eq!(found(&status), [("altered", altered)]);

    // One that is left out.
    let net = Net::default();
    let (a, _b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    let withheld = cid(&history.remove(2)).to_string();
    net.serve(WHOLE, page(history, None));
    assert_eq!(found(&ended(&a).await), [("withheld", withheld)]);

    // The same by who has no log.
    let net = Net::default();
    let (a, b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    without_log(&net, &b);
    history.remove(2);
    net.serve(WHOLE, page(history, None));
    let checkpoint = ("withheld", format!("{LOG}/checkpoint"));
    let one = ("withheld", "1 of 4 activities".to_owned());
    assert_eq!(found(&ended(&a).await), [checkpoint, one]);

    // The newest, which bob named when he accepted.
    let net = Net::default();
    let (a, _b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    let tip = cid(&history.pop().expect("a note")).to_string();
    net.serve(WHOLE, page(history, None));
    assert_eq!(found(&ended(&a).await), [("withheld", tip)]);

    // In another order.
    let net = Net::default();
    let (a, _b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    history.swap(1, 2);
    let back = id(&history[2]);
    net.serve(WHOLE, page(history, None));
    assert_eq!(found(&ended(&a).await), [("forked", back)]);
}

#[tokio::test]
async fn two_documents_under_one_id_are_a_fork() {
    let net = Net::default();
    let (a, b, mut history) = asked(&net, Some(Mode::Full), 2).await;
    a.receive(None, &history[1]).await.expect("taken");
    let forked = id(&history[1]);
    let other = with(&history[1], "summary", "another".into());
    history[1] = b.resign("bob", &without(&other, "proof"));
    net.serve(WHOLE, page(history, None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "disputed: 2 entered, 0 here");
    assert_eq!(found(&status), [("forked", forked)]);
    let evidence = a.node.view().evidence(BOB).expect("reads");
    assert_eq!(evidence.len(), 1, "the pair is kept");
    a.close_and_compare();
}

#[tokio::test]
async fn a_backfill_goes_on_where_it_was_after_a_restart() {
    let net = Net::default();
    let (a, _b, history) = asked(&net, Some(Mode::Full), 3).await;
    let rest = format!("{OUTBOX}?since={}&limit=1000", cid(&history[1]));
    net.serve(WHOLE, page(history[..2].to_vec(), Some(&rest)));
    net.silence(&rest, true);
    let waits = run(&a, |status| status.progress.failures > 0).await;
    assert_eq!(waits.progress.entered, 2);
    assert_eq!(waits.progress.next.as_deref(), Some(&*rest));
    let a = a.reopened(&net);
    net.serve(&rest, page(history[2..].to_vec(), None));
    net.silence(&rest, false);
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 4 entered, 0 here");
    assert_eq!(remembered(&a), cids(&history));
    assert_eq!(
        net.asked(WHOLE),
        1,
        "what was entered is not asked for again"
    );
    a.close_and_compare();
}

#[tokio::test]
async fn whoever_follows_no_more_gets_no_more() {
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Full), 1).await;
    a.node.unfollow("alice", BOB).await.expect("unfollows");
    net.serve(WHOLE, page(history, None));
    assert_eq!(told(&ended(&a).await), "unfollowed: 0 entered, 0 here");
    assert_eq!(remembered(&a), []);
    let refused = a.node.backfill_now("alice", BOB, Some(Mode::Full)).await;
    assert_eq!(refused.expect_err("no follow").code.as_str(), "conflict");
    drop(b);
}

#[tokio::test]
async fn any_outbox_is_walked_back_and_its_origin_trusted() {
    let net = Net::default();
    let (a, b, history) = asked(&net, None, 4).await;
    net.pass(Duration::from_secs(1));
    // A server of another kind: nothing is proved, one activity is only named, and pages go back.
    net.serve("https://b.test/.well-known/sx-capabilities", None);
    let plain: Vec<Map> = history.iter().map(|one| without(one, "proof")).collect();
    for one in &plain {
        net.serve(&id(one), Some(one.clone()));
    }
    let first = format!("{OUTBOX}?page=true");
    let second = format!("{OUTBOX}?page=2");
    net.serve(
        OUTBOX,
        Some(Map::from([
            ("type", Value::from("OrderedCollection")),
            ("id", OUTBOX.into()),
            ("first", (*first).into()),
        ])),
    );
    net.serve(
        &first,
        page(vec![plain[4].clone(), plain[3].clone()], Some(&second)),
    );
    let mut named = page(Vec::new(), None).expect("a page");
    let items = vec![Value::from(id(&plain[2])), Value::Map(plain[1].clone())];
    named.insert("orderedItems", items);
    net.serve(&second, Some(named));
    let begun = a
        .node
        .backfill_now("alice", BOB, Some(Mode::Last { count: 3 }));
    begun.await.expect("begun");
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 3 entered, 0 here");
    assert_eq!(remembered(&a), cids(&plain[2..]), "oldest first");
    let stored = a.node.view().stored(&cid(&plain[2]).digest);
    let stored = stored.expect("reads").expect("kept");
    let activity = stored.activity().expect("an activity");
    assert_eq!(activity.authenticated, Authenticated::Origin);
    // What its proof makes whole is no second one.
    a.receive(None, &history[2]).await.expect("taken");
    assert_eq!(remembered(&a).len(), 3);
    a.close_and_compare();
    drop(b);
}

#[tokio::test]
async fn what_an_outbox_holds_of_others_is_refused() {
    let net = Net::default();
    let (a, b, mut history) = asked(&net, Some(Mode::Full), 1).await;
    b.create("mallory", false).await;
    let foreign = b.raw("mallory", "Like", "https://a.test/1".into(), super::ALICE);
    history.push(foreign);
    net.serve(WHOLE, page(history, None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 2 entered, 0 here");
    assert_eq!(remembered(&a).len(), 2);
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_followed() {
    let net = Net::default();
    let (a, _b, history) = asked(&net, Some(Mode::Full), 1).await;
    let elsewhere = "https://c.test/actors/bob/outbox";
    net.serve(WHOLE, page(history, Some(elsewhere)));
    let status = ended(&a).await;
    let expected = "failed: 2 entered, 0 here; a page lies on another origin";
    assert_eq!(told(&status), expected);
    assert_eq!(net.asked(elsewhere), 0);
}

/// bob's document names no log any more.
fn without_log(net: &Net, b: &Instance) {
    let bob = b.node.actor("bob").expect("an actor");
    let document = b.node.view().actor_document(&bob).expect("reads");
    net.serve(BOB, Some(without(&document, "logKey")));
}

/// What bob deletes is a Tombstone in his outbox.
async fn delete(b: &Instance, create: &Map) {
    let delete = Map::from([("type", "Delete"), ("object", &*object(create))]);
    let deleted = b
        .node
        .publish("bob", delete, PublishOptions::default())
        .await;
    deleted.expect("publishes");
}

fn object(create: &Map) -> String {
    let note = create.get("object").and_then(Value::as_map);
    id(note.expect("a note"))
}

/// The server of bob says that it takes modes.
fn of_this_kind(net: &Net) {
    let modes = Map::from([("backfill", vec!["last", "full"])]);
    let page = "https://b.test/.well-known/sx-capabilities";
    net.serve(page, Some(modes));
}

#[tokio::test]
async fn what_is_withheld_of_a_part_is_named_and_what_is_older_is_not_expected() {
    let net = Net::default();
    let (a, _b, history) = asked(&net, Some(Mode::Last { count: 3 }), 6).await;
    let newest_first = [6, 5, 3, 1].map(|place: usize| history[place].clone());
    let search = format!("{OUTBOX}?page=true&limit=4");
    net.serve(&search, page(newest_first.to_vec(), None));
    let rest = format!("{OUTBOX}?since={}&limit=1000", cid(&history[1]));
    let served = [3, 5, 6].map(|place: usize| history[place].clone());
    net.serve(&rest, page(served.to_vec(), None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "disputed: 3 entered, 0 here");
    let withheld = [2, 4].map(|place: usize| ("withheld", cid(&history[place]).to_string()));
    assert_eq!(found(&status), withheld);
    a.close_and_compare();
}

#[tokio::test]
async fn who_deleted_something_withholds_nothing() {
    let net = Net::default();
    let (a, b, before) = asked(&net, Some(Mode::Full), 4).await;
    delete(&b, &before[2]).await;
    let now = history(&b);
    assert_eq!(
        now[2].get("type").and_then(Value::as_str),
        Some("Tombstone")
    );
    net.serve(WHOLE, page(now[..5].to_vec(), None));
    let status = ended(&a).await;
    assert_eq!(told(&status), "complete: 4 entered, 0 here");

    // One Tombstone stands for one leaf: what else is missing beside it is asked for.
    let net = Net::default();
    let (a, b, before) = asked(&net, Some(Mode::Full), 4).await;
    delete(&b, &before[2]).await;
    let mut now = history(&b);
    now.truncate(5);
    let withheld = cid(&now.remove(3));
    net.serve(WHOLE, page(now, None));
    let status = ended(&a).await;
    assert_eq!(found(&status), [("withheld", withheld.to_string())]);
}

#[tokio::test]
async fn what_only_followers_may_read_is_not_expected_in_a_log() {
    for is_served in [true, false] {
        let net = Net::default();
        let (a, b, _) = asked(&net, None, 1).await;
        let mut to_followers = note("for followers");
        to_followers.insert("to", vec![format!("{BOB}/followers")]);
        let apart = post(&b, "bob", to_followers).await;
        say(&b, "for all").await;
        assert!(!public(&b, "bob").contains(&apart));
        net.pass(Duration::from_secs(1));
        of_this_kind(&net);
        let mut all = history(&b);
        // Whoever holds it back is not found out by the log.
        all.retain(|one| is_served || cid(one) != apart);
        net.serve(WHOLE, page(all, None));
        let begun = a.node.backfill_now("alice", BOB, Some(Mode::Full));
        begun.await.expect("begun");
        assert_eq!(found(&ended(&a).await), []);
        assert_eq!(remembered(&a).contains(&apart), is_served);
    }
}

#[tokio::test]
async fn by_hand_the_newest_is_not_withheld_unnoticed_and_what_came_after_is_left_out() {
    let net = Net::default();
    let (a, b, _) = asked(&net, None, 2).await;
    let newest = say(&b, "the newest").await;
    net.pass(Duration::from_secs(1));
    of_this_kind(&net);
    let mut served = history(&b);
    served.pop();
    net.serve(WHOLE, page(served.clone(), None));
    let begun = a.node.backfill_now("alice", BOB, Some(Mode::Full));
    begun.await.expect("begun");
    say(&b, "after").await;
    let status = ended(&a).await;
    assert_eq!(found(&status), [("withheld", newest.to_string())]);
}

#[tokio::test]
async fn a_log_that_was_rewritten_is_a_fork_and_its_evidence_stays() {
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Full), 3).await;
    a.node.witness(BOB).await.expect("looked at");
    let mut rewritten = public(&b, "bob");
    rewritten[1] = Cid::of_document(fedsx_core::cid::Digest::of(b"what bob never said"));
    rewritten.push(Cid::of_document(fedsx_core::cid::Digest::of(b"and more")));
    serve_other(&net, &b, &rewritten);
    net.serve(WHOLE, page(history, None));
    let found = found(&ended(&a).await);
    let expected = [
        ("forked", format!("{LOG}/checkpoint")),
        ("withheld", rewritten[1].to_string()),
    ];
    assert_eq!(found, expected);
    let forks = a.node.view().log_forks(&[], 10).expect("reads");
    assert!(forks[0].2.is_proved());
    a.close_and_compare();
}

#[tokio::test]
async fn a_log_that_does_not_answer_is_asked_again_and_no_page_is() {
    let net = Net::default();
    let (a, b, mut history) = asked(&net, Some(Mode::Full), 3).await;
    let leaves = format!("{LOG}/tile/entries/000.p/4");
    net.silence(&leaves, true);
    let withheld = cid(&history.remove(2)).to_string();
    net.serve(WHOLE, page(history, None));
    let status = run(&a, |status| {
        if status.progress.failures > 0 && net.asked(WHOLE) == 1 {
            net.silence(&leaves, false);
            net.pass(Duration::from_secs(600));
        }
        status.backfill.ended.is_some()
    });
    assert_eq!(found(&status.await), [("withheld", withheld)]);
    assert_eq!(net.asked(WHOLE), 1);
    drop(b);
}

#[tokio::test]
async fn what_was_met_before_a_restart_is_not_withheld() {
    let net = Net::default();
    let (a, b, before) = asked(&net, Some(Mode::Full), 5).await;
    delete(&b, &before[1]).await;
    let mut history = history(&b);
    history.truncate(6);
    let rest = format!("{OUTBOX}?since={}&limit=1000", cid(&before[2]));
    net.serve(WHOLE, page(history[..3].to_vec(), Some(&rest)));
    net.silence(&rest, true);
    run(&a, |status| status.progress.failures > 0).await;
    let a = a.reopened(&net);
    let withheld = cid(&history.remove(4)).to_string();
    net.serve(&rest, page(history[3..].to_vec(), None));
    net.silence(&rest, false);
    let status = ended(&a).await;
    assert_eq!(found(&status), [("withheld", withheld)]);
    a.close_and_compare();
}

#[tokio::test]
async fn a_long_log_is_read_in_pieces_and_only_as_far_as_was_asked_for() {
    let bundle = |index: usize| format!("{LOG}/tile/entries/{index:03}");
    let long = |b: &Instance| {
        let older = (0_u32..49_990).map(|number| number.to_be_bytes());
        let older = older.map(|number| Cid::of_document(fedsx_core::cid::Digest::of(&number)));
        let mut leaves: Vec<Cid> = older.collect();
        leaves.extend(public(b, "bob"));
        leaves
    };
    // The last of it are what they are.
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Last { count: 2 }), 4).await;
    serve_long(&net, &b, &long(&b));
    let newest_first: Vec<Map> = history.iter().rev().cloned().collect();
    let search = format!("{OUTBOX}?page=true&limit=3");
    net.serve(&search, page(newest_first[..3].to_vec(), None));
    let rest = format!("{OUTBOX}?since={}&limit=1000", cid(&history[2]));
    net.serve(&rest, page(history[4..].to_vec(), None));
    let withheld = cid(&history[3]).to_string();
    assert_eq!(found(&ended(&a).await), [("withheld", withheld)]);
    assert_eq!([0, 194].map(|index| net.asked(&bundle(index))), [0, 1]);
    // All that is older is withheld, and some of it is named.
    let net = Net::default();
    let (a, b, history) = asked(&net, Some(Mode::Full), 4).await;
    let leaves = long(&b);
    serve_long(&net, &b, &leaves);
    net.serve(WHOLE, page(history, None));
    let found = found(&ended(&a).await);
    let named = leaves.iter().take(16);
    let named: Vec<_> = named.map(|leaf| ("withheld", leaf.to_string())).collect();
    assert_eq!(found, named);
    assert_eq!([0, 194].map(|index| net.asked(&bundle(index))), [1, 1]);
}
