//! Entries of the journal's tail, applied again and committed together.

use std::sync::Arc;

use fedsx_core::apply::apply;
use fedsx_core::entry::Header;
use fedsx_core::state::At;

use super::StoreError;
use crate::engine::{Batch, Engine};
use crate::index::{self, Index, Overlay, Pending};
use crate::schema;
use crate::writer::applied_key;

/// Entries applied but not committed yet.
#[derive(Default)]
pub(super) struct Chunk {
    pending: Pending,
    pub(super) entries: usize,
    last: Option<At>,
}

impl Chunk {
    pub(super) fn apply(
        &mut self,
        engine: &Arc<dyn Engine>,
        header: &Header,
        at: At,
    ) -> Result<(), StoreError> {
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

    pub(super) fn commit(&mut self, engine: &Arc<dyn Engine>) -> Result<(), StoreError> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let mut batch = Batch::new();
        for (key, value) in std::mem::take(&mut self.pending) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch.put(applied_key(), schema::encode(last));
        engine.commit(batch)?;
        self.entries = 0;
        Ok(())
    }
}
