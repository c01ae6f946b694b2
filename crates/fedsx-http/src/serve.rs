//! Accepting connections, HTTP/1.1 (RFC 9112) on each, and the end of both.
//!
//! Invariants: there are never more connections than allowed (the next ones wait in the kernel's
//! queue); one that does not send the head of a request in time is closed, which also ends idle
//! ones; after `stop` nothing new begins, and what has begun is finished or, after the drain time,
//! cut. Deliberately absent: TLS and HTTP/2 (a proxy in front speaks them), and a bound on how
//! slowly an answer may be read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::metrics::Metrics;

/// How long accepting pauses when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The head of a request, bytes.
const HEAD_BYTES: usize = 64 << 10;

/// The bounds of a listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Connections open at a time.
    pub connections: usize,
    /// How long the head of a request may take, and so how long a connection may idle.
    pub head_time: Duration,
    /// How long requests under way may take after `stop`.
    pub drain_time: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections: 4_096,
            head_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(10),
        }
    }
}

/// The address that a request came from, among the request's extensions: the connection's here, and the
/// client's behind the layer of `admission.rs`, which knows the proxies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) IpAddr);

/// Serves `router` on `listener` until `stop`, then finishes what is under way. Says how many
/// connections had to be cut because that took too long.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: Arc<Metrics>,
    options: ServeOptions,
    stop: CancellationToken,
) -> usize {
    let slots = Arc::new(Semaphore::new(options.connections));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .expect("the slots are never closed");
            (accept(&listener).await, slot)
        };
        let ((stream, remote), slot) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = next => next,
        };
        metrics.opened();
        let (router, metrics) = (router.clone(), Arc::clone(&metrics));
        let (stop, cut) = (stop.clone(), cut.clone());
        connections.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = converse(stream, remote, router, options.head_time, stop) => {}
            }
            metrics.closed();
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.drain_time, connections.wait())
        .await
        .is_ok()
    {
        return 0;
    }
    let left = connections.len();
    cut.cancel();
    connections.wait().await;
    left
}

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => return (stream, remote.ip().to_canonical()),
            Err(error) => {
                // A connection that is gone before it was taken is the peer's affair; anything else
                // (no file descriptors) passes only when others end.
                let gone = matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
                );
                if !gone {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn converse(
    stream: TcpStream,
    remote: IpAddr,
    router: Router,
    head_time: Duration,
    stop: CancellationToken,
) {
    // Answers are small and written whole: waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Remote(remote));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %remote, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::{Request, State};
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;
    use crate::body::BodyReader;
    use crate::problem::Problem;
    use crate::request_id::RequestIds;
    use crate::surface::Surface;

    const MAX: usize = 1_000;

    /// Begun and released: a request that lasts until the test lets it go.
    #[derive(Clone, Default)]
    struct Gate(Arc<Notify>, Arc<Notify>);

    async fn echo(request: Request) -> Result<bytes::Bytes, Problem> {
        let (parts, body) = request.into_parts();
        let reader = BodyReader::new(Duration::from_secs(30));
        Ok(reader.read(&parts.headers, body, MAX).await?)
    }

    async fn wait(State(gate): State<Gate>) -> &'static str {
        gate.0.notify_one();
        gate.1.notified().await;
        "let go"
    }

    fn routes(gate: &Gate, metrics: &Arc<Metrics>) -> Router {
        let surface = Surface {
            ids: Arc::new(RequestIds::new(0)),
            clock: Arc::new(|| 0),
            metrics: Arc::clone(metrics),
        };
        Router::new()
            .route("/echo", post(echo))
            .route("/wait", get(wait))
            .with_state(gate.clone())
            .layer(surface)
    }

    /// Runs `client` against a server with these options; says what `serve` said.
    async fn served<F: Future<Output = ()>>(
        options: ServeOptions,
        gate: &Gate,
        client: impl FnOnce(SocketAddr, CancellationToken) -> F,
    ) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, metrics) = (CancellationToken::new(), Arc::default());
        let router = routes(gate, &metrics);
        let server = serve(listener, router, metrics, options, stop.clone());
        let client = async {
            client(address, stop.clone()).await;
            stop.cancel();
        };
        tokio::join!(server, client).0
    }

    async fn sent(address: SocketAddr, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request).await.expect("the server reads");
        stream
    }

    /// What comes until the server closes: the status line and the body.
    async fn answer(mut stream: TcpStream) -> (String, String) {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        (
            head.lines().next().unwrap_or_default().to_owned(),
            body.to_owned(),
        )
    }

    #[tokio::test]
    async fn bodies_are_bounded_on_the_wire() {
        let client = |address, _| async move {
            let head = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
            let request = format!("{head}content-length: 2\r\n\r\nhi");
            let echoed = answer(sent(address, request.as_bytes()).await).await;
            assert_eq!(echoed, ("HTTP/1.1 200 OK".to_owned(), "hi".to_owned()));

            let request = format!(
                "{head}content-length: 100000\r\n\r\n{}",
                "x".repeat(100_000)
            );
            let (status, body) = answer(sent(address, request.as_bytes()).await).await;
            assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
            assert!(body.contains("\"code\":\"too-large\""), "{body}");

            // Who asks before sending is refused before sending.
            let request = format!("{head}expect: 100-continue\r\ncontent-length: 100000\r\n\r\n");
            let (status, _) = answer(sent(address, request.as_bytes()).await).await;
            assert_eq!(status, "HTTP/1.1 413 Payload Too Large");

            let piece = format!("2710\r\n{}\r\n", "x".repeat(10_000));
            let request = format!("{head}transfer-encoding: chunked\r\n\r\n{piece}0\r\n\r\n");
            let (status, _) = answer(sent(address, request.as_bytes()).await).await;
            assert_eq!(status, "HTTP/1.1 413 Payload Too Large");
        };
        assert_eq!(
            served(ServeOptions::default(), &Gate::default(), client).await,
            0
        );
    }

    #[tokio::test]
    async fn a_truncated_body_is_malformed() {
        let client = |address, _| async move {
            let request = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{\"id\"";
            let mut stream = sent(address, request).await;
            stream.shutdown().await.expect("half closed");
            let (status, body) = answer(stream).await;
            assert_eq!(status, "HTTP/1.1 400 Bad Request");
            assert!(body.contains("\"code\":\"malformed\""), "{body}");
        };
        assert_eq!(
            served(ServeOptions::default(), &Gate::default(), client).await,
            0
        );
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        let options = ServeOptions {
            head_time: Duration::from_millis(20),
            connections: 1,
            ..ServeOptions::default()
        };
        let client = |address, _| async move {
            let slow = sent(address, b"POST /echo HTTP/1.1\r\nhost:").await;
            // There is one slot, so this one is served only once the slow one is thrown out.
            let next = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
            let (status, body) = answer(sent(address, next).await).await;
            assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "hi"));
            let (status, _) = answer(slow).await;
            assert!(
                matches!(status.as_str(), "" | "HTTP/1.1 408 Request Timeout"),
                "{status}"
            );
        };
        assert_eq!(served(options, &Gate::default(), client).await, 0);
    }

    #[tokio::test]
    async fn what_is_under_way_is_finished() {
        let gate = Gate::default();
        let client = |address, stop: CancellationToken| {
            let gate = gate.clone();
            async move {
                let stream = sent(address, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
                gate.0.notified().await;
                stop.cancel();
                gate.1.notify_one();
                let (status, body) = answer(stream).await;
                assert_eq!(
                    (status.as_str(), body.as_str()),
                    ("HTTP/1.1 200 OK", "let go")
                );
            }
        };
        assert_eq!(served(ServeOptions::default(), &gate, client).await, 0);
    }

    #[tokio::test]
    async fn what_does_not_finish_is_cut_and_counted() {
        let gate = Gate::default();
        let options = ServeOptions {
            drain_time: Duration::from_millis(20),
            ..ServeOptions::default()
        };
        let client = |address, stop: CancellationToken| {
            let gate = gate.clone();
            async move {
                let stream = sent(address, b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
                gate.0.notified().await;
                stop.cancel();
                assert_eq!(answer(stream).await, (String::new(), String::new()));
            }
        };
        assert_eq!(served(options, &gate, client).await, 1);
    }
}
