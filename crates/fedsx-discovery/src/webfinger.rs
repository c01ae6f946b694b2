//! WebFinger both ways: handles looked up, and what is answered for actors here.
//!
//! Invariant: a handle is given for an actor only if the handle leads to the actor and the actor's own
//! host leads back from the name in its document, so nobody can pass a handle off as another's actor.
//! Deliberately absent: which actors exist here, and links other than to the actor and its page.
//! Sources: RFC 7033, RFC 7565, design section 9.4.

use std::sync::Arc;

use fedsx_core::actor::PeerActor;
use fedsx_core::address::{
    ActorName, AddressError, Handle, Instance, Origin, http_url, is_loopback_authority,
};
use fedsx_core::notation::{Notation, is_activity_streams};
use fedsx_core::value::{Map, Value};
use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;

use crate::actor_cache::{PeerError, Peers};
use crate::client::{BodyLimit, Request, TransportError};
use crate::pool::{Fetcher, Purpose};

/// The media type of an answer.
pub const MEDIA_TYPE: &str = "application/jrd+json";
/// The longest answer read, bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// What may not stand as it is in a value of a query.
const QUERY_VALUE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'+')
    .add(b'<')
    .add(b'=')
    .add(b'>');

/// An actor found, and the handle that is its own.
#[derive(Clone, Debug)]
pub struct Found {
    /// The actor.
    pub actor: Arc<PeerActor>,
    /// Its handle; none when its host gives none that leads back, which only an actor found by
    /// its URL may lack.
    pub handle: Option<Handle>,
}

/// Why nobody was found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResolveError {
    /// Neither a handle nor a URL.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The host could not be asked.
    #[error("`{authority}` could not be asked: {error}")]
    Transport {
        /// The host that was asked.
        authority: String,
        /// Why.
        error: TransportError,
    },
    /// The host knows no such account.
    #[error("`{0}` is not known there")]
    Unknown(Handle),
    /// The host answered with something else.
    #[error("`{authority}` gave no answer of use: {reason}")]
    Answer {
        /// The host that was asked.
        authority: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The actor could not be had.
    #[error(transparent)]
    Actor(#[from] PeerError),
    /// The handle leads to an actor whose host doesn't lead back to it.
    #[error("`{handle}` leads to {actor}, which is known by no handle of its own host")]
    LoopBack {
        /// The handle asked for.
        handle: Handle,
        /// The id of the actor.
        actor: String,
    },
}

/// What an answer says of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The handle the host itself uses.
    pub subject: Option<Handle>,
    /// The actor's URL.
    pub actor: String,
}

#[derive(Deserialize)]
struct Jrd {
    subject: Option<String>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: Option<String>,
    #[serde(rename = "type")]
    media_type: Option<String>,
    href: Option<String>,
}

/// Looks handles and actors' URLs up.
#[derive(Clone, Debug)]
pub struct WebFinger {
    fetcher: Arc<Fetcher>,
    peers: Peers,
    allow_private_peers: bool,
}

impl WebFinger {
    /// A look-up through `fetcher`, with actors from `peers`. Hosts on loopback addresses are asked over
    /// plain http when private peers are allowed.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, peers: Peers, allow_private_peers: bool) -> Self {
        Self {
            fetcher,
            peers,
            allow_private_peers,
        }
    }

    /// Finds whom `acct:user@host`, `@user@host`, `user@host` or an actor's URL names.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, who: &str, purpose: Purpose) -> Result<Found, ResolveError> {
        let who = who.trim();
        if http_url(who).is_some() {
            let actor = self.peers.actor(who, purpose).await?;
            let handle = self.own_handle(&actor, None, purpose).await;
            return Ok(Found { actor, handle });
        }
        let handle = Handle::parse(who)?;
        let account = self.ask(&handle, purpose).await?;
        let actor = self.peers.actor(&account.actor, purpose).await?;
        match self.own_handle(&actor, Some(&handle), purpose).await {
            Some(own) => Ok(Found {
                actor,
                handle: Some(own),
            }),
            None => Err(ResolveError::LoopBack {
                handle,
                actor: actor.id.clone(),
            }),
        }
    }

    /// The handle under which the actor's own host knows it. `asked` has led to the actor already.
    async fn own_handle(
        &self,
        actor: &PeerActor,
        asked: Option<&Handle>,
        purpose: Purpose,
    ) -> Option<Handle> {
        let origin = Origin::of(&actor.id)?;
        let named = format!("{}@{}", actor.name.as_deref()?, origin.authority());
        let named = Handle::parse(&named).ok()?;
        if asked.is_some_and(|asked| asked.is_same(&named)) {
            return Some(named);
        }
        let account = self.ask(&named, purpose).await.ok()?;
        if account.actor != actor.id {
            return None;
        }
        // A host may serve the accounts of another one, and then says so by the subject.
        let Some(subject) = account.subject.filter(|subject| !subject.is_same(&named)) else {
            return Some(named);
        };
        let leads_here = match asked {
            Some(asked) if asked.is_same(&subject) => true,
            _ => {
                let account = self.ask(&subject, purpose).await;
                account.is_ok_and(|account| account.actor == actor.id)
            }
        };
        Some(if leads_here { subject } else { named })
    }

    /// Asks a handle's host for the account.
    ///
    /// # Errors
    /// [`ResolveError`], but for those of the actor itself.
    pub async fn ask(&self, handle: &Handle, purpose: Purpose) -> Result<Account, ResolveError> {
        let authority = handle.authority();
        let plain = self.allow_private_peers && is_loopback_authority(authority);
        let scheme = if plain { "http" } else { "https" };
        let acct = handle.acct();
        let resource = utf8_percent_encode(&acct, QUERY_VALUE);
        let url = format!("{scheme}://{authority}/.well-known/webfinger?resource={resource}");
        let accept = "application/jrd+json, application/json";
        let request = Request::get(url, accept, BodyLimit::Refuse(ANSWER_BYTES));
        let sent = self.fetcher.send(request, purpose).await;
        let response = sent.map_err(|error| ResolveError::Transport {
            authority: authority.to_owned(),
            error,
        })?;
        let wrong = |reason| ResolveError::Answer {
            authority: authority.to_owned(),
            reason,
        };
        match response.status {
            StatusCode::OK => read(&response.body).map_err(wrong),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(ResolveError::Unknown(handle.clone())),
            _ => Err(wrong("its status is neither 200 nor 404")),
        }
    }
}

fn read(body: &[u8]) -> Result<Account, &'static str> {
    let jrd: Jrd = serde_json::from_slice(body).map_err(|_| "it is no JRD document")?;
    let actor = jrd.links.into_iter().find_map(|link| {
        let fits = link.rel.as_deref() == Some("self")
            && is_activity_streams(link.media_type.as_deref()?)
            && http_url(link.href.as_deref()?).is_some();
        link.href.filter(|_| fits)
    });
    Ok(Account {
        subject: jrd.subject.and_then(|subject| Handle::parse(&subject).ok()),
        actor: actor.ok_or("it links to no actor")?,
    })
}

/// The actor here that a `resource` asks for, by its handle or its id; whether it exists is not known.
#[must_use]
pub fn name_of_resource(instance: &Instance, resource: &str) -> Option<ActorName> {
    if let Some(name) = instance.local_name(resource) {
        return ActorName::parse(name).ok();
    }
    let handle = Handle::parse(resource).ok()?;
    // Whatever port the host has, it stands in the handle: other ports are other instances.
    let here = handle.authority() == instance.authority();
    ActorName::parse(handle.user()).ok().filter(|_| here)
}

/// Whether a `resource` asks for the instance's own actor, by its handle or its id.
#[must_use]
pub fn is_itself(instance: &Instance, resource: &str) -> bool {
    resource == instance.own_actor_url()
        || Handle::parse(resource).is_ok_and(|handle| handle.is_same(&instance.own_handle()))
}

/// The answer for an actor here. There is no page of it yet, and so no link to one.
#[must_use]
pub fn jrd_for(instance: &Instance, name: &ActorName) -> Map {
    jrd(&instance.handle(name), &instance.actor_url(name.as_str()))
}

/// The answer for the instance's own actor.
#[must_use]
pub fn jrd_of_itself(instance: &Instance) -> Map {
    jrd(&instance.own_handle(), &instance.own_actor_url())
}

fn jrd(handle: &Handle, actor: &str) -> Map {
    let itself = Map::from([
        ("rel", "self"),
        ("type", Notation::Json.media_type()),
        ("href", actor),
    ]);
    Map::from([
        ("subject", Value::from(handle.acct())),
        ("aliases", Value::from(vec![actor])),
        ("links", Value::from(vec![itself])),
    ])
}

#[cfg(test)]
mod tests;
