//! With whom this instance has to do: the hosts and actors that the operator blocks are shut out both ways, and
//! where there is a list of allowed hosts, so is every other (design, sections 5 and 12).
//!
//! Blocks are on record in the journal; the list is configuration. A host is its authority, as lanes are
//! named: `example.org`, or with a port that is not the scheme's own. Follows end with the block of an actor, as
//! with a `Block` of one actor by another; of a host they stand as they are until it is let in again.
//! Deliberately absent: the subdomains of a blocked host.

use std::sync::Arc;

use fedsx_core::address::Origin;
use fedsx_core::entry::Control;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::{StateError, host};
use fedsx_store::View;

use crate::{Node, fault};

/// The longest authority: a DNS name and a port, bytes.
const HOST_BYTES: usize = 259;

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
        let host = authority(host)?;
        if host == self.0.instance.authority() {
            return Err(Refusal::new(Code::Conflict, "that is this instance itself"));
        }
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
            host: host(&peer),
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
