//! What waits for the writer: bounded by count and by bytes, an eighth of both kept for what is
//! published here, so that a flood of deliveries can't lock the instance's own people out.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fedsx_core::cid::Digest;
use fedsx_core::decide::Draft;
use fedsx_core::entry::{Control, Joined, LogId};
use fedsx_core::refusal::Refusal;
use tokio::sync::oneshot;

use crate::import::Staged;
use crate::vault::Vault;

/// Inputs that may wait.
pub(crate) const QUEUE_INPUTS: usize = 4_096;
/// Payload that may wait, bytes.
pub(crate) const QUEUE_BYTES: usize = 64 << 20;
/// Inputs of one batch.
pub(crate) const BATCH_INPUTS: usize = 512;
/// Payload of one batch, bytes.
pub(crate) const BATCH_BYTES: usize = 4 << 20;
/// How long a batch waits for more to come, at most.
const WINDOW: Duration = Duration::from_millis(1);
/// Inputs for which a batch waits, at most: more make the sync hardly cheaper for each.
const ENOUGH: usize = 32;

/// Something to be appended.
#[derive(Debug)]
pub(crate) enum Work {
    /// An actor with all that belongs to it.
    Import {
        staged: Box<Staged>,
        vault: Arc<Vault>,
    },
    /// An activity.
    Append(Box<Draft>),
    /// A kept activity joins further logs.
    Place {
        digest: Digest,
        logs: Vec<LogId>,
        received_ms: i64,
    },
    /// A control entry.
    Control {
        control: Control,
        payload: Bytes,
        received_ms: i64,
    },
}

impl Work {
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Append(draft) => draft.payload.len(),
            Self::Place { .. } | Self::Import { .. } => 0,
            Self::Control { payload, .. } => payload.len(),
        }
    }
}

/// What became of an append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Appended {
    /// It is durable and visible.
    New {
        /// Its offset.
        offset: u64,
        /// Its places in the local logs.
        joined: Vec<Joined>,
    },
    /// It was here already; nothing was appended.
    Replay,
}

/// Why nothing was appended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting.
    #[error("too many activities wait to be written")]
    QueueFull,
    /// The writer has stopped: at shutdown, or for good after a failed write.
    #[error("the journal takes nothing any more")]
    Stopped,
    /// What it was decided on has changed: decide again.
    #[error("the state changed under the decision")]
    Changed,
    /// It can't be appended.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Where the answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// Whether an input may use the part of the queue kept for the instance itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Priority {
    /// From others.
    Inbound,
    /// Published here, and control.
    Local,
}

#[derive(Debug, Default)]
struct Waiting {
    inputs: VecDeque<(Work, Reply)>,
    bytes: usize,
    /// Inputs of the batch that was handed out last.
    last: usize,
    /// For how many the writer waits.
    enough: usize,
    closed: bool,
}

/// The writer's queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Queue {
    pub(crate) fn push(
        &self,
        work: Work,
        reply: Reply,
        priority: Priority,
    ) -> Result<(), AppendError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(AppendError::Stopped);
        }
        let bytes = work.payload_len();
        let kept = |whole: usize| match priority {
            Priority::Inbound => whole - whole / 8,
            Priority::Local => whole,
        };
        if waiting.inputs.len() >= kept(QUEUE_INPUTS) || waiting.bytes + bytes > kept(QUEUE_BYTES) {
            return Err(AppendError::QueueFull);
        }
        waiting.bytes += bytes;
        waiting.inputs.push_back((work, reply));
        // In between the writer is at work, or waits for more.
        let is_awaited = waiting.inputs.len() == 1 || waiting.inputs.len() == waiting.enough;
        drop(waiting);
        if is_awaited {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// The next batch; `None` when the queue is closed and empty. Waits until as many are there as were at it
    /// lately, but for no more than are enough: a batch of all who publish would leave nobody anything to do until
    /// it is written. One publisher alone waits for nobody.
    pub(crate) fn take(&self) -> Option<Vec<(Work, Reply)>> {
        let mut waiting = self.lock();
        waiting.enough = enough(waiting.last, waiting.inputs.len());
        while waiting.inputs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let deadline = Instant::now() + WINDOW;
        while waiting.inputs.len() < waiting.enough && !waiting.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(waiting.batch())
    }

    /// What waits now, as one batch; empty when nothing does.
    #[cfg(feature = "simulation")]
    pub(crate) fn take_now(&self) -> Vec<(Work, Reply)> {
        self.lock().batch()
    }

    /// Whether something waits.
    #[cfg(feature = "simulation")]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.lock().inputs.is_empty()
    }

    /// Takes nothing more; what waits is still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes nothing more and drops what waits: its callers learn that the writer stopped.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.inputs.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how many inputs a batch waits, when so many were answered just now and so many wait already.
fn enough(last: usize, waiting: usize) -> usize {
    (last + waiting).clamp(1, ENOUGH)
}

impl Waiting {
    fn batch(&mut self) -> Vec<(Work, Reply)> {
        let mut batch = Vec::with_capacity(self.inputs.len().min(BATCH_INPUTS));
        let mut bytes = 0;
        while let Some((work, _)) = self.inputs.front() {
            bytes += work.payload_len();
            if batch.len() == BATCH_INPUTS || (bytes > BATCH_BYTES && !batch.is_empty()) {
                break;
            }
            self.bytes -= work.payload_len();
            batch.extend(self.inputs.pop_front());
        }
        self.last = batch.len();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(bytes: usize) -> Work {
        Work::Control {
            control: Control::PeerGone {
                peer: String::new(),
            },
            payload: Bytes::from(vec![0; bytes]),
            received_ms: 0,
        }
    }

    fn push(queue: &Queue, bytes: usize, priority: Priority) -> Result<(), AppendError> {
        queue.push(control(bytes), oneshot::channel().0, priority)
    }

    #[test]
    fn an_eighth_is_kept_for_the_instance_itself() {
        let queue = Queue::default();
        let mut taken = 0;
        while push(&queue, 1, Priority::Inbound).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, QUEUE_INPUTS - QUEUE_INPUTS / 8);
        assert_eq!(push(&queue, 1, Priority::Local), Ok(()));
        let queue = Queue::default();
        assert_eq!(
            push(&queue, QUEUE_BYTES, Priority::Inbound),
            Err(AppendError::QueueFull)
        );
        assert_eq!(push(&queue, QUEUE_BYTES, Priority::Local), Ok(()));
    }

    #[test]
    fn a_batch_waits_for_as_many_as_were_at_it_and_one_alone_for_nobody() {
        let lately = [(0, 0), (1, 0), (1, 1), (8, 0), (4, 4), (30, 34), (512, 0)];
        let enough = lately.map(|(last, waiting)| enough(last, waiting));
        assert_eq!(enough, [1, 1, 2, 8, 8, 32, 32]);
    }

    #[test]
    fn batches_are_bounded_and_a_closed_queue_is_emptied_first() {
        let queue = Queue::default();
        for _ in 0..BATCH_INPUTS + 1 {
            push(&queue, 1, Priority::Local).expect("room");
        }
        push(&queue, BATCH_BYTES, Priority::Local).expect("room");
        queue.close();
        assert_eq!(push(&queue, 1, Priority::Local), Err(AppendError::Stopped));
        let sizes: Vec<_> = std::iter::from_fn(|| queue.take())
            .map(|batch| batch.len())
            .collect();
        assert_eq!(sizes, [BATCH_INPUTS, 1, 1]);
    }
}
