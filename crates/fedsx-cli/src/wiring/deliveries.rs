//! The deliveries, as the admin API asks for them: it and the crate that owns them are siblings and
//! know nothing of each other.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use fedsx_admin::{Backlog, DeadLetter, DeliveryAdmin, DeliveryRecord, Lane, Selection, WaitingOf};
use fedsx_core::cid::Cid;
use fedsx_core::entry::ActorNo;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_deliver::{Delivery, OverNode};
use fedsx_http::{counter, gauge};
use fedsx_node::Node;
use fedsx_store::delivery::{DeadLetter as Letter, DeliveryError};
use tokio::runtime::Handle;

/// Dead letters read at once.
const CHUNK: usize = 1_000;

pub(super) struct AdminDeliveries {
    delivery: Arc<Delivery<OverNode>>,
    node: Node,
    runtime: Handle,
}

impl fmt::Debug for AdminDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminDeliveries").finish_non_exhaustive()
    }
}

impl AdminDeliveries {
    /// Made inside the runtime.
    pub(super) fn new(delivery: Arc<Delivery<OverNode>>, node: Node) -> Self {
        Self {
            delivery,
            node,
            runtime: Handle::current(),
        }
    }

    /// Their metrics.
    pub(super) fn gauges(&self, out: &mut String) {
        let totals = match self.delivery.totals() {
            Ok(totals) => totals,
            Err(error) => {
                tracing::error!(%error, "the deliveries can't be counted");
                return;
            }
        };
        gauge(
            out,
            "fedsx_deliveries_unexpanded",
            "Entries that are not queued for all their recipients yet, up to 10000.",
            totals.unexpanded,
        );
        gauge(
            out,
            "fedsx_deliveries_queued",
            "Deliveries that wait.",
            totals.waiting,
        );
        gauge(
            out,
            "fedsx_hosts_failing",
            "Hosts that failed when last tried.",
            totals.failing,
        );
        gauge(
            out,
            "fedsx_hosts_dormant",
            "Hosts that have failed for so long that nothing is queued for them.",
            totals.dormant as u64,
        );
        gauge(
            out,
            "fedsx_dead_letters",
            "Deliveries given up and kept.",
            totals.dead_letters,
        );
        counter(
            out,
            "fedsx_dead_letters_dropped_total",
            "Dead letters dropped to make room for others.",
            totals.dead_letters_dropped,
        );
        let [first, second] = self.node.comparisons_waiting();
        gauge(
            out,
            "fedsx_comparisons_waiting",
            "Actors whose followers here are to be compared with what their servers say.",
            (first + second) as u64,
        );
    }

    /// The name of a local actor; empty where it can't be read.
    fn name_of(&self, no: ActorNo) -> String {
        let actor = self.node.view().state().actor(no);
        actor
            .ok()
            .flatten()
            .map(|actor| actor.name)
            .unwrap_or_default()
    }

    fn letter(&self, id: u64, letter: Letter) -> DeadLetter {
        DeadLetter {
            id: id.to_string(),
            host: letter.host,
            inbox: letter.item.inbox.unwrap_or_default(),
            cid: Cid::of_document(letter.item.digest).to_string(),
            actor: self.name_of(letter.actor),
            offset: letter.offset,
            status: letter.status,
            answer: letter.answer,
            at_ms: letter.at_ms,
        }
    }
}

impl DeliveryAdmin for AdminDeliveries {
    fn backlog(&self) -> Result<Backlog, Refusal> {
        // First: what is expanded in between is in the lanes, and nothing is in neither.
        let unexpanded = self.delivery.unexpanded().map_err(|error| failed(&error))?;
        let lanes = self.delivery.lanes().map_err(|error| failed(&error))?;
        let lanes = lanes.into_iter().map(|lane| Lane {
            host: lane.host,
            state: lane.state.as_str().to_owned(),
            queued: lane.queued,
            set_aside: lane.set_aside,
            in_flight: u32::try_from(lane.in_flight).unwrap_or(u32::MAX),
            failures: lane.failures,
            next_try_ms: lane.next_try_ms,
            last_error: lane.last_error,
            oldest_offset: lane.oldest_offset,
            missed_from: lane.missed_from,
        });
        Ok(Backlog {
            unexpanded,
            lanes: lanes.collect(),
        })
    }

    fn waiting_of(&self, actor: ActorNo, offset: u64) -> Result<WaitingOf, Refusal> {
        let waiting = self.delivery.waiting_of(actor, offset);
        let (hosts, unexpanded) = waiting.map_err(|error| failed(&error))?;
        Ok(WaitingOf {
            hosts: hosts.iter().map(ToString::to_string).collect(),
            unexpanded,
        })
    }

    fn records_of(&self, offset: u64, limit: usize) -> Result<Vec<DeliveryRecord>, Refusal> {
        let records = self.delivery.records_of(offset, limit);
        let records = records.map_err(|error| failed(&error))?;
        let told = records.into_iter().map(|recorded| DeliveryRecord {
            host: recorded.host.to_string(),
            actor: self.name_of(recorded.actor),
            recipient: recorded.record.recipient,
            state: recorded.record.came.as_str(),
            status: recorded.record.status,
            answer: recorded.record.answer,
            failures: recorded.record.failures,
            at_ms: recorded.record.at_ms,
        });
        Ok(told.collect())
    }

    fn dead_letter_count(&self) -> Result<u64, Refusal> {
        let count = self.delivery.totals().map_err(|error| failed(&error))?;
        Ok(count.dead_letters)
    }

    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, Refusal> {
        // They are kept oldest first: all are passed, the newest are held.
        let mut newest = VecDeque::new();
        let mut after = 0;
        loop {
            let chunk = self
                .delivery
                .dead_letters(after, CHUNK)
                .map_err(|error| failed(&error))?;
            let Some((last, _)) = chunk.last() else {
                break;
            };
            after = *last;
            newest.extend(chunk);
            newest.drain(..newest.len().saturating_sub(limit));
        }
        Ok(newest
            .into_iter()
            .rev()
            .map(|(id, letter)| self.letter(id, letter))
            .collect())
    }

    fn retry(&self, which: Selection) -> Result<u64, Refusal> {
        let one = matches!(which, Selection::Id(_));
        // The caller is on a thread that may wait.
        let retried = self
            .runtime
            .block_on(self.delivery.retry(selection(which)?));
        counted(one, retried)
    }

    fn discard(&self, which: Selection) -> Result<u64, Refusal> {
        let one = matches!(which, Selection::Id(_));
        counted(one, self.delivery.drop_dead_letters(&selection(which)?))
    }

    fn wake(&self, host: &str) -> Result<bool, Refusal> {
        // The caller is on a thread that may wait.
        Ok(self.runtime.block_on(self.delivery.wake(host)))
    }
}

fn selection(which: Selection) -> Result<fedsx_deliver::Selection, Refusal> {
    Ok(match which {
        Selection::Id(id) => fedsx_deliver::Selection::Id(id.parse().map_err(|_| unknown())?),
        Selection::Host(host) => fedsx_deliver::Selection::Host(host),
        Selection::All => fedsx_deliver::Selection::All,
    })
}

fn counted(one: bool, count: Result<u64, DeliveryError>) -> Result<u64, Refusal> {
    match count {
        Ok(0) if one => Err(unknown()),
        count => count.map_err(|error| failed(&error)),
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::NotFound,
        "there is no such dead letter; `fedsx dead-letters` lists them",
    )
}

fn failed(error: &DeliveryError) -> Refusal {
    tracing::error!(%error, "the deliveries can't be read");
    Refusal::new(
        Code::Internal,
        "the deliveries can't be read; the server's log says why",
    )
}
