//! What a batch of the writer does to the index, at once.

use fedsx_core::state::At;

use super::{Writer, WriterError};
use crate::cache::RowCache;
use crate::chunk::batch_of;
use crate::index::Pending;

impl Writer {
    /// Makes rows visible, up to an entry that is durable.
    pub(super) fn commit(&self, rows: Pending, last: At) -> Result<(), WriterError> {
        let touched = RowCache::touched(rows.keys());
        self.cache.learn(rows.keys());
        #[cfg(feature = "simulation")]
        if self.marks_apart {
            crate::simulation::commit_marks_apart(&*self.engine, rows, last)?;
            self.cache.forget(&touched);
            self.applied.send_replace(last.offset);
            return Ok(());
        }
        self.engine.commit(batch_of(rows, last))?;
        self.cache.forget(&touched);
        self.applied.send_replace(last.offset);
        Ok(())
    }
}
