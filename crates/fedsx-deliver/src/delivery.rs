//! The running part: expansion and sending as two futures of one task, and the handle by which others
//! see and touch them.
//!
//! Invariant: an item's row changes only after its answer, so whatever is cut short is sent again.
//! Deliberately absent: a task, a timer or a connection per lane; the client keeps connections.

mod overview;

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fedsx_store::delivery::{Deliveries, DeliveryError, Place};
use futures_util::future::{Either, FutureExt, join3, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Done, attempt};
use crate::fanout::{ExpandError, Expander};
use crate::options::DeliveryOptions;
use crate::outbound::Outbound;
use crate::scheduler::{Scheduler, Watched};

pub use self::overview::{LaneStatus, Selection, Totals, UNEXPANDED};

/// Chunks that may wait for the scheduler.
const EVENTS: usize = 64;
/// Answers that are settled in one batch at most.
const SETTLED_TOGETHER: usize = 64;
/// The pause after a fault of this instance, milliseconds.
const FAULT_PAUSE_MS: u64 = 1_000;

/// Delivery; a handle.
pub struct Delivery<O> {
    inner: Arc<Inner<O>>,
}

struct Inner<O> {
    outbound: Arc<O>,
    deliveries: Arc<Deliveries>,
    options: DeliveryOptions,
    events: mpsc::Sender<Event>,
    inbox: Mutex<Option<mpsc::Receiver<Event>>>,
    watched: Arc<Mutex<Arc<Watched>>>,
}

/// Who tells of hosts that were heard from. Holds nothing of the rest, so that the node may keep it.
#[derive(Clone)]
pub struct Contacts {
    events: mpsc::Sender<Event>,
    watched: Arc<Mutex<Arc<Watched>>>,
}

impl Contacts {
    /// A request was proved to come from `host` (the authority of its actor's URL): its lane's back-off
    /// ends. Costs next to nothing for a host that is not failing.
    pub fn wake_host(&self, host: &str) {
        let watched = Arc::clone(&self.watched.lock().unwrap_or_else(PoisonError::into_inner));
        if watched.is_failing(host) {
            // When the queue of events is full, its next request wakes it.
            let _ = self.events.try_send(Event::Woken(host.to_owned()));
        }
    }
}

impl std::fmt::Debug for Contacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contacts").finish_non_exhaustive()
    }
}

enum Event {
    Queued(Vec<Place>),
    Woken(String),
}

impl<O: Outbound> Delivery<O> {
    /// Delivery of what stands in `deliveries`, by way of `outbound`.
    #[must_use]
    pub fn new(outbound: Arc<O>, deliveries: Arc<Deliveries>, options: DeliveryOptions) -> Self {
        let (events, inbox) = mpsc::channel(EVENTS);
        let inner = Inner {
            outbound,
            deliveries,
            options,
            events,
            inbox: Mutex::new(Some(inbox)),
            watched: Arc::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Expands and sends until `stop`; then what is under way is waited for, up to
    /// [`DeliveryOptions::drain_ms`], and the ledger is written. It runs once.
    ///
    /// # Errors
    /// When the index fails; it has to be opened anew.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), DeliveryError> {
        let inbox = self
            .inner
            .inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(inbox) = inbox else { return Ok(()) };
        // A failure of one of the two ends the other.
        let stop = stop.child_token();
        let expanding = async {
            let ended = self.expand(&stop).await;
            stop.cancel();
            ended
        };
        let sending = async {
            let ended = self.send(inbox, &stop).await;
            stop.cancel();
            ended
        };
        let (expanded, sent, ()) = join3(expanding, sending, self.keep_ledger(&stop)).await;
        self.sync_ledger().await;
        expanded.and(sent)
    }

    /// By which it is told of hosts that were heard from.
    #[must_use]
    pub fn contacts(&self) -> Contacts {
        Contacts {
            events: self.inner.events.clone(),
            watched: Arc::clone(&self.inner.watched),
        }
    }

    /// [`Contacts::wake_host`].
    pub fn wake_host(&self, host: &str) {
        self.contacts().wake_host(host);
    }

    fn watched(&self) -> Arc<Watched> {
        let watched = self
            .inner
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&watched)
    }

    /// Writes the ledger at the start, and now and then until `stop`.
    async fn keep_ledger(&self, stop: &CancellationToken) {
        let period = Duration::from_millis(self.inner.options.ledger_ms.max(1));
        let mut period = tokio::time::interval(period);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(period.tick()).await.is_some() {
            self.sync_ledger().await;
        }
    }

    async fn sync_ledger(&self) {
        let deliveries = Arc::clone(&self.inner.deliveries);
        let (_, synced) = off_the_runtime(deliveries, |deliveries| deliveries.sync_ledger()).await;
        // Deliveries go on without it: the next call writes all of it.
        if let Err(error) = synced {
            tracing::warn!(%error, "the delivery ledger is not written");
        }
    }

    async fn expand(&self, stop: &CancellationToken) -> Result<(), DeliveryError> {
        let Inner {
            outbound,
            deliveries,
            options,
            ..
        } = &*self.inner;
        let mut applied = outbound.applied();
        let mut wanting = deliveries.wanting();
        let mut expander = Expander::new(
            Arc::clone(outbound),
            Arc::clone(deliveries),
            options.clone(),
        );
        while !stop.is_cancelled() {
            // Before looking, so that what comes while looking is looked at again.
            applied.borrow_and_update();
            wanting.borrow_and_update();
            let is_idle = expander.is_idle()?;
            if is_idle && !deliveries.is_wanted() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    changed = applied.changed() => if changed.is_err() {
                        stop.cancelled().await;
                    },
                    // Its sender is kept by `deliveries`.
                    _ = wanting.changed() => {}
                }
                continue;
            }
            // What is new and what was missed take turns.
            let mut expanded = Ok(Vec::new());
            if !is_idle {
                (expander, expanded) = self.expand_more(expander).await;
            }
            let mut found = Ok(Vec::new());
            if deliveries.is_wanted() {
                (expander, found) = off_the_runtime(expander, |expander| {
                    let found = expander.find_again()?;
                    found.map_or(Ok(Vec::new()), |found| expander.queue_again(found))
                })
                .await;
            }
            for queued in [expanded, found] {
                match queued {
                    Ok(places) if places.is_empty() => {}
                    Ok(places) => {
                        let _ = self.inner.events.send(Event::Queued(places)).await;
                    }
                    Err(ExpandError::Delivery(error)) => return Err(error),
                    Err(ExpandError::Fault(error)) => {
                        tracing::warn!(%error, "an entry is not expanded, and tried again");
                        let pause = tokio::time::sleep(Duration::from_millis(FAULT_PAUSE_MS));
                        let _ = stop.run_until_cancelled(pause).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next chunk of what is new.
    async fn expand_more(
        &self,
        expander: Expander<O>,
    ) -> (Expander<O>, Result<Vec<Place>, ExpandError>) {
        let (expander, gathered) = off_the_runtime(expander, Expander::gather).await;
        let mut chunk = match gathered {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return (expander, Ok(Vec::new())),
            Err(error) => return (expander, Err(error)),
        };
        if let Err(fault) = self.place(chunk.local.take()).await {
            return (expander, Err(fault.into()));
        }
        let commit = |expander: &mut Expander<O>| expander.commit(chunk);
        let (expander, committed) = off_the_runtime(expander, commit).await;
        (expander, committed.map_err(ExpandError::from))
    }

    async fn place(
        &self,
        local: Option<(fedsx_core::cid::Digest, Vec<fedsx_core::entry::ActorNo>)>,
    ) -> Result<(), crate::outbound::Fault> {
        let Some((digest, actors)) = local else {
            return Ok(());
        };
        for actors in actors.chunks(self.inner.options.placed_chunk.max(1)) {
            self.inner.outbound.place(digest, actors.to_vec()).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        mut inbox: mpsc::Receiver<Event>,
        stop: &CancellationToken,
    ) -> Result<(), DeliveryError> {
        let Inner {
            outbound,
            deliveries,
            options,
            watched,
            ..
        } = &*self.inner;
        let seed = outbound.now_ms().unsigned_abs();
        let mut scheduler = Scheduler::new(Arc::clone(deliveries), options.clone(), seed)?;
        *watched.lock().unwrap_or_else(PoisonError::into_inner) = scheduler.watched();
        let mut flying = FuturesUnordered::new();
        let mut asking = FuturesUnordered::new();
        loop {
            while let Some(tried) = scheduler.next(outbound.now_ms())? {
                flying.push(attempt(&**outbound, tried));
            }
            while let Some((host, inbox)) = scheduler.next_to_ask() {
                asking.push(async move { (host, outbound.offer(&inbox).await) });
            }
            let timer = scheduler.next_timer();
            let due = async {
                match timer {
                    Some(at_ms) => {
                        let wait_ms = at_ms.saturating_sub(outbound.now_ms()).max(1);
                        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = flying.next(), if !flying.is_empty() => {
                    let done = with_more(done, &mut flying);
                    scheduler.settle(done, outbound.now_ms())?;
                }
                Some((host, said)) = asking.next(), if !asking.is_empty() => {
                    scheduler.told(host, said, outbound.now_ms());
                }
                Some(event) = inbox.recv() => match event {
                    Event::Queued(places) => scheduler.queued(&places),
                    Event::Woken(host) => scheduler.wake(&host, outbound.now_ms())?,
                },
                () = due => {}
            }
        }
        // What was expanded meanwhile is in the index; who sends it on need not wait.
        inbox.close();
        let mut deadline = pin!(tokio::time::sleep(Duration::from_millis(options.drain_ms)));
        while !flying.is_empty() {
            match select(flying.next(), deadline.as_mut()).await {
                Either::Left((Some(done), _)) => {
                    let done = with_more(done, &mut flying);
                    scheduler.settle(done, outbound.now_ms())?;
                }
                Either::Left((None, _)) => break,
                Either::Right(_) => {
                    let left = scheduler.in_flight();
                    tracing::warn!(left, "deliveries under way are cut, and sent again");
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The answers that are there beside `done`.
fn with_more<F>(done: Done, flying: &mut FuturesUnordered<F>) -> Vec<Done>
where
    F: Future<Output = Done>,
{
    let mut all = vec![done];
    while all.len() < SETTLED_TOGETHER {
        match flying.next().now_or_never() {
            Some(Some(done)) => all.push(done),
            _ => break,
        }
    }
    all
}

/// Runs what reads and writes much on a thread for that.
async fn off_the_runtime<T, R>(
    mut with: T,
    work: impl FnOnce(&mut T) -> R + Send + 'static,
) -> (T, R)
where
    T: Send + 'static,
    R: Send + 'static,
{
    let working = tokio::task::spawn_blocking(move || {
        let result = work(&mut with);
        (with, result)
    });
    match working.await {
        Ok(both) => both,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl<O> Clone for Delivery<O> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<O> std::fmt::Debug for Delivery<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}
