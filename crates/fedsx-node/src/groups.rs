//! What local groups pass on, and what is taken of what peers' groups pass on (FEP-1b12; design, section 9.1).
//!
//! Invariants: what a group has to announce is owed by the entry that it received (core/apply/group.rs), its
//! `Announce` has an id that follows from the two, and the row goes with it: so it is said once, whenever the process
//! ends. What an `Announce` holds counts as its author's only where its author's own proof or origin says so; then it
//! joins the logs of those who follow the group, before the `Announce` does, because that is sent again and the rest
//! is not. Deliberately absent: another try at what could not be shown to be its author's at that time.

use std::collections::HashMap;

use fedsx_core::actor::ActorKind;
use fedsx_core::audience::PUBLIC;
use fedsx_core::canonical::document_bytes;
use fedsx_core::cid::{Cid, Digest};
use fedsx_core::decide::group::{announced, has_announced, passed_on};
use fedsx_core::entry::{Activity, ActorNo, Control, Effect, LogId, Visibility};
use fedsx_core::envelope::{Document, reference};
use fedsx_core::group::{Form, Post, Standing, ToAnnounce, Unannounced, rate_key};
use fedsx_core::notation::Notation;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_core::trigger::has_room;
use fedsx_core::value::{Map, Value};
use fedsx_discovery::pool::Purpose;
use fedsx_store::Stored;

use crate::control::written;
use crate::publish::{Origin, announce_uuid};
use crate::{InboxPost, Node, PublishOptions, Published, fault};

/// What one group announces before the next comes up.
const ROUND: usize = 64;
/// How long a group that failed is left alone.
const PAUSE_MS: i64 = 30_000;
/// Logs that one entry places an activity in.
const LOGS_AT_ONCE: usize = 256;

/// Groups that failed, and until when each is left alone.
pub(crate) type Failed = HashMap<ActorNo, i64>;

impl Node {
    /// Announces what groups have to; `true` when there is more.
    pub(crate) async fn settle_groups(&self, failed: &mut Failed) -> Result<bool, Refusal> {
        let now_ms = self.now_ms();
        failed.retain(|_, until_ms| now_ms < *until_ms);
        let (mut from, mut is_more) = (ActorNo(0), false);
        loop {
            let owed = self.0.view.to_announce(from, ROUND).map_err(fault::read)?;
            let Some(first) = owed.first() else {
                return Ok(is_more);
            };
            let group = first.announcing.group;
            from = ActorNo(group.0.saturating_add(1));
            if failed.contains_key(&group) {
                continue;
            }
            match self.settle_group(group, &owed).await {
                Ok(()) => is_more |= owed.len() == ROUND,
                Err(refusal) => {
                    tracing::warn!(group = group.0, %refusal, "still to be announced");
                    failed.insert(group, now_ms + PAUSE_MS);
                }
            }
        }
    }

    async fn settle_group(&self, group: ActorNo, owed: &[ToAnnounce]) -> Result<(), Refusal> {
        let group = self.0.view.state().actor(group).map_err(fault::state)?;
        for owed in owed {
            let said = match &group {
                Some(group) if !group.is_gone() => self.pass_on(group, *owed).await?,
                _ => Err(Unannounced::Gone),
            };
            if let Err(reason) = said {
                let owed = *owed;
                self.control(Control::Unannounced { owed, reason }).await?;
            }
        }
        Ok(())
    }

    /// Announces one thing; or says why it never will be.
    async fn pass_on(
        &self,
        group: &Actor,
        owed: ToAnnounce,
    ) -> Result<Result<(), Unannounced>, Refusal> {
        let stored = self.0.view.stored(&owed.source).map_err(fault::read)?;
        let source = stored.as_ref().filter(|stored| !stored.erased);
        let Some((stored, source)) = source.and_then(|it| Some((it, it.activity()?))) else {
            return Ok(Err(Unannounced::Gone));
        };
        if self.is_deleted(source)? {
            return Ok(Err(Unannounced::Gone));
        }
        if !self.has_room_for(group, owed, source)? {
            return Ok(Err(Unannounced::Limited));
        }
        let mut visibility = source.visibility;
        if let Some(Effect::Removed { object, .. }) = &source.effect
            && self.take_back_announced(group, object).await?
        {
            visibility = Visibility::Public;
        }
        let documents = self.announcements(group, owed, stored, visibility)?;
        if owed.announcing.form == Form::Activity {
            self.place_with_followers(&group.url, source).await?;
        }
        let effect = Effect::Announced {
            owed,
            author: source.actor.clone(),
        };
        let uuid = announce_uuid(&group.url, &owed);
        for document in documents {
            match self
                .publish_as(group, &document, uuid, Origin::Own(&effect))
                .await
            {
                Ok(_) => return Ok(Ok(())),
                Err(refusal) if refusal.code == Code::TooLarge => {}
                Err(refusal) if refusal.is_passing() => return Err(refusal),
                Err(refusal) => {
                    tracing::warn!(group = group.name, %refusal, "not announced");
                    break;
                }
            }
        }
        Ok(Err(Unannounced::Refused))
    }

    /// Whether what is to be announced was deleted since it came.
    fn is_deleted(&self, source: &Activity) -> Result<bool, Refusal> {
        let state = self.0.view.state();
        for id in source.carries().chain([&*source.id]) {
            if state
                .deleted(id, &source.actor)
                .map_err(fault::state)?
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the author may say one thing more in the group. That something is gone is always told.
    fn has_room_for(
        &self,
        group: &Actor,
        owed: ToAnnounce,
        source: &Activity,
    ) -> Result<bool, Refusal> {
        let state = self.0.view.state();
        if owed.announcing.form == Form::Object {
            let id = announce_id(group, &owed.in_form(Form::Activity));
            return Ok(state.digest_of_id(&id).map_err(fault::state)?.is_some());
        }
        if matches!(source.effect, Some(Effect::Removed { .. })) {
            return Ok(true);
        }
        if source.verb == "Delete"
            && let Some(object) = &source.object_id
            && has_announced(state, &group.url, object).map_err(fault::state)?
        {
            return Ok(true);
        }
        let spent = state.spent(&rate_key(&group.url), &source.actor);
        Ok(has_room(&spent.map_err(fault::state)?, self.now_ms()))
    }

    /// Deletes what a group announced of something, which a controller removed; whether any of that was public.
    async fn take_back_announced(&self, group: &Actor, object: &str) -> Result<bool, Refusal> {
        let (said, is_public) = self.announced_of(group, object)?;
        for id in said {
            match self.delete(&group.name, &id).await {
                Err(refusal) if refusal.code == Code::Gone => {}
                outcome => drop(outcome?),
            }
        }
        Ok(is_public)
    }

    /// The ids of what a group announced of something, and whether any of that was public.
    fn announced_of(&self, group: &Actor, object: &str) -> Result<(Vec<String>, bool), Refusal> {
        let state = self.0.view.state();
        let (mut said, mut is_public) = (Vec::new(), false);
        for whole in announced(state, &group.url, object).map_err(fault::state)? {
            is_public |= whole.visibility == Visibility::Public;
            if let Some(Effect::Announced { owed, .. }) = &whole.effect {
                let short = announce_id(group, &owed.in_form(Form::Object));
                let is_said = state.digest_of_id(&short).map_err(fault::state)?.is_some();
                said.extend(is_said.then_some(short));
            }
            // The one by which it is found goes last, so that a retry finds it again.
            said.push(whole.id);
        }
        Ok((said, is_public))
    }

    /// The `Announce`, and what stands in for it where it is too large.
    fn announcements(
        &self,
        group: &Actor,
        owed: ToAnnounce,
        stored: &Stored,
        visibility: Visibility,
    ) -> Result<Vec<Map>, Refusal> {
        let map = stored.map().map_err(fault::read)?;
        let of = |object: Value, digest: Digest| {
            let followers = self.0.instance.followers_url(&group.name);
            let mut announce = Map::from([
                ("type", Value::from("Announce")),
                ("object", object),
                ("objectCid", Cid::of_document(digest).to_string().into()),
            ]);
            if visibility == Visibility::Public {
                announce.insert("to", vec![PUBLIC]);
                announce.insert("cc", vec![followers]);
            } else {
                announce.insert("to", vec![followers]);
            }
            announce
        };
        Ok(match (owed.announcing.form, map.get("object")) {
            (Form::Object, Some(Value::Map(object))) => {
                let digest = Digest::of(&document_bytes(object));
                let id = object.get("id").cloned().unwrap_or_default();
                vec![of(id, digest)]
            }
            _ => vec![
                of(Value::Map(map.clone()), owed.source),
                of(map.get("id").cloned().unwrap_or_default(), owed.source),
            ],
        })
    }

    /// What is here and a group passes on joins the inboxes of those here who follow that, as it joins those of others.
    async fn place_with_followers(&self, group: &str, source: &Activity) -> Result<(), Refusal> {
        let state = self.0.view.state();
        let mut logs = Vec::new();
        for (no, follows) in state.locals_related(group).map_err(fault::state)? {
            let log = LogId::inbox(no);
            let follower = state.actor(no).map_err(fault::state)?;
            let follower = follower.filter(|it| follows && !it.is_gone());
            if follower.is_some_and(|follower| follower.url != source.actor)
                && !state.blocks(no, &source.actor).map_err(fault::state)?.any()
                && !state.in_log(&source.digest, log).map_err(fault::state)?
            {
                logs.push(log);
            }
        }
        let mut queued = Vec::new();
        for logs in logs.chunks(LOGS_AT_ONCE) {
            let placed = self
                .0
                .writer
                .place(source.digest, logs.to_vec(), self.now_ms());
            queued.push(placed.map_err(fault::append)?);
        }
        written(queued).await
    }

    /// Takes in what an `Announce` of a peer's group passes on, as what it is: its author's. Where it can't be shown
    /// to be that, the `Announce` alone is kept.
    pub(crate) async fn take_passed_on(&self, post: &InboxPost, announce: &Map, purpose: Purpose) {
        let announcer = reference(announce.get("actor"));
        let Some((activity, announcer)) = passed_on(announce).zip(announcer) else {
            return;
        };
        let peer = self.0.peers.peek(announcer);
        if peer.is_none_or(|peer| peer.kind != Some(ActorKind::Group)) {
            return;
        }
        let document = Document::from_map(activity.clone());
        let author = reference(activity.get("actor")).unwrap_or_default();
        let taken = if self.0.instance.owns(author) {
            self.place_own(&document.digest, announcer).await
        } else {
            let inner = InboxPost {
                target: None,
                notation: Notation::Json,
                body: document.bytes,
                ..post.clone()
            };
            let taken = Box::pin(self.take(&inner, purpose, None, Some(announcer)));
            taken.await.map(drop)
        };
        if let Err(refusal) = taken {
            tracing::info!(announcer, %refusal, "what a group passes on is not its author's here");
        }
    }

    /// What was published here comes back from a group: whoever follows that gets it as well.
    async fn place_own(&self, digest: &Digest, group: &str) -> Result<(), Refusal> {
        let stored = self.0.view.stored(digest).map_err(fault::read)?;
        let stored = stored.filter(|stored| !stored.erased);
        let own = stored.as_ref().and_then(Stored::activity);
        match own.filter(|own| own.effect.is_none()) {
            Some(own) => self.place_with_followers(group, own).await,
            None => Ok(()),
        }
    }
}

impl Node {
    /// Has a local group add somebody to its controllers or members, or remove them.
    ///
    /// # Errors
    /// `conflict`, where it is no group or nothing would change; `unresolvable`; the refusal of publishing it.
    pub async fn appoint(
        &self,
        name: &str,
        who: &str,
        post: Post,
        given: bool,
    ) -> Result<(String, Published), Refusal> {
        let group = self.group(name)?;
        let standing = self.0.view.state().standing(group.no, who);
        let who = match standing.map_err(fault::state)? {
            // One that is known is found while it is away.
            standing if standing != Standing::default() => who.to_owned(),
            _ => self.resolve(who).await?,
        };
        let (instance, name) = (&self.0.instance, &group.name);
        let (target, to) = match post {
            Post::Controller => (
                instance.controllers_url(name),
                vec![PUBLIC.to_owned(), who.clone()],
            ),
            Post::Member => (instance.followers_url(name), vec![who.clone()]),
        };
        let document = Map::from([
            ("type", Value::from(if given { "Add" } else { "Remove" })),
            ("object", who.as_str().into()),
            ("target", target.into()),
            ("to", to.into()),
        ]);
        let said = self.publish(name, document, PublishOptions::default());
        Ok((who, said.await?))
    }

    /// The local group of that name.
    ///
    /// # Errors
    /// As [`Node::actor`]; `conflict`, where it is no group.
    pub fn group(&self, name: &str) -> Result<Actor, Refusal> {
        let actor = self.actor(name)?;
        if actor.kind != ActorKind::Group {
            let why =
                format!("`{name}` is no group; `fedsx actor create NAME --kind group` makes one");
            return Err(Refusal::new(Code::Conflict, why));
        }
        Ok(actor)
    }
}

/// The id of the `Announce` by which a group says it.
fn announce_id(group: &Actor, owed: &ToAnnounce) -> String {
    let uuid = announce_uuid(&group.url, owed);
    format!("{}/activities/{}", group.url, uuid.hyphenated())
}
