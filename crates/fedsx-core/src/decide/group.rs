//! What a group passes on: which activities, of whom, and as what (FEP-1b12; design, section 9.1).
//!
//! Invariants: what is between an actor and the group (follows, blocks, who controls it) stays between them, and
//! nothing that was announced is announced again, so that groups that follow one another make no loop. In an open
//! group everybody may say something whom it does not block, in a closed one its accepted followers.

use crate::address::Instance;
use crate::entry::{Activity, ActorKind, ActorNo, Effect, Visibility};
use crate::envelope::{Envelope, Object, reference};
use crate::follow::{Direction, Phase};
use crate::group::{Announcing, Form};
use crate::state::{Actor, State, StateError};
use crate::value::{Map, Value};

/// Verbs that are for the group, or for whoever runs it, alone.
const KEPT_BACK: [&str; 14] = [
    "Accept",
    "Add",
    "Announce",
    "Block",
    "Flag",
    "Follow",
    "Invite",
    "Join",
    "Leave",
    "Move",
    "Reject",
    "Remove",
    "TentativeAccept",
    "TentativeReject",
];
/// Documents looked at for whether a group announced something.
const LOOKED_AT: usize = 64;

/// What is to be known of an activity to say who announces it.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) effect: Option<&'a Effect>,
    pub(super) visibility: Visibility,
}

/// The local groups that have to announce an activity, of those that it reaches.
pub(super) fn announced_by(
    state: &dyn State,
    instance: &Instance,
    said: Said<'_>,
    reaches: impl Fn(ActorNo) -> bool,
) -> Result<Option<Vec<Announcing>>, StateError> {
    let Said {
        envelope, effect, ..
    } = said;
    if !is_passed_on(state, envelope, effect)? {
        return Ok(None);
    }
    let mut groups: Vec<Actor> = Vec::new();
    let recipients = &envelope.recipients;
    let named = [&recipients.to, &recipients.cc, &recipients.audience];
    for url in named.into_iter().flatten() {
        if instance.local_name(url).is_some() {
            groups.extend(state.actor_by_url(url)?);
        }
    }
    if let Some(Effect::Deleted { object, .. }) = effect {
        // Who was shown it is told that it is gone, also where the `Delete` does not name the group.
        for announced in announcements_of(state, object)? {
            groups.extend(state.actor_by_url(&announced.actor)?);
        }
    }
    let mut owed: Vec<Announcing> = Vec::new();
    for group in groups {
        let is_new = owed.iter().all(|owed| owed.group != group.no);
        if is_new && reaches(group.no) && may_post(state, &group, &envelope.actor)? {
            let group = group.no;
            let forms = [Form::Activity, Form::Object].into_iter();
            let forms = forms.filter(|form| *form == Form::Activity || is_post(said));
            owed.extend(forms.map(|form| Announcing { group, form }));
        }
    }
    Ok((!owed.is_empty()).then_some(owed))
}

/// Whether an activity is one that groups pass on, whoever says it.
pub(super) fn is_passed_on(
    state: &dyn State,
    envelope: &Envelope,
    effect: Option<&Effect>,
) -> Result<bool, StateError> {
    let is_effectless = matches!(effect, None | Some(Effect::Deleted { .. }));
    let about_itself = envelope.object.id() == Some(&envelope.actor);
    if !is_effectless || about_itself || is_kept_back(&envelope.verb) {
        return Ok(false);
    }
    if envelope.verb != "Undo" {
        return Ok(true);
    }
    // To undo something is to say it.
    Ok(match &envelope.object {
        Object::Embedded(_, undone) => {
            let verb = undone.get("type").and_then(Value::as_str);
            verb.is_some_and(|verb| !is_kept_back(verb))
        }
        Object::Id(id) => {
            let undone = state.activity_of_id(id)?;
            undone.is_some_and(|undone| !is_kept_back(&undone.verb))
        }
        Object::None | Object::Several(_) => false,
    })
}

/// Whether `group` announced what has this `id`.
///
/// # Errors
/// When the state can't be read.
pub fn has_announced(state: &dyn State, group: &str, id: &str) -> Result<bool, StateError> {
    let announced = announcements_of(state, id)?;
    Ok(announced.iter().any(|announced| announced.actor == group))
}

/// The activity that an `Announce` of a group passes on as a whole.
#[must_use]
pub fn passed_on(announce: &Map) -> Option<&Map> {
    let is_announce = announce.get("type").and_then(Value::as_str) == Some("Announce");
    let passed_on = announce.get("object").and_then(Value::as_map);
    // An object that stands alone has no actor.
    passed_on.filter(|it| is_announce && reference(it.get("actor")).is_some())
}

/// The first announcements by local groups that hold a copy of what has this `id`.
fn announcements_of(state: &dyn State, id: &str) -> Result<Vec<Activity>, StateError> {
    let mut found = Vec::new();
    for digest in state.carriers(id, LOOKED_AT)? {
        let carrier = state.activity(&digest)?;
        let is_it = |carrier: &Activity| matches!(carrier.effect, Some(Effect::Announced { .. }));
        found.extend(carrier.map(|carrier| *carrier).filter(is_it));
    }
    Ok(found)
}

fn is_kept_back(verb: &str) -> bool {
    KEPT_BACK.contains(&verb)
}

fn may_post(state: &dyn State, group: &Actor, author: &str) -> Result<bool, StateError> {
    if group.kind != ActorKind::Group
        || group.is_gone()
        || group.url == author
        || state.blocks(group.no, author)?.any()
    {
        return Ok(false);
    }
    let follower = state.relation(group.no, Direction::Follower, author)?;
    Ok(!group.manual_approval || follower.phase == Phase::Accepted)
}

/// Whether it is a new post that everybody may read and that is no reply.
fn is_post(said: Said<'_>) -> bool {
    let object = said.envelope.object.embedded();
    said.envelope.verb == "Create"
        && said.visibility == Visibility::Public
        && said.envelope.object.id().is_some()
        && object.is_some_and(|object| reference(object.get("inReplyTo")).is_none())
}
