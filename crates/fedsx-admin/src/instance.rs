//! `Instance`: how it is.

use std::sync::Arc;

use fedsx_core::refusal::Refusal;
use fedsx_node::Node;
use tonic::{Request, Response, Status};

use crate::deliveries::{DeliveryAdmin, blocking};
use crate::proto::instance_server::Instance;
use crate::proto::{StatusRequest, StatusResponse};
use crate::refused::internal;
use crate::serve::About;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) node: Node,
    pub(crate) deliveries: Arc<dyn DeliveryAdmin>,
    pub(crate) about: About,
}

#[tonic::async_trait]
impl Instance for Service {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let digest = request.into_inner().digest;
        let (node, about) = (self.node.clone(), self.about.clone());
        let deliveries = Arc::clone(&self.deliveries);
        blocking(move || report(&node, &*deliveries, about, digest))
            .await
            .map(Response::new)
    }
}

fn report(
    node: &Node,
    deliveries: &dyn DeliveryAdmin,
    about: About,
    digest: bool,
) -> Result<StatusResponse, Refusal> {
    let view = node.view();
    let lanes = deliveries.backlog()?.lanes;
    let waiting = lanes.iter().filter(|lane| lane.queued > 0).count();
    let digest = match digest {
        true => Some(view.digest().map_err(internal)?.0.to_string()),
        false => None,
    };
    Ok(StatusResponse {
        version: about.version,
        url: node.instance().base_url().to_owned(),
        engine: about.engine,
        started_ms: about.started_ms,
        offset: view.applied(),
        actors: view.state().actor_count().map_err(internal)?.into(),
        queued: lanes.iter().map(|lane| lane.queued).sum(),
        lanes: waiting as u64,
        dead_letters: deliveries.dead_letter_count()?,
        digest,
        trust: node.trust()?.to_string(),
        quarantined: node.quarantined().len() as u64,
    })
}
