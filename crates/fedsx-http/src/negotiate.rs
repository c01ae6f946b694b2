//! Which notation a body came in and which one an answer goes out in.
//!
//! RFC 9110, sections 8.3 (`Content-Type`) and 12.5.1 (`Accept`); the media types are those of the
//! design, section 2. A browser names `*/*` beside `text/html`, so it is answered with JSON. What is
//! malformed in an `Accept` is passed over, as the RFC allows. Deliberately absent: HTML, languages
//! and encodings.

use std::borrow::Cow;

use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// The profile that makes JSON-LD an ActivityStreams document.
const ACTIVITY_STREAMS: &str = "https://www.w3.org/ns/activitystreams";
/// Media ranges looked at in one request.
const RANGES: usize = 32;

/// A media type that a document is answered in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Media {
    /// `application/activity+json`.
    ActivityJson,
    /// `application/ld+json` with the profile of ActivityStreams.
    LdJson,
    /// `application/json`.
    Json,
    /// `application/sx`.
    Sx,
    /// `application/cbor`.
    Cbor,
}

/// What an ActivityStreams document is offered in, the server's favourite first.
pub(crate) const DOCUMENT: &[Media] = &[
    Media::ActivityJson,
    Media::LdJson,
    Media::Json,
    Media::Sx,
    Media::Cbor,
];
/// What a document that is no ActivityStreams one is offered in.
pub(crate) const PLAIN: &[Media] = &[Media::Json, Media::Sx, Media::Cbor];

impl Media {
    /// The value of `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::ActivityJson => "application/activity+json",
            Self::LdJson => {
                "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\""
            }
            Self::Json => "application/json",
            Self::Sx => "application/sx",
            Self::Cbor => "application/cbor",
        }
    }

    /// The notation that it is written in.
    pub(crate) const fn notation(self) -> Notation {
        match self {
            Self::ActivityJson | Self::LdJson | Self::Json => Notation::Json,
            Self::Sx => Notation::Sx,
            Self::Cbor => Notation::Cbor,
        }
    }

    const fn subtype(self) -> &'static str {
        match self {
            Self::ActivityJson => "activity+json",
            Self::LdJson => "ld+json",
            Self::Json => "json",
            Self::Sx => "sx",
            Self::Cbor => "cbor",
        }
    }
}

/// The notation of a request's body.
///
/// # Errors
/// `media-type`, when the body is in none of ours.
pub(crate) fn received(headers: &HeaderMap) -> Result<Notation, Refusal> {
    let refuse = |what: &str| {
        Err(Refusal::new(
            Code::MediaType,
            format!(
                "{what}: expected application/activity+json, application/ld+json, application/json, application/sx or application/cbor"
            ),
        ))
    };
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return refuse("the request names no Content-Type");
    };
    let Ok(text) = value.to_str() else {
        return refuse("the Content-Type is not plain text");
    };
    let mut parts = split_unquoted(text, b';');
    let essence = parts.next().unwrap_or_default();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    let notation =
        if is("application/activity+json") || is("application/ld+json") || is("application/json") {
            Notation::Json
        } else if is("application/sx") {
            Notation::Sx
        } else if is("application/cbor") {
            Notation::Cbor
        } else {
            return refuse("the Content-Type is none that is read here");
        };
    let utf8 = |name: &str, value: &str| {
        !name.eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
    };
    if parts
        .filter_map(parameter)
        .all(|(name, value)| utf8(name, &value))
    {
        Ok(notation)
    } else {
        refuse("the charset is not UTF-8")
    }
}

/// The media type to answer in: of those offered the one with the highest quality; among equals one
/// that the client named goes before one that a wildcard took in, and then the server's order counts.
///
/// # Errors
/// `not-acceptable`, which lists what is offered.
pub(crate) fn answered(headers: &HeaderMap, offered: &[Media]) -> Result<Media, Refusal> {
    let ranges: Vec<Range> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| split_unquoted(text, b','))
        .filter_map(Range::of)
        .take(RANGES)
        .collect();
    if ranges.is_empty() {
        return Ok(offered[0]);
    }
    let mut best: Option<(Media, (u16, bool))> = None;
    for &media in offered {
        let closest = ranges
            .iter()
            .filter_map(|range| Some((range.closeness(media)?, range.quality)))
            .max_by_key(|&(closeness, _)| closeness);
        let Some((closeness, quality)) = closest else {
            continue;
        };
        let rank = (quality, closeness >= Closeness::Named);
        if quality > 0 && best.is_none_or(|(_, so_far)| rank > so_far) {
            best = Some((media, rank));
        }
    }
    best.map(|(media, _)| media).ok_or_else(|| {
        let list: Vec<_> = offered.iter().map(|media| media.content_type()).collect();
        Refusal::new(
            Code::NotAcceptable,
            format!("nothing in Accept fits; offered are {}", list.join(", ")),
        )
    })
}

/// Whether `If-None-Match` (RFC 9110, section 13.1.2) names this entity tag.
pub(crate) fn is_unchanged(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else {
        return false;
    };
    headers
        .get_all(http::header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| split_unquoted(text, b','))
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// How closely a media range fits a media type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    Type,
    Named,
    Profiled,
}

/// One media range of an `Accept`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    profile: Option<Cow<'a, str>>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = split_unquoted(text, b';');
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self {
            kind,
            subtype,
            profile: None,
            quality: 1_000,
        };
        for (name, value) in parts.filter_map(parameter) {
            if name.eq_ignore_ascii_case("q") {
                range.quality = quality(&value)?;
            } else if name.eq_ignore_ascii_case("profile") {
                range.profile = Some(value);
            }
        }
        Some(range)
    }

    fn closeness(&self, media: Media) -> Option<Closeness> {
        if self.kind == "*" && self.subtype == "*" {
            return Some(Closeness::Anything);
        }
        if !self.kind.eq_ignore_ascii_case("application") {
            return None;
        }
        if self.subtype == "*" {
            return Some(Closeness::Type);
        }
        if !self.subtype.eq_ignore_ascii_case(media.subtype()) {
            return None;
        }
        match &self.profile {
            Some(profile) if media == Media::LdJson => profile
                .split_ascii_whitespace()
                .any(|uri| uri == ACTIVITY_STREAMS)
                .then_some(Closeness::Profiled),
            _ => Some(Closeness::Named),
        }
    }
}

/// A weight (RFC 9110, section 12.4.2) in thousandths.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// `name=value`, the value unquoted.
fn parameter(text: &str) -> Option<(&str, Cow<'_, str>)> {
    let (name, value) = text.split_once('=')?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let value = match quoted {
        Some(inner) if inner.contains('\\') => Cow::Owned(inner.replace('\\', "")),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(value),
    };
    Some((name.trim_end(), value))
}

/// The pieces between separators that stand outside quotes, trimmed; empty ones are left out.
fn split_unquoted(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let next = move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            if escaped {
                escaped = false;
            } else {
                match byte {
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    _ => return byte == separator && !quoted,
                }
            }
            false
        });
        let piece = match end {
            Some(at) => {
                rest = Some(&text[at + 1..]);
                &text[..at]
            }
            None => {
                rest = None;
                text
            }
        };
        Some(piece.trim_matches([' ', '\t']))
    };
    std::iter::from_fn(next).filter(|piece| !piece.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).expect("a header"))])
    }

    #[test]
    fn accept_chooses_the_answer() {
        use Media::{ActivityJson, Cbor, Json, LdJson, Sx};
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let mastodon = "application/activity+json, application/ld+json";
        let profiled = "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"";
        let table = [
            ("*/*", Some(ActivityJson)),
            ("", Some(ActivityJson)),
            ("nonsense", Some(ActivityJson)),
            (firefox, Some(ActivityJson)),
            (mastodon, Some(ActivityJson)),
            (profiled, Some(LdJson)),
            ("application/ld+json", Some(LdJson)),
            (
                "application/ld+json; profile=\"https://a.example https://www.w3.org/ns/activitystreams\"",
                Some(LdJson),
            ),
            (
                "application/ld+json; profile=\"https://a.example, b\"",
                None,
            ),
            ("application/json", Some(Json)),
            ("application/json, text/plain, */*", Some(Json)),
            ("APPLICATION/SX", Some(Sx)),
            ("application/cbor;q=0.9, application/sx;q=0.8", Some(Cbor)),
            ("application/sx;q=0.001, application/cbor;q=0", Some(Sx)),
            (
                "application/*;q=0.5, application/activity+json;q=0",
                Some(LdJson),
            ),
            ("*/*;q=0.1, application/cbor; q=0.2", Some(Cbor)),
            ("application/sx;q=1.5, application/cbor", Some(Cbor)),
            ("*/*;q=0", None),
            ("text/html", None),
            ("image/*", None),
        ];
        for (accept, expected) in table {
            let answer = answered(&accepting(accept), DOCUMENT);
            assert_eq!(answer.as_ref().ok(), expected.as_ref(), "{accept}");
        }
        assert_eq!(answered(&HeaderMap::new(), PLAIN), Ok(Json));
        assert_eq!(answered(&accepting(mastodon), PLAIN).ok(), None);
        let refusal = answered(&accepting("text/html"), PLAIN).expect_err("nothing fits");
        assert_eq!(
            refusal.to_string(),
            "not-acceptable: nothing in Accept fits; offered are application/json, application/sx, application/cbor"
        );
    }

    #[test]
    fn several_accept_headers_are_one_list() {
        let mut headers = accepting("text/html");
        headers.append(ACCEPT, HeaderValue::from_static("application/cbor"));
        assert_eq!(answered(&headers, DOCUMENT), Ok(Media::Cbor));
    }

    #[test]
    fn content_type_names_the_notation() {
        let table = [
            ("application/activity+json", Some(Notation::Json)),
            ("application/ld+json; profile=\"a;b\"", Some(Notation::Json)),
            ("Application/JSON ; Charset=\"UTF-8\"", Some(Notation::Json)),
            ("application/sx", Some(Notation::Sx)),
            ("application/cbor", Some(Notation::Cbor)),
            ("application/json; charset=iso-8859-1", None),
            ("text/plain", None),
            ("application/jsonp", None),
            ("", None),
        ];
        for (text, expected) in table {
            let value = HeaderValue::from_str(text).expect("a header");
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            let notation = received(&headers);
            assert_eq!(notation.as_ref().ok(), expected.as_ref(), "{text}");
        }
        let refusal = received(&HeaderMap::new()).expect_err("no Content-Type");
        assert_eq!(refusal.code, Code::MediaType);
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        let etag = HeaderValue::from_static("\"b,1.json\"");
        for (given, expected) in [
            ("\"b,1.json\"", true),
            ("W/\"b,1.json\"", true),
            ("\"x\", \"b,1.json\"", true),
            ("*", true),
            ("\"b,1.sx\"", false),
            ("b,1.json", false),
        ] {
            let value = HeaderValue::from_str(given).expect("a header");
            let headers = HeaderMap::from_iter([(http::header::IF_NONE_MATCH, value)]);
            assert_eq!(is_unchanged(&headers, &etag), expected, "{given}");
        }
    }
}
