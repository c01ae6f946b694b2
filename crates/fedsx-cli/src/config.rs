//! The settings, resolved once: the data directory's `fedsx.toml`, then the environment, then
//! `--set` and the flags of `serve`, each over the one before.
//!
//! Invariant: every key stands in [`SETTINGS`] and nowhere else; an unknown one is an error with a
//! suggestion. Deliberately absent: settings read later, and defaults anywhere but here.

mod given;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use fedsx_core::trust::Trust;
use fedsx_store::engine::EngineKind;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::args::Serve;
use given::{Given, Setting};

/// The settings' file in the data directory.
const FILE: &str = "fedsx.toml";
/// The beginning of a setting's name in the environment.
const PREFIX: &str = "FEDSX_";

/// All settings.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) delivery: Delivery,
    pub(crate) peers: Peers,
    pub(crate) triggers: Triggers,
    pub(crate) definitions: Definitions,
    pub(crate) log: Log,
}

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

const fn minutes(n: u64) -> Duration {
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
            ttl: minutes(24 * 60),
            negative_ttl: minutes(10),
            timeout: Duration::from_secs(10),
            max_concurrent: 320,
            inbound_concurrent: 32,
            inbound_per_minute: 240,
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

/// A key and how a value given for it is taken.
struct Known {
    key: &'static str,
    take: fn(&mut Config, &Given<'_>) -> Result<(), String>,
    show: fn(&Config) -> String,
}

macro_rules! settings {
    ($($section:ident.$field:ident),* $(,)?) => {
        &[$(Known {
            key: concat!(stringify!($section), ".", stringify!($field)),
            take: |config, given| {
                config.$section.$field = Setting::read(given)?;
                Ok(())
            },
            show: |config| config.$section.$field.show(),
        }),*]
    };
}

/// Every setting there is.
const SETTINGS: &[Known] = settings![
    server.listen,
    server.admin_listen,
    server.url,
    server.allow_private_peers,
    server.connections,
    server.head_timeout,
    server.body_timeout,
    server.drain,
    server.trusted_proxies,
    server.posts_per_minute,
    server.posts_burst,
    server.reads_per_minute,
    server.reads_burst,
    store.engine,
    store.segment_mib,
    store.flush_every,
    delivery.retry,
    delivery.jitter_percent,
    delivery.retry_after_max,
    delivery.pause,
    delivery.dormant_after,
    delivery.probe_every,
    delivery.max_in_flight,
    delivery.per_host,
    delivery.ledger_every,
    peers.ttl,
    peers.negative_ttl,
    peers.timeout,
    peers.max_concurrent,
    peers.inbound_concurrent,
    peers.inbound_per_minute,
    triggers.run,
    definitions.trust,
    definitions.fetch_every,
    definitions.fetches_per_peer,
    definitions.kept_for,
    definitions.kept_per_actor,
    definitions.kept_per_host,
    log.level,
    log.format,
];

/// Every setting with its default, for `serve --help`.
pub(crate) fn listing() -> String {
    let defaults = Config::default();
    let lines = SETTINGS
        .iter()
        .map(|known| format!("  {:<30}{}", known.key, (known.show)(&defaults)));
    format!(
        "Settings and their defaults:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// Why the settings can't be used; says where the wrong one stands.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: String,
    why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// The settings of a data directory under an environment and the flags of `serve`.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that can't be read, an unknown key and a value that doesn't fit.
    pub(crate) fn resolve(
        data_dir: &Path,
        environment: impl Iterator<Item = (String, String)>,
        serve: &Serve,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.take_file(&data_dir.join(FILE))?;
        config.take_environment(environment)?;
        config.take_flags(serve)?;
        config.check()?;
        Ok(config)
    }

    fn take_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let place = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(ConfigError {
                    place,
                    why: error.to_string(),
                });
            }
        };
        let wrong = |why: String| ConfigError {
            place: place.clone(),
            why,
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                + 1;
            wrong(format!("line {line}: {}", error.message()))
        })?;
        for (section, members) in table {
            let toml::Value::Table(members) = members else {
                return Err(wrong(format!(
                    "`{section}` stands outside a section, such as [server]"
                )));
            };
            for (key, value) in members {
                let key = format!("{section}.{key}");
                self.take(&key, &Given::Toml(&value)).map_err(wrong)?;
            }
        }
        Ok(())
    }

    fn take_environment(
        &mut self,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let mut ours: Vec<_> = environment
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        ours.sort();
        for (name, value) in ours {
            let Some((section, key)) = name[PREFIX.len()..].split_once('_') else {
                continue;
            };
            let section = section.to_ascii_lowercase();
            // A name that is not even near a section is somebody else's.
            if sections().all(|known| strsim::jaro(known, &section) < 0.8) {
                continue;
            }
            let key = format!("{section}.{}", key.to_ascii_lowercase());
            let taken = self.take(&key, &Given::Text(&value));
            taken.map_err(|why| ConfigError { place: name, why })?;
        }
        Ok(())
    }

    fn take_flags(&mut self, serve: &Serve) -> Result<(), ConfigError> {
        for set in &serve.set {
            let place = || format!("--set {set}");
            let (key, value) = set.split_once('=').ok_or_else(|| ConfigError {
                place: place(),
                why: "expected section.key=value".to_owned(),
            })?;
            let taken = self.take(key.trim(), &Given::Text(value.trim()));
            taken.map_err(|why| ConfigError {
                place: place(),
                why,
            })?;
        }
        let allow = serve.allow_private_peers.then(|| "true".to_owned());
        for (flag, key, value) in [
            ("--listen", "server.listen", &serve.listen),
            ("--admin-listen", "server.admin_listen", &serve.admin_listen),
            ("--url", "server.url", &serve.url),
            ("--store", "store.engine", &serve.store),
            (
                "--allow-private-peers",
                "server.allow_private_peers",
                &allow,
            ),
        ] {
            if let Some(value) = value {
                let taken = self.take(key, &Given::Text(value));
                taken.map_err(|why| ConfigError {
                    place: flag.to_owned(),
                    why,
                })?;
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str, given: &Given<'_>) -> Result<(), String> {
        match SETTINGS.iter().find(|known| known.key == key) {
            Some(known) => (known.take)(self, given).map_err(|why| format!("{key}: {why}")),
            None => Err(unknown(key)),
        }
    }

    /// What the values must be together.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, why: &str| {
            Err(ConfigError {
                place: key.to_owned(),
                why: why.to_owned(),
            })
        };
        if self.delivery.retry.is_empty() {
            return wrong("delivery.retry", "needs at least one duration");
        }
        if !(16..=2_048).contains(&self.store.segment_mib) {
            return wrong("store.segment_mib", "must lie between 16 and 2048");
        }
        if self.definitions.fetch_every.is_zero() {
            return wrong("definitions.fetch_every", "must be longer than nothing");
        }
        if self.delivery.jitter_percent > 100 {
            return wrong("delivery.jitter_percent", "must lie between 0 and 100");
        }
        for (key, count) in [
            ("server.connections", self.server.connections),
            ("delivery.max_in_flight", self.delivery.max_in_flight),
            ("delivery.per_host", self.delivery.per_host),
            ("peers.max_concurrent", self.peers.max_concurrent),
            ("peers.inbound_concurrent", self.peers.inbound_concurrent),
            ("server.posts_burst", self.server.posts_burst as usize),
            ("server.reads_burst", self.server.reads_burst as usize),
        ] {
            if !(1..=1_000_000).contains(&count) {
                return wrong(key, "must lie between 1 and 1000000");
            }
        }
        Ok(())
    }
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS
        .iter()
        .filter_map(|known| known.key.split_once('.').map(|(section, _)| section))
}

fn unknown(key: &str) -> String {
    let likeness = |known: &&Known| strsim::jaro_winkler(known.key, key);
    let nearest = SETTINGS
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.filter(|known| likeness(known) > 0.8);
    match nearest {
        Some(known) => format!("there is no setting `{key}`; did you mean `{}`?", known.key),
        None => {
            let mut all: Vec<_> = sections().collect();
            all.dedup();
            format!(
                "there is no setting `{key}`; the sections are {}",
                all.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests;
