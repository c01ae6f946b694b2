//! What an entry changes: `(state, entry) → rows`, the same for ever.
//!
//! Sees the entry and earlier applied state, nothing else: no configuration, cache, clock or peers'
//! documents. An entry is applied once when it is appended, and again after a crash or a reindex;
//! both give the same rows (design, section 4).

mod backfill;
mod between;
mod control;
mod erase;
mod group;
mod kept;
mod partial;
mod transparency;
mod trigger;

use crate::cid::Digest;
use crate::definition::Kind;
use crate::entry::{
    Activity, ActorNo, Authenticated, Effect, FollowRef, Header, Side, Subject, Visibility,
};
use crate::export::Between;
use crate::follow::{Direction, Input, Times, Which};
use crate::state::{Actor, At, Defined, Deleted, Row, Seen, State, StateError};

use between::Pair;

/// The rows that an entry standing at `at` changes.
///
/// # Errors
/// When the state can't be read.
pub fn apply(state: &dyn State, header: &Header, at: At) -> Result<Vec<Row>, StateError> {
    let mut rows = Vec::with_capacity(4);
    let moment = Moment {
        state,
        now_ms: header.received_ms,
        published_ms: match &header.subject {
            Subject::Activity(activity) => activity.published_ms,
            Subject::Control(_) => header.received_ms,
        },
        offset: header.offset,
    };
    match &header.subject {
        Subject::Activity(activity) => {
            let at = held(state, activity, at)?;
            kept(state, activity, at, header.offset, &mut rows)?;
            logs(state, activity, at, &mut rows)?;
            if let Some(derived) = &activity.derived {
                let (offset, now_ms) = (header.offset, header.received_ms);
                trigger::derived(state, derived, now_ms, offset, &mut rows)?;
            }
            moment.keep(activity, at, &mut rows)?;
            let announced_by = activity.announced_by.as_deref();
            group::owed(activity.digest, announced_by, header.offset, &mut rows);
            if let Some(effect) = &activity.effect
                && (activity.imported.is_none() || is_of_itself(effect))
            {
                moment.effect(activity, effect, at, &mut rows)?;
            }
        }
        Subject::Control(control) => moment.control(control, at, &mut rows)?,
    }
    partial::keep(state, &mut rows)?;
    Ok(rows)
}

/// Whether an effect is a matter of the actor who says it alone: what was between it and others comes apart when it
/// is imported, as it stood.
const fn is_of_itself(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::ActorCreated { .. }
            | Effect::ActorUpdated { .. }
            | Effect::Defined { .. }
            | Effect::Subscribed { .. }
            | Effect::Unsubscribed { .. }
            | Effect::Deleted { .. }
            | Effect::Offered { .. }
    )
}

/// Where the document of an activity stands. Only what comes with an imported actor may be here already, for another:
/// it joins further logs then, and its entry brings no second copy.
fn held(state: &dyn State, activity: &Activity, at: At) -> Result<At, StateError> {
    let known = match activity.imported {
        Some(_) => state.seen(&activity.digest)?,
        None => None,
    };
    Ok(known.map_or(at, |known| known.at))
}

/// That a document is kept, and under which `id`.
fn kept(
    state: &dyn State,
    activity: &Activity,
    at: At,
    offset: u64,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
    if at.offset != offset {
        rows.extend(activity.joined.iter().map(|joined| Row::Placed {
            digest: activity.digest,
            joined: *joined,
            offset,
        }));
        return Ok(());
    }
    let proved = matches!(
        activity.authenticated,
        Authenticated::Local | Authenticated::Proof
    );
    let seen = Seen {
        at,
        proved,
        joined: activity.joined.clone(),
        with_proof: None,
        outcome: None,
        erased: None,
    };
    rows.push(Row::Seen {
        digest: activity.digest,
        seen,
    });
    // What is imported may find another document under its `id`: the first wins.
    if activity.imported.is_none() || state.digest_of_id(&activity.id)?.is_none() {
        rows.push(Row::Id {
            id: activity.id.clone(),
            digest: activity.digest,
        });
    }
    Ok(())
}

/// The logs an activity joins, and that it has to go out.
fn logs(
    state: &dyn State,
    activity: &Activity,
    at: At,
    rows: &mut Vec<Row>,
) -> Result<(), StateError> {
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
    rows.extend(activity.carries().map(|id| Row::Carrier {
        id: id.to_owned(),
        offset: at.offset,
        digest: activity.digest,
    }));
    for joined in &activity.joined {
        rows.push(Row::Log {
            joined: *joined,
            at,
        });
        if joined.log.side == Side::Outbox {
            let mut totals = state.outbox_totals(joined.log.actor)?;
            match activity.visibility {
                Visibility::Public => {
                    totals.public += 1;
                    transparency::grow(state, joined.log.actor, activity.digest, rows)?;
                }
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
    /// When the activity was said.
    published_ms: i64,
    offset: u64,
}

impl Moment<'_> {
    const fn times(&self) -> Times {
        Times {
            published_ms: self.published_ms,
            now_ms: self.now_ms,
        }
    }

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
                    gone_ms: None,
                    is_read_only: false,
                    former_rsa: None,
                }));
                Ok(())
            }
            Effect::ActorUpdated { .. } => self.updated(&activity.actor, effect, at, rows),
            Effect::Follow { .. } => self.follow(activity, effect, rows),
            Effect::Accept { follow } => {
                self.answer(follow, Input::Accept(which(follow)), rows)?;
                self.backfill_due(follow, activity.digest, rows)
            }
            Effect::Reject { follow } => self.answer(follow, Input::Reject(which(follow)), rows),
            Effect::UndoFollow { follow } => self.answer(follow, Input::Undo(which(follow)), rows),
            Effect::Block { blocker, blocked } => self.block(blocker, blocked, rows),
            Effect::UndoBlock { blocker, blocked } => {
                self.between(blocker, blocked, rows, |pair| pair.blocks.ours = false)?;
                self.between(blocked, blocker, rows, |pair| pair.blocks.theirs = false)
            }
            Effect::ActorDeleted { actor } => self.gone(actor, rows),
            Effect::Appointed { .. } => self.appointed(effect, rows),
            // What comes of it is owed.
            Effect::Removed { .. } => Ok(()),
            Effect::Announced { owed, author } => {
                let what = (owed, author.as_str());
                group::announced(self.state, activity, what, self.now_ms, rows)
            }
            Effect::ActorMoved { actor, target } => {
                self.with_all(actor, rows, |pair| pair.moved(target))
            }
            Effect::Deleted { .. } => self.deleted(activity, effect, rows),
            Effect::Subscribed { .. } | Effect::Unsubscribed { .. } => {
                trigger::subscription(self.state, activity, effect, at, rows)
            }
            // What is kept for it is in `kept`.
            Effect::Offered { .. } => Ok(()),
            Effect::Defined { kind, name, digest } => {
                let create = (activity.digest, at);
                self.define(None, (*kind, name, *digest), create, rows);
                Ok(())
            }
        }
    }

    /// Somebody asks to follow somebody.
    fn follow(
        &self,
        activity: &Activity,
        effect: &Effect,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Effect::Follow {
            follower,
            followed,
            inbox,
            shared_inbox,
            ..
        } = effect
        else {
            return Ok(());
        };
        let input = Input::Follow { id: &activity.id };
        self.between(followed, follower, rows, |pair| {
            if pair.is_blocked() {
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
        })?;
        self.backfill_asked(activity, effect, rows)
    }

    /// A local actor, as its own `Update` says it is from here on.
    fn updated(
        &self,
        actor: &str,
        effect: &Effect,
        at: At,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Effect::ActorUpdated {
            manual_approval,
            keys,
            former_rsa,
        } = effect
        else {
            return Ok(());
        };
        let before = self.state.actor_by_url(actor)?;
        rows.extend(before.map(|actor| {
            Row::Actor(Actor {
                manual_approval: *manual_approval,
                keys: keys.clone(),
                former_rsa: former_rsa.clone(),
                document: at,
                // What an imported log says of itself is older than the import; any other change comes of one who may.
                is_read_only: false,
                ..actor
            })
        }));
        Ok(())
    }

    /// An actor that deleted itself, local or not.
    fn gone(&self, actor: &str, rows: &mut Vec<Row>) -> Result<(), StateError> {
        let local = self.state.actor_by_url(actor)?;
        if self.state.deleted(actor, actor)?.is_none() {
            // What it said goes as well.
            let kind = local.as_ref().map(|local| local.kind.as_str().to_owned());
            rows.push(Row::Deleted(Deleted {
                id: actor.to_owned(),
                owner: actor.to_owned(),
                former_type: kind,
                offset: self.offset,
                deleted_ms: self.now_ms,
            }));
        }
        rows.extend(local.map(|local| {
            Row::Actor(Actor {
                gone_ms: Some(self.now_ms),
                ..local
            })
        }));
        self.peer_gone(actor, rows)
    }

    fn block(&self, blocker: &str, blocked: &str, rows: &mut Vec<Row>) -> Result<(), StateError> {
        self.between(blocker, blocked, rows, |pair| {
            pair.blocks.ours = true;
            pair.step_both(Input::BlockedByUs);
        })?;
        self.between(blocked, blocker, rows, |pair| {
            pair.blocks.theirs = true;
            pair.step_both(Input::BlockedByThem);
        })
    }

    /// A definition, active from this entry on; `create` is the activity that embeds it.
    fn define(
        &self,
        peer: Option<&str>,
        (kind, name, digest): (Kind, &str, Digest),
        (create, at): (Digest, At),
        rows: &mut Vec<Row>,
    ) {
        rows.push(Row::Defined(Defined {
            offset: self.offset,
            peer: peer.map(str::to_owned),
            kind,
            name: name.to_owned(),
            digest,
            create,
            at,
        }));
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

    /// What an imported actor brings along of a peer.
    fn between_as_exported(
        &self,
        actor: ActorNo,
        between: &Between,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Some(actor) = self.state.actor(actor)? else {
            return Ok(());
        };
        if let Between::Standing { peer, standing } = between {
            rows.push(Row::Standing {
                group: actor.no,
                who: peer.clone(),
                standing: *standing,
            });
            return Ok(());
        }
        let mut pair = Pair::load(self, actor, between.peer())?;
        pair.set(between);
        if self.state.is_peer_blocked(between.peer())? {
            pair.step_both(Input::BlockedByUs);
        }
        pair.rows(self, rows)
    }

    fn peer_gone(&self, peer: &str, rows: &mut Vec<Row>) -> Result<(), StateError> {
        self.with_all(peer, rows, |pair| pair.step_both(Input::PeerGone))
    }

    /// Changes what is between each local actor that has to do with `peer` and it.
    fn with_all(
        &self,
        peer: &str,
        rows: &mut Vec<Row>,
        change: impl Fn(&mut Pair<'_>),
    ) -> Result<(), StateError> {
        for (actor, _) in self.state.locals_related(peer)? {
            let Some(actor) = self.state.actor(actor)? else {
                continue;
            };
            let mut pair = Pair::load(self, actor, peer)?;
            change(&mut pair);
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
