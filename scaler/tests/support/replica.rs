//! One replica of the scaler in this process: its ledger, its sampler, its
//! gRPC service, and the counters that its proxy would keep.

use super::{
    relay::{Link, Relay},
    time::settle,
};
use parking_lot::Mutex;
use proxy::{Clock, Demand, DemandSink, TargetId, Totals};
use scaler::{
    DemandReading, DemandSource, Ledger, LedgerConfig, RateTarget, TargetEntry, TargetScaling,
    grpc::Connect,
    keda::{self, KedaMetrics, MetricSources},
    peers::{Peers, PeersConfig},
    sampler,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::Instant};

/// The counters of one target in one replica.
#[derive(Debug)]
pub(crate) struct Source {
    target: TargetId,
    is_looked_at: AtomicBool,
    clock: Clock,
    demand: Demand,
    gate: Mutex<(u64, usize)>,
}

impl DemandSource for Source {
    fn totals(&self) -> Totals {
        self.demand.totals(self.clock.now_us())
    }
    fn held(&self) -> u64 {
        self.gate.lock().0
    }
    fn ready_endpoints(&self) -> usize {
        self.gate.lock().1
    }
    fn target(&self) -> Option<&TargetId> {
        Some(&self.target)
    }
    fn tell_of_next(&self) -> bool {
        self.is_looked_at.store(false, Ordering::SeqCst);
        true
    }
}

/// A replica with a stable address, running or not.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Between KEDA and this replica.
    pub(crate) relay: Relay,
    /// Between each other replica and this one, by their index.
    pub(crate) from_peers: Vec<Relay>,
    name: String,
    running: Option<Running>,
    /// When it was started and ended, each time.
    pub(crate) lives: Vec<(Instant, Option<Instant>)>,
}

#[derive(Debug)]
struct Running {
    ledger: Arc<Ledger>,
    clock: Clock,
    sources: HashMap<String, Arc<Source>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Replica {
    /// One of `of` replicas.
    pub(crate) async fn new(index: usize, of: usize) -> Self {
        let mut from_peers = Vec::new();
        for _ in 0..of {
            from_peers.push(Relay::start().await);
        }
        Self {
            relay: Relay::start().await,
            from_peers,
            name: format!("replica-{index}"),
            running: None,
            lives: Vec::new(),
        }
    }

    /// Starts it, not knowing its routes yet. `peers` are the addresses of the
    /// others.
    pub(crate) async fn start(&mut self, peers: BTreeSet<String>) {
        assert!(self.running.is_none(), "it runs");
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = watch::Sender::new(false);
        let stopped = || {
            let mut stopped = stop.subscribe();
            async move {
                // Err: the replica was killed.
                let _stopped = stopped.wait_for(|stop| *stop).await;
            }
        };
        let metrics = Arc::new(KedaMetrics::default());
        let serving = keda::serve(listener, Arc::clone(&ledger), metrics, stopped());
        let sampling = sampler::run(Arc::clone(&ledger), stopped());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { serving.await.expect("it serves") });
        tasks.spawn(sampling);
        if !peers.is_empty() {
            let config = PeersConfig {
                name: self.name.clone(),
                timeout: Duration::from_secs(10),
                grace: Duration::from_secs(5),
            };
            let followed = Peers::new(Arc::clone(&ledger), MetricSources::default(), config);
            // What is known of the others does not change: relays stay.
            let (_, addresses) = watch::channel(Some(peers));
            tasks.spawn(followed.run(addresses, Connect::default(), stopped()));
        }
        self.lives.push((Instant::now(), None));
        self.relay.lead_to(address);
        for relay in &self.from_peers {
            relay.lead_to(address);
        }
        self.running = Some(Running {
            ledger,
            clock,
            sources: HashMap::new(),
            stop,
            tasks,
        });
    }

    /// Its routes are loaded: targets with a concurrency of 10 and a rate of
    /// 10 per second over a minute.
    pub(crate) fn load(&mut self, names: impl Iterator<Item = String>) {
        let running = self.running.as_mut().expect("it runs");
        let scaling = TargetScaling {
            concurrency: Some(10),
            request_rate: Some(RateTarget::new(10)),
        };
        let mut entries = Vec::new();
        for name in names {
            let source = Arc::new(Source {
                target: TargetId::new("ns", &name),
                is_looked_at: AtomicBool::new(false),
                clock: running.clock,
                demand: Demand::new(1),
                gate: Mutex::new((0, 0)),
            });
            entries.push(TargetEntry {
                id: TargetId::new("ns", &name),
                source: Arc::clone(&source) as _,
                scaling,
            });
            running.sources.insert(name, source);
        }
        running.ledger.set_targets(entries);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Stops it in order: streams end with OK.
    pub(crate) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.stop.send_replace(true);
        while running.tasks.try_join_next().is_some() || !running.tasks.is_empty() {
            super::time::step(super::time::STEP).await;
        }
        self.ends().await;
    }

    /// Its sudden death.
    pub(crate) async fn kill(&mut self) {
        self.ends().await;
        self.running = None;
        settle().await;
    }

    async fn ends(&mut self) {
        if let Some((_, ended)) = self.lives.last_mut() {
            *ended = Some(Instant::now());
        }
        self.links(Link::Reset);
        settle().await;
    }

    /// What the network does to everybody who wants to reach it.
    pub(crate) fn links(&self, link: Link) {
        self.relay.set(link);
        for relay in &self.from_peers {
            relay.set(link);
        }
    }

    fn source(&self, target: &str) -> &Source {
        let running = self.running.as_ref().expect("it runs");
        &running.sources[target]
    }

    /// A request arrives; somebody must wait if `held`.
    pub(crate) fn begin(&self, target: &str, held: bool) {
        let running = self.running.as_ref().expect("it runs");
        let source = &running.sources[target];
        let now_us = running.clock.now_us();
        source.demand.begin(0, now_us);
        if !source.is_looked_at.swap(true, Ordering::SeqCst) {
            running.ledger.stirred(&source.target, now_us);
        }
        if held {
            source.gate.lock().0 += 1;
            running.ledger.waiting(&TargetId::new("ns", target));
        }
    }

    /// A request that waited was sent on.
    pub(crate) fn release(&self, target: &str) {
        self.source(target).gate.lock().0 -= 1;
    }

    /// A request ended.
    pub(crate) fn end(&self, target: &str) {
        let source = self.source(target);
        source.demand.end(0, source.clock.now_us());
    }

    /// How many endpoints discovery shows, to a replica that has loaded its
    /// routes.
    pub(crate) fn set_ready(&self, target: &str, ready: usize) {
        let running = self.running.as_ref().expect("it runs");
        if let Some(source) = running.sources.get(target) {
            source.gate.lock().1 = ready;
        }
    }

    /// Requests begun, as its ledger knows them.
    pub(crate) fn requests_begun(&self, target: &str) -> u64 {
        let running = self.running.as_ref().expect("it runs");
        let begun = running.ledger.requests_begun(&TargetId::new("ns", target));
        begun.expect("it is loaded")
    }

    /// It does not answer KEDA yet.
    pub(crate) fn is_blind(&self) -> bool {
        let running = self.running.as_ref().expect("it runs");
        running.ledger.is_blind()
    }

    /// What its ledger says.
    pub(crate) fn demand(&self, target: &str) -> DemandReading {
        let running = self.running.as_ref().expect("it runs");
        let reading = running.ledger.demand(&TargetId::new("ns", target));
        reading.expect("it is loaded")
    }
}
