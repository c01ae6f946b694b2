//! A try of several items at once: a batch for a host that takes such (design, section 9.3).
//!
//! Each item has an outcome of its own, as if it had been sent alone. What a batch can't say, for which a signature of
//! the request or another inbox would be needed, is said of the item by [`Outcome::NotTaken`]: it goes by itself.

use fedsx_store::delivery::{Item, Placed, Recipient};

use super::{Done, Try, answered, is_wanted, refused};
use crate::lane::{Class, Outcome};
use crate::outbound::{BatchParcel, Outbound, Posted, PostedBatch};

/// What goes along with an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Where to.
    pub url: String,
    /// The others, each sender's in their order.
    pub others: Vec<Placed>,
}

/// Whether a host takes batches as it said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Batching {
    /// It does.
    Goes,
    /// Some of what is for it has to go by itself.
    Pauses,
    /// It does not.
    Refused,
}

/// Whether an item may go in a batch: it is for those behind a shared inbox, and nothing was wrong with it so far.
pub(crate) const fn goes_along(item: &Item) -> bool {
    matches!(item.recipient, Recipient::Shared(_)) && item.failures == 0
}

/// Carries a try of several out.
pub(super) async fn attempt<O: Outbound>(outbound: &O, tried: Try) -> Done {
    let (url, all) = match &tried.batch {
        Some(batch) => {
            let all = std::iter::once(&tried.placed).chain(&batch.others);
            (batch.url.clone(), all.collect::<Vec<_>>())
        }
        None => (String::new(), vec![&tried.placed]),
    };
    let mut outcomes: Vec<Option<Outcome>> = all
        .iter()
        .map(
            |placed| match is_wanted(outbound, &placed.place, &placed.item) {
                Ok(true) => None,
                Ok(false) => Some(Outcome::Withdrawn),
                Err(fault) => {
                    let why = fault.to_string();
                    Some(Outcome::Ours { why })
                }
            },
        )
        .collect();
    let sent: Vec<usize> = (0..all.len())
        .filter(|nth| outcomes[*nth].is_none())
        .collect();
    let batching = match sent.first() {
        None => Batching::Goes,
        Some(first) => {
            let parcel = BatchParcel {
                url,
                actor: all[*first].place.actor,
                digests: sent.iter().map(|nth| all[*nth].item.digest).collect(),
            };
            let sent: Vec<(usize, &Placed)> = sent.iter().map(|nth| (*nth, all[*nth])).collect();
            judge(outbound, parcel, &sent, &mut outcomes).await
        }
    };
    let mut outcomes = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Outcome::NotTaken));
    let outcome = outcomes.next().unwrap_or(Outcome::NotTaken);
    Done {
        others: outcomes.collect(),
        outcome,
        batching,
        tried,
    }
}

/// Sends, and says of each that was sent what came of it.
async fn judge<O: Outbound>(
    outbound: &O,
    parcel: BatchParcel,
    sent: &[(usize, &Placed)],
    outcomes: &mut [Option<Outcome>],
) -> Batching {
    let mut all = |outcome: &Outcome| {
        for (nth, _) in sent {
            outcomes[*nth] = Some(outcome.clone());
        }
    };
    let answers = match outbound.post_batch(parcel).await {
        PostedBatch::Answers(answers) => answers,
        PostedBatch::HostFailed {
            why,
            retry_after_ms,
        } => {
            all(&Outcome::HostFailed {
                why,
                retry_after_ms,
            });
            return Batching::Goes;
        }
        PostedBatch::Ours(why) => {
            all(&Outcome::Ours { why });
            return Batching::Goes;
        }
        PostedBatch::Refused(why) => {
            tracing::debug!(why, "a batch was not taken");
            all(&Outcome::NotTaken);
            return Batching::Refused;
        }
    };
    let mut batching = Batching::Goes;
    for ((nth, placed), posted) in sent.iter().zip(answers) {
        let outcome = outcome(outbound, placed, posted).await;
        if outcome == Outcome::NotTaken {
            batching = Batching::Pauses;
        }
        outcomes[*nth] = Some(outcome);
    }
    batching
}

async fn outcome<O: Outbound>(outbound: &O, placed: &Placed, posted: Posted) -> Outcome {
    let answered = match answered(posted) {
        Ok(answered) => answered,
        Err(outcome) => return outcome,
    };
    match Class::of(answered.status) {
        Class::Success => Outcome::Arrived,
        // By the signature of its own request, or another inbox, it may arrive.
        Class::Nowhere => Outcome::NotTaken,
        Class::Later if answered.status == 401 => Outcome::NotTaken,
        class => refused(outbound, placed, class, answered).await,
    }
}
