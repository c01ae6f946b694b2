//! Group commit: one writer turns what waits into entries, makes them durable by one `fdatasync`,
//! applies them to the index and answers (design, section 4).
//!
//! Invariants: an answer is given only when the entry is durable and visible; the index is never ahead
//! of the journal; inputs of one batch see each other. The writer never runs SX, verifies, parses,
//! fetches or waits. A failed write or sync is final: everything that waits is refused, and so is
//! everything after.

mod bound;
mod commit;
mod heads;
mod import;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fedsx_core::apply::apply;
use fedsx_core::cid::Digest;
use fedsx_core::decide::{Draft, Recheck, recheck};
use fedsx_core::entry::{Activity, Control, Header, Joined, LogId, Subject};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{At, Row, State, StateError};
use tokio::sync::{oneshot, watch};

use crate::cache::RowCache;
use crate::engine::{Batch, Engine, EngineError};
use crate::import::Staged;
use crate::index::{Index, Pending, pending};
use crate::journal::{Journal, JournalError, Places};
use crate::queue::{AppendError, Appended, Priority, Queue, Reply, Work};
use crate::recent::Recent;
use crate::schema::{self, Table, key};
use crate::vault::{Vault, VaultError};
use bound::size_bound;
use heads::{next_seq, overlay};

/// What a batch takes beside its entries, bytes.
const BATCH_OVERHEAD: u64 = 64;

/// A handle by which everybody appends.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    queue: Arc<Queue>,
}

/// An answer that will come.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<Appended, AppendError>>);

impl Answer {
    /// Waits until the entry is durable and visible.
    ///
    /// # Errors
    /// Why it was not appended; [`AppendError::Stopped`] when the writer failed, in which case it may
    /// or may not be durable.
    pub async fn wait(self) -> Result<Appended, AppendError> {
        self.0.await.unwrap_or(Err(AppendError::Stopped))
    }
}

impl WriterHandle {
    pub(crate) const fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Queues an activity. The order of these calls is the order in the journal.
    ///
    /// # Errors
    /// [`AppendError::QueueFull`] or [`AppendError::Stopped`].
    pub fn append(&self, draft: Draft, priority: Priority) -> Result<Answer, AppendError> {
        self.submit(Work::Append(Box::new(draft)), priority)
    }

    /// Queues that a kept activity joins further logs; those it is in already are left out.
    ///
    /// # Errors
    /// As [`WriterHandle::append`].
    pub fn place(
        &self,
        digest: Digest,
        logs: Vec<LogId>,
        received_ms: i64,
    ) -> Result<Answer, AppendError> {
        self.submit(
            Work::Place {
                digest,
                logs,
                received_ms,
            },
            Priority::Local,
        )
    }

    /// Queues a control entry.
    ///
    /// # Errors
    /// As [`WriterHandle::append`].
    pub fn control(
        &self,
        control: Control,
        payload: Bytes,
        received_ms: i64,
    ) -> Result<Answer, AppendError> {
        self.submit(
            Work::Control {
                control,
                payload,
                received_ms,
            },
            Priority::Local,
        )
    }

    /// Queues an actor that was imported and checked.
    ///
    /// # Errors
    /// As [`WriterHandle::append`].
    pub fn import(&self, staged: Staged, vault: Arc<Vault>) -> Result<Answer, AppendError> {
        let staged = Box::new(staged);
        self.submit(Work::Import { staged, vault }, Priority::Local)
    }

    fn submit(&self, work: Work, priority: Priority) -> Result<Answer, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(work, reply, priority)?;
        Ok(Answer(answer))
    }
}

/// Why the writer stopped.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The journal can't be written.
    #[error("the journal failed: {0}")]
    Journal(#[from] JournalError),
    /// The index can't be written; opening it again mends it.
    #[error("the index failed: {0}")]
    Engine(#[from] EngineError),
    /// The index can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// An import was begun and can't be ended; the next start undoes it.
    #[error("an import failed half-way, and is undone at the next start: {0}")]
    Import(io::Error),
    /// The keys of an import can't be kept; the next start undoes it.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The one writer. Synchronous: [`Writer::step`] takes a batch from input to answer.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) journal: Journal,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) applied: watch::Sender<u64>,
    /// The length of each log that was appended to.
    heads: HashMap<LogId, u64>,
    recent: Recent,
    /// The offset from which the last definition is active, once that was asked for.
    defined: Option<u64>,
    cache: Arc<RowCache>,
    /// The deliberate fault that the simulation must find: replay marks are committed apart from their entry.
    #[cfg(feature = "simulation")]
    pub(crate) marks_apart: bool,
}

/// A batch being put together.
struct Step {
    entries: Vec<(Vec<u8>, Bytes)>,
    pending: Pending,
    places: Places,
    next_offset: u64,
    last: Option<At>,
    answers: Vec<(Reply, Result<Appended, AppendError>)>,
}

impl Writer {
    pub(crate) fn new(
        journal: Journal,
        engine: Arc<dyn Engine>,
        applied: watch::Sender<u64>,
        cache: Arc<RowCache>,
    ) -> Self {
        Self {
            recent: Recent::from(journal.next_offset()),
            defined: None,
            journal,
            engine,
            applied,
            cache,
            heads: HashMap::new(),
            #[cfg(feature = "simulation")]
            marks_apart: false,
        }
    }

    /// Works until the queue is closed and empty, or a write fails.
    pub(crate) fn run(mut self, queue: &Queue) -> Result<(), WriterError> {
        while let Some(inputs) = queue.take() {
            if let Err(error) = self.step(inputs) {
                queue.abandon();
                return Err(error);
            }
        }
        self.journal.attest()?;
        self.engine.flush()?;
        Ok(())
    }

    /// What waits: in one batch, or in as many as a segment of the journal asks for.
    pub(crate) fn step(&mut self, inputs: Vec<(Work, Reply)>) -> Result<(), WriterError> {
        let limit = self.journal.batch_limit();
        let mut batch = Vec::with_capacity(inputs.len());
        let mut bound = BATCH_OVERHEAD;
        for (work, reply) in inputs {
            if let Work::Import { mut staged, vault } = work {
                self.batch(std::mem::take(&mut batch), bound)?;
                bound = BATCH_OVERHEAD;
                let answer = self.import(&mut staged, &vault)?;
                // What was staged goes before anybody hears of it.
                drop(staged);
                let _gone = reply.send(answer);
                continue;
            }
            let size = size_bound(&work);
            if BATCH_OVERHEAD + size > limit {
                let why = "the journal's segments are too small for it";
                let refusal = Refusal::new(Code::TooLarge, why);
                // Who no longer waits has lost the answer.
                let _gone = reply.send(Err(refusal.into()));
                continue;
            }
            if bound + size > limit {
                self.batch(std::mem::take(&mut batch), bound)?;
                bound = BATCH_OVERHEAD;
            }
            bound += size;
            batch.push((work, reply));
        }
        self.batch(batch, bound)
    }

    /// One batch: look again at each input, encode, one `fdatasync`, index, answer all.
    fn batch(&mut self, inputs: Vec<(Work, Reply)>, bound: u64) -> Result<(), WriterError> {
        let mut step = Step {
            entries: Vec::with_capacity(inputs.len()),
            pending: Pending::new(),
            places: self.journal.reserve(bound)?,
            next_offset: self.journal.next_offset(),
            last: None,
            answers: Vec::with_capacity(inputs.len()),
        };
        for (work, reply) in inputs {
            let answer = self.admit(&mut step, work)?;
            step.answers.push((reply, answer));
        }
        if let Some(last) = step.last {
            self.journal.write(&step.entries)?;
            // Payloads are read buffers of connections, which take the next request into them if nobody
            // else holds them.
            drop(step.entries);
            self.journal.sync()?;
            self.commit(step.pending, last)?;
        }
        for (reply, answer) in step.answers {
            // Who no longer waits has lost the answer, not the entry.
            let _gone = reply.send(answer);
        }
        Ok(())
    }

    fn admit(
        &mut self,
        step: &mut Step,
        work: Work,
    ) -> Result<Result<Appended, AppendError>, WriterError> {
        match work {
            Work::Append(draft) => self.admit_activity(step, *draft),
            Work::Place {
                digest,
                logs,
                received_ms,
            } => {
                let state = overlay(&self.engine, &step.pending);
                let mut missing = Vec::new();
                for log in logs {
                    if !missing.contains(&log) && !state.in_log(&digest, log)? {
                        missing.push(log);
                    }
                }
                if missing.is_empty() || state.seen(&digest)?.is_none() {
                    return Ok(Ok(Appended::Replay));
                }
                let joined = self.join(&missing)?;
                let control = Control::Placed {
                    digest,
                    joined: joined.clone(),
                    announced_by: None,
                };
                let subject = Subject::Control(control);
                let offset = self.push(step, subject, Bytes::new(), received_ms)?;
                Ok(Ok(Appended::New { offset, joined }))
            }
            Work::Import { .. } => unreachable!("`step` takes it"),
            Work::Control {
                control,
                payload,
                received_ms,
            } => {
                let offset = self.push(step, Subject::Control(control), payload, received_ms)?;
                Ok(Ok(Appended::New {
                    offset,
                    joined: Vec::new(),
                }))
            }
        }
    }

    fn admit_activity(
        &mut self,
        step: &mut Step,
        draft: Draft,
    ) -> Result<Result<Appended, AppendError>, WriterError> {
        let found = if self.recent.is_new(&draft) && self.is_judged_still(&draft)? {
            Recheck::Append(self.join(&draft.logs)?)
        } else {
            let (engine, heads) = (&self.engine, &mut self.heads);
            let state = overlay(engine, &step.pending);
            recheck(&state, &draft, &mut |log| next_seq(engine, heads, log))?
        };
        let received_ms = draft.received_ms;
        let (subject, joined, payload) = match found {
            Recheck::Replay => return Ok(Ok(Appended::Replay)),
            Recheck::Changed => return Ok(Err(AppendError::Changed)),
            Recheck::Equivocation { kept, evidence } => {
                if evidence {
                    self.keep_evidence(step, &draft, kept)?;
                }
                let why = "another document with a valid proof is kept under this `id`";
                return Ok(Err(Refusal::new(Code::Equivocation, why).into()));
            }
            Recheck::Append(joined) => {
                self.recent.add(step.next_offset, &draft.activity);
                let activity = Activity {
                    joined: joined.clone(),
                    ..draft.activity
                };
                (Subject::Activity(Box::new(activity)), joined, draft.payload)
            }
            Recheck::Place(joined) => {
                let digest = draft.activity.digest;
                let reaches = |group| joined.iter().any(|it| it.log == LogId::inbox(group));
                let announced_by = draft.activity.announced_by.map(|announced_by| {
                    let anew = announced_by.into_iter();
                    anew.filter(|it| reaches(it.group)).collect()
                });
                let control = Control::Placed {
                    digest,
                    joined: joined.clone(),
                    announced_by,
                };
                (Subject::Control(control), joined, Bytes::new())
            }
            Recheck::AttachProof => {
                self.attach_proof(step, &draft)?;
                return self.admit_activity(step, draft);
            }
        };
        let offset = self.push(step, subject, payload, received_ms)?;
        Ok(Ok(Appended::New { offset, joined }))
    }

    /// The copy with a proof takes the place of the one without; then the draft is looked at again,
    /// for the logs it may join.
    fn attach_proof(&mut self, step: &mut Step, draft: &Draft) -> Result<(), WriterError> {
        let control = Control::ProofAttached {
            digest: draft.activity.digest,
            notation: draft.activity.notation,
            key: draft.activity.key.clone().unwrap_or_default(),
        };
        let subject = Subject::Control(control);
        self.push(step, subject, draft.payload.clone(), draft.received_ms)?;
        Ok(())
    }

    /// The second document under an `id` is evidence against its actor.
    fn keep_evidence(
        &mut self,
        step: &mut Step,
        draft: &Draft,
        kept: Digest,
    ) -> Result<(), WriterError> {
        let control = Control::Equivocation {
            kept,
            id: draft.activity.id.clone(),
            actor: draft.activity.actor.clone(),
            notation: draft.activity.notation,
        };
        let subject = Subject::Control(control);
        self.push(step, subject, draft.payload.clone(), draft.received_ms)?;
        Ok(())
    }

    fn join(&mut self, logs: &[LogId]) -> Result<Vec<Joined>, StateError> {
        logs.iter()
            .map(|&log| {
                Ok(Joined {
                    log,
                    seq: next_seq(&self.engine, &mut self.heads, log)?,
                })
            })
            .collect()
    }

    /// Whether no definition came since a draft was judged.
    fn is_judged_still(&mut self, draft: &Draft) -> Result<bool, StateError> {
        let Some(as_of) = draft.judged_as_of else {
            return Ok(true);
        };
        let defined = match self.defined {
            Some(defined) => defined,
            None => Index::over(Arc::clone(&self.engine)).last_defined()?,
        };
        self.defined = Some(defined);
        Ok(as_of >= defined)
    }

    fn push(
        &mut self,
        step: &mut Step,
        subject: Subject,
        payload: Bytes,
        received_ms: i64,
    ) -> Result<u64, WriterError> {
        let header = Header {
            offset: step.next_offset,
            received_ms,
            subject,
        };
        let bytes = header.encode();
        let place = step.places.next(bytes.len(), payload.len());
        let at = At {
            offset: header.offset,
            segment: place.segment,
            position: place.position,
        };
        let rows = apply(&overlay(&self.engine, &step.pending), &header, at)?;
        let mut batch = Batch::new();
        for row in rows {
            if matches!(row, Row::Defined(_)) {
                self.defined = Some(header.offset);
            }
            schema::write(row, &mut batch);
        }
        pending(batch, &mut step.pending);
        step.entries.push((bytes, payload));
        step.next_offset += 1;
        step.last = Some(at);
        Ok(header.offset)
    }
}

/// The key under which the index says how far it is applied.
pub(crate) fn applied_key() -> Vec<u8> {
    key(Table::Meta, &[b"applied"])
}
