//! What the outcome of a try does to the rows: of its items, each by the lane's table, and of the lane.
//!
//! Invariant: of one sender's items to a host the first ones leave the queue, never one from behind another that stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use fedsx_store::delivery::{Came, Change, DeadLetter, Item, Place, Placed, Record, clip};

use super::Scheduler;
use super::active::Active;
use crate::attempt::{Done, lane_of};
use crate::lane::{self, Fate, Outcome, Tried};

impl Scheduler {
    /// One try, of one item or several.
    pub(super) fn settle_try(
        &mut self,
        done: Done,
        change: &mut Change<'_>,
        hosts: &mut BTreeSet<Arc<str>>,
        now_ms: i64,
    ) {
        let Done {
            tried,
            outcome,
            others,
            batching,
        } = done;
        let host = Arc::clone(&tried.placed.place.host);
        self.in_flight -= 1;
        self.offers.went(&host, batching, now_ms);
        let Some(active) = self.lanes.get_mut(&host) else {
            return;
        };
        active.land(tried.placed.place.actor);
        let along = tried.batch.map_or_else(Vec::new, |batch| {
            active.land_batch(batch.others.iter());
            batch.others
        });
        let lane_failures = tried.lane_failures;
        let items = std::iter::once((tried.placed, outcome)).chain(along.into_iter().zip(others));
        // Behind one of its sender that stays, none leaves: what is settled are the first ones.
        let mut stayed = BTreeSet::new();
        let mut failed = None;
        for (placed, outcome) in items {
            if stayed.contains(&placed.place.actor) {
                continue;
            }
            let actor = placed.place.actor;
            let facts = Tried {
                failures: placed.item.failures,
                lane_failures,
                now_ms,
                random: self.random(),
            };
            let (stays, is_failing) = self.settle_one(placed, facts, outcome, change, hosts);
            if stays {
                stayed.insert(actor);
            }
            if is_failing {
                failed = self.lanes.get(&host).map(|active| active.state.clone());
            }
        }
        // Whatever else it answered: it asked to be left alone.
        if let (Some(failed), Some(active)) = (failed, self.lanes.get_mut(&host))
            && active.state != failed
        {
            change.set_lane(&host, &failed);
            active.state = failed;
        }
        hosts.insert(host);
    }

    /// One item of a try: whether it stays where it is, and whether the host failed on it.
    fn settle_one(
        &mut self,
        placed: Placed,
        facts: Tried,
        outcome: Outcome,
        change: &mut Change<'_>,
        hosts: &mut BTreeSet<Arc<str>>,
    ) -> (bool, bool) {
        let Placed { place, mut item } = placed;
        let Some(active) = self.lanes.get_mut(&place.host) else {
            return (true, false);
        };
        let account = account(&outcome);
        let step = lane::step(&active.state, facts, outcome, &self.options);
        if let Some((came, status, answer)) = account {
            let record = Record {
                at_ms: facts.now_ms,
                came,
                status,
                answer: clip(&answer),
                failures: step.failures,
                recipient: item.recipient.peer().to_owned(),
            };
            change.record(&place, record);
        }
        let is_failing = step.lane.next_try_ms.is_some();
        if step.lane != active.state {
            change.set_lane(&place.host, &step.lane);
            active.state = step.lane;
        }
        item.failures = step.failures;
        let stays = matches!(step.fate, Fate::Waits | Fate::AgainInPlace { .. });
        let placed = Placed { place, item };
        if let Some(moved) = settle_item(active, change, placed, step.fate, facts.now_ms) {
            let lane = self
                .lanes
                .entry(Arc::clone(&moved.host))
                .or_insert_with(Active::idle);
            lane.due_aside(facts.now_ms);
            hosts.insert(moved.host);
        }
        (stays, is_failing)
    }
}

/// What is put on record of an outcome; nothing where nothing was learnt of the peer.
fn account(outcome: &Outcome) -> Option<(Came, Option<u16>, String)> {
    Some(match outcome {
        Outcome::Arrived => (Came::Arrived, None, String::new()),
        Outcome::Withdrawn => (Came::Withdrawn, None, String::new()),
        Outcome::HostFailed { why, .. } => (Came::HostFailed, None, why.clone()),
        Outcome::Refused { status, answer, .. } => (Came::Refused, *status, answer.clone()),
        Outcome::Elsewhere { inbox, .. } => {
            (Came::Refused, None, format!("it receives at {inbox}"))
        }
        Outcome::Gone => (Came::Gone, None, String::new()),
        Outcome::NotTaken | Outcome::Ours { .. } => return None,
    })
}

/// What a fate does to the rows and to the lane in memory; gives the place in another lane that the item
/// went to.
fn settle_item(
    active: &mut Active,
    change: &mut Change<'_>,
    Placed { place, mut item }: Placed,
    fate: Fate,
    now_ms: i64,
) -> Option<Place> {
    match fate {
        Fate::Waits => return None,
        Fate::AgainInPlace { at_ms } => {
            active.hold(place.actor, at_ms);
            change.put(&Placed { place, item });
            return None;
        }
        Fate::Settled => change.remove(&place),
        Fate::SetAside { due_ms } => {
            change.set_aside(&place, item, due_ms);
            active.due_aside(due_ms);
        }
        Fate::Moved { inbox } => match lane_of(&inbox) {
            Some(host) if *host == *place.host => {
                item.inbox = Some(inbox);
                change.put(&Placed { place, item });
                return None;
            }
            Some(host) => {
                item.inbox = Some(inbox);
                change.remove(&place);
                active.passed(&place);
                let moved = Place {
                    host: Arc::from(host),
                    due_ms: Some(now_ms),
                    ..place
                };
                change.put(&Placed {
                    place: moved.clone(),
                    item,
                });
                return Some(moved);
            }
            None => {
                let answer = format!("its inbox is said to be {inbox}, which is no URL to send to");
                change.bury(&place, &letter(&place, item, None, answer, now_ms));
            }
        },
        Fate::Dead { status, answer } => {
            change.bury(&place, &letter(&place, item, status, answer, now_ms));
        }
    }
    active.passed(&place);
    None
}

fn letter(
    place: &Place,
    item: Item,
    status: Option<u16>,
    answer: String,
    at_ms: i64,
) -> DeadLetter {
    DeadLetter {
        host: place.host.to_string(),
        actor: place.actor,
        offset: place.offset,
        item,
        status,
        answer: clip(&answer),
        at_ms,
    }
}
