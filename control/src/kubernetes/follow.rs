//! Starting to follow a cluster.
//!
//! Called by the composition root, which owns the tasks.

use super::{
    ConnectSettings,
    api::Api,
    cluster::{Boards, Cluster},
    connect::{Connected, connect},
    contact::Contact,
    duty::Duty,
    event::Events,
    host_policy::{HostGrant, HostPolicy},
    lease::{self, LeaseSettings},
    legacy::LegacyObject,
    peers::{self, PeerService},
    pod::Pod,
    reconcile::{Operating, Reconciler, Ways},
    route::RouteObject,
    scaled::ScaledObject,
    service::ServiceObject,
    sidecars,
    slice::Slice,
    store::Scope,
    trust_bundle::{self, TrustBundle, TrustBundleSettings},
    waker::Waker,
    wakes::Wakes,
    watch::Watched,
    watches::Watches,
    writer,
};
use crate::{
    crew::{Crash, Crew},
    manifest::{AuthenticationRef, ConfigMapSpec, ScalerRef, Via},
};
use clap::ValueEnum;
use proxy::{DemandSink, Proxy};
use scaler::{
    Ledger,
    ingest::prometheus::{Scraper, SourceId},
    peers::Addresses,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Changes that wait for the loop: more make the watches wait.
const QUEUE: usize = 1024;

/// At the stop, so long for the Lease to be given back.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

/// What can be set about a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Which API server.
    pub connect: ConnectSettings,
    /// Only what is in these namespaces; none: all.
    pub namespaces: Vec<String>,
    /// Who scales a workload from zero.
    pub wake: Wake,
    /// Which namespace may claim which hosts; none: all may claim all.
    pub hosts: Vec<HostGrant>,
    /// How often the metrics of each of Dapr's sidecars are fetched; `None`:
    /// they are not looked for.
    pub dapr: Option<Duration>,
    /// Where requests go, if a route does not say.
    pub via: Via,
    /// Who makes ScaledObjects of HTTPScaledObjects.
    pub http_scaled_objects: HttpScaledObjects,
    /// Where KEDA finds us, for these ScaledObjects; `None`: the Service
    /// `reveille-scaler` of this Pod's namespace.
    pub scaler_address: Option<String>,
    /// Whether it finds TLS there.
    pub scaler_tls: bool,
    /// Where it has certificates and authorities from for that.
    pub scaler_authentication: Option<AuthenticationRef>,
    /// Which trust bundle of Dapr is watched for its end, if one is.
    pub trust_bundle: Option<TrustBundleSettings>,
    /// The Lease of the replica that writes statuses.
    pub lease: LeaseName,
}

/// What is done about HTTPScaledObjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HttpScaledObjects {
    /// They are served, ScaledObjects are made of them, and their statuses written
    #[default]
    Manage,
    /// They are served; the HTTP add-on's operator does the rest
    Serve,
}

/// The Lease of the replica that writes statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace; `None`: that of this Pod.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// Who scales a workload from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Wake {
    /// KEDA alone
    #[default]
    Keda,
    /// This program itself as soon as somebody waits; KEDA is told by its polls,
    /// and at once only where that fails
    Direct,
    /// KEDA, and this program itself as soon as somebody waits
    Both,
}

/// Who waits for what, told by the proxy.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Wakes>);

impl Waiting {
    /// What the proxy tells of waits: `ledger`, and whoever follows the cluster.
    #[must_use]
    pub fn sink(&self, ledger: Arc<Ledger>) -> Arc<dyn DemandSink> {
        Arc::new(self.0.sink(ledger))
    }
}

/// A cluster that is followed. Dropping it ends that where it is.
pub struct Followed {
    api: Api,
    cluster: Arc<Cluster>,
    crew: Crew,
    /// Statuses, and the Lease that says whose they are to write.
    writers: Crew,
    stop: CancellationToken,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Followed")
    }
}

impl Followed {
    /// Follows the cluster of `settings` from now on. `waiting` must be what the
    /// proxy's sink was made of; `scraper` is told of Dapr's sidecars, if they are
    /// looked for. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// No configuration of an API server, or one that cannot be used. One that
    /// does not answer is no error: it may come later.
    pub async fn start(
        settings: &ClusterSettings,
        proxy: Arc<Proxy>,
        ledger: Arc<Ledger>,
        scraper: &Arc<Scraper>,
        waiting: &Waiting,
    ) -> anyhow::Result<Self> {
        let Connected {
            api,
            server,
            namespace,
        } = connect(&settings.connect).await?;
        tracing::info!(server, namespaces = ?settings.namespaces, "following the cluster");
        let mut scopes: Vec<Scope> = settings
            .namespaces
            .iter()
            .map(|namespace| Some(namespace.as_str().into()))
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            scopes.push(None);
        }
        let kinds = [
            <Box<RouteObject>>::KIND,
            <Box<LegacyObject>>::KIND,
            ScaledObject::KIND,
            ServiceObject::KIND,
            Slice::KIND,
            <Arc<ConfigMapSpec>>::KIND,
        ];
        let pods = settings.dapr.map(|_| Pod::KIND);
        let all = kinds
            .iter()
            .chain(&pods)
            .flat_map(|kind| scopes.iter().map(|scope| (*kind, scope.clone())));
        let all = all.chain(settings.trust_bundle.iter().flat_map(trust_bundle::kinds));
        let contact = Arc::new(Contact::new(all));
        let duty = Arc::new(Duty::default());
        let shown = Arc::new(TrustBundle::default());
        let cluster = Arc::new(Cluster::new(contact.clone(), duty.clone(), shown.clone()));
        let crew = Crew::new();
        let (sender, news) = mpsc::channel(QUEUE);
        let watches = Watches {
            api: api.clone(),
            contact,
            crew: &crew,
        };
        for scope in &scopes {
            watches.start::<Box<RouteObject>>(scope, &sender);
            watches.start::<Box<LegacyObject>>(scope, &sender);
            watches.start::<ScaledObject>(scope, &sender);
            watches.start::<ServiceObject>(scope, &sender);
            watches.start::<Slice>(scope, &sender);
            watches.start::<Arc<ConfigMapSpec>>(scope, &sender);
        }
        drop(sender);
        let told = settings
            .trust_bundle
            .as_ref()
            .map(|bundle| trust_bundle::begin(&watches, bundle, shown));
        let own_namespace = settings.lease.namespace.clone().unwrap_or(namespace);
        if let Some(interval) = settings.dapr {
            let (sender, pods) = mpsc::channel(QUEUE);
            for scope in &scopes {
                watches.start::<Pod>(scope, &sender);
            }
            let source = SourceId {
                namespace: own_namespace.clone(),
                name: "dapr".to_owned(),
            };
            let finding = sidecars::find(pods, source, interval, scraper.clone());
            crew.handle().spawn("the search for sidecars", finding);
        }
        let waker = match settings.wake {
            Wake::Keda => None,
            Wake::Direct => Some(Arc::new(Waker::new(api.clone(), true))),
            Wake::Both => Some(Arc::new(Waker::new(api.clone(), false))),
        };
        let operating = Operating {
            is_ours: settings.http_scaled_objects == HttpScaledObjects::Manage,
            scaler: ScalerRef {
                address: settings
                    .scaler_address
                    .clone()
                    .unwrap_or_else(|| format!("reveille-scaler.{own_namespace}:9090")),
                is_tls: settings.scaler_tls,
                authentication: settings.scaler_authentication.clone(),
            },
        };
        let lease = LeaseSettings {
            namespace: own_namespace,
            name: settings.lease.name.clone(),
            identity: identity(),
        };
        let events = Arc::new(Events::new(
            api.clone(),
            lease.identity.clone(),
            duty.clone(),
        ));
        let ways = Ways {
            policy: HostPolicy::new(&settings.hosts),
            via: settings.via,
            operating,
        };
        let reconciler = Reconciler::new(proxy, ledger, crew.handle(), waker, ways, events.clone());
        let boards = Boards::default();
        let (writers, stop) = (Crew::new(), CancellationToken::new());
        let (holds, held) = watch::channel(false);
        if let Some(told) = told {
            let telling = trust_bundle::write(events.clone(), told, held.clone());
            let stopped = stop.clone();
            let task = async move {
                stopped.run_until_cancelled(telling).await;
            };
            writers.handle().spawn("the writer of Events", task);
        }
        let stopped = stop.clone();
        let writing = writer::write(
            api.clone(),
            boards.statuses.clone(),
            held.clone(),
            duty.clone(),
        );
        writers
            .handle()
            .spawn("the writer of statuses", async move {
                stopped.run_until_cancelled(writing).await;
            });
        let stopped = stop.clone();
        let writing = writer::write(api.clone(), boards.made.clone(), held, duty.clone());
        writers
            .handle()
            .spawn("the writer of ScaledObjects", async move {
                stopped.run_until_cancelled(writing).await;
            });
        let run = cluster.clone();
        let run = run.run(reconciler, news, waiting.0.clone(), boards);
        crew.handle().spawn("the cluster's loop", run);
        let holding = lease::hold(api.clone(), lease, holds, duty, stop.clone());
        writers.handle().spawn("the Lease", holding);
        Ok(Self {
            api,
            cluster,
            crew,
            writers,
            stop,
        })
    }

    /// What others see of it.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Keeps `found` the addresses of the Pods of `service`.
    pub fn find_peers(&mut self, service: PeerService, found: watch::Sender<Addresses>) {
        let finding = peers::find(self.api.clone(), service, found);
        self.crew.handle().spawn("the search for peers", finding);
    }

    /// Resolves when a task has panicked; never if none does. Cancel safe.
    pub async fn crashed(&mut self) -> Crash {
        tokio::select! {
            crash = self.crew.crashed() => crash,
            crash = self.writers.crashed() => crash,
        }
    }

    /// Writes no more, and gives the Lease back.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let finished = timeout(GIVE_BACK_WITHIN, self.writers.finish()).await;
        if let Ok(Err(crash)) = finished {
            tracing::error!(%crash, "a writer of statuses crashed");
        }
    }
}

/// Like client-go's: the host's name, and something that no other start has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "reveille".to_owned());
    format!("{host}_{:016x}", fastrand::u64(..))
}
