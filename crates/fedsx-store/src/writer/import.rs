//! An imported actor is appended as a whole: the writer does nothing else meanwhile, and until the marker is gone
//! the index knows nothing of it.
//!
//! Invariant: a kill before the marker goes leaves the journal as it was (import.rs); after it, what the index
//! lacks is applied at the next start like any tail.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use fedsx_core::blob::Blob;
use fedsx_core::entry::{ActorNo, Control, Effect, Header, Subject};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{At, State as _};

use super::{BATCH_OVERHEAD, Writer, WriterError};
use crate::chunk::Chunk;
use crate::import::Staged;
use crate::index::Index;
use crate::queue::{AppendError, Appended, BATCH_INPUTS};
use crate::vault::Vault;

/// Entries of one batch together, bytes, unless one alone is longer.
const BATCH: usize = 1 << 20;
/// What an entry takes beside its header and payload, bytes.
const FRAME: usize = 64;

impl Writer {
    /// Takes a checked import, or refuses it with nothing done.
    pub(super) fn import(
        &mut self,
        staged: &mut Staged,
        vault: &Vault,
    ) -> Result<Result<Appended, AppendError>, WriterError> {
        let index = Index::over(Arc::clone(&self.engine));
        let is_taken = index.actor_by_name(&staged.name)?.is_some()
            || index.actor_by_url(&staged.url)?.is_some();
        if is_taken {
            let why = format!("there is an actor `{}` here already", staged.name);
            return Ok(Err(Refusal::new(Code::Conflict, why).into()));
        }
        let no = ActorNo(index.actor_count()?);
        let before = self.journal.next_offset() - 1;
        staged.mark(self.journal.end()).map_err(failed)?;
        for key in &staged.keys {
            vault.adopt(key)?;
        }
        while self.append_some(staged, no)? {}
        // It may define something.
        self.defined = None;
        self.journal.sync()?;
        staged.commit().map_err(failed)?;
        self.apply_behind(before)?;
        let offset = self.journal.next_offset() - 1;
        let joined = Vec::new();
        Ok(Ok(Appended::New { offset, joined }))
    }

    /// Appends the next batch; `false` when there was none.
    fn append_some(&mut self, staged: &mut Staged, no: ActorNo) -> Result<bool, WriterError> {
        let mut entries: Vec<(Vec<u8>, Bytes)> = Vec::new();
        let mut bytes = 0;
        while entries.len() < BATCH_INPUTS && bytes < BATCH {
            let Some((mut subject, received_ms, mut payload)) = staged.next().map_err(failed)?
            else {
                break;
            };
            number(&mut subject, no);
            let offset = self.journal.next_offset() + entries.len() as u64;
            if let Subject::Activity(activity) = &subject {
                self.recent.add(offset, activity);
                // It is here for another already: one copy of a document is enough, and all that an erasure finds.
                let index = Index::over(Arc::clone(&self.engine));
                if index.seen(&activity.digest)?.is_some() {
                    payload = Bytes::new();
                }
            }
            let header = Header {
                offset,
                received_ms,
                subject,
            };
            let header = header.encode();
            bytes += FRAME + header.len() + payload.len();
            entries.push((header, payload));
        }
        if entries.is_empty() {
            return Ok(false);
        }
        self.journal.reserve(BATCH_OVERHEAD + bytes as u64)?;
        self.journal.write(&entries)?;
        Ok(true)
    }

    /// Applies what the index lacks.
    fn apply_behind(&mut self, before: u64) -> Result<(), WriterError> {
        let mut chunk = Chunk::default();
        for scanned in self.journal.reader().scan_behind(before)? {
            let scanned = scanned?;
            let offset = scanned.frame.offset;
            let header = Header::decode(&scanned.frame.header)
                .map_err(|source| WriterError::Import(io::Error::other(source)))?;
            let at = At {
                offset,
                segment: scanned.place.segment,
                position: scanned.place.position,
            };
            chunk.apply(&self.engine, &header, at)?;
            if chunk.entries == BATCH_INPUTS
                && let Some((rows, last)) = chunk.take()
            {
                self.commit(rows, last)?;
            }
        }
        match chunk.take() {
            Some((rows, last)) => self.commit(rows, last),
            None => Ok(()),
        }
    }
}

/// Gives the actor its number.
fn number(subject: &mut Subject, no: ActorNo) {
    match subject {
        Subject::Activity(activity) => {
            for joined in &mut activity.joined {
                joined.log.actor = no;
            }
            if let Some(Effect::ActorCreated { no: given, .. }) = &mut activity.effect {
                *given = no;
            }
        }
        Subject::Control(
            Control::Between { actor, .. }
            | Control::Role { actor, .. }
            | Control::LogHeld { actor, .. }
            | Control::ActorHostBlock { actor, .. }
            | Control::Blob(Blob::Kept { actor, .. }),
        ) => *actor = no,
        Subject::Control(_) => {}
    }
}

fn failed(error: io::Error) -> WriterError {
    WriterError::Import(error)
}
