//! What a group passes on: which activities, of whom, and as what; and who controls it (FEP-1b12; design, sections 7
//! and 9.1).
//!
//! Invariants: what is between an actor and the group (follows, blocks, who controls it) stays between them, and
//! nothing that was announced is announced again, so that groups that follow one another make no loop. In an open
//! group everybody may say something whom it does not block, in a closed one its accepted followers and those who
//! control it.

use crate::address::Instance;
use crate::decide::authority::Meaning;
use crate::decide::{DecideError, Facts};
use crate::entry::{Activity, ActorKind, ActorNo, Effect, Visibility};
use crate::envelope::{Envelope, Object, reference};
use crate::follow::{Direction, Phase};
use crate::group::{Announcing, Form, Post};
use crate::limits;
use crate::refusal::{Code, Refusal};
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
    let mut groups = named(state, instance, envelope)?;
    match effect {
        // Who was shown it is told that it is gone, also where the `Delete` does not name the group.
        Some(Effect::Deleted { object, .. }) => {
            for announced in announcements_of(state, object)? {
                groups.extend(state.actor_by_url(&announced.actor)?);
            }
        }
        Some(Effect::Removed { group, .. }) => groups.retain(|it| it.url == *group),
        _ => {}
    }
    let mut owed: Vec<Announcing> = Vec::new();
    for group in groups {
        let is_new = owed.iter().all(|owed| owed.group != group.no);
        if is_new
            && reaches(group.no)
            && may_post(state, &group, &envelope.actor)?
            && !is_of_removed(state, &group.url, said)?
        {
            let group = group.no;
            let forms = [Form::Activity, Form::Object].into_iter();
            let forms = forms.filter(|form| *form == Form::Activity || is_post(said));
            owed.extend(forms.map(|form| Announcing { group, form }));
        }
    }
    Ok((!owed.is_empty()).then_some(owed))
}

/// Reads an `Add` to or `Remove` from the controllers of a local group, or its followers, which are its members. Only
/// the group itself and those who control it may; of other collections the kernel knows nothing.
pub(super) fn appoint(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    let target = envelope.target.as_deref().unwrap_or_default();
    let parts = target.rsplit_once('/');
    let (url, post) = match parts {
        Some((url, "controllers")) => (url, Post::Controller),
        Some((url, "followers")) => (url, Post::Member),
        _ => return Ok(Meaning::Plain),
    };
    let group = facts.state.actor_by_url(url)?;
    let Some(group) = group.filter(|group| group.kind == ActorKind::Group) else {
        return Ok(Meaning::Plain);
    };
    if !controls(facts.state, &group.url, &envelope.actor)? {
        let why = "only who controls a group adds to it or removes from it";
        return Err(Refusal::new(Code::NotAuthorised, why).into());
    }
    let Some(who) = envelope.object.id().filter(|who| *who != group.url) else {
        let why = "who is added to a group or removed from it is one other actor";
        return Err(Refusal::new(Code::Envelope, why).into());
    };
    let given = envelope.verb == "Add";
    let follower = facts.state.relation(group.no, Direction::Follower, who)?;
    let follows = post == Post::Member && follower.phase != Phase::None;
    if facts.state.standing(group.no, who)?.has(post) == given && (given || !follows) {
        return Ok(Meaning::Ignored("it is so already"));
    }
    let (most, what) = match post {
        Post::Controller => (limits::GROUP_CONTROLLERS, "controllers"),
        Post::Member => (limits::GROUP_MEMBERS, "members that were added"),
    };
    if given && facts.state.appointed(group.no, post)? >= most {
        let why = format!("a group has at most {most} {what}");
        return Err(Refusal::new(Code::Conflict, why).into());
    }
    Ok(Meaning::Effect(Effect::Appointed {
        group: group.url,
        who: who.to_owned(),
        post,
        given,
    }))
}

/// What a `Delete` or `Undo` of another's means where its actor controls a local group that it names and that announced
/// it. Who controls a peer's group is known where that is: what is said to it here changes nothing here.
pub(super) fn removal(
    facts: Facts<'_>,
    envelope: &Envelope,
) -> Result<Option<Meaning>, StateError> {
    let Some(object) = envelope.object.id() else {
        return Ok(None);
    };
    for group in named(facts.state, facts.instance, envelope)? {
        // It has its own ways with what it says itself.
        let is_itself = group.url == envelope.actor;
        if !is_itself
            && controls(facts.state, &group.url, &envelope.actor)?
            && has_announced(facts.state, &group.url, object)?
        {
            return Ok(Some(Meaning::Effect(Effect::Removed {
                group: group.url,
                object: object.to_owned(),
            })));
        }
    }
    let is_group = |url: &str| {
        let peer = facts.peers.peek(url);
        peer.is_some_and(|peer| peer.kind == Some(ActorKind::Group))
    };
    let mut recipients = envelope.recipients.all().peekable();
    let says_so = facts.instance.owns(&envelope.actor)
        && recipients.peek().is_some()
        && recipients.all(is_group);
    Ok(says_so.then_some(Meaning::Plain))
}

/// Whether somebody controls a local group, as it does itself.
///
/// # Errors
/// When the state can't be read.
pub fn controls(state: &dyn State, group: &str, who: &str) -> Result<bool, StateError> {
    let Some(group) = state.actor_by_url(group)? else {
        return Ok(false);
    };
    let is_group = group.kind == ActorKind::Group && !group.is_gone();
    Ok(is_group && (group.url == who || state.standing(group.no, who)?.controller))
}

/// The local groups that an activity names openly.
fn named(
    state: &dyn State,
    instance: &Instance,
    envelope: &Envelope,
) -> Result<Vec<Actor>, StateError> {
    let recipients = &envelope.recipients;
    let named = [&recipients.to, &recipients.cc, &recipients.audience];
    let mut groups = Vec::new();
    for url in named.into_iter().flatten() {
        if instance.local_name(url).is_some() {
            let actor = state.actor_by_url(url)?;
            groups.extend(actor.filter(|actor| actor.kind == ActorKind::Group));
        }
    }
    Ok(groups)
}

/// Whether an activity is one that groups pass on, whoever says it.
pub(super) fn is_passed_on(
    state: &dyn State,
    envelope: &Envelope,
    effect: Option<&Effect>,
) -> Result<bool, StateError> {
    let is_said = matches!(
        effect,
        None | Some(Effect::Deleted { .. } | Effect::Removed { .. })
    );
    let about_itself = envelope.object.id() == Some(&envelope.actor);
    if !is_said || about_itself || is_kept_back(&envelope.verb) {
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

/// Whether a group announced what has this `id`, and has not taken that back.
///
/// # Errors
/// When the state can't be read.
pub fn has_announced(state: &dyn State, group: &str, id: &str) -> Result<bool, StateError> {
    Ok(!announced(state, group, id)?.is_empty())
}

/// The first announcements by a group that hold a copy of what has this `id`, and that it has not taken back.
///
/// # Errors
/// When the state can't be read.
pub fn announced(state: &dyn State, group: &str, id: &str) -> Result<Vec<Activity>, StateError> {
    let mut announced = announcements_of(state, id)?;
    announced.retain(|announced| announced.actor == group);
    standing_of(state, announced)
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
    Ok(!group.manual_approval
        || follower.phase == Phase::Accepted
        || state.standing(group.no, author)?.controller)
}

/// Whether it is a new version of what was removed from the group.
fn is_of_removed(state: &dyn State, group: &str, said: Said<'_>) -> Result<bool, StateError> {
    let object = said.envelope.object.id();
    let Some(object) = object.filter(|_| said.envelope.verb == "Update") else {
        return Ok(false);
    };
    let mut announced = announcements_of(state, object)?;
    announced.retain(|announced| announced.actor == group);
    Ok(!announced.is_empty() && standing_of(state, announced)?.is_empty())
}

/// The announcements that their groups have not taken back.
fn standing_of(state: &dyn State, announced: Vec<Activity>) -> Result<Vec<Activity>, StateError> {
    let mut standing = Vec::with_capacity(announced.len());
    for announced in announced {
        if state.deleted(&announced.id, &announced.actor)?.is_none() {
            standing.push(announced);
        }
    }
    Ok(standing)
}

/// Whether it is a new post that everybody may read and that is no reply.
fn is_post(said: Said<'_>) -> bool {
    let object = said.envelope.object.embedded();
    said.envelope.verb == "Create"
        && said.visibility == Visibility::Public
        && said.envelope.object.id().is_some()
        && object.is_some_and(|object| reference(object.get("inReplyTo")).is_none())
}
