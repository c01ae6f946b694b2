//! Folding: entries a second into small and large states, and a rebuild with the memory it takes.
//!
//! A journal of `Pin`s is filled by one process and folded by another, whose memory is measured. Nothing
//! else is done meanwhile, so that the thread that folds has a core.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use fedsx_core::decide::Draft;
use fedsx_core::definition::Definition;
use fedsx_core::entry::LogId;
use fedsx_core::state::Actor;
use fedsx_node::{Folds, Overview};
use fedsx_store::engine::EngineKind;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::machine::{own_peak_mb, reset_peak, resident_mb};
use crate::report::{Bound, Section};
use crate::world::{self, World};

/// Entries of the two journals.
const SIZES: [usize; 2] = [250_000, 1_000_000];
/// How often a rebuild is looked at.
const GLANCE: Duration = Duration::from_millis(5);
const BASE_URL: &str = "http://127.0.0.1:9";

/// What is folded: the state's size is in the name.
const PROJECTIONS: [(&str, &str); 3] = [
    (
        "unkeyed, a map of 10",
        r#"(DefineProjection :name "of-10" :on "Pin" :initialState {}
          :fold (fn (state act) (assoc state (get act :shelf) (get act :object))))"#,
    ),
    (
        "unkeyed, a map of 10,000",
        r#"(DefineProjection :name "of-10000" :on "Pin" :initialState {}
          :fold (fn (state act) (assoc state (get act :room) (get act :object))))"#,
    ),
    (
        "keyed, a key for each entry",
        r#"(DefineProjection :name "pin-state" :on "Pin" :initialState {}
          :key (fn (act) (get act :path))
          :fold (fn (state act) (assoc state :object (get act :object))))"#,
    ),
];

/// What the folding process tells.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Seconds of each projection.
    seconds: Vec<f64>,
    rebuild: Rebuild,
}

#[derive(Serialize, Deserialize)]
struct Rebuild {
    seconds: f64,
    peak_mb: f64,
    grown_mb: f64,
}

pub(crate) fn measure() -> anyhow::Result<Section> {
    let how = "A journal of public `Pin`s of about 170 bytes, each with another `path`, one of 10,000 `room`s and one of \
               10 `shelf`s, is folded by a process that does nothing else (fjall): reading, showing, evaluating and \
               committing. Then the keyed projection, which has as many keys as entries, is rebuilt beside itself: seconds \
               until the new states are served, the peak of memory meanwhile, and how far that lies above what was resident \
               before.";
    let columns = ["", "entries", "s", "entries/s", "peak RSS MB", "grown MB"];
    let mut section = Section::new("Folding", how, &columns);
    let (mut slowest, mut fastest) = (f64::MAX, 0.0_f64);
    let mut peaks_mb = Vec::new();
    for size in SIZES {
        let told = folded(size)?;
        #[expect(clippy::cast_precision_loss, reason = "a count of entries")]
        let entries = size as f64;
        for ((name, _), seconds) in PROJECTIONS.iter().zip(&told.seconds) {
            let rate = entries / seconds;
            (slowest, fastest) = (slowest.min(rate), fastest.max(rate));
            let figures = [entries, *seconds, rate, f64::NAN, f64::NAN];
            section.row(name, &figures);
        }
        let Rebuild {
            seconds,
            peak_mb,
            grown_mb,
        } = told.rebuild;
        let figures = [entries, seconds, entries / seconds, peak_mb, grown_mb];
        section.row("rebuild, keyed", &figures);
        peaks_mb.push(peak_mb);
    }
    let [small, large] = *peaks_mb else {
        bail!("two journals were folded");
    };
    section.bounds = vec![
        Bound::at_most("fastest ÷ slowest state", fastest / slowest, 3.0),
        Bound::at_most(
            "peak RSS of a rebuild, 4 times the journal",
            large / small,
            1.5,
        ),
    ];
    Ok(section)
}

/// Fills a journal and folds it, each in a process of its own.
fn folded(entries: usize) -> anyhow::Result<Told> {
    let dir = tempfile::tempdir().context("no directory")?;
    let program = std::env::current_exe().context("this program has no path")?;
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).arg(dir.path()).stderr(Stdio::inherit());
        let output = command.output().context("can't start what folds")?;
        ensure!(
            output.status.success(),
            "`{}` ended with {}",
            words.join(" "),
            output.status
        );
        Ok(output.stdout)
    };
    run(&["pins", &entries.to_string()])?;
    let told = run(&["folds"])?;
    serde_json::from_slice(&told).context("what folds tells")
}

/// The process that fills.
pub(crate) fn fill(dir: &Path, entries: &str) -> anyhow::Result<()> {
    let entries: usize = entries.parse().context("a number of entries")?;
    crate::quiet_runtime()?.block_on(async {
        let world = World::open(dir, EngineKind::Fjall, BASE_URL)?;
        let alice = world.actor("alice").await?;
        let drafts = (0..entries).map(|number| pin(&alice, number));
        world.append(drafts).await?;
        world.close()
    })
}

fn pin(alice: &Actor, number: usize) -> Draft {
    let actor = "https://peer.example/users/someone";
    let id = format!("{actor}/pins/{number}");
    let (room, shelf) = (number % 10_000, number % 10);
    let document = format!(
        r#"{{"id":"{id}","type":"Pin","actor":"{actor}","path":"p{number}","room":"r{room}","shelf":"s{shelf}","object":"https://a.example/{number}"}}"#
    );
    let mut draft = world::draft(actor, id, LogId::inbox(alice.no), None);
    "Pin".clone_into(&mut draft.activity.verb);
    Draft {
        payload: Bytes::from(document),
        ..draft
    }
}

/// The process that folds.
pub(crate) fn run(dir: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let told = runtime.block_on(async {
        let world = World::open(dir, EngineKind::Fjall, BASE_URL)?;
        let folds = world.node.folds().clone();
        let stop = CancellationToken::new();
        let running = folds.clone().run(stop.clone());
        tokio::pin!(running);
        let told = tokio::select! {
            ended = &mut running => {
                ended.context("folding failed")?;
                bail!("folding ended before all was folded");
            }
            told = told(&folds, world.node.view().applied()) => told,
        };
        stop.cancel();
        running.await.context("folding failed")?;
        drop(folds);
        world.close()?;
        told
    })?;
    println!("{}", serde_json::to_string(&told).context("it is JSON")?);
    Ok(())
}

async fn told(folds: &Folds, applied: u64) -> anyhow::Result<Told> {
    let mut seconds = Vec::new();
    let mut last = None;
    for (_, source) in PROJECTIONS {
        let definition = Definition::from_source(source).map_err(|error| error.page());
        let definition = definition.map_err(anyhow::Error::msg)?;
        if let Some(before) = last.replace(definition.clone()) {
            folds.deactivate(&before);
        }
        let begun = Instant::now();
        ensure!(folds.activate(&definition), "it is a projection");
        let folded = until(folds, definition.name(), |now| now.offset >= applied).await?;
        seconds.push(begun.elapsed().as_secs_f64());
        ensure!(folded.failures == 0, "{} entries failed", folded.failures);
    }
    let name = last.context("there are some")?.name().to_owned();
    let before_mb = resident_mb(std::process::id())?;
    reset_peak()?;
    let begun = Instant::now();
    let before = folds.rebuild(&name)?;
    let is_done = |now: &Overview| now.generation > before.generation;
    until(folds, &name, is_done).await?;
    let peak_mb = own_peak_mb()?;
    Ok(Told {
        seconds,
        rebuild: Rebuild {
            seconds: begun.elapsed().as_secs_f64(),
            peak_mb,
            grown_mb: peak_mb - before_mb,
        },
    })
}

async fn until(
    folds: &Folds,
    name: &str,
    is_so: impl Fn(&Overview) -> bool,
) -> anyhow::Result<Overview> {
    loop {
        let now = folds.overview(name)?;
        if is_so(&now) {
            return Ok(now);
        }
        tokio::time::sleep(GLANCE).await;
    }
}
