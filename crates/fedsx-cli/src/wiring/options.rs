//! Settings, as those take them that they are for.

use std::time::Duration;

use fedsx_deliver::DeliveryOptions;
use fedsx_discovery::budget::Rate;
use fedsx_http::HttpOptions;
use fedsx_node::{BackfillOptions, CompareOptions, LearnOptions, WitnessOptions};

use crate::config::{Config, Server};

pub(super) fn http_options(server: &Server, salt: u64) -> HttpOptions {
    HttpOptions {
        body_time: server.body_timeout,
        salt,
        trusted_proxies: server.trusted_proxies.clone(),
        posts: rate(server.posts_per_minute, server.posts_burst),
        reads: rate(server.reads_per_minute, server.reads_burst),
    }
}

/// A rate; 0 is none.
pub(super) fn rate(per_minute: u32, burst: u32) -> Option<Rate> {
    (per_minute > 0).then_some(Rate { per_minute, burst })
}

pub(super) fn learn_options(config: &Config) -> LearnOptions {
    let definitions = &config.definitions;
    LearnOptions {
        fetch_every_ms: ms(definitions.fetch_every),
        fetches_per_peer: definitions.fetches_per_peer,
        kept_ms: ms(definitions.kept_for),
        kept_per_actor: definitions.kept_per_actor.into(),
        kept_per_host: definitions.kept_per_host.into(),
    }
}

pub(super) fn compare_options(config: &Config) -> CompareOptions {
    let peers = &config.peers;
    CompareOptions {
        every_ms: ms(peers.compare_every),
        pause_ms: ms(peers.compare_pause),
        settle_ms: ms(peers.settle),
        ask_again_ms: ms(peers.ask_again),
    }
}

pub(super) fn backfill_options(config: &Config) -> BackfillOptions {
    let backfill = &config.backfill;
    BackfillOptions {
        usual: backfill.usual.clone(),
        concurrent: backfill.concurrent,
        retry_ms: ms(backfill.retry),
    }
}

pub(super) fn witness_options(config: &Config) -> WitnessOptions {
    let peers = &config.peers;
    WitnessOptions {
        every_ms: ms(peers.witness_every),
        ask_every_ms: ms(peers.followers_ask),
        wait_ms: ms(peers.followers_wait),
    }
}

pub(super) fn delivery_options(config: &Config) -> DeliveryOptions {
    let delivery = &config.delivery;
    DeliveryOptions {
        schedule_ms: delivery.retry.iter().copied().map(ms).collect(),
        jitter_percent: delivery.jitter_percent,
        retry_after_max_ms: ms(delivery.retry_after_max),
        pause_in_place_ms: ms(delivery.pause),
        dormant_after_ms: ms(delivery.dormant_after),
        probe_ms: ms(delivery.probe_every),
        in_flight_max: delivery.max_in_flight,
        in_flight_per_host: delivery.per_host,
        ledger_ms: ms(delivery.ledger_every).unsigned_abs(),
        drain_ms: ms(config.server.drain).unsigned_abs() * 2 / 5,
        ..DeliveryOptions::default()
    }
}

/// Settings are bounded far below what doesn't fit.
pub(super) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
