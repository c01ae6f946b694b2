//! Starting: on a long journal after a kill, and on nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use fedsx_core::decide::Draft;
use fedsx_core::entry::LogId;
use fedsx_core::state::Actor;
use fedsx_store::engine::EngineKind;

use crate::machine::resident_mb;
use crate::report::{Bound, Section};
use crate::server::{Server, base_url, free_port};
use crate::world::{self, NOTE_BYTES, World};

const FJALL_ENTRIES: usize = 1_000_000;
/// Fewer, because sled takes so much longer to fill; the time to start grows with them.
const SLED_ENTRIES: usize = 300_000;
/// How long an idle server is left alone.
const IDLE: Duration = Duration::from_secs(2);
/// Appended at once while waiting to be killed.
const CHUNK: usize = 10_000;

/// Fills a journal and goes on appending until it is killed.
pub(crate) fn fill(dir: &Path, engine: &str, base_url: &str, entries: &str) -> anyhow::Result<()> {
    let entries: usize = entries.parse().context("a number of entries")?;
    let engine: EngineKind = engine.parse()?;
    crate::quiet_runtime()?.block_on(async {
        let world = World::open(dir, engine, base_url)?;
        let alice = world.actor("alice").await?;
        let payload = Bytes::from(vec![b' '; NOTE_BYTES]);
        let drafts =
            |range: std::ops::Range<usize>| range.map(|number| note(&alice, number, &payload));
        let begun = Instant::now();
        world.append(drafts(0..entries)).await?;
        println!("{}", begun.elapsed().as_millis());
        std::io::stdout().flush().context("nobody reads")?;
        for chunk in 0.. {
            let first = entries + chunk * CHUNK;
            world.append(drafts(first..first + CHUNK)).await?;
        }
        Ok(())
    })
}

fn note(alice: &Actor, number: usize, payload: &Bytes) -> Draft {
    // Some peers, as a server has: each with many notes.
    let actor = format!("https://peer{}.example/users/someone", number % 1_000);
    let id = format!("{actor}/statuses/{number}");
    Draft {
        payload: payload.clone(),
        ..world::draft(&actor, id, LogId::inbox(alice.no), None)
    }
}

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "A process appends entries of {NOTE_BYTES} bytes through the writer and is killed with SIGKILL while it goes on; \
         then `fedsx serve` is started on the directory, and the time taken from starting the process until `/readyz` \
         answers 200. The files are in the page cache. sled is filled with fewer entries because filling it takes long."
    );
    let columns = [
        "",
        "entries",
        "filled at, entries/s",
        "start s",
        "start again s",
        "RSS MB",
    ];
    let mut section = Section::new("Start after a kill", &how, &columns);
    for (engine, entries) in [
        (EngineKind::Fjall, FJALL_ENTRIES),
        (EngineKind::Sled, SLED_ENTRIES),
    ] {
        let dir = tempfile::tempdir().context("no directory")?;
        let port = free_port()?;
        let filling = filled_and_killed(dir.path(), engine, port, entries)?;
        let start = |dir: &Path| -> anyhow::Result<(f64, f64)> {
            let server = Server::start(fedsx, dir, port, engine.as_str())?;
            let resident = resident_mb(server.pid())?;
            Ok((server.took.as_secs_f64(), resident))
        };
        let (took, resident) = start(dir.path())?;
        // Killed again, this time with nothing under way.
        let (again, _) = start(dir.path())?;
        #[expect(clippy::cast_precision_loss, reason = "a count of entries")]
        let entries = entries as f64;
        let rate = entries / filling.as_secs_f64();
        section.row(engine.as_str(), &[entries, rate, took, again, resident]);
        if engine == EngineKind::Fjall {
            let bound = Bound::at_most("fjall, 1,000,000 entries, seconds", took, 1.5);
            section.bounds.push(bound);
        }
    }
    Ok(section)
}

/// Fills a directory by a process that is then killed; says how long it filled.
fn filled_and_killed(
    dir: &Path,
    engine: EngineKind,
    port: u16,
    entries: usize,
) -> anyhow::Result<Duration> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut child = Command::new(program)
        .arg("fill")
        .arg(dir)
        .args([engine.as_str(), &base_url(port), &entries.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start what fills")?;
    let output = child.stdout.take().context("its output is piped")?;
    let mut line = String::new();
    let read = BufReader::new(output).read_line(&mut line);
    child.kill().context("can't kill what fills")?;
    child.wait().context("can't wait for what fills")?;
    read.context("what fills says nothing")?;
    let Ok(millis) = line.trim().parse() else {
        bail!("filling {engine} ended early: {line}");
    };
    Ok(Duration::from_millis(millis))
}

pub(crate) fn idle(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "`fedsx serve` on a new directory with one actor, {} s after it is ready.",
        IDLE.as_secs()
    );
    let mut section = Section::new("Idle memory", &how, &["", "RSS MB", "start s"]);
    let dir = tempfile::tempdir().context("no directory")?;
    let port = free_port()?;
    crate::quiet_runtime()?.block_on(async {
        let world = World::open(dir.path(), EngineKind::Fjall, &base_url(port))?;
        world.actor("alice").await?;
        world.close()
    })?;
    let server = Server::start(fedsx, dir.path(), port, "fjall")?;
    std::thread::sleep(IDLE);
    let resident = resident_mb(server.pid())?;
    section.row("idle, fjall", &[resident, server.took.as_secs_f64()]);
    section
        .bounds
        .push(Bound::at_most("idle RSS, MB", resident, 40.0));
    Ok(section)
}
