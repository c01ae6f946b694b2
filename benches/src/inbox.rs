//! Inbox deliveries: parsed, verified, durable and visible before they are answered, beside a handler
//! that only reads and verifies.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use fedsx_discovery::clock;
use fedsx_store::engine::EngineKind;

use crate::load::{Round, drive, request};
use crate::machine::{cpu_time, resident_mb};
use crate::report::{Bound, Section, median, quantile};
use crate::server::{Server, base_url, free_port};
use crate::sink::Sink;
use crate::world::{self, NOTE_BYTES, Peer, Remote, World};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 15;
/// Requests of a round: about a second, so that the two alternate faster than the machine changes its pace.
const REQUESTS: usize = 12_000;
/// Requests before the first round, not counted.
const WARM_UP: usize = 4_000;
/// Of the slower engines.
const REQUESTS_ONCE: usize = 20_000;

const COLUMNS: [&str; 6] = ["", "req/s", "ratio", "p50 ms", "p99 ms", "server CPU µs"];

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    crate::quiet_runtime()?.block_on(async {
        let mut bench = Bench::new().await?;
        let mut section = Section::new("Inbox accepts", &how(&bench.remote), &COLUMNS);
        bench.fjall(fedsx, &mut section).await?;
        for engine in [EngineKind::Sled, EngineKind::Memory] {
            bench.once(fedsx, engine, &mut section).await?;
        }
        Ok(section)
    })
}

fn how(remote: &Remote) -> String {
    format!(
        "{CONNECTIONS} keep-alive connections POST notes of {} bytes (aimed at {NOTE_BYTES}), each with its own \
         `eddsa-jcs-2022` proof made before the clock starts, to `fedsx serve`, which answers 202 when the note is \
         verified, fdatasynced and visible in the follower's inbox log. Beside it, in another process, an axum handler \
         that reads, parses, canonicalises, hashes and verifies with the key at hand (ed25519-dalek's \
         `verify_strict`; below it the same with what fedsx verifies by, because the key signs often), and keeps \
         nothing. {ROUNDS} rounds of {REQUESTS} requests, in turn; medians; the ratio is the median of the rounds' ratios. \
         A round is a burst, which the server accepts before it folds it into projections; the row below the shared inbox \
         counts the time until that is done too. The load comes \
         from the same cores. sled and memory: one round of {REQUESTS_ONCE}.",
        remote.note(0, 0).len()
    )
}

struct Bench {
    remote: Remote,
    /// Where the server finds the remote actor's key.
    _sink: Sink,
    bare: Bare,
    /// The yardstick that verifies as the server does.
    alike: Bare,
    notes: usize,
}

/// The figures of some rounds of one server.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    ratios: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Figures {
    fn take(&mut self, mut round: Round, cpu: Duration, yardstick: f64) {
        self.per_second.push(round.per_second());
        self.ratios.push(round.per_second() / yardstick);
        self.p50_ms.push(median(&mut round.latencies_ms));
        self.p99_ms.push(quantile(&mut round.latencies_ms, 0.99));
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let count = round.latencies_ms.len() as f64;
        self.cpu_us.push(cpu.as_secs_f64() * 1e6 / count);
    }

    fn row(&mut self, name: &str, section: &mut Section) {
        let all = [
            &mut self.per_second,
            &mut self.ratios,
            &mut self.p50_ms,
            &mut self.p99_ms,
            &mut self.cpu_us,
        ];
        section.row(name, &all.map(|figures| median(figures)));
    }
}

impl Bench {
    async fn new() -> anyhow::Result<Self> {
        let sink = Sink::open(1).await?;
        let remote = Remote::new(&base_url(sink.ports[0]))?;
        sink.serve(remote.document());
        let bare = Bare::start(&remote.multikey(), "dalek")?;
        let alike = Bare::start(&remote.multikey(), "multiples")?;
        Ok(Self {
            remote,
            _sink: sink,
            bare,
            alike,
            notes: 0,
        })
    }

    /// Notes that were never sent, as requests. Signed by every core, because nothing is measured yet.
    fn sign(&mut self, path: &str, count: usize) -> Vec<Bytes> {
        let (remote, first) = (&self.remote, self.notes);
        let now_ms = clock::system()();
        let signed = |range: std::ops::Range<usize>| -> Vec<Bytes> {
            range
                .map(|number| request(path, &remote.note(first + number, now_ms)))
                .collect()
        };
        self.notes += count;
        std::thread::scope(|scope| {
            let half = scope.spawn(|| signed(0..count / 2));
            let mut rest = signed(count / 2..count);
            rest.extend(half.join().expect("signing does not panic"));
            rest
        })
    }

    /// A server whose actor `alice` follows the remote one.
    async fn server(
        &self,
        fedsx: &Path,
        dir: &Path,
        engine: EngineKind,
    ) -> anyhow::Result<(Server, SocketAddr)> {
        let port = free_port()?;
        let world = World::open(dir, engine, &base_url(port))?;
        let alice = world.actor("alice").await?;
        let remote = self.remote.url();
        let follow = world::follow(&alice, &Peer::of(&alice.url), &Peer::of(&remote));
        world.append(follow.into_iter()).await?;
        world.close()?;
        let server = Server::start(fedsx, dir, port, engine.as_str())?;
        Ok((server, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
    }

    async fn fjall(&mut self, fedsx: &Path, section: &mut Section) -> anyhow::Result<()> {
        let dir = tempfile::tempdir().context("no directory")?;
        let (server, address) = self.server(fedsx, dir.path(), EngineKind::Fjall).await?;
        let warm = self.sign("/inbox", WARM_UP);
        drive(self.bare.address, warm.clone(), CONNECTIONS).await?;
        drive(self.alike.address, warm.clone(), CONNECTIONS).await?;
        drive(address, warm, CONNECTIONS).await?;
        let (mut yardstick, mut alike) = (Figures::default(), Figures::default());
        let (mut shared, mut own) = (Figures::default(), Figures::default());
        let mut folded = Figures::default();
        for _ in 0..ROUNDS {
            let requests = self.sign("/inbox", REQUESTS);
            let (round, cpu) = self
                .timed(self.bare.pid(), self.bare.address, requests.clone())
                .await?;
            let per_second = round.per_second();
            yardstick.take(round, cpu, per_second);
            let (round, cpu) = self
                .timed(self.alike.pid(), self.alike.address, requests.clone())
                .await?;
            alike.take(round, cpu, per_second);
            let (before, begun) = (cpu_time(server.pid())?, Instant::now());
            let (round, cpu) = self.timed(server.pid(), address, requests).await?;
            // Also so that nobody's turn is spent with what is left of another's.
            server.folded().await?;
            let all = Round {
                took: begun.elapsed(),
                latencies_ms: round.latencies_ms.clone(),
            };
            folded.take(
                all,
                cpu_time(server.pid())?.saturating_sub(before),
                per_second,
            );
            shared.take(round, cpu, per_second);
            let requests = self.sign("/actors/alice/inbox", REQUESTS);
            let (round, cpu) = self.timed(server.pid(), address, requests).await?;
            own.take(round, cpu, per_second);
            server.folded().await?;
        }
        yardstick.row("bare handler: reads and verifies", section);
        alike.row("the same, by multiples of the key", section);
        shared.row("fjall, shared inbox", section);
        folded.row("the same, until it is folded", section);
        own.row("fjall, the actor's inbox", section);
        let resident = resident_mb(server.pid())?;
        section.bounds.push(Bound::at_least(
            "fjall, shared inbox, ratio",
            median(&mut shared.ratios),
            0.7,
        ));
        section.how += &format!(
            " After {} notes the server has {resident:.0} MB resident.",
            WARM_UP + 2 * ROUNDS * REQUESTS
        );
        Ok(())
    }

    async fn once(
        &mut self,
        fedsx: &Path,
        engine: EngineKind,
        section: &mut Section,
    ) -> anyhow::Result<()> {
        let dir = tempfile::tempdir().context("no directory")?;
        let (server, address) = self.server(fedsx, dir.path(), engine).await?;
        let warm = self.sign("/inbox", WARM_UP);
        drive(address, warm, CONNECTIONS).await?;
        let requests = self.sign("/inbox", REQUESTS_ONCE);
        let (round, _) = self
            .timed(self.bare.pid(), self.bare.address, requests.clone())
            .await?;
        let per_second = round.per_second();
        let (round, cpu) = self.timed(server.pid(), address, requests).await?;
        let mut figures = Figures::default();
        figures.take(round, cpu, per_second);
        figures.row(&format!("{engine}, shared inbox"), section);
        Ok(())
    }

    async fn timed(
        &self,
        pid: u32,
        address: SocketAddr,
        requests: Vec<Bytes>,
    ) -> anyhow::Result<(Round, Duration)> {
        let before = cpu_time(pid)?;
        let round = drive(address, requests, CONNECTIONS).await?;
        Ok((round, cpu_time(pid)?.saturating_sub(before)))
    }
}

/// The yardstick's process; killed when dropped.
struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    fn start(key: &str, by: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program has no path")?;
        let mut child = Command::new(program)
            .args(["bare", key, by])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the yardstick")?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output is piped")?;
        BufReader::new(output)
            .read_line(&mut line)
            .context("the yardstick says nothing")?;
        let port: u16 = line.trim().parse().context("the yardstick says its port")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { child, address })
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
