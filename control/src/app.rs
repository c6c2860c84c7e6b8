//! The composition root: what starts and stops in which order.
//!
//! Everything is made here and handed to what needs it; nothing else in the
//! program knows all parts. `base.rs` is what everything stands on, `scaling.rs`
//! the scaler's side, `local.rs` and `kubernetes.rs` what only one
//! mode has.

mod base;
mod kubernetes;
mod listen;
mod local;
mod mode;
mod scaling;
mod telemetry;

use crate::{
    admin::{self, AccessSettings, Admin},
    cli::{self, grpc::GrpcSettings},
    ingest::IngestSettings,
    kubernetes::{ClusterSettings, Waiting},
    local::Plan,
    manifest::{Files, Manifests},
    otlp::OtlpSettings,
    xds::{Xds, XdsPort, XdsSettings},
};
use anyhow::{Context, anyhow};
use base::{Base, Listeners};
use kubernetes::Kubernetes;
use listen::{load_connectors, load_tls};
use local::{Local, Workloads};
use mode::Mode;
use proxy::{AccessLogFormat, AccessLogTarget, DemandSink, Proxy, ProxyConfig, tls::TlsConfig};
use scaler::LedgerConfig;
use scaling::Scaling;
use serde::Serialize;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use telemetry::Telemetry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What can be set about a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub proxy_addr: SocketAddr,
    /// Where they connect with TLS, if there is a certificate.
    pub proxy_tls_addr: SocketAddr,
    /// TLS, towards clients and towards endpoints.
    pub tls: TlsConfig,
    /// Where KEDA connects.
    pub grpc_addr: SocketAddr,
    /// How it is served there.
    pub grpc: GrpcSettings,
    /// Where operators connect.
    pub admin_addr: SocketAddr,
    /// Who of them may look.
    pub access: AccessSettings,
    /// The data plane.
    pub proxy: ProxyConfig,
    /// The demand signal.
    pub ledger: LedgerConfig,
    /// Other replicas, if there are to be some.
    pub peers: Option<cli::PeerSettings>,
    /// The access log, if there is to be one.
    pub access_log: Option<(AccessLogFormat, AccessLogTarget)>,
    /// Traces, if there are to be some.
    pub otlp: Option<OtlpSettings>,
    /// Metrics that come in.
    pub ingest: IngestSettings,
    /// Beside Envoy, if there are to be some.
    pub xds: Option<XdsSettings>,
    /// How long to go on serving after "not ready", so that whoever balances
    /// over us learns of it.
    pub shutdown_delay: Duration,
    /// How long requests may take to end after that.
    pub drain_timeout: Duration,
}

/// The addresses that were bound.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Addresses {
    /// Where clients connect.
    pub proxy: SocketAddr,
    /// Where they connect with TLS, if there is a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_tls: Option<SocketAddr>,
    /// Where KEDA connects.
    pub grpc: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where OTLP metrics come in over gRPC, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_grpc: Option<SocketAddr>,
    /// Where OTLP metrics come in over HTTP, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_http: Option<SocketAddr>,
    /// Where the OpenCensus agent's protocol comes in, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opencensus: Option<SocketAddr>,
    /// Where Envoys connect, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xds: Option<SocketAddr>,
}

/// A running Reveille. Dropping it kills its child processes; [`App::stop`]
/// ends it in order.
#[derive(Debug)]
pub struct App {
    addresses: Addresses,
    settings: Settings,
    proxy: Arc<Proxy>,
    admin: Arc<Admin>,
    mode: Mode,
    stops: Stops,
    tasks: Tasks,
}

/// One switch per stage of stopping what both modes have.
#[derive(Debug, Default)]
struct Stops {
    opening: CancellationToken,
    keda: CancellationToken,
    ingest: CancellationToken,
    telemetry: CancellationToken,
    admin: CancellationToken,
}

/// Where clients come in.
struct Doors {
    proxy: TcpListener,
    proxy_tls: Option<TcpListener>,
}

impl Doors {
    /// Lets them in.
    fn open(self, proxy: &Proxy) -> anyhow::Result<()> {
        proxy
            .accept(self.proxy)
            .context("the proxy cannot accept connections")?;
        if let Some(listener) = self.proxy_tls {
            proxy
                .accept_tls(listener)
                .context("the proxy cannot accept TLS connections")?;
        }
        Ok(())
    }
}

struct Tasks {
    /// Lets clients in once it is known what is served.
    opening: JoinSet<anyhow::Result<()>>,
    keda: JoinSet<anyhow::Result<()>>,
    ingest: JoinSet<anyhow::Result<()>>,
    xds: JoinSet<anyhow::Result<()>>,
    admin: JoinSet<anyhow::Result<()>>,
    telemetry: Telemetry,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl App {
    /// Starts local mode: binds all addresses, builds the world of `manifests`
    /// and starts it. Must be called within a tokio runtime, which then runs
    /// everything but the proxy's workers.
    ///
    /// # Errors
    /// All TLS settings that cannot be used and all addresses that cannot be
    /// bound, together; workers that cannot be started. Nothing is left running.
    pub fn local(
        settings: Settings,
        hpa_sync_period: Duration,
        manifests: Manifests,
    ) -> anyhow::Result<Self> {
        let (tls, mut problems) = load_tls(settings.tls.clone());
        let connectors = load_connectors(&manifests, &tls, &mut problems);
        let ledger_only = |ledger| ledger as Arc<dyn DemandSink>;
        let (base, listeners) = Base::start(settings, tls, problems, ledger_only)?;
        let Listeners {
            proxy,
            proxy_tls,
            scaling,
            xds,
            admin,
        } = listeners;
        let workloads = Workloads::start(&base, Plan::new(manifests, connectors))?;
        let scaling = Scaling::start(&base, scaling)?;
        let sight = base.telemetry.sight.clone();
        let local = Local::start(workloads, &scaling.in_process, hpa_sync_period, sight);
        let doors = Doors { proxy, proxy_tls };
        let xds = beside_envoy(&base, xds, std::future::ready(()))?;
        let app = Self::serve(base, scaling, xds, Mode::Local(Box::new(local)), admin)?;
        doors.open(&app.proxy)?;
        app.admin.set_ready(true);
        Ok(app)
    }

    /// Starts Kubernetes mode: binds all addresses and begins to follow the
    /// cluster. Clients are let in, and it is ready, once all objects were read;
    /// until then KEDA is refused. Must be called within a tokio runtime, which
    /// then runs everything but the proxy's workers.
    ///
    /// # Errors
    /// As [`App::local`]; also without a usable configuration of an API server.
    /// One that does not answer is no error.
    pub async fn kubernetes(settings: Settings, cluster: &ClusterSettings) -> anyhow::Result<Self> {
        let (tls, problems) = load_tls(settings.tls.clone());
        let waiting = Waiting::default();
        let sink = |ledger| waiting.sink(ledger);
        let (base, listeners) = Base::start(settings, tls, problems, sink)?;
        let Listeners {
            proxy,
            proxy_tls,
            scaling,
            xds,
            admin,
        } = listeners;
        let mut scaling = Scaling::start(&base, scaling)?;
        let kubernetes = Kubernetes::start(&base, &mut scaling, &waiting, cluster).await?;
        let served = kubernetes.served();
        let doors = Doors { proxy, proxy_tls };
        // An Envoy that goes on with what it had must not be told of less.
        let xds = beside_envoy(&base, xds, kubernetes.served())?;
        let mut app = Self::serve(base, scaling, xds, Mode::Kubernetes(kubernetes), admin)?;
        let (proxy, admin) = (app.proxy.clone(), app.admin.clone());
        let stop = app.stops.opening.clone();
        app.tasks.opening.spawn(async move {
            if stop.run_until_cancelled(served).await.is_some() {
                doors.open(&proxy)?;
                admin.set_ready(true);
            }
            Ok(())
        });
        Ok(app)
    }

    /// Lets operators in.
    fn serve(
        base: Base,
        scaling: Scaling,
        (xds, xds_tasks): BesideEnvoy,
        mode: Mode,
        listener: TcpListener,
    ) -> anyhow::Result<Self> {
        let Base {
            settings,
            addresses,
            telemetry,
            proxy,
            ledger,
            ingest,
            stops,
            access,
        } = base;
        let admin = Arc::new(Admin {
            proxy: proxy.clone(),
            ledger,
            scene: mode.scene(),
            keda: scaling.keda_metrics,
            grpc: scaling.grpc_metrics,
            peers: scaling.peers,
            xds,
            access_log: telemetry.access_log.clone(),
            traces: telemetry.traces.clone(),
            ingest,
            ready: scaling.ready,
            sight: telemetry.sight.clone(),
            access,
            stopping: stops.admin.clone(),
        });
        admin.shows_targets();
        let tasks = Tasks {
            opening: JoinSet::new(),
            keda: scaling.keda_tasks,
            ingest: scaling.ingest_tasks,
            xds: xds_tasks,
            admin: serve_admin(listener, &admin)?,
            telemetry,
        };
        Ok(Self {
            addresses,
            settings,
            proxy,
            admin,
            mode,
            stops,
            tasks,
        })
    }

    /// From now on the manifests are those of `files`, which are looked at
    /// that often (`None`: never) and whenever [`App::reload`] is called. Call
    /// it once.
    pub fn follow(&mut self, files: Files, every: Option<Duration>) {
        self.mode.follow(files, every);
    }

    /// Reads the manifests again at once, if there are files of them.
    pub fn reload(&self) {
        self.mode.reload();
    }

    /// What was bound.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Resolves when a part that should run for ever has ended: a bug, or a
    /// listener that broke. The caller should stop the rest. Cancel safe.
    pub async fn failed(&mut self) -> anyhow::Error {
        let tasks = &mut self.tasks;
        tokio::select! {
            error = opening_failed(&mut tasks.opening) => error,
            Some(ended) = tasks.keda.join_next() => ended_early("gRPC", ended),
            Some(ended) = tasks.ingest.join_next() => ended_early("the ingest of metrics", ended),
            Some(ended) = tasks.xds.join_next() => ended_early("the xDS server", ended),
            Some(ended) = tasks.admin.join_next() => ended_early("admin", ended),
            Some(ended) = tasks.telemetry.exporter.join_next() => {
                ended_early("the export of traces", ended.map(Ok))
            }
            error = self.mode.failed() => error,
        }
    }

    /// Log files were renamed: opens them anew.
    pub fn reopen_logs(&self) {
        match &self.tasks.telemetry.access_log {
            Some(log) => log.reopen(),
            None => tracing::info!("SIGHUP: there is no access log to open anew"),
        }
    }

    /// Stops everything, in this order: no more reloads; not ready, and answers
    /// say that their connection closes; after the shutdown delay close the
    /// proxy's listeners; drain requests, held ones included, to zero or the
    /// deadline; end the autoscaler and KEDA's streams, with OK; stop the child
    /// processes; write out the access log and send the last spans; stop the
    /// admin server last, so that all of it could be watched.
    pub async fn stop(mut self) {
        self.mode.stop_changes().await;
        self.stops.opening.cancel();
        finish("the wait for the cluster", &mut self.tasks.opening).await;
        self.admin.set_ready(false);
        tracing::info!(delay = ?self.settings.shutdown_delay, "stopping: not ready any more");
        self.proxy.announce_drain();
        tokio::time::sleep(self.settings.shutdown_delay).await;

        let limit = self.settings.drain_timeout;
        tracing::info!(
            connections = self.proxy.connections(),
            ?limit,
            "draining requests"
        );
        if !self.proxy.drain(limit).await {
            tracing::warn!(
                ?limit,
                "the drain deadline passed: what was left was cut off"
            );
        }

        // Together: the autoscaler is a client of that service, and would take
        // its end for an outage.
        self.mode.end_scaling();
        self.stops.keda.cancel();
        finish("gRPC", &mut self.tasks.keda).await;
        finish("the xDS server", &mut self.tasks.xds).await;
        self.stops.ingest.cancel();
        finish("the ingest of metrics", &mut self.tasks.ingest).await;
        self.admin.stopping();
        self.mode.stop().await;
        self.stops.telemetry.cancel();
        self.tasks.telemetry.flush().await;
        self.stops.admin.cancel();
        finish("admin", &mut self.tasks.admin).await;
        tracing::info!("stopped");
    }
}

/// What serves Envoys, and its tasks: none without an address for it.
type BesideEnvoy = (Option<Arc<Xds>>, JoinSet<anyhow::Result<()>>);

/// Serves Envoys from when `ready` is, if there are to be some. It ends with
/// KEDA's streams: until then they are told of drained endpoints, and heard.
fn beside_envoy(
    base: &Base,
    port: Option<XdsPort>,
    ready: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<BesideEnvoy> {
    let (Some(settings), Some(port)) = (&base.settings.xds, port) else {
        return Ok((None, JoinSet::new()));
    };
    let proxy = (base.proxy.clone(), base.addresses.proxy);
    let stop = &base.stops.keda;
    let (xds, tasks) = Xds::start(settings, port, proxy, base.ledger.clone(), ready, stop)?;
    Ok((Some(xds), tasks))
}

fn serve_admin(
    listener: TcpListener,
    admin: &Arc<Admin>,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let served = admin::serve(listener, admin.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { Ok(served.await?) });
    Ok(tasks)
}

/// Resolves when clients cannot be let in; never if they were.
async fn opening_failed(opening: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    while let Some(ended) = opening.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return anyhow!(error).context("letting clients in crashed"),
        }
    }
    std::future::pending().await
}

fn ended_early(
    what: &str,
    ended: Result<anyhow::Result<()>, tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok(Ok(())) => anyhow!("{what} ended by itself"),
        Ok(Err(error)) => error.context(format!("{what} ended")),
        Err(error) => anyhow!(error).context(format!("{what} crashed")),
    }
}

async fn finish(what: &str, tasks: &mut JoinSet<anyhow::Result<()>>) {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %format!("{error:#}"), "{what} ended badly"),
            Err(error) => tracing::error!(%error, "{what} crashed"),
        }
    }
}

#[cfg(test)]
mod tests;
