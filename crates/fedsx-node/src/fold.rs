//! Projections: which are active, how far they are folded, and what their states are (design, section
//! 8.4).
//!
//! They are folded on one thread of their own (`worker`), never in the writer and never on the runtime.
//! What is read here was committed: a state is at least as new as the offset told with it. Deliberately
//! absent: which definitions are active (the registry's, which calls [`Folds::activate`]), and who may
//! see a projection (that is for those who serve it).

mod as_of;
mod cache;
pub(crate) mod entries;
mod erased;
mod unit;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fedsx_core::cid::Cid;
use fedsx_core::definition::{Body, Definition, Projection, Scope};
use fedsx_core::limits::PROJECTION_KEY_BYTES;
use fedsx_core::projection::WHOLE;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Value;
use fedsx_store::projections::{Failure, Generation, Progress, ProjectionError, Projections};
use fedsx_store::{ReadError, Stored, View};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::fault;
use worker::Worker;

/// How long a reader may wait for an offset to be folded.
pub const WAIT_MAX: Duration = Duration::from_secs(10);

/// How much the fold thread stands back behind the others (nice).
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The projections of an instance. A clone is the same.
#[derive(Clone)]
pub struct Folds(Arc<Shared>);

struct Shared {
    view: View,
    rows: Projections,
    active: Mutex<BTreeMap<String, Arc<Active>>>,
    orders: Mutex<Vec<Order>>,
    wake: Notify,
    /// Readers that wait for an offset.
    awaited: AtomicUsize,
}

/// What the worker is to do; in the order given.
enum Order {
    Activate(Arc<Active>),
    Deactivate(Arc<Active>),
    Rebuild(Arc<Active>),
}

/// A projection that is folded.
struct Active {
    definition: Definition,
    standing: watch::Sender<Standing>,
}

/// What is committed of a projection.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// The generation that is served; 0 before there is one.
    live: u64,
    progress: Progress,
    /// How far a rebuild is.
    building: Option<u64>,
}

/// A projection, as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// The CID of its definition.
    pub definition: Cid,
    /// Whether everybody may see it.
    pub is_public: bool,
    /// Whether there is a state for each key.
    pub is_keyed: bool,
    /// The offset up to which the journal is folded.
    pub offset: u64,
    /// Whether all of the journal was folded once.
    pub complete: bool,
    /// Entries that could not be folded.
    pub failures: u64,
    /// How far a rebuild is.
    pub rebuilding: Option<u64>,
    /// The generation of states that is served: a rebuild puts the next in its place.
    pub generation: u64,
}

/// The state of a projection, or of one of its keys.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Which projection; its offset was read before the state.
    pub overview: Overview,
    /// The state.
    pub state: Value,
}

/// Why folding ended.
#[derive(Debug, thiserror::Error)]
pub enum FoldFailed {
    /// The journal or the index can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The states can't be read or written.
    #[error(transparent)]
    Rows(#[from] ProjectionError),
    /// The thread is gone.
    #[error("the fold thread broke")]
    Broken,
}

impl Folds {
    /// Over a journal and the states kept of it. Nothing is folded before [`Folds::run`].
    #[must_use]
    pub fn new(view: View, rows: Projections) -> Self {
        Self(Arc::new(Shared {
            view,
            rows,
            active: Mutex::default(),
            orders: Mutex::default(),
            wake: Notify::new(),
            awaited: AtomicUsize::new(0),
        }))
    }

    /// Folds a projection from now on: from where it was left, or all of the journal in the background.
    /// It takes the place of another of its name, whose states are dropped. `false` for a definition
    /// that there is nothing to fold by: one of another kind, or one that the kernel does itself.
    pub fn activate(&self, definition: &Definition) -> bool {
        if !matches!(definition.body(), Body::Projection(projection) if projection.fold.is_some()) {
            return false;
        }
        let mut active = self.0.active();
        let name = definition.name();
        if let Some(have) = active.get(name)
            && have.definition.digest() == definition.digest()
        {
            return true;
        }
        let added = Arc::new(Active {
            definition: definition.clone(),
            standing: watch::Sender::new(Standing::default()),
        });
        if let Some(replaced) = active.insert(name.to_owned(), Arc::clone(&added)) {
            self.order(Order::Deactivate(replaced));
        }
        self.order(Order::Activate(added));
        true
    }

    /// Folds a projection no more and drops its states; whether it was active.
    pub fn deactivate(&self, definition: &Definition) -> bool {
        let mut active = self.0.active();
        let name = definition.name();
        let is_it = |have: &Arc<Active>| have.definition.digest() == definition.digest();
        if !active.get(name).is_some_and(is_it) {
            return false;
        }
        if let Some(removed) = active.remove(name) {
            self.order(Order::Deactivate(removed));
        }
        true
    }

    fn order(&self, order: Order) {
        let orders = &self.0.orders;
        orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(order);
        self.0.wake.notify_one();
    }

    /// Folds until `stop`; then commits what is folded.
    ///
    /// # Errors
    /// When something can't be read or written.
    #[expect(
        clippy::disallowed_methods,
        reason = "the fold thread, which is waited for here"
    )]
    pub async fn run(self, stop: CancellationToken) -> Result<(), FoldFailed> {
        let (tell, ended) = oneshot::channel();
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("fedsx-fold".to_owned());
        let started = thread.spawn(move || {
            yield_to_others();
            let outcome = Worker::new(self.0).and_then(|worker| worker.run(&runtime, &stop));
            // Nobody listens any more when the process is cutting what takes too long.
            let _gone = tell.send(outcome);
        });
        if started.is_err() {
            return Err(FoldFailed::Broken);
        }
        ended.await.unwrap_or(Err(FoldFailed::Broken))
    }

    /// All that are active, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Overview> {
        self.0
            .active()
            .values()
            .map(|active| active.overview())
            .collect()
    }

    /// How many entries the one that is furthest behind still has to fold.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let applied = self.0.view.applied();
        let behind = |overview: Overview| applied.saturating_sub(overview.offset);
        self.list()
            .into_iter()
            .map(behind)
            .max()
            .unwrap_or_default()
    }

    /// Which projection has that name.
    ///
    /// # Errors
    /// `not-found`.
    pub fn overview(&self, name: &str) -> Result<Overview, Refusal> {
        Ok(self.named(name)?.overview())
    }

    /// Waits until a projection has folded an offset, [`WAIT_MAX`] at most.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn wait(&self, name: &str, offset: u64) -> Result<(), Refusal> {
        let mut standing = self.named(name)?.standing.subscribe();
        let _awaited = Awaited::by(&self.0);
        let folded = standing.wait_for(|standing| standing.progress.offset >= offset);
        // Whoever waited too long is told what there is.
        let _in_time = tokio::time::timeout(WAIT_MAX, folded).await;
        Ok(())
    }

    /// The state of a projection, or of one key where it is kept per key; as it is before anything was
    /// folded, where nothing was. May wait for the disk.
    ///
    /// # Errors
    /// `not-found`; `malformed` for a key too few or too many; `internal`.
    pub fn state(&self, name: &str, key: Option<&str>) -> Result<Answer, Refusal> {
        let active = self.named(name)?;
        let key = active.key(key)?;
        let (overview, state) = active.settled(|generation| self.0.rows.state(generation, key))?;
        Ok(Answer {
            overview,
            state: state.map_or_else(|| active.projection().initial.clone(), |row| row.state),
        })
    }

    /// The states of a projection by key, behind `after`, at most `limit`. May wait for the disk.
    ///
    /// # Errors
    /// `not-found`, `internal`.
    pub fn states(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Value)>, Refusal> {
        let active = self.named(name)?;
        let read = |generation| self.0.rows.states(generation, after, limit);
        Ok(active.settled(read)?.1)
    }

    /// The newest entries that could not be folded, oldest first. May wait for the disk.
    ///
    /// # Errors
    /// `not-found`, `internal`.
    pub fn failures(&self, name: &str) -> Result<Vec<Failure>, Refusal> {
        let active = self.named(name)?;
        Ok(active
            .settled(|generation| self.0.rows.failures(generation))?
            .1)
    }

    /// The state as it was when an offset had been folded: folded again from the nearest offset before it
    /// at which it is known, which may take a while.
    ///
    /// # Errors
    /// As of [`Folds::state`]; `too-far-back` when it takes too long.
    pub fn state_at(&self, name: &str, key: Option<&str>, offset: u64) -> Result<Answer, Refusal> {
        let active = self.named(name)?;
        let key = active.key(key)?;
        let read = |generation| self.0.rows.earlier(generation, key, offset);
        let (overview, from) = active.settled(read)?;
        let state = as_of::fold(&self.0.view, active.projection(), key, from, offset)?;
        Ok(Answer { overview, state })
    }

    /// What a projection would keep of one entry for the actor of `url`, were it the only one that the
    /// actor's logs hold: the state of the actor's key. None where it folds no such entry into that key.
    ///
    /// # Errors
    /// `not-found`, `internal`.
    pub fn alone(&self, name: &str, url: &str, entry: &Stored) -> Result<Option<Value>, Refusal> {
        as_of::alone(&self.0.view, self.named(name)?.projection(), url, entry)
    }

    /// Folds a projection anew beside what is served, which it takes the place of in the end.
    ///
    /// # Errors
    /// `not-found`.
    pub fn rebuild(&self, name: &str) -> Result<Overview, Refusal> {
        let active = self.named(name)?;
        let overview = active.overview();
        self.order(Order::Rebuild(active));
        Ok(overview)
    }

    fn named(&self, name: &str) -> Result<Arc<Active>, Refusal> {
        let found = self.0.active().get(name).cloned();
        found.ok_or_else(|| no_such_projection(name))
    }
}

/// What is answered of a projection that is not here, and of one that may not be seen.
#[must_use]
pub fn no_such_projection(name: &str) -> Refusal {
    let why = format!("there is no projection `{name}` here");
    Refusal::new(Code::NotFound, why)
}

/// While it lives, what is folded is committed at once.
struct Awaited<'a>(&'a Shared);

impl<'a> Awaited<'a> {
    fn by(shared: &'a Shared) -> Self {
        shared.awaited.fetch_add(1, Ordering::Relaxed);
        shared.wake.notify_one();
        Self(shared)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.awaited.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed) > 0
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Active>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> Vec<Order> {
        std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Active {
    fn projection(&self) -> &Projection {
        match self.definition.body() {
            Body::Projection(projection) => projection,
            _ => unreachable!("only projections are activated"),
        }
    }

    fn generation(&self, number: u64) -> Generation {
        Generation {
            definition: self.definition.digest(),
            number,
        }
    }

    fn overview(&self) -> Overview {
        let Standing {
            live,
            progress,
            building,
        } = *self.standing.borrow();
        let projection = self.projection();
        Overview {
            name: self.definition.name().to_owned(),
            definition: self.definition.cid(),
            is_public: projection.scope == Scope::Public,
            is_keyed: projection.key.is_some(),
            offset: progress.offset,
            complete: progress.complete,
            failures: progress.failures,
            rebuilding: building,
            generation: live,
        }
    }

    fn key<'a>(&self, key: Option<&'a str>) -> Result<&'a str, Refusal> {
        let malformed = |why: &str| Err(Refusal::new(Code::Malformed, why));
        match (self.projection().key.is_some(), key) {
            (false, None) => Ok(WHOLE),
            (false, Some(_)) => malformed("this projection has one state; ask without a key"),
            (true, None) => malformed("this projection has a state for each key; name one"),
            (true, Some(key)) if (1..=PROJECTION_KEY_BYTES).contains(&key.len()) => Ok(key),
            (true, Some(_)) => malformed("a key has 1 to 2,048 bytes"),
        }
    }

    /// What is read of the generation that is served, also when a rebuild takes its place meanwhile.
    fn settled<T>(
        &self,
        read: impl Fn(Generation) -> Result<T, ProjectionError>,
    ) -> Result<(Overview, T), Refusal> {
        loop {
            let (overview, live) = (self.overview(), self.standing.borrow().live);
            let answer = read(self.generation(live));
            let answer =
                answer.map_err(|error| fault::internal("a projection can't be read", &error))?;
            if self.standing.borrow().live == live {
                return Ok((overview, answer));
            }
        }
    }
}

/// Lets the calling thread have a tenth of what one that takes requests has, where both want a core: what
/// comes in is accepted before it is looked at. Elsewhere than on Linux it would be the whole process.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "projections are folded at the priority of everything else");
    }
}

impl fmt::Debug for Folds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.active().keys().cloned().collect();
        f.debug_tuple("Folds").field(&names).finish()
    }
}
