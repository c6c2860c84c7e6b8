//! A server with one target and everything that can be seen of it from outside.

use proxy::{Clock, Demand, TargetId, Totals, tls::Listener};
use scaler::{
    DemandSource, Ledger, LedgerConfig, TargetEntry, TargetScaling,
    externalscaler::{ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    grpc::{self, Connect, Connection, GrpcConfig, GrpcMetrics, ServeError, Services},
    http_scaled_object,
    keda::{self, Keda, KedaMetrics, MetricSources},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tonic::transport::{Channel, Endpoint};

struct Nothing(Clock, Demand);

impl DemandSource for Nothing {
    fn totals(&self) -> Totals {
        self.1.totals(self.0.now_us())
    }
    fn held(&self) -> u64 {
        0
    }
    fn ready_endpoints(&self) -> usize {
        1
    }
}

/// A running server that knows the idle InterceptorRoute `ns/web` and the idle
/// HTTPScaledObject `ns/legacy`.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<GrpcMetrics>,
    /// Every connection as its services saw it.
    pub(crate) seen: mpsc::UnboundedReceiver<Connection>,
    /// What the health service follows; false at first.
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) in_process: grpc::InProcess,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub(crate) async fn start(config: GrpcConfig, tls: Option<Arc<Listener>>) -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let idle = |id| TargetEntry {
            id,
            source: Arc::new(Nothing(clock, Demand::new(1))),
            scaling: TargetScaling::default(),
        };
        ledger.set_targets(vec![
            idle(TargetId::new("ns", "web")),
            idle(http_scaled_object("ns", "legacy")),
        ]);
        let blind = ledger.follow_blindness();
        let keda = Keda::new(
            ledger,
            Arc::new(KedaMetrics::default()),
            MetricSources::default(),
        );
        let (told, seen) = mpsc::unbounded_channel();
        let ready = watch::Sender::new(false);
        let health = grpc::Health::new(ready.subscribe(), blind, &[keda::SERVICE]);
        let reflection = grpc::reflection();
        let services: Services = Arc::new(move |connection| {
            told.send(connection.clone()).ok();
            let routes = health.add_to(reflection.clone(), connection);
            keda.add_to(routes, connection)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let metrics = Arc::new(GrpcMetrics::default());
        let (in_process, from_process) = grpc::in_process();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = grpc::Server::new(listener, services)
            .config(config)
            .metrics(metrics.clone())
            .tls(tls)
            .in_process(from_process);
        let served = tokio::spawn(server.serve(async {
            stopped.await.ok();
        }));
        Self {
            address,
            metrics,
            seen,
            ready,
            in_process,
            stop,
            served,
        }
    }

    /// In the clear.
    pub(crate) fn channel(&self) -> Channel {
        self.channel_with(Connect::default())
    }

    /// A client that connects at its first call.
    pub(crate) fn client(&self, connect: Connect) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::new(self.channel_with(connect))
    }

    fn channel_with(&self, connect: Connect) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address));
        let endpoint = endpoint
            .expect("an address")
            .connect_timeout(Duration::from_secs(20));
        endpoint.connect_with_connector_lazy(connect)
    }

    /// In the clear.
    pub(crate) fn plain_client(&self) -> ExternalScalerClient<Channel> {
        self.client(Connect::default())
    }

    /// How many connections ended for this reason.
    pub(crate) fn ended(&self, reason: &str) -> u64 {
        let ended = self.metrics.snapshot().ended;
        let found = ended.iter().find(|(name, _)| *name == reason);
        found.expect("a reason").1
    }

    pub(crate) async fn connection(&mut self) -> Connection {
        self.seen.recv().await.expect("a connection")
    }
}

pub(crate) fn web() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "web".into(),
        namespace: "ns".into(),
        scaler_metadata: [("interceptorRoute".to_owned(), "web".to_owned())].into(),
    }
}

/// Waits for what another task is about to do.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("waited in vain for: {what}");
}
