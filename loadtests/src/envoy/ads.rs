//! A client of the aggregated discovery service that takes everything as Envoy
//! does, and does nothing with it: what is measured is our part.

use anyhow::{Context as _, Result, ensure};
use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
    },
};
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One stream of the delta variant.
pub(super) struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

/// What the first snapshot was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct First {
    pub(super) clusters: usize,
    pub(super) endpoints: usize,
    /// Bytes of all resources.
    pub(super) bytes: usize,
}

impl Client {
    /// Connects, and asks for all clusters.
    pub(super) async fn connect(xds: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{xds}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await.context("the xDS port")?;
        let (requests, stream) = mpsc::channel(8);
        let node = Node {
            id: "loadtests".to_owned(),
            ..Node::default()
        };
        let first = DeltaDiscoveryRequest {
            node: Some(node),
            type_url: CLUSTER.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await?;
        let client = AggregatedDiscoveryServiceClient::new(channel);
        let mut client = client.max_decoding_message_size(usize::MAX);
        let opened = client.delta_aggregated_resources(ReceiverStream::new(stream));
        let responses = opened.await?.into_inner();
        Ok(Self {
            requests,
            responses,
        })
    }

    /// Takes the whole first snapshot in Envoy's order, and accepts it.
    pub(super) async fn first(&mut self) -> Result<First> {
        let clusters = self.take(CLUSTER).await?;
        let names = clusters.resources.iter().map(|one| one.name.clone());
        self.ask(ENDPOINTS, names.collect()).await?;
        let endpoints = self.take(ENDPOINTS).await?;
        self.ask(LISTENER, Vec::new()).await?;
        let listener = self.take(LISTENER).await?;
        self.ask(ROUTES, vec!["reveille".to_owned()]).await?;
        let routes = self.take(ROUTES).await?;
        let all = [&clusters, &endpoints, &listener, &routes];
        Ok(First {
            clusters: clusters.resources.len(),
            endpoints: endpoints.resources.len(),
            bytes: all.into_iter().map(bytes).sum(),
        })
    }

    /// The next change of endpoints: how many resources came.
    pub(super) async fn change(&mut self) -> Result<usize> {
        Ok(self.take(ENDPOINTS).await?.resources.len())
    }

    async fn ask(&self, kind: &str, names: Vec<String>) -> Result<()> {
        let request = DeltaDiscoveryRequest {
            type_url: kind.to_owned(),
            resource_names_subscribe: names,
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }

    /// The next response, which must be of that kind, accepted.
    async fn take(&mut self, kind: &str) -> Result<DeltaDiscoveryResponse> {
        let response = timeout(ANSWER_WITHIN, self.responses.message()).await;
        let response = response.with_context(|| format!("no {kind}"))??;
        let response = response.context("the stream ended")?;
        ensure!(
            response.type_url == kind,
            "{} for {kind}",
            response.type_url
        );
        let accepted = DeltaDiscoveryRequest {
            type_url: kind.to_owned(),
            response_nonce: response.nonce.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(accepted).await?;
        Ok(response)
    }
}

fn bytes(response: &DeltaDiscoveryResponse) -> usize {
    let bodies = response
        .resources
        .iter()
        .filter_map(|one| one.resource.as_ref());
    bodies.map(|body| body.value.len()).sum()
}
