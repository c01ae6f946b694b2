//! The load: HTTP/1.1 over connections that are kept alive, written by hand so that it takes as
//! little as it can of the processors that it shares with the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What came of a round.
#[derive(Debug)]
pub(crate) struct Round {
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Of each request, milliseconds.
    pub(crate) latencies_ms: Vec<f64>,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies_ms.len() as f64 / self.took.as_secs_f64()
    }
}

/// A whole request as it goes over the wire.
pub(crate) fn request(path: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/activity+json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from([head.as_bytes(), body].concat())
}

/// Sends each request once, by so many connections, one after the other on each. Every answer must be
/// 202 and `accepted`.
pub(crate) async fn drive(
    address: SocketAddr,
    requests: Vec<Bytes>,
    connections: usize,
) -> anyhow::Result<Round> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("nobody answers at {address}"))?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        streams.push(stream);
    }
    let work = Arc::new((requests, AtomicUsize::new(0)));
    let mut all = JoinSet::new();
    let begun = Instant::now();
    for stream in streams {
        all.spawn(converse(stream, Arc::clone(&work)));
    }
    let mut latencies_ms = Vec::with_capacity(work.0.len());
    while let Some(ended) = all.join_next().await {
        latencies_ms.extend(ended.context("a connection panicked")??);
    }
    Ok(Round {
        took: begun.elapsed(),
        latencies_ms,
    })
}

async fn converse(
    mut stream: TcpStream,
    work: Arc<(Vec<Bytes>, AtomicUsize)>,
) -> anyhow::Result<Vec<f64>> {
    let (requests, next) = &*work;
    let mut latencies_ms = Vec::new();
    let mut answer = Vec::with_capacity(4_096);
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begun = Instant::now();
        stream
            .write_all(request)
            .await
            .context("the server takes no request")?;
        answer.clear();
        while !is_whole(&answer)? {
            if stream.read_buf(&mut answer).await.context("no answer")? == 0 {
                bail!("the server closed a connection");
            }
        }
        latencies_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let is_accepted = answer.starts_with(b"HTTP/1.1 202") && ends_accepted(&answer);
        if !is_accepted {
            bail!("refused: {}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(latencies_ms)
}

fn ends_accepted(answer: &[u8]) -> bool {
    answer.ends_with(b"\"status\":\"accepted\"}")
}

/// Whether an answer has arrived as a whole.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let length = content_length(&answer[..head]).context("an answer without a length")?;
    Ok(answer.len() >= head + 4 + length)
}

/// The length that a head announces.
pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|&byte| byte == b'\n');
    let line = lines.find(|line| {
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })?;
    let digits = std::str::from_utf8(&line[NAME.len()..]).ok()?;
    digits.trim().parse().ok()
}
