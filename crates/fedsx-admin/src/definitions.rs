//! `Definitions`: define, list, look up.

use fedsx_core::cid::Cid;
use fedsx_core::definition::{Definition, Kind};
use fedsx_core::entry::Role;
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::registry::Registry;
use fedsx_node::{Node, PublishOptions};
use tonic::{Request, Response, Status};

use crate::actors::named;
use crate::proto::definitions_server::Definitions;
use crate::proto::{
    self, DefineRequest, DefineResponse, GetDefinitionRequest, ListDefinitionsRequest,
    ListDefinitionsResponse, ListSubscriptionsRequest, ListSubscriptionsResponse,
    ListTriggersRequest, ListTriggersResponse,
};
use crate::refused::{answer, internal};
use crate::{from_proto, page, to_proto, triggers};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
}

impl Service {
    pub(crate) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn define(&self, request: DefineRequest) -> Result<DefineResponse, Refusal> {
        let actor = named(&self.node, &request.actor)?;
        let object = from_proto::document(&request.document_json)?;
        // Before a role is given for it.
        let definition =
            Definition::of(&object).map_err(|error| Refusal::new(Code::Schema, error.page()))?;
        self.node.set_role(&actor.name, Role::Definer, true).await?;
        let options = PublishOptions::default();
        let published = self.node.publish(&actor.name, object, options).await?;
        let registry = self.node.registry();
        // `id` and what would be a signature are left out of what is published.
        let active = registry
            .version(&definition.digest())
            .or_else(|| registry.resolve(definition.kind(), definition.name(), None))
            .ok_or_else(|| internal("a definition is not active after it was published"))?;
        Ok(DefineResponse {
            definition: Some(to_proto::definition(&registry, active)),
            published: Some(to_proto::published(published)),
        })
    }
}

#[tonic::async_trait]
impl Definitions for Service {
    async fn define(
        &self,
        request: Request<DefineRequest>,
    ) -> Result<Response<DefineResponse>, Status> {
        answer(self.define(request.into_inner()).await)
    }

    async fn list(
        &self,
        request: Request<ListDefinitionsRequest>,
    ) -> Result<Response<ListDefinitionsResponse>, Status> {
        answer(list(&self.node.registry(), &request.into_inner()))
    }

    async fn get(
        &self,
        request: Request<GetDefinitionRequest>,
    ) -> Result<Response<proto::Definition>, Status> {
        answer(get(&self.node.registry(), &request.into_inner().cid))
    }

    async fn triggers(
        &self,
        request: Request<ListTriggersRequest>,
    ) -> Result<Response<ListTriggersResponse>, Status> {
        answer(triggers::list(&self.node, &request.into_inner()))
    }

    async fn subscriptions(
        &self,
        request: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsResponse>, Status> {
        answer(triggers::subscriptions(&self.node, &request.into_inner()))
    }
}

fn list(
    registry: &Registry,
    asked: &ListDefinitionsRequest,
) -> Result<ListDefinitionsResponse, Refusal> {
    let kind = match &*asked.kind {
        "" => None,
        kind => Some(Kind::parse(kind).ok_or_else(|| {
            let kinds = Kind::ALL.map(Kind::as_str).join(", ");
            Refusal::new(Code::Malformed, format!("kind must be one of {kinds}"))
        })?),
    };
    let start = page::number(&asked.page_token)?.unwrap_or(0);
    let start = usize::try_from(start).map_err(internal)?;
    let mut room = page::Room::new(page::limit(asked.limit));
    let mut answer = ListDefinitionsResponse::default();
    for (place, active) in registry.active(kind).enumerate().skip(start) {
        if !room.is_left() {
            answer.next_page_token = place.to_string();
            break;
        }
        let definition = to_proto::definition(registry, active);
        room.take(definition.document_json.len());
        answer.definitions.push(definition);
    }
    Ok(answer)
}

fn get(registry: &Registry, cid: &str) -> Result<proto::Definition, Refusal> {
    let cid: Cid = cid.parse()?;
    let active = registry.version(&cid.digest).ok_or_else(|| {
        let why = "there is no such definition here; `fedsx definitions` lists them";
        Refusal::new(Code::NotFound, why)
    })?;
    Ok(to_proto::definition(registry, active))
}
