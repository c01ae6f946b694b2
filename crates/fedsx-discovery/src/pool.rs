//! Fetches by whom they are for: our own, or caused by an inbound request.
//!
//! Invariant: whatever strangers send here, at most [`PoolOptions::concurrent`] fetches are under way
//! on their behalf, two per target host, and one source address causes only so many a minute; our own
//! fetches and deliveries never wait behind them. Source: design sections 6 and 9.3.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fedsx_core::address::Origin;
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::budget::{AddressBudget, Rate};
use crate::client::{Request, Response, SignRequests, Transport, TransportError};
use crate::clock::Clock;

/// Hosts remembered before those at rest are forgotten.
const HOSTS: usize = 256;

/// For whom something is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// For a local actor or the instance itself.
    Own,
    /// Because of a request that came in from `source`.
    Inbound {
        /// The address that pays.
        source: IpAddr,
    },
}

/// The bounds of fetches caused by inbound requests.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Under way at once.
    pub concurrent: usize,
    /// Under way at once towards one host.
    pub per_host: usize,
    /// How long a fetch waits for its place.
    pub wait: Duration,
    /// What one source address may cause in a minute; it may use as many at once.
    pub per_minute: u32,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            concurrent: 32,
            per_host: 2,
            wait: Duration::from_secs(5),
            per_minute: 240,
        }
    }
}

/// Sends requests by purpose, through one transport.
pub struct Fetcher {
    transport: Arc<dyn Transport>,
    options: PoolOptions,
    places: Arc<Semaphore>,
    hosts: Mutex<BTreeMap<String, Weak<Semaphore>>>,
    /// What each source address may still cause to be fetched.
    budget: AddressBudget,
    clock: Clock,
    /// Who signs what is asked for on nobody else's behalf.
    signer: Option<Arc<dyn SignRequests>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("transport", &self.transport)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher over `transport`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, options: PoolOptions, clock: Clock) -> Self {
        Self {
            transport,
            places: Arc::new(Semaphore::new(options.concurrent.max(1))),
            hosts: Mutex::default(),
            budget: AddressBudget::new(Rate {
                per_minute: options.per_minute,
                burst: options.per_minute,
            }),
            options,
            clock,
            signer: None,
        }
    }

    /// The same, whose documents are asked for with the signature of the instance itself: there are hosts that
    /// serve nothing without one.
    #[must_use]
    pub fn signing(mut self, signer: Arc<dyn SignRequests>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The request, signed by the instance itself where it signs and nobody else does.
    pub(crate) fn signed(&self, mut request: Request) -> Request {
        request.signed_by = request.signed_by.or_else(|| self.signer.clone());
        request
    }

    /// The time, by the clock all fetches go by, Unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// Sends `request` for `purpose`.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::Busy`] when the source's budget is spent or no place
    /// came free in time.
    pub async fn send(
        &self,
        request: Request,
        purpose: Purpose,
    ) -> Result<Response, TransportError> {
        let Purpose::Inbound { source } = purpose else {
            return self.transport.send(request).await;
        };
        self.budget
            .spend(source, self.now_ms())
            .map_err(|retry_after_s| TransportError::Busy { retry_after_s })?;
        let _places = self.places_in_time(&request.url).await?;
        self.transport.send(request).await
    }

    async fn places_in_time(
        &self,
        url: &str,
    ) -> Result<[Option<OwnedSemaphorePermit>; 2], TransportError> {
        let mut places = std::pin::pin!(self.places_for(url));
        // Mostly there is one, and no timer is needed.
        if let Some(places) = places.as_mut().now_or_never() {
            return Ok(places);
        }
        let waited = tokio::time::timeout(self.options.wait, places).await;
        waited.map_err(|_| TransportError::Busy { retry_after_s: 30 })
    }

    /// A place towards the host first, so that who waits for a slow host takes none of the others'.
    async fn places_for(&self, url: &str) -> [Option<OwnedSemaphorePermit>; 2] {
        let host = self.host_places(url).acquire_owned().await.ok();
        [host, Arc::clone(&self.places).acquire_owned().await.ok()]
    }

    fn host_places(&self, url: &str) -> Arc<Semaphore> {
        let host = Origin::of(url).map_or_else(String::new, |origin| origin.authority().to_owned());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = hosts.get(&host).and_then(Weak::upgrade) {
            return places;
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(self.options.per_host.max(1)));
        hosts.insert(host, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests;
