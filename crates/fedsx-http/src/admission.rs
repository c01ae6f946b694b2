//! Who is let in how often: the rate limit per address, before anything of a request is looked at.
//!
//! Design, section 5, stage 1. Each address has a budget of posts and one of everything else. Invariant:
//! behind this layer a request's [`Remote`] is its client's address, whatever proxies stand between.
//! A request that is refused is not read, so refusing costs next to nothing. Deliberately absent: blocked
//! hosts, which are known by what is signed and not by address; and a limit for this machine's own programs,
//! unless loopback is not trusted.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_discovery::budget::{AddressBudget, Rate};
use futures_util::future::Either;
use http::Method;
use ipnet::IpNet;
use tower::{Layer, Service};

use crate::forwarded;
use crate::problem::Problem;
use crate::serve::Remote;
use crate::surface::Clock;

/// Lets requests in.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Gate>);

struct Gate {
    trusted: Vec<IpNet>,
    posts: Option<AddressBudget>,
    reads: Option<AddressBudget>,
    clock: Clock,
}

impl Admission {
    /// Believes those proxies, and lets each address post and read so often; `None` is no limit.
    pub(crate) fn new(
        trusted: Vec<IpNet>,
        posts: Option<Rate>,
        reads: Option<Rate>,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Gate {
            trusted,
            posts: posts.map(AddressBudget::new),
            reads: reads.map(AddressBudget::new),
            clock,
        }))
    }
}

impl Gate {
    fn admit(self: &Arc<Self>, request: &mut Request) -> Result<(), Refusal> {
        // Only a request that came over no socket has no address.
        let Some(Remote(peer)) = request.extensions().get().copied() else {
            return Ok(());
        };
        let client = forwarded::client(peer, request.headers(), &self.trusted);
        request.extensions_mut().insert(Remote(client.address));
        let budget = match *request.method() {
            Method::POST => &self.posts,
            _ => &self.reads,
        };
        let Some(budget) = budget.as_ref().filter(|_| !client.is_trusted) else {
            return Ok(());
        };
        budget
            .spend(client.address, (self.clock)())
            .map_err(limited)?;
        if *request.method() == Method::POST {
            let (gate, address) = (Arc::clone(self), client.address);
            request.extensions_mut().insert(Charge { gate, address });
        }
        Ok(())
    }
}

/// In the extensions of a POST of an address that is limited: who pays for what it brings.
#[derive(Clone)]
pub(crate) struct Charge {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Charge {
    /// Takes so many more.
    ///
    /// # Errors
    /// `rate-limited`.
    pub(crate) fn more(&self, count: usize) -> Result<(), Refusal> {
        match &self.gate.posts {
            Some(budget) if count > 0 => budget
                .spend_many(self.address, count, (self.gate.clock)())
                .map_err(limited),
            _ => Ok(()),
        }
    }
}

fn limited(seconds: u32) -> Refusal {
    let detail = "too many requests come from your address";
    Refusal::new(Code::RateLimited, detail).retry_after(seconds)
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted {
            inner,
            gate: Arc::clone(&self.0),
        }
    }
}

/// A route behind the limit.
#[derive(Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request> for Admitted<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match self.gate.admit(&mut request) {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refusal) => Either::Left(ready(Ok(Problem(refusal).into_response()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use axum::body::Body;
    use axum::routing::post;
    use axum::{Extension, Router};
    use http::StatusCode;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use tower::ServiceExt as _;

    use super::*;
    use crate::request_id::RequestIds;
    use crate::surface::Surface;

    /// A route that says by whom it was asked, surrounded as all are, and the time.
    struct Gated {
        router: Router,
        now_ms: Arc<AtomicI64>,
    }

    impl Gated {
        fn new(trusted: Vec<IpNet>, posts: Option<Rate>, reads: Option<Rate>) -> Self {
            let now_ms = Arc::new(AtomicI64::new(0));
            let clock = Arc::clone(&now_ms);
            let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
            let who = |remote: Option<Extension<Remote>>| async move {
                remote.map_or_else(String::new, |Extension(Remote(address))| {
                    address.to_string()
                })
            };
            let surface = Surface {
                ids: Arc::new(RequestIds::new(0)),
                clock: Arc::clone(&clock),
                metrics: Arc::default(),
            };
            let router = Router::new()
                .route("/", post(who).get(who))
                .layer(Admission::new(trusted, posts, reads, clock))
                .layer(surface);
            Self { router, now_ms }
        }

        async fn answer(&self, method: &str, peer: &str, forwarded: Option<&str>) -> Response {
            let mut request = Request::builder().method(method).uri("/");
            if let Some(forwarded) = forwarded {
                request = request.header("x-forwarded-for", forwarded);
            }
            let mut request = request.body(Body::empty()).expect("a request");
            if let Ok(peer) = peer.parse() {
                request.extensions_mut().insert(Remote(peer));
            }
            let router = self.router.clone();
            router.oneshot(request).await.expect("infallible")
        }

        /// Who asked, or when to come again.
        async fn ask(&self, method: &str, peer: &str, forwarded: Option<&str>) -> String {
            let answer = self.answer(method, peer, forwarded).await;
            if answer.status() != StatusCode::OK {
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                let after = answer.headers()[RETRY_AFTER].to_str().expect("text");
                return format!("in {after} s");
            }
            text(answer).await
        }
    }

    async fn text(answer: Response) -> String {
        let body = axum::body::to_bytes(answer.into_body(), 999).await;
        String::from_utf8(body.expect("in memory").into()).expect("text")
    }

    fn rate(per_minute: u32, burst: u32) -> Option<Rate> {
        Some(Rate { per_minute, burst })
    }

    #[tokio::test]
    async fn posts_and_reads_have_a_budget_each() {
        let gated = Gated::new(Vec::new(), rate(60, 2), rate(60, 3));
        let (a, b) = ("127.0.0.1", "192.0.2.1");
        for (method, burst) in [("POST", 2), ("GET", 3)] {
            for _ in 0..burst {
                assert_eq!(gated.ask(method, a, None).await, a);
            }
            assert_eq!(gated.ask(method, a, None).await, "in 1 s");
            assert_eq!(gated.ask(method, b, None).await, b);
        }
        assert_eq!(gated.ask("HEAD", a, None).await, "in 1 s");
        gated.now_ms.store(1_000, Ordering::Relaxed);
        assert_eq!(gated.ask("POST", a, None).await, a);
    }

    #[tokio::test]
    async fn the_client_behind_a_proxy_pays_and_the_proxy_does_not() {
        let gated = Gated::new(forwarded::loopback(), rate(1, 1), None);
        let (proxy, a, b) = ("127.0.0.1", "192.0.2.1", "192.0.2.2");
        assert_eq!(gated.ask("POST", proxy, Some(a)).await, a);
        let limited = "in 60 s";
        assert_eq!(gated.ask("POST", proxy, Some(a)).await, limited);
        assert_eq!(gated.ask("POST", a, Some(b)).await, limited, "no proxy");
        assert_eq!(gated.ask("POST", proxy, Some(b)).await, b);
        for _ in 0..3 {
            assert_eq!(gated.ask("POST", proxy, None).await, proxy);
            assert_eq!(gated.ask("GET", a, None).await, a, "no limit");
            assert_eq!(gated.ask("POST", "no socket", Some(a)).await, "");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_a_problem_that_says_when_to_come_again() {
        let gated = Gated::new(Vec::new(), rate(2, 1), None);
        gated.answer("POST", "192.0.2.1", None).await;
        let answer = gated.answer("POST", "192.0.2.1", None).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[RETRY_AFTER], "30");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        let problem = text(answer).await;
        assert!(problem.contains("\"code\":\"rate-limited\""), "{problem}");
    }
}
