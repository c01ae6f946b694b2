//! What a refused request is answered with: problem details (RFC 9457).
//!
//! The members are `type` (`urn:fedsx:refusal:CODE`, an opaque name that is compared and never
//! looked up), `title` (the code in words), `status`, `detail` (what was wrong with this request),
//! `code` (the refusal's stable code) and `requestId` (which our log lines carry too). Invariant:
//! every answer of 400 and above is one of these, whoever made it, but for the Tombstone that answers 410
//! where something was deleted. A route only says *what* it
//! refuses; the text is written in one place, in `rendered`, where the request's id is known.
//! Deliberately absent: the cause of a failure of ours, which is logged and never sent.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use fedsx_core::canonical::jcs_map;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::StateError;
use fedsx_core::value::Map;
use fedsx_store::ReadError;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};

use crate::request_id::RequestId;

/// A refusal on its way to the peer.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Refusal);

impl Problem {
    /// A problem of that code.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Refusal::new(code, detail))
    }

    /// Nothing there that the reader may know of.
    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing at this address")
    }

    /// Our own failure: `cause` is logged, and the peer learns that it was ours.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(Code::Internal, "this server failed; its log says why")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        Self::internal(&error)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status(self.0.code);
        response.extensions_mut().insert(self.0);
        response
    }
}

/// In the extensions of an answer whose body is what is to be said, whatever its status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaysItself;

/// The refusal that an answer carries; `None` for an answer that is none.
pub(crate) fn refusal_of(response: &mut Response) -> Option<Refusal> {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<SaysItself>().is_some() {
        return None;
    }
    let carried = response.extensions_mut().remove::<Refusal>();
    Some(carried.unwrap_or_else(|| of_status(status)))
}

/// The answer to a refused request. Of what `response` said before, `Allow` and the like are kept.
pub(crate) fn rendered(
    mut response: Response,
    refusal: &Refusal,
    id: RequestId,
    is_head: bool,
) -> Response {
    let code = refusal.code;
    let mut members: Map = [
        ("type", format!("urn:fedsx:refusal:{}", refusal.code_text())),
        ("title", title(code)),
        ("detail", refusal.detail.clone()),
        ("code", refusal.code_text().into_owned()),
        ("requestId", id.to_string()),
    ]
    .into();
    members.insert("status", i64::from(code.http_status()));
    let body = jcs_map(&members);

    *response.status_mut() = status(code);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(scheme) = challenge(code) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    *response.body_mut() = if is_head {
        Body::empty()
    } else {
        Body::from(body)
    };
    response
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.http_status()).expect("every code's status is a valid one")
}

/// What the router itself answered, as a refusal.
fn of_status(status: StatusCode) -> Refusal {
    match status {
        StatusCode::NOT_FOUND => Problem::not_found().0,
        StatusCode::METHOD_NOT_ALLOWED => Refusal::new(
            Code::MethodNotAllowed,
            "the header Allow lists the methods of this address",
        ),
        _ if status.is_client_error() => {
            Refusal::new(Code::Malformed, "the request's target can't be read")
        }
        _ => Problem::internal(&status).0,
    }
}

/// RFC 9110, section 11.6.1: a 401 says how one could have shown who one is.
const fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenRequired => Some("Bearer"),
        Code::BadSignature | Code::NoActiveKey => Some("Signature"),
        _ => None,
    }
}

/// The code in words: `Bad signature`.
fn title(code: Code) -> String {
    let mut words = code.as_str().replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestIds;

    #[test]
    fn every_code_has_an_answer() {
        for code in Code::ALL {
            let refusal = Refusal::new(code, "why").retry_after(9);
            let mut carried = Problem(refusal.clone()).into_response();
            assert_eq!(refusal_of(&mut carried), Some(refusal.clone()), "{code}");
            let id = RequestIds::new(0).next(0);
            let response = rendered(carried, &refusal, id, false);
            assert_eq!(response.status().as_u16(), code.http_status(), "{code}");
            let is_401 = response.status() == StatusCode::UNAUTHORIZED;
            assert_eq!(
                response.headers().contains_key(WWW_AUTHENTICATE),
                is_401,
                "{code}"
            );
            assert_eq!(response.headers()[RETRY_AFTER], "9", "{code}");
        }
        assert_eq!(title(Code::NoSuchActor), "No such actor");
    }

    #[test]
    fn a_good_answer_is_no_refusal() {
        assert_eq!(refusal_of(&mut Response::new(Body::empty())), None);
    }
}
