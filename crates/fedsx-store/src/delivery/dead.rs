//! Dead letters: what was given up, with the peer's answer, until somebody looks at it.
//!
//! Invariant: at most [`DEAD_LETTERS`](fedsx_core::limits::DEAD_LETTERS) are kept, beyond which the oldest
//! go in the batch that brings the new ones; a peer that refuses everything fills no disk. What goes so is
//! logged and counted.

use std::sync::atomic::Ordering;

use super::change::Rows;
use super::rows::{DEAD, DeadLetter, HEAD, decode, offset_key, offset_of};
use super::{Deliveries, DeliveryError};
use crate::engine::Batch;

/// The dead letters after a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    /// Kept.
    pub(super) kept: u64,
    /// Dropped to make room.
    pub(super) dropped: u64,
}

impl Deliveries {
    /// Dead letters in the order of their ids, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the index can't be read; so for all below.
    pub fn dead_letters(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, DeadLetter)>, DeliveryError> {
        let from = offset_key(DEAD, after.saturating_add(1));
        let rows = self.engine.scan(&from, &[HEAD], limit, false)?;
        rows.iter()
            .map(|(key, value)| Ok((offset_of(key)?, decode(value)?)))
            .collect()
    }

    /// The dead letter of that id.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn dead_letter(&self, id: u64) -> Result<Option<DeadLetter>, DeliveryError> {
        let value = self.engine.get(&offset_key(DEAD, id))?;
        Ok(value.as_deref().map(decode).transpose()?)
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn dead_letter_count(&self) -> Result<u64, DeliveryError> {
        let mut touched = self.touched();
        let count = self.counted(touched.dead)?;
        touched.dead = Some(count);
        Ok(count)
    }

    /// How many this process dropped to make room for others.
    #[must_use]
    pub fn dead_letters_dropped(&self) -> u64 {
        self.dead_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn dead_id(&self) -> u64 {
        self.next_dead.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds to a batch what makes room for the dead letters in it, of which there were `known` before.
    /// `None` when it is about none.
    pub(super) fn make_room(
        &self,
        known: Option<u64>,
        batch: &mut Batch,
        rows: &mut Rows,
    ) -> Result<Option<After>, DeliveryError> {
        let (mut came, mut gone) = (0, Vec::new());
        for (key, value) in rows.iter().filter(|(key, _)| key[0] == DEAD) {
            match value {
                // Each has an id of its own.
                Some(_) => came += 1,
                None if gone.contains(key) => {}
                None if self.engine.get(key)?.is_some() => gone.push(key.clone()),
                None => {}
            }
        }
        if came == 0 && gone.is_empty() {
            return Ok(None);
        }
        let kept = (self.counted(known)? + came).saturating_sub(gone.len() as u64);
        let excess = usize::try_from(kept.saturating_sub(self.dead_max)).unwrap_or(usize::MAX);
        let mut dropped = Vec::new();
        if excess > 0 {
            let limit = excess.saturating_add(gone.len());
            let oldest = self.engine.scan(&[DEAD], &[HEAD], limit, false)?;
            let oldest = oldest.into_iter().map(|(key, _)| key);
            dropped.extend(oldest.filter(|key| !gone.contains(key)).take(excess));
        }
        let after = After {
            kept: kept - dropped.len() as u64,
            dropped: dropped.len() as u64,
        };
        for key in dropped {
            batch.delete(key.clone());
            rows.push((key, None));
        }
        Ok(Some(after))
    }

    /// Room was made.
    pub(super) fn note_dropped(&self, dropped: u64) {
        if dropped > 0 {
            self.dead_dropped.fetch_add(dropped, Ordering::Relaxed);
            tracing::warn!(
                dropped,
                kept = self.dead_max,
                "the oldest dead letters are dropped for new ones"
            );
        }
    }

    fn counted(&self, known: Option<u64>) -> Result<u64, DeliveryError> {
        match known {
            Some(count) => Ok(count),
            None => self.all(&[DEAD]).try_fold(0, |count, row| {
                row?;
                Ok(count + 1)
            }),
        }
    }
}
