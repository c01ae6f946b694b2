//! The account of each delivery: when it was tried last, and what came of it.
//!
//! One row for an entry, a sender, a host and a recipient, in the batch that the try leads to. Bounded: beyond
//! [`DELIVERY_RECORDS`] those of the oldest entries go. It stands in no journal and no ledger: with the index it is lost,
//! and costs only the account. Design, section 9.2.

use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use fedsx_core::limits::DELIVERY_RECORDS;
use minicbor::{Decode, Encode};

use super::rows::{BadRow, Place, RECORD, actor_no, decode, encode, number, offset_key, text};
use super::{Deliveries, DeliveryError};
use crate::engine::{Batch, Row};

/// Rows dropped at once, so that it is not done for each.
const DROPPED_AT_ONCE: usize = 1_000;

/// What a try came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Came {
    /// The peer has it.
    #[n(0)]
    Arrived,
    /// The peer answered, and not with success.
    #[n(1)]
    Refused,
    /// The host could not be reached, or says that it can't answer.
    #[n(2)]
    HostFailed,
    /// The recipient is gone for good.
    #[n(3)]
    Gone,
    /// It was no longer to be sent.
    #[n(4)]
    Withdrawn,
}

impl Came {
    /// The word used in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Refused => "refused",
            Self::HostFailed => "host-failed",
            Self::Gone => "gone",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The account of a delivery.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Record {
    /// When it was tried last, Unix milliseconds.
    #[n(0)]
    pub at_ms: i64,
    /// What came of it.
    #[n(1)]
    pub came: Came,
    /// The HTTP status of an answer that was no success.
    #[n(2)]
    pub status: Option<u16>,
    /// What the peer said, or what else was wrong; at most [`super::ANSWER_BYTES`].
    #[n(3)]
    pub answer: String,
    /// How often it failed by itself.
    #[n(4)]
    pub failures: u32,
    /// The actor meant, or one of those behind a shared inbox.
    #[n(5)]
    pub recipient: String,
}

/// A record, and of what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// The host.
    pub host: Arc<str>,
    /// The sender.
    pub actor: ActorNo,
    /// The entry.
    pub offset: u64,
    /// The account.
    pub record: Record,
}

pub(super) fn key(place: &Place) -> Vec<u8> {
    let mut key = offset_key(RECORD, place.offset);
    key.extend(place.actor.0.to_be_bytes());
    key.extend(place.recipient.to_be_bytes());
    key.extend(place.host.as_bytes());
    key
}

fn recorded((key, value): &Row) -> Result<Recorded, DeliveryError> {
    let parts = || {
        let (offset, rest) = key.get(1..)?.split_at_checked(8)?;
        let (actor, rest) = rest.split_at_checked(4)?;
        let (_, host) = rest.split_at_checked(8)?;
        Some((offset, actor, host))
    };
    let (offset, actor, host) = parts().ok_or(BadRow::Key)?;
    Ok(Recorded {
        host: Arc::from(text(host)?),
        actor: actor_no(actor)?,
        offset: number(offset)?,
        record: decode(value)?,
    })
}

impl Deliveries {
    /// What came of the deliveries of an entry, at most `limit`.
    ///
    /// # Errors
    /// When the index can't be read.
    pub fn records_of(&self, offset: u64, limit: usize) -> Result<Vec<Recorded>, DeliveryError> {
        let prefix = offset_key(RECORD, offset);
        let rows = self.engine.scan_prefix(&prefix, limit, false)?;
        rows.iter().map(recorded).collect()
    }

    /// Adds records to a batch, and what makes room for them, of which there were `known` before; gives how many there
    /// are then.
    pub(super) fn keep_records(
        &self,
        known: Option<u64>,
        batch: &mut Batch,
        records: Vec<(Vec<u8>, Record)>,
    ) -> Result<Option<u64>, DeliveryError> {
        if records.is_empty() {
            return Ok(known);
        }
        let mut count = match known {
            Some(count) => count,
            None => self.all(&[RECORD]).try_fold(0, |count, row| {
                row?;
                Ok::<_, DeliveryError>(count + 1)
            })?,
        };
        let oldest_new = records.iter().map(|(key, _)| key.clone()).min();
        for (key, record) in records {
            count += u64::from(self.engine.get(&key)?.is_none());
            batch.put(key, encode(&record));
        }
        if count > DELIVERY_RECORDS as u64 {
            let oldest = self.engine.scan_prefix(&[RECORD], DROPPED_AT_ONCE, false)?;
            // What comes with this batch stays, however old its entry is.
            let oldest = oldest.into_iter().map(|(key, _)| key);
            for key in oldest.take_while(|key| Some(key) < oldest_new.as_ref()) {
                batch.delete(key);
                count -= 1;
            }
        }
        Ok(Some(count))
    }
}
