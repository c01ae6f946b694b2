//! The client of the admin API, for programs on this side of it.
//!
//! Deliberately absent: TLS (the API listens on the loopback address; further away belongs a tunnel)
//! and retries (what is published twice is published twice).

use std::error::Error as _;
use std::time::Duration;

use futures_util::Stream;
use tonic::codegen::InterceptedService;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::guard::REQUEST_ID;
use crate::page::MESSAGE_BYTES;
use crate::proto;
use crate::proto::activities_client::ActivitiesClient;
use crate::proto::actors_client::ActorsClient;
use crate::proto::backfills_client::BackfillsClient;
use crate::proto::definitions_client::DefinitionsClient;
use crate::proto::deliveries_client::DeliveriesClient;
use crate::proto::follows_client::FollowsClient;
use crate::proto::groups_client::GroupsClient;
use crate::proto::instance_client::InstanceClient;
use crate::proto::logs_client::LogsClient;
use crate::proto::peers_client::PeersClient;
use crate::proto::projections_client::ProjectionsClient;
use crate::proto::quarantine_client::QuarantineClient;
use crate::refused::{CODE, RETRY_AFTER};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer may have to wait for a look at a peer, which has timeouts of its own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What went wrong with a request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL or the token can't be used.
    #[error("{0}")]
    Address(&'static str),
    /// Nobody answers there.
    #[error("no admin API answers at {url}")]
    Unreachable {
        /// The address asked.
        url: String,
    },
    /// The server refused.
    #[error("{detail}")]
    Refused {
        /// The stable code.
        code: String,
        /// Why, in a sentence.
        detail: String,
        /// After how many seconds another try makes sense.
        retry_after_s: Option<u32>,
    },
    /// The server failed, or the connection did.
    #[error("{detail}")]
    Failed {
        /// What is known of it.
        detail: String,
        /// The request's id, to be found in the server's log.
        request_id: Option<String>,
    },
}

/// A connection to an admin API; clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    channel: InterceptedService<Channel, Bearer>,
}

#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Unary requests: one method each, named after service and method.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident: $client:ident.$method:ident($request:ident) -> $answer:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`ClientError`].
                pub async fn $name(
                    &self,
                    request: proto::$request,
                ) -> Result<proto::$answer, ClientError> {
                    let mut client = $client::new(self.channel.clone())
                        .max_decoding_message_size(MESSAGE_BYTES)
                        .max_encoding_message_size(MESSAGE_BYTES);
                    let mut request = Request::new(request);
                    request.set_timeout(ANSWER_TIMEOUT);
                    let answer = client.$method(request).await;
                    answer.map(Response::into_inner).map_err(|status| self.error(&status))
                }
            )*
        }
    };
}

unary! {
    /// `Actors.Create`.
    create_actor: ActorsClient.create(CreateActorRequest) -> CreateActorResponse;
    /// `Actors.Get`.
    actor: ActorsClient.get(GetActorRequest) -> Actor;
    /// `Actors.List`.
    list_actors: ActorsClient.list(ListActorsRequest) -> ListActorsResponse;
    /// `Follows.Follow`.
    follow: FollowsClient.follow(FollowRequest) -> FollowResponse;
    /// `Follows.Unfollow`.
    unfollow: FollowsClient.unfollow(UnfollowRequest) -> UnfollowResponse;
    /// `Follows.Accept`.
    accept: FollowsClient.accept(AcceptRequest) -> AcceptResponse;
    /// `Follows.Reject`.
    reject: FollowsClient.reject(RejectRequest) -> RejectResponse;
    /// `Follows.Block`.
    block: FollowsClient.block(BlockRequest) -> BlockResponse;
    /// `Follows.Unblock`.
    unblock: FollowsClient.unblock(UnblockRequest) -> UnblockResponse;
    /// `Follows.ListFollowers`.
    list_followers: FollowsClient.list_followers(ListRelationsRequest) -> ListRelationsResponse;
    /// `Follows.ListFollowing`.
    list_following: FollowsClient.list_following(ListRelationsRequest) -> ListRelationsResponse;
    /// `Follows.ListRequests`.
    list_requests: FollowsClient.list_requests(ListRelationsRequest) -> ListRelationsResponse;
    /// `Backfills.Begin`.
    begin_backfill: BackfillsClient.begin(BeginBackfillRequest) -> Backfill;
    /// `Backfills.Get`.
    backfill: BackfillsClient.get(GetBackfillRequest) -> Backfill;
    /// `Backfills.List`.
    list_backfills: BackfillsClient.list(ListBackfillsRequest) -> ListBackfillsResponse;
    /// `Groups.Add`.
    add_to_group: GroupsClient.add(AddToGroupRequest) -> AddToGroupResponse;
    /// `Groups.Remove`.
    remove_from_group: GroupsClient.remove(RemoveFromGroupRequest) -> RemoveFromGroupResponse;
    /// `Groups.Get`.
    group: GroupsClient.get(GetGroupRequest) -> Group;
    /// `Activities.Publish`.
    publish: ActivitiesClient.publish(PublishRequest) -> PublishResponse;
    /// `Activities.Announce`.
    announce: ActivitiesClient.announce(AnnounceRequest) -> PublishResponse;
    /// `Activities.Endorse`.
    endorse: ActivitiesClient.endorse(EndorseRequest) -> PublishResponse;
    /// `Activities.Delete`.
    delete: ActivitiesClient.delete(DeleteRequest) -> PublishResponse;
    /// `Activities.Get`.
    activity: ActivitiesClient.get(GetActivityRequest) -> Entry;
    /// `Activities.Explain`.
    explain: ActivitiesClient.explain(ExplainRequest) -> Explanation;
    /// `Quarantine.List`.
    quarantine: QuarantineClient.list(ListQuarantineRequest) -> ListQuarantineResponse;
    /// `Quarantine.Get`.
    quarantined: QuarantineClient.get(GetQuarantinedRequest) -> Quarantined;
    /// `Quarantine.Release`.
    release: QuarantineClient.release(ReleaseRequest) -> ReleaseResponse;
    /// `Quarantine.Discard`.
    discard_quarantined: QuarantineClient.discard(DiscardRequest) -> DiscardResponse;
    /// `Activities.Timeline`.
    timeline: ActivitiesClient.timeline(TimelineRequest) -> TimelineResponse;
    /// `Activities.ListLog`.
    list_log: ActivitiesClient.list_log(ListLogRequest) -> ListLogResponse;
    /// `Actors.Update`.
    update_actor: ActorsClient.update(UpdateActorRequest) -> UpdateActorResponse;
    /// `Actors.Move`.
    move_actor: ActorsClient.r#move(MoveActorRequest) -> MoveActorResponse;
    /// `Actors.Delete`.
    delete_actor: ActorsClient.delete(DeleteActorRequest) -> DeleteActorResponse;
    /// `Actors.SetRole`.
    set_role: ActorsClient.set_role(SetRoleRequest) -> SetRoleResponse;
    /// `Actors.RotateKey`.
    rotate_key: ActorsClient.rotate_key(RotateKeyRequest) -> RotateKeyResponse;
    /// `Actors.CommitRecovery`.
    commit_recovery: ActorsClient.commit_recovery(CommitRecoveryRequest) -> CommitRecoveryResponse;
    /// `Actors.Recover`.
    recover: ActorsClient.recover(RecoverRequest) -> RecoverResponse;
    /// `Actors.ListKeys`.
    list_keys: ActorsClient.list_keys(ListKeysRequest) -> ListKeysResponse;
    /// `Actors.IssueToken`.
    issue_token: ActorsClient.issue_token(IssueTokenRequest) -> IssueTokenResponse;
    /// `Actors.ListTokens`.
    list_tokens: ActorsClient.list_tokens(ListTokensRequest) -> ListTokensResponse;
    /// `Actors.RevokeToken`.
    revoke_token: ActorsClient.revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
    /// `Definitions.Define`.
    define: DefinitionsClient.define(DefineRequest) -> DefineResponse;
    /// `Definitions.List`.
    definitions: DefinitionsClient.list(ListDefinitionsRequest) -> ListDefinitionsResponse;
    /// `Definitions.Get`.
    definition: DefinitionsClient.get(GetDefinitionRequest) -> Definition;
    /// `Definitions.Triggers`.
    triggers: DefinitionsClient.triggers(ListTriggersRequest) -> ListTriggersResponse;
    /// `Definitions.Subscriptions`.
    subscriptions: DefinitionsClient.subscriptions(ListSubscriptionsRequest) -> ListSubscriptionsResponse;
    /// `Projections.List`.
    projections: ProjectionsClient.list(ListProjectionsRequest) -> ListProjectionsResponse;
    /// `Projections.Query`.
    projection: ProjectionsClient.query(QueryProjectionRequest) -> QueryProjectionResponse;
    /// `Projections.Rebuild`.
    rebuild: ProjectionsClient.rebuild(RebuildProjectionRequest) -> Projection;
    /// `Deliveries.Lanes`.
    lanes: DeliveriesClient.lanes(LanesRequest) -> LanesResponse;
    /// `Deliveries.DeadLetters`.
    dead_letters: DeliveriesClient.dead_letters(DeadLettersRequest) -> DeadLettersResponse;
    /// `Deliveries.Retry`.
    retry: DeliveriesClient.retry(RetryRequest) -> RetryResponse;
    /// `Deliveries.Drop`.
    discard: DeliveriesClient.drop(DropRequest) -> DropResponse;
    /// `Deliveries.Wake`.
    wake: DeliveriesClient.wake(WakeRequest) -> WakeResponse;
    /// `Peers.BlockHost`.
    block_host: PeersClient.block_host(BlockHostRequest) -> BlockHostResponse;
    /// `Peers.UnblockHost`.
    unblock_host: PeersClient.unblock_host(UnblockHostRequest) -> UnblockHostResponse;
    /// `Peers.ListBlockedHosts`.
    blocked_hosts: PeersClient.list_blocked_hosts(ListBlockedHostsRequest) -> ListBlockedHostsResponse;
    /// `Peers.BlockPeer`.
    block_peer: PeersClient.block_peer(BlockPeerRequest) -> BlockPeerResponse;
    /// `Peers.UnblockPeer`.
    unblock_peer: PeersClient.unblock_peer(UnblockPeerRequest) -> UnblockPeerResponse;
    /// `Peers.ListBlockedPeers`.
    blocked_peers: PeersClient.list_blocked_peers(ListBlockedPeersRequest) -> ListBlockedPeersResponse;
    /// `Peers.CompareFollowers`.
    compare_followers: PeersClient.compare_followers(CompareFollowersRequest) -> CompareFollowersResponse;
    /// `Logs.Verify`.
    verify_log: LogsClient.verify(VerifyLogRequest) -> VerifyLogResponse;
    /// `Logs.ListForks`.
    log_forks: LogsClient.list_forks(ListForksRequest) -> ListForksResponse;
    /// `Logs.Begin`.
    begin_log: LogsClient.begin(BeginLogRequest) -> BeginLogResponse;
    /// `Instance.Status`.
    status: InstanceClient.status(StatusRequest) -> StatusResponse;
}

impl Client {
    /// Connects to the admin API at `url` (`http://host:port`).
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::Unreachable`].
    pub async fn connect(url: &str, token: &str) -> Result<Self, ClientError> {
        let malformed = ClientError::Address("an admin address looks like http://127.0.0.1:8081");
        if !url.starts_with("http://") {
            return Err(malformed);
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| malformed)?;
        let bearer = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
        let bearer = bearer.map_err(|_| ClientError::Address("the token has odd characters"))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await;
        let channel = channel.map_err(|_| ClientError::Unreachable {
            url: url.to_owned(),
        })?;
        let channel = InterceptedService::new(channel, Bearer(bearer));
        Ok(Self {
            url: url.to_owned(),
            channel,
        })
    }

    /// `Activities.Tail`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tail(&self, request: proto::TailRequest) -> Result<Tail, ClientError> {
        let mut client =
            ActivitiesClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        match client.tail(request).await {
            Ok(answer) => Ok(Tail {
                client: self.clone(),
                entries: answer.into_inner(),
            }),
            Err(status) => Err(self.error(&status)),
        }
    }

    /// `Actors.Export`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_actor(
        &self,
        request: proto::ExportActorRequest,
    ) -> Result<Pieces, ClientError> {
        let mut client =
            ActorsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        match client.export(request).await {
            Ok(answer) => Ok(Pieces {
                client: self.clone(),
                pieces: answer.into_inner(),
            }),
            Err(status) => Err(self.error(&status)),
        }
    }

    /// `Actors.Import`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn import_actor(
        &self,
        pieces: impl Stream<Item = proto::ImportActorRequest> + Send + 'static,
    ) -> Result<proto::ImportActorResponse, ClientError> {
        let mut client =
            ActorsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        let answer = client.import(pieces).await;
        answer
            .map(Response::into_inner)
            .map_err(|status| self.error(&status))
    }

    fn error(&self, status: &Status) -> ClientError {
        let metadata = |key: &str| {
            status
                .metadata()
                .get(key)
                .and_then(|value| value.to_str().ok())
        };
        let detail = status.message().to_owned();
        match metadata(CODE) {
            Some(code) if code != "internal" => ClientError::Refused {
                code: code.to_owned(),
                detail,
                retry_after_s: metadata(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()),
            },
            // An error of the connection has a source; one that the server sent has none.
            None if status.code() == tonic::Code::Unavailable || status.source().is_some() => {
                ClientError::Unreachable {
                    url: self.url.clone(),
                }
            }
            _ => ClientError::Failed {
                detail,
                request_id: metadata(REQUEST_ID.as_str()).map(str::to_owned),
            },
        }
    }
}

/// The stream of `Actors.Export`.
#[derive(Debug)]
pub struct Pieces {
    client: Client,
    pieces: Streaming<proto::ExportActorResponse>,
}

impl Pieces {
    /// The next bytes of the file; `None` when it has ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let piece = self.pieces.message().await;
        let piece = piece.map_err(|status| self.client.error(&status))?;
        Ok(piece.map(|piece| piece.data))
    }
}

/// The stream of `Activities.Tail`.
#[derive(Debug)]
pub struct Tail {
    client: Client,
    entries: Streaming<proto::Entry>,
}

impl Tail {
    /// The next entry; `None` when the server has ended the stream.
    ///
    /// # Errors
    /// [`ClientError`]; a server that stops is [`ClientError::Unreachable`].
    pub async fn next(&mut self) -> Result<Option<proto::Entry>, ClientError> {
        self.entries
            .message()
            .await
            .map_err(|status| self.client.error(&status))
    }
}
