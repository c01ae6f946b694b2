//! Names resolved for the client, and the guard over what they resolve to.
//!
//! Invariant: the connection is made to the very addresses that were checked, so a name that
//! resolves differently from one moment to the next (DNS rebinding) gains nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guard::Guard;

/// Looks the addresses of a host's name up.
pub trait NameLookup: Send + Sync + fmt::Debug {
    /// The addresses of `host`, in the order they are tried.
    ///
    /// # Errors
    /// When the name does not resolve.
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Names as the system resolves them.
#[derive(Clone, Copy, Debug)]
pub struct SystemNames;

impl NameLookup for SystemNames {
    fn lookup(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Lets through only those addresses of a name that the guard permits.
pub(super) struct GuardedResolver {
    pub(super) guard: Guard,
    pub(super) names: Arc<dyn NameLookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard;
        let host = name.as_str().to_owned();
        let lookup = self.names.lookup(&host);
        Box::pin(async move {
            let mut permitted = Vec::new();
            let mut refusal = None;
            for address in lookup.await? {
                match guard.check_address(&host, address) {
                    // Port 0: the connector puts the URL's in its place.
                    Ok(()) => permitted.push(SocketAddr::new(address, 0)),
                    Err(refused) => refusal = Some(refused),
                }
            }
            match refusal {
                Some(refused) if permitted.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(permitted.into_iter()) as Addrs),
            }
        })
    }
}
