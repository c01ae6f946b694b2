//! The query of a request's target: plain `name=value` pairs, percent-encoded (RFC 3986, section
//! 3.4). A `+` stands for itself, as WebFinger (RFC 7033, section 4.1) wants it. The first of
//! repeated names counts.

use std::borrow::Cow;

use fedsx_core::refusal::{Code, Refusal};
use http::Uri;
use percent_encoding::percent_decode_str;

/// The query of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The query of a target.
    pub(crate) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// The value of `name`; the empty text when it stands without one.
    ///
    /// # Errors
    /// `malformed`, when the value is not UTF-8.
    pub(crate) fn value(self, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
        let found = self
            .0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name);
        let Some((_, value)) = found else {
            return Ok(None);
        };
        percent_decode_str(value)
            .decode_utf8()
            .map(Some)
            .map_err(|_| {
                Refusal::new(
                    Code::Malformed,
                    format!("the parameter `{name}` is not UTF-8"),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let uri = Uri::from_static("/x?page&resource=acct%3Aa+b%40c&limit=5&limit=6&bad=%ff");
        let query = Query::of(&uri);
        let value = |name| query.value(name).map(|value| value.map(Cow::into_owned));
        assert_eq!(value("page"), Ok(Some(String::new())));
        assert_eq!(value("resource"), Ok(Some("acct:a+b@c".to_owned())));
        assert_eq!(value("limit"), Ok(Some("5".to_owned())));
        assert_eq!(value("since"), Ok(None));
        assert_eq!(value("bad").expect_err("no UTF-8").code, Code::Malformed);
    }
}
