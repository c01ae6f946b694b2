//! The settings, resolved once: the data directory's `fedsx.toml`, then the environment, then
//! `--set` and the flags of `serve`, each over the one before.
//!
//! Invariant: every key stands in [`SETTINGS`] and nowhere else; an unknown one is an error with a
//! suggestion. Deliberately absent: settings read later, and defaults anywhere but in `sections`.

mod given;
mod sections;

use std::fmt;
use std::path::Path;

use crate::args::Serve;
use given::{Given, Setting};

pub(crate) use sections::{
    Backfill, Definitions, Delivery, Log, LogFormat, Peers, Server, Store, Triggers,
};

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
    pub(crate) backfill: Backfill,
    pub(crate) triggers: Triggers,
    pub(crate) definitions: Definitions,
    pub(crate) log: Log,
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
    peers.allow,
    peers.ttl,
    peers.negative_ttl,
    peers.timeout,
    peers.max_concurrent,
    peers.inbound_concurrent,
    peers.inbound_per_minute,
    peers.posts_per_minute,
    peers.posts_burst,
    peers.compare_every,
    peers.compare_pause,
    peers.settle,
    peers.ask_again,
    peers.witness_every,
    peers.followers_ask,
    peers.followers_wait,
    backfill.usual,
    backfill.concurrent,
    backfill.retry,
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
            ("backfill.concurrent", self.backfill.concurrent),
            ("peers.inbound_concurrent", self.peers.inbound_concurrent),
            ("peers.posts_burst", self.peers.posts_burst as usize),
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
