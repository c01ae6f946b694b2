//! Signed requests, and the second knock: a host that takes no RFC 9421 signature is asked once more in the older
//! scheme, and which of the two it took is remembered.
//!
//! Invariant: a request is signed for the URL it is sent to, so that a redirect is signed anew; a host is asked
//! once for each key that it may go by, and remembered is which one it took: an actor's key of the older scheme has
//! one id for ever, and a host that has not heard of a new one goes by the one before. Deliberately absent: keys.
//! Whoever signs ([`SignRequests`]) is handed in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fedsx_core::address::Origin;
use fedsx_core::cid::Digest;
use fedsx_core::http_signature::{Scheme, SignError, SignedHeaders};
use http::{HeaderMap, Method, StatusCode};
use quick_cache::sync::Cache;
use tokio::time::Instant;
use url::Url;

use super::{GuardedClient, Hop, Request, Response, TransportError};

/// Hosts of which it is remembered that they take the older scheme.
const HOSTS: usize = 4_096;
/// How long that is remembered: hosts are updated.
const REMEMBERED: Duration = Duration::from_hours(6);
/// How much of an answer's body is searched for why it is one, bytes.
const SEARCHED: usize = 4_096;

/// Signs requests as one actor.
pub trait SignRequests: Send + Sync + fmt::Debug {
    /// The headers that sign this request in that scheme.
    ///
    /// # Errors
    /// [`Unsigned`].
    fn sign(&self, scheme: Scheme, request: &Unsent<'_>) -> Result<SignedHeaders, Unsigned>;

    /// The keys of the older scheme by which hosts may go, in the order in which they are shown to one of which
    /// nothing is known; none where there is but one, as which [`SignRequests::sign`] signs.
    fn older_keys(&self) -> Vec<OlderKey> {
        Vec::new()
    }
}

/// One of several keys that go by one id.
#[derive(Clone, Debug)]
pub struct OlderKey {
    /// That id.
    pub id: String,
    /// What tells it from the others.
    pub fingerprint: Digest,
    /// Signs with it.
    pub signer: Arc<dyn SignRequests>,
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsent<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// The body, where it may have one.
    pub body: Option<&'a [u8]>,
    /// Headers that are signed too: their names in lower case, and values.
    pub fields: &'a [(&'a str, &'a str)],
}

/// Why a request can't be signed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsigned {
    /// It can't be signed in this form.
    #[error(transparent)]
    Request(#[from] SignError),
    /// The key is not to be had.
    #[error("the key is not to be had: {0}")]
    Key(String),
}

impl Request {
    /// The headers as they are sent to `url`: signed in that scheme, where somebody signs.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub fn headers_for(&self, url: &str, scheme: Scheme) -> Result<HeaderMap, Unsigned> {
        let mut headers = self.headers.clone();
        if let Some(signer) = &self.signed_by {
            let field =
                |name: &&'static str| Some((*name, self.headers.get(*name)?.to_str().ok()?));
            let fields: Vec<_> = self.covered.iter().filter_map(field).collect();
            let unsent = Unsent {
                fields: &fields,
                method: self.method.as_str(),
                url,
                body: (self.method != Method::GET).then_some(&self.body),
            };
            signer.sign(scheme, &unsent)?.insert_into(&mut headers);
        }
        Ok(headers)
    }
}

/// Which hosts take the older scheme alone, and until when that is believed; and which key of it they took, by host
/// and id.
#[derive(Debug)]
pub(super) struct Schemes {
    older: Cache<String, Instant>,
    keys: Cache<(String, String), Digest>,
}

impl Default for Schemes {
    fn default() -> Self {
        Self {
            older: Cache::new(HOSTS),
            keys: Cache::new(HOSTS),
        }
    }
}

impl Schemes {
    fn of(&self, host: &str) -> Scheme {
        match self.older.get(host) {
            Some(until) if Instant::now() < until => Scheme::Cavage,
            _ => Scheme::Rfc9421,
        }
    }

    fn remember(&self, host: String, scheme: Scheme) {
        match scheme {
            Scheme::Cavage => self.older.insert(host, Instant::now() + REMEMBERED),
            Scheme::Rfc9421 => {
                self.older.remove(&host);
            }
        }
    }
}

impl GuardedClient {
    /// Asks one URL. Where it takes no signature of the scheme that its host is believed to take, the other is
    /// tried.
    pub(super) async fn hop(&self, url: &Url, request: &Request) -> Result<Hop, TransportError> {
        let host = Origin::of(url.as_str()).map(|origin| origin.authority().to_owned());
        let host = host.filter(|_| request.signed_by.is_some());
        let Some(host) = host else {
            return self.ask(url, request, request.headers.clone()).await;
        };
        let scheme = self.schemes.of(&host);
        let told = self.knock(url, request, &host, scheme).await?;
        if !told.refuses_signature() {
            return Ok(told);
        }
        let other = match scheme {
            Scheme::Rfc9421 => Scheme::Cavage,
            Scheme::Cavage => Scheme::Rfc9421,
        };
        let again = match self.knock(url, request, &host, other).await {
            Err(TransportError::Unsigned(error)) => {
                tracing::debug!(host, %error, "no second knock");
                return Ok(told);
            }
            again => again?,
        };
        if again.refuses_signature() {
            // Not for the scheme, then; what it said to the usual one is the answer.
            return Ok(told);
        }
        if again.is_taken() {
            tracing::debug!(host, scheme = ?other, "takes another scheme of signatures");
            self.schemes.remember(host, other);
        }
        Ok(again)
    }

    /// Asks in one scheme, by each key of it that the host may go by until it takes one.
    async fn knock(
        &self,
        url: &Url,
        request: &Request,
        host: &str,
        scheme: Scheme,
    ) -> Result<Hop, TransportError> {
        let several = match (&request.signed_by, scheme) {
            (Some(signer), Scheme::Cavage) => signer.older_keys(),
            _ => Vec::new(),
        };
        let Some(first) = several.first() else {
            let headers = request.headers_for(url.as_str(), scheme)?;
            return self.ask(url, request, headers).await;
        };
        let which = (host.to_owned(), first.id.clone());
        let taken = self.schemes.keys.get(&which);
        let is_taken = |key: &&OlderKey| taken.as_ref() == Some(&key.fingerprint);
        let (known, others): (Vec<_>, Vec<_>) = several.iter().partition(is_taken);
        let mut refused = None;
        for key in known.into_iter().chain(others) {
            let signed = request.clone().signed_by(Arc::clone(&key.signer));
            let headers = signed.headers_for(url.as_str(), scheme)?;
            let told = self.ask(url, request, headers).await?;
            if !told.refuses_signature() {
                if told.is_taken() {
                    self.schemes.keys.insert(which, key.fingerprint);
                }
                return Ok(told);
            }
            refused.get_or_insert(told);
        }
        Ok(refused.expect("each of them refused"))
    }
}

impl Hop {
    /// Whether the signature is what it was refused for, as far as that is to be told.
    fn refuses_signature(&self) -> bool {
        match self {
            Self::Answer(response) => refuses_signature(response),
            Self::Redirect(_) => false,
        }
    }

    fn is_taken(&self) -> bool {
        match self {
            Self::Answer(response) => response.status.is_success(),
            Self::Redirect(_) => true,
        }
    }
}

fn refuses_signature(response: &Response) -> bool {
    match response.status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            let searched = &response.body[..response.body.len().min(SEARCHED)];
            let told = String::from_utf8_lossy(searched).to_ascii_lowercase();
            told.contains("signature")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
