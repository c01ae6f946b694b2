//! What the guarded client sends, follows, reads and gives up, against servers on loopback addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    BodyLimit, ClientOptions, GuardedClient, NameLookup, Request, Response, SystemNames, Transport,
    TransportError,
};
use crate::guard::Guard;

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("its address");
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that ends with its test"
    )]
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn options() -> ClientOptions {
    ClientOptions {
        allow_private_peers: true,
        ..ClientOptions::new("https://here.example")
    }
}

fn client() -> GuardedClient {
    GuardedClient::new(&options()).expect("a client")
}

fn ask(url: String) -> Request {
    Request::get(url, "*/*", BodyLimit::Refuse(1_000))
}

#[derive(Debug, Default)]
struct Names(BTreeMap<&'static str, Vec<IpAddr>>);

impl NameLookup for Names {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self.0.get(host).cloned();
        Box::pin(async { found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)) })
    }
}

async fn echo(headers: HeaderMap) -> String {
    let shown = [
        "user-agent",
        "authorization",
        "signature",
        "accept",
        "x-kept",
    ]
    .map(|name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        format!("{name}: {}\n", value.unwrap_or("-"))
    });
    shown.concat()
}

/// `/hops/N` redirects N times before it answers.
async fn hops(Path(left): Path<usize>) -> (StatusCode, HeaderMap, &'static str) {
    let mut headers = HeaderMap::new();
    let target = match left {
        0 => return (StatusCode::OK, headers, "arrived"),
        left => format!("{}#there", left - 1),
    };
    headers.insert(
        "location",
        HeaderValue::from_str(&target).expect("a header"),
    );
    (StatusCode::FOUND, headers, "")
}

#[tokio::test]
async fn redirects_of_a_get_are_walked_three_times() {
    let address = serve(Router::new().route("/hops/{left}", get(hops))).await;
    let arrived = client()
        .send(ask(format!("http://{address}/hops/3#here")))
        .await
        .expect("an answer");
    assert_eq!(
        (arrived.status, &arrived.body[..]),
        (StatusCode::OK, &b"arrived"[..])
    );
    assert_eq!(arrived.final_url, format!("http://{address}/hops/0"));
    let lost = client().send(ask(format!("http://{address}/hops/4"))).await;
    assert_eq!(
        lost.expect_err("too far"),
        TransportError::Redirect("more redirects than are followed")
    );
}

#[tokio::test]
async fn no_redirect_of_a_post_is_followed() {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&hits);
    let router = Router::new()
        .route(
            "/inbox",
            post(|| async { (StatusCode::TEMPORARY_REDIRECT, [("location", "/other")]) }),
        )
        .route(
            "/other",
            post(move || async move {
                seen.fetch_add(1, Ordering::Relaxed);
            }),
        );
    let address = serve(router).await;
    let request = Request::post(
        format!("http://{address}/inbox"),
        HeaderMap::new(),
        Bytes::from_static(b"{}"),
        BodyLimit::Cut(100),
    );
    let answer = client().send(request).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn each_redirect_is_checked() {
    let router = Router::new()
        .route(
            "/inside",
            get(|| async { (StatusCode::FOUND, [("location", "http://127.0.0.2:1/")]) }),
        )
        .route(
            "/file",
            get(|| async { (StatusCode::FOUND, [("location", "file:///etc/passwd")]) }),
        )
        .route("/nowhere", get(|| async { StatusCode::FOUND }));
    let address = serve(router).await;
    // As if 127.0.0.1 were the only global address.
    let guard = Guard {
        http: true,
        refused_range: |ip| (ip != IpAddr::from(Ipv4Addr::LOCALHOST)).then_some("inside"),
    };
    let client =
        GuardedClient::guarded_by(guard, &options(), Arc::new(SystemNames)).expect("a client");
    let url = |path: &str| format!("http://{address}{path}");

    let inside = client.send(ask(url("/inside"))).await.expect_err("refused");
    assert!(
        matches!(
            &inside,
            TransportError::ForbiddenAddress {
                range: "inside",
                ..
            }
        ),
        "{inside}"
    );
    let file = client.send(ask(url("/file"))).await.expect_err("refused");
    assert!(
        matches!(&file, TransportError::ForbiddenUrl { .. }),
        "{file}"
    );
    let nowhere = client
        .send(ask(url("/nowhere")))
        .await
        .expect_err("refused");
    assert_eq!(nowhere, TransportError::Redirect("no readable Location"));
}

#[tokio::test]
async fn a_redirect_forgets_what_authenticated_the_request() {
    let router = Router::new().route("/echo", get(echo)).route(
        "/same",
        get(|| async { (StatusCode::SEE_OTHER, [("location", "/echo")]) }),
    );
    let address = serve(router).await;
    let client = client();
    let url = |path: &str| format!("http://{address}{path}");
    let mut request = ask(url("/same"));
    for name in ["authorization", "signature", "x-kept"] {
        request
            .headers
            .insert(name, HeaderValue::from_static("given"));
    }
    let direct = client
        .send(Request {
            url: url("/echo"),
            ..request.clone()
        })
        .await
        .expect("an answer");
    let redirected = client.send(request).await.expect("an answer");
    let page = format!(
        "{}---\n{}",
        String::from_utf8_lossy(&direct.body),
        String::from_utf8_lossy(&redirected.body)
    );
    insta::assert_snapshot!(page, @r"
    user-agent: fedsx/0.1.0 (+https://here.example/)
    authorization: given
    signature: given
    accept: */*
    x-kept: given
    ---
    user-agent: fedsx/0.1.0 (+https://here.example/)
    authorization: -
    signature: -
    accept: */*
    x-kept: given
    ");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound() {
    let chunked = || async {
        let chunks = (0..11).map(|_| Ok::<_, io::Error>(Bytes::from_static(&[b'a'; 100])));
        axum::body::Body::from_stream(futures_util::stream::iter(chunks))
    };
    let router = Router::new()
        .route("/fits", get(|| async { "a".repeat(1_000) }))
        .route("/announced", get(|| async { "a".repeat(1_001) }))
        .route("/chunked", get(chunked));
    let address = serve(router).await;
    let fits = client()
        .send(ask(format!("http://{address}/fits")))
        .await
        .expect("an answer");
    assert_eq!(fits.body.len(), 1_000);
    for path in ["announced", "chunked"] {
        let request = ask(format!("http://{address}/{path}"));
        let cut = Request {
            limit: BodyLimit::Cut(1_000),
            ..request.clone()
        };
        let large = client().send(request).await.expect_err("too large");
        assert_eq!(large, TransportError::TooLarge(1_000));
        assert!(!large.is_host_failure());
        assert_eq!(
            client().send(cut).await.expect("an answer").body.len(),
            1_000
        );
    }
}

#[tokio::test]
async fn the_deadline_covers_the_whole_exchange() {
    let slow_body = || async {
        let first = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"a"))]);
        let never = futures_util::stream::pending();
        axum::body::Body::from_stream(futures_util::StreamExt::chain(first, never))
    };
    let router = Router::new()
        .route(
            "/never",
            get(|| async { std::future::pending::<()>().await }),
        )
        .route("/slow", get(slow_body));
    let address = serve(router).await;
    let timeout = Duration::from_millis(100);
    let client = GuardedClient::new(&ClientOptions {
        timeout,
        ..options()
    })
    .expect("a client");
    for path in ["never", "slow"] {
        let late = client
            .send(ask(format!("http://{address}/{path}")))
            .await
            .expect_err("late");
        assert_eq!(late, TransportError::Timeout(timeout));
        assert!(late.is_host_failure());
    }
}

#[tokio::test]
async fn requests_past_the_bound_wait_their_turn_and_then_say_so() {
    let address = serve(Router::new().route("/never", get(std::future::pending::<()>))).await;
    let timeout = Duration::from_millis(100);
    let one = ClientOptions {
        timeout,
        max_concurrent: 1,
        ..options()
    };
    let client = GuardedClient::new(&one).expect("a client");
    let held = client.permits.acquire().await.expect("the permit");
    let busy = client
        .send(ask(format!("http://{address}/never")))
        .await
        .expect_err("busy");
    assert_eq!(busy, TransportError::Busy { retry_after_s: 30 });
    drop(held);
    let late = client
        .send(ask(format!("http://{address}/never")))
        .await
        .expect_err("late");
    assert_eq!(late, TransportError::Timeout(timeout));
}

#[tokio::test]
async fn names_are_judged_by_what_they_resolve_to() {
    let address = serve(Router::new().route("/", get(|| async { "inside" }))).await;
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let names = Arc::new(Names(BTreeMap::from([
        ("rebound.example", vec![loopback]),
        (
            "mapped.example",
            vec!["::ffff:127.0.0.1".parse().expect("an address")],
        ),
        ("peer.test", vec![loopback]),
    ])));
    let guarded = ClientOptions {
        allow_private_peers: false,
        ..options()
    };
    let guarded = GuardedClient::with_names(&guarded, names.clone()).expect("a client");
    for host in ["rebound.example", "mapped.example"] {
        let url = format!("https://{host}:{}/", address.port());
        let refused = guarded.send(ask(url)).await.expect_err("refused");
        assert!(
            refused.is_forbidden() && refused.is_host_failure(),
            "{refused}"
        );
        assert!(
            matches!(&refused, TransportError::ForbiddenAddress { host: named, .. } if named == host)
        );
    }
    let unknown = guarded
        .send(ask("https://unknown.example/".to_owned()))
        .await;
    assert!(matches!(
        unknown.expect_err("unknown"),
        TransportError::Dns(_)
    ));

    let open = GuardedClient::with_names(&options(), names).expect("a client");
    let url = format!("http://peer.test:{}/", address.port());
    assert_eq!(open.send(ask(url)).await.expect("an answer").body, "inside");
}

#[tokio::test]
async fn failures_of_a_host_are_told_apart() {
    let address = serve(Router::new()).await;
    let tls = client()
        .send(ask(format!("https://{address}/")))
        .await
        .expect_err("no TLS");
    assert!(matches!(tls, TransportError::Tls(_)), "{tls:?}");
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        listener.local_addr().expect("its address")
    };
    let refused = client()
        .send(ask(format!("http://{closed}/")))
        .await
        .expect_err("closed");
    assert!(matches!(refused, TransportError::Connect(_)), "{refused:?}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let hangs_up = listener.local_addr().expect("its address");
    #[expect(
        clippy::disallowed_methods,
        reason = "a server that ends with its test"
    )]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let broken = client()
        .send(ask(format!("http://{hangs_up}/")))
        .await
        .expect_err("hung up");
    assert!(matches!(broken, TransportError::Broken(_)), "{broken:?}");
    for failure in [tls, refused, broken] {
        assert!(failure.is_host_failure());
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // Sun, 06 Nov 1994 08:49:37 GMT.
    let now_ms = 784_111_777_000;
    let table = [
        ("120", Some(120)),
        (" 0 ", Some(0)),
        ("99999999999999", Some(u32::MAX)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ("-1", None),
        ("soon", None),
        ("", None),
    ];
    for (text, expected) in table {
        let value = HeaderValue::from_static(text);
        let response = Response {
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers: HeaderMap::from_iter([(http::header::RETRY_AFTER, value)]),
            body: Bytes::new(),
            final_url: String::new(),
        };
        assert_eq!(response.retry_after_s(now_ms), expected, "{text}");
    }
}
