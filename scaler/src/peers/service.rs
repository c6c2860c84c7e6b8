//! The gRPC service `Follow`: admits followers.
//!
//! Added to the services of every connection on KEDA's port. Whoever may call
//! KEDA's service may call this one: with client certificates on that port,
//! replicas authenticate each other.

use super::stream::{FollowerStream, Frames};
use crate::{
    gen_peers::{
        FollowRequest,
        peers_server::{Peers, PeersServer},
    },
    grpc::Connection,
    ledger::Ledger,
};
use std::sync::Arc;
use tonic::{Request, Response, Status, service::Routes};

/// The largest request: a follower says who it is.
const MAX_MESSAGE: usize = 16 * 1024;

/// More replicas than anybody runs. Each stream costs a few KiB.
const MAX_FOLLOWERS: usize = 256;

/// The version of the protocol that is spoken here.
pub(crate) const PROTOCOL: u32 = 1;

/// Adds the service to those of one connection: whoever follows there is told
/// what `ledger` counts. Somebody must run [`super::publish`] for it.
#[must_use]
pub fn add_to(routes: Routes, ledger: &Arc<Ledger>, connection: &Connection) -> Routes {
    let service = PeersService {
        ledger: ledger.clone(),
        connection: connection.clone(),
    };
    routes.add_service(PeersServer::new(service).max_decoding_message_size(MAX_MESSAGE))
}

/// The service on one connection. Its streams end with the connection; with a
/// goodbye if the whole server stops.
#[derive(Debug)]
struct PeersService {
    ledger: Arc<Ledger>,
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
}
