//! `Groups`: who controls a group, and who is a member.

use fedsx_core::group::Post;
use fedsx_core::refusal::Refusal;
use fedsx_node::{Node, Published};
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::deliveries::blocking;
use crate::proto::groups_server::Groups;
use crate::proto::{
    AddToGroupRequest, AddToGroupResponse, GetGroupRequest, Group, GroupPost,
    RemoveFromGroupRequest, RemoveFromGroupResponse,
};
use crate::refused::{internal, status};
use crate::{from_proto, to_proto};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn appoint(
        &self,
        (name, who): (&str, &str),
        post: GroupPost,
        given: bool,
    ) -> Result<(String, Published), Status> {
        let post = match post {
            GroupPost::Controller => Post::Controller,
            GroupPost::Member | GroupPost::Unspecified => Post::Member,
        };
        let appointed = async {
            from_proto::who(who)?;
            let group = named(&self.node, name)?;
            self.node.appoint(&group.name, who, post, given).await
        };
        appointed.await.map_err(|refusal| status(&refusal))
    }
}

#[tonic::async_trait]
impl Groups for Service {
    async fn add(
        &self,
        request: Request<AddToGroupRequest>,
    ) -> Result<Response<AddToGroupResponse>, Status> {
        let asked = request.into_inner();
        let whom = (&*asked.name, &*asked.who);
        let (who, published) = self.appoint(whom, asked.post(), true).await?;
        let published = Some(to_proto::published(published));
        Ok(Response::new(AddToGroupResponse { who, published }))
    }

    async fn remove(
        &self,
        request: Request<RemoveFromGroupRequest>,
    ) -> Result<Response<RemoveFromGroupResponse>, Status> {
        let asked = request.into_inner();
        let whom = (&*asked.name, &*asked.who);
        let (who, published) = self.appoint(whom, asked.post(), false).await?;
        let published = Some(to_proto::published(published));
        Ok(Response::new(RemoveFromGroupResponse { who, published }))
    }

    async fn get(&self, request: Request<GetGroupRequest>) -> Result<Response<Group>, Status> {
        let node = self.node.clone();
        let name = request.into_inner().name;
        blocking(move || shown(&node, &name))
            .await
            .map(Response::new)
    }
}

fn shown(node: &Node, name: &str) -> Result<Group, Refusal> {
    let group = node.group(&named(node, name)?.name)?;
    let view = node.view();
    let totals = view.state().relation_totals(group.no).map_err(internal)?;
    let standings = view.standings(group.no).map_err(internal)?;
    let those = |post| {
        let those = standings.iter().filter(|(_, standing)| standing.has(post));
        those.map(|(who, _)| who.clone()).collect()
    };
    Ok(Group {
        controllers: those(Post::Controller),
        members: those(Post::Member),
        name: group.name,
        url: group.url,
        closed: group.manual_approval,
        followers: totals.followers,
    })
}
