//! Publishing: its latency whatever the number of followers, and what their number costs afterwards.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fedsx_core::value::Map;
use fedsx_deliver::{Delivery, DeliveryOptions};
use fedsx_node::PublishOptions;
use fedsx_store::engine::EngineKind;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::machine::{own_peak_mb, reset_peak, resident_mb};
use crate::report::{Bound, Section, quantile};
use crate::world::{self, Peer, Silent, World};

/// Actors by their number of followers.
const SIZES: [usize; 3] = [0, 1_000, 100_000];
/// Followers are spread over so many hosts.
const HOSTS: usize = 1_000;
/// Publishes of each actor, in turn.
const PUBLISHES: usize = 500;
/// How often the expansion is looked at.
const GLANCE: Duration = Duration::from_millis(5);

const BASE_URL: &str = "http://127.0.0.1:9";

/// What the measuring process tells.
#[derive(Serialize, Deserialize)]
struct Told {
    /// p50 and p99 of each size, milliseconds.
    latency_ms: Vec<[f64; 2]>,
    expansions: Vec<Expansion>,
}

#[derive(Serialize, Deserialize)]
struct Expansion {
    name: String,
    seconds: f64,
    grown_mb: f64,
}

pub(crate) fn measure() -> anyhow::Result<Section> {
    let how = format!(
        "In one process: three actors with 0, 1,000 and 100,000 followers on {HOSTS} hosts, {PUBLISHES} notes of each in turn, \
         one at a time, from the call until the note is durable. Then the expansion of one note to 100,000 followers into \
         lane rows, once where all of a host share an inbox and once where each has its own: seconds until nothing is left \
         to expand, and how far the peak of memory lies above what was resident before."
    );
    let mut section = Section::new(
        "Publishing",
        &how,
        &["", "p50 ms", "p99 ms", "s", "RSS grown MB"],
    );
    let dir = tempfile::tempdir().context("no directory")?;
    // A process of its own, because its memory is measured.
    let output = Command::new(std::env::current_exe().context("this program has no path")?)
        .arg("publish")
        .arg(dir.path())
        .stderr(Stdio::inherit())
        .output()
        .context("can't start what publishes")?;
    if !output.status.success() {
        bail!("what publishes ended with {}", output.status);
    }
    let told: Told = serde_json::from_slice(&output.stdout).context("what publishes tells")?;
    for (size, [p50, p99]) in SIZES.iter().zip(&told.latency_ms) {
        let name = format!("publish, {size} followers");
        section.row(&name, &[*p50, *p99, f64::NAN, f64::NAN]);
    }
    for expansion in &told.expansions {
        let figures = [f64::NAN, f64::NAN, expansion.seconds, expansion.grown_mb];
        section.row(&expansion.name, &figures);
    }
    let p50s: Vec<f64> = told.latency_ms.iter().map(|[p50, _]| *p50).collect();
    let (least, most) = p50s
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), &p50| {
            (least.min(p50), most.max(p50))
        });
    section
        .bounds
        .push(Bound::at_most("slowest p50 ÷ fastest", most / least, 1.5));
    if let Some(expansion) = told.expansions.first() {
        section.bounds.push(Bound::at_most(
            "100,000 followers on 1,000 hosts expanded, seconds",
            expansion.seconds,
            2.0,
        ));
        section.bounds.push(Bound::at_most(
            "memory grown by that, MB",
            expansion.grown_mb,
            100.0,
        ));
    }
    Ok(section)
}

/// The process that publishes.
pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let world = World::open(dir, EngineKind::Fjall, BASE_URL)?;
        for size in SIZES {
            followed(&world, &format!("with{size}"), size, true).await?;
        }
        publish(&world, "with100000").await?;
        let mut expansions =
            vec![expansion(&world, "expansion, a shared inbox on each host").await?];
        followed(&world, "unshared", 100_000, false).await?;
        publish(&world, "unshared").await?;
        expansions.push(expansion(&world, "expansion, an inbox for each follower").await?);
        // Last, because none of these is expanded.
        let latency_ms = publishes(&world).await?;
        let told = Told {
            latency_ms,
            expansions,
        };
        println!("{}", serde_json::to_string(&told).context("it is JSON")?);
        world.close()
    })
}

/// An actor with so many accepted followers.
async fn followed(world: &World, name: &str, size: usize, shared: bool) -> anyhow::Result<()> {
    let actor = world.actor(name).await?;
    let drafts = (0..size).flat_map(|number| {
        let host = format!("https://host{}.example", number % HOSTS);
        let url = format!("{host}/users/u{number}");
        let (inbox, shared_inbox) = (format!("{url}/inbox"), format!("{host}/inbox"));
        let follower = Peer {
            url: &url,
            inbox: Some(&inbox),
            shared_inbox: shared.then_some(&*shared_inbox),
        };
        world::follow(&actor, &follower, &Peer::of(&actor.url))
    });
    world.append(drafts).await
}

async fn publish(world: &World, name: &str) -> anyhow::Result<()> {
    let content = "A line of a note, as long as people write. ".repeat(5);
    let note = Map::from([("type", "Note".to_owned()), ("content", content)]);
    let options = PublishOptions::default();
    world.node.publish(name, note, options).await?;
    Ok(())
}

async fn publishes(world: &World) -> anyhow::Result<Vec<[f64; 2]>> {
    let mut latencies_ms = vec![Vec::with_capacity(PUBLISHES); SIZES.len()];
    for _ in 0..PUBLISHES {
        for (size, latencies_ms) in SIZES.iter().zip(&mut latencies_ms) {
            let name = format!("with{size}");
            let begun = Instant::now();
            publish(world, &name).await?;
            latencies_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let quantiles = |all: &mut Vec<f64>| [quantile(all, 0.5), quantile(all, 0.99)];
    Ok(latencies_ms.iter_mut().map(quantiles).collect())
}

/// Runs delivery, over a network on which nothing answers, until nothing is left to expand.
async fn expansion(world: &World, name: &str) -> anyhow::Result<Expansion> {
    let deliveries = world.store.deliveries();
    let delivery = Delivery::over_node(
        world.node.clone(),
        Arc::new(Silent),
        Arc::clone(&deliveries),
        DeliveryOptions::default(),
    );
    let before_mb = resident_mb(std::process::id())?;
    reset_peak()?;
    let begun = Instant::now();
    let expanded = async {
        while deliveries.next_fan_out(0)?.is_some() {
            tokio::time::sleep(GLANCE).await;
        }
        anyhow::Ok(begun.elapsed())
    };
    // What is under way is cut: nothing would ever answer it.
    let took = tokio::select! {
        took = expanded => took?,
        ended = delivery.run(CancellationToken::new()) => {
            ended.context("delivery failed")?;
            bail!("delivery ended by itself")
        }
    };
    Ok(Expansion {
        name: name.to_owned(),
        seconds: took.as_secs_f64(),
        grown_mb: own_peak_mb()? - before_mb,
    })
}
