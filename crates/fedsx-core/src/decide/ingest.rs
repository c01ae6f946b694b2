//! Stages 2 to 8 for what comes from others: envelope, target, replay, evidence, authority, blocks,
//! relevance (design, section 5). The order is the contract: the first refusal is the answer.

mod about;
pub mod history;

use crate::address::same_origin;
use crate::audience::{is_public, visibility};
use crate::cid::Digest;
use crate::decide::authority::{self, Meaning, is_proved};
use crate::decide::{DecideError, Decision, Draft, Facts, erase, group};
use crate::entry::{Activity, ActorNo, Authenticated, Effect, LogId, Visibility};
use crate::envelope::{Document, Envelope, reference};
use crate::evidence::{Delivery, Judged, Need, Verified, authenticate};
use crate::limits;
use crate::refusal::{Code, Refusal};
use crate::state::{State, StateError};

use about::{is_about, local_owner, subjects};

/// An activity that arrived.
#[derive(Clone, Debug)]
pub struct Inbound<'a> {
    /// The name of the actor whose inbox it was sent to; `None` for the shared inbox.
    pub target: Option<&'a str>,
    /// What arrived, or what its origin serves under its `id`.
    pub document: Document,
    /// The delivery.
    pub delivery: Delivery<'a>,
    /// Whether an actor was asked anew who it is as well.
    pub alias_asked: bool,
    /// The group that passes it on.
    pub via: Option<&'a str>,
}

/// Judges an inbound activity.
///
/// # Errors
/// The refusal of the first stage that refuses, or a fault of the store.
pub fn ingest(facts: Facts<'_>, inbound: Inbound<'_>) -> Result<Decision, DecideError> {
    let envelope = Envelope::of(&inbound.document.map)?;
    let target = match inbound.target {
        None => None,
        Some(name) => Some(target(facts, name)?),
    };
    let here = Here {
        facts,
        target,
        kept: facts.state.digest_of_id(&envelope.id)?,
        alias_asked: inbound.alias_asked,
        via: inbound.via,
    };
    if here.is_replay(&inbound.document, &envelope)? {
        return Ok(Decision::Replay);
    }
    if facts.instance.owns(&envelope.actor) {
        let why = "an activity of an actor of this instance is published here, not received";
        return Err(Refusal::new(Code::NotAuthorised, why).into());
    }
    if here.is_farewell_of_unknown(&envelope)? {
        return Ok(Decision::Dropped(
            "an actor that is not known here deleted itself",
        ));
    }
    let owner = facts.peers.peek(&envelope.actor);
    let judged = authenticate(
        inbound.document,
        envelope,
        owner.as_deref(),
        inbound.delivery,
    )?;
    let verified = match judged {
        Judged::Verified(verified) => verified,
        Judged::Need(need) => return Ok(Decision::Need(need)),
    };
    let Some(owner) = owner else {
        // Evidence by origin asks for no key, but relevance asks what the actor's followers are.
        return Ok(Decision::Need(Need::Actor(
            verified.envelope().actor.clone(),
        )));
    };
    here.judge(&verified, owner.followers.as_deref())
}

/// What becomes of a `Create` that was fetched because it defines a verb: appended, in no log. Only one
/// that everybody may read and that is proved tells what a verb means.
///
/// # Errors
/// As [`ingest`]; `envelope` when it is no such `Create`.
pub fn fetched_definition(
    facts: Facts<'_>,
    verified: &Verified,
    followers: Option<&str>,
) -> Result<Decision, DecideError> {
    let envelope = verified.envelope();
    let here = Here {
        facts,
        target: None,
        kept: facts.state.digest_of_id(&envelope.id)?,
        alias_asked: false,
        via: None,
    };
    if here.kept == Some(verified.document().digest) {
        return Ok(Decision::Replay);
    }
    let meaning = authority::judge(facts, envelope)?;
    let Meaning::Effect(effect @ Effect::Offered { .. }) = meaning else {
        let why = "it is no `Create` of a definition that a peer may give";
        return Err(Refusal::new(Code::Envelope, why).into());
    };
    let published_ms = in_time(facts, envelope)?;
    let draft = here.draft(verified, published_ms, Some(effect), followers)?;
    if !is_proved(draft.activity.authenticated) || draft.activity.visibility != Visibility::Public {
        let why = "a definition is taken only where it is proved and public";
        return Err(Refusal::new(Code::Envelope, why).into());
    }
    Ok(Decision::Append(Box::new(draft)))
}

/// When it was published, which must not lie ahead.
fn in_time(facts: Facts<'_>, envelope: &Envelope) -> Result<i64, Refusal> {
    let published_ms = envelope.published_ms.unwrap_or(facts.now_ms);
    if published_ms > facts.now_ms + limits::CLOCK_SKEW_MS {
        let why = "`published` lies more than an hour ahead";
        return Err(Refusal::new(Code::Future, why));
    }
    Ok(published_ms)
}

/// The local actor whose inbox it was sent to.
#[derive(Clone, Copy)]
struct Target<'a> {
    no: ActorNo,
    name: &'a str,
}

fn target<'a>(facts: Facts<'_>, name: &'a str) -> Result<Target<'a>, DecideError> {
    if let Some(no) = facts.state.actor_no(name)? {
        return Ok(Target { no, name });
    }
    let (code, why) = match facts.state.actor_by_name(name)? {
        Some(_) => (Code::Gone, format!("the actor `{name}` was deleted")),
        None => (
            Code::NoSuchActor,
            format!("there is no actor `{name}` here"),
        ),
    };
    Err(Refusal::new(code, why).into())
}

/// Whether a second document under one `id` is an equivocation: both are proved. Otherwise the first
/// wins, because servers reword what they serve without a proof all the time.
pub(super) fn is_equivocation(
    state: &dyn State,
    authenticated: Authenticated,
    other: &Digest,
) -> Result<bool, StateError> {
    let kept = state.seen(other)?;
    Ok(is_proved(authenticated) && kept.is_some_and(|kept| kept.proved))
}

struct Here<'a> {
    facts: Facts<'a>,
    target: Option<Target<'a>>,
    /// The document kept under its `id`, which is its own digest when it is here already.
    kept: Option<Digest>,
    alias_asked: bool,
    /// The group that passes it on to its followers.
    via: Option<&'a str>,
}

impl Here<'_> {
    /// Stage 4. For the shared inbox, only when the logs it would join are known without a fetch.
    fn is_replay(&self, document: &Document, envelope: &Envelope) -> Result<bool, StateError> {
        if self.kept != Some(document.digest) {
            return Ok(false);
        }
        let Some(seen) = self.facts.state.seen(&document.digest)? else {
            return Ok(false);
        };
        if !seen.proved && document.map.contains_key("proof") {
            return Ok(false);
        }
        if let Some(target) = self.target {
            return self
                .facts
                .state
                .in_log(&document.digest, LogId::inbox(target.no));
        }
        let Some(owner) = self.facts.peers.peek(&envelope.actor) else {
            return Ok(self.facts.instance.owns(&envelope.actor));
        };
        for log in self.logs(envelope, None, owner.followers.as_deref())? {
            if !self.facts.state.in_log(&document.digest, log)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Servers tell everybody they ever knew when an account goes; those who never knew it need not
    /// look it up.
    fn is_farewell_of_unknown(&self, envelope: &Envelope) -> Result<bool, StateError> {
        let farewell = envelope.verb == "Delete" && envelope.object.id() == Some(&envelope.actor);
        Ok(farewell
            && self.facts.peers.peek(&envelope.actor).is_none()
            && self.facts.state.locals_related(&envelope.actor)?.is_empty())
    }

    /// Stages 5 (time, equivocation) to 8.
    fn judge(&self, verified: &Verified, followers: Option<&str>) -> Result<Decision, DecideError> {
        let (facts, envelope) = (self.facts, verified.envelope());
        let published_ms = in_time(facts, envelope)?;
        if let Some(other) = self.kept
            && other != verified.document().digest
        {
            if !is_equivocation(facts.state, verified.authenticated(), &other)? {
                return Ok(Decision::Dropped(
                    "the first document under this `id` is kept",
                ));
            }
            // The writer refuses it, and keeps it as evidence.
            let draft = self.draft(verified, published_ms, None, followers)?;
            return Ok(Decision::Append(Box::new(draft)));
        }
        if self.passes_on_blocked(envelope)? {
            return Ok(Decision::Dropped("it passes on what a blocked actor made"));
        }
        let effect = match authority::judge(facts, envelope)? {
            Meaning::Plain => None,
            Meaning::Effect(Effect::ActorMoved { actor, target }) => {
                match self.is_same(&actor, &target)? {
                    Some(true) => Some(Effect::ActorMoved { actor, target }),
                    Some(false) => None,
                    None => {
                        let (actor, other) = (target, actor);
                        return Ok(Decision::Need(Need::Alias { actor, other }));
                    }
                }
            }
            Meaning::Effect(effect) => Some(effect),
            Meaning::Ignored(why) => return Ok(Decision::Dropped(why)),
        };
        if self.via.is_some() && !group::is_passed_on(facts.state, envelope, effect.as_ref())? {
            return Ok(Decision::Dropped("groups pass on no such thing"));
        }
        if let Some(target) = self.target
            && facts.state.blocks(target.no, &envelope.actor)?.any()
            && !matches!(effect, Some(Effect::UndoBlock { .. }))
            && !self.told(envelope, effect.as_ref())?.contains(&target.no)
        {
            return Err(Refusal::new(Code::Blocked, "the actor does not receive from you").into());
        }
        let logs = self.logs(envelope, effect.as_ref(), followers)?;
        if logs.is_empty() {
            return Ok(Decision::Dropped("it is about nobody and nothing here"));
        }
        let mut draft = self.draft(verified, published_ms, effect, followers)?;
        let said = group::Said {
            envelope,
            effect: draft.activity.effect.as_ref(),
            visibility: draft.activity.visibility,
        };
        let reaches = |group| logs.contains(&LogId::inbox(group));
        draft.activity.announced_by =
            group::announced_by(facts.state, facts.instance, said, reaches)?;
        draft.new_as_of = self.kept.is_none().then_some(facts.applied);
        draft.logs = logs;
        Ok(Decision::Append(Box::new(draft)))
    }

    /// Whether it brings, or names, what an actor made whom the operator blocks: as far as the copy says whose it
    /// is, or the `id` is known here.
    fn passes_on_blocked(&self, envelope: &Envelope) -> Result<bool, StateError> {
        let state = self.facts.state;
        if envelope.verb != "Announce" {
            return Ok(false);
        }
        let said = envelope.object.embedded().and_then(|object| {
            let owner = object.get("actor").or_else(|| object.get("attributedTo"));
            reference(owner).map(str::to_owned)
        });
        let owner = match (said, envelope.object.id()) {
            (None, Some(id)) => match state.actor_of(id)? {
                Some(actor) => Some(actor),
                None => self.maker_of(id)?,
            },
            (said, _) => said,
        };
        owner.map_or(Ok(false), |owner| state.is_peer_blocked(&owner))
    }

    /// Who brought the object of that `id`, by the first copy that is kept.
    fn maker_of(&self, id: &str) -> Result<Option<String>, StateError> {
        let state = self.facts.state;
        let Some(first) = state.carriers(id, 1)?.first().copied() else {
            return Ok(None);
        };
        let brought = state.activity(&first)?;
        let brought = brought.filter(|it| it.object_id.as_deref() == Some(id));
        Ok(brought.map(|it| it.actor))
    }

    /// Whether the actor that one moved to says that it is the same; `None` where it has to be asked. Where nobody
    /// follows who moved, it does not matter.
    fn is_same(&self, moved: &str, target: &str) -> Result<Option<bool>, StateError> {
        let related = self.facts.state.locals_related(moved)?;
        if !related.iter().any(|(_, follows)| *follows) {
            return Ok(Some(false));
        }
        Ok(match self.facts.peers.also_known_as(target, moved) {
            Some(true) => Some(true),
            // What is at hand may be older than the move.
            _ => self.alias_asked.then_some(false),
        })
    }

    fn draft(
        &self,
        verified: &Verified,
        published_ms: i64,
        effect: Option<Effect>,
        followers: Option<&str>,
    ) -> Result<Draft, StateError> {
        let mut activity = activity(verified, published_ms, effect, followers);
        if activity.effect.is_none() && self.is_public_reaction(verified.envelope())? {
            activity.visibility = Visibility::Public;
        }
        Ok(Draft {
            activity,
            logs: Vec::new(),
            payload: verified.document().bytes.clone(),
            received_ms: self.facts.now_ms,
            new_as_of: None,
            judged_as_of: None,
        })
    }

    /// A reaction to what is public, or the undoing of one, is public where it addresses nobody, because
    /// Mastodon shows its likes beside the note and names no recipient in them. Of other verbs silence
    /// means privacy: a `Flag` is for nobody else's eyes.
    fn is_public_reaction(&self, envelope: &Envelope) -> Result<bool, StateError> {
        let reacts = matches!(envelope.verb.as_str(), "Like" | "EmojiReact" | "Undo");
        if !reacts || envelope.recipients.all().next().is_some() {
            return Ok(false);
        }
        let Some(id) = envelope.object.id() else {
            return Ok(false);
        };
        let about = match self.facts.state.activity_of_object(id)? {
            Some(create) => Some(create),
            None => self.facts.state.activity_of_id(id)?,
        };
        Ok(about.is_some_and(|about| about.visibility == Visibility::Public))
    }

    /// Stage 8: the inboxes it is for, without those that block its actor.
    fn logs(
        &self,
        envelope: &Envelope,
        effect: Option<&Effect>,
        followers: Option<&str>,
    ) -> Result<Vec<LogId>, StateError> {
        let facts = self.facts;
        let to_followers = envelope
            .recipients
            .all()
            .any(|recipient| is_public(recipient) || Some(recipient) == followers);
        let mut actors = Vec::new();
        if let Some(target) = self.target {
            let follows =
                to_followers && authority::follows(facts.state, target.no, &envelope.actor)?;
            // Of the hidden recipients of what is for a few, nothing tells but the inbox that it comes to.
            let is_hidden = !to_followers && effect.is_none();
            if follows || is_hidden || is_about(facts.instance, envelope, effect, target) {
                actors.push(target.no);
            }
        } else {
            for name in self.named(envelope, effect) {
                actors.extend(facts.state.actor_no(name)?);
            }
            if to_followers {
                for (no, follows) in facts.state.locals_related(&envelope.actor)? {
                    if follows && !actors.contains(&no) {
                        actors.push(no);
                    }
                }
            }
        }
        if let Some(via) = self.via {
            for (no, follows) in facts.state.locals_related(via)? {
                if follows && !actors.contains(&no) {
                    actors.push(no);
                }
            }
        }
        let told = self.told(envelope, effect)?;
        actors.retain(|actor| !told.contains(actor));
        let mut logs = Vec::with_capacity(actors.len() + told.len());
        for actor in actors {
            let blocks = facts.state.blocks(actor, &envelope.actor)?;
            if !blocks.ours {
                logs.push(LogId::inbox(actor));
            }
        }
        logs.extend(told.into_iter().map(LogId::inbox));
        Ok(logs)
    }

    /// Who has what a `Delete` takes back: they are told, whoever blocks whom, because a block is no reason to
    /// keep what its maker has erased.
    fn told(
        &self,
        envelope: &Envelope,
        effect: Option<&Effect>,
    ) -> Result<Vec<ActorNo>, StateError> {
        let mut told = Vec::new();
        if let Some(Effect::Deleted { object, .. }) = effect {
            for log in erase::inboxes(self.facts.state, object, &envelope.actor)? {
                let is_target = self.target.is_none_or(|target| target.no == log.actor);
                if is_target && !told.contains(&log.actor) {
                    told.push(log.actor);
                }
            }
        }
        Ok(told)
    }

    /// The local actors that an activity names, as recipients or by what it is about.
    fn named<'e>(&self, envelope: &'e Envelope, effect: Option<&'e Effect>) -> Vec<&'e str> {
        let mut names = Vec::new();
        for url in subjects(envelope, effect) {
            if let Some(name) = local_owner(self.facts.instance, url)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }
}

fn activity(
    verified: &Verified,
    published_ms: i64,
    effect: Option<Effect>,
    followers: Option<&str>,
) -> Activity {
    let (document, envelope) = (verified.document(), verified.envelope());
    let followers = followers.filter(|url| same_origin(url, &envelope.actor));
    let visibility = match effect {
        // A handshake is between two, whoever else is addressed.
        Some(Effect::Block { .. } | Effect::UndoBlock { .. }) => Visibility::Direct,
        _ => visibility(&envelope.recipients, followers),
    };
    Activity {
        digest: document.digest,
        id: envelope.id.clone(),
        verb: envelope.verb.clone(),
        actor: envelope.actor.clone(),
        object_id: envelope.object.id().map(str::to_owned),
        published_ms,
        authenticated: verified.authenticated(),
        key: verified.key().map(str::to_owned),
        visibility,
        notation: document.notation,
        joined: Vec::new(),
        hidden: Vec::new(),
        embeds: erase::copies(&document.map, envelope, effect.as_ref()),
        effect,
        fan_out: false,
        backfilled: false,
        audience: Vec::new(),
        definitions: Vec::new(),
        mark: None,
        derived: None,
        defined_by: None,
        announced_by: None,
        imported: None,
    }
}
