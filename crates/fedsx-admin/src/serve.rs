//! Puts the services together and serves them, with whatever HTTP routes share their listener.

use std::sync::Arc;

use axum::Router;
use fedsx_node::Node;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::deliveries::DeliveryAdmin;
use crate::guard::{Guard, Token, pass};
use crate::page::MESSAGE_BYTES;
use crate::proto::activities_server::ActivitiesServer;
use crate::proto::actors_server::ActorsServer;
use crate::proto::backfills_server::BackfillsServer;
use crate::proto::definitions_server::DefinitionsServer;
use crate::proto::deliveries_server::DeliveriesServer;
use crate::proto::follows_server::FollowsServer;
use crate::proto::groups_server::GroupsServer;
use crate::proto::instance_server::InstanceServer;
use crate::proto::logs_server::LogsServer;
use crate::proto::peers_server::PeersServer;
use crate::proto::projections_server::ProjectionsServer;
use crate::proto::quarantine_server::QuarantineServer;
use crate::{
    activities, actors, backfills, definitions, deliveries, follows, groups, instance, logs, peers,
    projections, proto, quarantine,
};

/// Requests under way on one connection.
const STREAMS_PER_CONNECTION: u32 = 128;

/// What `Instance.Status` says of the process.
#[derive(Clone, Debug)]
pub struct About {
    /// The program's version.
    pub version: String,
    /// The index engine's name.
    pub engine: String,
    /// When it started, Unix milliseconds.
    pub started_ms: i64,
}

/// All that the admin API needs.
#[derive(Clone, Debug)]
pub struct AdminState {
    /// The node.
    pub node: Node,
    /// The deliveries.
    pub deliveries: Arc<dyn DeliveryAdmin>,
    /// What callers show.
    pub token: Token,
    /// Of the process.
    pub about: About,
    /// Further routes on the same listener (health checks, metrics), open to all who reach it.
    pub routes: Router,
}

/// The admin API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors compiled in are broken.
    #[error("the description of the admin API can't be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the admin listener failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stop`; then lets requests end, and ends streams.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: AdminState,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let routes = routes(state, &stop).await?;
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned())
        .await?;
    Ok(())
}

async fn routes(state: AdminState, stop: &CancellationToken) -> Result<Routes, ServeError> {
    macro_rules! bounded {
        ($server:ident, $service:expr) => {
            $server::new($service)
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES)
        };
    }
    let AdminState {
        node,
        deliveries,
        token,
        about,
        routes,
    } = state;
    let guard = Guard::new(token, about.started_ms);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let activities = activities::Service::new(node.clone(), Arc::clone(&deliveries), stop.clone());
    let services = Routes::new(health().await)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(bounded!(
            ActorsServer,
            actors::Service::new(node.clone(), Arc::clone(&deliveries))
        ))
        .add_service(bounded!(FollowsServer, follows::Service::new(node.clone())))
        .add_service(bounded!(GroupsServer, groups::Service::new(node.clone())))
        .add_service(bounded!(
            BackfillsServer,
            backfills::Service::new(node.clone())
        ))
        .add_service(bounded!(ActivitiesServer, activities))
        .add_service(bounded!(
            DefinitionsServer,
            definitions::Service::new(node.clone())
        ))
        .add_service(bounded!(
            ProjectionsServer,
            projections::Service::new(node.clone())
        ))
        .add_service(bounded!(
            DeliveriesServer,
            deliveries::Service::new(Arc::clone(&deliveries))
        ))
        .add_service(bounded!(LogsServer, logs::Service::new(node.clone())))
        .add_service(bounded!(PeersServer, peers::Service::new(node.clone())))
        .add_service(bounded!(
            QuarantineServer,
            quarantine::Service::new(node.clone())
        ))
        .add_service(bounded!(
            InstanceServer,
            instance::Service {
                node,
                deliveries,
                about
            }
        ));
    let router = services.prepare().into_axum_router().merge(routes);
    let guarded = router.layer(axum::middleware::from_fn_with_state(guard, pass));
    Ok(Routes::from(guarded))
}

/// What tells of each service that it is served.
async fn health() -> HealthServer<impl Health> {
    macro_rules! serving {
        ($reporter:ident: $($server:ident<$service:ty>),* $(,)?) => {
            $($reporter.set_serving::<$server<$service>>().await;)*
        };
    }
    let (reporter, service) = tonic_health::server::health_reporter();
    serving!(reporter:
        ActorsServer<actors::Service>,
        FollowsServer<follows::Service>,
        BackfillsServer<backfills::Service>,
        ActivitiesServer<activities::Service>,
        DefinitionsServer<definitions::Service>,
        ProjectionsServer<projections::Service>,
        DeliveriesServer<deliveries::Service>,
        LogsServer<logs::Service>,
        PeersServer<peers::Service>,
        QuarantineServer<quarantine::Service>,
        InstanceServer<instance::Service>,
    );
    service
}
