//! All that an entry changes between one local actor and one peer: relations, blocks, what is owed,
//! the follower's period and the totals, as rows.

use super::Moment;
use crate::actor::ActorKind;
use crate::entry::ActorNo;
use crate::export;
use crate::follow::{Direction, Input, Owed, Phase, Relation, Times, step};
use crate::state::{Actor, Blocks, Follower, Row, StateError, host};

/// All that is between one local actor and one peer.
#[derive(Clone, PartialEq)]
struct Between {
    follower: Relation,
    following: Relation,
    blocks: Blocks,
    owed: Vec<Owed>,
}

/// The same, loaded and being changed.
pub(super) struct Pair<'a> {
    actor: Actor,
    peer: &'a str,
    times: Times,
    before: Between,
    relations: [Relation; 2],
    pub(super) blocks: Blocks,
    owed: Vec<Owed>,
    /// The peer need not be asked about, where others are.
    is_member: bool,
    /// The actor blocks everybody on the peer's host.
    is_host_blocked: bool,
}

impl<'a> Pair<'a> {
    pub(super) fn load(
        moment: &Moment<'_>,
        actor: Actor,
        peer: &'a str,
    ) -> Result<Self, StateError> {
        let (no, state) = (actor.no, moment.state);
        let before = Between {
            follower: state.relation(no, Direction::Follower, peer)?,
            following: state.relation(no, Direction::Following, peer)?,
            blocks: state.pair_blocks(no, peer)?,
            owed: state.owed(no, peer)?,
        };
        let is_host_blocked = state.blocks_host(no, &host(peer))?;
        let is_member = actor.kind == ActorKind::Group && state.standing(no, peer)?.member;
        Ok(Self {
            is_member,
            is_host_blocked,
            actor,
            peer,
            times: moment.times(),
            relations: [before.follower.clone(), before.following.clone()],
            blocks: before.blocks,
            owed: before.owed.clone(),
            before,
        })
    }

    /// Whether nothing begins between the two.
    pub(super) const fn is_blocked(&self) -> bool {
        self.is_host_blocked || self.blocks.any()
    }

    pub(super) fn relation_mut(&mut self, direction: Direction) -> &mut Relation {
        &mut self.relations[direction as usize]
    }

    /// Takes a part as it was exported.
    pub(super) fn set(&mut self, between: &export::Between) {
        match between {
            export::Between::Relation {
                direction,
                relation,
                ..
            } => self.relation_mut(*direction).clone_from(relation),
            export::Between::Blocks { blocks, .. } => self.blocks = *blocks,
            export::Between::Owed { owed, .. } => self.owed.clone_from(owed),
            // It stands by itself.
            export::Between::Standing { .. } => {}
        }
    }

    /// Steps the table; true when the input was ignored.
    pub(super) fn step(&mut self, direction: Direction, input: Input<'_>) -> bool {
        let manual = self.actor.manual_approval && !self.is_member;
        let times = self.times;
        let relation = self.relation_mut(direction);
        let outcome = step(direction, manual, relation, input, times);
        if direction == Direction::Follower && outcome.relation.phase == Phase::None {
            // Nobody waits any more for the Accept of a follow that has ended.
            self.owed
                .retain(|owed| !matches!(owed, Owed::Accept { .. }));
        }
        if direction == Direction::Following
            && matches!(outcome.relation.phase, Phase::None | Phase::Refused)
        {
            // Who follows no more goes nowhere with it.
            self.owed
                .retain(|owed| !matches!(owed, Owed::Refollow { .. }));
        }
        *self.relation_mut(direction) = outcome.relation;
        if let Some(owed) = outcome.owed {
            self.owe(owed);
        }
        outcome.ignored
    }

    /// The peer may follow, or may not any more: what it asked for or was given is answered so.
    pub(super) fn answer(&mut self, is_let: bool) {
        let relation = self.relation_mut(Direction::Follower);
        let (phase, id) = (relation.phase, relation.id.clone());
        match (phase, id, is_let) {
            (Phase::Pending, Some(id), true) => self.owe(Owed::Accept { id }),
            (Phase::Pending | Phase::Accepted, Some(id), false) => self.owe(Owed::Reject { id }),
            _ => {}
        }
    }

    /// The peer moved: an accepted follow is to go with it.
    pub(super) fn moved(&mut self, target: &str) {
        let relation = self.relation_mut(Direction::Following);
        let id = (relation.phase == Phase::Accepted).then(|| relation.id.clone());
        if let Some(id) = id.flatten() {
            let target = target.to_owned();
            self.owe(Owed::Refollow { id, target });
        }
    }

    /// Of each kind the last is owed.
    fn owe(&mut self, owed: Owed) {
        self.owed
            .retain(|have| std::mem::discriminant(have) != std::mem::discriminant(&owed));
        self.owed.push(owed);
    }

    pub(super) fn step_both(&mut self, input: Input<'_>) {
        self.step(Direction::Follower, input);
        self.step(Direction::Following, input);
    }

    /// Strikes out what this answer settles, whether or not the relation still stands.
    pub(super) fn settle(&mut self, input: Input<'_>) {
        self.owed.retain(|owed| {
            !matches!(
                (owed, input),
                (Owed::Accept { id }, Input::Accept(which))
                | (Owed::Reject { id }, Input::Reject(which))
                | (Owed::Undo { id } | Owed::Refollow { id, .. }, Input::Undo(which))
                    if which.id == Some(id.as_str())
            )
        });
    }

    /// The rows that differ from what was loaded.
    pub(super) fn rows(self, moment: &Moment<'_>, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let (no, peer) = (self.actor.no, self.peer.to_owned());
        let [follower, following] = self.relations;
        let after = Between {
            follower,
            following,
            blocks: self.blocks,
            owed: self.owed,
        };
        if after == self.before {
            return Ok(());
        }
        let before = self.before;
        let accepted = |relation: &Relation| u64::from(relation.phase == Phase::Accepted);
        let mut totals = moment.state.relation_totals(no)?;
        let had = totals;
        totals.followers =
            totals.followers + accepted(&after.follower) - accepted(&before.follower);
        totals.following =
            totals.following + accepted(&after.following) - accepted(&before.following);
        if totals != had {
            rows.push(Row::RelationTotals { actor: no, totals });
        }
        follower_period(moment, no, &peer, &before.follower, &after.follower, rows)?;
        let related = after.follower.phase != Phase::None
            || after.following.phase != Phase::None
            || after.blocks.any();
        let follows = related.then_some(after.following.phase == Phase::Accepted);
        rows.push(Row::Related {
            actor: no,
            peer: peer.clone(),
            follows,
        });
        if after.blocks != before.blocks {
            rows.push(Row::Blocks {
                actor: no,
                peer: peer.clone(),
                blocks: after.blocks,
            });
        }
        if after.owed != before.owed {
            rows.push(Row::Owed {
                actor: no,
                peer: peer.clone(),
                owed: after.owed,
            });
        }
        let directions = [
            (Direction::Follower, before.follower, after.follower),
            (Direction::Following, before.following, after.following),
        ];
        for (direction, before, relation) in directions {
            if relation != before {
                rows.push(Row::Relation {
                    actor: no,
                    direction,
                    peer: peer.clone(),
                    relation,
                });
            }
        }
        Ok(())
    }
}

/// Opens or ends the period in which a peer is an accepted follower: fan-out asks for the followers
/// as of an entry's offset.
fn follower_period(
    moment: &Moment<'_>,
    actor: ActorNo,
    peer: &str,
    before: &Relation,
    after: &Relation,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    match (
        before.phase == Phase::Accepted,
        after.phase == Phase::Accepted,
    ) {
        (false, true) => {
            let follower = Follower {
                peer: peer.to_owned(),
                from: moment.offset,
                until: None,
                inbox: after.inbox.clone(),
                shared_inbox: after.shared_inbox.clone(),
            };
            rows.push(Row::Follower { actor, follower });
        }
        (true, false) => {
            if let Some(mut follower) = moment.state.last_follower(actor, peer)? {
                follower.until = Some(moment.offset);
                rows.push(Row::Follower { actor, follower });
            }
        }
        (true, true)
            if before.inbox != after.inbox || before.shared_inbox != after.shared_inbox =>
        {
            if let Some(mut follower) = moment.state.last_follower(actor, peer)? {
                follower.inbox.clone_from(&after.inbox);
                follower.shared_inbox.clone_from(&after.shared_inbox);
                rows.push(Row::Follower { actor, follower });
            }
        }
        _ => {}
    }
    Ok(())
}
