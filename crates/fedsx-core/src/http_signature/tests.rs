//! The standards' vectors below the policy: signature bases and the cryptography under them.

use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::{
    HttpKey, Presented, RequestHead, SignatureError, cavage, present, rfc9421, sign_cavage, verify,
};
use crate::address::Origin;
use crate::key::RsaSigner;
use crate::key::{PublicKey, RsaPublicKey};

const RFC9421: &str = include_str!("../../tests/vectors/rfc9421/vectors.json");
const RFC9421_RSA: &str = include_str!("../../tests/vectors/rfc9421/rsa-v1_5-sha256.json");
const CAVAGE: &str = include_str!("../../tests/vectors/cavage/vectors.json");
/// RFC 9421, appendix B.1.4: `test-key-ed25519`, the last 32 bytes of its SubjectPublicKeyInfo.
const ED25519: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
const BODY: &[u8] = br#"{"hello": "world"}"#;

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().expect("a string member")
}

fn bytes(json: &Json, key: &str) -> Vec<u8> {
    STANDARD.decode(text(json, key)).expect("base64")
}

fn headers<'a>(lines: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let line = |(name, value): (&str, &str)| {
        let name = HeaderName::try_from(name).expect("a header's name");
        (
            name,
            HeaderValue::try_from(value).expect("a header's value"),
        )
    };
    lines.into_iter().map(line).collect()
}

fn origin(url: &str) -> Origin {
    Origin::of(url).expect("an origin")
}

/// Every header that a vector's base covers, and its derived components.
fn request_of(base: &str) -> (HeaderMap, String, String, String) {
    let lines: Vec<_> = base
        .lines()
        .filter_map(|line| line[1..].split_once("\": "))
        .collect();
    let find = |name| {
        lines
            .iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| *value)
    };
    let fields = lines.iter().filter(|(name, _)| !name.starts_with('@'));
    let target = format!(
        "{}{}",
        find("@path").unwrap_or("/"),
        find("@query").unwrap_or("")
    );
    let authority = find("@authority").unwrap_or("example.com");
    (
        headers(fields.copied()),
        find("@method").unwrap_or("POST").to_owned(),
        format!("https://{authority}"),
        target,
    )
}

fn ed25519() -> HttpKey {
    let key = STANDARD.decode(ED25519).expect("base64");
    let key = key.as_slice().try_into().expect("32 bytes");
    HttpKey::Ed25519(PublicKey::from_bytes(key).expect("a key"))
}

#[test]
fn the_bases_of_rfc_9421_are_reproduced() {
    let vectors: Json = serde_json::from_str(RFC9421).expect("JSON");
    let mut outcomes = Vec::new();
    for vector in vectors.as_array().expect("an array") {
        let label = text(vector, "label");
        let signature = format!("{label}=:{}:", text(vector, "signature_b64"));
        let read = rfc9421::parse(text(vector, "signature_input"), &signature)
            .expect("two dictionaries")
            .pop()
            .expect("one signature");
        let presented = match read {
            Ok(presented) => presented,
            Err(refused) => {
                outcomes.push(format!("{label}: {refused}"));
                continue;
            }
        };
        let base = text(vector, "signature_base");
        let (headers, method, origin_url, path_and_query) = request_of(base);
        let head = RequestHead {
            method: &method,
            origin: &origin(&origin_url),
            path_and_query: &path_and_query,
            headers: &headers,
        };
        assert_eq!(presented.base(&head).expect("a base"), base, "{label}");
        if presented.key_id() == "test-key-ed25519" {
            assert!(ed25519().verifies(base.as_bytes(), &bytes(vector, "signature_b64")));
        }
        outcomes.push(format!("{label}: as in the RFC"));
    }
    insta::assert_snapshot!(outcomes.join("\n"), @"
    sig-b21: as in the RFC
    sig-b22: the HTTP signature covers a component that is not supported: @query-param
    sig-b23: as in the RFC
    sig-b24: the HTTP signature covers a component that is not supported: @status
    sig-b25: as in the RFC
    sig-b26: as in the RFC
    ttrp: as in the RFC
    transform: as in the RFC
    ");
}

#[test]
fn the_signed_get_of_rfc_9421_passes_the_policy_and_the_post_does_not() {
    let vectors: Json = serde_json::from_str(RFC9421).expect("JSON");
    let vector = |label| {
        let mut all = vectors.as_array().expect("an array").iter();
        all.find(|vector| text(vector, "label") == label)
            .expect("the vector")
    };
    let signed = |label| {
        let vector = vector(label);
        let (mut headers, method, origin_url, target) = request_of(text(vector, "signature_base"));
        let input = HeaderValue::from_str(text(vector, "signature_input")).expect("a value");
        headers.insert("signature-input", input);
        let signature = format!("{label}=:{}:", text(vector, "signature_b64"));
        headers.insert("signature", signature.try_into().expect("a value"));
        (headers, method, origin(&origin_url), target)
    };
    let (headers, method, origin, target) = signed("transform");
    let get = RequestHead {
        method: &method,
        origin: &origin,
        path_and_query: &target,
        headers: &headers,
    };
    let presented = present(&get).expect("acceptable").expect("signed");
    assert_eq!(
        verify(&presented, &get, None, &ed25519(), 1_618_884_473_000),
        Ok(())
    );

    let (headers, method, origin, target) = signed("sig-b26");
    let post = RequestHead {
        method: &method,
        origin: &origin,
        path_and_query: &target,
        headers: &headers,
    };
    let refused = present(&post).expect_err("no digest");
    assert_eq!(refused, SignatureError::NotCovered("`content-digest`"));
}

#[test]
fn the_proxied_post_of_rfc_9421_verifies_with_rsa() {
    let vector: Json = serde_json::from_str(RFC9421_RSA).expect("JSON");
    let key = HttpKey::Rsa(RsaPublicKey::from_pem(text(&vector, "public_key_pem")).expect("PEM"));
    let base = text(&vector, "signature_base");
    assert!(key.verifies(base.as_bytes(), &bytes(&vector, "signature_b64")));

    let (mut headers, method, origin_url, target) = request_of(base);
    let (_, params) = base
        .split_once("\"@signature-params\": ")
        .expect("its last line");
    let input = format!("proxy_sig={params}");
    headers.insert("signature-input", input.try_into().expect("a value"));
    let signature = format!("proxy_sig=:{}:", text(&vector, "signature_b64"));
    headers.insert("signature", signature.try_into().expect("a value"));
    let head = RequestHead {
        method: &method,
        origin: &origin(&origin_url),
        path_and_query: &target,
        headers: &headers,
    };
    let presented = present(&head).expect("acceptable").expect("signed");
    assert_eq!(presented.key_id(), "test-key-rsa");
    let at = |now_s: i64| verify(&presented, &head, Some(BODY), &key, now_s * 1_000);
    assert_eq!(at(1_618_884_480), Ok(()));
    assert_eq!(at(1_618_884_541), Err(SignatureError::Expired));
    // The query of the RFC's request is not signed, so it is refused here.
    let queried = RequestHead {
        path_and_query: "/foo?param=Value&Pet=dog",
        ..head
    };
    assert!(matches!(
        present(&queried),
        Err(SignatureError::NotCovered(_))
    ));
}

#[test]
fn the_signing_strings_of_cavage_are_reproduced() {
    let vectors: Json = serde_json::from_str(CAVAGE).expect("JSON");
    let request = vectors["request_headers"].as_object().expect("an object");
    let real = request.iter().filter(|(name, _)| !name.starts_with('('));
    let headers = headers(real.map(|(name, value)| (name.as_str(), value.as_str().expect("text"))));
    let head = RequestHead {
        method: "POST",
        origin: &origin("https://example.com"),
        path_and_query: "/foo?param=value&pet=dog",
        headers: &headers,
    };
    // 1024 bits, so that no `RsaPublicKey` can be made of it.
    let pem: String = text(&vectors, "public_key_pem")
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let spki = STANDARD.decode(pem).expect("base64");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, spki);
    for case in vectors["cases"].as_array().expect("an array") {
        let field = format!(
            r#"keyId="Test",created=1402170695,expires=1402170699,headers="{}",signature="{}""#,
            text(case, "headers"),
            text(case, "signature"),
        );
        let presented: Presented = cavage::parse(&field).expect("well-formed");
        let base = presented.base(&head).expect("a signing string");
        assert_eq!(base, text(case, "signing_string"), "{}", text(case, "name"));
        assert_eq!(
            key.verify(base.as_bytes(), &presented.signature).is_ok(),
            case["verifies"].as_bool().expect("a truth"),
            "{}",
            text(case, "name")
        );
    }
}

#[test]
fn what_is_signed_by_cavage_is_a_vector() {
    #[derive(Default)]
    struct Shown(std::sync::Mutex<String>);
    impl RsaSigner for Shown {
        fn key_id(&self) -> &'static str {
            "Test"
        }
        fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
            *self.0.lock().ok()? = String::from_utf8(message.to_vec()).ok()?;
            Some(Vec::new())
        }
    }
    let vectors: Json = serde_json::from_str(CAVAGE).expect("JSON");
    let cases = vectors["cases"].as_array().expect("an array");
    let case = cases.iter().find(|case| text(case, "name") == "C.2");
    let shown = Shown::default();
    let url = "https://example.com/foo?param=value&pet=dog#there";
    sign_cavage("POST", url, None, &[], &shown, 1_388_957_500_000).expect("signed");
    let base = shown.0.into_inner().expect("one thread");
    assert_eq!(base, text(case.expect("C.2"), "signing_string"));
}
