//! What counts as a recovery, and every way in which something does not.

use fedsx_core::actor::{
    ActorKind, LocalActor, PeerActor, Succession, ed25519_key_id, list_keys, recovery_key_id,
};
use fedsx_core::address::{ActorName, Instance};
use fedsx_core::context;
use fedsx_core::envelope::Document;
use fedsx_core::evidence::recovered;
use fedsx_core::key::{Commitment, Ed25519Signer, KeyRecord, RecoveryKey, rotated};
use fedsx_core::notation::{Notation, write};
use fedsx_core::proof;
use fedsx_core::time::format_rfc3339_ms;
use fedsx_core::value::{Map, Value};

const ALICE: &str = "https://a.example/actors/alice";
const UPDATE: &str = "https://a.example/actors/alice/activities/recovery";
const BORN_MS: i64 = 1_767_225_600_000;
const NOW_MS: i64 = BORN_MS + 3_600_000;

fn key(number: u8) -> (String, Ed25519Signer) {
    let id = ed25519_key_id(ALICE, number.into());
    (id.clone(), Ed25519Signer::new(id, &[number; 32]))
}

fn recovery(seed: u8) -> RecoveryKey {
    RecoveryKey::new([seed; 32])
}

/// alice's keys once her recovery key of that seed has replaced the first by the second.
fn recovered_keys(seed: u8) -> Vec<KeyRecord> {
    let (id, signer) = key(1);
    let first = KeyRecord {
        id,
        key: signer.public_key(),
        created_ms: Some(BORN_MS),
        superseded_ms: None,
        superseded_by: None,
    };
    let (id, signer) = key(2);
    let mut keys = rotated(&[first], (id, signer.public_key()), NOW_MS, UPDATE);
    let revealed = KeyRecord {
        id: recovery_key_id(ALICE, &keys),
        key: recovery(seed).signer("").public_key(),
        created_ms: Some(NOW_MS),
        superseded_ms: Some(NOW_MS),
        superseded_by: Some(UPDATE.to_owned()),
    };
    keys.insert(1, revealed);
    keys
}

fn document(keys: &[KeyRecord], commits: Option<&Commitment>) -> Map {
    let mut document = LocalActor {
        instance: &Instance::new("https://a.example").expect("a base URL"),
        name: &ActorName::parse("alice").expect("a name"),
        kind: ActorKind::Person,
        display_name: None,
        summary: None,
        manually_approves: false,
        keys,
        rsa_pem: None,
        published_ms: BORN_MS,
    }
    .document();
    if let Some(commits) = commits {
        document.insert("recoveryDigest", commits.as_str());
    }
    document
}

fn update(document: Map, signer: &Ed25519Signer) -> Map {
    let update = Map::from([
        ("@context", context::of_activity()),
        ("id", Value::from(UPDATE)),
        ("type", "Update".into()),
        ("actor", ALICE.into()),
        ("published", format_rfc3339_ms(NOW_MS).into()),
        ("object", document.into()),
    ]);
    proof::sign(&update, signer, NOW_MS)
}

fn judged(update: Map, served: &Map) -> String {
    let owner = PeerActor::parse(served).expect("an actor");
    let before = recovery(9).commitment();
    match recovered(&Document::from_map(update), &owner, &before) {
        Ok(next) => next.to_string(),
        Err(refusal) => refusal.to_string(),
    }
}

fn by_key() -> Ed25519Signer {
    recovery(9).signer(format!("{ALICE}#recovery"))
}

fn next() -> Commitment {
    recovery(8).commitment()
}

/// What is said of each, a line each.
fn page<const N: usize>(said: [(&str, String); N]) -> String {
    said.map(|(what, said)| format!("{what}: {said}"))
        .join("\n")
}

#[test]
fn a_recovery_is_by_the_key_that_was_committed_to() {
    let (keys, next) = (recovered_keys(9), next());
    let served = document(&keys, Some(&next));
    let sound = update(served.clone(), &by_key());
    assert_eq!(judged(sound.clone(), &served), next.as_str());
    let read = PeerActor::parse(&served).expect("an actor");
    let succession = |seed| read.succession(&recovery(seed).commitment());
    assert_eq!(succession(9), Succession::By(UPDATE.to_owned()));
    assert_eq!(succession(8), Succession::Same);
    assert_eq!(succession(7), Succession::Broken);
    let later = recovery_key_id(ALICE, &keys);
    assert_eq!(later, format!("{ALICE}#recovery-2"));

    let mallory = "https://a.example/actors/mallory";
    let mut elsewhere = served.clone();
    elsewhere.insert("id", mallory);
    list_keys(&mut elsewhere, mallory, &[]);
    let mut reworded = sound.clone();
    reworded.insert("summary", "changed after it was signed");
    let mut unproved = sound;
    unproved.remove("proof");
    let forger = recovery(7).signer(format!("{ALICE}#recovery"));
    let by = |signer: &Ed25519Signer| judged(update(served.clone(), signer), &served);
    insta::assert_snapshot!(page([
        ("the old key signs", by(&key(1).1)),
        ("the new key signs", by(&key(2).1)),
        ("another key under that id", by(&forger)),
        ("no proof", judged(unproved, &served)),
        ("changed afterwards", judged(reworded, &served)),
        (
            "of another actor",
            judged(update(elsewhere, &by_key()), &served)
        ),
    ]));
}

#[test]
fn a_recovery_replaces_every_key_and_ends_with_that() {
    let said = |keys: &[KeyRecord], commits: Option<&Commitment>| {
        let served = document(keys, commits);
        judged(update(served.clone(), &by_key()), &served)
    };
    let changed = |change: fn(&mut Vec<KeyRecord>)| {
        let mut keys = recovered_keys(9);
        change(&mut keys);
        said(&keys, Some(&next()))
    };
    let keys = recovered_keys(9);
    let again = recovery(9).commitment();
    insta::assert_snapshot!(page([
        (
            "another is revealed",
            said(&recovered_keys(7), Some(&next()))
        ),
        (
            "an old key goes on",
            changed(|keys| keys[0].superseded_ms = None)
        ),
        (
            "the recovery key goes on",
            changed(|keys| keys[1].superseded_ms = None)
        ),
        (
            "it ends later",
            changed(|keys| keys[1].superseded_ms = Some(NOW_MS + 1))
        ),
        (
            "it began before",
            changed(|keys| keys[1].created_ms = Some(BORN_MS))
        ),
        (
            "by another update",
            changed(|keys| keys[1].superseded_by = Some(ALICE.to_owned()))
        ),
        ("the same key again", said(&keys, Some(&again))),
        ("no next key", said(&keys, None)),
    ]));
}

#[test]
fn the_document_after_a_recovery() {
    let next = recovery(8).commitment();
    let served = document(&recovered_keys(9), Some(&next));
    let json = write(Notation::Json, &Value::Map(served));
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).expect("JSON"));
}
