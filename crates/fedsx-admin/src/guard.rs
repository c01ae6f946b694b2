//! What every request passes: a request id, a line in the log, and the bearer token (RFC 6750) for
//! everything below `/fedsx.`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use fedsx_core::refusal::{Code, Refusal};
use tracing::Instrument as _;

use crate::proto::PACKAGE;
use crate::refused;

/// The header of the request id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id taken from a caller, bytes.
const REQUEST_ID_BYTES: usize = 64;

/// The secret that a caller shows.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token; who has it may do everything.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// Whether `given` is the token; takes the same time wherever they differ.
    fn is(&self, given: &[u8]) -> bool {
        let have = self.0.as_bytes();
        let same_length = have.len() == given.len();
        let differs = have.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        !have.is_empty() && same_length && differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What the guard needs.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    token: Token,
    ids: Arc<RequestIds>,
}

impl Guard {
    /// A guard; `started_ms` makes its request ids differ from those of an earlier process.
    pub(crate) fn new(token: Token, started_ms: i64) -> Self {
        Self {
            token,
            ids: Arc::new(RequestIds {
                started_ms,
                next: AtomicU64::new(1),
            }),
        }
    }
}

#[derive(Debug)]
struct RequestIds {
    started_ms: i64,
    next: AtomicU64,
}

impl RequestIds {
    /// The caller's id when it is printable and short, else a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let fits = |id: &&HeaderValue| {
            let bytes = id.as_bytes();
            (1..=REQUEST_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        headers
            .get(&REQUEST_ID)
            .filter(fits)
            .cloned()
            .unwrap_or_else(|| {
                let n = self.next.fetch_add(1, Ordering::Relaxed);
                HeaderValue::try_from(format!("a{:x}-{n}", self.started_ms))
                    .expect("hexadecimal digits are a header value")
            })
    }
}

/// The middleware.
pub(crate) async fn pass(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let id = guard.ids.of(request.headers());
    let path = request.uri().path();
    let shown = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("admin", request_id = %shown, path = %path);
    let guarded = path.get(1..).is_some_and(|path| path.starts_with(PACKAGE));
    let allowed = !guarded || is_allowed(&guard.token, request.headers());
    let mut response = async {
        let response = if allowed {
            next.run(request).await
        } else {
            refused::status(&Refusal::new(
                Code::TokenRequired,
                "this needs the admin token: `authorization: Bearer …` with the token of admin.json",
            ))
            .into_http()
        };
        tracing::debug!(http_status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn is_allowed(token: &Token, headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let bearer = given.and_then(|value| {
        let (scheme, rest) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
    });
    bearer.is_some_and(|given| token.is(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new("secret");
        let with = |value: &str| {
            let value = HeaderValue::from_str(value).expect("a header value");
            is_allowed(
                &token,
                &HeaderMap::from_iter([(header::AUTHORIZATION, value)]),
            )
        };
        assert!(with("Bearer secret") && with("bearer secret"));
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer ",
            "secret",
            "Basic secret",
            "",
        ] {
            assert!(!with(wrong), "{wrong}");
        }
        assert!(!Token::new("").is(b""));
        assert!(!is_allowed(&token, &HeaderMap::new()));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_callers_request_id_is_kept_when_it_fits() {
        let ids = RequestIds {
            started_ms: 255,
            next: AtomicU64::new(1),
        };
        let with = |id: &str| {
            let id = HeaderValue::from_str(id).expect("a header value");
            ids.of(&HeaderMap::from_iter([(REQUEST_ID, id)]))
        };
        assert_eq!(with("mine-1"), "mine-1");
        assert_eq!(with("two words"), "aff-1");
        assert_eq!(with(&"x".repeat(65)), "aff-2");
        assert_eq!(ids.of(&HeaderMap::new()), "aff-3");
    }
}
