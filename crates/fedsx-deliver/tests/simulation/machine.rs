//! The machine that an instance runs on: its randomness follows from the seed, what blocks is done on the spot, and who
//! waits is woken by the world's clock.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fedsx_node::{Machine, NoRandomness};
use fedsx_store::simulation::Dice;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// Who waits, and for how long from now on.
pub(crate) type Waiting = Vec<(Duration, oneshot::Sender<()>)>;

/// The machine of one life of an instance.
pub(crate) struct Simulated {
    dice: Mutex<Dice>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Simulated {
    pub(crate) fn new(seed: u64, waiting: Arc<Mutex<Waiting>>) -> Self {
        Self {
            dice: Mutex::new(Dice::new(seed)),
            waiting,
        }
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}

impl Machine for Simulated {
    fn random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let mut dice = self.dice.lock().expect("one thread");
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&dice.next().to_be_bytes()[..part.len()]);
        }
        Ok(())
    }

    fn aside(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        self.waiting.lock().expect("one thread").push((time, wake));
        // A world that ends wakes everybody.
        woken.map(|_| ()).boxed()
    }
}
