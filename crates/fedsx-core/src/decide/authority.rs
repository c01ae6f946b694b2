//! Stage 6, in one place before anything is dispatched: may this actor say this? And with it the
//! kernel's reading of the verbs it acts on, as an [`Effect`] (design, section 7).

use crate::address::same_origin;
use crate::canonical::document_bytes;
use crate::cid::Digest;
use crate::decide::Facts;
use crate::definition::{Definition, Kind, is_name};
use crate::entry::{Activity, ActorNo, Authenticated, Effect, FollowRef, Role};
use crate::envelope::{Envelope, Object, reference};
use crate::follow::{Direction, Input, Phase, Times, Which, step};
use crate::limits;
use crate::refusal::{Code, Refusal};
use crate::state::{State, StateError};
use crate::value::{Map, Value};

use super::{DecideError, erase, group};

/// What the kernel makes of an activity.
#[derive(Clone, PartialEq, Debug)]
pub enum Meaning {
    /// Nothing that the kernel itself acts on.
    Plain,
    /// A change of kernel state.
    Effect(Effect),
    /// It would change nothing: ignored, with the reason for the log.
    Ignored(&'static str),
}

/// Whether the document itself carries the evidence.
#[must_use]
pub const fn is_proved(authenticated: Authenticated) -> bool {
    matches!(authenticated, Authenticated::Local | Authenticated::Proof)
}

/// Judges the authority of `envelope.actor` and reads what the activity does.
///
/// # Errors
/// `not-authorised`, or `envelope` where the verb needs an object that is not there.
pub fn judge(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    if erase::is_farewelled(facts.state, envelope)? {
        return Ok(Meaning::Ignored("its owner has deleted it"));
    }
    match envelope.verb.as_str() {
        "Follow" => follow(facts, envelope),
        "Accept" | "Reject" => answer(facts, envelope),
        "Undo" => undo(facts, envelope),
        "Block" => block(envelope),
        "Update" => owns_object(facts, envelope).map(|()| Meaning::Plain),
        "Delete" if envelope.object.id() == Some(&envelope.actor) => {
            Ok(Meaning::Effect(Effect::ActorDeleted {
                actor: envelope.actor.clone(),
            }))
        }
        "Delete" => erase::delete(facts, envelope),
        "Create" => {
            created_by_actor(envelope)?;
            define(facts, envelope)
        }
        "DefineType" | "SubtypeOf" => define(facts, envelope),
        "Subscribe" => subscribe(facts, envelope),
        "Move" => Ok(moved(envelope)),
        "Add" | "Remove" => group::appoint(facts, envelope),
        _ => Ok(Meaning::Plain),
    }
}

fn follow(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let followed = object_id(envelope)?.to_owned();
    if followed == envelope.actor {
        return Err(refuse("an actor can't follow itself").into());
    }
    let peer = facts.peers.peek(&envelope.actor);
    Ok(Meaning::Effect(Effect::Follow {
        follower: envelope.actor.clone(),
        followed,
        inbox: peer.as_ref().and_then(|peer| peer.inbox.clone()),
        shared_inbox: peer.and_then(|peer| peer.shared_inbox.clone()),
        backfill: envelope.backfill.clone(),
    }))
}

/// `Accept` and `Reject` of a follow. Only the followed may give them, and only to a follow there is.
fn answer(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let accept = envelope.verb == "Accept";
    let Some(follow) = follow_ref(facts, &envelope.object)? else {
        return Ok(Meaning::Ignored(
            "an answer to no follow that is known here",
        ));
    };
    if follow.followed != envelope.actor {
        return Err(refuse("only the followed may accept or reject a follow").into());
    }
    let which = Which {
        id: follow.id.as_deref(),
        pair: follow.embedded,
    };
    let input = if accept {
        Input::Accept(which)
    } else {
        Input::Reject(which)
    };
    if !means_something(facts, &follow, input)? {
        return Ok(Meaning::Ignored(
            "an answer to a follow that was not asked for",
        ));
    }
    Ok(Meaning::Effect(if accept {
        Effect::Accept { follow }
    } else {
        Effect::Reject { follow }
    }))
}

fn undo(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let owner = undone_owner(facts, &envelope.object)?;
    if owner.as_ref().is_some_and(|owner| *owner != envelope.actor) {
        let refused = refuse("only the owner may undo an activity");
        return group::removal(facts, envelope)?.ok_or(refused.into());
    }
    if let Some((blocker, blocked)) = block_pair(facts, &envelope.object)? {
        return Ok(Meaning::Effect(Effect::UndoBlock { blocker, blocked }));
    }
    if let Some((subscribe, lasts)) = subscription_ref(facts, envelope)? {
        return Ok(match lasts {
            true => Meaning::Effect(Effect::Unsubscribed { subscribe }),
            false => Meaning::Ignored("an undo of a subscription that has ended"),
        });
    }
    let Some(follow) = follow_ref(facts, &envelope.object)? else {
        return unknown_undo(facts, envelope, owner.is_some());
    };
    let which = Which {
        id: follow.id.as_deref(),
        pair: follow.embedded,
    };
    if !means_something(facts, &follow, Input::Undo(which))? {
        return Ok(Meaning::Ignored("an undo of a follow that has ended"));
    }
    Ok(Meaning::Effect(Effect::UndoFollow { follow }))
}

/// An `Undo` that names by id alone something that is not here: only its owner's origin may.
fn unknown_undo(
    facts: Facts<'_>,
    envelope: &Envelope,
    known: bool,
) -> Result<Meaning, DecideError> {
    if known {
        return Ok(Meaning::Plain);
    }
    match envelope.object.id() {
        Some(id) if same_origin(id, &envelope.actor) || facts.instance.owns(&envelope.actor) => Ok(
            Meaning::Ignored("an undo of something that is not known here"),
        ),
        Some(_) => Err(refuse("only the owner may undo an activity").into()),
        None => Err(missing("Undo").into()),
    }
}

fn block(envelope: &Envelope) -> Result<Meaning, DecideError> {
    let blocked = object_id(envelope)?.to_owned();
    if blocked == envelope.actor {
        return Err(refuse("an actor can't block itself").into());
    }
    Ok(Meaning::Effect(Effect::Block {
        blocker: envelope.actor.clone(),
        blocked,
    }))
}

/// A local actor selects from its own logs. What the name means is looked up where it is published; a
/// peer's subscription is a matter of the peer's instance.
fn subscribe(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let Some(actor) = facts.state.actor_by_url(&envelope.actor)? else {
        return Ok(Meaning::Plain);
    };
    let object = envelope.object.embedded();
    let name = object.and_then(|object| object.get("name")?.as_str());
    let name = name.map(str::to_owned).ok_or_else(|| {
        let why = "the object of `Subscribe` is the name or the CID of a DefineSubscription";
        Refusal::new(Code::Envelope, why)
    })?;
    let subscriptions = facts.state.subscriptions(actor.no)?;
    let lasting = subscriptions
        .iter()
        .filter(|subscription| subscription.until.is_none());
    if lasting.count() >= limits::SUBSCRIPTIONS {
        let why = format!(
            "an actor has at most {} subscriptions",
            limits::SUBSCRIPTIONS
        );
        return Err(Refusal::new(Code::Conflict, why).into());
    }
    Ok(Meaning::Effect(Effect::Subscribed {
        name,
        version: None,
    }))
}

/// The subscription of its actor that an `Undo` names by the id of its `Subscribe`, and whether it
/// lasts.
fn subscription_ref(
    facts: Facts<'_>,
    envelope: &Envelope,
) -> Result<Option<(Digest, bool)>, StateError> {
    let Some(id) = envelope.object.id() else {
        return Ok(None);
    };
    let Some(actor) = facts.state.actor_by_url(&envelope.actor)? else {
        return Ok(None);
    };
    let Some(digest) = facts.state.digest_of_id(id)? else {
        return Ok(None);
    };
    let subscription = facts.state.subscription(actor.no, &digest)?;
    Ok(subscription.map(|subscription| (digest, subscription.until.is_none())))
}

/// An actor that goes on as another; some peers leave out the object, which is the actor. What else is moved
/// from here to there is no matter of the kernel.
fn moved(envelope: &Envelope) -> Meaning {
    let itself = match &envelope.object {
        Object::None => true,
        object => object.id() == Some(&envelope.actor),
    };
    match &envelope.target {
        Some(target) if itself && *target != envelope.actor => {
            Meaning::Effect(Effect::ActorMoved {
                actor: envelope.actor.clone(),
                target: target.clone(),
            })
        }
        _ => Meaning::Plain,
    }
}

/// What is created must be the actor's own.
fn created_by_actor(envelope: &Envelope) -> Result<(), DecideError> {
    let Some(object) = envelope.object.embedded() else {
        return Ok(());
    };
    // That of a group names who controls it.
    let is_itself = envelope.object.id() == Some(&envelope.actor);
    if let Some(owner) = reference(object.get("attributedTo"))
        && owner != envelope.actor
        && !is_itself
    {
        return Err(refuse("the created object is attributed to somebody else").into());
    }
    match envelope.object.id() {
        Some(id) if !same_origin(id, &envelope.actor) => {
            Err(refuse("the created object lies on another origin").into())
        }
        _ => Ok(()),
    }
}

/// A definition that a local actor publishes holds for the whole instance, so that it takes a role. What
/// peers define means nothing until it is activated.
fn define(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let (verb, is_create) = (&*envelope.verb, envelope.verb == "Create");
    let object = envelope.object.embedded();
    let object = object.filter(|map| match is_create {
        true => is_definition(map),
        false => is_type(map, verb),
    });
    let is_local = facts.instance.owns(&envelope.actor);
    if is_local && !is_create && object.is_none() {
        let why = format!("the object of `{verb}` must be a `{verb}`, by its `type`");
        return Err(Refusal::new(Code::Schema, why).into());
    }
    let Some(object) = object else {
        return Ok(Meaning::Plain);
    };
    if !is_local {
        return Ok(offered(object).map_or(Meaning::Plain, Meaning::Effect));
    }
    if !may_define(facts.state, &envelope.actor)? {
        let why =
            "only an actor with the role `definer` may define: `fedsx actor role NAME +definer`";
        return Err(refuse(why).into());
    }
    let definition =
        Definition::of(object).map_err(|error| Refusal::new(Code::Schema, error.page()))?;
    Ok(Meaning::Effect(Effect::Defined {
        kind: definition.kind(),
        name: definition.name().to_owned(),
        digest: definition.digest(),
    }))
}

/// What a peer's definition would define, where peers may define such at all. Its code is read when it
/// is asked whether to trust it.
pub(crate) fn offered(object: &Map) -> Option<Effect> {
    let text = |member| object.get(member).and_then(Value::as_str);
    let kind = Kind::parse(text("type")?).filter(|kind| kind.may_come_from_peers())?;
    let name = text("name").filter(|name| is_name(name))?;
    Some(Effect::Offered {
        kind,
        name: name.to_owned(),
        digest: Digest::of(&document_bytes(object)),
    })
}

/// Whether an object is a definition by its `type`.
pub(crate) fn is_definition(object: &Map) -> bool {
    let kind = object.get("type").and_then(Value::as_str);
    kind.and_then(Kind::parse).is_some()
}

fn may_define(state: &dyn State, actor: &str) -> Result<bool, StateError> {
    match state.actor_by_url(actor)? {
        Some(actor) => state.has_role(actor.no, Role::Definer),
        None => Ok(false),
    }
}

/// Only the owner may update or delete: by what is kept of the object, else by its origin.
pub(super) fn owns_object(facts: Facts<'_>, envelope: &Envelope) -> Result<(), DecideError> {
    let id = object_id(envelope)?;
    if id == envelope.actor {
        return Ok(());
    }
    if !same_origin(id, &envelope.actor) {
        return Err(refuse("the object lies on another origin").into());
    }
    let owner = envelope
        .object
        .embedded()
        .and_then(|object| reference(object.get("attributedTo")));
    if owner.is_some_and(|owner| owner != envelope.actor) {
        return Err(refuse("the object is attributed to somebody else").into());
    }
    let is_anothers = match facts.state.creator_of(id)? {
        Some(creator) => creator != envelope.actor,
        None => erase::is_made_by_another(facts.state, id, &envelope.actor)?,
    };
    match is_anothers {
        true => Err(refuse("the object was made by somebody else").into()),
        false => Ok(()),
    }
}

/// The follow that an answer or an undo names: embedded, or by the id of one kept here.
fn follow_ref(facts: Facts<'_>, object: &Object) -> Result<Option<FollowRef>, StateError> {
    match object {
        Object::Embedded(id, map) if is_type(map, "Follow") => {
            let pair = (reference(map.get("actor")), reference(map.get("object")));
            let (Some(follower), Some(followed)) = pair else {
                return Ok(None);
            };
            // Where the Follow of that id is kept, that one is meant and no later one of the pair.
            let is_kept = match id {
                Some(id) => facts.state.effect_of(id)?.is_some_and(|effect| {
                    matches!(effect, Effect::Follow { follower: kept, followed: by, .. }
                        if kept == follower && by == followed)
                }),
                None => false,
            };
            Ok(Some(FollowRef {
                follower: follower.to_owned(),
                followed: followed.to_owned(),
                id: id.clone(),
                embedded: !is_kept,
            }))
        }
        Object::Id(id) => match facts.state.effect_of(id)? {
            Some(Effect::Follow {
                follower, followed, ..
            }) => Ok(Some(FollowRef {
                follower,
                followed,
                id: Some(id.clone()),
                embedded: false,
            })),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn block_pair(facts: Facts<'_>, object: &Object) -> Result<Option<(String, String)>, StateError> {
    match object {
        Object::Embedded(_, map) if is_type(map, "Block") => {
            let pair = reference(map.get("actor")).zip(reference(map.get("object")));
            Ok(pair.map(|(blocker, blocked)| (blocker.to_owned(), blocked.to_owned())))
        }
        Object::Id(id) => match facts.state.effect_of(id)? {
            Some(Effect::Block { blocker, blocked }) => Ok(Some((blocker, blocked))),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Whose the undone activity is, as far as that is known.
fn undone_owner(facts: Facts<'_>, object: &Object) -> Result<Option<String>, StateError> {
    if let Some(id) = object.id()
        && let Some(actor) = facts.state.actor_of(id)?
    {
        return Ok(Some(actor));
    }
    let embedded = object
        .embedded()
        .and_then(|map| reference(map.get("actor")));
    Ok(embedded.map(str::to_owned))
}

/// Whether the follow table makes anything of an answer, on either side that is local.
fn means_something(
    facts: Facts<'_>,
    follow: &FollowRef,
    input: Input<'_>,
) -> Result<bool, StateError> {
    let sides = [
        (&follow.followed, &follow.follower, Direction::Follower),
        (&follow.follower, &follow.followed, Direction::Following),
    ];
    for (local, peer, direction) in sides {
        if let Some(actor) = facts.state.actor_by_url(local)? {
            let relation = facts.state.relation(actor.no, direction, peer)?;
            let outcome = step(
                direction,
                actor.manual_approval,
                &relation,
                input,
                Times::at(facts.now_ms),
            );
            // An undo that comes early is remembered only where a follow could still come.
            let owed = !facts.state.owed(actor.no, peer)?.is_empty();
            if !outcome.ignored || owed {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether what an effect was decided on has changed under it: a new actor's number or name, a block
/// that came between, or a role that was taken.
pub(super) fn changed(state: &dyn State, activity: &Activity) -> Result<bool, StateError> {
    match &activity.effect {
        Some(Effect::ActorCreated { no, name, .. }) => {
            Ok(ActorNo(state.actor_count()?) != *no || state.actor_by_name(name)?.is_some())
        }
        Some(Effect::Follow {
            follower, followed, ..
        }) => {
            for (local, peer) in [(follower, followed), (followed, follower)] {
                if blocked(state, local, peer)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some(Effect::Defined { .. }) => Ok(!may_define(state, &activity.actor)?),
        Some(Effect::Appointed { group, .. } | Effect::Removed { group, .. }) => {
            Ok(!group::controls(state, group, &activity.actor)?)
        }
        Some(Effect::Announced { author, .. }) => erase::holds_deleted(state, activity, author),
        _ => Ok(false),
    }
}

/// Whether there is a block between a local actor and another, by either or by the operator.
pub(super) fn blocked(state: &dyn State, local: &str, peer: &str) -> Result<bool, StateError> {
    match state.actor_by_url(local)? {
        Some(actor) => Ok(state.blocks(actor.no, peer)?.any() || state.is_peer_blocked(peer)?),
        None => Ok(false),
    }
}

/// Whether the relation is accepted.
pub(super) fn follows(state: &dyn State, actor: ActorNo, peer: &str) -> Result<bool, StateError> {
    Ok(state.relation(actor, Direction::Following, peer)?.phase == Phase::Accepted)
}

fn object_id(envelope: &Envelope) -> Result<&str, Refusal> {
    envelope.object.id().ok_or_else(|| missing(&envelope.verb))
}

fn is_type(map: &Map, name: &str) -> bool {
    map.get("type").and_then(Value::as_str) == Some(name)
}

fn missing(verb: &str) -> Refusal {
    Refusal::new(
        Code::Envelope,
        format!("`{verb}` needs an `object` with an id"),
    )
}

fn refuse(detail: &str) -> Refusal {
    Refusal::new(Code::NotAuthorised, detail)
}
