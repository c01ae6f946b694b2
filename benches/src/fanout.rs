//! Fan-out at size: one actor's notes to 100,000 followers on 1,000 hosts, all of them up, and a tenth of them dead.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::Context as _;
use fedsx_store::engine::EngineKind;

use crate::machine::{cpu_time, resident_mb};
use crate::report::{Bound, Section};
use crate::server::{Server, base_url, free_port};
use crate::sink::Sink;
use crate::world::{self, Peer, World};

const HOSTS: usize = 1_000;
const FOLLOWERS: usize = 100_000;
/// Hosts that refuse connections, and as many that take them and never answer.
const DEAD: usize = 50;
const POSTS: usize = 20;

const COLUMNS: [&str; 4] = ["", "deliveries/s", "server CPU µs", "server RSS MB"];

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "An actor with {FOLLOWERS} followers on {HOSTS} hosts (addresses of the loopback network, one listener), all of a \
         host behind a shared inbox, has published {POSTS} notes; `fedsx serve` is started on them, expands them and sends a \
         request to each host for each. Counted at the receiver, from the first to the last. Once with all hosts up, and \
         once where {DEAD} refuse connections and {DEAD} take them and never answer."
    );
    let mut section = Section::new("Fan-out", &how, &COLUMNS);
    let runtime = crate::quiet_runtime()?;
    let alive = runtime.block_on(run(fedsx, 0))?;
    section.row("all hosts up", &alive);
    let dead = runtime.block_on(run(fedsx, DEAD))?;
    section.row("a tenth of them dead", &dead);
    section.bounds.push(Bound::at_least(
        "deliveries/s to the living, a tenth dead ÷ none dead",
        dead[0] / alive[0],
        0.9,
    ));
    Ok(section)
}

/// Deliveries a second to the hosts that are up, and what they cost.
async fn run(fedsx: &Path, dead: usize) -> anyhow::Result<[f64; 3]> {
    let sink = Sink::on_all_loopback_addresses().await?;
    // Nobody accepts: the system takes connections, and nothing is ever answered.
    let silent = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).context("no free port")?;
    let silent_port = silent.local_addr().context("it is bound")?.port();
    let refusing_port = free_port()?;
    let ports = |host: usize| {
        if host < dead {
            refusing_port
        } else if host < 2 * dead {
            silent_port
        } else {
            sink.ports[0]
        }
    };
    let dir = tempfile::tempdir().context("no directory")?;
    let port = free_port()?;
    prepare(dir.path(), &base_url(port), ports).await?;
    let server = Server::start(fedsx, dir.path(), port, "fjall")?;
    let arrived = sink.posts((HOSTS - 2 * dead) * POSTS).await?;
    let took = arrived.last.duration_since(arrived.first).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = arrived.posts as f64;
    let cpu_us = cpu_time(server.pid())?.as_secs_f64() * 1e6 / count;
    Ok([count / took, cpu_us, resident_mb(server.pid())?])
}

async fn prepare(dir: &Path, base_url: &str, port: impl Fn(usize) -> u16) -> anyhow::Result<()> {
    let world = World::open(dir, EngineKind::Fjall, base_url)?;
    let actor = world.actor("alice").await?;
    let drafts = (0..FOLLOWERS).flat_map(|number| {
        let host = number % HOSTS;
        let (high, low) = (1 + host / 250, 1 + host % 250);
        let host = format!("http://127.0.{high}.{low}:{}", port(host));
        let url = format!("{host}/users/u{number}");
        let (inbox, shared_inbox) = (format!("{url}/inbox"), format!("{host}/inbox"));
        let follower = Peer {
            url: &url,
            inbox: Some(&inbox),
            shared_inbox: Some(&shared_inbox),
        };
        world::follow(&actor, &follower, &Peer::of(&actor.url))
    });
    world.append(drafts).await?;
    world.posts("alice", POSTS).await?;
    world.close()
}
