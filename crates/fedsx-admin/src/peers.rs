//! `Peers`: which hosts and remote actors are shut out, and whether followers are taken for such on both sides.

use fedsx_core::refusal::Refusal;
use fedsx_node::{Comparison, Node};
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::blocking;
use crate::proto::peers_server::Peers;
use crate::proto::{
    BlockHostRequest, BlockHostResponse, BlockPeerRequest, BlockPeerResponse,
    CompareFollowersRequest, CompareFollowersResponse, ListBlockedHostsRequest,
    ListBlockedHostsResponse, ListBlockedPeersRequest, ListBlockedPeersResponse,
    UnblockHostRequest, UnblockHostResponse, UnblockPeerRequest, UnblockPeerResponse,
};
use crate::refused::{internal, status};
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

    async fn set(&self, host: &str, actor: &str, blocked: bool) -> Result<String, Status> {
        let set = async {
            if actor.is_empty() {
                return self.node.block_host(host, blocked).await;
            }
            let actor = named(&self.node, actor)?;
            self.node.block_host_for(&actor.name, host, blocked).await
        };
        set.await.map_err(|refusal| status(&refusal))
    }

    async fn set_peer(&self, who: &str, blocked: bool) -> Result<String, Status> {
        let set = async {
            from_proto::who(who)?;
            self.node.block_peer(who, blocked).await
        };
        set.await.map_err(|refusal| status(&refusal))
    }
}

#[tonic::async_trait]
impl Peers for Service {
    async fn block_host(
        &self,
        request: Request<BlockHostRequest>,
    ) -> Result<Response<BlockHostResponse>, Status> {
        let BlockHostRequest { host, actor } = request.into_inner();
        let host = self.set(&host, &actor, true).await?;
        Ok(Response::new(BlockHostResponse { host }))
    }

    async fn unblock_host(
        &self,
        request: Request<UnblockHostRequest>,
    ) -> Result<Response<UnblockHostResponse>, Status> {
        let UnblockHostRequest { host, actor } = request.into_inner();
        let host = self.set(&host, &actor, false).await?;
        Ok(Response::new(UnblockHostResponse { host }))
    }

    async fn compare_followers(
        &self,
        request: Request<CompareFollowersRequest>,
    ) -> Result<Response<CompareFollowersResponse>, Status> {
        let compared = self.node.compare_now(&request.into_inner().who).await;
        let Comparison {
            listed,
            here,
            asked,
            undone,
            left,
        } = compared.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(CompareFollowersResponse {
            listed,
            here,
            asked,
            undone,
            left,
        }))
    }

    async fn list_blocked_hosts(
        &self,
        request: Request<ListBlockedHostsRequest>,
    ) -> Result<Response<ListBlockedHostsResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list(&node, &asked))
            .await
            .map(Response::new)
    }

    async fn block_peer(
        &self,
        request: Request<BlockPeerRequest>,
    ) -> Result<Response<BlockPeerResponse>, Status> {
        let actor = self.set_peer(&request.into_inner().who, true).await?;
        Ok(Response::new(BlockPeerResponse { actor }))
    }

    async fn unblock_peer(
        &self,
        request: Request<UnblockPeerRequest>,
    ) -> Result<Response<UnblockPeerResponse>, Status> {
        let actor = self.set_peer(&request.into_inner().who, false).await?;
        Ok(Response::new(UnblockPeerResponse { actor }))
    }

    async fn list_blocked_peers(
        &self,
        request: Request<ListBlockedPeersRequest>,
    ) -> Result<Response<ListBlockedPeersResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list_peers(&node, &asked))
            .await
            .map(Response::new)
    }
}

fn list_peers(
    node: &Node,
    asked: &ListBlockedPeersRequest,
) -> Result<ListBlockedPeersResponse, Refusal> {
    let limit = page::limit(asked.limit);
    let actors = node.view().blocked_peers(&asked.page_token, limit);
    let actors = actors.map_err(internal)?;
    let last = actors.last().filter(|_| actors.len() == limit);
    Ok(ListBlockedPeersResponse {
        next_page_token: last.cloned().unwrap_or_default(),
        actors,
    })
}

fn list(node: &Node, asked: &ListBlockedHostsRequest) -> Result<ListBlockedHostsResponse, Refusal> {
    let limit = page::limit(asked.limit);
    let (view, after) = (node.view(), &*asked.page_token);
    let hosts = match &*asked.actor {
        "" => view.blocked_hosts(after, limit),
        actor => view.hosts_blocked_by(named(node, actor)?.no, after, limit),
    };
    let hosts = hosts.map_err(internal)?;
    let last = hosts.last().filter(|_| hosts.len() == limit);
    Ok(ListBlockedHostsResponse {
        next_page_token: last.cloned().unwrap_or_default(),
        hosts,
    })
}
