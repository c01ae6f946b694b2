//! Reading a request's body: bounded in bytes and in time, while it arrives.
//!
//! A body of one piece, which is nearly every activity, is passed on without a copy. A body past the
//! bound is read on and thrown away for a little while, so that the peer, who writes before it
//! reads, gets to see the answer instead of a broken connection.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use bytes::{Bytes, BytesMut};
use fedsx_core::refusal::{Code, Refusal};
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Bytes past the bound that are read and thrown away.
const SPILL_BYTES: usize = 4 << 20;
/// How long they are waited for.
const SPILL_TIME: Duration = Duration::from_secs(2);

/// A body up to this size is read whatever else is being read, bytes.
const SMALL_BYTES: u64 = 64 << 10;
/// Larger ones, or of unknown size, that are read at the same time: what holds memory down when many
/// connections send as much as they may, slowly.
const LARGE_AT_ONCE: usize = 64;

/// How bodies are read.
#[derive(Debug)]
pub(crate) struct BodyReader {
    /// How long a body may take to arrive.
    time: Duration,
    large: Semaphore,
}

impl BodyReader {
    /// Reads bodies that arrive within `time`.
    pub(crate) fn new(time: Duration) -> Self {
        let large = Semaphore::new(LARGE_AT_ONCE);
        Self { time, large }
    }

    /// Reads a body of at most `max_bytes`.
    ///
    /// # Errors
    /// `too-large`; `malformed` for a body that ends before its time or comes too slowly; `queue-full`
    /// when too many large ones are being read.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        max_bytes: usize,
    ) -> Result<Bytes, Refusal> {
        if announced(headers).is_some_and(|length| length > max_bytes as u64) {
            // Who waits for a `100 Continue` has sent nothing yet and needs none.
            if !headers.contains_key(EXPECT) {
                spill(body.into_data_stream()).await;
            }
            return Err(too_large(max_bytes));
        }
        let is_small = body
            .size_hint()
            .exact()
            .is_some_and(|size| size <= SMALL_BYTES);
        let _large = if is_small {
            None
        } else {
            Some(self.large_one().await?)
        };
        timeout(self.time, gather(body, max_bytes))
            .await
            .unwrap_or_else(|_| {
                let seconds = self.time.as_secs();
                let detail = format!("the body did not arrive within {seconds} s");
                Err(Refusal::new(Code::Malformed, detail))
            })
    }

    async fn large_one(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let permit = timeout(self.time, self.large.acquire())
            .await
            .map_err(|_| {
                let detail = "too many large bodies are being read";
                Refusal::new(Code::QueueFull, detail).retry_after(30)
            })?;
        Ok(permit.expect("it is never closed"))
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn gather(body: Body, max_bytes: usize) -> Result<Bytes, Refusal> {
    // A body without a length has no bound that hyper could keep for us.
    let expected = body.size_hint().exact();
    let mut pieces = body.into_data_stream();
    let first = match pieces.next().await {
        None => return Ok(Bytes::new()),
        Some(piece) => piece.map_err(truncated)?,
    };
    if first.len() <= max_bytes && expected == Some(first.len() as u64) {
        return Ok(first);
    }
    let mut whole = BytesMut::new();
    let mut piece = first;
    loop {
        if whole.len() + piece.len() > max_bytes {
            spill(pieces).await;
            return Err(too_large(max_bytes));
        }
        whole.extend_from_slice(&piece);
        piece = match pieces.next().await {
            None => return Ok(whole.freeze()),
            Some(next) => next.map_err(truncated)?,
        };
    }
}

async fn spill(mut pieces: BodyDataStream) {
    let drained = async {
        let mut left = SPILL_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            let Some(less) = left.checked_sub(piece.len()) else {
                return;
            };
            left = less;
        }
    };
    // Running out of time or bytes only means that the connection is closed on the peer.
    let _ = timeout(SPILL_TIME, drained).await;
}

fn too_large(max_bytes: usize) -> Refusal {
    let detail = format!("the body is longer than {max_bytes} bytes");
    Refusal::new(Code::TooLarge, detail)
}

fn truncated(error: axum::Error) -> Refusal {
    tracing::debug!(%error, "a body broke off");
    Refusal::new(Code::Malformed, "the body ends before its announced length")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    fn in_pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<_, std::io::Error>> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
            .collect();
        Body::from_stream(stream::iter(pieces))
    }

    fn reader() -> BodyReader {
        BodyReader::new(Duration::from_secs(30))
    }

    async fn read_plain(body: Body) -> Result<Bytes, Code> {
        let outcome = reader().read(&HeaderMap::new(), body, 8).await;
        outcome.map_err(|refusal| refusal.code)
    }

    #[tokio::test]
    async fn a_body_is_bounded_whether_announced_or_not() {
        let eight = Bytes::from_static(b"12345678");
        assert_eq!(read_plain(Body::from("12345678")).await, Ok(eight.clone()));
        assert_eq!(
            read_plain(in_pieces(&["1234", "", "5678"])).await,
            Ok(eight)
        );
        assert_eq!(read_plain(Body::empty()).await, Ok(Bytes::new()));
        assert_eq!(
            read_plain(Body::from("123456789")).await,
            Err(Code::TooLarge)
        );
        assert_eq!(
            read_plain(in_pieces(&["12345678", "9"])).await,
            Err(Code::TooLarge)
        );
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("9"))]);
        let refused = reader().read(&announced, Body::from("9"), 8).await;
        assert_eq!(refused.expect_err("too long").code, Code::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken = stream::iter([
            Ok(Bytes::from_static(b"12")),
            Err(std::io::Error::other("the peer is gone")),
        ]);
        assert_eq!(
            read_plain(Body::from_stream(broken)).await,
            Err(Code::Malformed)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stays_away_is_malformed() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read_plain(body).await, Err(Code::Malformed));
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_each_other() {
        let (reader, none) = (reader(), HeaderMap::new());
        let all = u32::try_from(LARGE_AT_ONCE).expect("a small number");
        let taken = reader
            .large
            .acquire_many(all)
            .await
            .expect("it is never closed");
        let busy = reader.read(&none, in_pieces(&["size unknown"]), 99).await;
        assert_eq!(busy.expect_err("none is let in").code, Code::QueueFull);
        let small = reader.read(&none, Body::from("small"), 99).await;
        assert_eq!(small, Ok(Bytes::from_static(b"small")));
        drop(taken);
        let large = reader.read(&none, in_pieces(&["size unknown"]), 99).await;
        assert_eq!(large, Ok(Bytes::from_static(b"size unknown")));
    }
}
