//! Whom an activity that a trigger makes may be for: nobody whom its source was not for.
//!
//! Where the source is for everybody, so may be what follows. Else what follows may name those whom the
//! source names, its author, and the one who publishes; one that names nobody goes to whom its source
//! went, or, where that was another's, back to its author.

use crate::entry::Visibility;
use crate::envelope::Recipients;
use crate::refusal::{Code, Refusal};
use crate::value::{Map, Value};

/// For whom the source was.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Who may read it.
    pub visibility: Visibility,
    /// Whose it is.
    pub actor: &'a str,
    /// Whom it names.
    pub recipients: &'a Recipients,
}

const MEMBERS: [&str; 5] = ["to", "cc", "audience", "bto", "bcc"];

/// The activity of an actor, by its URL, addressed to nobody whom its source was not for.
///
/// # Errors
/// `not-authorised`, when it names anybody else; `envelope`, when its recipients can't be read.
pub fn address(mut activity: Map, source: Source<'_>, owner: &str) -> Result<Map, Refusal> {
    let recipients = Recipients::of(&activity)?;
    if source.visibility == Visibility::Public {
        return Ok(activity);
    }
    if recipients.all().next().is_none() {
        for member in MEMBERS {
            activity.remove(member);
        }
        if source.actor == owner {
            let Recipients {
                to,
                cc,
                audience,
                hidden,
            } = source.recipients;
            for (member, named) in [
                ("to", to),
                ("cc", cc),
                ("audience", audience),
                ("bto", hidden),
            ] {
                if !named.is_empty() {
                    activity.insert(member, list(named));
                }
            }
        } else {
            activity.insert("to", list(&[source.actor.to_owned()]));
        }
        if Recipients::of(&activity)?.all().next().is_none() {
            // To name nobody is to mean everybody.
            activity.insert("to", list(&[owner.to_owned()]));
        }
        return Ok(activity);
    }
    let is_allowed = |recipient: &str| {
        let mut named = source.recipients.all();
        recipient == source.actor || recipient == owner || named.any(|name| name == recipient)
    };
    match recipients.all().find(|recipient| !is_allowed(recipient)) {
        None => Ok(activity),
        Some(stranger) => {
            let why = format!("its source was not for {stranger}, so that it can't be");
            Err(Refusal::new(Code::NotAuthorised, why))
        }
    }
}

fn list(names: &[String]) -> Value {
    names
        .iter()
        .map(|name| Value::from(&**name))
        .collect::<Vec<_>>()
        .into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audience::{PUBLIC, visibility};

    const ALICE: &str = "https://a.example/actors/alice";
    const FOLLOWERS: &str = "https://a.example/actors/alice/followers";
    const BOB: &str = "https://b.example/actors/bob";
    const NAMES: [&str; 7] = [
        PUBLIC,
        "as:Public",
        ALICE,
        FOLLOWERS,
        BOB,
        "https://b.example/actors/bob/followers",
        "https://c.example/actors/carol",
    ];

    fn document() -> impl Strategy<Value = Map> {
        let names = || prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..3);
        let members = (names(), names(), names(), names(), names());
        members.prop_map(|(to, cc, audience, bto, bcc)| {
            let mut map = Map::from([("type", "TestEcho")]);
            for (member, names) in MEMBERS.into_iter().zip([to, cc, audience, bto, bcc]) {
                if !names.is_empty() {
                    map.insert(member, names);
                }
            }
            map
        })
    }

    proptest! {
        #[test]
        fn nothing_goes_further_than_its_source(
            from in document(),
            made in document(),
            actor in prop::sample::select(vec![ALICE, BOB]),
        ) {
            let of_source = Recipients::of(&from).expect("names");
            let followers = format!("{actor}/followers");
            let source = Source {
                visibility: visibility(&of_source, Some(&followers)),
                actor,
                recipients: &of_source,
            };
            let Ok(addressed) = address(made, source, ALICE) else {
                prop_assert_ne!(source.visibility, Visibility::Public);
                return Ok(());
            };
            let recipients = Recipients::of(&addressed).expect("names");
            if source.visibility == Visibility::Public {
                return Ok(());
            }
            prop_assert!(recipients.all().next().is_some(), "nobody named is everybody");
            for recipient in recipients.all() {
                let mut allowed = of_source.all().chain([actor, ALICE]);
                prop_assert!(allowed.any(|name| name == recipient), "{recipient}");
            }
            let reach = visibility(&recipients, Some(FOLLOWERS));
            prop_assert_ne!(reach, Visibility::Public);
        }
    }
    #[test]
    fn one_that_names_nobody_goes_where_its_source_went() {
        let source = Map::from([
            ("to", Value::from(FOLLOWERS)),
            ("bcc", "https://c.example/actors/carol".into()),
        ]);
        let recipients = Recipients::of(&source).expect("names");
        let addressed = |actor, recipients: &Recipients| {
            let source = Source {
                visibility: Visibility::Followers,
                actor,
                recipients,
            };
            let made = Map::from([("type", "TestEcho")]);
            Recipients::of(&address(made, source, ALICE).expect("allowed")).expect("names")
        };
        assert_eq!(addressed(ALICE, &recipients), recipients);
        assert_eq!(addressed(BOB, &recipients).to, [BOB]);
        let nobody = Recipients::default();
        assert_eq!(addressed(ALICE, &nobody).to, [ALICE]);
    }
}
