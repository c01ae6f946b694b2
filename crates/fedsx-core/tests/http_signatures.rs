//! What HTTP signatures must cover and must not get past, in both schemes.

use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fedsx_core::address::Origin;
use fedsx_core::http_signature::{
    Algorithm, HttpKey, RequestHead, Scheme, SignError, SignatureError, check, present,
    sign_cavage, sign_rfc9421, verify,
};
use fedsx_core::key::{Ed25519Signer, RsaPublicKey, RsaSigner, Signer};
use fedsx_core::limits;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::time::parse_http_date_ms;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::{any, prop, prop_assert, proptest};
use sha2::{Digest as _, Sha256, Sha512};

const KEY_ID: &str = "https://b.example/actors/bob#ed25519-1";
const DATE: &str = "Sun, 05 Jan 2014 21:31:40 GMT";
const NOW_S: i64 = 1_388_957_500;
const NOW_MS: i64 = NOW_S * 1_000;
const BODY: &[u8] = br#"{"hello": "world"}"#;

struct Request {
    method: &'static str,
    origin: Origin,
    target: String,
    headers: HeaderMap,
    body: Option<&'static [u8]>,
}

impl Request {
    fn post() -> Self {
        Self {
            method: "POST",
            origin: Origin::of("https://a.example").expect("an origin"),
            target: "/actors/alice/inbox?from=b".into(),
            headers: HeaderMap::new(),
            body: Some(BODY),
        }
        .with("host", "a.example")
        .with("date", DATE)
        .with("digest", &digest(BODY))
        .with("content-digest", &content_digest(BODY))
    }

    fn get() -> Self {
        Self {
            method: "GET",
            body: None,
            ..Self::post()
        }
        .without("digest")
        .without("content-digest")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        self.headers.insert(
            name,
            HeaderValue::try_from(value).expect("a header's value"),
        );
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: self.method,
            origin: &self.origin,
            path_and_query: &self.target,
            headers: &self.headers,
        }
    }

    fn verify_at(&self, key: &HttpKey, now_ms: i64) -> Result<(), SignatureError> {
        let presented = present(&self.head())?.expect("a signed request");
        verify(&presented, &self.head(), self.body, key, now_ms)
    }

    fn verify(&self, key: &HttpKey) -> Result<(), SignatureError> {
        self.verify_at(key, NOW_MS)
    }

    /// The signing string of the older scheme, written down a second time here.
    fn cavage_base(&self, covered: &str) -> String {
        let line = |name: &str| match name {
            "(request-target)" => {
                format!("{name}: {} {}", self.method.to_lowercase(), self.target)
            }
            "(created)" => format!("{name}: {NOW_S}"),
            "(expires)" => format!("{name}: {}", NOW_S + 60),
            _ => {
                let value = self
                    .headers
                    .get(name)
                    .map(|value| value.to_str().expect("ASCII"));
                format!("{name}: {}", value.unwrap_or_default())
            }
        };
        covered.split(' ').map(line).collect::<Vec<_>>().join("\n")
    }

    fn cavage(self, parameters: &str, covered: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let signature = STANDARD.encode(sign(self.cavage_base(covered).as_bytes()));
        let field =
            format!(r#"keyId="{KEY_ID}",{parameters}headers="{covered}",signature="{signature}""#);
        self.with("signature", &field)
    }

    fn rfc9421(self, components: &[&str], parameters: &str) -> Self {
        let mut base = String::new();
        for name in components {
            let value = match *name {
                "@method" => self.method.to_owned(),
                "@target-uri" => format!("https://a.example{}", self.target),
                "@authority" => "a.example".into(),
                "@scheme" => "https".into(),
                "@request-target" => self.target.clone(),
                "@path" => self.target.split('?').next().expect("a part").into(),
                "@query" => format!(
                    "?{}",
                    self.target.split_once('?').map_or("", |parts| parts.1)
                ),
                field => self.headers[field].to_str().expect("ASCII").to_owned(),
            };
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        let names: Vec<_> = components
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let params = format!("({}){parameters}", names.join(" "));
        base.push_str(&format!("\"@signature-params\": {params}"));
        let signature = STANDARD.encode(bob().sign(base.as_bytes()));
        self.with("signature-input", &format!("sig={params}"))
            .with("signature", &format!("sig=:{signature}:"))
    }

    fn signed(self) -> Self {
        let url = format!("https://a.example{}", self.target);
        let signed = sign_rfc9421(self.method, &url, self.body, &bob(), NOW_S);
        let mut request = self;
        signed
            .expect("an ASCII URL")
            .insert_into(&mut request.headers);
        request
    }
}

fn digest(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(Sha256::digest(body)))
}

fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

fn bob() -> Ed25519Signer {
    Ed25519Signer::new(KEY_ID, &[3; 32])
}

fn bob_key() -> HttpKey {
    HttpKey::Ed25519(bob().public_key())
}

fn ed25519(message: &[u8]) -> Vec<u8> {
    bob().sign(message).to_vec()
}

/// `test-key-rsa` of RFC 9421.
fn rsa_pair() -> RsaKeyPair {
    let vector: serde_json::Value =
        serde_json::from_str(include_str!("vectors/rfc9421/rsa-v1_5-sha256.json")).expect("JSON");
    let pem = vector["private_key_pem"].as_str().expect("a string");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    RsaKeyPair::from_der(&der).expect("an RSA key")
}

fn rsa(message: &[u8]) -> Vec<u8> {
    let pair = rsa_pair();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message,
        &mut signature,
    )
    .expect("a signature");
    signature
}

fn rsa_key() -> HttpKey {
    let der = rsa_pair().public_key().as_ref().to_vec();
    HttpKey::Rsa(RsaPublicKey::from_der(&der).expect("2048 bits"))
}

const FULL: &str = "(request-target) host date digest";
const RSA_SHA256: &str = r#"algorithm="rsa-sha256","#;
const HS2019: &str = r#"algorithm="hs2019","#;

#[test]
fn an_unsigned_request_presents_nothing() {
    assert!(
        present(&Request::post().head())
            .expect("well-formed")
            .is_none()
    );
}

#[test]
fn cavage_is_accepted_as_the_network_uses_it() {
    for parameters in [RSA_SHA256, HS2019, "", r#"algorithm="RSA-SHA256","#] {
        let request = Request::post().cavage(parameters, FULL, rsa);
        assert_eq!(request.verify(&rsa_key()), Ok(()), "{parameters}");
    }
    let request = Request::post().cavage(HS2019, FULL, ed25519);
    assert_eq!(request.verify(&bob_key()), Ok(()));
    let presented = present(&request.head())
        .expect("well-formed")
        .expect("signed");
    assert_eq!(presented.scheme(), Scheme::Cavage);
    assert_eq!(presented.key_id(), KEY_ID);
    assert_eq!(presented.algorithm(), None);

    let timed = format!("{HS2019}created={NOW_S},expires=\"{}\",", NOW_S + 60);
    let covered = "(request-target) (created) (expires) host digest content-digest";
    let request = Request::post().cavage(&timed, covered, ed25519);
    assert_eq!(request.verify(&bob_key()), Ok(()));
    assert_eq!(
        request.verify_at(&bob_key(), NOW_MS + 60_001),
        Err(SignatureError::Expired)
    );

    let get = Request::get().cavage(RSA_SHA256, "(request-target) host date", rsa);
    assert_eq!(get.verify(&rsa_key()), Ok(()));
}

#[test]
fn cavage_must_cover_what_binds_the_request() {
    for (covered, missing) in [
        ("host date digest", "`(request-target)`"),
        ("(request-target) date digest", "`host`"),
        ("(request-target) host digest", "`date` or `(created)`"),
        ("(request-target) host date", "`digest`"),
    ] {
        let request = Request::post().cavage(RSA_SHA256, covered, rsa);
        let refused = present(&request.head()).expect_err("not enough");
        assert_eq!(refused, SignatureError::NotCovered(missing));
    }
    // A body makes a GET need its digest too.
    let mut get = Request::get().cavage(RSA_SHA256, "(request-target) host date", rsa);
    get.body = Some(BODY);
    assert_eq!(
        get.verify(&rsa_key()),
        Err(SignatureError::NotCovered("`digest`"))
    );
}

#[test]
fn cavage_times_and_hosts_are_ours_to_judge() {
    let request = Request::post().cavage(RSA_SHA256, FULL, rsa);
    let at = |offset| request.verify_at(&rsa_key(), NOW_MS + offset);
    assert_eq!(parse_http_date_ms(DATE), Some(NOW_MS));
    assert_eq!(at(limits::CLOCK_SKEW_MS), Ok(()));
    assert_eq!(at(-limits::CLOCK_SKEW_MS), Ok(()));
    assert_eq!(at(limits::CLOCK_SKEW_MS + 1), Err(SignatureError::Stale));
    assert_eq!(at(-limits::CLOCK_SKEW_MS - 1), Err(SignatureError::Stale));

    let unreadable = Request::post()
        .with("date", "today")
        .cavage(RSA_SHA256, FULL, rsa);
    assert_eq!(unreadable.verify(&rsa_key()), Err(SignatureError::Stale));

    for ours in ["a.example", "A.Example", "a.example:443"] {
        let request = Request::post()
            .with("host", ours)
            .cavage(RSA_SHA256, FULL, rsa);
        assert_eq!(request.verify(&rsa_key()), Ok(()), "{ours}");
    }
    for other in [
        "c.example",
        "a.example:80",
        "a.example:8443",
        "a.example.",
        "",
    ] {
        let request = Request::post()
            .with("host", other)
            .cavage(RSA_SHA256, FULL, rsa);
        assert_eq!(
            request.verify(&rsa_key()),
            Err(SignatureError::WrongHost),
            "{other}"
        );
    }
}

#[test]
fn a_cavage_header_is_read_strictly() {
    let with = |field: &str| {
        let request = Request::post().with("signature", field);
        present(&request.head()).expect_err("refused")
    };
    let rest = r#"headers="(request-target) host date digest",signature="AAAA""#;
    for malformed in [
        "",
        "keyId",
        r#"keyId="k""#,
        &format!(r#"keyId="",{rest}"#),
        &format!(r#"keyId="k" {rest}"#),
        &format!(r#"keyId="k",{rest},"#),
        &format!(r#"keyId="k,{rest}"#),
        &format!(r#"keyId="k",keyId="l",{rest}"#),
        &format!(r#"keyId="k",headers="host",{rest}"#),
        r#"keyId="k",headers="host",signature="*""#,
        r#"keyId="k",headers="host host",signature="AAAA""#,
        r#"keyId="k",headers="(created)",signature="AAAA""#,
        r#"keyId="k",created=1,headers="(created) (expires)",signature="AAAA""#,
        r#"keyId="k",created=-1,headers="(created)",signature="AAAA""#,
        r#"keyId="k",created=1.5,headers="(created)",signature="AAAA""#,
        r#"keyId="k",created=99999999999999999999,headers="(created)",signature="AAAA""#,
        r#"keyId="k",algorithm="rsa-sha256",created=1,headers="(created)",signature="AAAA""#,
    ] {
        assert!(
            matches!(with(malformed), SignatureError::Malformed(_)),
            "{malformed}"
        );
    }
    for algorithm in ["hmac-sha256", "rsa-sha1", "rsa-sha512", "ed25519", ""] {
        let field = format!(r#"keyId="k",algorithm="{algorithm}",{rest}"#);
        assert_eq!(
            with(&field),
            SignatureError::UnsupportedAlgorithm,
            "{algorithm}"
        );
    }
    let unknown = r#"keyId="k",headers="(request-uri)",signature="AAAA""#;
    assert_eq!(
        with(unknown),
        SignatureError::UnsupportedComponent("(request-uri)".into())
    );

    let many: String = (0..33).map(|n| format!(" x-{n}")).collect();
    let parameters: String = (0..17).map(|n| format!("p{n}=1,")).collect();
    for large in [
        format!(r#"keyId="{}",{rest}"#, "k".repeat(limits::URL_BYTES + 1)),
        format!(r#"keyId="k",headers="{many}",signature="AAAA""#),
        format!(r#"{parameters}keyId="k",{rest}"#),
        format!(r#"keyId="k",x="{}",{rest}"#, "x".repeat(8_192)),
    ] {
        assert_eq!(with(&large), SignatureError::TooLarge, "{large}");
    }

    // Escapes, white space and unknown parameters are part of the grammar.
    let field = format!(r#" keyId = "a\"b\\c" , x=1, y="", {rest} "#);
    let request = Request::post().with("signature", &field);
    let presented = present(&request.head())
        .expect("well-formed")
        .expect("signed");
    assert_eq!(presented.key_id(), r#"a"b\c"#);
}

#[test]
fn two_cavage_signatures_are_ambiguous() {
    let mut request = Request::post().cavage(RSA_SHA256, FULL, rsa);
    let again = request.headers["signature"].clone();
    request.headers.append("signature", again);
    assert!(matches!(
        request.verify(&rsa_key()),
        Err(SignatureError::Malformed(_))
    ));
}

#[test]
fn a_covered_header_must_be_there_and_readable() {
    let request = Request::post()
        .cavage(RSA_SHA256, FULL, rsa)
        .without("date");
    let missing = SignatureError::MissingHeader("date".into());
    assert_eq!(request.verify(&rsa_key()), Err(missing));

    let mut request =
        Request::post().cavage(RSA_SHA256, "(request-target) host date digest x-a", rsa);
    request
        .headers
        .insert("x-a", HeaderValue::from_bytes(b"\xff").expect("opaque"));
    assert!(matches!(
        request.verify(&rsa_key()),
        Err(SignatureError::Malformed(_))
    ));

    // Repeated lines are joined.
    let mut request = Request::post().with("x-a", "1, 2").cavage(
        RSA_SHA256,
        "(request-target) host date digest x-a",
        rsa,
    );
    request
        .headers
        .insert("x-a", HeaderValue::from_static("1 "));
    request.headers.append("x-a", HeaderValue::from_static("2"));
    assert_eq!(request.verify(&rsa_key()), Ok(()));
}

#[test]
fn the_body_must_be_the_one_digested() {
    let sha512 = STANDARD.encode(Sha512::digest(BODY));
    let sha256 = STANDARD.encode(Sha256::digest(BODY));
    let other = STANDARD.encode(Sha256::digest(b"other"));
    for (value, outcome) in [
        (format!("sha-256={sha256}"), Ok(())),
        (format!("SHA-512={sha512}"), Ok(())),
        (format!("md5=x, SHA-256={sha256},SHA-512={sha512}"), Ok(())),
        (
            format!("SHA-256={other}"),
            Err(SignatureError::DigestMismatch),
        ),
        (
            format!("SHA-256={sha256},SHA-512={other}"),
            Err(SignatureError::DigestMismatch),
        ),
        ("md5=x".into(), Err(SignatureError::UnusableDigest)),
        ("SHA-256=*".into(), Err(SignatureError::UnusableDigest)),
        ("SHA-256".into(), Err(SignatureError::UnusableDigest)),
        (String::new(), Err(SignatureError::UnusableDigest)),
    ] {
        let request = Request::post()
            .with("digest", &value)
            .cavage(RSA_SHA256, FULL, rsa);
        assert_eq!(request.verify(&rsa_key()), outcome, "{value}");
    }
    for (value, outcome) in [
        (format!("sha-256=:{sha256}:"), Ok(())),
        (format!("sha-512=:{sha512}:"), Ok(())),
        (
            format!("md5=:AAAA:, sha-256=:{sha256}:, sha-512=:{sha512}:"),
            Ok(()),
        ),
        (
            format!("sha-256=:{other}:"),
            Err(SignatureError::DigestMismatch),
        ),
        (
            format!("sha-256=:{sha256}:, sha-512=:{other}:"),
            Err(SignatureError::DigestMismatch),
        ),
        ("md5=:AAAA:".into(), Err(SignatureError::UnusableDigest)),
        (
            format!("sha-256=\"{sha256}\""),
            Err(SignatureError::UnusableDigest),
        ),
        ("sha-256=()".into(), Err(SignatureError::UnusableDigest)),
        (
            format!("sha-256={sha256}"),
            Err(SignatureError::UnusableDigest),
        ),
    ] {
        let components = ["@method", "@target-uri", "content-digest"];
        let request = Request::post()
            .with("content-digest", &value)
            .rfc9421(&components, &parameters());
        assert_eq!(request.verify(&bob_key()), outcome, "{value}");
    }
    // A GET that signs the digest of a body it has not.
    let get = Request::get()
        .with("digest", &digest(BODY))
        .cavage(RSA_SHA256, FULL, rsa);
    assert_eq!(get.verify(&rsa_key()), Err(SignatureError::DigestMismatch));
    let get = Request::get()
        .with("digest", &digest(b""))
        .cavage(RSA_SHA256, FULL, rsa);
    assert_eq!(get.verify(&rsa_key()), Ok(()));
}

#[test]
fn a_key_of_another_kind_or_owner_is_told_apart() {
    let request = Request::post().cavage(RSA_SHA256, FULL, rsa);
    let mismatch = request.verify(&bob_key()).expect_err("an Ed25519 key");
    assert_eq!(mismatch, SignatureError::KeyMismatch);
    assert!(mismatch.blames_key());
    let request = Request::post().signed();
    assert_eq!(request.verify(&rsa_key()), Err(SignatureError::KeyMismatch));
    let mallory = HttpKey::Ed25519(Ed25519Signer::new(KEY_ID, &[4; 32]).public_key());
    let invalid = request.verify(&mallory).expect_err("another's key");
    assert_eq!(invalid, SignatureError::Invalid);
    assert!(invalid.blames_key());
    assert!(!SignatureError::Stale.blames_key());
    assert_eq!(Refusal::from(invalid).code, Code::BadSignature);
    // A signature of the wrong length.
    let request = Request::post().cavage(HS2019, FULL, |_| vec![0; 63]);
    assert_eq!(request.verify(&bob_key()), Err(SignatureError::Invalid));
}

fn parameters() -> String {
    format!(";created={NOW_S};keyid=\"{KEY_ID}\"")
}

#[test]
fn what_is_signed_here_is_accepted() {
    for request in [Request::post().signed(), Request::get().signed()] {
        assert_eq!(request.verify(&bob_key()), Ok(()));
        let presented = present(&request.head())
            .expect("well-formed")
            .expect("signed");
        assert_eq!(presented.scheme(), Scheme::Rfc9421);
        assert_eq!(presented.algorithm(), Some(Algorithm::Ed25519));
        assert_eq!(presented.key_id(), KEY_ID);
        assert_eq!(
            check(&presented, &request.head(), request.body, NOW_MS),
            Ok(())
        );
    }
    let fragment = sign_rfc9421("GET", "https://a.example/x#y", None, &bob(), NOW_S);
    let plain = sign_rfc9421("GET", "https://a.example/x", None, &bob(), NOW_S);
    assert_eq!(fragment, plain);
    let odd = Ed25519Signer::new("https://b.example/bøb", &[3; 32]);
    for (url, signer, created) in [
        ("https://a.example/ø", &bob(), NOW_S),
        ("https://a.example/a b", &bob(), NOW_S),
        ("https://a.example/", &odd, NOW_S),
    ] {
        let refused = sign_rfc9421("GET", url, None, signer, created);
        assert_eq!(refused, Err(SignError::NotAscii), "{url}");
    }
    let refused = sign_rfc9421("GET", "https://a.example/", None, &bob(), i64::MAX);
    assert_eq!(refused, Err(SignError::Time));
}

#[test]
fn signed_headers_look_like_this() {
    let request = Request::post().without("digest").signed();
    let mut lines: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
        .collect();
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    content-digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
    date: Sun, 05 Jan 2014 21:31:40 GMT
    host: a.example
    signature-input: sig1=("@method" "@target-uri" "content-digest");created=1388957500;keyid="https://b.example/actors/bob#ed25519-1";alg="ed25519"
    signature: sig1=:6fVJqeRr9NLQKrFlbGYTJZ4bK+5aaGb3fpsdkaTzhAmMW5hWuo4eP7qo1GfymGw0EWZDEYzVxZNmGMmmsMMlAw==:
    "#);
    struct Shown(Mutex<String>);
    impl Signer for Shown {
        fn key_id(&self) -> &str {
            KEY_ID
        }
        fn sign(&self, message: &[u8]) -> [u8; 64] {
            let text = String::from_utf8(message.to_vec()).expect("a base is text");
            *self.0.lock().expect("one thread") = text;
            [0; 64]
        }
    }
    let shown = Shown(Mutex::default());
    sign_rfc9421(
        "POST",
        "https://a.example/inbox?a=b",
        Some(BODY),
        &shown,
        NOW_S,
    )
    .expect("signed");
    let base = shown.0.into_inner().expect("one thread");
    insta::assert_snapshot!(base, @r#"
    "@method": POST
    "@target-uri": https://a.example/inbox?a=b
    "content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
    "@signature-params": ("@method" "@target-uri" "content-digest");created=1388957500;keyid="https://b.example/actors/bob#ed25519-1";alg="ed25519"
    "#);
    let older =
        Request::post().cavage_base("(request-target) (created) (expires) host date digest");
    insta::assert_snapshot!(older, @"
    (request-target): post /actors/alice/inbox?from=b
    (created): 1388957500
    (expires): 1388957560
    host: a.example
    date: Sun, 05 Jan 2014 21:31:40 GMT
    digest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=
    ");
}

/// bob's RSA key, as a vault would hold it.
struct MainKey(&'static str);

impl RsaSigner for MainKey {
    fn key_id(&self) -> &str {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(rsa(message))
    }
}

#[test]
fn what_is_signed_here_by_the_older_scheme_is_accepted() {
    let main_key = MainKey("https://b.example/actors/bob#main-key");
    for mut request in [Request::post(), Request::get()] {
        for name in ["date", "digest", "content-digest"] {
            request.headers.remove(name);
        }
        let url = format!("https://a.example{}#there", request.target);
        let signed = sign_cavage(request.method, &url, request.body, &[], &main_key, NOW_MS);
        signed.expect("ASCII").insert_into(&mut request.headers);
        assert_eq!(request.verify(&rsa_key()), Ok(()));
        let presented = present(&request.head()).expect("well-formed");
        let presented = presented.expect("signed");
        assert_eq!(presented.scheme(), Scheme::Cavage);
        assert_eq!(presented.algorithm(), Some(Algorithm::RsaSha256));
        assert_eq!(presented.key_id(), main_key.0);
        request.target.push('x');
        assert_eq!(request.verify(&rsa_key()), Err(SignatureError::Invalid));
    }
    let sign =
        |url: &str, key: &'static str, ms| sign_cavage("GET", url, None, &[], &MainKey(key), ms);
    let refused = [
        sign("https://a.example/\u{f8}", "k", NOW_MS),
        sign("https://a.example/", "k\u{f8}", NOW_MS),
        sign("https://a.example/", "k\"", NOW_MS),
        sign("https://a.example/", "k", i64::MAX),
    ];
    let (ascii, time) = (Err(SignError::NotAscii), Err(SignError::Time));
    assert_eq!(refused, [ascii.clone(), ascii.clone(), ascii, time]);
}

#[test]
fn rfc_9421_is_accepted_with_the_target_or_its_parts() {
    let digest = "content-digest";
    for components in [
        &["@method", "@target-uri", digest][..],
        &["@method", "@authority", "@path", "@query", digest],
        &["@method", "@authority", "@request-target", digest],
        &["@method", "host", "@request-target", digest],
        &[
            digest,
            "@scheme",
            "@query",
            "@path",
            "@authority",
            "@method",
            "date",
            "host",
        ],
    ] {
        let request = Request::post().rfc9421(components, &parameters());
        assert_eq!(request.verify(&bob_key()), Ok(()), "{components:?}");
    }
    let mut unqueried = Request::get();
    unqueried.target = "/actors/alice".into();
    let request = unqueried.rfc9421(&["@method", "@authority", "@path"], &parameters());
    assert_eq!(request.verify(&bob_key()), Ok(()));
}

#[test]
fn rfc_9421_must_cover_what_binds_the_request() {
    let digest = "content-digest";
    for (components, missing) in [
        (&["@target-uri", digest][..], "`@method`"),
        (
            &["@method", "@path", "@query", digest],
            "`@target-uri` or `@authority`",
        ),
        (
            &["@method", "@request-target", digest],
            "`@target-uri` or `@authority`",
        ),
        (
            &["@method", "@authority", "@path", digest],
            "`@target-uri`, or `@path` and `@query`",
        ),
        (
            &["@method", "@authority", "@query", digest],
            "`@target-uri`, or `@path` and `@query`",
        ),
        (&["@method", "@target-uri"], "`content-digest`"),
        (&["@method", "@target-uri", "digest"], "`content-digest`"),
    ] {
        let request = Request::post().rfc9421(components, &parameters());
        let refused = present(&request.head()).expect_err("not enough");
        assert_eq!(
            refused,
            SignatureError::NotCovered(missing),
            "{components:?}"
        );
    }
    let timeless = format!(";keyid=\"{KEY_ID}\"");
    let request = Request::post().rfc9421(&["@method", "@target-uri", digest], &timeless);
    let refused = present(&request.head()).expect_err("no time");
    assert_eq!(
        refused,
        SignatureError::NotCovered("its time, in `created`")
    );
}

#[test]
fn rfc_9421_is_bound_to_our_own_url_and_time() {
    let signed = Request::post().signed();
    let at = |offset| signed.verify_at(&bob_key(), NOW_MS + offset);
    assert_eq!(at(limits::CLOCK_SKEW_MS), Ok(()));
    assert_eq!(at(limits::CLOCK_SKEW_MS + 1), Err(SignatureError::Stale));
    assert_eq!(at(-limits::CLOCK_SKEW_MS - 1), Err(SignatureError::Stale));

    // `Host` is nothing to us unless it is signed, and then it must be ours.
    let elsewhere = Request::post().signed().with("host", "c.example");
    assert_eq!(elsewhere.verify(&bob_key()), Ok(()));
    let components = ["@method", "@target-uri", "content-digest", "host"];
    let elsewhere = Request::post()
        .with("host", "c.example")
        .rfc9421(&components, &parameters());
    assert_eq!(elsewhere.verify(&bob_key()), Err(SignatureError::WrongHost));

    let altered: [fn(&mut Request); 4] = [
        |request| request.origin = Origin::of("https://c.example").expect("an origin"),
        |request| request.origin = Origin::of("http://a.example").expect("an origin"),
        |request| request.target = "/actors/alice/inbox?from=c".into(),
        |request| request.method = "PUT",
    ];
    for alter in altered {
        let mut request = Request::post().signed();
        alter(&mut request);
        assert_eq!(request.verify(&bob_key()), Err(SignatureError::Invalid));
    }
    let expiring = format!("{};expires={}", parameters(), NOW_S + 60);
    let request = Request::post().rfc9421(&["@method", "@target-uri", "content-digest"], &expiring);
    assert_eq!(request.verify_at(&bob_key(), NOW_MS + 60_000), Ok(()));
    assert_eq!(
        request.verify_at(&bob_key(), NOW_MS + 60_001),
        Err(SignatureError::Expired)
    );
}

/// The fault of an RFC 9421 signature given by its two headers.
fn fault(input: &str, signature: &str) -> SignatureError {
    let request = Request::post()
        .with("signature-input", input)
        .with("signature", signature);
    present(&request.head()).expect_err("refused")
}

const INNER: &str = r#"("@method" "@target-uri" "content-digest")"#;

#[test]
fn rfc_9421_headers_are_read_strictly() {
    for input in [
        "",
        "sig=(",
        "sig",
        &format!(r#"sig={INNER};created=1"#),
        &format!(r#"sig={INNER};created=1;keyid="""#),
        &format!(r#"sig={INNER};created=1;keyid=k"#),
        &format!(r#"sig={INNER};created="1";keyid="k""#),
        &format!(r#"sig={INNER};created=1.0;keyid="k""#),
        r#"sig=(method);created=1;keyid="k""#,
        r#"sig=("@method" "@method");created=1;keyid="k""#,
    ] {
        let refused = fault(input, "sig=:AAAA:");
        assert!(matches!(refused, SignatureError::Malformed(_)), "{input}");
    }
    let input = format!(r#"sig={INNER};created=1;keyid="k""#);
    for signature in ["other=:AAAA:", "sig=\"AAAA\"", "sig=:AAAA", "sig=(:AAAA:)"] {
        let refused = fault(&input, signature);
        assert!(
            matches!(refused, SignatureError::Malformed(_)),
            "{signature}"
        );
    }
}

#[test]
fn rfc_9421_components_and_algorithms_are_a_closed_set() {
    for component in [
        "\"@query-param\";name=\"a\"",
        "\"@status\"",
        "\"@signature-params\"",
        "\"content-digest\";sf",
        "\"content-digest\";req",
        "\"Content-Digest\"",
        "\"\"",
    ] {
        let input = format!(r#"sig=({component});created=1;keyid="k""#);
        let refused = fault(&input, "sig=:AAAA:");
        let unsupported = matches!(refused, SignatureError::UnsupportedComponent(_));
        assert!(unsupported, "{component}");
    }
    for algorithm in [
        "rsa-pss-sha512",
        "hmac-sha256",
        "ecdsa-p256-sha256",
        "hs2019",
    ] {
        let input = format!(r#"sig={INNER};created=1;keyid="k";alg="{algorithm}""#);
        assert_eq!(
            fault(&input, "sig=:AAAA:"),
            SignatureError::UnsupportedAlgorithm
        );
    }
}

#[test]
fn rfc_9421_headers_are_bounded() {
    let many: Vec<_> = (0..33).map(|n| format!("\"x-{n}\"")).collect();
    let long = "k".repeat(limits::URL_BYTES + 1);
    let nonce = "n".repeat(8_192);
    for input in [
        format!(r#"sig=({});created=1;keyid="k""#, many.join(" ")),
        format!(r#"sig={INNER};created=1;keyid="{long}""#),
        format!(r#"sig={INNER};created=1;keyid="k";nonce="{nonce}""#),
    ] {
        assert_eq!(fault(&input, "sig=:AAAA:"), SignatureError::TooLarge);
    }
}

#[test]
fn of_many_labels_the_first_acceptable_one_counts() {
    let signed = Request::post().signed();
    let ours = |name: &str| signed.headers[name].to_str().expect("ASCII").to_owned();
    let weak: String = (0..3)
        .map(|n| format!("w{n}=(\"@method\");created=1;keyid=\"w\", "))
        .collect();
    let bytes: String = (0..4).map(|n| format!("w{n}=:AAAA:, ")).collect();
    let request = Request::post()
        .with(
            "signature-input",
            &format!("{weak}{}", ours("signature-input")),
        )
        .with("signature", &format!("{bytes}{}", ours("signature")));
    assert_eq!(request.verify(&bob_key()), Ok(()));

    let fifth = format!(
        "{weak}w3=(\"@method\");created=1;keyid=\"w\", {}",
        ours("signature-input")
    );
    let request = request.with("signature-input", &fifth);
    let refused = present(&request.head()).expect_err("four are looked at");
    assert_eq!(
        refused,
        SignatureError::NotCovered("`@target-uri` or `@authority`")
    );
}

proptest! {
    #[test]
    fn signing_is_verified_and_any_other_body_is_not(
        body in prop::collection::vec(any::<u8>(), 0..200),
        path in "[a-z0-9/._~%:@!$&'()*+,;=-]{0,40}",
        query in prop::option::of("[a-z0-9/?&=%]{0,40}"),
        created in 0..4_000_000_000_i64,
        flip in any::<prop::sample::Index>(),
    ) {
        let target = match query {
            None => format!("/{path}"),
            Some(query) => format!("/{path}?{query}"),
        };
        let origin = Origin::of("https://a.example:8443").expect("an origin");
        let url = format!("{}{target}", origin.as_str());
        let mut headers = HeaderMap::new();
        sign_rfc9421("POST", &url, Some(&body), &bob(), created).expect("ASCII").insert_into(&mut headers);
        let head = RequestHead { method: "POST", origin: &origin, path_and_query: &target, headers: &headers };
        let presented = present(&head).expect("acceptable").expect("signed");
        let judged = |body: &[u8]| verify(&presented, &head, Some(body), &bob_key(), created * 1_000);
        prop_assert!(judged(&body) == Ok(()));
        let mut altered = body.clone();
        altered.push(0);
        prop_assert!(judged(&altered) == Err(SignatureError::DigestMismatch));
        let at = flip.index(altered.len());
        altered.swap_remove(at);
        prop_assert!((judged(&altered) == Ok(())) == (altered == body));
    }

    #[test]
    fn no_header_makes_it_panic(signature in "[ -~]{0,80}", input in prop::option::of("[ -~]{0,80}")) {
        let mut request = Request::post().with("signature", &signature);
        if let Some(input) = input {
            request = request.with("signature-input", &input);
        }
        if let Ok(Some(presented)) = present(&request.head()) {
            prop_assert!(verify(&presented, &request.head(), request.body, &bob_key(), NOW_MS).is_err());
        }
    }
}
