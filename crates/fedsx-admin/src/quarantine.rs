//! `Quarantine`: what was refused by what it says, listed, released and discarded.

use fedsx_core::canonical::jcs_map;
use fedsx_core::cid::Cid;
use fedsx_core::limits::DOCUMENT_IN_BYTES;
use fedsx_core::notation::read_document;
use fedsx_core::refusal::Refusal;
use fedsx_node::Node;
use fedsx_store::quarantine::Quarantined;
use tonic::{Request, Response, Status};

use crate::page;
use crate::proto::quarantine_server::Quarantine;
use crate::proto::{
    self, DiscardRequest, DiscardResponse, GetQuarantinedRequest, ListQuarantineRequest,
    ListQuarantineResponse, ReleaseRequest, ReleaseResponse,
};
use crate::refused::{answer, internal};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn find(&self, cid: &str) -> Result<proto::Quarantined, Refusal> {
        let (account, document) = self.node.quarantined_document(&cid.parse()?).await?;
        let map = read_document(account.notation, &document, DOCUMENT_IN_BYTES);
        let map = map.map_err(internal)?;
        Ok(proto::Quarantined {
            document_json: jcs_map(&map),
            ..message(account)
        })
    }

    async fn let_pass(&self, cid: &str) -> Result<ReleaseResponse, Refusal> {
        let receipt = self.node.release(&cid.parse()?).await?;
        let cid = receipt.cid.to_string();
        Ok(ReleaseResponse { cid })
    }

    async fn drop(&self, cid: &str) -> Result<DiscardResponse, Refusal> {
        self.node.discard(&cid.parse()?).await?;
        Ok(DiscardResponse {})
    }
}

#[tonic::async_trait]
impl Quarantine for Service {
    async fn list(
        &self,
        request: Request<ListQuarantineRequest>,
    ) -> Result<Response<ListQuarantineResponse>, Status> {
        let asked = request.into_inner();
        let all = self.node.quarantined().into_iter().map(message).collect();
        let limit = page::limit(asked.limit);
        let (quarantined, next_page_token) = page::of_list(
            all,
            limit,
            &asked.page_token,
            |held: &proto::Quarantined| &held.cid,
        );
        Ok(Response::new(ListQuarantineResponse {
            quarantined,
            next_page_token,
        }))
    }

    async fn get(
        &self,
        request: Request<GetQuarantinedRequest>,
    ) -> Result<Response<proto::Quarantined>, Status> {
        answer(self.find(&request.into_inner().cid).await)
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        answer(self.let_pass(&request.into_inner().cid).await)
    }

    async fn discard(
        &self,
        request: Request<DiscardRequest>,
    ) -> Result<Response<DiscardResponse>, Status> {
        answer(self.drop(&request.into_inner().cid).await)
    }
}

fn message(account: Quarantined) -> proto::Quarantined {
    proto::Quarantined {
        cid: Cid::of_document(account.digest).to_string(),
        id: account.id,
        actor: account.actor,
        verb: account.verb,
        code: account.code,
        detail: account.detail,
        refused_ms: account.refused_ms,
        target: account.target.unwrap_or_default(),
        document_json: Vec::new(),
    }
}
