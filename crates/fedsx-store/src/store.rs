//! Opening and closing a data directory: lock, format, vault, journal, index, writer.
//!
//! ```text
//! DIR/format            version and base URL
//! DIR/genesis.sx        the manifest of the genesis it goes by
//! DIR/lock              held by the one process
//! DIR/secret, DIR/keys/ keys at rest
//! DIR/journal/          the truth
//! DIR/index-<engine>/   what it folds into; may be thrown away
//! DIR/import/           an import under way
//! DIR/quarantine/      what a schema or validator refused
//! DIR/delivery.ledger   delivery progress, for when the index was thrown away
//! DIR/backfill.ledger   how far backfills have come
//! ```
//! Opening applies the journal's tail from the index's watermark on, through the same `apply` that runs
//! when an entry is appended.

mod error;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fedsx_core::cid::Digest;
use fedsx_core::entry::Header;
use fedsx_core::state::At;
use tokio::sync::{oneshot, watch};

use crate::backfill::Progresses;
use crate::cache::RowCache;
use crate::check;
use crate::chunk::{Chunk, batch_of};
use crate::delivery::Deliveries;
use crate::engine::{self, Batch, Engine, EngineError, EngineKind};
use crate::erasure::{Erasure, Overwritten};
use crate::flusher::Flusher;
use crate::import::{self, Imports};
use crate::index::Index;
use crate::journal::{Directory, Files, Journal, JournalOptions, Place, Recovered};
use crate::lock::DirectoryLock;
use crate::projections::Projections;
use crate::quarantine::Quarantine;
use crate::queue::Queue;
use crate::schema::{self, Table, key};
use crate::vault::{Vault, replace};
use crate::view::View;
use crate::writer::{Writer, WriterError, WriterHandle, applied_key};

pub use self::error::StoreError;

/// The version of the data directory.
const FORMAT: u32 = 1;
/// Entries applied at once when the tail is applied again.
const APPLY_CHUNK: usize = 512;

/// How a data directory is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The index engine.
    pub engine: EngineKind,
    /// A journal segment, bytes.
    pub segment_bytes: u32,
    /// How often the index is made durable.
    pub flush_every: Duration,
    /// The instance's base URL; a directory keeps the one it began with.
    pub base_url: String,
    /// The instance secret, when it does not come from the directory.
    pub secret: Option<Vec<u8>>,
}

/// What opening found.
#[derive(Debug)]
pub struct Report {
    /// What recovery of the journal found.
    pub recovered: Recovered,
    /// Entries applied again to bring the index up.
    pub applied_again: u64,
}

/// An open data directory.
#[derive(Debug)]
pub struct Store {
    view: View,
    writer: WriterHandle,
    vault: Arc<Vault>,
    deliveries: Arc<Deliveries>,
    projections: Projections,
    quarantine: Arc<Quarantine>,
    imports: Imports,
    backfills: Arc<Progresses>,
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
    /// None while somebody steps it.
    threads: Option<Threads>,
    stopped: Option<oneshot::Receiver<Result<(), WriterError>>>,
    _lock: DirectoryLock,
}

/// What runs beside an open directory.
#[derive(Debug)]
struct Threads {
    writer: JoinHandle<()>,
    flusher: Flusher,
}

/// An open directory before anything runs.
pub(crate) struct Opened {
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) erasure: Erasure,
    pub(crate) cache: Arc<RowCache>,
    pub(crate) report: Report,
}

impl Opened {
    /// Opens a directory, of which `applied` gives journal and index.
    pub(crate) fn with(
        dir: &Path,
        options: &StoreOptions,
        applied: impl FnOnce() -> Result<(Journal, Arc<dyn Engine>, Report), StoreError>,
    ) -> Result<Self, StoreError> {
        let data = Directory::open(dir).map_err(|source| io_error("open", dir, source))?;
        let lock = DirectoryLock::acquire(dir)?;
        check_format(&data, dir, &options.base_url)?;
        if import::undo(dir)? {
            tracing::warn!("an import was cut short; it is undone");
        }
        let vault = Arc::new(Vault::open(dir, options.secret.as_deref())?);
        let (journal, engine, report) = applied()?;
        let last = journal.next_offset() - 1;
        let ledger = dir.join("delivery.ledger");
        let deliveries = Arc::new(Deliveries::open(Arc::clone(&engine), ledger, last)?);
        let projections = Projections::open(dir, options.engine)?;
        let quarantine = Arc::new(Quarantine::open(dir)?);
        let backfills = Progresses::open(&dir.join("backfill.ledger"))?;
        let (sender, applied) = watch::channel(last);
        let cache = Arc::new(RowCache::default());
        let view = View::new(
            Arc::clone(&engine),
            journal.reader(),
            applied,
            Arc::clone(&cache),
        );
        let queue = Arc::new(Queue::default());
        let erasure = Erasure::of(&journal, Arc::clone(&engine));
        let writer = Writer::new(journal, Arc::clone(&engine), sender, Arc::clone(&cache));
        let store = Store {
            view,
            writer: WriterHandle::new(Arc::clone(&queue)),
            vault,
            deliveries,
            projections,
            quarantine,
            imports: Imports::of(dir),
            backfills: Arc::new(backfills),
            engine,
            queue,
            threads: None,
            stopped: None,
            _lock: lock,
        };
        Ok(Self {
            store,
            writer,
            erasure,
            cache,
            report,
        })
    }
}

impl Store {
    /// Opens a data directory, made when missing, and starts its writer.
    ///
    /// # Errors
    /// [`StoreError`], each with what to do about it.
    pub fn open(dir: &Path, options: &StoreOptions) -> Result<(Self, Report), StoreError> {
        let Opened {
            mut store,
            writer,
            erasure,
            cache,
            report,
        } = Opened::with(dir, options, || open_applied(dir, options))?;
        let (tell, stopped) = oneshot::channel();
        let work = Arc::clone(&store.queue);
        let writer = spawn("fedsx-writer", move || {
            // Who closes the store, or waits for its end, takes the outcome.
            let _gone = tell.send(writer.run(&work));
        });
        let engine = Arc::clone(&store.engine);
        let flusher = Flusher::start(engine, cache, erasure, options.flush_every);
        store.threads = Some(Threads { writer, flusher });
        store.stopped = Some(stopped);
        Ok((store, report))
    }

    /// The read side.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The write side.
    #[must_use]
    pub fn writer(&self) -> WriterHandle {
        self.writer.clone()
    }

    /// The keys at rest.
    #[must_use]
    pub fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.vault)
    }

    /// Delivery progress.
    #[must_use]
    pub fn deliveries(&self) -> Arc<Deliveries> {
        Arc::clone(&self.deliveries)
    }

    /// The states of projections.
    #[must_use]
    pub fn projections(&self) -> Projections {
        self.projections.clone()
    }

    /// What a schema or validator refused.
    #[must_use]
    pub fn quarantine(&self) -> Arc<Quarantine> {
        Arc::clone(&self.quarantine)
    }

    /// How far backfills have come.
    #[must_use]
    pub fn backfills(&self) -> Arc<Progresses> {
        Arc::clone(&self.backfills)
    }

    /// Where imports wait.
    #[must_use]
    pub fn imports(&self) -> Imports {
        self.imports.clone()
    }

    /// What waits for the writer.
    #[cfg(feature = "simulation")]
    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Resolves when the writer has stopped by itself, which it does only when a write failed.
    /// Can be taken once.
    pub fn failure(&mut self) -> Option<oneshot::Receiver<Result<(), WriterError>>> {
        self.stopped.take()
    }

    /// One hash over the rows that the journal folds into, and their number.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn digest(&self) -> Result<(Digest, u64), EngineError> {
        check::digest(&self.engine)
    }

    /// Writes what still waits, makes everything durable and lets the directory go.
    ///
    /// # Errors
    /// When something could not be made durable.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.queue.close();
        let flusher = self.threads.take().map(|Threads { writer, flusher }| {
            writer.join().expect("the writer does not panic");
            flusher
        });
        if let Some(mut stopped) = self.stopped.take()
            && let Ok(outcome) = stopped.try_recv()
        {
            outcome?;
        }
        if let Some(flusher) = flusher {
            flusher.stop();
        }
        self.engine.flush()?;
        self.deliveries.sync_ledger()?;
        Ok(())
    }
}

/// The two threads of the store stand outside the async runtime, because they block on the disk.
#[expect(
    clippy::disallowed_methods,
    reason = "the writer's own thread and the flusher's"
)]
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder
        .spawn(work)
        .expect("a thread can be started when the process starts")
}

/// Opens journal and index and applies the tail that the index lacks.
pub(crate) fn open_applied(
    dir: &Path,
    options: &StoreOptions,
) -> Result<(Journal, Arc<dyn Engine>, Report), StoreError> {
    let engine = open_index(dir, options.engine)?;
    let files = Directory::open(dir.join("journal"))
        .map_err(|source| io_error("open the journal", dir, source))?;
    applied(Arc::new(files), engine, options)
}

/// Opens the journal in `files` and applies to an index what it lacks of it.
pub(crate) fn applied(
    files: Arc<dyn Files>,
    engine: Arc<dyn Engine>,
    options: &StoreOptions,
) -> Result<(Journal, Arc<dyn Engine>, Report), StoreError> {
    let watermark = watermark(&engine)?;
    let journal_options = JournalOptions {
        segment_bytes: options.segment_bytes,
        ..JournalOptions::default()
    };
    let place = watermark.map(|at| (at.offset, at_place(at)));
    let (journal, recovered) = Journal::open(files, journal_options, place)?;
    let mut applied_again = 0;
    let mut chunk = Chunk::default();
    let mut overwritten = Overwritten::default();
    for scanned in journal.reader().scan(place)? {
        let scanned = scanned?;
        let offset = scanned.frame.offset;
        let header = Header::decode(&scanned.frame.header)
            .map_err(|source| StoreError::Header { offset, source })?;
        overwritten.note(&scanned, &header);
        let Place { segment, position } = scanned.place;
        chunk.apply(
            &engine,
            &header,
            At {
                offset,
                segment,
                position,
            },
        )?;
        applied_again += 1;
        if chunk.entries == APPLY_CHUNK
            && let Some((rows, last)) = chunk.take()
        {
            engine.commit(batch_of(rows, last))?;
        }
    }
    if let Some((rows, last)) = chunk.take() {
        engine.commit(batch_of(rows, last))?;
    }
    overwritten.must_be_covered(&engine)?;
    Ok((
        journal,
        engine,
        Report {
            recovered,
            applied_again,
        },
    ))
}

/// The directory of an engine's index.
pub(crate) fn index_dir(dir: &Path, kind: EngineKind) -> PathBuf {
    dir.join(format!("index-{kind}"))
}

/// Opens the index; one of another layout is thrown away, because the journal makes it anew.
fn open_index(dir: &Path, kind: EngineKind) -> Result<Arc<dyn Engine>, StoreError> {
    let index_dir = index_dir(dir, kind);
    let version_key = key(Table::Meta, &[b"version"]);
    let mut engine = engine::open(kind, &index_dir)?;
    let version = engine.get(&version_key)?;
    if version
        .as_deref()
        .is_some_and(|found| found != schema::VERSION.to_be_bytes())
    {
        drop(engine);
        remove_index(dir, kind)?;
        engine = engine::open(kind, &index_dir)?;
    }
    let mut batch = Batch::new();
    batch.put(version_key, schema::VERSION.to_be_bytes());
    engine.commit(batch)?;
    Ok(engine)
}

/// Throws an index away.
pub(crate) fn remove_index(dir: &Path, kind: EngineKind) -> Result<(), StoreError> {
    match fs::remove_dir_all(index_dir(dir, kind)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(io_error("throw the index away", dir, source))
        }
        _ => Ok(()),
    }
}

/// How far an index is applied.
pub(crate) fn watermark(engine: &Arc<dyn Engine>) -> Result<Option<At>, StoreError> {
    Ok(Index::over(Arc::clone(engine)).row(&applied_key())?)
}

pub(crate) const fn at_place(at: At) -> Place {
    Place {
        segment: at.segment,
        position: at.position,
    }
}

/// The base URL a data directory belongs to; none before its first start.
///
/// # Errors
/// When the format file is there and can't be read, or is of another version.
pub fn recorded_url(dir: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(dir.join("format")) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("read the format", dir, source)),
        Ok(text) => {
            let wrong = || StoreError::Format {
                dir: dir.to_owned(),
                found: text.clone(),
            };
            let mut lines = text.lines();
            let version = lines
                .next()
                .and_then(|line| line.strip_prefix("fedsx data "));
            if version.and_then(|version| version.parse().ok()) != Some(FORMAT) {
                return Err(wrong());
            }
            let url = lines.next().and_then(|line| line.strip_prefix("url "));
            Ok(Some(url.ok_or_else(wrong)?.to_owned()))
        }
    }
}

fn check_format(data: &Directory, dir: &Path, base_url: &str) -> Result<(), StoreError> {
    match recorded_url(dir)? {
        Some(found) if found == base_url => Ok(()),
        Some(found) => Err(StoreError::OtherUrl {
            dir: dir.to_owned(),
            found,
            asked: base_url.to_owned(),
        }),
        None => {
            let text = format!("fedsx data {FORMAT}\nurl {base_url}\n");
            replace(data, "format", text.as_bytes())
                .map_err(|source| io_error("write the format", dir, source))
        }
    }
}

pub(crate) fn io_error(what: &'static str, dir: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        what,
        dir: dir.to_owned(),
        source,
    }
}
