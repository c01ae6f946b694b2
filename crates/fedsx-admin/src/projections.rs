//! `Projections`: list, query, rebuild (design, section 8.4).
//!
//! Invariant: an answer stays below gRPC's message limit; a state whose JSON does not fit is refused and
//! never cut. Deliberately absent: folding (the node's).

use std::time::Duration;

use fedsx_core::cid::Cid;
use fedsx_core::notation::{self, Notation};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::value::Value;
use fedsx_node::{Failure, Folds, Node, Overview};
use tonic::{Request, Response, Status};

use crate::deliveries::blocking;
use crate::page::{self, MESSAGE_BYTES, Room};
use crate::proto::projections_server::Projections;
use crate::proto::{
    self, FoldFailure, KeyState, ListProjectionsRequest, ListProjectionsResponse,
    QueryProjectionRequest, QueryProjectionResponse, RebuildProjectionRequest,
};
use crate::refused::status;

/// Keys read at once: each state may weigh 1 MiB.
const CHUNK: usize = 16;
/// How long a query waits that does not say for what.
const MOMENT: Duration = Duration::from_millis(500);
/// What an answer needs beside one state, bytes.
const REST_BYTES: usize = 256 << 10;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }

    /// An overview with how far it is behind the journal.
    fn shown(&self, overview: Overview) -> proto::Projection {
        let lag = self.node.view().applied().saturating_sub(overview.offset);
        shown(overview, lag)
    }

    /// Waits for the offset asked for; else for what is in the journal now, if that takes but a moment, so
    /// that who has just published sees it.
    async fn wait(&self, asked: &QueryProjectionRequest) -> Result<(), Refusal> {
        let folds = self.node.folds();
        if let Some(offset) = asked.wait {
            return folds.wait(&asked.name, offset).await;
        }
        if asked.at.is_some() || !asked.page_token.is_empty() {
            return Ok(());
        }
        let wait = folds.wait(&asked.name, self.node.view().applied());
        match tokio::time::timeout(MOMENT, wait).await {
            Ok(waited) => waited,
            // The answer tells how far it is.
            Err(_) => Ok(()),
        }
    }

    fn list(&self, asked: &ListProjectionsRequest) -> ListProjectionsResponse {
        let all = self.node.folds().list();
        let limit = page::limit(asked.limit);
        let (page, next_page_token) = page::of_list(all, limit, &asked.page_token, |one| &one.name);
        ListProjectionsResponse {
            projections: page.into_iter().map(|one| self.shown(one)).collect(),
            next_page_token,
        }
    }
}

#[tonic::async_trait]
impl Projections for Service {
    async fn list(
        &self,
        request: Request<ListProjectionsRequest>,
    ) -> Result<Response<ListProjectionsResponse>, Status> {
        Ok(Response::new(self.list(&request.into_inner())))
    }

    async fn query(
        &self,
        request: Request<QueryProjectionRequest>,
    ) -> Result<Response<QueryProjectionResponse>, Status> {
        let asked = request.into_inner();
        let waited = self.wait(&asked).await;
        waited.map_err(|refusal| status(&advised(refusal)))?;
        let node = self.node.clone();
        let answer = blocking(move || query(&node, &asked).map_err(advised)).await;
        answer.map(Response::new)
    }

    async fn rebuild(
        &self,
        request: Request<RebuildProjectionRequest>,
    ) -> Result<Response<proto::Projection>, Status> {
        let ordered = self.node.folds().rebuild(&request.into_inner().name);
        match ordered {
            Ok(overview) => Ok(Response::new(self.shown(overview))),
            Err(refusal) => Err(status(&advised(refusal))),
        }
    }
}

/// What to do next, where the node does not know by which commands it is asked.
fn advised(refusal: Refusal) -> Refusal {
    let next = match refusal.code {
        Code::NotFound => "`fedsx projection list` lists them",
        Code::TooFarBack => "ask as of a later offset, or for the state as it is now",
        _ => return refusal,
    };
    Refusal {
        detail: format!("{}; {next}", refusal.detail),
        ..refusal
    }
}

fn query(node: &Node, asked: &QueryProjectionRequest) -> Result<QueryProjectionResponse, Refusal> {
    let folds = node.folds();
    let name = &asked.name;
    let key = asked.key.as_deref();
    let overview = folds.overview(name)?;
    let mut answer = if key.is_none() && overview.is_keyed && asked.at.is_none() {
        let token = &asked.page_token;
        let after = (!token.is_empty()).then_some(&**token);
        keys(folds, name, after, page::limit(asked.limit))?
    } else {
        let found = match asked.at {
            Some(offset) => folds.state_at(name, key, offset)?,
            None => folds.state(name, key)?,
        };
        QueryProjectionResponse {
            state_json: json(&found.state)?,
            ..QueryProjectionResponse::default()
        }
    };
    let lag = node.view().applied().saturating_sub(overview.offset);
    answer.projection = Some(shown(overview, lag));
    answer.failures = folds.failures(name)?.iter().map(failure).collect();
    Ok(answer)
}

/// A page of keys, read in chunks until it is full.
fn keys(
    folds: &Folds,
    name: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<QueryProjectionResponse, Refusal> {
    let mut room = Room::new(limit);
    let mut states: Vec<KeyState> = Vec::new();
    loop {
        let after = states.last().map_or(after, |state| Some(&*state.key));
        let chunk = folds.states(name, after, CHUNK)?;
        let is_last = chunk.len() < CHUNK;
        for (key, state) in chunk {
            if !room.is_left() {
                return Ok(page_of(states, true));
            }
            let state_json = json(&state)?;
            // What would go past the message's bound stands on the next page.
            if !states.is_empty() && !room.fits(state_json.len()) {
                return Ok(page_of(states, true));
            }
            room.take(key.len() + state_json.len());
            states.push(KeyState { key, state_json });
        }
        if is_last {
            return Ok(page_of(states, false));
        }
    }
}

fn page_of(states: Vec<KeyState>, more: bool) -> QueryProjectionResponse {
    let last = states.last().filter(|_| more);
    QueryProjectionResponse {
        next_page_token: last.map(|state| state.key.clone()).unwrap_or_default(),
        states,
        ..QueryProjectionResponse::default()
    }
}

fn json(state: &Value) -> Result<Vec<u8>, Refusal> {
    let json = notation::write(Notation::Json, state);
    if json.len() <= MESSAGE_BYTES - REST_BYTES {
        return Ok(json);
    }
    let why =
        "the state is too large in JSON for one answer; `GET /projections/NAME` serves it in CBOR";
    Err(Refusal::new(Code::TooLarge, why))
}

fn shown(overview: Overview, lag: u64) -> proto::Projection {
    proto::Projection {
        name: overview.name,
        definition: overview.definition.to_string(),
        scope: if overview.is_public {
            "public"
        } else {
            "private"
        }
        .to_owned(),
        keyed: overview.is_keyed,
        offset: overview.offset,
        lag,
        complete: overview.complete,
        failures: overview.failures,
        rebuilding: overview.rebuilding,
        generation: overview.generation,
    }
}

fn failure(failure: &Failure) -> FoldFailure {
    FoldFailure {
        offset: failure.offset,
        cid: Cid::of_document(failure.activity).to_string(),
        error: failure.error.clone(),
    }
}
