//! Metrics that come in: the store, its receivers, and their tasks.
//!
//! Made by the composition root. Everything here runs on its runtime, never on
//! the proxy's workers.

use scaler::{
    ingest::{
        IngestCounters,
        otlp::{self, Otlp, OtlpGrpc, OtlpLimits, ResourceLabels},
        prometheus::{Mine, PageLimits, Scraper},
    },
    series::{Limits, Store, unix_ms},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often series that ended are let go.
const EXPIRE_EACH: Duration = Duration::from_secs(5);

/// What can be set about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestSettings {
    /// Where OTLP comes in over gRPC, if it does.
    pub otlp_grpc_addr: Option<SocketAddr>,
    /// Where OTLP comes in over HTTP, if it does.
    pub otlp_http_addr: Option<SocketAddr>,
    /// What one OTLP request may be.
    pub otlp: OtlpLimits,
    /// Which resource attributes become labels.
    pub labels: ResourceLabels,
    /// What one page may be that is fetched.
    pub pages: PageLimits,
    /// What the store may hold.
    pub series: Limits,
}

/// The listeners, as far as there are addresses.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For OTLP over gRPC.
    pub otlp_grpc: Option<TcpListener>,
    /// For OTLP over HTTP.
    pub otlp_http: Option<TcpListener>,
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
        }
    }

    /// Starts to receive and to fetch, until `stop`. Must be called within a runtime.
    ///
    /// # Errors
    /// A listener that the runtime does not take.
    pub fn spawn(
        &self,
        settings: &IngestSettings,
        listeners: Listeners,
        stop: &CancellationToken,
    ) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
        let mut tasks = JoinSet::new();
        tasks.spawn(expire(self.store.clone(), stop.clone()));
        let (scraper, stopped) = (self.scraper.clone(), stop.clone().cancelled_owned());
        tasks.spawn(async move {
            // All of them: replicas do not share the work yet.
            let (_all, mine) = watch::channel(Mine::default());
            scraper.run(mine, stopped).await;
            Ok(())
        });
        let otlp = Arc::new(Otlp::new(
            self.store.clone(),
            self.counters.clone(),
            settings.labels.clone(),
            settings.otlp,
        ));
        if let Some(listener) = listeners.otlp_grpc {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let service = OtlpGrpc::new(otlp.clone());
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move { Ok(service.serve(listener, stopped).await?) });
        }
        if let Some(listener) = listeners.otlp_http {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let stopped = stop.clone().cancelled_owned();
            tasks.spawn(async move {
                otlp::serve_http(listener, otlp, stopped).await;
                Ok(())
            });
        }
        Ok(tasks)
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
