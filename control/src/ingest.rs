//! Metrics that come in: the store, its receivers, and their tasks.
//!
//! Made by the composition root. Everything here runs on its runtime, never on
//! the proxy's workers.

use proxy::tls::ServerTls;
use scaler::{
    grpc::{self, GrpcConfig, GrpcMetrics, Health},
    ingest::{
        IngestCounters,
        opencensus::OpenCensus,
        otlp::{self, Otlp, OtlpGrpc, OtlpLimits, ResourceLabels},
        prometheus::{Mine, PageLimits, Scraper},
    },
    peers::Division,
    series::{Limits, Store, unix_ms},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{pin, sync::watch, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// How often series that ended are let go.
const EXPIRE_EACH: Duration = Duration::from_secs(5);

/// What can be set about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestSettings {
    /// Where OTLP comes in over gRPC, if it does.
    pub otlp_grpc_addr: Option<SocketAddr>,
    /// Where OTLP comes in over HTTP, if it does.
    pub otlp_http_addr: Option<SocketAddr>,
    /// Where the OpenCensus agent's protocol comes in, if it does.
    pub opencensus_addr: Option<SocketAddr>,
    /// The TLS of all of these; `None`: in the clear.
    pub tls: Option<ServerTls>,
    /// What one request may be.
    pub otlp: OtlpLimits,
    /// Which resource attributes become labels.
    pub labels: ResourceLabels,
    /// What one page may be that is fetched.
    pub pages: PageLimits,
    /// What the store may hold.
    pub series: Limits,
}

/// A listener, and its TLS if it is to speak it.
#[derive(Debug)]
pub struct Port {
    /// Where senders connect.
    pub listener: TcpListener,
    /// What shakes hands with them.
    pub tls: Option<Arc<proxy::tls::Listener>>,
}

/// The listeners, as far as there are addresses.
#[derive(Debug, Default)]
pub struct Ports {
    /// For OTLP over gRPC.
    pub otlp_grpc: Option<Port>,
    /// For OTLP over HTTP.
    pub otlp_http: Option<Port>,
    /// For the OpenCensus agent's protocol.
    pub opencensus: Option<Port>,
}

/// What the connections of the gRPC ports do.
#[derive(Clone, Debug, Default)]
pub struct PortMetrics {
    /// OTLP's.
    pub otlp_grpc: Arc<GrpcMetrics>,
    /// OpenCensus'.
    pub opencensus: Arc<GrpcMetrics>,
}

/// What is stored, and what receivers count.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// All series.
    pub store: Arc<Store>,
    /// What came in, and what did not.
    pub counters: Arc<IngestCounters>,
    /// Fetches the pages of sources.
    pub scraper: Arc<Scraper>,
    /// Who is connected.
    pub ports: PortMetrics,
}

impl Ingest {
    /// An empty store of these limits.
    #[must_use]
    pub fn new(settings: &IngestSettings) -> Self {
        let store = Arc::new(Store::new(settings.series));
        let counters = Arc::<IngestCounters>::default();
        let scraper = Scraper::new(store.clone(), counters.clone(), settings.pages);
        Self {
            store,
            counters,
            scraper: Arc::new(scraper),
            ports: PortMetrics::default(),
        }
    }

    /// Starts to receive and to fetch, until `stop`; health follows `ready`.
    /// With `division`, pages are divided among replicas. Must be called within a
    /// runtime.
    ///
    /// # Errors
    /// A listener that the runtime does not take.
    pub fn spawn(
        &self,
        settings: &IngestSettings,
        ports: Ports,
        ready: &watch::Sender<bool>,
        division: Option<watch::Receiver<Division>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let mut tasks = JoinSet::new();
        tasks.spawn(expire(self.store.clone(), stop.clone()));
        let (scraper, stopped) = (self.scraper.clone(), stop.clone().cancelled_owned());
        tasks.spawn(async move {
            let (tell, mine) = watch::channel(mine(division.as_ref()));
            let fetching = scraper.run(mine, stopped);
            pin!(fetching);
            tokio::select! {
                () = &mut fetching => {}
                () = divide(division, tell) => fetching.await,
            }
            Ok(())
        });
        let otlp = Arc::new(Otlp::new(
            self.store.clone(),
            self.counters.clone(),
            settings.labels.clone(),
            settings.otlp,
        ));
        if let Some(port) = ports.otlp_grpc {
            let service = OtlpGrpc::new(otlp.clone());
            let health = health(ready, &[OtlpGrpc::SERVICE]);
            let services = Arc::new(move |connection: &grpc::Connection| {
                service.add_to(health.add_to(Routes::default(), connection))
            });
            let server = server("otlp-grpc", port, services)?
                .config(limits(GrpcConfig::default().connection_age))
                .metrics(self.ports.otlp_grpc.clone());
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move { Ok(server.serve(stopped).await?) });
        }
        if let Some(port) = ports.opencensus {
            let service = OpenCensus::new(otlp.clone());
            let health = health(ready, &OpenCensus::SERVICES);
            let services = Arc::new(move |connection: &grpc::Connection| {
                let routes = health.add_to(Routes::default(), connection);
                service.add_to(routes, connection)
            });
            // Whoever is told to connect anew is silent for seconds.
            let server = server("opencensus", port, services)?
                .config(limits(None))
                .metrics(self.ports.opencensus.clone());
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move { Ok(server.serve(stopped).await?) });
        }
        if let Some(Port { listener, tls }) = ports.otlp_http {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move {
                otlp::serve_http(listener, tls, otlp, stopped).await;
                Ok(())
            });
        }
        Ok(tasks)
    }
}

/// Which pages this replica fetches now.
fn mine(division: Option<&watch::Receiver<Division>>) -> Mine {
    division.map_or_else(Mine::default, |division| {
        let division = division.borrow().clone();
        Mine::new(move |key| division.owns(key))
    })
}

/// Tells the scraper of each change, until there are none any more.
async fn divide(division: Option<watch::Receiver<Division>>, tell: watch::Sender<Mine>) {
    let Some(mut division) = division else {
        return;
    };
    while division.changed().await.is_ok() {
        tell.send_replace(mine(Some(&division)));
    }
}

/// Who sends is served by what is ready, whatever other replicas know.
fn health(ready: &watch::Sender<bool>, services: &[&'static str]) -> Health {
    let (_never, blind) = watch::channel(false);
    Health::new(ready.subscribe(), blind, services)
}

fn server(
    name: &'static str,
    port: Port,
    services: grpc::Services,
) -> anyhow::Result<grpc::Server> {
    let listener = tokio::net::TcpListener::from_std(port.listener)?;
    let server = grpc::Server::new(listener, services);
    Ok(server.named(name).tls(port.tls))
}

/// Exporters have a few requests open; a stalled one waits for a place.
fn limits(connection_age: Option<Duration>) -> GrpcConfig {
    GrpcConfig {
        max_requests: 4096,
        max_streams: 128,
        connection_age,
        ..GrpcConfig::default()
    }
}

async fn expire(store: Arc<Store>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(EXPIRE_EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        store.expire(unix_ms());
    }
    Ok(())
}
