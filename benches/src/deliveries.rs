//! Deliveries out: a server started on posts that wait to go out, to many hosts that take everything.

use std::path::Path;

use anyhow::Context as _;
use fedsx_store::engine::EngineKind;

use crate::machine::{cpu_time, resident_mb};
use crate::report::Section;
use crate::server::{Server, base_url, free_port};
use crate::sink::Sink;
use crate::world::{self, Peer, World};

const ACTORS: usize = 4;
const HOSTS: usize = 32;
const FOLLOWERS_PER_HOST: usize = 20;
const POSTS: usize = 10;
const DELIVERIES: usize = ACTORS * HOSTS * FOLLOWERS_PER_HOST * POSTS;

const COLUMNS: [&str; 4] = ["", "deliveries/s", "server CPU µs", "server RSS MB"];

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "{ACTORS} actors with {FOLLOWERS_PER_HOST} followers on each of {HOSTS} hosts (ports of the loopback address), \
         nobody behind a shared inbox, have published {POSTS} notes each; `fedsx serve` is started on them, expands them \
         and sends {DELIVERIES} requests, each signed (RFC 9421, Ed25519). Counted at the receiver, which answers 202 to \
         all, from the first to the last."
    );
    let mut section = Section::new("Deliveries", &how, &COLUMNS);
    crate::quiet_runtime()?.block_on(async {
        let sink = Sink::open(HOSTS).await?;
        let dir = tempfile::tempdir().context("no directory")?;
        let port = free_port()?;
        prepare(dir.path(), &sink, &base_url(port)).await?;
        let server = Server::start(fedsx, dir.path(), port, "fjall")?;
        let arrived = sink.posts(DELIVERIES).await?;
        let took = arrived.last.duration_since(arrived.first).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let count = arrived.posts as f64;
        let cpu_us = cpu_time(server.pid())?.as_secs_f64() * 1e6 / count;
        section.row(
            "to a local sink",
            &[count / took, cpu_us, resident_mb(server.pid())?],
        );
        Ok(section)
    })
}

async fn prepare(dir: &Path, sink: &Sink, base_url: &str) -> anyhow::Result<()> {
    let world = World::open(dir, EngineKind::Fjall, base_url)?;
    for number in 0..ACTORS {
        let name = format!("actor{number}");
        let actor = world.actor(&name).await?;
        for port in &sink.ports {
            for follower in 0..FOLLOWERS_PER_HOST {
                let url = format!("http://127.0.0.1:{port}/actors/f{number}_{follower}");
                let inbox = format!("{url}/inbox");
                let follower = Peer {
                    url: &url,
                    inbox: Some(&inbox),
                    shared_inbox: None,
                };
                let follow = world::follow(&actor, &follower, &Peer::of(&actor.url));
                world.append(follow.into_iter()).await?;
            }
        }
        world.posts(&name, POSTS).await?;
    }
    world.close()
}
