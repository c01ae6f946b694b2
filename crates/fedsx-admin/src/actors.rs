//! `Actors`: create, look up, list, profiles, moves, ends, roles, keys and tokens. Export and import: `transfer`.

use std::pin::Pin;
use std::sync::Arc;

use fedsx_core::entry::Role;
use fedsx_core::key::{Commitment, RecoveryKey};
use fedsx_core::refusal::{Code, Refusal};
use fedsx_core::state::Actor;
use fedsx_node::{Node, Scope, Token};
use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::deliveries::{DeliveryAdmin, blocking};
use crate::proto::actors_server::Actors;
use crate::proto::{
    self, CommitRecoveryRequest, CommitRecoveryResponse, CreateActorRequest, CreateActorResponse,
    DeleteActorRequest, DeleteActorResponse, ExportActorRequest, ExportActorResponse,
    GetActorRequest, ImportActorRequest, ImportActorResponse, IssueTokenRequest,
    IssueTokenResponse, ListActorsRequest, ListActorsResponse, ListKeysRequest, ListKeysResponse,
    ListTokensRequest, ListTokensResponse, MoveActorRequest, MoveActorResponse, RecoverRequest,
    RecoverResponse, RevokeTokenRequest, RevokeTokenResponse, RotateKeyRequest, RotateKeyResponse,
    SetRoleRequest, SetRoleResponse, UpdateActorRequest, UpdateActorResponse,
};
use crate::refused::{internal, status};
use crate::{from_proto, keys, page, to_proto, transfer};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    node: Node,
    deliveries: Arc<dyn DeliveryAdmin>,
}

impl Service {
    pub(crate) fn new(node: Node, deliveries: Arc<dyn DeliveryAdmin>) -> Self {
        Self { node, deliveries }
    }
}

/// The actor of that name; the refusal names the way out.
pub(crate) fn named(node: &Node, name: &str) -> Result<Actor, Refusal> {
    let found = node
        .view()
        .state()
        .actor_by_name(&name.to_ascii_lowercase())
        .map_err(internal)?;
    found.ok_or_else(|| {
        // Whatever was sent is shown short and in one line.
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        Refusal::new(
            Code::NoSuchActor,
            format!("there is no actor `{shown}` here; `fedsx actor list` shows who is"),
        )
    })
}

fn shown(node: &Node, actor: &Actor) -> Result<proto::Actor, Refusal> {
    to_proto::actor(node.view(), node.instance().authority(), actor)
}

#[tonic::async_trait]
impl Actors for Service {
    async fn create(
        &self,
        request: Request<CreateActorRequest>,
    ) -> Result<Response<CreateActorResponse>, Status> {
        let new = from_proto::new_actor(request.into_inner()).map_err(|r| status(&r))?;
        let (actor, published) = self.node.create_actor(new).await.map_err(|r| status(&r))?;
        let node = self.node.clone();
        let actor = blocking(move || shown(&node, &actor)).await?;
        Ok(Response::new(CreateActorResponse {
            actor: Some(actor),
            published: Some(to_proto::published(published)),
        }))
    }

    async fn get(
        &self,
        request: Request<GetActorRequest>,
    ) -> Result<Response<proto::Actor>, Status> {
        let node = self.node.clone();
        let name = request.into_inner().name;
        blocking(move || shown(&node, &named(&node, &name)?))
            .await
            .map(Response::new)
    }

    async fn list(
        &self,
        request: Request<ListActorsRequest>,
    ) -> Result<Response<ListActorsResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        blocking(move || list(&node, &asked))
            .await
            .map(Response::new)
    }

    async fn update(
        &self,
        request: Request<UpdateActorRequest>,
    ) -> Result<Response<UpdateActorResponse>, Status> {
        let UpdateActorRequest {
            name,
            members_json,
            icon_file,
        } = request.into_inner();
        let updated = async {
            let members = from_proto::document(&members_json)?;
            let icon = (!icon_file.is_empty()).then(|| icon_file.into());
            let actor = named(&self.node, &name)?;
            self.node.update_actor(&actor.name, &members, icon).await
        };
        let (actor, published) = updated.await.map_err(|refusal| status(&refusal))?;
        let node = self.node.clone();
        let actor = blocking(move || shown(&node, &actor)).await?;
        Ok(Response::new(UpdateActorResponse {
            actor: Some(actor),
            published: Some(to_proto::published(published)),
        }))
    }

    async fn r#move(
        &self,
        request: Request<MoveActorRequest>,
    ) -> Result<Response<MoveActorResponse>, Status> {
        let MoveActorRequest { name, who } = request.into_inner();
        let moved = async {
            from_proto::who(&who)?;
            let actor = named(&self.node, &name)?;
            self.node.move_actor(&actor.name, &who).await
        };
        let (target, published) = moved.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(MoveActorResponse {
            target,
            published: Some(to_proto::published(published)),
        }))
    }

    async fn delete(
        &self,
        request: Request<DeleteActorRequest>,
    ) -> Result<Response<DeleteActorResponse>, Status> {
        let name = request.into_inner().name;
        let deleted = async {
            let actor = named(&self.node, &name)?;
            self.node.delete_actor(&actor.name).await
        };
        let published = deleted.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(DeleteActorResponse {
            published: Some(to_proto::published(published)),
        }))
    }

    async fn set_role(
        &self,
        request: Request<SetRoleRequest>,
    ) -> Result<Response<SetRoleResponse>, Status> {
        let SetRoleRequest { name, role, given } = request.into_inner();
        let set = async {
            let actor = named(&self.node, &name)?;
            let role = Role::parse(&role).ok_or_else(|| {
                Refusal::new(Code::Malformed, "the one role there is is `definer`")
            })?;
            self.node.set_role(&actor.name, role, given).await
        };
        set.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(SetRoleResponse {}))
    }

    async fn rotate_key(
        &self,
        request: Request<RotateKeyRequest>,
    ) -> Result<Response<RotateKeyResponse>, Status> {
        let RotateKeyRequest { name, rsa } = request.into_inner();
        let rotated = async {
            let name = named(&self.node, &name)?.name;
            Ok(match rsa {
                true => to_proto::main_key_rotation(self.node.rotate_main_key(&name).await?),
                false => to_proto::rotation(self.node.rotate_key(&name).await?),
            })
        };
        let rotated: Result<_, Refusal> = rotated.await;
        rotated
            .map(Response::new)
            .map_err(|refusal| status(&refusal))
    }

    async fn commit_recovery(
        &self,
        request: Request<CommitRecoveryRequest>,
    ) -> Result<Response<CommitRecoveryResponse>, Status> {
        let asked = request.into_inner();
        let committed = async {
            let actor = named(&self.node, &asked.name)?;
            let commitment = commitment(&asked.digest)?;
            self.node.commit_recovery(&actor.name, &commitment).await
        };
        let published = committed.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(CommitRecoveryResponse {
            published: Some(to_proto::published(published)),
        }))
    }

    async fn recover(
        &self,
        request: Request<RecoverRequest>,
    ) -> Result<Response<RecoverResponse>, Status> {
        let asked = request.into_inner();
        let recovered = async {
            let actor = named(&self.node, &asked.name)?;
            let key = RecoveryKey::parse(&asked.recovery_key).ok_or_else(|| {
                let why = "a recovery key is a text as `actor recovery-key create` made it";
                Refusal::new(Code::Malformed, why)
            })?;
            let next = commitment(&asked.next_digest)?;
            self.node.recover(&actor.name, &key, &next).await
        };
        let rotation = recovered.await.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(RecoverResponse {
            key: Some(to_proto::key(&rotation.key)),
            published: Some(to_proto::published(rotation.published)),
        }))
    }

    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let (node, deliveries) = (self.node.clone(), Arc::clone(&self.deliveries));
        let name = request.into_inner().name;
        blocking(move || keys::list(&node, &*deliveries, &named(&node, &name)?))
            .await
            .map(Response::new)
    }

    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let node = self.node.clone();
        let asked = request.into_inner();
        let issue = move || {
            let actor = named(&node, &asked.name)?;
            let scope = |name: &String| {
                let why = "the scopes there are: publish, read";
                Scope::parse(name).ok_or_else(|| Refusal::new(Code::Malformed, why))
            };
            let scopes: Vec<Scope> = asked.scopes.iter().map(scope).collect::<Result<_, _>>()?;
            let (token, text) = node.issue_token(&actor.name, scopes)?;
            Ok(IssueTokenResponse {
                token: Some(token_shown(&token)),
                secret: text.to_string(),
            })
        };
        blocking(issue).await.map(Response::new)
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let node = self.node.clone();
        let name = request.into_inner().name;
        let list = move || {
            let tokens = node.tokens(&named(&node, &name)?.name)?;
            let tokens = tokens.iter().map(token_shown).collect();
            Ok(ListTokensResponse { tokens })
        };
        blocking(list).await.map(Response::new)
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let node = self.node.clone();
        let RevokeTokenRequest { name, id } = request.into_inner();
        let revoke = move || {
            let actor = named(&node, &name)?;
            node.revoke_token(&actor.name, &id)?;
            Ok(RevokeTokenResponse {})
        };
        blocking(revoke).await.map(Response::new)
    }

    type ExportStream = Pin<Box<dyn Stream<Item = Result<ExportActorResponse, Status>> + Send>>;

    async fn export(
        &self,
        request: Request<ExportActorRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let pieces = transfer::export(self.node.clone(), request.into_inner()).await?;
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn import(
        &self,
        request: Request<Streaming<ImportActorRequest>>,
    ) -> Result<Response<ImportActorResponse>, Status> {
        let name = transfer::import(&self.node, request.into_inner()).await?;
        let node = self.node.clone();
        let actor = blocking(move || shown(&node, &named(&node, &name)?)).await?;
        Ok(Response::new(ImportActorResponse { actor: Some(actor) }))
    }
}

fn commitment(digest: &str) -> Result<Commitment, Refusal> {
    Commitment::parse(digest).ok_or_else(|| {
        let why = "the digest of a recovery key is a sha2-256 multihash in base58btc";
        Refusal::new(Code::Malformed, why)
    })
}

fn token_shown(token: &Token) -> proto::Token {
    let scopes = token.scopes.iter();
    proto::Token {
        id: token.id.clone(),
        scopes: scopes.map(|scope| scope.as_str().to_owned()).collect(),
        issued_ms: token.issued_ms,
    }
}

fn list(node: &Node, asked: &ListActorsRequest) -> Result<ListActorsResponse, Refusal> {
    let view = node.view();
    let count = u64::from(view.state().actor_count().map_err(internal)?);
    let start = page::number(&asked.page_token)?.unwrap_or(0);
    let mut room = page::Room::new(page::limit(asked.limit));
    let mut actors = Vec::new();
    let mut next = start;
    while next < count && room.is_left() {
        let no = u32::try_from(next)
            .map(fedsx_core::entry::ActorNo)
            .map_err(internal)?;
        next += 1;
        let Some(actor) = view.state().actor(no).map_err(internal)? else {
            continue;
        };
        let actor = shown(node, &actor)?;
        room.take(
            actor
                .entry
                .as_ref()
                .map_or(0, |entry| entry.document_json.len()),
        );
        actors.push(actor);
    }
    let next_page_token = if next < count {
        next.to_string()
    } else {
        String::new()
    };
    Ok(ListActorsResponse {
        actors,
        next_page_token,
    })
}
