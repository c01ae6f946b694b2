//! What a node asks of the machine that it runs on beside the time: randomness, threads for what blocks, and waiting.
//!
//! Invariant: what a node decides on the way of an activity depends on nothing else from outside, so that a simulation
//! that hands in a machine of its own sees the same run again. Deliberately absent: the clock (`fedsx_discovery::clock`),
//! and the workers that fold, walk and compare, which have tokio's time and threads of their own.

use std::fmt;
use std::time::Duration;

use fedsx_core::refusal::Refusal;
use futures_util::future::{BoxFuture, Either, FutureExt, select};
use tokio::sync::oneshot;

use crate::{Node, fault};

/// The machine, as far as a node goes by it.
pub trait Machine: Send + Sync {
    /// Fills with random bytes.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;

    /// Has what blocks done where that holds up nobody.
    fn aside(&self, work: Box<dyn FnOnce() + Send>);

    /// Waits.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// There is no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no randomness: {0}")]
pub struct NoRandomness(pub String);

/// What was to be done aside panicked.
#[derive(Debug, thiserror::Error)]
#[error("it broke off")]
pub(crate) struct BrokeOff;

/// The system's randomness, and the threads and timers of the tokio runtime that is running.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Machine for System {
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|error| NoRandomness(error.to_string()))
    }

    fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        // Whoever waits hears by what it sends.
        drop(tokio::task::spawn_blocking(work));
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

impl Node {
    pub(crate) fn random(&self, bytes: &mut [u8]) -> Result<(), Refusal> {
        let filled = self.0.machine.random(bytes);
        filled.map_err(|error| fault::internal("nothing can be drawn", &error))
    }

    /// Does what blocks where that holds up nobody.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BrokeOff> {
        let (tell, told) = oneshot::channel();
        self.0.machine.aside(Box::new(move || {
            // Who no longer waits has lost the outcome.
            let _gone = tell.send(work());
        }));
        told.await.map_err(|_| BrokeOff)
    }

    /// What a future comes to, if it does so in time.
    pub(crate) async fn in_time<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let future = std::pin::pin!(future);
        match select(future, self.0.machine.sleep(time)).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }
}

impl fmt::Debug for dyn Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}
