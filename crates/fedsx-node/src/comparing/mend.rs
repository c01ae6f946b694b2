//! What is done about a difference: the follow is said anew, or taken back.
//!
//! A follow that the peer's server does not know of becomes a request again, on record, before it is said anew: so it
//! is asked for once, shows as what it is, and no longer counts in our digest. A new `Follow` goes by a new id,
//! since the one before would be taken for a replay. Asked again is after as long as was waited till then, so that
//! a request that nobody answers costs little however long it stands.

use fedsx_core::entry::{Control, Effect, FollowRef};
use fedsx_core::follow::{Direction, Phase, Relation};
use fedsx_core::refusal::Refusal;
use fedsx_core::state::{Actor, host};
use fedsx_core::value::{Map, Value};

use super::look::{Difference, Kind};
use crate::publish::Origin;
use crate::{Node, fault};

/// What became of a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mended {
    /// The follow was said anew.
    Asked,
    /// It was taken back.
    Undone,
    /// It is left as it is, for now.
    Left,
}

impl Node {
    /// Mends a difference that is as it was seen, and has been for `settle_ms`.
    pub(super) async fn mend(
        &self,
        peer: &str,
        difference: &Difference,
        settle_ms: i64,
    ) -> Result<Mended, Refusal> {
        let state = self.0.view.state();
        let no = difference.actor;
        let actor = state.actor(no).map_err(fault::state)?;
        let Some(actor) = actor.filter(|actor| !actor.is_gone()) else {
            return Ok(Mended::Left);
        };
        let relation = state.relation(no, Direction::Following, peer);
        let relation = relation.map_err(fault::state)?;
        let is_young = self.now_ms() - relation.since_ms < settle_ms;
        if relation != difference.relation || is_young || self.is_on_its_way(&actor, peer)? {
            return Ok(Mended::Left);
        }
        match difference.kind {
            Kind::Lost => {
                let Some(id) = relation.id else {
                    return Ok(Mended::Left);
                };
                let peer = peer.to_owned();
                let lost = Control::FollowLost {
                    actor: no,
                    peer: peer.clone(),
                    id,
                };
                self.control(lost).await?;
                self.ask_anew(&actor, &peer).await
            }
            Kind::Unheard if self.may_ask_again(&relation, settle_ms)? => {
                self.ask_anew(&actor, peer).await
            }
            Kind::Unheard => Ok(Mended::Left),
            Kind::Ghost => self.take_back_unknown(&actor, peer, &relation).await,
        }
    }

    /// Says a request again that got no answer for long; true when it was said.
    pub(super) async fn ask_again(
        &self,
        actor: &Actor,
        peer: &str,
        after_ms: i64,
    ) -> Result<bool, Refusal> {
        let state = self.0.view.state();
        let relation = state.relation(actor.no, Direction::Following, peer);
        let relation = relation.map_err(fault::state)?;
        let is_stuck = relation.phase == Phase::Pending
            && self.may_ask_again(&relation, after_ms)?
            && !self.is_on_its_way(actor, peer)?;
        if is_stuck {
            self.ask_anew(actor, peer).await?;
        }
        Ok(is_stuck)
    }

    async fn ask_anew(&self, actor: &Actor, peer: &str) -> Result<Mended, Refusal> {
        self.say(&actor.name, "Follow", Value::from(peer), peer)
            .await?;
        Ok(Mended::Asked)
    }

    /// Whether what was asked last is so long ago: at least `least_ms`, and as long as was waited till then.
    fn may_ask_again(&self, relation: &Relation, least_ms: i64) -> Result<bool, Refusal> {
        let follow = relation.id.as_deref();
        let follow = follow.map(|id| self.0.view.state().activity_of_id(id));
        let asked = follow.transpose().map_err(fault::state)?.flatten();
        let asked_ms = asked.map_or(relation.since_ms, |follow| follow.published_ms);
        let waited_ms = asked_ms - relation.since_ms;
        Ok(self.now_ms() - asked_ms >= waited_ms.max(least_ms))
    }

    /// Takes a follow back that only the peer's server knows of: the last one there was, else just the pair.
    async fn take_back_unknown(
        &self,
        actor: &Actor,
        peer: &str,
        relation: &Relation,
    ) -> Result<Mended, Refusal> {
        let last = relation.previous.as_deref();
        let last = last.map(|id| self.0.view.activity_by_id(id)).transpose();
        let last = last.map_err(fault::read)?.flatten();
        let last = last.filter(|stored| !stored.erased);
        let id = last.as_ref().and(relation.previous.clone());
        let follow = match last {
            Some(stored) => stored.map().map_err(fault::read)?,
            None => Map::from([
                ("type", Value::from("Follow")),
                ("actor", actor.url.as_str().into()),
                ("object", peer.into()),
            ]),
        };
        let effect = Effect::UndoFollow {
            follow: FollowRef {
                follower: actor.url.clone(),
                followed: peer.to_owned(),
                id,
                embedded: true,
            },
        };
        let undo = Map::from([
            ("type", Value::from("Undo")),
            ("object", follow.into()),
            ("to", vec![peer].into()),
        ]);
        let origin = Origin::Own(&effect);
        self.publish_as(actor, &undo, self.uuid()?, origin).await?;
        Ok(Mended::Undone)
    }

    /// Whether something of an actor still waits to go to a peer's host.
    fn is_on_its_way(&self, actor: &Actor, peer: &str) -> Result<bool, Refusal> {
        let waits = self.0.deliveries.may_wait(&host(peer), actor.no);
        waits.map_err(|error| fault::internal("the deliveries can't be read", &error))
    }
}
