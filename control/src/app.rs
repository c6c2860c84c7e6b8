//! The composition root: what starts and stops in which order.
//!
//! Everything is made here and handed to what needs it; nothing else in the
//! program knows all parts.

mod listen;
mod telemetry;

use crate::{
    admin::{self, Admin},
    autoscaler::{self, Autoscaler},
    cli::{self, grpc::GrpcSettings},
    crew::Crew,
    ingest::{Ingest, IngestSettings, Listeners},
    local::{Plan, Reloader, Reloads, World},
    manifest::{Files, Manifests},
    otlp::OtlpSettings,
};
use anyhow::{Context, anyhow};
use listen::{all_or_every_problem, bind_all, load_grpc_tls, load_peers_tls, load_tls, local_addr};
use proxy::{AccessLogFormat, AccessLogTarget, Clock, Proxy, ProxyConfig, tls::TlsConfig};
use scaler::{
    Ledger, LedgerConfig,
    grpc::{self, GrpcMetrics},
    keda,
    peers::{self, Peers},
    sampler,
};
use serde::Serialize;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use telemetry::Telemetry;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
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
    /// How often the embedded autoscaler does what the HPA does.
    pub hpa_sync_period: Duration,
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
}

/// A running Reveille in local mode. Dropping it kills its child processes;
/// [`App::stop`] ends it in order.
#[derive(Debug)]
pub struct App {
    addresses: Addresses,
    settings: Settings,
    proxy: Arc<Proxy>,
    admin: Arc<Admin>,
    /// Notified when the manifests are to be read again at once.
    reload: Arc<Notify>,
    stops: Stops,
    tasks: Tasks,
}

/// One switch per stage of stopping.
#[derive(Debug, Default)]
struct Stops {
    reloader: CancellationToken,
    keda: CancellationToken,
    ingest: CancellationToken,
    autoscaler: CancellationToken,
    workloads: CancellationToken,
    telemetry: CancellationToken,
    admin: CancellationToken,
}

struct Tasks {
    keda: JoinSet<anyhow::Result<()>>,
    reloader: JoinSet<()>,
    ingest: JoinSet<anyhow::Result<()>>,
    autoscaler: Autoscaler,
    workloads: Crew,
    admin: JoinSet<anyhow::Result<()>>,
    telemetry: Telemetry,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

impl App {
    /// Binds all addresses, builds the world of `manifests` and starts it.
    /// Must be called within a tokio runtime, which then runs everything but
    /// the proxy's workers.
    ///
    /// # Errors
    /// All TLS settings that cannot be used and all addresses that cannot be
    /// bound, together; workers that cannot be
    /// started. Nothing is left running.
    pub fn start(settings: Settings, manifests: Manifests) -> anyhow::Result<Self> {
        let (tls, connectors, mut tls_problems) = load_tls(settings.tls.clone(), &manifests);
        let grpc_tls = load_grpc_tls(&settings.grpc, &tls, &mut tls_problems);
        let to_peers = load_peers_tls(&settings, &tls, &mut tls_problems);
        let has_tls = settings.tls.server.is_some();
        let bound = bind_all([
            ("proxy", Some(settings.proxy_addr)),
            ("proxy-tls", has_tls.then_some(settings.proxy_tls_addr)),
            ("grpc", Some(settings.grpc_addr)),
            ("admin", Some(settings.admin_addr)),
            ("otlp-grpc", settings.ingest.otlp_grpc_addr),
            ("otlp-http", settings.ingest.otlp_http_addr),
        ]);
        let [
            proxy_listener,
            tls_listener,
            grpc_listener,
            admin_listener,
            otlp_grpc,
            otlp_http,
        ] = all_or_every_problem(bound, &tls_problems)?;
        let proxy_listener = proxy_listener.expect("an address was given");
        let grpc_listener = grpc_listener.expect("an address was given");
        let admin_listener = admin_listener.expect("an address was given");
        let tls_addr = tls_listener.as_ref().map(TcpListener::local_addr);
        let addresses = Addresses {
            proxy: proxy_listener.local_addr()?,
            proxy_tls: tls_addr.transpose()?,
            grpc: grpc_listener.local_addr()?,
            admin: admin_listener.local_addr()?,
            otlp_grpc: local_addr(otlp_grpc.as_ref())?,
            otlp_http: local_addr(otlp_http.as_ref())?,
        };

        let stops = Stops::default();
        let mut telemetry = Telemetry::start(&settings, &stops.telemetry)?;
        let config = ProxyConfig {
            observe: std::mem::take(&mut telemetry.observe),
            ..settings.proxy.clone()
        };
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(settings.ledger, clock));
        let proxy = Proxy::with_tls(config, clock, ledger.clone(), tls)
            .context("the proxy's workers cannot be started")?;
        let proxy = Arc::new(proxy);
        let program = std::env::current_exe().context("where this program is")?;
        let workloads = Crew::new();
        let ingest = Ingest::new(&settings.ingest);
        let world = Arc::new(World::new(
            proxy.clone(),
            ledger.clone(),
            ingest.scraper.clone(),
            program.to_string_lossy().into_owned(),
            workloads.handle(),
            stops.workloads.clone(),
        ));
        world.apply(Plan::new(manifests, connectors));

        let listeners = Listeners {
            otlp_grpc,
            otlp_http,
        };
        let ingest_tasks = ingest.spawn(&settings.ingest, listeners, &stops.ingest)?;

        let keda_metrics = Arc::new(keda::KedaMetrics::default());
        // Blind before the first call is answered.
        let peers = settings.peers.as_ref().map(|settings| {
            let mut config = settings.config.clone();
            if config.name.is_empty() {
                config.name = addresses.grpc.to_string();
            }
            Peers::new(ledger.clone(), config)
        });
        let grpc_metrics = Arc::new(GrpcMetrics::default());
        let (in_process, from_process) = grpc::in_process();
        let keda = keda::Keda::new(
            ledger.clone(),
            keda_metrics.clone(),
            keda::MetricSources {
                store: ingest.store.clone(),
                counters: ingest.counters.clone(),
            },
        );
        let ready = watch::Sender::new(false);
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
            peers::add_to(routes, &told, connection)
        };
        let server = grpc::Server::new(
            tokio::net::TcpListener::from_std(grpc_listener)?,
            Arc::new(services),
        )
        .config(settings.grpc.limits)
        .metrics(grpc_metrics.clone())
        .tls(grpc_tls)
        .in_process(from_process);
        let mut keda = serve_grpc(server, &ledger, &stops.keda);
        if let (Some(peers), Some(settings)) = (&peers, &settings.peers) {
            let source = settings.source.clone();
            follow_peers(&mut keda, peers, source, to_peers, &stops.keda);
        }
        let autoscaler = Autoscaler::spawn(
            autoscaler::Config {
                hpa_sync_period: settings.hpa_sync_period,
                ..autoscaler::Config::new(in_process.channel())
            },
            world.scaled(),
            &stops.autoscaler,
        );

        let admin = Arc::new(Admin {
            proxy: proxy.clone(),
            ledger,
            world,
            reloads: Arc::new(Reloads::none()),
            keda: keda_metrics,
            grpc: grpc_metrics,
            peers,
            autoscaler: autoscaler.status_reader(),
            access_log: telemetry.access_log.clone(),
            traces: telemetry.traces.clone(),
            ingest,
            ready,
        });
        let admin_task = serve_admin(admin_listener, &admin, &stops.admin)?;
        proxy
            .accept(proxy_listener)
            .context("the proxy cannot accept connections")?;
        if let Some(listener) = tls_listener {
            proxy
                .accept_tls(listener)
                .context("the proxy cannot accept TLS connections")?;
        }
        admin.set_ready(true);

        let tasks = Tasks {
            keda,
            reloader: JoinSet::new(),
            ingest: ingest_tasks,
            autoscaler,
            workloads,
            admin: admin_task,
            telemetry,
        };
        Ok(Self {
            addresses,
            settings,
            proxy,
            admin,
            reload: Arc::new(Notify::new()),
            stops,
            tasks,
        })
    }

    /// From now on the manifests are those of `files`, which are looked at
    /// that often (`None`: never) and whenever [`App::reload`] is called. Call
    /// it once.
    pub fn follow(&mut self, files: Files, every: Option<Duration>) {
        let reloader = Reloader::new(
            files,
            every,
            self.reload.clone(),
            self.admin.world.clone(),
            self.tasks.autoscaler.objects(),
            self.admin.reloads.clone(),
        );
        let stop = self.stops.reloader.clone();
        self.tasks.reloader.spawn(async move {
            reloader.run(stop.clone()).await;
            // There may be nothing to follow; that is no reason to stop.
            stop.cancelled().await;
        });
    }

    /// Reads the manifests again at once, if there are files of them.
    pub fn reload(&self) {
        self.reload.notify_one();
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
            Some(ended) = tasks.keda.join_next() => ended_early("gRPC", ended),
            Some(ended) = tasks.ingest.join_next() => ended_early("the ingest of metrics", ended),
            Some(ended) = tasks.admin.join_next() => ended_early("admin", ended),
            crashed = tasks.autoscaler.crashed() => anyhow!(crashed),
            Some(ended) = tasks.reloader.join_next() => {
                ended_early("the reload of manifests", ended.map(Ok))
            }
            Some(ended) = tasks.telemetry.exporter.join_next() => {
                ended_early("the export of traces", ended.map(Ok))
            }
            crashed = tasks.workloads.crashed() => anyhow!("a process pool crashed: {crashed}"),
        }
    }

    /// Log files were renamed: opens them anew.
    pub fn reopen_logs(&self) {
        match &self.tasks.telemetry.access_log {
            Some(log) => log.reopen(),
            None => tracing::info!("SIGHUP: there is no access log to open anew"),
        }
    }

    /// Stops everything, in this order: no more reloads; not ready; after the
    /// shutdown delay close the proxy's listeners; drain requests, held ones
    /// included, to zero or the deadline; end the autoscaler and KEDA's streams, with OK;
    /// stop the child processes; write out the access log and send the last
    /// spans; stop the admin server last, so that all of it could be watched.
    pub async fn stop(mut self) {
        self.stops.reloader.cancel();
        while let Some(ended) = self.tasks.reloader.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the reload of manifests crashed");
            }
        }
        self.admin.set_ready(false);
        tracing::info!(delay = ?self.settings.shutdown_delay, "stopping: not ready any more");
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
        self.stops.autoscaler.cancel();
        self.stops.keda.cancel();
        finish("gRPC", &mut self.tasks.keda).await;
        self.stops.ingest.cancel();
        finish("the ingest of metrics", &mut self.tasks.ingest).await;
        while let Err(error) = self.tasks.autoscaler.join().await {
            tracing::error!(%error, "the autoscaler crashed");
        }
        self.stops.workloads.cancel();
        while let Err(error) = self.tasks.workloads.finish().await {
            tracing::error!(%error, "a process pool crashed; its processes were killed");
        }
        self.stops.telemetry.cancel();
        self.tasks.telemetry.flush().await;
        self.stops.admin.cancel();
        finish("admin", &mut self.tasks.admin).await;
        tracing::info!("stopped");
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

/// Other replicas are heard until KEDA's streams end.
fn follow_peers(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    peers: &Arc<Peers>,
    source: peers::PeerSource,
    connect: grpc::Connect,
    stop: &CancellationToken,
) {
    let (found, addresses) = tokio::sync::watch::channel(None);
    let discovering = peers::discover(source, found, stop.clone().cancelled_owned());
    let following = peers
        .clone()
        .run(addresses, connect, stop.clone().cancelled_owned());
    tasks.spawn(async move {
        discovering.await;
        Ok(())
    });
    tasks.spawn(async move {
        following.await;
        Ok(())
    });
}

fn serve_admin(
    listener: TcpListener,
    admin: &Arc<Admin>,
    stop: &CancellationToken,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let served = admin::serve(listener, admin.clone(), stop.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { Ok(served.await?) });
    Ok(tasks)
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
