//! What is asked of a peer's past: by a `Follow`, due on its `Accept`, or by hand; until it has ended (design,
//! section 9.5).
//!
//! Invariant: of one local actor and one peer there is one, the last that was asked for. Fetching it is owed as long
//! as its row says so, wherever the process ends.

use super::Moment;
use crate::backfill::{Backfill, Due};
use crate::cid::Digest;
use crate::entry::{Activity, ActorNo, Control, Effect, FollowRef};
use crate::follow::{Direction, Phase, Relation};
use crate::state::{Row, StateError};

impl Moment<'_> {
    /// A local actor asks to follow a peer, and for a part of its past. One that asks again, and for nothing, still
    /// wants what it asked for.
    pub(super) fn backfill_asked(
        &self,
        activity: &Activity,
        effect: &Effect,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let Effect::Follow {
            follower,
            followed,
            backfill,
            ..
        } = effect
        else {
            return Ok(());
        };
        let Some(local) = self.state.actor_by_url(follower)? else {
            return Ok(());
        };
        // What a local actor published is here.
        if self.state.actor_by_url(followed)?.is_some() {
            return Ok(());
        }
        let mode = match backfill {
            Some(mode) => mode.clone(),
            None => match self.state.backfill(local.no, followed)? {
                Some(asked) if asked.due.is_none() => asked.mode,
                _ => return Ok(()),
            },
        };
        let asked = Backfill {
            mode,
            follow: Some(activity.id.clone()),
            due: None,
            ended: None,
        };
        put(local.no, followed, asked, rows);
        Ok(())
    }

    /// A follow was accepted: what its `Follow` asked for is due.
    pub(super) fn backfill_due(
        &self,
        follow: &FollowRef,
        accept: Digest,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        let peer = &*follow.followed;
        let Some(local) = self.state.actor_by_url(&follow.follower)? else {
            return Ok(());
        };
        let asked = self.state.backfill(local.no, peer)?;
        let Some(asked) = asked.filter(|asked| asked.due.is_none()) else {
            return Ok(());
        };
        let relation = match changed(local.no, peer, rows) {
            Some(relation) => relation.clone(),
            None => self.state.relation(local.no, Direction::Following, peer)?,
        };
        if relation.phase == Phase::Accepted && relation.id == asked.follow {
            let due = Due {
                since: self.offset,
                until_ms: self.published_ms,
                accept: Some(accept),
            };
            let due = Some(due);
            put(local.no, peer, Backfill { due, ..asked }, rows);
        }
        Ok(())
    }

    /// Somebody asked by hand, or one has ended.
    pub(super) fn backfill(
        &self,
        control: &Control,
        rows: &mut Vec<Row>,
    ) -> Result<(), StateError> {
        match control {
            Control::BackfillBegun {
                actor,
                peer,
                mode,
                until_ms,
            } => {
                let due = Due {
                    since: self.offset,
                    until_ms: *until_ms,
                    accept: None,
                };
                let begun = Backfill {
                    mode: mode.clone(),
                    follow: None,
                    due: Some(due),
                    ended: None,
                };
                put(*actor, peer, begun, rows);
            }
            Control::BackfillEnded {
                actor,
                peer,
                since,
                ended,
            } => {
                let backfill = self.state.backfill(*actor, peer)?;
                let is_it = |it: &Backfill| it.due.as_ref().is_some_and(|due| due.since == *since);
                if let Some(backfill) = backfill.filter(is_it) {
                    let ended = Some(ended.clone());
                    put(*actor, peer, Backfill { ended, ..backfill }, rows);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The relation with a peer as this entry leaves it, where it changes it.
fn changed<'a>(actor: ActorNo, peer: &str, rows: &'a [Row]) -> Option<&'a Relation> {
    rows.iter().rev().find_map(|row| match row {
        Row::Relation {
            actor: whose,
            direction: Direction::Following,
            peer: with,
            relation,
        } if *whose == actor && with == peer => Some(relation),
        _ => None,
    })
}

fn put(actor: ActorNo, peer: &str, backfill: Backfill, rows: &mut Vec<Row>) {
    let peer = peer.to_owned();
    rows.push(Row::Backfill {
        actor,
        peer,
        backfill,
    });
}
