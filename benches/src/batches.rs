//! Deliveries by single requests and in batches, beside what the HTTP client alone reaches.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use fedsx_store::engine::EngineKind;
use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use crate::machine::cpu_time;
use crate::report::{Bound, Section};
use crate::server::{Server, base_url, free_port};
use crate::sink::{Arrived, Sink};
use crate::world::{self, NOTE_BYTES, Peer, World};

const ACTORS: usize = 4;
const HOSTS: usize = 8;
const POSTS: usize = 500;
const DELIVERIES: usize = ACTORS * HOSTS * POSTS;
/// Requests that the client alone has under way at once, as many as the server may have.
const AT_ONCE: usize = ACTORS * HOSTS;

const COLUMNS: [&str; 3] = ["", "deliveries/s", "sender CPU µs"];

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "{ACTORS} actors with a follower behind the shared inbox of each of {HOSTS} hosts (ports of the loopback address) \
         have published {POSTS} notes each; `fedsx serve` is started on them and sends {DELIVERIES} activities, by \
         requests of their own (RFC 9421, Ed25519; no RSA) or, where the hosts take batches, in those. Beside it a plain \
         reqwest client of a process of its own, which posts as many bodies of {NOTE_BYTES} bytes, unsigned, {AT_ONCE} at \
         once. Counted at the receiver, from the first to the last."
    );
    let mut section = Section::new("Batches", &how, &COLUMNS);
    crate::quiet_runtime()?.block_on(async {
        let ceiling = alone().await?;
        let single = deliveries(fedsx, false).await?;
        let batched = deliveries(fedsx, true).await?;
        section.row("the client alone", &ceiling);
        section.row("single requests", &single);
        section.row("batches", &batched);
        section.bounds.push(Bound::at_least(
            "single deliveries, of what the client alone reaches",
            single[0] / ceiling[0],
            0.5,
        ));
        section.bounds.push(Bound::at_least(
            "batched deliveries, of single ones",
            batched[0] / single[0],
            3.0,
        ));
        Ok(section)
    })
}

/// A sink for each host.
async fn sinks(take_batches: bool) -> anyhow::Result<Vec<Sink>> {
    let sinks = try_join_all((0..HOSTS).map(|_| Sink::open(1))).await?;
    for sink in &sinks {
        let said = match take_batches {
            true => format!(
                r#"{{"batch":{{"url":"http://127.0.0.1:{}/inbox/batch","activities":256}}}}"#,
                sink.ports[0]
            ),
            false => "{}".to_owned(),
        };
        sink.serve(Bytes::from(said));
    }
    Ok(sinks)
}

/// What all of them got, per second.
async fn arrived(sinks: &[Sink]) -> anyhow::Result<f64> {
    let each = sinks.iter().map(|sink| sink.posts(DELIVERIES / HOSTS));
    let each: Vec<Arrived> = try_join_all(each).await?;
    let first = each.iter().map(|arrived| arrived.first).min();
    let last = each.iter().map(|arrived| arrived.last).max();
    let (first, last) = first.zip(last).context("there are sinks")?;
    #[expect(clippy::cast_precision_loss, reason = "a count of deliveries")]
    let count = DELIVERIES as f64;
    Ok(count / last.duration_since(first).as_secs_f64())
}

fn per_delivery_us(pid: u32) -> anyhow::Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a count of deliveries")]
    let count = DELIVERIES as f64;
    Ok(cpu_time(pid)?.as_secs_f64() * 1e6 / count)
}

async fn deliveries(fedsx: &Path, take_batches: bool) -> anyhow::Result<[f64; 2]> {
    let sinks = sinks(take_batches).await?;
    let dir = tempfile::tempdir().context("no directory")?;
    let port = free_port()?;
    prepare(dir.path(), &sinks, &base_url(port)).await?;
    let server = Server::start(fedsx, dir.path(), port, "fjall")?;
    Ok([arrived(&sinks).await?, per_delivery_us(server.pid())?])
}

async fn prepare(dir: &Path, sinks: &[Sink], base_url: &str) -> anyhow::Result<()> {
    let world = World::open(dir, EngineKind::Fjall, base_url)?;
    for number in 0..ACTORS {
        let name = format!("actor{number}");
        let actor = world.actor(&name).await?;
        for sink in sinks {
            let host = format!("http://127.0.0.1:{}", sink.ports[0]);
            let url = format!("{host}/actors/f{number}");
            let (inbox, shared) = (format!("{url}/inbox"), format!("{host}/inbox"));
            let follower = Peer {
                url: &url,
                inbox: Some(&inbox),
                shared_inbox: Some(&shared),
            };
            let follow = world::follow(&actor, &follower, &Peer::of(&actor.url));
            world.append(follow.into_iter()).await?;
        }
        world.posts(&name, POSTS).await?;
    }
    world.close()
}

/// The client alone, as a process of its own.
async fn alone() -> anyhow::Result<[f64; 2]> {
    let sinks = sinks(false).await?;
    let own = std::env::current_exe().context("this program has no path")?;
    let ports = sinks.iter().map(|sink| sink.ports[0].to_string());
    let mut client = Command::new(own)
        .arg("client")
        .args(ports)
        // It stays until it is looked at, and ends with its input.
        .stdin(Stdio::piped())
        .spawn()
        .context("can't start the client")?;
    let measured = async {
        let per_second = arrived(&sinks).await?;
        Ok([per_second, per_delivery_us(client.id())?])
    };
    let measured: anyhow::Result<_> = measured.await;
    drop(client.stdin.take());
    let ended = client.wait().context("the client is ours")?;
    if !ended.success() {
        bail!("the client alone failed: {ended}");
    }
    measured
}

/// Posts as much as is delivered otherwise, then waits for the end of its input.
pub(crate) fn client(ports: &[&str]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let client = reqwest::Client::new();
        let body = Bytes::from(vec![b'x'; NOTE_BYTES]);
        let mut senders = JoinSet::new();
        for nth in 0..AT_ONCE {
            let port = ports[nth % ports.len()];
            let url = format!("http://127.0.0.1:{port}/inbox");
            let (client, body) = (client.clone(), body.clone());
            senders.spawn(async move {
                for _ in 0..DELIVERIES / AT_ONCE {
                    let sent = client.post(&url).body(body.clone()).send().await?;
                    sent.bytes().await?;
                }
                Ok::<(), reqwest::Error>(())
            });
        }
        while let Some(sent) = senders.join_next().await {
            sent.context("a sender broke")?.context("a post failed")?;
        }
        anyhow::Ok(())
    })?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).context("no input")?;
    Ok(())
}
