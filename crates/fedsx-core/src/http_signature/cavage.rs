//! The older scheme, which most of the network signs with: draft-cavage-http-signatures-12.
//!
//! One `Signature` header of comma-separated parameters; the covered headers are named in
//! `headers`, with `(request-target)`, `(created)` and `(expires)` among them. `hs2019` means what
//! the network makes of it: the key's own algorithm, with SHA-256 for RSA. Deliberately absent:
//! the `Authorization: Signature` form. Signed here is what servers that know nothing else take: `rsa-sha256`
//! over `(request-target)`, `host`, `date` and, where there is a body, `digest`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use http::header::{DATE, HeaderName};

use super::digest::digest;
use super::signed::{SignError, SignedHeaders, requested};
use super::{
    Algorithm, COMPONENTS, Covered, Presented, RequestHead, SIGNATURE, SignatureError, check_time,
    key_id,
};
use crate::address::http_url;
use crate::key::RsaSigner;
use crate::time::{format_http_date, parse_http_date_ms};

const DIGEST: HeaderName = HeaderName::from_static("digest");
const REQUEST_TARGET: &str = "(request-target)";
const CREATED: &str = "(created)";
const EXPIRES: &str = "(expires)";
/// Parameters of one `Signature` header.
const PARAMETERS: usize = 16;

/// Reads a `Signature` header.
pub(super) fn parse(field: &str) -> Result<Presented, SignatureError> {
    let parameters = parameters(field)?;
    let find = |name| {
        let mut named = parameters.iter().filter(|(have, _)| *have == name);
        named.next().map(|(_, value)| value.as_ref())
    };
    let required = |name, why| find(name).ok_or(SignatureError::Malformed(why));
    let seconds = |name| match find(name) {
        None => Ok(None),
        Some(text) => seconds(text).map(Some),
    };
    let algorithm = match find("algorithm").map(str::to_ascii_lowercase).as_deref() {
        None | Some("hs2019") => None,
        Some("rsa-sha256") => Some(Algorithm::RsaSha256),
        Some(_) => return Err(SignatureError::UnsupportedAlgorithm),
    };
    let names = header_names(find("headers").unwrap_or(CREATED))?;
    let created_s = seconds("created")?;
    let expires_s = seconds("expires")?;
    // The draft's section 2.3 forbids both pseudo-headers to the older algorithms.
    if algorithm.is_some() && (covers(&names, CREATED) || covers(&names, EXPIRES)) {
        let why = "`(created)` and `(expires)` need the algorithm `hs2019`";
        return Err(SignatureError::Malformed(why));
    }
    let why = "a covered time is not given";
    if covers(&names, CREATED) && created_s.is_none()
        || covers(&names, EXPIRES) && expires_s.is_none()
    {
        return Err(SignatureError::Malformed(why));
    }
    let signature = required("signature", "`signature` is missing")?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| SignatureError::Malformed("`signature` is no base64"))?;
    Ok(Presented {
        key_id: key_id(required("keyId", "`keyId` is missing")?)?,
        algorithm,
        // What is not signed proves no time.
        created_s: created_s.filter(|_| covers(&names, CREATED)),
        expires_s,
        signature,
        covered: Covered::Cavage(names),
    })
}

/// Whether the header or pseudo-header is among those signed.
pub(super) fn covers(names: &[String], name: &str) -> bool {
    names.iter().any(|have| have == name)
}

/// What must be signed for the signature to bind the request.
pub(super) fn check_coverage(names: &[String], digest: bool) -> Result<(), SignatureError> {
    let time = covers(names, CREATED) || covers(names, "date");
    for (covered, what) in [
        (covers(names, REQUEST_TARGET), "`(request-target)`"),
        (covers(names, "host"), "`host`"),
        (time, "`date` or `(created)`"),
        (!digest || covers(names, "digest"), "`digest`"),
    ] {
        if !covered {
            return Err(SignatureError::NotCovered(what));
        }
    }
    Ok(())
}

/// A signed `Date` must be near.
pub(super) fn check_date(
    names: &[String],
    head: &RequestHead<'_>,
    now_ms: i64,
) -> Result<(), SignatureError> {
    if !covers(names, "date") {
        return Ok(());
    }
    let date = head.field("date")?;
    check_time(
        parse_http_date_ms(&date).ok_or(SignatureError::Stale)?,
        now_ms,
    )
}

/// The signing string (section 2.3).
pub(super) fn base(
    presented: &Presented,
    names: &[String],
    head: &RequestHead<'_>,
) -> Result<String, SignatureError> {
    let time = |seconds: Option<i64>| seconds.unwrap_or_default().to_string();
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        let value = match name.as_str() {
            REQUEST_TARGET => {
                let method = head.method.to_ascii_lowercase();
                format!("{method} {}", head.path_and_query)
            }
            CREATED => time(presented.created_s),
            EXPIRES => time(presented.expires_s),
            name => head.field(name)?,
        };
        lines.push(format!("{name}: {value}"));
    }
    Ok(lines.join("\n"))
}

fn seconds(text: &str) -> Result<i64, SignatureError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    seconds.ok_or(SignatureError::Malformed("a time is no number of seconds"))
}

fn header_names(list: &str) -> Result<Vec<String>, SignatureError> {
    let mut names: Vec<String> = Vec::new();
    for name in list.split_ascii_whitespace() {
        let name = name.to_ascii_lowercase();
        if names.len() == COMPONENTS {
            return Err(SignatureError::TooLarge);
        }
        if name.starts_with('(') && ![REQUEST_TARGET, CREATED, EXPIRES].contains(&&*name) {
            return Err(SignatureError::UnsupportedComponent(name));
        }
        if covers(&names, &name) {
            return Err(SignatureError::Malformed("a header is covered twice"));
        }
        names.push(name);
    }
    Ok(names)
}

/// `name="value"` or `name=value`, separated by commas; a name stands once.
fn parameters(field: &str) -> Result<Vec<(&str, Cow<'_, str>)>, SignatureError> {
    let malformed = || SignatureError::Malformed("expected `name=\"value\"`");
    let mut parameters: Vec<(&str, Cow<'_, str>)> = Vec::new();
    let mut rest = field.trim_ascii();
    loop {
        let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
        let name = name.trim_ascii();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed());
        }
        if parameters.iter().any(|(have, _)| *have == name) {
            return Err(SignatureError::Malformed("a parameter stands twice"));
        }
        if parameters.len() == PARAMETERS {
            return Err(SignatureError::TooLarge);
        }
        let (value, after) = value(after.trim_ascii_start()).ok_or_else(malformed)?;
        parameters.push((name, value));
        let after = after.trim_ascii_start();
        if after.is_empty() {
            return Ok(parameters);
        }
        rest = after.strip_prefix(',').ok_or_else(malformed)?;
    }
}

/// A quoted string or a bare word, and what follows it.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (!word.is_empty() && !word.contains('"')).then_some((word.into(), rest));
    };
    let end = quoted.find(['"', '\\'])?;
    if quoted[end..].starts_with('"') {
        return Some((quoted[..end].into(), &quoted[end + 1..]));
    }
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value.into(), &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

/// Signs a request with RSA over `(request-target)`, `host`, `date`, where there is a body `digest`, and these fields,
/// by name in lower case and value.
/// `target_uri` is the whole URL requested; `Host` is expected to be sent as it stands there.
///
/// # Errors
/// The key id, URL or time can't be written in a header, or the key does not sign.
pub fn sign_cavage(
    method: &str,
    target_uri: &str,
    body: Option<&[u8]>,
    fields: &[(&str, &str)],
    signer: &dyn RsaSigner,
    now_ms: i64,
) -> Result<SignedHeaders, SignError> {
    let target = http_url(requested(target_uri)?).ok_or(SignError::NotAscii)?;
    let key_id = signer.key_id();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if !key_id.bytes().all(is_plain) {
        return Err(SignError::NotAscii);
    }
    let method = method.to_ascii_lowercase();
    let query = target.query().map(|query| format!("?{query}"));
    let (path, query) = (target.path(), query.unwrap_or_default());
    let origin = target.origin().ascii_serialization();
    let (_, host) = origin.split_once("://").ok_or(SignError::NotAscii)?;
    let date = format_http_date(now_ms).ok_or(SignError::Time)?;
    let mut names = format!("{REQUEST_TARGET} host date");
    let mut base = format!("{REQUEST_TARGET}: {method} {path}{query}\nhost: {host}\ndate: {date}");
    let mut signed = SignedHeaders::default();
    signed.add(DATE, date)?;
    if let Some(body) = body {
        let digest = digest(body);
        names.push_str(" digest");
        base.push_str("\ndigest: ");
        base.push_str(&digest);
        signed.add(DIGEST, digest)?;
    }
    for (name, value) in fields {
        names.push(' ');
        names.push_str(name);
        base.push_str(&format!("\n{name}: {value}"));
    }
    let signature = signer.sign(base.as_bytes()).ok_or(SignError::Key)?;
    let signature = STANDARD.encode(signature);
    let field = format!(
        "keyId=\"{key_id}\",algorithm=\"rsa-sha256\",headers=\"{names}\",signature=\"{signature}\""
    );
    signed.add(SIGNATURE, field)?;
    Ok(signed)
}
