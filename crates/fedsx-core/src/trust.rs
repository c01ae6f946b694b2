//! Whose definitions are taken, and why one is not (design, section 8.2).
//!
//! Invariants: a peer never takes a name that genesis or this instance holds, nor a verb that
//! ActivityStreams or the kernel gives a meaning; trust is judged on the actor who signed. Pure.
//! Deliberately absent: taking trust back, which leaves active what was taken under it.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::address::is_http_url;
use crate::decide::publish::VERBS;
use crate::definition::{Definition, Kind};
use crate::limits;
use crate::registry::{Authority, Registry};
use crate::state::{State, StateError};

/// Whose definitions are taken.
#[derive(Clone, PartialEq, Eq, Default, Debug, Encode, Decode)]
pub enum Trust {
    /// Nobody's but our own.
    #[default]
    #[n(0)]
    None,
    /// Those of whom a local actor follows.
    #[n(1)]
    Followed,
    /// Those of these actors, by URL.
    #[n(2)]
    Actors(#[n(0)] Vec<String>),
}

/// A policy that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected none, followed, or up to {max} URLs of actors, and not `{found}`", max = limits::TRUSTED_ACTORS)]
pub struct TrustError {
    found: String,
}

impl Trust {
    /// Reads `none`, `followed` or a list of actors' URLs.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, TrustError> {
        let words: Vec<&str> = words.into_iter().collect();
        match &*words {
            [] | ["none"] => Ok(Self::None),
            ["followed"] => Ok(Self::Followed),
            urls if urls.len() <= limits::TRUSTED_ACTORS => {
                let is_url = |url: &&str| is_http_url(url) && url.len() <= limits::URL_BYTES;
                match urls.iter().find(|url| !is_url(url)) {
                    Some(wrong) => Err(TrustError {
                        found: (*wrong).to_owned(),
                    }),
                    None => Ok(Self::Actors(
                        urls.iter().map(|url| (*url).to_owned()).collect(),
                    )),
                }
            }
            urls => Err(TrustError {
                found: format!("{} of them", urls.len()),
            }),
        }
    }

    /// Why an actor is not trusted; none where it is.
    ///
    /// # Errors
    /// When the state can't be read.
    pub fn distrust(&self, state: &dyn State, actor: &str) -> Result<Option<Declined>, StateError> {
        Ok(match self {
            Self::None => Some(Declined::NobodyTrusted),
            Self::Followed => {
                let related = state.locals_related(actor)?;
                let is_followed = related.into_iter().any(|(_, follows)| follows);
                (!is_followed).then(|| Declined::NotFollowed(actor.to_owned()))
            }
            Self::Actors(actors) => {
                let is_listed = actors.iter().any(|url| url == actor);
                (!is_listed).then(|| Declined::NotListed(actor.to_owned()))
            }
        })
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Followed => f.write_str("followed"),
            Self::Actors(urls) => f.write_str(&urls.join(",")),
        }
    }
}

/// Why a peer's definition is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Declined {
    /// The policy is `none`.
    NobodyTrusted,
    /// No local actor follows that one.
    NotFollowed(String),
    /// The policy does not name that one.
    NotListed(String),
    /// Peers don't define such.
    Kind(Kind),
    /// The verb means something already, to everybody.
    Verb(String),
    /// Genesis or this instance defines that name.
    Held {
        /// The name.
        name: String,
        /// `genesis` or `local`.
        by: &'static str,
    },
    /// It is active.
    Active,
    /// A later one of the same name and actor is active.
    Superseded(String),
    /// It does not compile.
    Unreadable(String),
}

impl Declined {
    /// Whether another actor's being followed could change it.
    #[must_use]
    pub const fn is_of_trust(&self) -> bool {
        matches!(
            self,
            Self::NobodyTrusted | Self::NotFollowed(_) | Self::NotListed(_)
        )
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyTrusted => f.write_str(
                "no definitions of others are taken here: `definitions.trust` is `none`",
            ),
            Self::NotFollowed(actor) => {
                write!(f, "nobody here follows {actor}, who defined it")
            }
            Self::NotListed(actor) => write!(
                f,
                "`definitions.trust` does not name {actor}, who defined it"
            ),
            Self::Kind(kind) => write!(f, "a `{}` is not taken from others", kind.as_str()),
            Self::Verb(verb) => write!(f, "what `{verb}` means is not for others to say"),
            Self::Held { name, by } => write!(f, "`{name}` is defined already: {by}"),
            Self::Active => f.write_str("it is active"),
            Self::Superseded(name) => {
                write!(f, "a later `{name}` of the same actor is active")
            }
            Self::Unreadable(why) => write!(f, "it can't be used: {why}"),
        }
    }
}

/// A peer's definition, as it was published.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The actor who signed its `Create`.
    pub actor: &'a str,
    /// The definition.
    pub definition: &'a Definition,
    /// `published` of its `Create`, Unix milliseconds.
    pub published_ms: i64,
    /// That of the actor's active definition of the same kind and name.
    pub active_published_ms: Option<i64>,
}

impl Offer<'_> {
    /// Why it is not taken; none where it is.
    ///
    /// # Errors
    /// When the state can't be read.
    pub fn declined(
        &self,
        trust: &Trust,
        state: &dyn State,
        registry: &Registry,
    ) -> Result<Option<Declined>, StateError> {
        let (kind, name) = (self.definition.kind(), self.definition.name());
        if !kind.may_come_from_peers() {
            return Ok(Some(Declined::Kind(kind)));
        }
        for (by, word) in [(Authority::Genesis, "genesis"), (Authority::Local, "local")] {
            if registry.held(kind, name, &by).is_some() {
                let name = name.to_owned();
                return Ok(Some(Declined::Held { name, by: word }));
            }
        }
        if kind == Kind::Activity && VERBS.contains(&name) {
            return Ok(Some(Declined::Verb(name.to_owned())));
        }
        let own = Authority::Peer(self.actor.to_owned());
        let active = registry.held(kind, name, &own);
        if active.is_some_and(|active| active.definition.digest() == self.definition.digest()) {
            return Ok(Some(Declined::Active));
        }
        let later = self.active_published_ms;
        if active.is_some() && later.is_some_and(|later_ms| later_ms >= self.published_ms) {
            return Ok(Some(Declined::Superseded(name.to_owned())));
        }
        trust.distrust(state, self.actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_shown() {
        for text in [
            "none",
            "followed",
            "https://a.example/actors/a,https://b.example/b",
        ] {
            let trust = Trust::of_words(text.split(',')).expect(text);
            assert_eq!(trust.to_string(), text);
            let bytes = minicbor::to_vec(&trust).expect("a Vec takes all");
            let read: Trust = minicbor::decode(&bytes).expect(text);
            assert_eq!(read, trust);
        }
        assert_eq!(Trust::of_words([]), Ok(Trust::None));
        for wrong in ["everybody", "followed,https://a.example/a", "acct:a@b"] {
            assert!(Trust::of_words(wrong.split(',')).is_err(), "{wrong}");
        }
        let many = vec!["https://a.example/a"; limits::TRUSTED_ACTORS + 1];
        assert!(Trust::of_words(many).is_err());
    }
}
