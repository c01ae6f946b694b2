//! How a local actor ends.
//!
//! What it asked of others and what waits for its answer is taken back first, each by an activity of its own; then
//! its `Delete` tells its followers, and from there on it says and receives nothing. A deletion that was cut off is
//! gone on with by asking for it again. Its name is never given again, and its keys stay in its Tombstone. Design,
//! sections 6 and 7.

use fedsx_core::entry::Effect;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};

use crate::publish::Origin;
use crate::{Node, Published, fault};

/// Relations looked at together.
const PAGE: usize = 256;

impl Node {
    /// Deletes a local actor for good. Returns its `Delete` when that is durable: what is served of it from then on
    /// is a Tombstone.
    ///
    /// # Errors
    /// `no-such-actor`; `gone` when it was deleted before; the refusal of publishing what it takes back.
    pub async fn delete_actor(&self, name: &str) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        for token in self.tokens(name)? {
            self.revoke_token(name, &token.id)?;
        }
        self.take_back(&actor, Direction::Following, "Undo").await?;
        self.take_back(&actor, Direction::Follower, "Reject")
            .await?;
        let effect = Effect::ActorDeleted {
            actor: actor.url.clone(),
        };
        let document = Map::from([
            ("type", Value::from("Delete")),
            ("object", actor.url.as_str().into()),
        ]);
        self.publish_as(&actor, &document, self.uuid()?, Origin::Own(&effect))
            .await
    }

    /// Ends every follow of one direction but those of accepted followers, who are to hear of the end.
    async fn take_back(
        &self,
        actor: &Actor,
        direction: Direction,
        verb: &str,
    ) -> Result<(), Refusal> {
        let mut after: Option<String> = None;
        loop {
            let page = self
                .0
                .view
                .relations(actor.no, direction, after.as_deref(), PAGE);
            let page = page.map_err(fault::read)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (peer, relation) in &page {
                let is_told = direction == Direction::Follower && relation.phase == Phase::Accepted;
                let Some(id) = relation.id.as_deref().filter(|_| !is_told) else {
                    continue;
                };
                let follow = self.follow_document(id)?;
                match self.say(&actor.name, verb, follow, peer).await {
                    // It ended meanwhile.
                    Err(refusal) if refusal.code == Code::Conflict => {}
                    outcome => drop(outcome?),
                }
            }
        }
    }
}
