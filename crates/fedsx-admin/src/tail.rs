//! The journal as a stream: what is there, oldest first, then each commit.
//!
//! Invariant: nothing is read before the caller has taken what came before, so that a slow reader
//! costs one chunk of memory and holds up nobody.

use std::collections::VecDeque;

use fedsx_store::View;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::deliveries::blocking;
use crate::proto::Entry;
use crate::refused::internal;
use crate::to_proto::Entries;

/// Entries read at once.
const CHUNK: usize = 64;

struct Tail {
    view: View,
    commits: watch::Receiver<u64>,
    /// Away while it reads.
    journal: Option<fedsx_store::Tail>,
    ready: VecDeque<Entry>,
    stop: CancellationToken,
}

/// The activities after an offset, without end; ends with `unavailable` when the server stops.
pub(crate) fn tail(
    view: View,
    after: u64,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Entry, Status>> {
    let tail = Tail {
        commits: view.watch(),
        journal: Some(view.tail(after)),
        ready: VecDeque::new(),
        view,
        stop,
    };
    stream::try_unfold(tail, |mut tail| async move {
        let entry = tail.next().await?;
        Ok(Some((entry, tail)))
    })
}

impl Tail {
    async fn next(&mut self) -> Result<Entry, Status> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(entry);
            }
            // Marked before reading, so that a commit in between is not slept over.
            self.commits.mark_unchanged();
            if self.fill().await? {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Status::unavailable("the server is stopping")),
                changed = self.commits.changed() => {
                    changed.map_err(|_| Status::unavailable("the store is closed"))?;
                }
            }
        }
    }

    /// Reads on; whether there was anything.
    async fn fill(&mut self) -> Result<bool, Status> {
        let Some(mut journal) = self.journal.take() else {
            return Err(Status::unavailable("the journal could not be read"));
        };
        let view = self.view.clone();
        let (journal, read, ready) = blocking(move || {
            let rows = journal.next(CHUNK).map_err(internal)?;
            let mut names = Entries::new(&view);
            let mut ready = VecDeque::with_capacity(rows.len());
            for stored in &rows {
                ready.extend(names.entry(stored, None)?);
            }
            Ok((journal, rows.len(), ready))
        })
        .await?;
        self.journal = Some(journal);
        self.ready = ready;
        Ok(read > 0)
    }
}
