//! The network as instances see it: a transport whose requests lie in a list until the world takes them up.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fedsx_core::http_signature::Scheme;
use fedsx_core::notation::{self, Notation};
use fedsx_core::value::{Map, Value};
use fedsx_discovery::client::{Request, Response, Transport, TransportError};
use fedsx_store::simulation::Dice;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::oneshot;

/// What a request comes to.
pub(crate) type Answered = Result<Response, TransportError>;

/// A request on its way out.
pub(crate) struct Outgoing {
    /// Which instance sends it.
    pub(crate) from: usize,
    /// Signed, as it stands on the wire.
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Answered>,
}

/// The requests of one life of an instance.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) outgoing: Arc<Mutex<Vec<Outgoing>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.from)
    }
}

impl Transport for Link {
    fn send(&self, request: Request) -> BoxFuture<'_, Answered> {
        Box::pin(async move {
            let headers = request.headers_for(&request.url, Scheme::Rfc9421)?;
            let (reply, answer) = oneshot::channel();
            self.outgoing.lock().expect("one thread").push(Outgoing {
                from: self.from,
                request: Request {
                    headers,
                    signed_by: None,
                    ..request
                },
                reply,
            });
            let broken = || TransportError::Broken("the world ended".to_owned());
            answer.await.unwrap_or_else(|_| Err(broken()))
        })
    }
}

/// What an instance answers.
pub(crate) fn response(
    url: &str,
    status: u16,
    retry_after_s: Option<u32>,
    body: Option<&Map>,
) -> Response {
    let mut headers = HeaderMap::new();
    let media_type = HeaderValue::from_static(match url.contains("/.well-known/webfinger") {
        true => "application/jrd+json",
        false => "application/activity+json",
    });
    headers.insert(header::CONTENT_TYPE, media_type);
    if let Some(seconds) = retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Response {
        status: StatusCode::from_u16(status).expect("a status"),
        headers,
        body: body.map(json).unwrap_or_default(),
        final_url: url.to_owned(),
    }
}

pub(crate) fn json(map: &Map) -> Bytes {
    Bytes::from(notation::write(Notation::Json, &Value::Map(map.clone())))
}

/// What a forger makes of an activity on its way: other words under its proof, the same without any, another actor's
/// name on it, or another audience.
pub(crate) fn forged(body: &Bytes, others: &[String], dice: &mut Dice) -> Bytes {
    let mut map = notation::read_document(Notation::Json, body, 1 << 20).expect("what was sent");
    match dice.below(4) {
        0 => map.insert("summary", "what nobody said"),
        1 => {
            map.remove("proof");
            map.insert("summary", "what nobody said")
        }
        2 => map.insert("actor", others[dice.below(others.len())].as_str()),
        _ => {
            let everybody = "https://www.w3.org/ns/activitystreams#Public";
            map.insert("cc", vec![everybody])
        }
    };
    json(&map)
}
