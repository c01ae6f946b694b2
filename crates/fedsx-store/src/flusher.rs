//! What the store does in the background: learning which ids are in the index, once after a start, and,
//! now and then, overwriting what is erased and making the index durable.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cache::RowCache;
use crate::engine::Engine;
use crate::erasure::Erasure;
use crate::store::spawn;

/// Learns the ids in the index, then overwrites what is erased and makes the index durable now and then.
#[derive(Debug)]
pub(crate) struct Flusher {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Flusher {
    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        cache: Arc<RowCache>,
        erasure: Erasure,
        every: Duration,
    ) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Arc::clone(&stop);
        let thread = spawn("fedsx-flush", move || {
            let (stopped, changed) = &*seen;
            let is_stopped = || *stopped.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = cache.learn_all(&*engine, &is_stopped) {
                // Every id is then looked up.
                tracing::error!(%error, "the ids in the index can't be read");
            }
            let mut guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                let woken = changed.wait_timeout(guard, every);
                guard = woken.unwrap_or_else(PoisonError::into_inner).0;
                drop(guard);
                erase(&erasure, &is_stopped);
                if let Err(error) = engine.flush() {
                    // Nothing is lost by it: the journal is applied again from the last flush on.
                    tracing::error!(%error, "the index could not be flushed");
                }
                guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            }
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) {
        let (stopped, changed) = &*self.stop;
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
        self.thread.join().expect("the flusher does not panic");
    }
}

/// Overwrites what is erased, until there is no more of it.
fn erase(erasure: &Erasure, is_stopped: &dyn Fn() -> bool) {
    while !is_stopped() {
        match erasure.step() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                // Its place stays before it: it is tried again.
                tracing::error!(%error, "what is erased could not be overwritten");
                return;
            }
        }
    }
}
