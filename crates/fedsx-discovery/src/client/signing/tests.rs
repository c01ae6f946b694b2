//! Which signatures a host is shown, and what is remembered of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request as Asked, State};
use axum::response::{IntoResponse, Response as Told};
use fedsx_core::http_signature::{sign_cavage, sign_rfc9421};
use fedsx_core::key::{Ed25519Signer, RsaSigner};

use super::super::{BodyLimit, ClientOptions, Transport};
use super::*;

/// An actor with keys; without the older one where it is told so.
#[derive(Debug)]
struct Alice {
    has_rsa: bool,
}

struct MainKey;

impl RsaSigner for MainKey {
    fn key_id(&self) -> &'static str {
        "https://here.example/actors/alice#main-key"
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(message.to_vec())
    }
}

impl SignRequests for Alice {
    fn sign(&self, scheme: Scheme, request: &Unsent<'_>) -> Result<SignedHeaders, Unsigned> {
        let Unsent {
            method,
            url,
            body,
            fields,
        } = *request;
        let now_s = 1_767_225_600;
        match scheme {
            Scheme::Rfc9421 => {
                let key =
                    Ed25519Signer::new("https://here.example/actors/alice#ed25519-1", &[1; 32]);
                Ok(sign_rfc9421(method, url, body, &key, now_s)?)
            }
            Scheme::Cavage if self.has_rsa => Ok(sign_cavage(
                method,
                url,
                body,
                fields,
                &MainKey,
                now_s * 1_000,
            )?),
            Scheme::Cavage => Err(Unsigned::Key("there is none".to_owned())),
        }
    }
}

/// A host that takes one scheme, or none, and tells the others why not.
#[derive(Clone)]
struct Host {
    takes: Arc<Mutex<Option<Scheme>>>,
    refusal: (StatusCode, &'static str),
    /// The path and the scheme of each request.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn start(takes: Option<Scheme>, status: u16, text: &'static str) -> (Self, SocketAddr) {
        let host = Self {
            takes: Arc::new(Mutex::new(takes)),
            refusal: (StatusCode::from_u16(status).expect("a status"), text),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(host.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("its address");
        #[expect(
            clippy::disallowed_methods,
            reason = "a server that ends with its test"
        )]
        tokio::spawn(async move { axum::serve(listener, router).await });
        (host, address)
    }

    fn takes(&self, scheme: Scheme) {
        *self.takes.lock().expect("no panic inside") = Some(scheme);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic inside"))
    }
}

async fn answer(State(host): State<Host>, asked: Asked) -> Told {
    let headers = asked.headers();
    let scheme = match (headers.get("signature"), headers.get("signature-input")) {
        (None, _) => None,
        (Some(_), None) => Some(Scheme::Cavage),
        (Some(_), Some(_)) => Some(Scheme::Rfc9421),
    };
    let path = asked.uri().path();
    let line = format!("{} {path} {scheme:?}", asked.method());
    host.asked.lock().expect("no panic inside").push(line);
    if path == "/moved" {
        return (StatusCode::FOUND, [("location", "/there")]).into_response();
    }
    let takes = *host.takes.lock().expect("no panic inside");
    match takes {
        Some(takes) if Some(takes) == scheme => "taken".into_response(),
        _ => host.refusal.into_response(),
    }
}

fn client() -> GuardedClient {
    GuardedClient::new(&ClientOptions {
        allow_private_peers: true,
        ..ClientOptions::new("https://here.example")
    })
    .expect("a client")
}

fn get(address: SocketAddr, path: &str, has_rsa: bool) -> Request {
    let url = format!("http://{address}{path}");
    Request::get(url, "*/*", BodyLimit::Refuse(1_000)).signed_by(Arc::new(Alice { has_rsa }))
}

#[tokio::test]
async fn a_host_that_knows_the_older_scheme_alone_is_asked_twice_once() {
    let (host, address) = Host::start(Some(Scheme::Cavage), 401, "").await;
    let client = client();
    let send = async |request: Request| client.send(request).await.expect("an answer");
    assert_eq!(&send(get(address, "/a", true)).await.body[..], b"taken");
    let rfc9421 = "GET /a Some(Rfc9421)".to_owned();
    assert_eq!(host.asked(), [rfc9421, "GET /a Some(Cavage)".to_owned()]);

    let (headers, body) = (HeaderMap::new(), bytes::Bytes::from_static(b"{}"));
    let url = format!("http://{address}/inbox");
    let post = Request::post(url, headers, body, BodyLimit::Cut(10));
    let post = post.signed_by(Arc::new(Alice { has_rsa: true }));
    assert_eq!(send(post).await.status, StatusCode::OK);
    assert_eq!(host.asked(), ["POST /inbox Some(Cavage)"]);

    // It is updated, and that is found out.
    host.takes(Scheme::Rfc9421);
    assert_eq!(send(get(address, "/b", true)).await.status, StatusCode::OK);
    assert_eq!(send(get(address, "/c", true)).await.status, StatusCode::OK);
    let asked = [
        "GET /b Some(Cavage)",
        "GET /b Some(Rfc9421)",
        "GET /c Some(Rfc9421)",
    ];
    assert_eq!(host.asked(), asked);
}

#[tokio::test]
async fn only_what_may_be_the_signature_is_asked_again() {
    let told = [
        (401, "", 2),
        (403, "Request not signed: bad Signature", 2),
        (400, r#"{"error":"signature verification failed"}"#, 2),
        (403, "you are not welcome", 1),
        (400, "no JSON", 1),
        (404, "signature", 1),
        (500, "signature", 1),
    ];
    for (status, text, times) in told {
        let (host, address) = Host::start(None, status, text).await;
        let answer = client()
            .send(get(address, "/a", true))
            .await
            .expect("an answer");
        assert_eq!(answer.status.as_u16(), status, "{text}");
        assert_eq!(answer.body, text);
        assert_eq!(host.asked().len(), times, "{status} {text}");
    }
    // Nobody signs, or not in the older scheme.
    let (host, address) = Host::start(None, 401, "").await;
    let mut unsigned = get(address, "/a", true);
    unsigned.signed_by = None;
    for request in [unsigned, get(address, "/a", false)] {
        let answer = client().send(request).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(host.asked(), ["GET /a None", "GET /a Some(Rfc9421)"]);
}

#[tokio::test]
async fn a_redirect_is_signed_anew() {
    let (host, address) = Host::start(Some(Scheme::Rfc9421), 401, "").await;
    let answer = client().send(get(address, "/moved", true)).await;
    assert_eq!(&answer.expect("an answer").body[..], b"taken");
    let asked = ["GET /moved Some(Rfc9421)", "GET /there Some(Rfc9421)"];
    assert_eq!(host.asked(), asked);
}

/// An actor of whose RSA keys a host may go by one or another.
#[derive(Debug)]
struct Rotated;

/// A key of that name, whose signature is its name.
#[derive(Debug)]
struct Named(&'static str);

impl RsaSigner for Named {
    fn key_id(&self) -> &str {
        MainKey.key_id()
    }

    fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.into())
    }
}

impl SignRequests for Named {
    fn sign(&self, _: Scheme, request: &Unsent<'_>) -> Result<SignedHeaders, Unsigned> {
        let Unsent { method, url, .. } = *request;
        Ok(sign_cavage(method, url, None, &[], self, 0)?)
    }
}

impl SignRequests for Rotated {
    fn sign(&self, scheme: Scheme, request: &Unsent<'_>) -> Result<SignedHeaders, Unsigned> {
        Alice { has_rsa: false }.sign(scheme, request)
    }

    fn older_keys(&self) -> Vec<OlderKey> {
        let key = |name: &'static str| OlderKey {
            id: MainKey.key_id().to_owned(),
            fingerprint: Digest::of(name.as_bytes()),
            signer: Arc::new(Named(name)),
        };
        ["former", "present", "ancient"]
            .into_iter()
            .map(key)
            .collect()
    }
}

/// A host that goes by the key of one name, and by which names it was asked.
#[derive(Clone, Default)]
struct ByName {
    goes_by: Arc<Mutex<&'static str>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn answer_by_name(State(host): State<ByName>, asked: Asked) -> Told {
    let signature = asked.headers()["signature"].to_str().expect("text");
    // In Base64.
    let names = [
        ("former", "Zm9ybWVy"),
        ("present", "cHJlc2VudA=="),
        ("ancient", "YW5jaWVudA=="),
    ];
    let known = names.iter().find(|(_, text)| signature.contains(text));
    let name = known.map_or("rfc9421", |(name, _)| name);
    host.asked
        .lock()
        .expect("no panic inside")
        .push(name.to_owned());
    match name == *host.goes_by.lock().expect("no panic inside") {
        true => "taken".into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[tokio::test]
async fn each_key_that_a_host_may_go_by_is_shown_until_it_takes_one_and_that_is_remembered() {
    let host = ByName::default();
    let router = Router::new()
        .fallback(answer_by_name)
        .with_state(host.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("its address");
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that ends with its test"
    )]
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = client();
    let asked = async |goes_by| {
        *host.goes_by.lock().expect("no panic inside") = goes_by;
        let url = format!("http://{address}/inbox");
        let request = Request::get(url, "*/*", BodyLimit::Refuse(1_000));
        let answer = client.send(request.signed_by(Arc::new(Rotated))).await;
        let is_taken = answer.expect("an answer").status.is_success();
        let asked = std::mem::take(&mut *host.asked.lock().expect("no panic inside"));
        (asked.join(" "), is_taken)
    };
    let mut told = Vec::new();
    for goes_by in ["former", "former", "present", "present", "ancient", "none"] {
        told.push(format!("{goes_by}: {:?}", asked(goes_by).await));
    }
    insta::assert_snapshot!(told.join("\n"));
}
