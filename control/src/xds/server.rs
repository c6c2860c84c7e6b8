//! The aggregated discovery service: admits Envoys, and serves each stream.
//!
//! A response is made when the connection asks for one, so a client that reads
//! slowly finds the state of when it reads, and costs one response.

use super::{
    Kind,
    clients::{Clients, Connected},
    follow::Served,
    node::{self, NodePattern},
    stream::{Answered, Flavour, Message, Session, delta, sotw},
};
use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        aggregated_discovery_service_server::{
            AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
        },
    },
};
use futures_util::{
    FutureExt,
    stream::{self, Stream, StreamExt},
};
use scaler::grpc::Connection;
use std::{pin::Pin, sync::Arc};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// The largest request: the names and versions of all that a client has.
const MAX_MESSAGE: usize = 16 << 20;

/// Requests that name a kind we do not have are passed over; so many, and the
/// client is not one of ours.
const MOST_UNKNOWN: usize = 64;

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Discovery {
    pub(super) served: watch::Receiver<Option<Served>>,
    pub(super) clients: Arc<Clients>,
    pub(super) nodes: Arc<[NodePattern]>,
}

impl Discovery {
    /// Adds the service to those of one connection.
    pub(super) fn add_to(&self, routes: Routes, connection: &Connection) -> Routes {
        let service = Service {
            discovery: self.clone(),
            connection: connection.clone(),
        };
        let server = AggregatedDiscoveryServiceServer::new(service);
        routes.add_service(
            server
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(usize::MAX),
        )
    }
}

/// The service on one connection, with which its streams end.
#[derive(Debug)]
struct Service {
    discovery: Discovery,
    connection: Connection,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let wire = Wire {
            flavour: Flavour::StateOfTheWorld,
            node: |request: &DiscoveryRequest| request.node.as_ref(),
            type_url: |request| &request.type_url,
            hear: sotw::hear,
            response: sotw::response,
        };
        Ok(Response::new(self.open(request.into_inner(), wire)))
    }

    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let wire = Wire {
            flavour: Flavour::Delta,
            node: |request: &DeltaDiscoveryRequest| request.node.as_ref(),
            type_url: |request| &request.type_url,
            hear: delta::hear,
            response: delta::response,
        };
        Ok(Response::new(self.open(request.into_inner(), wire)))
    }
}

/// One variant of the protocol.
struct Wire<Q, A> {
    flavour: Flavour,
    node: fn(&Q) -> Option<&Node>,
    type_url: fn(&Q) -> &str,
    hear: fn(&mut Session, Kind, Q) -> Result<Answered, Status>,
    response: fn(Message) -> A,
}

impl Service {
    fn open<Q: Send + 'static, A: Send + 'static>(
        &self,
        requests: Streaming<Q>,
        wire: Wire<Q, A>,
    ) -> Responses<A> {
        let talk = Talk {
            session: Session::new(wire.flavour),
            wire,
            requests,
            discovery: self.discovery.clone(),
            connection: self.connection.clone(),
            connected: None,
            unknown: 0,
        };
        let responses = stream::unfold(Some(talk), |talk| async {
            let mut talk = talk?;
            match talk.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(talk))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Box::pin(responses.fuse())
    }
}

/// One stream.
struct Talk<Q, A> {
    wire: Wire<Q, A>,
    requests: Streaming<Q>,
    session: Session,
    discovery: Discovery,
    connection: Connection,
    /// `None` before its first request.
    connected: Option<Connected>,
    unknown: usize,
}

impl<Q: Send + 'static, A> Talk<Q, A> {
    /// The next response; `None`: the stream ends in order.
    async fn next(&mut self) -> Result<Option<A>, Status> {
        loop {
            if *self.connection.closing.borrow() {
                return Ok(None);
            }
            while let Some(request) = self.requests.next().now_or_never() {
                let Some(request) = request else {
                    return Ok(None);
                };
                self.hear(request?)?;
            }
            if let Some(message) = self.message() {
                return Ok(Some((self.wire.response)(message)));
            }
            let deadline = self.session.deadline();
            tokio::select! {
                biased;
                closing = self.connection.closing.changed() => if closing.is_err() {
                    return Ok(None);
                },
                request = self.requests.next() => match request {
                    Some(request) => self.hear(request?)?,
                    None => return Ok(None),
                },
                changed = self.discovery.served.changed() => if changed.is_err() {
                    return Ok(None);
                },
                () = at(deadline) => {}
            }
        }
    }

    fn hear(&mut self, request: Q) -> Result<(), Status> {
        if self.connected.is_none() {
            let id = node::admit((self.wire.node)(&request), &self.discovery.nodes)?;
            let (clients, address) = (&self.discovery.clients, self.connection.address);
            self.connected = Some(clients.join(id, address, self.wire.flavour));
        }
        let Some(kind) = Kind::of((self.wire.type_url)(&request)) else {
            self.unknown += 1;
            if self.unknown > MOST_UNKNOWN {
                return Err(Status::invalid_argument(
                    "there are no resources of those kinds here",
                ));
            }
            return Ok(());
        };
        let answered = (self.wire.hear)(&mut self.session, kind, request)?;
        if let Some(connected) = &self.connected {
            if let Answered::Refused(refusal) = answered {
                connected.refused(kind, refusal);
            }
            connected.heard(&self.session);
        }
        Ok(())
    }

    fn message(&mut self) -> Option<Message> {
        let connected = self.connected.as_ref()?;
        // Not a copy: what is served is changed in place.
        let served = self.discovery.served.borrow_and_update();
        let message = self.session.next(&served.as_ref()?.snapshot)?;
        drop(served);
        connected.sent(&message, &self.session);
        Some(message)
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
