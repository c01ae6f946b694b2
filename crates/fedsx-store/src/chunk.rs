//! Entries of the journal's tail, applied again and committed together.

use std::sync::Arc;

use fedsx_core::apply::apply;
use fedsx_core::entry::Header;
use fedsx_core::state::{At, StateError};

use crate::engine::{Batch, Engine};
use crate::index::{self, Index, Overlay, Pending};
use crate::schema;
use crate::writer::applied_key;

/// Entries applied but not committed yet.
#[derive(Default)]
pub(crate) struct Chunk {
    pending: Pending,
    pub(crate) entries: usize,
    last: Option<At>,
}

impl Chunk {
    pub(crate) fn apply(
        &mut self,
        engine: &Arc<dyn Engine>,
        header: &Header,
        at: At,
    ) -> Result<(), StateError> {
        let rows = apply(
            &Index::over(Overlay {
                engine,
                batch: &self.pending,
            }),
            header,
            at,
        )?;
        let mut batch = Batch::new();
        for row in rows {
            schema::write(row, &mut batch);
        }
        index::pending(batch, &mut self.pending);
        self.entries += 1;
        self.last = Some(at);
        Ok(())
    }

    /// What is applied since it was last taken, and the newest entry of it.
    pub(crate) fn take(&mut self) -> Option<(Pending, At)> {
        let last = self.last.take()?;
        self.entries = 0;
        Some((std::mem::take(&mut self.pending), last))
    }
}

/// Rows as one batch, with how far the index is applied by it.
pub(crate) fn batch_of(rows: Pending, last: At) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in rows {
        match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        }
    }
    batch.put(applied_key(), schema::encode(last));
    batch
}
