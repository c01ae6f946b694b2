//! Follows and blocks as a local actor asks for them: whom it means, and the activity that says it.

use fedsx_core::address::Handle;
use fedsx_core::backfill::Mode;
use fedsx_core::follow::{Direction, Phase};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::actor_cache::PeerError;
use fedsx_discovery::pool::Purpose;
use fedsx_discovery::webfinger::ResolveError;

use crate::{Node, PublishOptions, Published, fault};

impl Node {
    /// The URL of the actor that `who` names: a name of this instance, `acct:user@host`,
    /// `@user@host`, `user@host` or an actor's URL. Remote actors are fetched.
    ///
    /// # Errors
    /// `unresolvable`, with what was tried; `blocked`, for whom the operator blocks.
    pub async fn resolve(&self, who: &str) -> Result<String, Refusal> {
        self.let_in(who.trim())?;
        let url = self.find(who).await?;
        // Also where it was named otherwise.
        self.let_in(&url)?;
        Ok(url)
    }

    /// The same, of whomever the operator blocks too.
    pub(crate) async fn find(&self, who: &str) -> Result<String, Refusal> {
        let who = who.trim();
        if let Some(name) = self.local_name(who) {
            return Ok(self.actor(&name)?.url);
        }
        // One whose document is at hand can be followed and blocked while its host is away.
        if let Some(known) = self.0.peers.peek(who).filter(|known| !known.is_gone()) {
            return Ok(known.id.clone());
        }
        match self.0.webfinger.resolve(who, Purpose::Own).await {
            Ok(found) => Ok(found.actor.id.clone()),
            Err(error) => Err(unresolvable(who, &error)),
        }
    }

    /// The local name that `who` is, in any of its spellings.
    fn local_name(&self, who: &str) -> Option<String> {
        if let Some(name) = self.0.instance.local_name(who) {
            return Some(name.to_owned());
        }
        if let Ok(handle) = Handle::parse(who) {
            let own = handle.authority() == self.0.instance.authority();
            return own.then(|| handle.user().to_owned());
        }
        let plain = !who.contains(['@', ':', '/']);
        plain.then(|| who.strip_prefix('@').unwrap_or(who).to_lowercase())
    }

    /// Asks to follow.
    ///
    /// # Errors
    /// `unresolvable`, or the refusal of publishing it.
    pub async fn follow(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        self.follow_with(name, who, None).await
    }

    /// Asks to follow, and for a part of the past.
    ///
    /// # Errors
    /// `unresolvable`, or the refusal of publishing it.
    pub async fn follow_with(
        &self,
        name: &str,
        who: &str,
        backfill: Option<Mode>,
    ) -> Result<Published, Refusal> {
        self.actor(name)?;
        let peer = self.resolve(who).await?;
        let mut follow = Map::from([
            ("type", Value::from("Follow")),
            ("object", peer.as_str().into()),
            ("to", vec![&*peer].into()),
        ]);
        if let Some(mode) = backfill {
            follow.insert("backfill", mode.to_map());
        }
        self.publish(name, follow, PublishOptions::default()).await
    }

    /// Takes a follow back.
    ///
    /// # Errors
    /// `conflict`, when there is none.
    pub async fn unfollow(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let (peer, follow) = self.follow_of(&actor, Direction::Following, who).await?;
        self.say(name, "Undo", follow, &peer).await
    }

    /// Accepts a follow that waits, or accepts an accepted one again.
    ///
    /// # Errors
    /// `conflict`, when there is none.
    pub async fn accept(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let (peer, follow) = self.follow_of(&actor, Direction::Follower, who).await?;
        self.say(name, "Accept", follow, &peer).await
    }

    /// Rejects a follow that waits, or removes a follower.
    ///
    /// # Errors
    /// `conflict`, when there is none.
    pub async fn reject(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let (peer, follow) = self.follow_of(&actor, Direction::Follower, who).await?;
        self.say(name, "Reject", follow, &peer).await
    }

    /// Blocks an actor: both follows end, and nothing goes either way. The block itself is never sent.
    ///
    /// # Errors
    /// `unresolvable`.
    pub async fn block(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        self.actor(name)?;
        let peer = self.resolve(who).await?;
        self.say(name, "Block", Value::from(peer.as_str()), &peer)
            .await
    }

    /// Lifts a block. What the block ended stays ended.
    ///
    /// # Errors
    /// `conflict`, when there is none.
    pub async fn unblock(&self, name: &str, who: &str) -> Result<Published, Refusal> {
        let actor = self.actor(name)?;
        let peer = self.known_or_resolved(&actor, who).await?;
        let blocks = self
            .0
            .view
            .state()
            .pair_blocks(actor.no, &peer)
            .map_err(fault::state)?;
        if !blocks.ours {
            let why = format!("`{name}` does not block {peer}");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let block = Map::from([
            ("type", Value::from("Block")),
            ("actor", actor.url.as_str().into()),
            ("object", peer.as_str().into()),
        ]);
        self.say(name, "Undo", Value::Map(block), &peer).await
    }

    pub(crate) async fn say(
        &self,
        name: &str,
        verb: &str,
        object: Value,
        to: &str,
    ) -> Result<Published, Refusal> {
        let answer = match verb {
            "Accept" => self.answer_to(name, &object)?,
            _ => None,
        };
        let mut document = Map::from([
            ("type", Value::from(verb)),
            ("object", object),
            ("to", vec![to].into()),
        ]);
        if let Some(answer) = answer {
            document.insert("backfill", answer);
        }
        self.publish(name, document, PublishOptions::default())
            .await
    }

    /// The peer, and the Follow on which the relation with it stands, as a whole.
    async fn follow_of(
        &self,
        actor: &Actor,
        direction: Direction,
        who: &str,
    ) -> Result<(String, Value), Refusal> {
        let peer = self.known_or_resolved(actor, who).await?;
        let relation = self.0.view.state().relation(actor.no, direction, &peer);
        let relation = relation.map_err(fault::state)?;
        match relation.id {
            Some(id) if relation.phase != Phase::None => Ok((peer, self.follow_document(&id)?)),
            _ => {
                let why = match direction {
                    Direction::Follower => {
                        format!("{peer} does not ask to follow `{}`", actor.name)
                    }
                    Direction::Following => format!("`{}` does not follow {peer}", actor.name),
                };
                Err(Refusal::new(Code::Conflict, why))
            }
        }
    }

    pub(crate) fn follow_document(&self, id: &str) -> Result<Value, Refusal> {
        let stored = self.0.view.activity_by_id(id).map_err(fault::read)?;
        match stored {
            Some(stored) => Ok(Value::Map(stored.map().map_err(fault::read)?)),
            None => Err(fault::internal(
                "a follow's document is not to be found",
                &id,
            )),
        }
    }

    /// A peer there are relations with is found by its URL even when it can't be reached.
    pub(crate) async fn known_or_resolved(
        &self,
        actor: &Actor,
        who: &str,
    ) -> Result<String, Refusal> {
        let state = self.0.view.state();
        let related = state.locals_related(who).map_err(fault::state)?;
        if related.iter().any(|(no, _)| *no == actor.no) {
            return Ok(who.to_owned());
        }
        self.resolve(who).await
    }
}

fn unresolvable(who: &str, error: &ResolveError) -> Refusal {
    let refusal = Refusal::new(
        Code::Unresolvable,
        format!("`{who}` can't be found: {error}"),
    );
    match error {
        ResolveError::Actor(PeerError::Unreachable { retry_after_s, .. }) => {
            refusal.retry_after(*retry_after_s)
        }
        _ => refusal,
    }
}
