//! What the writer sees of the index while it puts a batch together.

use std::collections::HashMap;
use std::sync::Arc;

use fedsx_core::entry::LogId;
use fedsx_core::state::{State as _, StateError};

use crate::engine::Engine;
use crate::index::{Index, Overlay, Pending};

/// Gives out the next place of a log. A place is used up even when the entry is not appended after
/// all, which only happens when the whole writer fails.
pub(super) fn next_seq(
    engine: &Arc<dyn Engine>,
    heads: &mut HashMap<LogId, u64>,
    log: LogId,
) -> Result<u64, StateError> {
    let head = match heads.get_mut(&log) {
        Some(head) => head,
        None => {
            let length = Index::over(Arc::clone(engine)).log_len(log)?;
            heads.entry(log).or_insert(length)
        }
    };
    *head += 1;
    Ok(*head)
}

/// The index as it will be with a batch.
pub(super) fn overlay<'a>(engine: &'a Arc<dyn Engine>, batch: &'a Pending) -> Index<Overlay<'a>> {
    Index::over(Overlay { engine, batch })
}
