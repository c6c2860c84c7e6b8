//! Beside Envoy: an xDS server that sends warm traffic straight to endpoints
//! and cold traffic to our proxy, and a load reporting service that hears how
//! much that is.
//!
//! ```text
//! routes, endpoints ─► follow ─► compile ─► snapshot ─► server ──ADS──► Envoy
//!            ledger ◄─ load ◄──────────────LRS──────────────────────────┘
//! ```
//!
//! Made by the composition root when `--xds-addr` is given; without it nothing
//! here runs. Nothing in `proxy` knows of it.

mod clients;
mod compile;
mod follow;
mod greet;
mod host;
mod kind;
mod load;
mod names;
mod node;
mod proxies;
mod resource;
mod server;
mod snapshot;
mod stream;

pub use clients::{ClientView, Clients, KindCounts, KindView, QuarantinedView, RefusalView};
pub use compile::direct::Indirect;
pub use kind::Kind;
pub use load::LoadCounters;
pub use node::NodePattern;
pub use proxies::ProxyAddress;
pub use resource::{Resource, Version};
pub use snapshot::Snapshot;
pub use stream::Instead;

use follow::{Follower, Served};
use host::Host;
use load::Loads;
use proxy::{Proxy, tls::ServerTls};
use scaler::{
    Ledger,
    grpc::{self, GrpcConfig, GrpcMetrics},
};
use server::Discovery;
use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// What can be set about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdsSettings {
    /// Where Envoys connect.
    pub addr: SocketAddr,
    /// TLS there; `None`: in the clear.
    pub tls: Option<ServerTls>,
    /// Envoys that may connect; none named: all.
    pub nodes: Vec<NodePattern>,
    /// Where Envoys find our proxies; none named: where this one listens.
    pub proxies: Vec<ProxyAddress>,
    /// The listener of Envoys that take one from us.
    pub listener: Option<EnvoyListener>,
    /// How often Envoys are to report their load.
    pub load_interval: Duration,
    /// How long a silent one counts.
    pub load_grace: Duration,
    /// Most connections at once.
    pub max_clients: usize,
}

/// A listener that Envoys are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyListener {
    /// Where they are to listen.
    pub addr: SocketAddr,
    /// What they are to speak TLS with there; `None`: in the clear.
    pub certificate: Option<EnvoyCertificate>,
}

/// Files of Envoy's own file system, in PEM form. Nobody here reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyCertificate {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The key of the leaf.
    pub key: PathBuf,
}

/// The xDS port, and its TLS if it speaks it.
#[derive(Debug)]
pub struct XdsPort {
    /// Where Envoys connect.
    pub listener: TcpListener,
    /// What shakes hands with them.
    pub tls: Option<Arc<proxy::tls::Listener>>,
}

/// A running xDS server, for whoever looks at it.
#[derive(Debug)]
pub struct Xds {
    proxy: Arc<Proxy>,
    clients: Arc<Clients>,
    loads: Arc<LoadCounters>,
    grpc: Arc<GrpcMetrics>,
    served: watch::Receiver<Option<Served>>,
}

/// A route of which no request goes directly, for people.
pub type IndirectRoute = (String, Indirect);

impl Xds {
    /// Serves from when `ready` is, until `stop`; what is served follows
    /// `proxy`, what is reported enters `ledger`, which must expect it. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// A listener that the runtime does not take.
    pub fn start(
        settings: &XdsSettings,
        port: XdsPort,
        (proxy, proxy_addr): (Arc<Proxy>, SocketAddr),
        ledger: Arc<Ledger>,
        ready: impl Future<Output = ()> + Send + 'static,
        stop: &CancellationToken,
    ) -> anyhow::Result<(Arc<Self>, JoinSet<anyhow::Result<()>>)> {
        let (served_by, served) = watch::channel(None);
        let (found, proxies) = watch::channel(Vec::new());
        let nodes: Arc<[NodePattern]> = settings.nodes.as_slice().into();
        let xds = Arc::new(Self {
            proxy: proxy.clone(),
            clients: Arc::default(),
            loads: Arc::default(),
            grpc: Arc::default(),
            served: served.clone(),
        });
        let discovery = Discovery {
            served: served.clone(),
            clients: xds.clients.clone(),
            nodes: nodes.clone(),
        };
        let loads = Loads {
            served,
            ledger,
            nodes,
            interval: settings.load_interval,
            counters: xds.loads.clone(),
        };
        let services = move |connection: &grpc::Connection| {
            loads.add_to(discovery.add_to(Routes::default(), connection), connection)
        };
        let listener = tokio::net::TcpListener::from_std(port.listener)?;
        let limits = GrpcConfig {
            max_connections: settings.max_clients,
            max_requests: settings.max_clients.saturating_mul(4),
            max_streams: 16,
            // Whoever reports would be silent for as long as it takes to
            // connect anew.
            connection_age: None,
            ..GrpcConfig::default()
        };
        let server = grpc::Server::new(listener, Arc::new(services))
            .named("xds")
            .config(limits)
            .metrics(xds.grpc.clone())
            .tls(port.tls);
        let mut own = settings.proxies.clone();
        if own.is_empty() {
            own.push(ProxyAddress::Address(proxy_addr));
        }
        let follower = Follower::new(proxy, settings.listener.as_ref());
        let mut tasks = JoinSet::new();
        let stop = stop.clone();
        tasks.spawn(async move {
            if stop.run_until_cancelled(ready).await.is_none() {
                return Ok(());
            }
            let following = async {
                tokio::join!(proxies::find(own, found), follower.run(proxies, served_by));
            };
            let serving = server.serve(stop.clone().cancelled_owned());
            tokio::select! {
                served = serving => Ok(served?),
                () = following => Ok(()),
            }
        });
        Ok((xds, tasks))
    }

    /// Who is connected, and what became of what they were sent.
    #[must_use]
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// What was counted of load reports.
    #[must_use]
    pub fn loads(&self) -> &LoadCounters {
        &self.loads
    }

    /// Connections of the port.
    #[must_use]
    pub fn grpc(&self) -> &GrpcMetrics {
        &self.grpc
    }

    /// Each kind with the version and the number of its resources.
    #[must_use]
    pub fn resources(&self) -> [(Kind, String, usize); Kind::COUNT] {
        let served = self.served.borrow().clone().unwrap_or_default();
        Kind::ALL.map(|kind| {
            let resources = served.snapshot.of(kind);
            (kind, resources.version().to_string(), resources.len())
        })
    }

    /// Routes of which no request goes directly, and why.
    #[must_use]
    pub fn indirect(&self) -> Vec<IndirectRoute> {
        let table = self.proxy.routes();
        let served = self.served.borrow().clone().unwrap_or_default();
        let routes = table.routes().iter();
        routes
            .filter_map(|route| {
                let id = route.target.id();
                let obstacle = || served.obstacles.get(id).copied();
                Some((id.to_string(), Indirect::of(route).or_else(obstacle)?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
