//! The gRPC service of replicas: admits followers, and who asks for points.
//!
//! Added to the services of every connection on KEDA's port. Whoever may call
//! KEDA's service may call this one: with client certificates on that port,
//! replicas authenticate each other.

use super::{
    sharing::{Messages, Sharing},
    stream::{FollowerStream, Frames},
};
use crate::{
    gen_peers::{
        FollowRequest, Needs,
        peers_server::{Peers, PeersServer},
    },
    grpc::Connection,
    ledger::Ledger,
    metric_sources::MetricSources,
};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// The largest message of a follower: it says who it is, and what it needs.
const MAX_MESSAGE: usize = 1 << 20;

/// More replicas than anybody runs. Each stream costs a few KiB.
pub(crate) const MAX_FOLLOWERS: usize = 256;

/// The version of the protocol that is spoken here.
pub(crate) const PROTOCOL: u32 = 1;

/// Adds the service to those of one connection: whoever follows there is told
/// what `ledger` counts, and of `sources` the points that it needs. Somebody
/// must run [`super::publish`] for it.
#[must_use]
pub fn add_to(
    routes: Routes,
    ledger: &Arc<Ledger>,
    sources: &MetricSources,
    connection: &Connection,
) -> Routes {
    let service = PeersService {
        ledger: ledger.clone(),
        sources: sources.clone(),
        connection: connection.clone(),
    };
    routes.add_service(PeersServer::new(service).max_decoding_message_size(MAX_MESSAGE))
}

/// The service on one connection. Its streams end with the connection; with a
/// goodbye if the whole server stops.
#[derive(Debug)]
struct PeersService {
    ledger: Arc<Ledger>,
    sources: MetricSources,
    connection: Connection,
}

#[tonic::async_trait]
impl Peers for PeersService {
    type FollowStream = Frames;

    async fn follow(&self, request: Request<FollowRequest>) -> Result<Response<Frames>, Status> {
        let follower = request.get_ref();
        if follower.protocol != PROTOCOL {
            // It finds the same in our hello, and its operator the reason.
            tracing::warn!(
                replica = follower.name.chars().take(64).collect::<String>(),
                "a replica with protocol {} follows, {PROTOCOL} is spoken here",
                follower.protocol
            );
        }
        let outbox = self.ledger.outbox();
        if !outbox.join(MAX_FOLLOWERS) {
            return Err(Status::resource_exhausted(format!(
                "{MAX_FOLLOWERS} replicas follow already"
            )));
        }
        let stream = FollowerStream::new(Arc::clone(&self.ledger), &self.connection);
        Ok(Response::new(stream.frames()))
    }

    type ShareStream = Messages;

    async fn share(
        &self,
        request: Request<Streaming<Needs>>,
    ) -> Result<Response<Messages>, Status> {
        let Some(place) = self.ledger.outbox().place_to_share() else {
            return Err(Status::resource_exhausted(format!(
                "{MAX_FOLLOWERS} replicas ask for points already"
            )));
        };
        let asked = Box::pin(request.into_inner());
        let sharing = Sharing::new(self.sources.clone(), asked, &self.connection, Some(place));
        Ok(Response::new(sharing.messages()))
    }
}
