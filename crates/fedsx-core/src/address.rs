//! Addresses: origins of URLs, the URLs this instance gives out, actors' names and handles.
//!
//! Invariant: an [`Origin`] is that of an absolute `http` or `https` URL without credentials, of at
//! most [`limits::URL_BYTES`], written in one way only, so that equal origins are equal strings.
//! Deliberately absent: looking anything up. Sources: RFC 6454 (origins), RFC 7565 (`acct:`),
//! FEP-fe34 (why origins matter), design sections 3, 6 and 11.

use std::fmt;

use url::Url;

use crate::cid::Cid;
use crate::limits;

/// The longest name of an actor, bytes.
pub const NAME_BYTES: usize = 64;

/// What is wrong with an address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// No absolute `http` or `https` URL, or one with credentials, or too long.
    #[error("`{0}` is no absolute http or https URL without credentials")]
    Url(String),
    /// A base URL with a path, a query or a fragment.
    #[error("the base URL `{0}` must end after its host and port")]
    BasePath(String),
    /// A name outside `[a-z0-9_]{1,64}`.
    #[error("the name `{0}` must have 1 to 64 characters of a-z, 0-9 and _")]
    Name(String),
    /// No `user@host`.
    #[error("`{0}` is no handle like acct:user@host")]
    Handle(String),
}

/// An absolute `http` or `https` URL without credentials and within the bound; else `None`.
#[must_use]
pub fn http_url(text: &str) -> Option<Url> {
    if text.len() > limits::URL_BYTES {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let fit = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    fit.then_some(url)
}

/// Whether this is an absolute `http` or `https` URL within the bound, credentials or not.
#[must_use]
pub fn is_http_url(text: &str) -> bool {
    let http = text.starts_with("https://") || text.starts_with("http://");
    http && text.len() <= limits::URL_BYTES
        && (plain_origin(text).is_some() || Url::parse(text).is_ok())
}

/// Whether both are `http(s)` URLs of one origin.
#[must_use]
pub fn same_origin(a: &str, b: &str) -> bool {
    if let Some(origin) = plain_origin(a) {
        // Mostly both begin alike, and what follows an authority can't make a URL a bad one.
        let rest = b.strip_prefix(origin);
        if rest.is_some_and(|rest| rest.starts_with('/')) && b.len() <= limits::URL_BYTES {
            return true;
        }
    }
    Origin::of(a).is_some_and(|origin| Origin::of(b).is_some_and(|other| origin == other))
}

/// The origin of a URL that is spelt as most are, so that it need not be taken apart: it stands at the
/// URL's beginning as [`Origin`] writes it. `None` for any other spelling, good or bad.
fn plain_origin(url: &str) -> Option<&str> {
    let (rest, default_port) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://")?, 80),
    };
    let (authority, _) = rest.split_once('/')?;
    let (host, port) = match authority.split_once(':') {
        None => (authority, None),
        Some((host, port)) => (host, Some(port)),
    };
    let is_plain_port = port.is_none_or(|digits| {
        let canonical = !digits.starts_with(['0', '+']);
        canonical && digits.parse::<u16>().is_ok_and(|port| port != default_port)
    });
    let plain = is_plain_port && is_plain_host(host) && url.len() <= limits::URL_BYTES;
    plain.then(|| &url[..url.len() - rest.len() + authority.len()])
}

/// Whether a host is an IPv4 address in its usual spelling, or a name that no parser would change.
fn is_plain_host(host: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if !host.bytes().all(plain) {
        return false;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if !last.starts_with(|first: char| first.is_ascii_lowercase()) {
        return host.parse::<std::net::Ipv4Addr>().is_ok();
    }
    // What begins so is checked as an internationalised name.
    host.split('.')
        .all(|label| !label.is_empty() && !label.starts_with("xn--"))
}

/// The origin of a URL: scheme, host and port, the default port left out.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Origin(String);

impl Origin {
    /// The origin of `url`; `None` when it is no URL that [`http_url`] takes.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        if let Some(origin) = plain_origin(url) {
            return Some(Self(origin.to_owned()));
        }
        http_url(url).map(|url| Self(url.origin().ascii_serialization()))
    }

    /// As a URL without a path: `https://example.com:8443`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, the default port left out: `example.com:8443`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }

    /// Where what has this CID is served, by an instance of this kind.
    #[must_use]
    pub fn artifact_url(&self, cid: &Cid) -> String {
        format!("{self}/artifacts/{cid}")
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an actor of this instance: `[a-z0-9_]{1,64}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ActorName(String);

impl ActorName {
    /// Reads a name, upper case folded.
    ///
    /// # Errors
    /// [`AddressError::Name`] for any other character and for a length outside 1 to 64.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let folded = text.to_ascii_lowercase();
        if is_name(&folded) {
            Ok(Self(folded))
        } else {
            Err(AddressError::Name(shortened(text)))
        }
    }

    /// The folded name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// `user@host`, the host with its port where it has one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Handle {
    user: String,
    authority: String,
}

impl Handle {
    /// Reads `acct:user@host`, `@user@host` or `user@host`, where `host` may carry a port.
    ///
    /// # Errors
    /// [`AddressError::Handle`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError::Handle(shortened(text));
        let rest = text.strip_prefix("acct:").unwrap_or(text);
        let rest = rest.strip_prefix('@').unwrap_or(rest);
        let (user, host) = rest.split_once('@').ok_or_else(error)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-!$&'()*+,;=%".contains(&byte);
        if user.is_empty() || user.len() > 256 || !user.bytes().all(plain) {
            return Err(error());
        }
        // Read as a URL's authority, so that odd spellings of a host end in one form.
        if host.is_empty() || host.contains(['/', '?', '#', '@', '\\']) {
            return Err(error());
        }
        let origin = Origin::of(&format!("https://{host}/")).ok_or_else(error)?;
        Ok(Self {
            user: user.to_owned(),
            authority: origin.authority().to_owned(),
        })
    }

    /// The part before `@`, as written.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Host and port: `127.0.0.1:9998`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// As an `acct:` URI.
    #[must_use]
    pub fn acct(&self) -> String {
        format!("acct:{self}")
    }

    /// Whether both name one account: users are compared without case, as servers do.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.user.eq_ignore_ascii_case(&other.user) && self.authority == other.authority
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.authority)
    }
}

/// This instance's own URLs, all derived from its base URL.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Instance {
    origin: Origin,
}

impl Instance {
    /// The instance at `base_url`, which is an origin: no path, query or fragment.
    ///
    /// # Errors
    /// [`AddressError::Url`], [`AddressError::BasePath`].
    pub fn new(base_url: &str) -> Result<Self, AddressError> {
        let url = http_url(base_url).ok_or_else(|| AddressError::Url(shortened(base_url)))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::BasePath(shortened(base_url)));
        }
        Ok(Self {
            origin: Origin(url.origin().ascii_serialization()),
        })
    }

    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.origin.as_str()
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Host and port, as in handles and in the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.origin.authority()
    }

    /// Whether the base URL's host is a loopback address or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_authority(self.authority())
    }

    /// Whether `url` lies on this instance.
    #[must_use]
    pub fn owns(&self, url: &str) -> bool {
        Origin::of(url).is_some_and(|origin| origin == self.origin)
    }

    /// The id of the actor `name`.
    #[must_use]
    pub fn actor_url(&self, name: &str) -> String {
        format!("{}/actors/{name}", self.base_url())
    }

    /// The id of the actor that is the instance itself. No actor's name leads there.
    #[must_use]
    pub fn own_actor_url(&self) -> String {
        format!("{}/actor", self.base_url())
    }

    /// The name of the actor that is the instance itself: its host, as other servers do it. An IPv6 address is
    /// written with hyphens and no brackets, because a handle has no room for its own characters.
    #[must_use]
    pub fn own_name(&self) -> String {
        let authority = self.authority();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        host.trim_matches(['[', ']']).replace(':', "-")
    }

    /// The handle of the actor that is the instance itself.
    #[must_use]
    pub fn own_handle(&self) -> Handle {
        Handle {
            user: self.own_name(),
            authority: self.authority().to_owned(),
        }
    }

    /// The name in an actor's id; `None` unless `url` is exactly what [`Self::actor_url`] gives.
    #[must_use]
    pub fn local_name<'a>(&self, url: &'a str) -> Option<&'a str> {
        let name = url
            .strip_prefix(self.base_url())?
            .strip_prefix("/actors/")?;
        is_name(name).then_some(name)
    }

    /// The inbox of the actor `name`.
    #[must_use]
    pub fn inbox_url(&self, name: &str) -> String {
        format!("{}/inbox", self.actor_url(name))
    }

    /// The outbox of the actor `name`.
    #[must_use]
    pub fn outbox_url(&self, name: &str) -> String {
        format!("{}/outbox", self.actor_url(name))
    }

    /// The followers collection of the actor `name`.
    #[must_use]
    pub fn followers_url(&self, name: &str) -> String {
        format!("{}/followers", self.actor_url(name))
    }

    /// The part of the followers collection of the actor `name` that is on the reader's host.
    #[must_use]
    pub fn followers_synchronization_url(&self, name: &str) -> String {
        format!("{}_synchronization", self.followers_url(name))
    }

    /// The collection of those who control the group `name`.
    #[must_use]
    pub fn controllers_url(&self, name: &str) -> String {
        format!("{}/controllers", self.actor_url(name))
    }

    /// The following collection of the actor `name`.
    #[must_use]
    pub fn following_url(&self, name: &str) -> String {
        format!("{}/following", self.actor_url(name))
    }

    /// The id of an activity of the actor `name`; `id` is a UUID.
    #[must_use]
    pub fn activity_url(&self, name: &str, id: &str) -> String {
        format!("{}/activities/{id}", self.actor_url(name))
    }

    /// The id of an object of the actor `name`; `id` is a UUID.
    #[must_use]
    pub fn object_url(&self, name: &str, id: &str) -> String {
        format!("{}/objects/{id}", self.actor_url(name))
    }

    /// Where what has this CID is served.
    #[must_use]
    pub fn artifact_url(&self, cid: &Cid) -> String {
        self.origin.artifact_url(cid)
    }

    /// The inbox shared by all actors here.
    #[must_use]
    pub fn shared_inbox(&self) -> String {
        format!("{}/inbox", self.base_url())
    }

    /// The handle of the actor `name`.
    #[must_use]
    pub fn handle(&self, name: &ActorName) -> Handle {
        Handle {
            user: name.as_str().to_owned(),
            authority: self.authority().to_owned(),
        }
    }
}

/// Whether the host of `host[:port]` is a loopback address or `localhost`.
#[must_use]
pub fn is_loopback_authority(authority: &str) -> bool {
    match http_url(&format!("http://{authority}/"))
        .as_ref()
        .and_then(Url::host)
    {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Text from outside, cut for an error message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    if text.chars().count() <= SHOWN {
        text.to_owned()
    } else {
        text.chars().take(SHOWN).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        ActorName, Handle, Instance, Origin, http_url, is_loopback_authority, plain_origin,
        same_origin,
    };

    proptest! {
        #[test]
        fn what_is_plain_is_what_a_parser_makes_of_it(
            scheme in "https?",
            host in "[a-z0-9.-]{1,12}|(xn--|0x|[0-9]{1,3}\\.){1,4}[a-z0-9]{0,3}",
            port in "(:[0-9]{0,5})?",
            path in "(/[ -~\\t\\néß\u{fffd}]{0,8})?",
            other in "(/.{0,8})?",
        ) {
            let url = format!("{scheme}://{host}{port}{path}");
            if let Some(origin) = plain_origin(&url) {
                let parsed = http_url(&url).expect("plain");
                prop_assert_eq!(origin, parsed.origin().ascii_serialization());
            }
            let other = format!("{scheme}://{host}{port}{other}");
            let parsed = http_url(&url).zip(http_url(&other));
            let same = parsed.is_some_and(|(a, b)| a.origin() == b.origin());
            prop_assert_eq!(same_origin(&url, &other), same);
        }
    }

    #[test]
    fn origins_have_one_spelling() {
        let table = [
            ("https://example.com/a/b?c#d", Some("https://example.com")),
            ("https://EXAMPLE.com:443", Some("https://example.com")),
            (
                "http://127.0.0.1:8080/actors/a",
                Some("http://127.0.0.1:8080"),
            ),
            ("http://2130706433/", Some("http://127.0.0.1")),
            (
                "https://bücher.example/",
                Some("https://xn--bcher-kva.example"),
            ),
            ("https://[::1]:9/", Some("https://[::1]:9")),
            ("https://user@example.com/", None),
            ("https://:secret@example.com/", None),
            ("ftp://example.com/", None),
            ("did:key:z6Mk", None),
            ("/actors/a", None),
            ("", None),
        ];
        for (url, expected) in table {
            let origin = Origin::of(url);
            assert_eq!(origin.as_ref().map(Origin::as_str), expected, "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2_048));
        assert_eq!(Origin::of(&long), None);
        assert!(same_origin(
            "https://a.example/x",
            "https://a.example:443/y"
        ));
        assert!(!same_origin("https://a.example/x", "http://a.example/x"));
        assert!(!same_origin("nonsense", "nonsense"));
    }

    #[test]
    fn an_instance_knows_its_own_actors() {
        let here = Instance::new("http://127.0.0.1:8080/").expect("a base URL");
        assert_eq!(here.base_url(), "http://127.0.0.1:8080");
        assert_eq!(here.authority(), "127.0.0.1:8080");
        assert!(here.is_loopback());
        let alice = here.actor_url("alice");
        assert_eq!(here.local_name(&alice), Some("alice"));
        for other in [
            "http://127.0.0.1:8080/actors/Alice",
            "http://127.0.0.1:8080/actors/alice/",
            "http://127.0.0.1:8080/actors/alice#main-key",
            "http://127.0.0.1:8080/actors/",
            "http://127.0.0.1:80801/actors/alice",
            "http://127.0.0.1:8081/actors/alice",
        ] {
            assert_eq!(here.local_name(other), None, "{other}");
        }
        assert_eq!(here.local_name(&here.own_actor_url()), None);
        for (base_url, handle) in [
            ("http://127.0.0.1:8080", "acct:127.0.0.1@127.0.0.1:8080"),
            ("https://a.example", "acct:a.example@a.example"),
            ("http://[::1]:9", "acct:--1@[::1]:9"),
            ("https://[2001:db8::1]", "acct:2001-db8--1@[2001:db8::1]"),
        ] {
            let instance = Instance::new(base_url).expect("a base URL");
            assert_eq!(instance.own_handle().acct(), handle);
            assert_eq!(Handle::parse(handle).as_ref(), Ok(&instance.own_handle()));
        }
        assert!(here.owns("http://127.0.0.1:8080/x"));
        assert!(!here.owns("https://127.0.0.1:8080/x"));
        for wrong in [
            "https://a.example/x",
            "https://a.example/?q",
            "a.example",
            "ws://a.example",
        ] {
            assert!(Instance::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_folded_and_bounded() {
        assert_eq!(
            ActorName::parse("Alice_1").expect("a name").as_str(),
            "alice_1"
        );
        for wrong in ["", "a b", "a-b", "ä", "a.b", &"a".repeat(65)] {
            assert!(ActorName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn handles_are_read_in_their_three_forms() {
        for form in [
            "acct:bob@127.0.0.1:9998",
            "@bob@127.0.0.1:9998",
            "bob@127.0.0.1:9998",
        ] {
            let handle = Handle::parse(form).expect("a handle");
            assert_eq!(handle.acct(), "acct:bob@127.0.0.1:9998");
        }
        let folded = Handle::parse("Bob@EXAMPLE.com:443").expect("a handle");
        assert_eq!(folded.to_string(), "Bob@example.com");
        assert!(folded.is_same(&Handle::parse("bob@example.com").expect("a handle")));
        for wrong in [
            "",
            "bob",
            "@bob",
            "bob@",
            "a@b@c",
            "b ob@c",
            "bob@c/d",
            "bob@c:99999",
            "acct:@c",
        ] {
            assert!(Handle::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn loopback_hosts() {
        for loopback in [
            "127.0.0.1:9998",
            "127.9.9.9",
            "[::1]:1",
            "localhost",
            "a.localhost:2",
        ] {
            assert!(is_loopback_authority(loopback), "{loopback}");
        }
        for other in [
            "example.com",
            "10.0.0.1",
            "localhost.example",
            "127.0.0.1.example",
            "",
        ] {
            assert!(!is_loopback_authority(other), "{other}");
        }
    }
}
