//! Proofs against the vectors of the W3C and the FEPs, and against everything a forger may alter.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use fedsx_core::canonical::{document_bytes, jcs_map};
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::key::{Ed25519Signer, PublicKey, Signer};
use fedsx_core::limits;
use fedsx_core::proof::{BadProof, Ignored, Presented, examine, sign, sign_digest};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::time::parse_rfc3339_ms;
use fedsx_sx::data::{Map, Value};
use proptest::prelude::{any, prop, prop_assert, proptest};
use serde_json::Value as Json;

const CREATED: &str = "2023-02-24T23:36:38Z";
const KEY_ID: &str = "https://a.example/actors/alice#ed25519-1";

fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let text = fs::read_to_string(&path).expect("the vectors lie beside the tests");
    text.trim_end().to_owned()
}

fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Double(number.as_f64().expect("a finite number")),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(members) => Value::Map(
            members
                .iter()
                .map(|(key, value)| (key.as_str(), from_json(value)))
                .collect(),
        ),
    }
}

fn map(text: &str) -> Map {
    let json: Json = serde_json::from_str(text).expect("JSON");
    from_json(&json).as_map().expect("an object").clone()
}

fn member<'a>(map: &'a Map, key: &str) -> &'a str {
    map.get(key)
        .and_then(Value::as_str)
        .expect("a string member")
}

fn with(map: &Map, key: &str, value: impl Into<Value>) -> Map {
    let mut changed = map.clone();
    changed.insert(key, value);
    changed
}

fn without(map: &Map, key: &str) -> Map {
    let mut changed = map.clone();
    changed.remove(key);
    changed
}

/// The document with its proof changed.
fn reproved(signed: &Map, change: impl FnOnce(&Map) -> Map) -> Map {
    let proof = signed
        .get("proof")
        .and_then(Value::as_map)
        .expect("a proof");
    with(signed, "proof", change(proof))
}

fn digest(document: &Map) -> Digest {
    Digest::of(&document_bytes(document))
}

/// The signer of a secret Multikey: `z` + base58btc(0x8026 ‖ seed).
fn signer(key_id: &str, secret_multibase: &str) -> Ed25519Signer {
    let bytes = bs58::decode(&secret_multibase[1..])
        .into_vec()
        .expect("base58");
    let seed = bytes
        .strip_prefix(&[0x80, 0x26])
        .expect("an Ed25519 secret key");
    Ed25519Signer::new(key_id, seed.try_into().expect("32 bytes"))
}

/// Signs as another does and keeps what it was given.
struct Recorder<'a>(&'a Ed25519Signer, Mutex<Vec<u8>>);

impl Signer for Recorder<'_> {
    fn key_id(&self) -> &str {
        self.0.key_id()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        *self.1.lock().expect("one thread") = message.to_vec();
        self.0.sign(message)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a receiver makes of the first proof; `None` where it counts as none.
fn verdict(document: &Map, key: &PublicKey) -> Option<Result<(), BadProof>> {
    match examine(document).into_iter().next()? {
        Presented::Verifiable(proof) => Some(proof.verify(&digest(document), key)),
        Presented::Bad { why, .. } => Some(Err(why)),
        Presented::Ignored(_) => None,
    }
}

fn bad(document: &Map, key: &PublicKey) -> BadProof {
    let judged = verdict(document, key).expect("a proof that counts");
    judged.expect_err("a bad proof")
}

fn alice() -> Ed25519Signer {
    Ed25519Signer::new(KEY_ID, &[1; 32])
}

fn note() -> Map {
    map(r#"{
        "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/data-integrity/v1"],
        "id": "https://a.example/actors/alice/activities/1",
        "type": "Create",
        "actor": "https://a.example/actors/alice",
        "published": "2023-02-24T23:36:38.007Z",
        "object": {"type": "Note", "content": "hi", "proof": "an inner one"}
    }"#)
}

fn created_ms() -> i64 {
    parse_rfc3339_ms(CREATED).expect("a time")
}

#[test]
fn every_intermediate_of_the_w3c_vector_is_reproduced() {
    let folder = |name: &str| vector(&format!("vc-di-eddsa/eddsa-jcs-2022/{name}"));
    let keys = map(&vector("vc-di-eddsa/keyPair.json"));
    let unsigned = map(&vector("vc-di-eddsa/unsigned.json"));
    let signed = map(&folder("signedJCS.json"));
    let config = map(&folder("proofConfigJCS.json"));
    let signer = signer(
        member(&config, "verificationMethod"),
        member(&keys, "privateKeyMultibase"),
    );
    let key = PublicKey::parse(member(&keys, "publicKeyMultibase")).expect("a Multikey");
    assert_eq!(signer.public_key(), key);

    assert_eq!(
        document_bytes(&unsigned),
        folder("canonDocJCS.txt").into_bytes()
    );
    assert_eq!(digest(&unsigned).to_string(), folder("docHashJCS.txt"));
    assert_eq!(jcs_map(&config), folder("proofCanonJCS.txt").into_bytes());
    assert_eq!(
        Digest::of(&jcs_map(&config)).to_string(),
        folder("proofHashJCS.txt")
    );

    let recorder = Recorder(&signer, Mutex::default());
    assert_eq!(sign(&unsigned, &recorder, created_ms()), signed);
    let seen = recorder.1.into_inner().expect("one thread");
    assert_eq!(hex(&seen), folder("combinedHashJCS.txt"));
    assert_eq!(hex(&signer.sign(&seen)), folder("sigHexJCS.txt"));
    let proof = signed
        .get("proof")
        .and_then(Value::as_map)
        .expect("a proof");
    assert_eq!(member(proof, "proofValue"), folder("sigBTC58JCS.txt"));

    assert_eq!(verdict(&signed, &key), Some(Ok(())));
}

#[test]
fn fep_8b32_is_reproduced() {
    let known = map(&vector("fep/fep-8b32-intermediates.json"));
    let signed = map(&vector("fep/fep-8b32-signed.json"));
    let unsigned = without(&signed, "proof");
    let signer = signer(
        "https://server.example/users/alice#ed25519-key",
        member(&known, "secretKeyMultibase"),
    );
    assert_eq!(
        document_bytes(&unsigned),
        member(&known, "canonicalDocument").as_bytes()
    );
    let document = digest(&unsigned);
    assert_eq!(
        Cid::of_document(document).to_string(),
        member(&known, "cid")
    );

    let recorder = Recorder(&signer, Mutex::default());
    assert_eq!(
        sign_digest(&unsigned, &document, &recorder, created_ms()),
        signed
    );
    let seen = recorder.1.into_inner().expect("one thread");
    assert_eq!(hex(&seen), member(&known, "combinedHash"));
    let proof = signed
        .get("proof")
        .and_then(Value::as_map)
        .expect("a proof");
    assert_eq!(member(proof, "proofValue"), member(&known, "proofValue"));
    assert_eq!(
        jcs_map(&without(proof, "proofValue")),
        member(&known, "canonicalProofConfig").as_bytes()
    );
    let key = PublicKey::parse(member(&known, "publicKeyMultibase")).expect("a Multikey");
    assert_eq!(verdict(&signed, &key), Some(Ok(())));
}

#[test]
fn a_proof_without_context_is_hashed_without_one() {
    let known = map(&vector("fep/fep-c390-identity-proof.json"));
    let signed = known
        .get("signed")
        .and_then(Value::as_map)
        .expect("a document");
    let key = PublicKey::parse(member(&known, "publicKeyMultibase")).expect("a Multikey");
    assert_eq!(verdict(signed, &key), Some(Ok(())));

    let signer = signer(
        "did:key:z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2",
        member(&known, "secretKeyMultibase"),
    );
    assert_eq!(
        &sign(&without(signed, "proof"), &signer, created_ms()),
        signed
    );

    // With a context on the document alone, nothing is put into the proof either.
    let stripped = reproved(&sign(&note(), &alice(), 0), |proof| {
        without(proof, "@context")
    });
    assert_eq!(bad(&stripped, &alice().public_key()), BadProof::Signature);
}

#[test]
fn proofs_of_another_suite_are_none() {
    for name in [
        "signedProofSet1",
        "signedProofSet2",
        "signedProofChain1",
        "signedProofChain2",
    ] {
        let document = map(&vector(&format!("vc-di-eddsa/proof-set-chain/{name}.json")));
        let proofs = examine(&document);
        assert!(!proofs.is_empty(), "{name}");
        assert!(
            proofs
                .iter()
                .all(|proof| matches!(proof, Presented::Ignored(Ignored::UnknownSuite))),
            "{name}"
        );
    }
    let signed = sign(&note(), &alice(), 0);
    for (key, value) in [
        ("type", Value::from("Ed25519Signature2020")),
        ("type", vec!["DataIntegrityProof"].into()),
        ("cryptosuite", "eddsa-jcs-2023".into()),
        ("cryptosuite", Value::Nil),
    ] {
        let changed = reproved(&signed, |proof| with(proof, key, value.clone()));
        assert_eq!(
            verdict(&changed, &alice().public_key()),
            None,
            "{key} {value:?}"
        );
    }
    assert!(examine(&note()).is_empty());
    assert!(examine(&with(&note(), "proof", Value::Nil)).is_empty());
    assert!(examine(&with(&note(), "proof", Vec::<Value>::new())).is_empty());
    assert_eq!(
        verdict(
            &with(&note(), "proof", "https://a.example/proof"),
            &alice().public_key()
        ),
        None
    );
}

#[test]
fn a_proof_whose_context_is_not_the_documents_is_none() {
    let signed = sign(&note(), &alice(), 0);
    let context = note().get("@context").cloned().expect("a context");
    let longer: Vec<Value> = context
        .items()
        .cloned()
        .chain([Value::from("https://evil.example")])
        .collect();
    let shorter: Vec<Value> = context.items().take(1).cloned().collect();
    let reversed: Vec<Value> = vec![longer[1].clone(), longer[0].clone()];
    let key = alice().public_key();
    for other in [
        Value::from(longer.clone()),
        shorter.into(),
        reversed.into(),
        "https://www.w3.org/ns/activitystreams".into(),
        Value::Nil,
    ] {
        assert_eq!(
            verdict(&with(&signed, "@context", other.clone()), &key),
            None,
            "{other:?}"
        );
        let changed = reproved(&signed, |proof| with(proof, "@context", other.clone()));
        assert_eq!(verdict(&changed, &key), None, "{other:?}");
    }
    assert_eq!(verdict(&without(&signed, "@context"), &key), None);

    // The W3C's text would take this one: the proof was made over the shorter document's context
    // and the extended document's digest.
    let extended = with(&note(), "@context", longer);
    let proof = sign_digest(&note(), &digest(&extended), &alice(), 0);
    let proof = proof.get("proof").cloned().expect("a proof");
    assert_eq!(verdict(&with(&extended, "proof", proof), &key), None);
}

#[test]
fn what_can_never_verify_says_why() {
    let signed = sign(&note(), &alice(), 0);
    let key = alice().public_key();
    let long = Value::from(format!(
        "https://a.example/{}",
        "x".repeat(limits::URL_BYTES)
    ));
    let other = Value::from("https://a.example/actors/alice#ed25519-2");
    let later = Value::from("1970-01-01T00:00:01Z");
    for (member, value, why) in [
        (
            "previousProof",
            "urn:uuid:1".into(),
            BadProof::PreviousProof,
        ),
        ("previousProof", Value::Nil, BadProof::PreviousProof),
        ("proofPurpose", "authentication".into(), BadProof::Purpose),
        ("proofPurpose", Value::Nil, BadProof::Purpose),
        (
            "verificationMethod",
            Value::Int(1),
            BadProof::VerificationMethod,
        ),
        ("verificationMethod", long, BadProof::VerificationMethod),
        ("verificationMethod", other, BadProof::Signature),
        ("created", "yesterday".into(), BadProof::Created),
        ("created", Value::Int(0), BadProof::Created),
        ("created", later, BadProof::Signature),
        ("nonce", "added".into(), BadProof::Signature),
    ] {
        let changed = reproved(&signed, |proof| with(proof, member, value.clone()));
        assert_eq!(bad(&changed, &key), why, "{member} {value:?}");
        assert_eq!(Refusal::from(why).code, Code::BadSignature);
    }
    for (member, why) in [
        ("proofPurpose", BadProof::Purpose),
        ("verificationMethod", BadProof::VerificationMethod),
        ("proofValue", BadProof::Value),
        ("created", BadProof::Signature),
    ] {
        let changed = reproved(&signed, |proof| without(proof, member));
        assert_eq!(bad(&changed, &key), why, "{member}");
    }
}

#[test]
fn a_proof_value_is_64_bytes_in_base58() {
    let signed = sign(&note(), &alice(), 0);
    // In base58 a `1` is a zero byte.
    let zeros = |count| Value::from(format!("z{}", "1".repeat(count)));
    let hexadecimal = Value::from(format!("f{}", "0".repeat(128)));
    for (value, why) in [
        (Value::Nil, BadProof::Value),
        ("".into(), BadProof::Value),
        ("z".into(), BadProof::Value),
        ("z0OIl".into(), BadProof::Value),
        (hexadecimal, BadProof::Value),
        (zeros(63), BadProof::Value),
        (zeros(65), BadProof::Value),
        (zeros(1 << 20), BadProof::Value),
        (zeros(64), BadProof::Signature),
    ] {
        let changed = reproved(&signed, |proof| with(proof, "proofValue", value));
        assert_eq!(bad(&changed, &alice().public_key()), why);
    }
}

#[test]
fn the_digest_of_what_is_beside_the_proof_decides() {
    let signed = sign(&note(), &alice(), 0);
    let key = alice().public_key();
    assert_eq!(verdict(&signed, &key), Some(Ok(())));
    let other = Ed25519Signer::new(KEY_ID, &[2; 32]).public_key();
    assert_eq!(bad(&signed, &other), BadProof::Signature);
    assert_eq!(
        bad(&with(&signed, "object", "else"), &key),
        BadProof::Signature
    );
    assert_eq!(
        bad(&with(&signed, "added", "member"), &key),
        BadProof::Signature
    );
    assert_eq!(
        bad(&without(&signed, "published"), &key),
        BadProof::Signature
    );
    // No part of what is signed: a `signature` member, and the proof that was there before.
    assert_eq!(
        verdict(&with(&signed, "signature", "of old"), &key),
        Some(Ok(()))
    );
    assert_eq!(sign(&sign(&note(), &alice(), 5_000), &alice(), 0), signed);
}

#[test]
fn extra_members_of_a_proof_are_signed_as_they_stand() {
    // Made by hand, as a peer would that adds members of its own and leaves out `created`.
    let mut config = map(
        r#"{"type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": "https://a.example/actors/alice#ed25519-1", "proofPurpose": "assertionMethod",
        "id": "urn:uuid:1", "nonce": [1.5, {"b": null, "a": true}]}"#,
    );
    let message = [
        *Digest::of(&jcs_map(&config)).as_bytes(),
        *digest(&note()).as_bytes(),
    ]
    .concat();
    let value = bs58::encode(alice().sign(&message)).into_string();
    config.insert("proofValue", format!("z{value}"));
    let signed = with(&note(), "proof", config);
    assert_eq!(verdict(&signed, &alice().public_key()), Some(Ok(())));
    let Some(Presented::Verifiable(proof)) = examine(&signed).pop() else {
        panic!("a proof of our suite");
    };
    assert_eq!(proof.created_ms(), None);
    assert_eq!(proof.verification_method(), KEY_ID);
}

#[test]
fn of_many_proofs_four_are_looked_at() {
    let signed = sign(&note(), &alice(), 0);
    let ours = signed.get("proof").cloned().expect("a proof");
    let foreign = Value::Map(with(
        ours.as_map().expect("a map"),
        "cryptosuite",
        "bbs-2023",
    ));
    let chained = Value::Map(with(
        ours.as_map().expect("a map"),
        "previousProof",
        "urn:uuid:1",
    ));
    let many = with(
        &note(),
        "proof",
        vec![
            foreign.clone(),
            chained.clone(),
            foreign,
            ours.clone(),
            chained,
        ],
    );
    let proofs = examine(&many);
    assert_eq!(proofs.len(), limits::PROOFS);
    let methods: Vec<_> = proofs.iter().map(Presented::verification_method).collect();
    assert_eq!(methods, [None, Some(KEY_ID), None, Some(KEY_ID)]);
    let Presented::Verifiable(last) = &proofs[3] else {
        panic!("the fourth is ours");
    };
    assert_eq!(last.verify(&digest(&many), &alice().public_key()), Ok(()));
    let late = with(&note(), "proof", [vec![Value::Nil; 4], vec![ours]].concat());
    assert!(
        examine(&late)
            .iter()
            .all(|proof| matches!(proof, Presented::Ignored(_)))
    );
}

#[test]
fn a_signed_document_looks_like_this() {
    let signed = sign(&note(), &alice(), created_ms() + 999);
    insta::assert_snapshot!(String::from_utf8(jcs_map(&signed)).expect("JSON"), @r#"{"@context":["https://www.w3.org/ns/activitystreams","https://w3id.org/security/data-integrity/v1"],"actor":"https://a.example/actors/alice","id":"https://a.example/actors/alice/activities/1","object":{"content":"hi","proof":"an inner one","type":"Note"},"proof":{"@context":["https://www.w3.org/ns/activitystreams","https://w3id.org/security/data-integrity/v1"],"created":"2023-02-24T23:36:38Z","cryptosuite":"eddsa-jcs-2022","proofPurpose":"assertionMethod","proofValue":"z5Kaghfs5CXWm1hgbnUFMvVoBCqmX84Ga4FMJ62AATz5mcCCXmjoqUoC2fVowdXR7qP1teZayseGjhBg3tLj1CKa","type":"DataIntegrityProof","verificationMethod":"https://a.example/actors/alice#ed25519-1"},"published":"2023-02-24T23:36:38.007Z","type":"Create"}"#);
}

proptest! {
    #[test]
    fn signing_is_verified(
        seed in any::<[u8; 32]>(),
        created in 0..4_000_000_000_000_i64,
        context in prop::option::of(prop::collection::vec(any::<String>(), 0..3)),
        members in prop::collection::vec((any::<String>(), any::<String>(), any::<u32>()), 0..40),
    ) {
        let signer = Ed25519Signer::new(KEY_ID, &seed);
        let mut document = Map::new();
        for (key, text, number) in members {
            document.insert(format!("t{key}"), text);
            document.insert(format!("n{key}"), i64::from(number));
        }
        if let Some(context) = context {
            document.insert("@context", context);
        }
        let signed = sign(&document, &signer, created);
        prop_assert!(verdict(&signed, &signer.public_key()) == Some(Ok(())));
        prop_assert!(without(&signed, "proof") == document);
    }

    #[test]
    fn no_single_byte_can_be_changed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let signed = sign(&note(), &alice(), 0);
        let mut text = jcs_map(&signed);
        let at = at.index(text.len());
        text[at] = byte;
        // What is no JSON any more is refused earlier; what reads as the same document is the same.
        if let Ok(json) = serde_json::from_slice::<Json>(&text) {
            let changed = from_json(&json).as_map().expect("an object").clone();
            let verified = verdict(&changed, &alice().public_key()) == Some(Ok(()));
            prop_assert!(verified == (changed == signed), "{changed:?}");
        }
    }
}
