//! Rows that are not committed yet, above an engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Rows;
use crate::engine::{Engine, EngineError, Row, prefix_end};

/// The rows of one batch, by key; `None` deletes.
pub(crate) type Pending = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// An engine with the batch above it that is being put together.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    pub(crate) engine: &'a Arc<dyn Engine>,
    pub(crate) batch: &'a Pending,
}

impl Rows for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        match self.batch.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.engine.get(key),
        }
    }

    fn scan_prefix(
        &self,
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, EngineError> {
        let end = prefix_end(prefix);
        let above = self.batch.range(prefix.to_vec()..);
        let above: Vec<_> = above
            .take_while(|(key, _)| end.is_empty() || **key < end)
            .collect();
        // Each row above may hide one below, so that many more are asked for.
        let below = self
            .engine
            .scan_prefix(prefix, limit.saturating_add(above.len()), reverse)?;
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = below.into_iter().collect();
        for (key, value) in above {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        let rows = merged.into_iter();
        Ok(if reverse {
            rows.rev().take(limit).collect()
        } else {
            rows.take(limit).collect()
        })
    }
}
