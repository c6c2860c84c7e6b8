//! The scaler's side of a run: metrics that come in, the gRPC port, other
//! replicas. The same in both modes.
//!
//! Started by the composition root once it is known what is served, so that
//! KEDA is never told less than that.

use super::base::Base;
use crate::{cli::PeersFrom, ingest::Ports, kubernetes::PeerService};
use proxy::tls::Listener;
use scaler::{
    Ledger,
    grpc::{self, GrpcMetrics},
    keda::{self, KedaMetrics},
    peers::{self, Peers},
    sampler,
};
use std::{net::TcpListener, sync::Arc};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// A serving scaler.
pub(super) struct Scaling {
    pub(super) ingest_tasks: JoinSet<anyhow::Result<()>>,
    pub(super) keda_tasks: JoinSet<anyhow::Result<()>>,
    pub(super) keda_metrics: Arc<KedaMetrics>,
    pub(super) grpc_metrics: Arc<GrpcMetrics>,
    pub(super) peers: Option<Arc<Peers>>,
    /// Who follows the cluster says here where other replicas are, if that is
    /// to be found out there.
    pub(super) peers_found: Option<(PeerService, watch::Sender<peers::Addresses>)>,
    /// Connects to the gRPC service within the process.
    pub(super) in_process: grpc::InProcess,
    /// Whether traffic should be sent here; the gRPC health service says so.
    pub(super) ready: watch::Sender<bool>,
}

/// What the scaler listens on, and how it connects to other replicas.
pub(super) struct ScalingPorts {
    pub(super) grpc: TcpListener,
    pub(super) grpc_tls: Option<Arc<Listener>>,
    pub(super) to_peers: grpc::Connect,
    pub(super) ingest: Ports,
}

impl Scaling {
    /// Takes metrics in, answers KEDA and hears other replicas, until the
    /// stops of `base`. Must be called within a runtime.
    ///
    /// # Errors
    /// A listener that the runtime does not take.
    pub(super) fn start(base: &Base, ports: ScalingPorts) -> anyhow::Result<Self> {
        let Base {
            settings,
            ledger,
            ingest,
            stops,
            ..
        } = base;
        let ready = watch::Sender::new(false);

        let keda_metrics = Arc::new(KedaMetrics::default());
        keda_metrics.follow_wakes(base.telemetry.sight.clone());
        let sources = keda::MetricSources {
            store: ingest.store.clone(),
            counters: ingest.counters.clone(),
        };
        // Blind before the first call is answered.
        let peers = settings.peers.as_ref().map(|settings| {
            let mut config = settings.config.clone();
            if config.name.is_empty() {
                config.name = base.addresses.grpc.to_string();
            }
            Peers::new(ledger.clone(), sources.clone(), config)
        });
        let division = peers.as_ref().map(|peers| peers.follow_division());
        let ingest_tasks = ingest.spawn(
            &settings.ingest,
            ports.ingest,
            &ready,
            division,
            &stops.ingest,
        )?;
        let grpc_metrics = Arc::new(GrpcMetrics::default());
        let (in_process, from_process) = grpc::in_process();
        let keda = keda::Keda::new(ledger.clone(), keda_metrics.clone(), sources.clone());
        let health = grpc::Health::new(
            ready.subscribe(),
            ledger.follow_blindness(),
            &[keda::SERVICE],
        );
        let reflection = grpc::reflection();
        let told = ledger.clone();
        let services = move |connection: &grpc::Connection| {
            let routes = health.add_to(reflection.clone(), connection);
            let routes = keda.add_to(routes, connection);
            peers::add_to(routes, &told, &sources, connection)
        };
        let server = grpc::Server::new(
            tokio::net::TcpListener::from_std(ports.grpc)?,
            Arc::new(services),
        )
        .config(settings.grpc.limits)
        .metrics(grpc_metrics.clone())
        .tls(ports.grpc_tls)
        .in_process(from_process);
        let mut keda_tasks = serve_grpc(server, ledger, &stops.keda);
        let mut peers_found = None;
        if let (Some(peers), Some(settings)) = (&peers, &settings.peers) {
            let (found, addresses) = watch::channel(None);
            let stopped = stops.keda.clone();
            match settings.source.clone() {
                PeersFrom::Source(source) => {
                    let discovering = peers::discover(source, found, stopped.cancelled_owned());
                    keda_tasks.spawn(async move {
                        discovering.await;
                        Ok(())
                    });
                }
                PeersFrom::Service(service) => peers_found = Some((service, found)),
            }
            let stopped = stops.keda.clone().cancelled_owned();
            let following = peers.clone().run(addresses, ports.to_peers, stopped);
            keda_tasks.spawn(async move {
                following.await;
                Ok(())
            });
        }
        Ok(Self {
            ingest_tasks,
            keda_tasks,
            keda_metrics,
            grpc_metrics,
            peers,
            peers_found,
            in_process,
            ready,
        })
    }
}

/// Samples the ledger and serves gRPC until `stop`.
fn serve_grpc(
    server: grpc::Server,
    ledger: &Arc<Ledger>,
    stop: &CancellationToken,
) -> JoinSet<anyhow::Result<()>> {
    let mut tasks = JoinSet::new();
    let sampled = sampler::run(ledger.clone(), stop.clone().cancelled_owned());
    tasks.spawn(async move {
        sampled.await;
        Ok(())
    });
    let served = server.serve(stop.clone().cancelled_owned());
    tasks.spawn(async move { Ok(served.await?) });
    let published = peers::publish(ledger.clone());
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(published).await;
        Ok(())
    });
    tasks
}
