//! What an entry changes: `(state, entry) → rows`, the same for ever.
//!
//! Sees the entry and earlier applied state, nothing else: no configuration, cache, clock or peers'
//! documents. An entry is applied once when it is appended, and again after a crash or a reindex;
//! both give the same rows (design, section 4).

use crate::entry::{
    Activity, ActorNo, Authenticated, Control, Effect, FollowRef, Header, Side, Subject, Visibility,
};
use crate::follow::{Direction, Input, Owed, Phase, Relation, Which, step};
use crate::state::{Actor, At, Blocks, Follower, Row, Seen, State, StateError};

/// The rows that an entry standing at `at` changes.
///
/// # Errors
/// When the state can't be read.
pub fn apply(state: &dyn State, header: &Header, at: At) -> Result<Vec<Row>, StateError> {
    let mut rows = Vec::with_capacity(4);
    match &header.subject {
        Subject::Activity(activity) => {
            logs(state, activity, at, &mut rows)?;
            if let Some(effect) = &activity.effect {
                let moment = Moment {
                    state,
                    now_ms: header.received_ms,
                    offset: header.offset,
                };
                moment.effect(activity, effect, at, &mut rows)?;
            }
        }
        Subject::Control(control) => {
            let moment = Moment {
                state,
                now_ms: header.received_ms,
                offset: header.offset,
            };
            moment.control(control, at, &mut rows)?;
        }
    }
    Ok(rows)
}

/// The logs an activity joins, its place by CID and by `id`, and that it has to go out.
fn logs(
    state: &dyn State,
    activity: &Activity,
    at: At,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    let proved = matches!(
        activity.authenticated,
        Authenticated::Local | Authenticated::Proof
    );
    let seen = Seen {
        at,
        proved,
        joined: activity.joined.clone(),
        with_proof: None,
    };
    rows.push(Row::Seen {
        digest: activity.digest,
        seen,
    });
    rows.push(Row::Id {
        id: activity.id.clone(),
        digest: activity.digest,
    });
    // What others create is found by its origin and owner; a row for each would be one more to write.
    if activity.verb == "Create"
        && activity.authenticated == Authenticated::Local
        && let Some(object) = &activity.object_id
    {
        rows.push(Row::Object {
            id: object.clone(),
            digest: activity.digest,
        });
    }
    for joined in &activity.joined {
        rows.push(Row::Log {
            joined: *joined,
            at,
        });
        if joined.log.side == Side::Outbox {
            let mut totals = state.outbox_totals(joined.log.actor)?;
            match activity.visibility {
                Visibility::Public => totals.public += 1,
                Visibility::Followers => totals.followers += 1,
                Visibility::Direct => {}
            }
            totals.last_published_ms = totals.last_published_ms.max(activity.published_ms);
            rows.push(Row::OutboxTotals {
                actor: joined.log.actor,
                totals,
            });
            if activity.fan_out {
                rows.push(Row::FanOut {
                    offset: at.offset,
                    actor: joined.log.actor,
                });
            }
        }
    }
    Ok(())
}

/// The state an entry meets, and when.
struct Moment<'a> {
    state: &'a dyn State,
    now_ms: i64,
    offset: u64,
}

impl Moment<'_> {
    fn effect(
        &self,
        activity: &Activity,
        effect: &Effect,
        at: At,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        match effect {
            Effect::ActorCreated {
                no,
                name,
                kind,
                manual_approval,
                keys,
                url,
            } => {
                rows.push(Row::Actor(Actor {
                    no: *no,
                    name: name.clone(),
                    url: url.clone(),
                    kind: *kind,
                    manual_approval: *manual_approval,
                    keys: keys.clone(),
                    document: at,
                }));
                Ok(())
            }
            Effect::Follow {
                follower,
                followed,
                inbox,
                shared_inbox,
            } => {
                let input = Input::Follow { id: &activity.id };
                self.between(followed, follower, rows, |pair| {
                    if pair.blocks.any() {
                        return;
                    }
                    if !pair.step(Direction::Follower, input) {
                        let relation = pair.relation_mut(Direction::Follower);
                        relation.inbox.clone_from(inbox);
                        relation.shared_inbox.clone_from(shared_inbox);
                    }
                })?;
                self.between(follower, followed, rows, |pair| {
                    pair.step(Direction::Following, input);
                })
            }
            Effect::Accept { follow } => self.answer(follow, Input::Accept(which(follow)), rows),
            Effect::Reject { follow } => self.answer(follow, Input::Reject(which(follow)), rows),
            Effect::UndoFollow { follow } => self.answer(follow, Input::Undo(which(follow)), rows),
            Effect::Block { blocker, blocked } => {
                self.between(blocker, blocked, rows, |pair| {
                    pair.blocks.ours = true;
                    pair.step_both(Input::BlockedByUs);
                })?;
                self.between(blocked, blocker, rows, |pair| {
                    pair.blocks.theirs = true;
                    pair.step_both(Input::BlockedByThem);
                })
            }
            Effect::UndoBlock { blocker, blocked } => {
                self.between(blocker, blocked, rows, |pair| pair.blocks.ours = false)?;
                self.between(blocked, blocker, rows, |pair| pair.blocks.theirs = false)
            }
            Effect::ActorDeleted { actor } => self.peer_gone(actor, rows),
        }
    }

    fn control(&self, control: &Control, at: At, rows: &mut Vec<Row>) -> Result<(), StateError> {
        match control {
            Control::Placed { digest, joined } => {
                let Some(seen) = self.state.seen(digest)? else {
                    return Ok(());
                };
                for joined in joined {
                    rows.push(Row::Placed {
                        digest: *digest,
                        joined: *joined,
                    });
                    rows.push(Row::Log {
                        joined: *joined,
                        at: seen.at,
                    });
                }
                Ok(())
            }
            Control::ProofAttached { digest, .. } => {
                let Some(seen) = self.state.seen(digest)? else {
                    return Ok(());
                };
                let seen = Seen {
                    proved: true,
                    with_proof: Some(at),
                    ..seen
                };
                rows.push(Row::Seen {
                    digest: *digest,
                    seen,
                });
                Ok(())
            }
            Control::Equivocation {
                kept, id, actor, ..
            } => {
                let (actor, id, kept) = (actor.clone(), id.clone(), *kept);
                rows.push(Row::Evidence {
                    actor,
                    id,
                    kept,
                    at,
                });
                Ok(())
            }
            Control::PeerGone { peer } => self.peer_gone(peer, rows),
        }
    }

    /// An answer to a follow: on the side of the followed and on that of the follower, wherever local.
    fn answer(
        &self,
        follow: &FollowRef,
        input: Input<'_>,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        self.between(&follow.followed, &follow.follower, rows, |pair| {
            pair.settle(input);
            pair.step(Direction::Follower, input);
        })?;
        self.between(&follow.follower, &follow.followed, rows, |pair| {
            pair.settle(input);
            pair.step(Direction::Following, input);
        })
    }

    fn peer_gone(&self, peer: &str, rows: &mut Vec<Row>) -> Result<(), StateError> {
        for (actor, _) in self.state.locals_related(peer)? {
            let Some(actor) = self.state.actor(actor)? else {
                continue;
            };
            let mut pair = Pair::load(self, actor, peer)?;
            pair.step_both(Input::PeerGone);
            pair.rows(self, rows)?;
        }
        Ok(())
    }

    /// Changes what is between `local`, if it is a local actor, and `peer`.
    fn between(
        &self,
        local: &str,
        peer: &str,
        rows: &mut Vec<Row>,
        change: impl FnOnce(&mut Pair<'_>),
    ) -> Result<(), StateError> {
        let Some(actor) = self.state.actor_by_url(local)? else {
            return Ok(());
        };
        let mut pair = Pair::load(self, actor, peer)?;
        change(&mut pair);
        pair.rows(self, rows)
    }
}

fn which(follow: &FollowRef) -> Which<'_> {
    Which {
        id: follow.id.as_deref(),
        pair: follow.embedded,
    }
}

/// All that is between one local actor and one peer.
#[derive(Clone, PartialEq)]
struct Between {
    follower: Relation,
    following: Relation,
    blocks: Blocks,
    owed: Vec<Owed>,
}

/// The same, loaded and being changed.
struct Pair<'a> {
    actor: Actor,
    peer: &'a str,
    now_ms: i64,
    before: Between,
    relations: [Relation; 2],
    blocks: Blocks,
    owed: Vec<Owed>,
}

impl<'a> Pair<'a> {
    fn load(moment: &Moment<'_>, actor: Actor, peer: &'a str) -> Result<Self, StateError> {
        let (no, state) = (actor.no, moment.state);
        let before = Between {
            follower: state.relation(no, Direction::Follower, peer)?,
            following: state.relation(no, Direction::Following, peer)?,
            blocks: state.blocks(no, peer)?,
            owed: state.owed(no, peer)?,
        };
        Ok(Self {
            actor,
            peer,
            now_ms: moment.now_ms,
            relations: [before.follower.clone(), before.following.clone()],
            blocks: before.blocks,
            owed: before.owed.clone(),
            before,
        })
    }

    fn relation_mut(&mut self, direction: Direction) -> &mut Relation {
        &mut self.relations[direction as usize]
    }

    /// Steps the table; true when the input was ignored.
    fn step(&mut self, direction: Direction, input: Input<'_>) -> bool {
        let (manual, now_ms) = (self.actor.manual_approval, self.now_ms);
        let outcome = step(
            direction,
            manual,
            self.relation_mut(direction),
            input,
            now_ms,
        );
        if direction == Direction::Follower && outcome.relation.phase == Phase::None {
            // Nobody waits any more for the Accept of a follow that has ended.
            self.owed
                .retain(|owed| !matches!(owed, Owed::Accept { .. }));
        }
        *self.relation_mut(direction) = outcome.relation;
        if let Some(owed) = outcome.owed {
            self.owed
                .retain(|have| std::mem::discriminant(have) != std::mem::discriminant(&owed));
            self.owed.push(owed);
        }
        outcome.ignored
    }

    fn step_both(&mut self, input: Input<'_>) {
        self.step(Direction::Follower, input);
        self.step(Direction::Following, input);
    }

    /// Strikes out what this answer settles, whether or not the relation still stands.
    fn settle(&mut self, input: Input<'_>) {
        self.owed.retain(|owed| {
            !matches!(
                (owed, input),
                (Owed::Accept { id }, Input::Accept(which))
                | (Owed::Reject { id }, Input::Reject(which))
                | (Owed::Undo { id }, Input::Undo(which))
                    if which.id == Some(id.as_str())
            )
        });
    }

    /// The rows that differ from what was loaded.
    fn rows(self, moment: &Moment<'_>, rows: &mut Vec<Row>) -> Result<(), StateError> {
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
