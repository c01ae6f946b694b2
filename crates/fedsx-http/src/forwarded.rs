//! Whose request it is, when a proxy passes it on.
//!
//! `Forwarded` is RFC 7239; `X-Forwarded-For` is what nearly every proxy says, and so is looked at first.
//! Invariants: only what a trusted proxy added is believed, hop by hop from the nearest one, so nothing
//! that a stranger writes into these headers counts; a hop that can't be read is charged to the proxy that
//! named it. Deliberately absent: the host and the scheme a proxy was asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) address: IpAddr,
    /// It is a trusted proxy itself and asks on nobody's behalf: a program on this machine, say.
    pub(crate) is_trusted: bool,
}

/// This machine, which is trusted unless told otherwise.
pub(crate) fn loopback() -> Vec<IpNet> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
    vec![v4.into(), v6.into()]
}

/// Who asks, when `peer` is whom the connection is with.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let trusts = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer;
    let mut hops = Hops::of(headers);
    while trusts(&address) {
        match hops.next() {
            None => {
                return Client {
                    address,
                    is_trusted: true,
                };
            }
            Some(None) => break,
            Some(Some(hop)) => address = hop,
        }
    }
    Client {
        address,
        is_trusted: false,
    }
}

/// What the proxies say whom they were asked by, the nearest first; `None` for what can't be read.
struct Hops<'a> {
    values: http::header::ValueIter<'a, HeaderValue>,
    /// The rest of the value under way.
    rest: Option<&'a str>,
    read: fn(&str) -> Option<IpAddr>,
}

impl<'a> Hops<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) =
            match headers.contains_key(X_FORWARDED_FOR) {
                true => (X_FORWARDED_FOR, node),
                false => (FORWARDED, element),
            };
        Self {
            values: headers.get_all(name).into_iter(),
            rest: None,
            read,
        }
    }
}

impl Iterator for Hops<'_> {
    type Item = Option<IpAddr>;

    fn next(&mut self) -> Option<Self::Item> {
        let list = match self.rest.take() {
            Some(rest) => rest,
            None => match self.values.next_back()?.to_str() {
                Ok(text) => text,
                Err(_) => return Some(None),
            },
        };
        // Commas within quotes are no concern: what stands left of the last hop is a stranger's.
        let last = match list.rsplit_once(',') {
            Some((rest, last)) => {
                self.rest = Some(rest);
                last
            }
            None => list,
        };
        Some((self.read)(last))
    }
}

/// `for=192.0.2.1;proto=https`.
fn element(text: &str) -> Option<IpAddr> {
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    node(named.next()?.1.trim().trim_matches('"'))
}

/// An address, with or without a port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(with_port).or_else(bare);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client of a request from `peer` with these headers, trusting loopback and 10/8.
    fn of(peer: &str, headers: &[(&str, &str)]) -> (String, bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            map.append(name, value);
        }
        let mut trusted = loopback();
        trusted.push("10.0.0.0/8".parse().expect("a network"));
        let client = client(peer.parse().expect("an address"), &map, &trusted);
        (client.address.to_string(), client.is_trusted)
    }

    fn xff(peer: &str, value: &str) -> (String, bool) {
        of(peer, &[("x-forwarded-for", value)])
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let stranger = ("198.51.100.1".to_owned(), false);
        assert_eq!(of("198.51.100.1", &[]), stranger);
        assert_eq!(xff("198.51.100.1", "127.0.0.1"), stranger);
        assert_eq!(xff("127.0.0.1", "198.51.100.1"), stranger);
        assert_eq!(xff("::1", "198.51.100.1"), stranger);
        assert_eq!(of("127.0.0.1", &[]), ("127.0.0.1".to_owned(), true));
    }

    #[test]
    fn the_nearest_stranger_is_the_client() {
        let stranger = ("198.51.100.1".to_owned(), false);
        // What the client claims stands left of what the proxy saw.
        assert_eq!(xff("127.0.0.1", "10.0.0.1, 198.51.100.1"), stranger);
        assert_eq!(
            xff("127.0.0.1", "192.0.2.9,198.51.100.1 , 10.0.0.1"),
            stranger
        );
        let lines = [
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "10.0.0.1"),
        ];
        assert_eq!(of("127.0.0.1", &lines), stranger);
        // A program beside the proxy.
        assert_eq!(xff("127.0.0.1", "10.1.1.1"), ("10.1.1.1".to_owned(), true));
    }

    #[test]
    fn what_can_t_be_read_is_charged_to_who_said_it() {
        for unread in [
            "unknown",
            "",
            "198.51.100.1,",
            "_hidden",
            "198.51.100",
            "\u{e4}",
        ] {
            assert_eq!(
                xff("127.0.0.1", unread),
                ("127.0.0.1".to_owned(), false),
                "{unread}"
            );
        }
        assert_eq!(
            xff("127.0.0.1", "unknown, 10.0.0.1"),
            ("10.0.0.1".to_owned(), false)
        );
    }

    #[test]
    fn both_headers_and_all_forms_are_read() {
        for (form, address) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            let found = (address.to_owned(), false);
            assert_eq!(xff("127.0.0.1", form), found, "{form}");
            let forwarded = format!("for=\"x, by=y, proto=https;For=\"{form}\";by=10.0.0.1");
            let forwarded = [("forwarded", forwarded.as_str())];
            assert_eq!(of("127.0.0.1", &forwarded), found, "{form}");
        }
        let both = [
            ("forwarded", "for=192.0.2.9"),
            ("x-forwarded-for", "198.51.100.1"),
        ];
        assert_eq!(of("127.0.0.1", &both).0, "198.51.100.1");
        let without = [("forwarded", "proto=https")];
        assert_eq!(of("127.0.0.1", &without), ("127.0.0.1".to_owned(), false));
    }
}
