//! Who an activity is for: its visibility, and the parts its delivery set is made of (design,
//! section 9.1). The set itself is expanded by the delivery worker as of the entry's offset.

use crate::entry::Visibility;
use crate::envelope::Recipients;

/// The public collection of ActivityStreams.
pub const PUBLIC: &str = "https://www.w3.org/ns/activitystreams#Public";

/// Whether a recipient is the public collection, in any spelling that JSON-LD compaction gives it.
#[must_use]
pub fn is_public(recipient: &str) -> bool {
    matches!(recipient, PUBLIC | "as:Public" | "Public")
}

/// Who may read an activity with these recipients, sent by an actor with that followers collection.
#[must_use]
pub fn visibility(recipients: &Recipients, followers: Option<&str>) -> Visibility {
    if recipients.all().any(is_public) {
        Visibility::Public
    } else if recipients
        .all()
        .any(|recipient| Some(recipient) == followers)
    {
        Visibility::Followers
    } else {
        Visibility::Direct
    }
}

/// The parts of a delivery set before expansion.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Parts {
    /// Whether the sender's followers are meant.
    pub followers: bool,
    /// The actors named, each once, in the order given, without the sender.
    pub actors: Vec<String>,
}

/// Takes recipients apart.
#[must_use]
pub fn parts<'a>(
    recipients: impl Iterator<Item = &'a str>,
    sender: &str,
    followers: &str,
) -> Parts {
    let mut parts = Parts::default();
    for recipient in recipients {
        if is_public(recipient) || recipient == followers {
            parts.followers = true;
        } else if recipient != sender && !parts.actors.iter().any(|have| have == recipient) {
            parts.actors.push(recipient.to_owned());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_names_each_actor_once_and_never_the_sender() {
        let recipients = [
            PUBLIC,
            "https://a/alice",
            "https://b/bob",
            "https://b/bob",
            "https://a/alice/followers",
        ];
        let parts = parts(
            recipients.into_iter(),
            "https://a/alice",
            "https://a/alice/followers",
        );
        assert_eq!(
            parts,
            Parts {
                followers: true,
                actors: vec!["https://b/bob".to_owned()]
            }
        );
    }

    #[test]
    fn visibility_is_the_widest_recipient() {
        let to = |to: &[&str]| Recipients {
            to: to.iter().map(|id| (*id).to_owned()).collect(),
            ..Recipients::default()
        };
        let followers = Some("https://a/alice/followers");
        assert_eq!(
            visibility(&to(&["as:Public"]), followers),
            Visibility::Public
        );
        assert_eq!(
            visibility(
                &to(&["https://b/bob", "https://a/alice/followers"]),
                followers
            ),
            Visibility::Followers
        );
        assert_eq!(
            visibility(&to(&["https://b/bob"]), followers),
            Visibility::Direct
        );
        assert_eq!(visibility(&to(&[]), None), Visibility::Direct);
    }
}
