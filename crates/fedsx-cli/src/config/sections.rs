//! The sections of the settings, and their defaults.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use fedsx_core::backfill::Mode;
use fedsx_core::trust::Trust;
use fedsx_store::engine::EngineKind;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The listeners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    /// Absent: the listener's own address.
    pub(crate) url: Option<String>,
    pub(crate) allow_private_peers: bool,
    pub(crate) connections: usize,
    /// How long the head of a request may take, and a connection may idle.
    pub(crate) head_timeout: Duration,
    /// How long the body of a request may take.
    pub(crate) body_timeout: Duration,
    /// How long a shutdown may take before what is left is cut.
    pub(crate) drain: Duration,
    /// Whose word is believed on whom they pass requests on for.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// What one address may post; 0 is no limit.
    pub(crate) posts_per_minute: u32,
    pub(crate) posts_burst: u32,
    /// What else it may ask for; 0 is no limit.
    pub(crate) reads_per_minute: u32,
    pub(crate) reads_burst: u32,
}

/// Journal and index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Store {
    /// Absent: the one whose index is there, else fjall.
    pub(crate) engine: Option<EngineKind>,
    pub(crate) segment_mib: u32,
    /// How often the index is made durable; what is later is applied again after a crash.
    pub(crate) flush_every: Duration,
}

/// Outbound deliveries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Delivery {
    pub(crate) retry: Vec<Duration>,
    pub(crate) jitter_percent: u32,
    /// The longest `Retry-After` that is honoured.
    pub(crate) retry_after_max: Duration,
    /// Between tries of one item in its place.
    pub(crate) pause: Duration,
    pub(crate) dormant_after: Duration,
    pub(crate) probe_every: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) per_host: usize,
    pub(crate) ledger_every: Duration,
}

/// What is fetched from others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Peers {
    /// The only hosts this instance has to do with, by their authorities; empty is all but the blocked.
    pub(crate) allow: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) negative_ttl: Duration,
    /// Of any request that goes out, deliveries too.
    pub(crate) timeout: Duration,
    /// Requests that go out at once.
    pub(crate) max_concurrent: usize,
    /// Fetches that inbound requests cause, at once.
    pub(crate) inbound_concurrent: usize,
    /// Such fetches that one address may cause in a minute.
    pub(crate) inbound_per_minute: u32,
    /// What one host may send; 0 is no limit.
    pub(crate) posts_per_minute: u32,
    pub(crate) posts_burst: u32,
    /// Between two passes that compare followers with all peers; nothing is none.
    pub(crate) compare_every: Duration,
    /// Between two comparisons with one actor.
    pub(crate) compare_pause: Duration,
    /// How long a difference has to last before it is mended.
    pub(crate) settle: Duration,
    /// After how long a request to follow that got no answer is said again.
    pub(crate) ask_again: Duration,
    /// Between two looks at the logs of those who are followed; nothing is none.
    pub(crate) witness_every: Duration,
    /// Between two rounds of asking the followers of an actor that came back from a copy.
    pub(crate) followers_ask: Duration,
    /// For how long those of its followers are waited for that give no answer.
    pub(crate) followers_wait: Duration,
}

/// The history of whom actors here follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backfill {
    /// What `follow` asks for that does not say.
    pub(crate) usual: Option<Mode>,
    /// How many are fetched at once.
    pub(crate) concurrent: usize,
    /// The pause after a first failure; doubled after each further one.
    pub(crate) retry: Duration,
}

/// What follows from activities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Triggers {
    /// Whether triggers meet what is appended; what they have not met waits for when they do.
    pub(crate) run: bool,
}

/// What others define, and what is kept until it is defined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Definitions {
    /// Whose definitions are taken.
    pub(crate) trust: Trust,
    /// How long one that was asked for is not asked for again.
    pub(crate) fetch_every: Duration,
    /// Asked of one host in a day.
    pub(crate) fetches_per_peer: u32,
    pub(crate) kept_for: Duration,
    pub(crate) kept_per_actor: u32,
    pub(crate) kept_per_host: u32,
}

/// The log on stderr.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

pub(super) const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            url: None,
            allow_private_peers: false,
            connections: 4_096,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            trusted_proxies: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
            posts_per_minute: 3_000,
            posts_burst: 1_000,
            reads_per_minute: 6_000,
            reads_burst: 2_000,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            engine: None,
            segment_mib: 256,
            flush_every: Duration::from_secs(1),
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: vec![
                Duration::from_secs(30),
                minutes(5),
                minutes(30),
                minutes(6 * 60),
                minutes(24 * 60),
            ],
            jitter_percent: 10,
            retry_after_max: minutes(24 * 60),
            pause: Duration::from_secs(1),
            dormant_after: minutes(7 * 24 * 60),
            probe_every: minutes(24 * 60),
            max_in_flight: 256,
            per_host: 4,
            ledger_every: Duration::from_secs(10),
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            ttl: minutes(24 * 60),
            negative_ttl: minutes(10),
            timeout: Duration::from_secs(10),
            max_concurrent: 320,
            inbound_concurrent: 32,
            inbound_per_minute: 240,
            posts_per_minute: 6_000,
            posts_burst: 2_000,
            compare_every: minutes(24 * 60),
            compare_pause: minutes(60),
            settle: minutes(10),
            ask_again: minutes(6 * 60),
            witness_every: minutes(6 * 60),
            followers_ask: minutes(1),
            followers_wait: minutes(60),
        }
    }
}

impl Default for Backfill {
    fn default() -> Self {
        Self {
            usual: None,
            concurrent: 4,
            retry: Duration::from_secs(30),
        }
    }
}

impl Default for Triggers {
    fn default() -> Self {
        Self { run: true }
    }
}

impl Default for Definitions {
    fn default() -> Self {
        Self {
            trust: Trust::None,
            fetch_every: minutes(60),
            fetches_per_peer: 20,
            kept_for: minutes(30 * 24 * 60),
            kept_per_actor: 1_000,
            kept_per_host: 10_000,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}
