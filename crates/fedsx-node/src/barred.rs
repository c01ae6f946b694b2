//! With whom this instance has to do: the hosts and actors that the operator blocks are shut out both ways, a host
//! that one actor blocks has nothing to do with that one, and where there is a list of allowed hosts, so is every other (design, sections 5 and 12).
//!
//! Blocks are on record in the journal; the list is configuration. A host is its authority, as lanes are
//! named: `example.org`, or with a port that is not the scheme's own. Follows end with the block of an actor, as
//! with a `Block` of one actor by another, and with that of a host by one actor; of a host that the operator blocks
//! they stand as they are until it is let in again. Deliberately absent: the subdomains of a blocked host.

use std::sync::Arc;

use fedsx_core::address::Origin;
use fedsx_core::entry::{ActorNo, Control};
use fedsx_core::follow::Direction;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{StateError, host as host_of};
use fedsx_store::View;

use crate::{Node, fault};

/// The longest authority: a DNS name and a port, bytes.
const HOST_BYTES: usize = 259;
/// Relations ended by one entry.
const ENDED_AT_ONCE: usize = 256;

/// Which hosts are shut out.
#[derive(Clone, Debug)]
pub struct HostPolicy {
    view: View,
    /// Empty: all but the blocked.
    allow: Arc<[String]>,
}

impl HostPolicy {
    /// Shuts out what is blocked, and where `allow` names any, whatever it doesn't name.
    #[must_use]
    pub fn new(view: View, allow: Vec<String>) -> Self {
        Self {
            view,
            allow: allow.into(),
        }
    }

    /// Why a host is shut out, in a sentence; `None` where it is not.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn barred(&self, host: &str) -> Result<Option<String>, StateError> {
        if self.view.state().is_host_blocked(host)? {
            return Ok(Some(format!("this instance blocks the host {host}")));
        }
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(|allowed| allowed == host);
        Ok((!is_allowed).then(|| format!("the host {host} is none that this instance allows")))
    }

    /// Whether a host is shut out. One of which that can't be told is, for now.
    #[must_use]
    pub fn is_barred(&self, host: &str) -> bool {
        match self.barred(host) {
            Ok(why) => why.is_some(),
            Err(error) => {
                tracing::error!(%error, "whether a host is blocked can't be read");
                true
            }
        }
    }
}

impl Node {
    /// Which hosts are shut out.
    #[must_use]
    pub fn hosts(&self) -> &HostPolicy {
        &self.0.host_policy
    }

    /// Blocks a host, or lets it in again. Returns what it is called here, when that is durable.
    ///
    /// # Errors
    /// `malformed` for no host; `conflict` for this instance's own, and where it is so already.
    pub async fn block_host(&self, host: &str, blocked: bool) -> Result<String, Refusal> {
        let host = self.host_of_others(host)?;
        let is_blocked = self.0.view.state().is_host_blocked(&host);
        if is_blocked.map_err(fault::state)? == blocked {
            let not = if blocked { "" } else { "not " };
            let why = format!("{host} is {not}blocked already");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let control = Control::InstanceBlock {
            host: host.clone(),
            blocked,
            actor: None,
        };
        self.control(control).await?;
        Ok(host)
    }

    /// Blocks a host for one actor here, or lets it in again. Returns what it is called here, when that is durable; its
    /// relations there end thereafter, and those with whom are told.
    ///
    /// # Errors
    /// As for [`Node::block_host`]; `no-such-actor`.
    pub async fn block_host_for(
        &self,
        name: &str,
        host: &str,
        blocked: bool,
    ) -> Result<String, Refusal> {
        let actor = self.actor(name)?;
        let host = self.host_of_others(host)?;
        let is_blocked = self.0.view.state().blocks_host(actor.no, &host);
        if is_blocked.map_err(fault::state)? == blocked {
            let does = if blocked { "blocks" } else { "does not block" };
            let why = format!("`{name}` {does} {host} already");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let control = Control::ActorHostBlock {
            actor: actor.no,
            host: host.clone(),
            blocked,
        };
        self.control(control).await?;
        Ok(host)
    }

    /// Ends what is between local actors and those on hosts that they block, in parts; goes on with what a kill left.
    pub(crate) async fn end_blocked_relations(&self) -> Result<(), Refusal> {
        let view = &self.0.view;
        while let Some((actor, host)) = view.host_blocks_ending(1).map_err(fault::read)?.pop() {
            for direction in [Direction::Follower, Direction::Following] {
                let mut after: Option<String> = None;
                loop {
                    let page = view.relations(actor, direction, after.as_deref(), ENDED_AT_ONCE);
                    let page = page.map_err(fault::read)?;
                    let Some((last, _)) = page.last() else { break };
                    after = Some(last.clone());
                    let peers = page.into_iter().map(|(peer, _)| peer);
                    let peers: Vec<_> = peers.filter(|peer| host_of(peer) == host).collect();
                    if !peers.is_empty() {
                        self.end_relations(actor, &host, peers).await?;
                    }
                }
            }
            self.end_relations(actor, &host, Vec::new()).await?;
        }
        Ok(())
    }

    async fn end_relations(
        &self,
        actor: ActorNo,
        host: &str,
        peers: Vec<String>,
    ) -> Result<(), Refusal> {
        let host = host.to_owned();
        self.control(Control::HostRelationsEnded { actor, host, peers })
            .await
    }

    /// A host as it stands in URLs, unless it is this instance.
    fn host_of_others(&self, host: &str) -> Result<String, Refusal> {
        let host = authority(host)?;
        if host == self.0.instance.authority() {
            return Err(Refusal::new(Code::Conflict, "that is this instance itself"));
        }
        Ok(host)
    }

    /// Blocks a remote actor for every actor here, or lets it in again. Returns its URL, when that is durable.
    ///
    /// # Errors
    /// `unresolvable`; `conflict` for an actor of this instance, and where it is so already.
    pub async fn block_peer(&self, who: &str, blocked: bool) -> Result<String, Refusal> {
        let is_blocked = |peer: &str| {
            let is_blocked = self.0.view.state().is_peer_blocked(peer);
            is_blocked.map_err(fault::state)
        };
        let peer = match is_blocked(who.trim())? {
            true => who.trim().to_owned(),
            false => self.find(who).await?,
        };
        if self.0.instance.owns(&peer) {
            let why = "it is an actor of this instance; `fedsx actor delete` ends one";
            return Err(Refusal::new(Code::Conflict, why));
        }
        if is_blocked(&peer)? == blocked {
            let not = if blocked { "" } else { "not " };
            let why = format!("{peer} is {not}blocked already");
            return Err(Refusal::new(Code::Conflict, why));
        }
        let control = Control::InstanceBlock {
            host: host_of(&peer),
            blocked,
            actor: Some(peer.clone()),
        };
        self.control(control).await?;
        Ok(peer)
    }

    /// Refuses whoever is blocked, or is at a host that is shut out.
    pub(crate) fn let_in(&self, actor: &str) -> Result<(), Refusal> {
        let is_blocked = self.0.view.state().is_peer_blocked(actor);
        if is_blocked.map_err(fault::state)? {
            let why = format!("this instance blocks {actor}");
            return Err(Refusal::new(Code::Blocked, why));
        }
        let Some(origin) = Origin::of(actor) else {
            return Ok(());
        };
        let barred = self.0.host_policy.barred(origin.authority());
        match barred.map_err(fault::state)? {
            Some(why) => Err(Refusal::new(Code::Blocked, why)),
            None => Ok(()),
        }
    }
}

/// A host as it stands in URLs.
fn authority(host: &str) -> Result<String, Refusal> {
    let host = host.trim();
    let origin = Origin::of(&format!("https://{host}/"));
    let plain = !host.contains(['/', '?', '#', '@']) && host.len() <= HOST_BYTES;
    match origin.filter(|_| plain) {
        Some(origin) => Ok(origin.authority().to_owned()),
        None => {
            let why = format!("`{host}` is no host like example.org or example.org:8443");
            Err(Refusal::new(Code::Malformed, why))
        }
    }
}
