//! The gRPC service `Follow`: admits followers.
//!
//! Registered on KEDA's port by [`crate::keda::serve()`]. Whoever may call
//! KEDA's service may call this one: with client certificates on that port,
//! replicas authenticate each other.

use super::stream::{FollowerStream, Frames};
use crate::{
    gen_peers::{FollowRequest, peers_server::Peers},
    ledger::Ledger,
};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// More replicas than anybody runs. Each stream costs a few KiB.
const MAX_FOLLOWERS: usize = 256;

/// The version of the protocol that is spoken here.
pub(crate) const PROTOCOL: u32 = 1;

/// The service.
#[derive(Debug)]
pub(crate) struct PeersService {
    ledger: Arc<Ledger>,
    closing: watch::Receiver<bool>,
}

impl PeersService {
    /// Streams end with a goodbye when `closing` is true.
    pub(crate) fn new(ledger: Arc<Ledger>, closing: watch::Receiver<bool>) -> Self {
        Self { ledger, closing }
    }
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
        let stream = FollowerStream::new(Arc::clone(&self.ledger), self.closing.clone());
        Ok(Response::new(stream.frames()))
    }
}
