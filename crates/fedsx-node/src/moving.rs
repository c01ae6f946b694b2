//! Actors that go on as others: a local one says where it goes, and who follows one that moved goes along.
//!
//! Invariant: both need the new actor's own word, its `alsoKnownAs`. Source: FEP-7628, design section 7.

use std::sync::Arc;

use fedsx_core::actor::PeerActor;
use fedsx_core::decide::Peers as _;
use fedsx_core::entry::Effect;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};

use crate::publish::Origin;
use crate::{Known, Node, Published, fault};

impl Node {
    /// Moves a local actor to another, which must name it in `alsoKnownAs`: its document says `movedTo`, then a
    /// `Move` tells its followers. Returns the new actor's URL and the `Move`. Done again, it is said again.
    ///
    /// # Errors
    /// `unresolvable`; `conflict` when the other does not say that it is the same; the refusal of publishing it.
    pub async fn move_actor(&self, name: &str, who: &str) -> Result<(String, Published), Refusal> {
        let actor = self.actor(name)?;
        let target = self.resolve(who).await?;
        if target == actor.url {
            let why = "an actor can't move to itself";
            return Err(Refusal::new(Code::Conflict, why));
        }
        if !self.0.instance.owns(&target) {
            // What is at hand may be older than its word.
            self.0.peers.expire(&target);
            self.resolve(&target).await?;
        }
        if Known(self).also_known_as(&target, &actor.url) != Some(true) {
            let why = format!(
                "{target} does not say that it is {} as well: add that to its `alsoKnownAs` first",
                actor.url
            );
            return Err(Refusal::new(Code::Conflict, why));
        }
        self.amend(&actor, |amended, _| {
            amended.document.insert("movedTo", target.as_str());
            Ok(())
        })
        .await?;
        let document = Map::from([
            ("type", Value::from("Move")),
            ("object", actor.url.as_str().into()),
            ("target", target.as_str().into()),
        ]);
        let effect = Effect::ActorMoved {
            actor: actor.url.clone(),
            target: target.clone(),
        };
        let origin = Origin::Own(&effect);
        let moved = self.publish_as(&actor, &document, self.uuid()?, origin);
        Ok((target, moved.await?))
    }

    /// A local actor that followed one that moved follows it there, if it may and does not yet.
    pub(crate) async fn go_along(&self, actor: &Actor, target: &str) -> Result<(), Refusal> {
        let state = self.0.view.state();
        let relation = state.relation(actor.no, Direction::Following, target);
        let phase = relation.map_err(fault::state)?.phase;
        if target == actor.url || matches!(phase, Phase::Pending | Phase::Accepted) {
            return Ok(());
        }
        match self.follow(&actor.name, target).await {
            Err(refusal) if !refusal.is_passing() => {
                // It would be refused for ever.
                tracing::info!(actor = actor.name, target, %refusal, "does not go along");
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    /// The document of a local actor, as peers read it.
    pub(crate) fn own_document(&self, url: &str) -> Result<Arc<PeerActor>, Refusal> {
        let actor = self.0.view.state().actor_by_url(url);
        let actor = actor.map_err(fault::state)?;
        let actor = actor.ok_or_else(|| Refusal::new(Code::NoSuchActor, "it is not here"))?;
        let document = self.0.view.actor_document(&actor).map_err(fault::read)?;
        let parsed = PeerActor::parse(&document);
        let parsed = parsed.map_err(|error| fault::internal("an own document", &error))?;
        Ok(Arc::new(parsed))
    }
}
