//! Backfill: a whole history from one server to another, from its first page to its last entry.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use fedsx_core::backfill::Mode;
use fedsx_core::entry::Control;
use fedsx_core::value::Map;
use fedsx_discovery::clock;
use fedsx_node::PublishOptions;
use fedsx_store::engine::EngineKind;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::machine::{cpu_time, resident_mb};
use crate::report::{Bound, Section};
use crate::server::{Server, base_url, free_port};
use crate::world::{self, Peer, World};

/// Notes of the history; before them stands the actor's own beginning.
const NOTES: usize = 50_000;
/// Published at once while it is prepared.
const AT_ONCE: usize = 256;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the reader is asked how far it is.
const GLANCE: Duration = Duration::from_millis(20);
/// How long a history of 50,000 may take, seconds.
const BOUND_S: f64 = 60.0;

const COLUMNS: [&str; 5] = ["", "entries/s", "s", "reader CPU µs", "reader RSS MB"];

pub(crate) fn measure(fedsx: &Path) -> anyhow::Result<Section> {
    let how = format!(
        "A server holds the {NOTES} notes of an actor, each with its proof; another, with a follower of it, is started with \
         a `full` backfill due: it asks for pages as the follower, verifies each activity and appends it to the follower's \
         inbox in order. Counted from the start of its process until the last is durable, both servers on the same cores."
    );
    let mut section = Section::new("Backfill", &how, &COLUMNS);
    let runtime = tokio::runtime::Runtime::new().context("can't start the runtime")?;
    runtime.block_on(async {
        let (source, reader) = (directory()?, directory()?);
        let ports = [free_port()?, free_port()?];
        let bob = write(source.path(), ports[0]).await?;
        let last = follow(reader.path(), ports[1], &bob).await?;
        let _source = Server::start(fedsx, source.path(), ports[0], "fjall")?;
        let begun = Instant::now();
        let server = Server::start(fedsx, reader.path(), ports[1], "fjall")?;
        while server.journal_offset()? < last {
            if begun.elapsed() > PATIENCE {
                bail!("the history is not there after {PATIENCE:?}");
            }
            tokio::time::sleep(GLANCE).await;
        }
        let took = begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a count of entries")]
        let count = (NOTES + 1) as f64;
        let cpu_us = cpu_time(server.pid())?.as_secs_f64() * 1e6 / count;
        let figures = [count / took, took, cpu_us, resident_mb(server.pid())?];
        section.row("full, from another server", &figures);
        let what = "a history of 50,000, seconds";
        section.bounds.push(Bound::at_most(what, took, BOUND_S));
        Ok(section)
    })
}

fn directory() -> anyhow::Result<tempfile::TempDir> {
    tempfile::tempdir().context("no directory")
}

/// Writes the history; the URL of whose it is.
async fn write(dir: &Path, port: u16) -> anyhow::Result<String> {
    let world = World::open(dir, EngineKind::Fjall, &base_url(port))?;
    let bob = world.actor("bob").await?;
    let node = &world.node;
    let notes = stream::iter(0..NOTES).map(|number| async move {
        let content = format!(
            "{number}: {}",
            "a line of a note, as long as people write. ".repeat(5)
        );
        let note = Map::from([("type", "Note".to_owned()), ("content", content)]);
        node.publish("bob", note, PublishOptions::default()).await
    });
    let published = notes.buffered(AT_ONCE).try_for_each(|_| async { Ok(()) });
    published.await?;
    world.close()?;
    Ok(bob.url)
}

/// Has an actor follow whose history it is, and a backfill of it be due; the offset of its last entry.
async fn follow(dir: &Path, port: u16, bob: &str) -> anyhow::Result<u64> {
    let world = World::open(dir, EngineKind::Fjall, &base_url(port))?;
    let alice = world.actor("alice").await?;
    let follow = world::follow(&alice, &Peer::of(&alice.url), &Peer::of(bob));
    world.append(follow.into_iter()).await?;
    let now_ms = clock::system()();
    let begun = Control::BackfillBegun {
        actor: alice.no,
        peer: bob.to_owned(),
        mode: Mode::Full,
        until_ms: now_ms,
    };
    let begun = world.store.writer().control(begun, Bytes::new(), now_ms)?;
    begun.wait().await?;
    // Behind what is there, the history and that it has ended.
    let last = world.node.view().applied() + NOTES as u64 + 2;
    world.close()?;
    Ok(last)
}
