//! Which URLs and addresses may be dialled: `https` towards globally routable addresses, nothing else.
//!
//! Invariant: an address passes only if no range of special use holds it; an address that carries
//! another one inside (IPv4-mapped, NAT64, 6to4, Teredo) is refused as a whole, so that no tunnel
//! leads back inside. Deliberately absent: names; what a name resolves to is checked when connecting.
//! Sources: design section 9.4; RFC 6890 and IANA's special-purpose address registries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fedsx_core::address;
use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::client::TransportError;

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const SPECIAL_V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 8), "private"),
    (v4(100, 64, 0, 10), "carrier-grade NAT"),
    (v4(127, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 16), "link-local"),
    (v4(172, 16, 0, 12), "private"),
    (v4(192, 0, 0, 24), "IETF protocol assignments"),
    (v4(192, 0, 2, 24), "documentation"),
    (v4(192, 88, 99, 24), "6to4 relay"),
    (v4(192, 168, 0, 16), "private"),
    (v4(198, 18, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 24), "documentation"),
    (v4(203, 0, 113, 24), "documentation"),
    (v4(224, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 4), "reserved"),
];

const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const SPECIAL_V6: [(Ipv6Net, &str); 14] = [
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (MAPPED, "IPv4-mapped"),
    (v6(0x0064, 0xff9b, 0, 96), "NAT64"),
    (v6(0x0064, 0xff9b, 1, 48), "NAT64"),
    (v6(0x0100, 0, 0, 64), "discard"),
    (v6(0x2001, 0, 0, 32), "Teredo"),
    (v6(0x2001, 0x0002, 0, 48), "benchmarking"),
    (v6(0x2001, 0, 0, 23), "IETF protocol assignments"),
    (v6(0x2001, 0x0db8, 0, 32), "documentation"),
    (v6(0x2002, 0, 0, 16), "6to4"),
    (v6(0x3fff, 0, 0, 20), "documentation"),
    (v6(0xfc00, 0, 0, 7), "unique local"),
    (v6(0xfe80, 0, 0, 10), "link-local"),
    (v6(0xff00, 0, 0, 8), "multicast"),
];
/// All that IANA has allocated for global unicast.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// The special range that holds `address`, by name; `None` for a globally routable address.
#[must_use]
pub fn special_range(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(ip) => {
            let held = SPECIAL_V4.iter().find(|(net, _)| net.contains(&ip));
            held.map(|(_, name)| *name)
        }
        IpAddr::V6(ip) => {
            let held = SPECIAL_V6.iter().find(|(net, _)| net.contains(&ip));
            let outside = (!GLOBAL_V6.contains(&ip)).then_some("not global unicast");
            held.map(|(_, name)| *name).or(outside)
        }
    }
}

/// What may be dialled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// Whether plain `http` is allowed.
    pub(crate) http: bool,
    /// The name of the range for which an address is refused.
    pub(crate) refused_range: fn(IpAddr) -> Option<&'static str>,
}

impl Guard {
    pub(crate) fn new(allow_private_peers: bool) -> Self {
        Self {
            http: allow_private_peers,
            refused_range: if allow_private_peers {
                |_| None
            } else {
                special_range
            },
        }
    }

    /// Reads and checks a URL: its scheme, its form, and its host where that is an address. Odd
    /// spellings of IPv4 (`0x7f.1`, `2130706433`) are addresses after parsing.
    pub(crate) fn check(&self, text: &str) -> Result<Url, TransportError> {
        let forbidden = |reason| TransportError::ForbiddenUrl {
            url: text.chars().take(200).collect(),
            reason,
        };
        let url = address::http_url(text)
            .ok_or_else(|| forbidden("it is no http or https URL without credentials"))?;
        if url.scheme() != "https" && !self.http {
            return Err(forbidden("only https is allowed"));
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_address(&ip.to_string(), ip.into())?,
            Some(Host::Ipv6(ip)) => self.check_address(&ip.to_string(), ip.into())?,
            Some(Host::Domain(_)) => {}
            None => return Err(forbidden("it has no host")),
        }
        Ok(url)
    }

    pub(crate) fn check_address(&self, host: &str, address: IpAddr) -> Result<(), TransportError> {
        match (self.refused_range)(address) {
            None => Ok(()),
            Some(range) => Err(TransportError::ForbiddenAddress {
                host: host.to_owned(),
                address,
                range,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, special_range};

    #[test]
    fn addresses() {
        let addresses = "
            1.1.1.1 8.8.8.8 93.184.215.14 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.167.0.1 223.255.255.255
            0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 172.16.0.1
            172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7
            203.0.113.9 224.0.0.1 239.1.2.3 240.0.0.1 255.255.255.255
            2606:4700:4700::1111 2a00:1450:4001:80b::200e 2001:4860:4860::8888
            :: ::1 ::127.0.0.1 ::ffff:1.1.1.1 ::ffff:127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:2::1
            2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 3fff::1 4000::1 5f00::1 fc00::1 fd12:3456::1 fe80::1
            fec0::1 ff02::1";
        let mut page = String::new();
        for text in addresses.split_whitespace() {
            let verdict = special_range(text.parse().expect("an address")).unwrap_or("allowed");
            page.push_str(&format!("{text:<26} {verdict}\n"));
        }
        insta::assert_snapshot!(page);
    }

    #[test]
    fn urls() {
        let urls = [
            "https://example.com/a",
            "https://1.1.1.1/",
            "https://[2606:4700:4700::1111]/",
            "http://example.com/a",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://①②⑦.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://user:secret@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "/relative",
        ];
        let mut page = String::new();
        for (name, guard) in [
            ("guarded", Guard::new(false)),
            ("private peers", Guard::new(true)),
        ] {
            page.push_str(&format!("# {name}\n"));
            for url in urls {
                let verdict = match guard.check(url) {
                    Ok(url) => format!("allowed as {url}"),
                    Err(error) => error.to_string(),
                };
                page.push_str(&format!("{url}\n    {verdict}\n"));
            }
        }
        insta::assert_snapshot!(page);
    }
}
