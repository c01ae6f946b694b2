//! `Backfills`: the history of whom an actor follows, begun by hand, and how far it has come.

use fedsx_core::backfill::{Finding, Mode};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_node::{BackfillStatus, Node};
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::blocking;
use crate::proto::backfills_server::Backfills;
use crate::proto::{
    Backfill, BackfillFinding, BeginBackfillRequest, GetBackfillRequest, ListBackfillsRequest,
    ListBackfillsResponse,
};
use crate::refused::status;
use crate::{from_proto, page};

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
impl Backfills for Service {
    async fn begin(
        &self,
        request: Request<BeginBackfillRequest>,
    ) -> Result<Response<Backfill>, Status> {
        let asked = request.into_inner();
        let begun = async {
            from_proto::who(&asked.who)?;
            let mode = match &*asked.mode {
                "" => None,
                mode => Some(some(mode)?),
            };
            let begun = self.node.backfill_now(&asked.actor, &asked.who, mode);
            begun.await
        };
        let begun = begun.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(shown(begun)))
    }

    async fn get(
        &self,
        request: Request<GetBackfillRequest>,
    ) -> Result<Response<Backfill>, Status> {
        let (node, asked) = (self.node.clone(), request.into_inner());
        let get = move || {
            let actor = named(&node, &asked.actor)?;
            let found = node.backfill_status(&actor, &asked.peer)?;
            let why = "nothing of its history was asked for";
            found
                .map(shown)
                .ok_or_else(|| Refusal::new(Code::NotFound, why))
        };
        blocking(get).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<ListBackfillsRequest>,
    ) -> Result<Response<ListBackfillsResponse>, Status> {
        let (node, asked) = (self.node.clone(), request.into_inner());
        let list = move || {
            let actor = named(&node, &asked.actor)?;
            let limit = page::limit(asked.limit);
            let after = Some(&*asked.page_token).filter(|token| !token.is_empty());
            let found = node.backfills(&actor.name, after, limit)?;
            let last = found.last().filter(|_| found.len() == limit);
            let next_page_token = last.map_or_else(String::new, |last| last.peer.clone());
            Ok(ListBackfillsResponse {
                backfills: found.into_iter().map(shown).collect(),
                next_page_token,
            })
        };
        blocking(list).await.map(Response::new)
    }
}

/// A mode that asks for something.
fn some(mode: &str) -> Result<Mode, Refusal> {
    let why = "to begin with nothing is no beginning";
    Mode::parse(mode)?.ok_or_else(|| Refusal::new(Code::Malformed, why))
}

fn shown(status: BackfillStatus) -> Backfill {
    let BackfillStatus {
        peer,
        backfill,
        progress,
        expected,
    } = status;
    let state = backfill.state().to_owned();
    let mode = backfill.mode.to_string();
    let finding = |finding: Finding| BackfillFinding {
        wrong: finding.wrong.as_str().to_owned(),
        what: finding.what,
    };
    let found = |found: Vec<Finding>| found.into_iter().map(finding).collect();
    let running = Backfill {
        peer,
        mode,
        state,
        entered: progress.entered,
        here: progress.here,
        left_out: progress.left_out,
        refused: progress.refused,
        deleted: progress.deleted,
        pages: progress.pages,
        bytes: progress.bytes,
        expected,
        found: found(progress.found),
        why: progress.error.unwrap_or_default(),
        retry_ms: progress.retry_ms,
    };
    match backfill.ended {
        Some(ended) => Backfill {
            entered: ended.entered,
            here: ended.here,
            found: found(ended.found),
            why: ended.why.unwrap_or_default(),
            retry_ms: 0,
            ..running
        },
        None => running,
    }
}
