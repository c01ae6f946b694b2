//! `Logs`: the verifiable logs of others, as they are watched from here, and our own.

use fedsx_core::refusal::Refusal;
use fedsx_core::transparency::{Fork, Witnessed};
use fedsx_node::{Node, Verification};
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::blocking;
use crate::proto::logs_server::Logs;
use crate::proto::{
    BeginLogRequest, BeginLogResponse, ListForksRequest, ListForksResponse, LogFork,
    VerifyLogRequest, VerifyLogResponse,
};
use crate::refused::{internal, status};
use crate::{page, to_proto};

/// Leaves that are read of a log, where nobody says how many: four megabytes of them.
const LEAVES: u64 = 100_000;
/// Leaves that are read at most: a walk has to end while its caller waits.
const LEAVES_MAX: u64 = 1_000_000;
/// Activities that are fetched at most, for the same reason.
const ACTIVITIES_MAX: u64 = 10_000;

/// A place in the list of forks, hex digits.
const PLACE_DIGITS: usize = 48;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl Logs for Service {
    async fn verify(
        &self,
        request: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        let asked = request.into_inner();
        let what = Verification {
            leaves: match asked.leaves {
                0 => LEAVES,
                leaves => leaves.min(LEAVES_MAX),
            },
            activities: asked.activities.min(ACTIVITIES_MAX),
        };
        let verified = self.node.verify_log(&asked.who, what).await;
        let verified = verified.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(VerifyLogResponse {
            actor: verified.seen.peer,
            origin: verified.seen.origin,
            size: verified.seen.size,
            before: verified.seen.before.unwrap_or_default(),
            outcome: verified.seen.outcome.as_str().to_owned(),
            leaves: verified.leaves,
            proved: verified.proved,
            erased: verified.erased,
            compared: verified.compared,
            faults: verified.faults,
        }))
    }

    async fn list_forks(
        &self,
        request: Request<ListForksRequest>,
    ) -> Result<Response<ListForksResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list(&node, &asked))
            .await
            .map(Response::new)
    }

    async fn begin(
        &self,
        request: Request<BeginLogRequest>,
    ) -> Result<Response<BeginLogResponse>, Status> {
        let begun = async {
            let actor = named(&self.node, &request.get_ref().name)?;
            self.node.begin_log(&actor.name).await
        };
        let begun = begun.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(BeginLogResponse {
            url: begun.url,
            published: Some(to_proto::published(begun.published)),
        }))
    }
}

fn list(node: &Node, asked: &ListForksRequest) -> Result<ListForksResponse, Refusal> {
    let limit = page::limit(asked.limit);
    let after = place(&asked.page_token)?;
    let forks = node.view().log_forks(&after, limit).map_err(internal)?;
    let next = forks.last().filter(|_| forks.len() == limit);
    Ok(ListForksResponse {
        next_page_token: next.map(|(place, ..)| hex(place)).unwrap_or_default(),
        forks: forks.into_iter().map(fork).collect::<Result<_, _>>()?,
    })
}

fn fork((_, actor, fork): (Vec<u8>, String, Fork)) -> Result<LogFork, Refusal> {
    let note = |witnessed: &Witnessed| witnessed.note().map(|note| note.to_string());
    Ok(LogFork {
        actor,
        first: note(&fork.first).map_err(internal)?,
        first_key: fork.first.key().to_string(),
        second: note(&fork.second).map_err(internal)?,
        second_key: fork.second.key().to_string(),
        prefix: fork.prefix.to_string(),
        proof: fork.proof.iter().map(ToString::to_string).collect(),
    })
}

/// The place that a token of ours is.
fn place(token: &str) -> Result<Vec<u8>, Refusal> {
    let digits = token.as_bytes();
    if digits.len() > PLACE_DIGITS || !digits.len().is_multiple_of(2) {
        return Err(page::bad_token());
    }
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    bytes.ok_or_else(page::bad_token)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
