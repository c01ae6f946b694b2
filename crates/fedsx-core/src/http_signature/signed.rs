//! What signing a request comes to, in either scheme: headers that go with it.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Why a request can't be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// The key id or the target is no printable ASCII, so no header can carry it.
    #[error("the key id and the target URL must be printable ASCII")]
    NotAscii,
    /// The time lies outside what a header can carry.
    #[error("the time is out of range")]
    Time,
    /// The key did not sign.
    #[error("the key can't sign")]
    Key,
}

/// The headers that make a request a signed one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SignedHeaders(Vec<(HeaderName, HeaderValue)>);

impl SignedHeaders {
    pub(super) fn add(&mut self, name: HeaderName, value: String) -> Result<(), SignError> {
        let value = HeaderValue::try_from(value).map_err(|_| SignError::NotAscii)?;
        self.0.push((name, value));
        Ok(())
    }

    /// Sets the headers, in the place of any that were there.
    pub fn insert_into(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            headers.insert(name, value);
        }
    }
}

/// The URL as it is requested: without a fragment.
pub(super) fn requested(target_uri: &str) -> Result<&str, SignError> {
    let target_uri = target_uri.split('#').next().unwrap_or_default();
    match target_uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(target_uri),
        false => Err(SignError::NotAscii),
    }
}
