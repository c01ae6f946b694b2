//! Verifiable logs: what is in one, who keeps what of it, and what comes of a log that is rewritten, forked or old.

use fedsx_core::actor::{ActorLog, PeerActor, log_key_id};
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::entry::{Control, LogId, Visibility};
use fedsx_core::key::Signer as _;
use fedsx_core::refusal::Code;
use fedsx_core::transparency::{Checkpoint, Frontier, Note, bundle, leaf_hash, unbundle};
use fedsx_core::value::Map;
use fedsx_node::{LogFile, Outcome, PublishOptions, Seen, Verification};
use fedsx_store::SeqRange;
use fedsx_store::engine::EngineKind;

use super::{ALICE, BOB, Instance, Net, followed, note};

/// The log of bob.
const LOG: &str = "https://b.test/actors/bob/log";
const ALL: Verification = Verification {
    leaves: 1_000,
    activities: 1_000,
};

pub(super) async fn post(instance: &Instance, name: &str, note: Map) -> Cid {
    let published = instance.node.publish(name, note, PublishOptions::default());
    published.await.expect("publishes").cid
}

/// A file of bob's log.
fn file(b: &Instance, path: &str) -> Vec<u8> {
    match b.node.log_file("bob", path).expect("there") {
        LogFile::Checkpoint(note) => note.to_string().into_bytes(),
        LogFile::Tile { bytes, .. } => bytes,
    }
}

fn log(instance: &Instance, name: &str) -> ActorLog {
    let actor = instance.node.actor(name).expect("an actor");
    let document = instance.node.view().actor_document(&actor).expect("reads");
    let log = PeerActor::parse(&document).expect("an actor").log;
    log.expect("it has one")
}

/// The public activities of an outbox, oldest first.
pub(super) fn public(instance: &Instance, name: &str) -> Vec<Cid> {
    let actor = instance.node.actor(name).expect("an actor");
    let (log, view) = (LogId::outbox(actor.no), instance.node.view());
    let entries = view.log(log, SeqRange::default(), false, 1_000);
    let entries = entries.expect("reads").into_iter();
    let activities = entries.filter_map(|entry| entry.stored.activity().cloned());
    let public = activities.filter(|activity| activity.visibility == Visibility::Public);
    public
        .map(|activity| Cid::of_document(activity.digest))
        .collect()
}

/// The checkpoint that is served, by the key that bob's document names.
fn checkpoint(b: &Instance) -> (Note, Checkpoint) {
    let note = Note::parse(&file(b, "checkpoint")).expect("a note");
    let key = log(b, "bob").note_key().expect("a name");
    let checkpoint = note.checkpoint(&key).expect("signed");
    (note, checkpoint)
}

#[tokio::test]
async fn the_log_of_an_actor_is_what_it_says_in_public() {
    let net = Net::default();
    let (_, b) = followed(&net).await;
    let first = b
        .node
        .publish("bob", note("one"), PublishOptions::default());
    let first = first.await.expect("publishes");
    let mut to_alice = note("for alice");
    to_alice.insert("to", vec![ALICE]);
    post(&b, "bob", to_alice).await;
    for n in 0..257 {
        post(&b, "bob", note(&n.to_string())).await;
    }
    let erased = b.node.publish(
        "bob",
        Map::from([("type", "Delete"), ("object", &*first.id)]),
        PublishOptions::default(),
    );
    erased.await.expect("publishes");
    let leaves = public(&b, "bob");
    assert_eq!(
        leaves.len(),
        260,
        "its own beginning, the notes and the Delete"
    );
    let (_, head) = checkpoint(&b);
    assert_eq!((head.size, &*head.origin), (260, "b.test/actors/bob/log"));
    let full = unbundle(&file(&b, "tile/entries/000")).expect("a bundle");
    let rest = unbundle(&file(&b, "tile/entries/001.p/4")).expect("a bundle");
    assert_eq!([full, rest].concat(), leaves);
    let mut grown = Frontier::default();
    let mut completed = Vec::new();
    for leaf in &leaves {
        completed.extend(grown.append(leaf_hash(leaf)));
    }
    assert_eq!(grown.root(), head.root);
    let hashes = |leaves: &[Cid]| -> Vec<u8> {
        let hashes = leaves.iter().map(leaf_hash);
        hashes.flat_map(|hash| *hash.as_bytes()).collect()
    };
    assert_eq!(file(&b, "tile/0/000"), hashes(&leaves[..256]));
    assert_eq!(file(&b, "tile/0/001.p/2"), hashes(&leaves[256..258]));
    assert_eq!(file(&b, "tile/1/000.p/1"), completed[0].hash.as_bytes());
    for beyond in [
        "tile/0/001",
        "tile/0/001.p/5",
        "tile/0/002.p/1",
        "tile/1/001.p/1",
        "tile/2/000.p/1",
        "2/checkpoint",
        "tile/0/0",
    ] {
        let refused = b.node.log_file("bob", beyond).expect_err(beyond);
        assert_eq!(refused.code, Code::NotFound, "{beyond}");
    }
    // The key of the log goes with the other.
    let before = log(&b, "bob");
    assert_eq!(before.key_id, log_key_id(BOB, 1));
    b.node.rotate_key("bob").await.expect("rotated");
    let after = log(&b, "bob");
    assert_eq!(after.key_id, log_key_id(BOB, 2));
    assert_ne!(before.key, after.key);
    let (note, head) = checkpoint(&b);
    assert_eq!(head.size, 261);
    assert!(
        note.checkpoint(&before.note_key().expect("a name"))
            .is_err()
    );
    b.close_and_compare();
}

async fn looked(instance: &Instance) -> Seen {
    instance.node.witness(BOB).await.expect("looked at")
}

#[tokio::test]
async fn a_follower_keeps_each_checkpoint_that_goes_on_from_the_last_and_cosigns_it() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    a.be_itself();
    let (first, same) = (looked(&a).await, looked(&a).await);
    assert_eq!((first.outcome, first.before), (Outcome::First, None));
    assert_eq!(
        (same.outcome, same.before),
        (Outcome::Same, Some(first.size))
    );
    for n in 0..300 {
        post(&b, "bob", note(&n.to_string())).await;
    }
    let grown = looked(&a).await;
    assert_eq!(
        (grown.outcome, grown.before),
        (Outcome::Grown, Some(first.size))
    );
    assert_eq!(grown.size, first.size + 300);
    let (note_of_b, _) = checkpoint(&b);
    let names: Vec<&str> = note_of_b.signatures().iter().map(|by| &*by.name).collect();
    assert_eq!(names, ["b.test/actors/bob/log", "a.test/actor"]);
    let kept = a.node.witnessed(BOB).expect("kept");
    assert!(kept.contains("a.test/actor"), "{kept}");
    // A rotation is no break.
    b.node.rotate_key("bob").await.expect("rotated");
    assert_eq!(looked(&a).await.outcome, Outcome::Grown);
    let a = a.reopened(&net);
    assert_eq!(looked(&a).await.outcome, Outcome::Same);
    // Who follows nobody here is not taken for a witness.
    let c = net.instance("c.test", EngineKind::Memory);
    c.be_itself();
    looked(&c).await;
    let (note_of_b, _) = checkpoint(&b);
    assert!(
        note_of_b
            .signatures()
            .iter()
            .all(|by| by.name != "c.test/actor")
    );
    a.close_and_compare();
    b.close_and_compare();
}

#[tokio::test]
async fn a_log_is_walked_and_what_is_withheld_or_altered_is_told() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let cid = post(&b, "bob", note("one")).await;
    post(&b, "bob", note("two")).await;
    let verified = a
        .node
        .verify_log("acct:bob@b.test", ALL)
        .await
        .expect("walked");
    assert_eq!((verified.leaves, verified.proved), (3, 3));
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    // One that is not served, and one that is another.
    let url = format!("https://b.test/artifacts/{cid}");
    net.serve(&url, None);
    let withheld = a.node.verify_log(BOB, ALL).await.expect("walked");
    assert_eq!(withheld.proved, 2);
    assert!(withheld.faults[0].starts_with(&cid.to_string()));
    let mut altered = b.document(&cid);
    altered.insert("summary", "not what bob said");
    net.serve(&url, Some(altered));
    let altered = a.node.verify_log(BOB, ALL).await.expect("walked");
    assert!(
        altered.faults[0].contains("another document"),
        "{:?}",
        altered.faults
    );
    // Leaves that the checkpoint does not cover.
    let lie = bundle(&[Cid::of_document(Digest::of(b"x")); 3]);
    net.serve_file(&format!("{LOG}/tile/entries/000.p/3"), lie);
    let refused = a
        .node
        .verify_log(BOB, ALL)
        .await
        .expect_err("they don't fit");
    assert_eq!(refused.code, Code::Inconsistent);
}

/// Serves a log of bob's with these leaves, signed by his key.
pub(super) fn serve_other(net: &Net, b: &Instance, leaves: &[Cid]) {
    let mut frontier = Frontier::default();
    let mut hashes = Vec::new();
    for leaf in leaves {
        let hash = leaf_hash(leaf);
        frontier.append(hash);
        hashes.extend_from_slice(hash.as_bytes());
    }
    let log = log(b, "bob");
    let checkpoint = Checkpoint {
        origin: log.origin().to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    };
    let signer = b.signer(&log.key_id);
    let note = Note::sign(&checkpoint, &signer.public_key(), &*signer).expect("a name");
    assert_eq!(signer.key_id(), log.key_id);
    net.serve_file(&format!("{LOG}/checkpoint"), note.to_string().into_bytes());
    for width in 1..=leaves.len() {
        let tile = format!("{LOG}/tile/0/000.p/{width}");
        net.serve_file(&tile, hashes[..32 * width].to_vec());
        let entries = format!("{LOG}/tile/entries/000.p/{width}");
        net.serve_file(&entries, bundle(&leaves[..width]));
    }
}

/// The same of more leaves than a tile has: bundles, and the hashes over full ones.
pub(super) fn serve_long(net: &Net, b: &Instance, leaves: &[Cid]) {
    let mut frontier = Frontier::default();
    let mut completed = Vec::new();
    for leaf in leaves {
        completed.extend(frontier.append(leaf_hash(leaf)));
    }
    let log = log(b, "bob");
    let checkpoint = Checkpoint {
        origin: log.origin().to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    };
    let signer = b.signer(&log.key_id);
    let note = Note::sign(&checkpoint, &signer.public_key(), &*signer).expect("a name");
    net.serve_file(&format!("{LOG}/checkpoint"), note.to_string().into_bytes());
    let hashes: Vec<u8> = completed
        .iter()
        .flat_map(|hash| *hash.hash.as_bytes())
        .collect();
    let tile = format!("{LOG}/tile/1/000.p/{}", completed.len());
    net.serve_file(&tile, hashes);
    for (index, bundled) in leaves.chunks(256).enumerate() {
        let part = match bundled.len() {
            256 => String::new(),
            width => format!(".p/{width}"),
        };
        let entries = format!("{LOG}/tile/entries/{index:03}{part}");
        net.serve_file(&entries, bundle(bundled));
    }
}

#[tokio::test]
async fn a_rewritten_log_is_caught_by_who_kept_a_checkpoint_and_the_evidence_stays() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    post(&b, "bob", note("one")).await;
    post(&b, "bob", note("two")).await;
    assert_eq!(looked(&a).await.size, 3);
    let mut rewritten = public(&b, "bob");
    rewritten[1] = Cid::of_document(Digest::of(b"what bob never said"));
    rewritten.push(Cid::of_document(Digest::of(b"and more")));
    serve_other(&net, &b, &rewritten);
    assert_eq!(looked(&a).await.outcome, Outcome::Forked);
    assert_eq!(
        looked(&a).await.outcome,
        Outcome::Forked,
        "nothing is forgotten"
    );
    let forks = a.node.view().log_forks(&[], 10).expect("reads");
    let [(place, actor, fork)] = &forks[..] else {
        panic!("one fork: {forks:?}");
    };
    assert_eq!(actor, BOB);
    assert!(fork.is_proved());
    assert!(
        a.node
            .view()
            .log_forks(place, 10)
            .expect("reads")
            .is_empty()
    );
    let walked = a
        .node
        .verify_log(
            BOB,
            Verification {
                activities: 0,
                ..ALL
            },
        )
        .await;
    assert_eq!(walked.expect("walked").faults.len(), 1);
    // A shorter one is told, and no evidence.
    serve_other(&net, &b, &public(&b, "bob")[..2]);
    assert_eq!(looked(&a).await.outcome, Outcome::Behind);
    // What was kept is still what it was.
    net.serve_logs();
    assert_eq!(looked(&a).await.outcome, Outcome::Same);
    a.close_and_compare();
}

#[tokio::test]
async fn a_forked_log_is_caught_once_two_of_its_followers_compare() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    let c = net.instance("c.test", EngineKind::Memory);
    c.create("carol", false).await;
    post(&b, "bob", note("one")).await;
    let mut other = public(&b, "bob");
    other[1] = Cid::of_document(Digest::of(b"what bob says to carol alone"));
    serve_other(&net, &b, &other);
    assert_eq!(looked(&c).await.outcome, Outcome::First);
    net.serve_logs();
    post(&b, "bob", note("two")).await;
    assert_eq!(looked(&a).await.outcome, Outcome::First);
    let apart = a.node.verify_log(BOB, ALL).await.expect("walked");
    assert!(apart.faults.is_empty() && apart.compared == 0, "{apart:?}");
    // alice hears of carol, who has never been a witness of the log that alice is shown.
    let asked = a.node.follow("alice", "acct:carol@c.test").await;
    asked.expect("follows");
    a.carry(&c).await;
    c.settle().await;
    c.carry(&a).await;
    let compared = a.node.verify_log(BOB, ALL).await.expect("walked");
    assert_eq!(compared.compared, 1);
    assert!(
        compared.faults[0].contains("another instance"),
        "{:?}",
        compared.faults
    );
    assert!(
        a.node.view().log_forks(&[], 10).expect("reads")[0]
            .2
            .is_proved()
    );
    a.close_and_compare();
}

/// One round of asking followers.
async fn watched(b: &Instance) {
    b.node.release_held(true).await.expect("asked");
}

async fn refused(b: &Instance) -> Code {
    let refused = b
        .node
        .publish("bob", note("no"), PublishOptions::default())
        .await;
    refused.expect_err("it is held").code
}

#[tokio::test]
async fn an_old_copy_publishes_nothing_until_its_followers_were_asked_or_another_log_begins() {
    let net = Net::default();
    let (a, b) = followed(&net).await;
    a.be_itself();
    post(&b, "bob", note("one")).await;
    looked(&a).await;
    // As after an import: nobody knows of more, so that it goes on.
    let bob = b.node.actor("bob").expect("an actor");
    let (actor, held) = (bob.no, true);
    b.control(Control::LogHeld { actor, held }).await;
    assert_eq!(refused(&b).await, Code::ReadOnly);
    let changed = b.node.rotate_key("bob").await.expect_err("it is held");
    assert_eq!(changed.code, Code::ReadOnly);
    let asked = b.node.ask_followers("bob").await.expect("asked");
    assert_eq!(
        (asked.answered, asked.silent, asked.is_newer),
        (1, 0, false)
    );
    watched(&b).await;
    post(&b, "bob", note("two")).await;
    // The log had gone on, and what is here is a copy of before.
    let mut longer = public(&b, "bob");
    longer.push(Cid::of_document(Digest::of(
        b"said before the copy was brought back",
    )));
    serve_other(&net, &b, &longer);
    assert_eq!(looked(&a).await.outcome, Outcome::Grown);
    net.serve_logs();
    // The cosignature that alice's instance sent told so at once.
    assert_eq!(refused(&b).await, Code::ReadOnly);
    let asked = b.node.ask_followers("bob").await.expect("asked");
    assert_eq!((asked.known, asked.is_newer), (4, true));
    watched(&b).await;
    assert_eq!(refused(&b).await, Code::ReadOnly, "they know of more");
    let begun = b.node.begin_log("bob").await.expect("begun");
    assert_eq!(begun.url, format!("{LOG}/2"));
    assert_eq!(refused_path(&b, "checkpoint"), Code::NotFound);
    post(&b, "bob", note("three")).await;
    b.carry(&a).await;
    let seen = looked(&a).await;
    assert_eq!(
        (seen.outcome, &*seen.origin),
        (Outcome::Another, "b.test/actors/bob/log/2")
    );
    a.close_and_compare();
    b.close_and_compare();
}

fn refused_path(b: &Instance, path: &str) -> Code {
    b.node.log_file("bob", path).expect_err("not there").code
}
