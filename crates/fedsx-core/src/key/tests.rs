//! Texts, validity and storage of keys.

use super::{
    Ed25519Signer, KeyError, KeyRecord, PublicKey, RsaKeyError, RsaPublicKey, Signer as _, rotated,
};

use proptest::prelude::*;

/// FEP-521a (github.com/julianlam/feps @ 6035bae2e487579fc3e5cb2461f3b37ff6276080,
/// fep/521a/fep-521a.feature): the Ed25519 key as bytes, its Multikey, and an RSA Multikey.
const FEP_521A_HEX: &str = "2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6";
const FEP_521A: &str = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
const FEP_521A_RSA_DER: &str = "3082010a0282010100b1b5fcd8d4d5e88ca5c4287b31f578865caf6a78826a3b8ff7b1b23aa4af4e6a0474139f945bd9d3a911ffd0fa72db78e4593a86c91f9da836186ebd3402d51f6a3844247ab5088b46929c311b43604fed84499f06f0f39bf55590e2187f1bbe229ba8f49fd2e570cd0e3733c76bfede80e1e7e0881e4538ea1bc5782be9512f8bf132526e05f4923564fe6e1e21bf7087adebb660fa533fca06d0a8e66991e1312d70b64a61da8ca77c028cdf939601e2cffe2855759b1d479f0847bcac59d7d62427a431d4e3dfd2697428b9dd6309a7b1167db99fe01af1ff1b739566fb949e47089d1dae84aef1214ef7f5773e86a0d3e9da246f9bec09d60c705891183d0203010001";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn multibase(codec_and_key: &[u8]) -> String {
    format!("z{}", bs58::encode(codec_and_key).into_string())
}

#[test]
fn a_multikey_is_read_and_written() {
    let key = PublicKey::parse(FEP_521A).expect("the FEP's key");
    assert_eq!(key.as_bytes().as_slice(), hex(FEP_521A_HEX));
    assert_eq!(key.multibase(), FEP_521A);
    assert_eq!(format!("{key:?}"), format!("PublicKey({FEP_521A})"));
}

#[test]
fn anything_but_a_strict_ed25519_multikey_is_refused() {
    let refused = |text: &str| PublicKey::parse(text).expect_err("refused");
    let bytes = hex(FEP_521A_HEX);
    assert_eq!(refused(""), KeyError::Multibase);
    assert_eq!(refused(&FEP_521A[1..]), KeyError::Multibase);
    assert_eq!(
        refused(&FEP_521A.replacen('z', "f", 1)),
        KeyError::Multibase
    );
    assert_eq!(refused(&FEP_521A[..47]), KeyError::Base58);
    assert_eq!(refused(&format!("{FEP_521A}1")), KeyError::Base58);
    let leading_zero = format!("z1{}", &FEP_521A[2..]);
    assert_eq!(refused(&leading_zero), KeyError::Base58);
    assert_eq!(refused(&FEP_521A.replace("6M", "0M")), KeyError::Base58);
    assert_eq!(
        refused(&format!("z{}", "é".repeat(24)).replacen('é', "a", 1)),
        KeyError::Base58
    );
    assert_eq!(
        refused(&multibase(&bytes)),
        KeyError::Base58,
        "no multicodec"
    );
    let x25519 = [&[0xec, 0x01], bytes.as_slice()].concat();
    assert_eq!(refused(&multibase(&x25519)), KeyError::Multicodec);
}

#[test]
fn points_of_small_order_and_no_points_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
    assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Weak));
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError::Point));
}

#[test]
fn a_signature_is_judged_strictly() {
    let signer = Ed25519Signer::new("https://a.example/actors/alice#ed25519-1", &[7; 32]);
    let key = signer.public_key();
    let signature = signer.sign(b"words");
    assert!(key.verifies(b"words", &signature));
    assert!(!key.verifies(b"other words", &signature));
    // S + L is the same scalar: lax verifiers take it, so one document would have two signatures.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut malleated = signature;
    let mut carry = 0_u16;
    for (byte, add) in malleated[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert!(!key.verifies(b"words", &malleated));
    let mut small_r = signature;
    small_r[..32].fill(0);
    assert!(!key.verifies(b"words", &small_r));
    assert!(!format!("{signer:?}").contains('7'), "no secret is printed");
}

fn record(created_ms: Option<i64>, superseded_ms: Option<i64>) -> KeyRecord {
    KeyRecord {
        id: "https://a.example/actors/alice#ed25519-1".into(),
        key: PublicKey::parse(FEP_521A).expect("the FEP's key"),
        created_ms,
        superseded_ms,
        superseded_by: superseded_ms.map(|_| "https://a.example/rotation".into()),
    }
}

#[test]
fn a_key_is_valid_from_its_creation_until_it_is_superseded() {
    let current = record(Some(10), None);
    assert!(current.is_current());
    assert!(!current.valid_at(9, "x"));
    assert!(current.valid_at(10, "x"));
    assert!(current.valid_at(i64::MAX, "x"));

    let old = record(Some(10), Some(20));
    assert!(!old.is_current());
    assert!(old.valid_at(19, "x"));
    assert!(!old.valid_at(20, "x"));
    assert!(old.valid_at(20, "https://a.example/rotation"));
    assert!(!old.valid_at(21, "https://a.example/rotation"));

    assert!(record(None, None).valid_at(i64::MIN, "x"));
    assert!(record(None, Some(20)).valid_at(i64::MIN, "x"));
    // Superseded before it was created: never valid, but for its own rotation.
    let inverted = record(Some(30), Some(20));
    assert!(!inverted.valid_at(20, "https://a.example/rotation"));
    assert!(!inverted.valid_at(25, "x"));
    assert!(!inverted.valid_at(30, "x"));
}

proptest! {
    /// However often a key is rotated, each instant from the first key's on belongs to one key, and the instant of a
    /// rotation to the key that it ends as well, for the rotation alone.
    #[test]
    fn each_instant_belongs_to_one_key(
        pauses_ms in proptest::collection::vec(1_i64..50, 0..8),
        at_ms in 0_i64..500,
    ) {
        let mut keys = vec![record(Some(0), None)];
        let (mut now_ms, mut rotations) = (0, Vec::new());
        for (number, pause_ms) in pauses_ms.iter().enumerate() {
            now_ms += pause_ms;
            let update = format!("https://a.example/rotations/{number}");
            let new = (format!("https://a.example/actors/alice#ed25519-{}", number + 2), keys[0].key.clone());
            keys = rotated(&keys, new, now_ms, &update);
            rotations.push((now_ms, update));
        }
        let valid = |id: &str, at_ms| -> Vec<usize> {
            let valid = keys.iter().enumerate().filter(|(_, key)| key.valid_at(at_ms, id));
            valid.map(|(number, _)| number).collect()
        };
        let began = rotations.iter().filter(|(rotated_ms, _)| *rotated_ms <= at_ms).count();
        prop_assert_eq!(valid("x", at_ms), [began]);
        prop_assert!(valid("x", -1).is_empty());
        for (number, (rotated_ms, update)) in rotations.iter().enumerate() {
            prop_assert_eq!(valid(update, *rotated_ms), [number, number + 1]);
        }
        prop_assert_eq!(keys.iter().filter(|key| key.is_current()).count(), 1);
    }
}

#[test]
fn a_record_is_stored_and_read_back() {
    for record in [record(None, None), record(Some(-1), Some(i64::MAX))] {
        let bytes = minicbor::to_vec(&record).expect("a vector takes everything");
        assert_eq!(
            minicbor::decode::<KeyRecord>(&bytes).expect("just written"),
            record
        );
    }
    let bytes = minicbor::to_vec("z6Mk").expect("a vector takes everything");
    assert!(minicbor::decode::<PublicKey>(&bytes).is_err());
}

#[test]
fn rsa_keys_are_read_in_both_forms_and_written_in_one() {
    let key = RsaPublicKey::from_der(&hex(FEP_521A_RSA_DER)).expect("the FEP's key");
    assert_eq!(key.bits(), 2_048);
    let pem = key.to_pem();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMIIB"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    for text in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        format!("\n {pem} \n"),
    ] {
        assert_eq!(RsaPublicKey::from_pem(&text).expect("a PEM text"), key);
    }
}

#[test]
fn other_pem_texts_are_refused_by_kind() {
    let refused = |text: &str| RsaPublicKey::from_pem(text).expect_err("refused");
    let der = hex(FEP_521A_RSA_DER);
    let pem = RsaPublicKey::from_der(&der)
        .expect("the FEP's key")
        .to_pem();
    assert_eq!(refused(""), RsaKeyError::Pem);
    assert_eq!(
        refused(&pem.replace("END PUBLIC", "END RSA PUBLIC")),
        RsaKeyError::Pem
    );
    assert_eq!(refused(&pem.replace("MIIB", "MI*B")), RsaKeyError::Pem);
    assert_eq!(refused(&format!("{pem}{pem}")), RsaKeyError::Pem);
    assert_eq!(
        refused(&format!("{pem}{}", " ".repeat(9_000))),
        RsaKeyError::Pem
    );
    assert_eq!(
        refused(&pem.replace("PUBLIC KEY", "CERTIFICATE")),
        RsaKeyError::Label
    );
    assert_eq!(
        refused(&super::spki_to_pem(&der[..der.len() - 1])),
        RsaKeyError::Der
    );
    assert_eq!(refused(&super::spki_to_pem(b"")), RsaKeyError::Der);
    // draft-cavage-http-signatures-12, appendix C: 1024 bits.
    let small = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----";
    assert_eq!(refused(small), RsaKeyError::Size);
}
