//! `Follows`: ask, answer, end, block; and who follows whom.

use fedsx_core::backfill::Mode;
use fedsx_core::follow::{Direction, Phase, Relation};
use fedsx_core::refusal::Refusal;
use fedsx_node::Node;
use fedsx_store::View;
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::blocking;
use crate::proto::follows_server::Follows;
use crate::proto::{
    self, AcceptRequest, AcceptResponse, BlockRequest, BlockResponse, FollowRequest,
    FollowResponse, ListRelationsRequest, ListRelationsResponse, RejectRequest, RejectResponse,
    UnblockRequest, UnblockResponse, UnfollowRequest, UnfollowResponse,
};
use crate::refused::{internal, status};
use crate::{from_proto, page, to_proto};

/// Relations read at once.
const CHUNK: usize = 256;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn list(
        &self,
        request: Request<ListRelationsRequest>,
        direction: Direction,
        pending_only: bool,
    ) -> Result<Response<ListRelationsResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list(&node, &asked, direction, pending_only))
            .await
            .map(Response::new)
    }
}

/// One of the verbs: all take an actor of ours and another, and answer what was published.
macro_rules! verb {
    ($self:ident, $request:ident, $verb:ident, $answer:ident) => {{
        let asked = $request.into_inner();
        from_proto::who(&asked.who).map_err(|refusal| status(&refusal))?;
        let published = $self.node.$verb(&asked.actor, &asked.who).await;
        let published = published.map_err(|refusal| status(&refusal))?;
        Ok(Response::new($answer {
            published: Some(to_proto::published(published)),
        }))
    }};
}

#[tonic::async_trait]
impl Follows for Service {
    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<FollowResponse>, Status> {
        let asked = request.into_inner();
        let followed = async {
            from_proto::who(&asked.who)?;
            let backfill = match &*asked.backfill {
                "" => self.node.usual_backfill(),
                mode => Mode::parse(mode)?,
            };
            let followed = self.node.follow_with(&asked.actor, &asked.who, backfill);
            followed.await
        };
        let published = followed.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(FollowResponse {
            published: Some(to_proto::published(published)),
        }))
    }

    async fn unfollow(
        &self,
        request: Request<UnfollowRequest>,
    ) -> Result<Response<UnfollowResponse>, Status> {
        verb!(self, request, unfollow, UnfollowResponse)
    }

    async fn accept(
        &self,
        request: Request<AcceptRequest>,
    ) -> Result<Response<AcceptResponse>, Status> {
        verb!(self, request, accept, AcceptResponse)
    }

    async fn reject(
        &self,
        request: Request<RejectRequest>,
    ) -> Result<Response<RejectResponse>, Status> {
        verb!(self, request, reject, RejectResponse)
    }

    async fn block(
        &self,
        request: Request<BlockRequest>,
    ) -> Result<Response<BlockResponse>, Status> {
        verb!(self, request, block, BlockResponse)
    }

    async fn unblock(
        &self,
        request: Request<UnblockRequest>,
    ) -> Result<Response<UnblockResponse>, Status> {
        verb!(self, request, unblock, UnblockResponse)
    }

    async fn list_followers(
        &self,
        request: Request<ListRelationsRequest>,
    ) -> Result<Response<ListRelationsResponse>, Status> {
        self.list(request, Direction::Follower, false).await
    }

    async fn list_following(
        &self,
        request: Request<ListRelationsRequest>,
    ) -> Result<Response<ListRelationsResponse>, Status> {
        self.list(request, Direction::Following, false).await
    }

    async fn list_requests(
        &self,
        request: Request<ListRelationsRequest>,
    ) -> Result<Response<ListRelationsResponse>, Status> {
        self.list(request, Direction::Follower, true).await
    }
}

fn list(
    node: &Node,
    asked: &ListRelationsRequest,
    direction: Direction,
    pending_only: bool,
) -> Result<ListRelationsResponse, Refusal> {
    let view = node.view();
    let actor = named(node, &asked.actor)?;
    let mut room = page::Room::new(page::limit(asked.limit));
    let mut entries = to_proto::Entries::new(view);
    let mut relations = Vec::new();
    let mut after = Some(asked.page_token.clone()).filter(|token| !token.is_empty());
    loop {
        let rows = view
            .relations(actor.no, direction, after.as_deref(), CHUNK)
            .map_err(internal)?;
        let last_chunk = rows.len() < CHUNK;
        for (peer, relation) in rows {
            if !room.is_left() {
                let next_page_token = after.unwrap_or_default();
                return Ok(ListRelationsResponse {
                    relations,
                    next_page_token,
                });
            }
            after = Some(peer.clone());
            if !pending_only || relation.phase == Phase::Pending {
                let shown = shown(view, &mut entries, peer, &relation)?;
                room.take(
                    shown
                        .follow
                        .as_ref()
                        .map_or(0, |entry| entry.document_json.len()),
                );
                relations.push(shown);
            }
        }
        if last_chunk {
            return Ok(ListRelationsResponse {
                relations,
                next_page_token: String::new(),
            });
        }
    }
}

fn shown(
    view: &View,
    entries: &mut to_proto::Entries<'_>,
    peer: String,
    relation: &Relation,
) -> Result<proto::Relation, Refusal> {
    let state = relation.phase.as_str();
    let stored = match &relation.id {
        Some(id) => view.activity_by_id(id).map_err(internal)?,
        None => None,
    };
    let follow = match stored {
        Some(stored) => entries.entry(&stored, None)?,
        None => None,
    };
    Ok(proto::Relation {
        peer,
        state: state.to_owned(),
        since_ms: relation.since_ms,
        follow: follow.map(|entry| proto::Entry {
            state: state.to_owned(),
            ..entry
        }),
    })
}
