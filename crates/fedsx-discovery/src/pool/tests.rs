//! Who waits for whom, and who pays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;

use super::{Fetcher, PoolOptions, Purpose};
use crate::client::{BodyLimit, Request, Response, Transport, TransportError};

/// Answers once `gate` lets it, and counts how many requests were inside at once.
#[derive(Debug)]
struct Gated {
    gate: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Gated {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(open),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }
}

impl Transport for Gated {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.gate.acquire().await.expect("an open gate").forget();
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(Response {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                final_url: request.url,
            })
        })
    }
}

fn inbound(source: &str) -> Purpose {
    Purpose::Inbound {
        source: source.parse().expect("an address"),
    }
}

fn ask(url: &str) -> Request {
    Request::get(url, "*/*", BodyLimit::Cut(1))
}

fn fetcher(transport: &Arc<Gated>, options: PoolOptions) -> Fetcher {
    Fetcher::new(transport.clone(), options, Arc::new(|| 0))
}

#[tokio::test]
async fn two_at_once_go_to_one_host_and_few_in_all() {
    for (hosts, most) in [(1, 2), (8, 5)] {
        let transport = Gated::new(1_000);
        let options = PoolOptions {
            concurrent: 5,
            ..PoolOptions::default()
        };
        let fetcher = fetcher(&transport, options);
        let urls: Vec<_> = (0..40)
            .map(|n| format!("https://h{}.example/{n}", n % hosts))
            .collect();
        let sent = urls
            .iter()
            .map(|url| fetcher.send(ask(url), inbound("1.2.3.4")));
        assert!(join_all(sent).await.iter().all(Result::is_ok));
        assert_eq!(transport.most.load(Ordering::SeqCst), most);
    }
}

#[tokio::test]
async fn our_own_fetches_wait_behind_none_of_theirs() {
    let transport = Gated::new(0);
    let options = PoolOptions {
        concurrent: 1,
        wait: Duration::from_millis(20),
        ..PoolOptions::default()
    };
    let fetcher = fetcher(&transport, options);
    let stuck = fetcher.send(ask("https://a.example/"), inbound("1.2.3.4"));
    let others = async {
        let second = fetcher
            .send(ask("https://b.example/"), inbound("1.2.3.4"))
            .await;
        assert_eq!(
            second.expect_err("no place"),
            TransportError::Busy { retry_after_s: 30 }
        );
        // One for each of the two that are inside.
        transport.gate.add_permits(2);
        fetcher.send(ask("https://b.example/"), Purpose::Own).await
    };
    let (stuck, own) = futures_util::future::join(stuck, others).await;
    assert!(stuck.is_ok() && own.is_ok());
}
