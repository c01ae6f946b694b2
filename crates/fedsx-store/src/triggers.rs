//! Triggers and subscriptions: their rows, how they are read, and the place up to which triggers have met the journal.
//!
//! The place is no fold of the journal and may be lost: what a trigger is done with is in the index, so
//! that meeting an entry again changes nothing. It is kept beside the states of projections, which can be
//! thrown away as well.

use fedsx_core::cid::Digest;
use fedsx_core::state::{Row, State as _, StateError, Subscription, TriggerTotals};

use crate::engine::Batch;
use crate::index;
use crate::projections::{ProjectionError, Projections};
use crate::schema::{Of, Table, encode, key, settled_key, spent_key, subscription_key};
use crate::stored::Stored;
use crate::view::{ReadError, View};

impl View {
    /// The subscriptions of all local actors, also those that have ended.
    ///
    /// # Errors
    /// When the store can't be read; so for all of these.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>, ReadError> {
        let prefix = [Table::Subscription as u8];
        let rows = self.engine.scan_prefix(&prefix, usize::MAX, false)?;
        let rows = rows.iter().map(|(_, value)| index::decode(value));
        Ok(rows.collect::<Result<_, StateError>>()?)
    }

    /// The `Subscribe` on which a subscription stands.
    ///
    /// # Errors
    /// As above.
    pub fn subscribe_of(&self, subscription: &Subscription) -> Result<Stored, ReadError> {
        self.at(subscription.at)
    }

    /// What a trigger came to so far, and the entry that says how it failed last.
    ///
    /// # Errors
    /// As above.
    pub fn trigger(&self, trigger: &Digest) -> Result<(TriggerTotals, Option<Stored>), ReadError> {
        let totals = self.index.trigger_totals(trigger)?;
        let failure = totals.last_failure.map(|at| self.at(at)).transpose()?;
        Ok((totals, failure))
    }
}

impl Projections {
    /// The offset up to which triggers have met the journal; 0 where that was lost.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn triggers_met(&self) -> Result<u64, ProjectionError> {
        let offset = self.engine().get(TRIGGERS_KEY)?;
        let offset = offset.and_then(|bytes| bytes.try_into().ok());
        Ok(offset.map_or(0, u64::from_be_bytes))
    }

    /// Keeps that offset; durable only with the next [`Projections::flush`].
    ///
    /// # Errors
    /// When it can't be written: the database must then be opened anew.
    pub fn set_triggers_met(&self, offset: u64) -> Result<(), ProjectionError> {
        let mut batch = Batch::new();
        batch.put(TRIGGERS_KEY, offset.to_be_bytes());
        Ok(self.engine().commit(batch)?)
    }
}

const TRIGGERS_KEY: &[u8] = &[crate::projections::TRIGGERS];

/// The rows of subscriptions and triggers.
pub(crate) fn write(row: Row, batch: &mut Batch) {
    match row {
        Row::Settled {
            source,
            trigger,
            offset,
        } => batch.put(settled_key(&source, &trigger), offset.to_be_bytes()),
        Row::Spent {
            trigger,
            source_actor: peer,
            times_ms: value,
        } => batch.put(spent_key(&trigger, &peer), encode(Of { peer, value })),
        Row::TriggerTotals { trigger, totals } => {
            batch.put(
                key(Table::TriggerTotals, &[trigger.as_bytes()]),
                encode(totals),
            );
        }
        Row::Subscription(subscription) => {
            let key = subscription_key(subscription.actor, &subscription.subscribe);
            batch.put(key, encode(subscription));
        }
        other => unreachable!("{other:?} is laid out by the schema"),
    }
}
