//! Whom an activity is about: what makes it matter to somebody here.

use super::Target;
use crate::address::Instance;
use crate::entry::Effect;
use crate::envelope::{Envelope, reference};

/// Whether an activity names a local actor, or something of its own.
pub(super) fn is_about(
    instance: &Instance,
    envelope: &Envelope,
    effect: Option<&Effect>,
    actor: Target<'_>,
) -> bool {
    subjects(envelope, effect)
        .iter()
        .any(|url| local_owner(instance, url) == Some(actor.name))
}

/// Every URL by which an activity can be about somebody: recipients, object, what is replied to, and
/// the other side of a follow.
pub(super) fn subjects<'e>(envelope: &'e Envelope, effect: Option<&'e Effect>) -> Vec<&'e str> {
    let mut urls: Vec<&str> = envelope.recipients.all().collect();
    urls.extend(envelope.object.id());
    if let Some(object) = envelope.object.embedded() {
        urls.extend(reference(object.get("inReplyTo")));
        // An Accept embeds the Follow whose actor it is for.
        if envelope.verb != "Create" {
            urls.extend(reference(object.get("object")));
            urls.extend(reference(object.get("actor")));
        }
    }
    match effect {
        Some(
            Effect::Accept { follow } | Effect::Reject { follow } | Effect::UndoFollow { follow },
        ) => urls.extend([follow.follower.as_str(), follow.followed.as_str()]),
        Some(Effect::Block { blocked, .. } | Effect::UndoBlock { blocked, .. }) => {
            urls.push(blocked);
        }
        Some(Effect::Appointed { group, .. } | Effect::Removed { group, .. }) => urls.push(group),
        _ => {}
    }
    urls
}

/// The name of the local actor whose URL this is, or under whose URL it lies.
pub(super) fn local_owner<'a>(instance: &Instance, url: &'a str) -> Option<&'a str> {
    if let Some(name) = instance.local_name(url) {
        return Some(name);
    }
    let rest = url
        .strip_prefix(instance.base_url())?
        .strip_prefix("/actors/")?;
    let (name, path) = rest.split_once('/')?;
    let owned = path.starts_with("objects/") || path.starts_with("activities/");
    owned.then_some(name)
}
