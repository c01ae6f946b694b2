//! The guarded client: the one way out to peers, as a [`Transport`].
//!
//! Invariant: nothing is sent to a URL or an address that [`crate::guard`] refuses, neither at first
//! nor after a redirect, and no answer is read past the request's bound or the deadline. Redirects
//! are walked by hand, at most [`REDIRECTS`] on GET and none on POST. Deliberately absent: proxies of the
//! environment, cookies, automatic retries of what may have arrived, certificates of the system; and keys:
//! who signs a request comes with it (`signing`).
//! Source: design section 9.4.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fedsx_core::address::Origin;
use fedsx_core::time::parse_http_date_ms;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;
use url::Url;

use crate::guard::Guard;

mod error;
mod names;
mod signing;

pub use error::TransportError;
pub use names::{NameLookup, SystemNames};
pub use signing::{OlderKey, SignRequests, Unsent, Unsigned};

/// Redirects followed on one GET.
pub const REDIRECTS: usize = 3;

/// Sends requests to peers. The tests' simulator hands in one that works in memory.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends `request` and reads the answer within the request's bound.
    ///
    /// # Errors
    /// [`TransportError`] when no whole answer came; an answer of any HTTP status is no error.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;
}

/// A request to a peer.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: Method,
    /// An absolute URL.
    pub url: String,
    /// Headers beside `Host`, `User-Agent` and `Content-Length`, which are set when sending.
    pub headers: HeaderMap,
    /// The body; empty on GET.
    pub body: Bytes,
    /// How much of an answer is read.
    pub limit: BodyLimit,
    /// Who signs it, for each URL that it is sent to.
    pub signed_by: Option<Arc<dyn SignRequests>>,
    /// The headers that are signed too where they are there, in lower case.
    pub covered: &'static [&'static str],
}

impl Request {
    /// A GET of `url` that accepts the media types `accept`.
    #[must_use]
    pub fn get(url: impl Into<String>, accept: &'static str, limit: BodyLimit) -> Self {
        let accept = HeaderValue::from_static(accept);
        Self {
            method: Method::GET,
            url: url.into(),
            headers: HeaderMap::from_iter([(http::header::ACCEPT, accept)]),
            body: Bytes::new(),
            limit,
            signed_by: None,
            covered: &[],
        }
    }

    /// A POST of `body` to `url`.
    #[must_use]
    pub fn post(url: impl Into<String>, headers: HeaderMap, body: Bytes, limit: BodyLimit) -> Self {
        Self {
            method: Method::POST,
            url: url.into(),
            headers,
            body,
            limit,
            signed_by: None,
            covered: &[],
        }
    }

    /// The request, signed by `signer`.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<dyn SignRequests>) -> Self {
        self.signed_by = Some(signer);
        self
    }

    /// The request, its signature covering these headers as well, in lower case, where they are there.
    #[must_use]
    pub const fn covering(mut self, names: &'static [&'static str]) -> Self {
        self.covered = names;
        self
    }
}

/// What happens to an answer's body past so many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLimit {
    /// [`TransportError::TooLarge`].
    Refuse(usize),
    /// The rest is left unread: enough of an inbox's answer to show it.
    Cut(usize),
}

/// The answer of a peer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within the request's limit.
    pub body: Bytes,
    /// The URL that answered, after redirects, without a fragment.
    pub final_url: String,
}

impl Response {
    /// What `Retry-After` says, seconds or a date (RFC 9110, section 10.2.3); `None` when it says nothing
    /// that can be read.
    #[must_use]
    pub fn retry_after_s(&self, now_ms: i64) -> Option<u32> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.parse().unwrap_or(u32::MAX));
        }
        let wait_ms = parse_http_date_ms(text)?.saturating_sub(now_ms).max(0);
        u32::try_from(wait_ms.div_euclid(1_000)).ok()
    }
}

/// What the client is told once.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Names the software and this instance's URL.
    pub user_agent: String,
    /// Allows plain http and every address: development only.
    pub allow_private_peers: bool,
    /// The deadline of one request, its redirects included.
    pub timeout: Duration,
    /// Requests under way at once, in the whole instance.
    pub max_concurrent: usize,
    /// Idle connections kept per host.
    pub idle_per_host: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Which hosts are not dialled, whatever they are.
    pub bar: Bar,
}

/// Which hosts, by their authorities, are not dialled.
#[derive(Clone)]
pub struct Bar(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Bar {
    /// Those of which `is_barred` says so.
    pub fn new(is_barred: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_barred))
    }

    fn check(&self, url: &Url) -> Result<(), TransportError> {
        let host = Origin::of(url.as_str());
        if host.is_some_and(|host| (self.0)(host.authority())) {
            return Err(TransportError::ForbiddenUrl {
                url: url.as_str().chars().take(200).collect(),
                reason: "its host is blocked here",
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bar(…)")
    }
}

impl ClientOptions {
    /// The usual options of the instance at `base_url`.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        Self {
            user_agent: format!("fedsx/{} (+{base_url}/)", env!("CARGO_PKG_VERSION")),
            allow_private_peers: false,
            timeout: Duration::from_secs(10),
            max_concurrent: 320,
            idle_per_host: 8,
            idle_timeout: Duration::from_secs(60),
            bar: Bar::new(|_| false),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The user agent cannot stand in a header.
    #[error("the user agent cannot stand in a header")]
    UserAgent,
    /// The HTTP or TLS library refuses its settings.
    #[error("the HTTP client cannot be built")]
    Build(#[from] reqwest::Error),
}

/// What a URL answers.
enum Hop {
    Answer(Response),
    Redirect(Url),
}

/// The client that asks [`crate::guard`] first.
#[derive(Debug)]
pub struct GuardedClient {
    http: reqwest::Client,
    guard: Guard,
    bar: Bar,
    user_agent: HeaderValue,
    timeout: Duration,
    permits: Semaphore,
    schemes: signing::Schemes,
}

impl GuardedClient {
    /// A client that resolves names as the system does.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        Self::with_names(options, Arc::new(SystemNames))
    }

    /// A client that resolves names by `names`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn with_names(
        options: &ClientOptions,
        names: Arc<dyn NameLookup>,
    ) -> Result<Self, ClientError> {
        Self::guarded_by(Guard::new(options.allow_private_peers), options, names)
    }

    fn guarded_by(
        guard: Guard,
        options: &ClientOptions,
        names: Arc<dyn NameLookup>,
    ) -> Result<Self, ClientError> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|certificate| reqwest::Certificate::from_der(certificate))
            .collect::<Result<Vec<_>, _>>()?;
        let http = reqwest::Client::builder()
            .tls_certs_only(roots)
            .dns_resolver(names::GuardedResolver { guard, names })
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .pool_max_idle_per_host(options.idle_per_host)
            .pool_idle_timeout(options.idle_timeout)
            .build()?;
        Ok(Self {
            http,
            guard,
            bar: options.bar.clone(),
            user_agent: HeaderValue::from_str(&options.user_agent)
                .map_err(|_| ClientError::UserAgent)?,
            timeout: options.timeout,
            permits: Semaphore::new(options.max_concurrent.max(1)),
            schemes: signing::Schemes::default(),
        })
    }

    async fn exchange(&self, mut request: Request) -> Result<Response, TransportError> {
        let mut url = self.guard.check(&request.url)?;
        self.bar.check(&url)?;
        request
            .headers
            .entry(USER_AGENT)
            .or_insert_with(|| self.user_agent.clone());
        for _ in 0..=REDIRECTS {
            url.set_fragment(None);
            let target = match self.hop(&url, &request).await? {
                Hop::Answer(response) => return Ok(response),
                Hop::Redirect(target) => target,
            };
            url = self.guard.check(target.as_str())?;
            self.bar.check(&url)?;
            forget_credentials(&mut request.headers);
        }
        Err(TransportError::Redirect("more redirects than are followed"))
    }

    /// One request to one URL, with these headers.
    async fn ask(
        &self,
        url: &Url,
        request: &Request,
        headers: HeaderMap,
    ) -> Result<Hop, TransportError> {
        let sent = self
            .http
            .request(request.method.clone(), url.clone())
            .headers(headers);
        let sent = if request.method == Method::GET {
            sent
        } else {
            sent.body(request.body.clone())
        };
        let response = sent.send().await.map_err(|error| self.judge(&error))?;
        Ok(match redirect_target(&response, &request.method, url)? {
            Some(target) => Hop::Redirect(target),
            None => Hop::Answer(read(response, url.clone(), request.limit).await?),
        })
    }

    fn judge(&self, error: &reqwest::Error) -> TransportError {
        let refused = causes(error).find_map(|cause| cause.downcast_ref::<TransportError>());
        if let Some(refused) = refused {
            return refused.clone();
        }
        let detail = causes(error)
            .last()
            .map_or_else(String::new, ToString::to_string);
        if error.is_timeout() {
            TransportError::Timeout(self.timeout)
        } else if error.is_dns() {
            TransportError::Dns(detail)
        } else if error.is_connect() {
            // A failed handshake is an I/O error of invalid data around the TLS library's own.
            let tls = causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
            if tls
                .into_iter()
                .any(|io| io.kind() == std::io::ErrorKind::InvalidData)
            {
                TransportError::Tls(detail)
            } else {
                TransportError::Connect(detail)
            }
        } else {
            TransportError::Broken(detail)
        }
    }
}

impl Transport for GuardedClient {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let permit = tokio::time::timeout(self.timeout, self.permits.acquire()).await;
            let Ok(Ok(_permit)) = permit else {
                return Err(TransportError::Busy { retry_after_s: 30 });
            };
            tokio::time::timeout(self.timeout, self.exchange(request))
                .await
                .unwrap_or(Err(TransportError::Timeout(self.timeout)))
        })
    }
}

/// The error and what caused it, outermost first. An I/O error's `source` skips the error it wraps,
/// so that one is asked for by itself.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        match error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::get_ref)
        {
            Some(Some(wrapped)) => Some(wrapped),
            _ => error.source(),
        }
    })
}

/// Where a GET is redirected to; `None` when this is the answer.
fn redirect_target(
    response: &reqwest::Response,
    method: &Method,
    url: &Url,
) -> Result<Option<Url>, TransportError> {
    if *method != Method::GET || !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
    {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or(TransportError::Redirect("no readable Location"))?;
    let target = url.join(location);
    target
        .map(Some)
        .map_err(|_| TransportError::Redirect("Location is no URL"))
}

/// What authenticates a request to one URL says nothing, and too much, at another.
fn forget_credentials(headers: &mut HeaderMap) {
    for name in [
        AUTHORIZATION,
        HeaderName::from_static("signature"),
        HeaderName::from_static("signature-input"),
    ] {
        headers.remove(name);
    }
}

async fn read(
    mut response: reqwest::Response,
    url: Url,
    limit: BodyLimit,
) -> Result<Response, TransportError> {
    let (BodyLimit::Refuse(most) | BodyLimit::Cut(most)) = limit;
    let refuse = matches!(limit, BodyLimit::Refuse(_));
    let announced = response.content_length().unwrap_or(0);
    if refuse && usize::try_from(announced).map_or(true, |announced| announced > most) {
        return Err(TransportError::TooLarge(most));
    }
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| TransportError::Broken(error.to_string()))?
    {
        let room = most - body.len();
        if chunk.len() > room {
            if refuse {
                return Err(TransportError::TooLarge(most));
            }
            body.extend_from_slice(&chunk[..room]);
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response {
        status,
        headers,
        body: body.freeze(),
        final_url: url.into(),
    })
}

#[cfg(test)]
mod tests;
