//! `Deliveries`: the lanes and the dead letters, seen through [`DeliveryAdmin`], because the crate
//! that owns them is a sibling of this one.

use std::fmt;
use std::sync::Arc;

use fedsx_core::entry::ActorNo;
use fedsx_core::limits::DEAD_LETTERS;
use fedsx_core::refusal::Refusal;
use tonic::{Request, Response, Status};

use crate::proto::deliveries_server::Deliveries;
use crate::proto::{
    DeadLettersRequest, DeadLettersResponse, DropRequest, DropResponse, LanesRequest,
    LanesResponse, RetryRequest, RetryResponse, WakeRequest, WakeResponse,
};
use crate::refused::{internal, status};
use crate::{from_proto, page, to_proto};

/// The queue to one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The host, with its port where it has one.
    pub host: String,
    /// `ready`, `backing-off` or `dormant`.
    pub state: String,
    /// Deliveries waiting.
    pub queued: u64,
    /// Deliveries waiting on a schedule of their own.
    pub set_aside: u64,
    /// Deliveries under way.
    pub in_flight: u32,
    /// Failures of the host in a row.
    pub failures: u32,
    /// When it is tried next, Unix milliseconds.
    pub next_try_ms: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The offset of the oldest entry waiting.
    pub oldest_offset: Option<u64>,
    /// The offset of the first entry that was not queued, because the host is dormant.
    pub missed_from: Option<u64>,
}

/// What is still to be delivered.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Backlog {
    /// Entries that are in no lane yet, or not in all of theirs; counted up to 10,000.
    pub unexpanded: u64,
    /// All lanes with anything waiting or a host that fails.
    pub lanes: Vec<Lane>,
}

/// A delivery that was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// The host.
    pub host: String,
    /// The inbox it was for.
    pub inbox: String,
    /// The CID of the activity.
    pub cid: String,
    /// The name of the sender.
    pub actor: String,
    /// The offset of the activity.
    pub offset: u64,
    /// The HTTP status answered, if there was an answer.
    pub status: Option<u16>,
    /// The peer's answer, shortened.
    pub answer: String,
    /// When it was given up, Unix milliseconds.
    pub at_ms: i64,
}

/// The account of a delivery.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DeliveryRecord {
    /// The host.
    pub host: String,
    /// The name of the sender.
    pub actor: String,
    /// The URL of the actor meant.
    pub recipient: String,
    /// `arrived`, `refused`, `host-failed`, `gone` or `withdrawn`.
    pub state: &'static str,
    /// The HTTP status of a refusal.
    pub status: Option<u16>,
    /// The peer's answer, shortened.
    pub answer: String,
    /// How often it failed by itself.
    pub failures: u32,
    /// When it was tried last, Unix milliseconds.
    pub at_ms: i64,
}

/// Where an entry still waits to be delivered.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct WaitingOf {
    /// The hosts.
    pub hosts: Vec<String>,
    /// Whether it is yet to be queued for others.
    pub unexpanded: bool,
}

/// Which dead letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// The one with this id.
    Id(String),
    /// All to one host.
    Host(String),
    /// All.
    All,
}

/// The deliveries, as the admin API sees them. Calls may block on the disk.
pub trait DeliveryAdmin: fmt::Debug + Send + Sync {
    /// What is still to be delivered.
    ///
    /// # Errors
    /// When it can't be read; so for all of these.
    fn backlog(&self) -> Result<Backlog, Refusal>;
    /// The hosts for which an entry still waits.
    fn waiting_of(&self, actor: ActorNo, offset: u64) -> Result<WaitingOf, Refusal>;
    /// What came of the deliveries of an entry so far, at most `limit`.
    fn records_of(&self, offset: u64, limit: usize) -> Result<Vec<DeliveryRecord>, Refusal>;
    /// The newest dead letters, newest first.
    fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, Refusal>;
    /// How many there are.
    fn dead_letter_count(&self) -> Result<u64, Refusal>;
    /// Puts dead letters back into their lanes; says how many. An unknown id is `not-found`.
    fn retry(&self, which: Selection) -> Result<u64, Refusal>;
    /// Drops dead letters; says how many. An unknown id is `not-found`.
    fn discard(&self, which: Selection) -> Result<u64, Refusal>;
    /// Ends the back-off of a host; says whether there was one.
    fn wake(&self, host: &str) -> Result<bool, Refusal>;
}

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    deliveries: Arc<dyn DeliveryAdmin>,
}

impl Service {
    pub(crate) fn new(deliveries: Arc<dyn DeliveryAdmin>) -> Self {
        Self { deliveries }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl for<'a> FnOnce(&'a dyn DeliveryAdmin) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        let deliveries = Arc::clone(&self.deliveries);
        blocking(move || question(&*deliveries)).await
    }
}

/// Runs what may wait for the disk where that holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Status> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .unwrap_or_else(|cause| Err(internal(cause)))
        .map_err(|refusal| status(&refusal))
}

#[tonic::async_trait]
impl Deliveries for Service {
    async fn lanes(
        &self,
        request: Request<LanesRequest>,
    ) -> Result<Response<LanesResponse>, Status> {
        let asked = request.into_inner();
        let Backlog {
            unexpanded,
            mut lanes,
        } = self.ask(|deliveries| deliveries.backlog()).await?;
        lanes.sort_by(|a, b| a.host.cmp(&b.host));
        let (page, next_page_token) =
            page::of_list(lanes, page::limit(asked.limit), &asked.page_token, |lane| {
                &lane.host
            });
        let lanes = page.into_iter().map(to_proto::lane).collect();
        Ok(Response::new(LanesResponse {
            lanes,
            next_page_token,
            unexpanded,
        }))
    }

    async fn dead_letters(
        &self,
        request: Request<DeadLettersRequest>,
    ) -> Result<Response<DeadLettersResponse>, Status> {
        let asked = request.into_inner();
        let letters = self
            .ask(|deliveries| deliveries.dead_letters(DEAD_LETTERS))
            .await?;
        let (page, next_page_token) = page::of_list(
            letters,
            page::limit(asked.limit),
            &asked.page_token,
            |letter| &letter.id,
        );
        let dead_letters = page.into_iter().map(to_proto::dead_letter).collect();
        Ok(Response::new(DeadLettersResponse {
            dead_letters,
            next_page_token,
        }))
    }

    async fn retry(
        &self,
        request: Request<RetryRequest>,
    ) -> Result<Response<RetryResponse>, Status> {
        let which =
            from_proto::selection(request.into_inner().selection).map_err(|r| status(&r))?;
        let count = self.ask(|deliveries| deliveries.retry(which)).await?;
        Ok(Response::new(RetryResponse { count }))
    }

    async fn drop(&self, request: Request<DropRequest>) -> Result<Response<DropResponse>, Status> {
        let which =
            from_proto::selection(request.into_inner().selection).map_err(|r| status(&r))?;
        let count = self.ask(|deliveries| deliveries.discard(which)).await?;
        Ok(Response::new(DropResponse { count }))
    }

    async fn wake(&self, request: Request<WakeRequest>) -> Result<Response<WakeResponse>, Status> {
        let host = request.into_inner().host;
        let failing = self.ask(move |deliveries| deliveries.wake(&host)).await?;
        Ok(Response::new(WakeResponse { failing }))
    }
}
