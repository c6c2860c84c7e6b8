//! Replicas that follow each other over loopback sockets: whichever of them
//! KEDA asks answers for all.
//!
//! Real time: every step waits for a message or a state, none for a time.

use proxy::{Clock, Demand, DemandSink, TargetId, Totals};
use scaler::{
    DemandSource, Ledger, LedgerConfig, TargetEntry, TargetScaling,
    externalscaler::{
        GetMetricsRequest, IsActiveResponse, ScaledObjectRef,
        external_scaler_client::ExternalScalerClient,
    },
    grpc::{Connect, ServeError},
    keda::{self, KedaMetrics, MetricSources},
    peers::{Addresses, PeerState, Peers, PeersConfig},
    sampler,
};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Source {
    clock: Clock,
    demand: Demand,
    held: AtomicU64,
}

impl Source {
    fn begin(&self) {
        self.demand.begin(0, self.clock.now_us());
    }
    fn end(&self) {
        self.demand.end(0, self.clock.now_us());
    }
}

impl DemandSource for Source {
    fn totals(&self) -> Totals {
        self.demand.totals(self.clock.now_us())
    }
    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
    fn ready_endpoints(&self) -> usize {
        0
    }
}

/// One replica with the target `ns/web`.
struct Replica {
    ledger: Arc<Ledger>,
    web: Arc<Source>,
    peers: Arc<Peers>,
    addresses: watch::Sender<Addresses>,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.served.abort();
    }
}

fn id() -> TargetId {
    TargetId::new("ns", "web")
}

fn reference() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "web".into(),
        namespace: "ns".into(),
        scaler_metadata: [("interceptorRoute".into(), "web".into())].into(),
    }
}

impl Replica {
    async fn start() -> Self {
        Self::with(PATIENCE, "127.0.0.1:0").await
    }

    /// It does not know yet who the others are.
    async fn with(timeout: Duration, at: &str) -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let web = Arc::new(Source {
            clock,
            demand: Demand::new(1),
            held: AtomicU64::new(0),
        });
        let scaling = TargetScaling {
            concurrency: Some(10),
            request_rate: None,
        };
        ledger.set_targets(vec![TargetEntry {
            id: id(),
            source: Arc::clone(&web) as _,
            scaling,
        }]);
        let listener = TcpListener::bind(at).await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let config = PeersConfig {
            name: address.clone(),
            timeout,
            grace: Duration::from_millis(200),
        };
        let peers = Peers::new(Arc::clone(&ledger), MetricSources::default(), config);
        let (addresses, known) = watch::channel(None);
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(keda::serve(
            listener,
            Arc::clone(&ledger),
            Arc::new(KedaMetrics::default()),
            async {
                stopped.await.ok();
            },
        ));
        let following = Arc::clone(&peers).run(known, Connect::default(), pending());
        let tasks = vec![
            tokio::spawn(sampler::run(Arc::clone(&ledger), pending())),
            tokio::spawn(following),
        ];
        Self {
            ledger,
            web,
            peers,
            addresses,
            address,
            stop: Some(stop),
            served,
            tasks,
        }
    }

    fn follow(&self, all: &[&str]) {
        let all = all.iter().map(|&one| one.to_owned()).collect();
        self.addresses.send_replace(Some(all));
    }

    async fn client(&self) -> ExternalScalerClient<Channel> {
        let address = format!("http://{}", self.address);
        let endpoint = Endpoint::from_shared(address).expect("an address");
        ExternalScalerClient::new(endpoint.connect().await.expect("it listens"))
    }

    async fn activity(&self) -> Streaming<IsActiveResponse> {
        let opened = self.client().await.stream_is_active(reference()).await;
        opened.expect("it opens").into_inner()
    }

    async fn concurrency(&self) -> Result<f64, Status> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(reference()),
            metric_name: "http_web_concurrency".to_owned(),
        };
        let values = self.client().await.get_metrics(request).await?.into_inner();
        Ok(values.metric_values[0].metric_value_float)
    }

    fn state(&self, address: &str) -> PeerState {
        let view = self.peers.view();
        let found = view.iter().find(|peer| peer.address == address);
        found.expect("it is followed").state
    }

    async fn until_state(&self, address: &str, state: PeerState) {
        until(&format!("{address} is {state:?}"), || {
            self.state(address) == state
        })
        .await;
    }

    async fn until_sees(&self) {
        until("it sees", || !self.ledger.is_blind()).await;
    }

    async fn until_in_flight(&self, wanted: u64) {
        let now = || self.ledger.demand(&id()).expect("known").in_flight;
        until(&format!("{wanted} are in flight"), || now() == wanted).await;
    }

    async fn stop(mut self) {
        self.stop.take().expect("once").send(()).expect("it runs");
        (&mut self.served)
            .await
            .expect("no panic")
            .expect("a clean end");
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

async fn next(stream: &mut Streaming<IsActiveResponse>) -> bool {
    let message = stream.message().await.expect("no error");
    message.expect("a message").result
}

/// Replicas that are all followed by all, and see.
async fn group<const N: usize>() -> [Replica; N] {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(Replica::start().await);
    }
    let addresses: Vec<String> = all.iter().map(|one| one.address.clone()).collect();
    // Itself among them, as a DNS name has it.
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    all.iter().for_each(|one| one.follow(&addresses));
    for one in &all {
        one.until_sees().await;
    }
    all.try_into().unwrap_or_else(|_| unreachable!("so many"))
}

#[tokio::test]
async fn what_waits_at_one_replica_wakes_through_a_stream_at_another() {
    let [a, b] = group().await;
    assert_eq!(a.state(&a.address), PeerState::Myself);
    let mut stream = b.activity().await;
    assert!(!next(&mut stream).await);
    a.web.begin();
    a.web.held.store(1, Ordering::Relaxed);
    a.ledger.waiting(&id());
    assert!(next(&mut stream).await);
    assert_eq!(b.concurrency().await.expect("an answer"), 1.0);
}

#[tokio::test]
async fn every_replica_reports_the_sum_of_all() {
    let all: [Replica; 3] = group().await;
    for (nth, one) in all.iter().enumerate() {
        (0..=nth).for_each(|_| one.web.begin());
    }
    for one in &all {
        one.until_in_flight(6).await;
        assert_eq!(one.ledger.requests_begun(&id()), Some(6));
    }
    all.iter().for_each(|one| one.web.end());
    for one in &all {
        one.until_in_flight(3).await;
        assert_eq!(one.ledger.requests_begun(&id()), Some(6));
    }
}

#[tokio::test]
async fn a_replica_is_blind_until_it_heard_all_its_peers() {
    let b = Replica::start().await;
    let refused = b
        .concurrency()
        .await
        .expect_err("it does not know its peers");
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        refused.message(),
        "this replica has not yet heard from its peers what is asked of them; ask again"
    );
    let mut client = b.client().await;
    let refused = client.is_active(reference()).await.expect_err("nor this");
    assert_eq!(refused.code(), Code::Unavailable);
    let refused = client.stream_is_active(reference()).await;
    assert_eq!(refused.expect_err("nor this").code(), Code::Unavailable);
    // By what it scales is no secret of the peers: KEDA must not lose a metric.
    let specs = client.get_metric_spec(reference()).await.expect("specs");
    assert_eq!(specs.into_inner().metric_specs[0].target_size, 10);
    let a = Replica::start().await;
    a.web.begin();
    a.follow(&[]);
    a.until_sees().await;
    b.follow(&[&a.address]);
    b.until_sees().await;
    // It knew before it saw.
    assert!(b.concurrency().await.expect("an answer") > 0.0);
    let mut stream = b.activity().await;
    assert!(next(&mut stream).await);
}

#[tokio::test]
async fn blindness_ends_with_the_timeout_whoever_is_missing() {
    // A port that nobody listens on.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nobody = gone.local_addr().expect("bound").to_string();
    drop(gone);
    let b = Replica::with(Duration::from_millis(300), "127.0.0.1:0").await;
    b.follow(&[&nobody]);
    b.until_sees().await;
    assert_eq!(b.state(&nobody), PeerState::Unreached);
    assert_eq!(b.concurrency().await.expect("an answer"), 0.0);
    // The same when it is not even known who they are.
    let c = Replica::with(Duration::from_millis(100), "127.0.0.1:0").await;
    c.until_sees().await;
}

#[tokio::test]
async fn a_replica_that_stops_in_order_leaves_nothing_behind_and_comes_back() {
    let [a, b] = group().await;
    a.web.begin();
    b.until_in_flight(1).await;
    let address = a.address.clone();
    a.stop().await;
    b.until_state(&address, PeerState::Left).await;
    b.until_in_flight(0).await;
    assert_eq!(b.ledger.requests_begun(&id()), Some(1));
    let again = Replica::with(PATIENCE, &address).await;
    again.web.begin();
    b.until_state(&address, PeerState::Connected).await;
    b.until_in_flight(1).await;
    assert_eq!(b.ledger.requests_begun(&id()), Some(2));
}

#[tokio::test]
async fn a_replica_that_is_cut_off_counts_for_the_grace_and_others_go_on() {
    let [a, b] = group().await;
    a.web.begin();
    b.until_in_flight(1).await;
    let address = a.address.clone();
    drop(a); // its connections are closed without a word
    b.until_state(&address, PeerState::Lost).await;
    b.until_in_flight(0).await;
    assert!(!b.ledger.is_blind(), "one dead replica blinds nobody");
    b.concurrency().await.expect("an answer");
}

#[tokio::test]
async fn peers_that_are_not_named_any_more_are_not_followed() {
    let [a, b] = group().await;
    a.web.begin();
    b.until_in_flight(1).await;
    b.follow(&[]);
    b.until_in_flight(0).await;
    assert_eq!(b.peers.view(), []);
    b.follow(&[&a.address]);
    b.until_in_flight(1).await;
}

#[tokio::test]
async fn work_is_divided_over_those_that_are_connected() {
    let [a, b, c] = group().await;
    let divided = |one: &Replica, over: usize| {
        let division = one.peers.follow_division();
        move || division.borrow().replicas() == over
    };
    for one in [&a, &b, &c] {
        until("three share", divided(one, 3)).await;
    }
    // Nothing is without an owner, as soon as it is known who is there.
    let owned = |all: &[&Replica]| {
        let owns = |one: &&Replica, key: &str| one.peers.follow_division().borrow().owns(key);
        (0..100).all(|key| {
            all.iter()
                .any(|one| owns(one, &format!("10.0.0.{key}:9090")))
        })
    };
    assert!(owned(&[&a, &b, &c]));
    c.stop().await;
    for one in [&a, &b] {
        until("two share", divided(one, 2)).await;
    }
    assert!(owned(&[&a, &b]));
}
