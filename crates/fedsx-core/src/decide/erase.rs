//! What a `Delete` means: who may delete what, what is not taken any more because of it, and which documents hold a copy.
//!
//! Invariants: only who made something deletes it, judged by what is kept of it, else by its origin; what
//! the kernel goes by (actors, follows, blocks, definitions, other deletions) is never erased as a whole,
//! because state could not be read again from what is left. Deliberately absent: deleting actors, and
//! the erasing itself (apply/erase.rs and the node). Design, sections 4 and 7.

use crate::address::same_origin;
use crate::decide::authority::{Meaning, owns_object};
use crate::decide::{DecideError, Facts, group};
use crate::entry::{Activity, Effect, LogId, Side};
use crate::envelope::{Envelope, embedded, reference};
use crate::refusal::{Code, Refusal};
use crate::state::{State, StateError};
use crate::value::{Map, Value};

/// The longest `formerType` that is kept, bytes.
const TYPE_BYTES: usize = 128;

/// Reads a `Delete` of something else than its actor: by who made it, or else by who controls a group that it is in.
pub(super) fn delete(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    match by_owner(facts, envelope) {
        Err(DecideError::Refused(refusal)) if refusal.code == Code::NotAuthorised => {
            let removal = group::removal(facts, envelope)?;
            removal.ok_or(DecideError::Refused(refusal))
        }
        outcome => outcome,
    }
}

fn by_owner(facts: Facts<'_>, envelope: &Envelope) -> Result<Meaning, DecideError> {
    owns_object(facts, envelope)?;
    let (state, actor) = (facts.state, &envelope.actor);
    let Some(id) = envelope.object.id() else {
        return Ok(Meaning::Plain);
    };
    let kept = state.activity_of_id(id)?;
    if kept.as_ref().is_some_and(|kept| kept.actor != *actor) {
        let why = "what is deleted was made by somebody else";
        return Err(Refusal::new(Code::NotAuthorised, why).into());
    }
    if kept.as_deref().is_some_and(|kept| !is_erasable(kept)) {
        return Ok(Meaning::Ignored(
            "what the kernel goes by is undone or superseded, not deleted",
        ));
    }
    if state.deleted(id, actor)?.is_some() {
        return Ok(Meaning::Ignored("it is deleted already"));
    }
    let with = kept.filter(|kept| kept.verb == "Create");
    let with = with.and_then(|create| create.object_id);
    Ok(Meaning::Effect(Effect::Deleted {
        object: id.to_owned(),
        with: with.filter(|object| same_origin(object, actor)),
        former_type: envelope.object.embedded().and_then(former_type),
    }))
}

/// Entries looked at for whose an object is, and where it went.
const LOOKED_AT: usize = 64;

/// Whether an object is kept as somebody brought it, and nobody of them is `actor`.
pub(super) fn is_made_by_another(
    state: &dyn State,
    id: &str,
    actor: &str,
) -> Result<bool, StateError> {
    let mut is_anothers = false;
    for digest in state.carriers(id, LOOKED_AT)? {
        let made = state.activity(&digest)?;
        let made =
            made.filter(|made| made.verb == "Create" && made.object_id.as_deref() == Some(id));
        match made {
            Some(made) if made.actor == actor => return Ok(false),
            made => is_anothers |= made.is_some(),
        }
    }
    Ok(is_anothers)
}

/// The inboxes that what is deleted went to: whoever has it is told that it is gone, also where the
/// `Delete` does not name them.
pub(super) fn inboxes(state: &dyn State, id: &str, owner: &str) -> Result<Vec<LogId>, StateError> {
    let mut inboxes = Vec::new();
    let itself = state.digest_of_id(id)?.into_iter();
    for digest in itself.chain(state.carriers(id, LOOKED_AT)?) {
        let kept = state.activity(&digest)?;
        if kept.is_some_and(|kept| kept.actor == owner) {
            let logs = state.logs_of(&digest)?.into_iter();
            inboxes.extend(logs.filter(|log| log.side == Side::Inbox));
        }
    }
    Ok(inboxes)
}

/// Whether all of a document may go.
#[must_use]
pub const fn is_erasable(activity: &Activity) -> bool {
    is_said(activity.effect.as_ref())
}

/// Whether an activity is what somebody says, which its header alone stands for once it is erased.
const fn is_said(effect: Option<&Effect>) -> bool {
    matches!(
        effect,
        None | Some(Effect::Deleted { .. } | Effect::Announced { .. })
    )
}

/// What an object was before it was deleted.
fn former_type(object: &Map) -> Option<String> {
    let text = |member| object.get(member).and_then(Value::as_str);
    let former = match text("type") {
        Some("Tombstone") => text("formerType"),
        other => other,
    };
    let former = former.filter(|former| former.len() <= TYPE_BYTES);
    former.map(str::to_owned)
}

/// Whether an activity, or what it brings, was deleted by its actor before it came.
pub(super) fn is_deleted(state: &dyn State, activity: &Activity) -> Result<bool, StateError> {
    let object = activity.object_id.as_deref();
    is_gone(state, &activity.actor, &activity.id, &activity.verb, object)
}

/// Whether an activity holds or names what its author, who is another, deleted meanwhile.
pub(super) fn holds_deleted(
    state: &dyn State,
    activity: &Activity,
    author: &str,
) -> Result<bool, StateError> {
    for id in activity.carries().chain(activity.object_id.as_deref()) {
        if state.deleted(id, author)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As [`is_deleted`], of what is not drafted yet.
pub(super) fn is_farewelled(state: &dyn State, envelope: &Envelope) -> Result<bool, StateError> {
    let (actor, object) = (&envelope.actor, envelope.object.id());
    is_gone(state, actor, &envelope.id, &envelope.verb, object)
}

fn is_gone(
    state: &dyn State,
    actor: &str,
    id: &str,
    verb: &str,
    object: Option<&str>,
) -> Result<bool, StateError> {
    let brought = object.filter(|_| matches!(verb, "Create" | "Update"));
    for id in std::iter::once(id).chain(brought) {
        if state.deleted(id, actor)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The ids of what a document holds a copy of, beside the object of a `Create` or `Update`.
pub(crate) fn copies(
    document: &Map,
    envelope: &Envelope,
    effect: Option<&Effect>,
) -> Option<Vec<String>> {
    if !is_said(effect) {
        return None;
    }
    let brought = envelope.object.id();
    let brought = brought.filter(|_| matches!(&*envelope.verb, "Create" | "Update"));
    let copies = embedded(document).into_iter();
    // All that is left of something is no copy.
    let copies = copies.filter(|(_, object)| object.get("type") != Some(&"Tombstone".into()));
    let copies = copies.map(|(id, _)| id).filter(|id| Some(*id) != brought);
    let copies: Vec<String> = copies.map(str::to_owned).collect();
    (!copies.is_empty()).then_some(copies)
}

/// Whether `owner`, who deleted what has this `id`, deleted a copy of it that stands in a document.
#[must_use]
pub fn is_copy_of(document: &Map, id: &str, owner: &str) -> bool {
    let mut copies = embedded(document).into_iter();
    copies.any(|(have, object)| {
        let said = reference(object.get("attributedTo")).or_else(|| reference(object.get("actor")));
        have == id && said == Some(owner)
    })
}
