//! Documents built here, and peers' documents read.

use super::{ActorError, ActorKind, InstanceActor, LocalActor, PeerActor, ed25519_key_id};
use crate::address::{ActorName, Instance};
use crate::key::{Ed25519Signer, KeyRecord, RsaPublicKey};
use crate::notation::{Notation, read_document, write};
use crate::value::{Map, Value};

/// FEP-521a (github.com/julianlam/feps @ 6035bae2e487579fc3e5cb2461f3b37ff6276080,
/// fep/521a/fep-521a.feature): an RSA key, PKCS #1.
const RSA_DER: &str = "3082010a0282010100b1b5fcd8d4d5e88ca5c4287b31f578865caf6a78826a3b8ff7b1b23aa4af4e6a0474139f945bd9d3a911ffd0fa72db78e4593a86c91f9da836186ebd3402d51f6a3844247ab5088b46929c311b43604fed84499f06f0f39bf55590e2187f1bbe229ba8f49fd2e570cd0e3733c76bfede80e1e7e0881e4538ea1bc5782be9512f8bf132526e05f4923564fe6e1e21bf7087adebb660fa533fca06d0a8e66991e1312d70b64a61da8ca77c028cdf939601e2cffe2855759b1d479f0847bcac59d7d62427a431d4e3dfd2697428b9dd6309a7b1167db99fe01af1ff1b739566fb949e47089d1dae84aef1214ef7f5773e86a0d3e9da246f9bec09d60c705891183d0203010001";

const ALICE: &str = "https://here.example/actors/alice";
/// 2026-01-01T00:00:00Z.
const NEW_YEAR_MS: i64 = 1_767_225_600_000;

fn rsa_pem() -> String {
    let der: Vec<u8> = (0..RSA_DER.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&RSA_DER[at..at + 2], 16).expect("hexadecimal digits"))
        .collect();
    RsaPublicKey::from_der(&der)
        .expect("the FEP's key")
        .to_pem()
}

fn key(number: u32) -> KeyRecord {
    let seed = [u8::try_from(number).expect("a small number"); 32];
    KeyRecord {
        id: ed25519_key_id(ALICE, number),
        key: Ed25519Signer::new("", &seed).public_key(),
        created_ms: Some(NEW_YEAR_MS + i64::from(number)),
        superseded_ms: None,
        superseded_by: None,
    }
}

fn document(keys: &[KeyRecord]) -> Map {
    LocalActor {
        instance: &Instance::new("https://here.example").expect("a base URL"),
        name: &ActorName::parse("Alice").expect("a name"),
        kind: ActorKind::Person,
        display_name: Some("Alice Ä."),
        summary: Some("<p>Hello</p>"),
        manually_approves: true,
        keys,
        rsa_pem: Some(&rsa_pem()),
        published_ms: NEW_YEAR_MS,
    }
    .document()
}

fn rotated() -> Vec<KeyRecord> {
    let old = KeyRecord {
        superseded_ms: Some(NEW_YEAR_MS + 5_000),
        superseded_by: Some(format!("{ALICE}/activities/1")),
        ..key(1)
    };
    vec![old, key(2)]
}

fn pretty(document: Map) -> String {
    let json = write(Notation::Json, &document.into());
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    serde_json::to_string_pretty(&json).expect("JSON")
}

fn read(json: &str) -> Map {
    read_document(Notation::Json, json.as_bytes(), 1 << 20).expect("a document")
}

#[test]
fn an_actors_document() {
    insta::assert_snapshot!(pretty(document(&rotated())));
}

#[test]
fn the_document_of_the_instance_itself() {
    let instance = Instance::new("https://here.example:8443").expect("a base URL");
    let itself = instance.own_actor_url();
    let key = KeyRecord {
        id: ed25519_key_id(&itself, 1),
        created_ms: None,
        ..key(1)
    };
    let document = InstanceActor {
        instance: &instance,
        keys: std::slice::from_ref(&key),
        rsa_pem: &rsa_pem(),
    }
    .document();
    let read = PeerActor::parse(&document).expect("an actor");
    assert_eq!(read.kind, Some(ActorKind::Application));
    assert_eq!(read.keys, [key]);
    assert_eq!(read.rsa_keys.len(), 1);
    insta::assert_snapshot!(pretty(document));
}

#[test]
fn what_is_built_here_reads_back() {
    let alice = PeerActor::parse(&document(&rotated())).expect("an actor");
    let mut keys = rotated();
    keys.reverse();
    assert_eq!(alice.keys, keys, "current keys come first");
    assert_eq!(alice.id, ALICE);
    assert_eq!(alice.kind, Some(ActorKind::Person));
    assert_eq!(alice.name.as_deref(), Some("alice"));
    assert_eq!(
        alice.inbox.as_deref(),
        Some("https://here.example/actors/alice/inbox")
    );
    assert_eq!(
        alice.shared_or_own_inbox(),
        Some("https://here.example/inbox")
    );
    assert_eq!(
        alice.followers.as_deref(),
        Some("https://here.example/actors/alice/followers")
    );
    assert!(alice.manually_approves && !alice.is_gone());
    assert!(
        alice
            .find_key("https://here.example/actors/alice#ed25519-1")
            .is_some()
    );
    assert!(
        alice
            .find_key("https://here.example/actors/alice#ed25519-9")
            .is_none()
    );
    let rsa = alice.find_rsa_key("https://here.example/actors/alice#main-key");
    assert_eq!(rsa.expect("the key").to_pem(), rsa_pem());
}

#[test]
fn a_tombstone_keeps_its_keys_and_nothing_else() {
    let mut tombstone = Map::from([("id", ALICE), ("type", "Tombstone")]);
    for member in ["assertionMethod", "keyHistory", "publicKey"] {
        let kept = document(&rotated()).remove(member).expect("a member");
        tombstone.insert(member, kept);
    }
    let gone = PeerActor::parse(&tombstone).expect("a Tombstone");
    assert!(gone.is_gone() && gone.inbox.is_none());
    assert_eq!((gone.keys.len(), gone.rsa_keys.len()), (2, 1));
}

/// The listed key of `document`, with one member set anew.
fn with(document: &Map, member: &str, value: &str) -> Value {
    let listed = document
        .get("assertionMethod")
        .and_then(|keys| keys.items().next());
    let mut key = listed.and_then(Value::as_map).expect("a key").clone();
    key.insert(member, value);
    key.into()
}

#[test]
fn only_the_actors_own_readable_keys_are_kept() {
    let own = document(&[key(1)]);
    let refused = [
        (
            "of another actor",
            with(&own, "controller", "https://here.example/actors/bob"),
        ),
        (
            "on another origin",
            with(&own, "id", "https://other.example/actors/alice#ed25519-1"),
        ),
        ("of another type", with(&own, "type", "JsonWebKey")),
        (
            "of another kind",
            with(
                &own,
                "publicKeyMultibase",
                "zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv",
            ),
        ),
        ("of unclear age", with(&own, "created", "lately")),
        (
            "by its id alone",
            Value::from("https://here.example/actors/alice#ed25519-1"),
        ),
    ];
    for (why, key) in refused {
        let mut document = own.clone();
        document.insert("assertionMethod", key);
        assert!(
            PeerActor::parse(&document)
                .expect("an actor")
                .keys
                .is_empty(),
            "{why}"
        );
    }
}

#[test]
fn keys_end_as_their_document_says_and_are_bounded_in_number() {
    let own = document(&[key(1)]);
    let mut revoked = own.clone();
    revoked.insert(
        "assertionMethod",
        with(&own, "revoked", "2026-02-01T00:00:00Z"),
    );
    let revoked = PeerActor::parse(&revoked).expect("an actor");
    assert!(!revoked.keys[0].is_current());
    let mut endless = own.clone();
    endless.remove("assertionMethod");
    endless.insert("keyHistory", with(&own, "created", "2026-01-01T00:00:00Z"));
    assert!(
        PeerActor::parse(&endless)
            .expect("an actor")
            .keys
            .is_empty()
    );
    let mut many = own.clone();
    let keys = (0..300).map(|n| with(&own, "id", &format!("{ALICE}#ed25519-{n}")));
    many.insert("assertionMethod", Value::List(keys.collect()));
    assert_eq!(
        PeerActor::parse(&many).expect("an actor").keys.len(),
        crate::limits::KEYS
    );
    let mut other_owner = own.clone();
    let mut rsa = own
        .get("publicKey")
        .and_then(Value::as_map)
        .expect("a key")
        .clone();
    rsa.insert("owner", "https://here.example/actors/bob");
    other_owner.insert("publicKey", rsa);
    assert!(
        PeerActor::parse(&other_owner)
            .expect("an actor")
            .rsa_keys
            .is_empty()
    );
}

/// The members Mastodon 4.x gives an actor, shortened, with values made up.
#[test]
fn a_mastodon_actor_is_read() {
    let json = format!(
        r#"{{"@context":["https://www.w3.org/ns/activitystreams","https://w3id.org/security/v1",{{"toot":"http://joinmastodon.org/ns#"}}],
        "id":"https://mastodon.example/users/bob","type":"Person","following":"https://mastodon.example/users/bob/following",
        "followers":"https://mastodon.example/users/bob/followers","inbox":"https://mastodon.example/users/bob/inbox",
        "outbox":"https://mastodon.example/users/bob/outbox","featured":"https://mastodon.example/users/bob/collections/featured",
        "preferredUsername":"bob","name":"","summary":"<p>Bob</p>","url":"https://mastodon.example/@bob",
        "manuallyApprovesFollowers":false,"alsoKnownAs":["https://old.example/bob","acct:bob@old.example"],
        "movedTo":"https://new.example/bob","publicKey":{{"id":"https://mastodon.example/users/bob#main-key",
        "owner":"https://mastodon.example/users/bob","publicKeyPem":{pem:?}}},
        "endpoints":{{"sharedInbox":"https://mastodon.example/inbox"}}}}"#,
        pem = rsa_pem()
    );
    let bob = PeerActor::parse(&read(&json)).expect("an actor");
    assert_eq!(bob.name.as_deref(), Some("bob"));
    assert_eq!(bob.display_name, None);
    assert_eq!(
        bob.shared_or_own_inbox(),
        Some("https://mastodon.example/inbox")
    );
    assert_eq!(bob.also_known_as, ["https://old.example/bob"]);
    assert_eq!(bob.moved_to.as_deref(), Some("https://new.example/bob"));
    assert_eq!((bob.keys.len(), bob.rsa_keys.len()), (0, 1));
}

#[test]
fn documents_that_are_no_actors() {
    let refused = |json: &str| PeerActor::parse(&read(json)).expect_err("refused");
    let table = [
        ("{}", ActorError::Url("id")),
        (
            r#"{"id":"/actors/a","type":"Person"}"#,
            ActorError::Url("id"),
        ),
        (
            r#"{"id":"https://a:b@c.example/","type":"Person"}"#,
            ActorError::Url("id"),
        ),
        (r#"{"id":"https://c.example/a"}"#, ActorError::Type),
        (
            r#"{"id":"https://c.example/a","type":"Note"}"#,
            ActorError::Type,
        ),
        (
            r#"{"id":"https://c.example/a","type":"Person"}"#,
            ActorError::Url("inbox"),
        ),
        (
            r#"{"id":"https://c.example/a","type":"Person","inbox":"ftp://c.example/"}"#,
            ActorError::Url("inbox"),
        ),
    ];
    for (json, error) in table {
        assert_eq!(refused(json), error, "{json}");
    }
    let foreign = r#"{"id":"https://c.example/a","type":["foaf:Person","Person"],"inbox":"https://in.example/a",
        "followers":"https://in.example/f","endpoints":{"sharedInbox":"https://in.example/all"}}"#;
    let foreign = PeerActor::parse(&read(foreign)).expect("an actor");
    assert_eq!(foreign.shared_or_own_inbox(), Some("https://in.example/a"));
    assert_eq!(
        foreign.followers, None,
        "another origin's collection is not the actor's to name"
    );
}
