//! The whole service over a loopback socket, with the generated client: every
//! RPC, every code, every message.
//!
//! Sockets are real, so most of this runs in real time and waits for messages
//! only, never for a time to pass.

use proxy::{Clock, Demand, DemandSink, TargetId, Totals};
use scaler::{
    DemandSource, Ledger, LedgerConfig, RateTarget, TargetEntry, TargetScaling,
    externalscaler::{
        GetMetricSpecResponse, GetMetricsRequest, IsActiveResponse, ScaledObjectRef,
        external_scaler_client::ExternalScalerClient,
    },
    keda::{self, KedaMetrics, OpenStreams, ServeError},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::Instant,
};
use tonic::{
    Code, Request, Status, Streaming,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

struct Source {
    clock: Clock,
    demand: Demand,
    held: AtomicU64,
}

impl Source {
    fn hold(&self, requests: u64) {
        for _ in 0..requests {
            self.demand.begin(0, self.clock.now_us());
        }
        self.held.fetch_add(requests, Ordering::Relaxed);
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
        // The repeats have their own tests, with paused time.
        usize::from(self.held() == 0)
    }
}

struct Server {
    clock: Clock,
    ledger: Arc<Ledger>,
    metrics: Arc<KedaMetrics>,
    address: String,
    client: ExternalScalerClient<Channel>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    async fn start() -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let metrics = Arc::new(KedaMetrics::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            stopped.await.ok();
        };
        let serving = keda::serve(
            listener,
            Arc::clone(&ledger),
            Arc::clone(&metrics),
            shutdown,
        );
        let served = tokio::spawn(serving);
        let address = format!("http://{address}");
        let client = Self::client(&address).await;
        Self {
            clock,
            ledger,
            metrics,
            address,
            client,
            stop,
            served,
        }
    }

    async fn client(address: &str) -> ExternalScalerClient<Channel> {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
        ExternalScalerClient::new(endpoint.connect().await.expect("connects"))
    }

    fn source(&self) -> Arc<Source> {
        let (demand, held) = (Demand::new(1), AtomicU64::new(0));
        Arc::new(Source {
            clock: self.clock,
            demand,
            held,
        })
    }

    /// A server with the target `ns/web`.
    async fn with(scaling: TargetScaling) -> (Self, Arc<Source>) {
        let server = Self::start().await;
        let source = server.source();
        server
            .ledger
            .set_targets(vec![entry("web", &source, scaling)]);
        (server, source)
    }

    async fn metric(
        &mut self,
        reference: ScaledObjectRef,
        name: &str,
    ) -> Result<(i64, f64), Status> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(reference),
            metric_name: name.to_owned(),
        };
        let values = self
            .client
            .get_metrics(request)
            .await?
            .into_inner()
            .metric_values;
        assert_eq!(values.len(), 1, "the HPA adds up what it gets");
        assert_eq!(values[0].metric_name, name);
        Ok((values[0].metric_value, values[0].metric_value_float))
    }

    async fn activity(&mut self, reference: ScaledObjectRef) -> Streaming<IsActiveResponse> {
        self.client
            .stream_is_active(reference)
            .await
            .expect("opens")
            .into_inner()
    }

    async fn specs(&mut self, reference: ScaledObjectRef) -> Streaming<GetMetricSpecResponse> {
        self.client
            .stream_metric_spec(reference)
            .await
            .expect("opens")
            .into_inner()
    }

    /// What all five RPCs say, where all must fail.
    async fn failures(&mut self, reference: &ScaledObjectRef) -> [Status; 5] {
        let client = &mut self.client;
        let metrics = GetMetricsRequest {
            scaled_object_ref: Some(reference.clone()),
            metric_name: "http_web_concurrency".into(),
        };
        [
            client
                .is_active(reference.clone())
                .await
                .expect_err("IsActive"),
            client
                .get_metric_spec(reference.clone())
                .await
                .expect_err("GetMetricSpec"),
            client.get_metrics(metrics).await.expect_err("GetMetrics"),
            client
                .stream_is_active(reference.clone())
                .await
                .expect_err("StreamIsActive"),
            client
                .stream_metric_spec(reference.clone())
                .await
                .expect_err("StreamMetricSpec"),
        ]
    }

    async fn assert_all_fail(&mut self, reference: ScaledObjectRef, code: Code, message: &str) {
        for status in self.failures(&reference).await {
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }

    fn count(&self, method: &str, code: &str) -> u64 {
        let calls = self.metrics.snapshot().calls;
        calls
            .iter()
            .find(|c| c.method == method && c.code == code)
            .map_or(0, |c| c.count)
    }
}

fn entry(name: &str, source: &Arc<Source>, scaling: TargetScaling) -> TargetEntry {
    TargetEntry {
        id: TargetId::new("ns", name),
        source: Arc::clone(source) as _,
        scaling,
    }
}

fn reference(pairs: &[(&str, &str)]) -> ScaledObjectRef {
    let keda = [("scalerAddress", "reveille:9090"), ("unsafeSsl", "true")];
    ScaledObjectRef {
        name: "web".into(),
        namespace: "ns".into(),
        scaler_metadata: keda
            .iter()
            .chain(pairs)
            .map(|&(k, v)| (k.into(), v.into()))
            .collect(),
    }
}

fn web() -> ScaledObjectRef {
    reference(&[("interceptorRoute", "web")])
}

fn concurrency(target: u32) -> TargetScaling {
    TargetScaling {
        concurrency: Some(target),
        request_rate: None,
    }
}

fn both(concurrency: u32, rate: u32) -> TargetScaling {
    TargetScaling {
        concurrency: Some(concurrency),
        request_rate: Some(RateTarget::new(rate)),
    }
}

fn named(response: &GetMetricSpecResponse) -> Vec<(&str, i64, f64)> {
    let specs = response.metric_specs.iter();
    specs
        .map(|s| (s.metric_name.as_str(), s.target_size, s.target_size_float))
        .collect()
}

async fn next<T>(stream: &mut Streaming<T>) -> T {
    stream
        .message()
        .await
        .expect("no error")
        .expect("a message")
}

#[tokio::test]
async fn a_ledger_that_was_never_filled_is_unavailable() {
    let mut server = Server::start().await;
    server
        .assert_all_fail(web(), Code::Unavailable, "the routes are not loaded yet")
        .await;
    server.ledger.set_targets(Vec::new());
    let message = "no InterceptorRoute ns/web is known";
    server.assert_all_fail(web(), Code::NotFound, message).await;
    for method in [
        "IsActive",
        "GetMetricSpec",
        "GetMetrics",
        "StreamIsActive",
        "StreamMetricSpec",
    ] {
        assert_eq!(server.count(method, "UNAVAILABLE"), 1, "{method}");
        assert_eq!(server.count(method, "NOT_FOUND"), 1, "{method}");
    }
}

#[tokio::test]
async fn what_a_trigger_gets_wrong_is_named() {
    let (mut server, _source) = Server::with(concurrency(10)).await;
    let cases = [
        (
            reference(&[]),
            "the trigger metadata names no source of demand: set `interceptorRoute` (or \
             `httpScaledObject`) to the name of such an object in the ScaledObject's namespace, or \
             `interceptorTargetPendingRequests` to scale Reveille itself, or `metricQuery` to a query",
        ),
        (
            reference(&[("interceptorRoute", "web"), ("metric", "rps")]),
            "`metric: rps` is unknown: use concurrency, requestRate or demand, or leave it out for all \
             metrics of the route",
        ),
        (
            reference(&[("interceptorRoute", "web"), ("metric", "requestRate")]),
            "`metric: requestRate`: InterceptorRoute ns/web does not set that metric, only \
             concurrency",
        ),
        (
            ScaledObjectRef {
                namespace: String::new(),
                ..web()
            },
            "the scaledObjectRef has no namespace",
        ),
    ];
    for (reference, message) in cases {
        server
            .assert_all_fail(reference, Code::InvalidArgument, message)
            .await;
    }
    let status = server
        .client
        .get_metrics(GetMetricsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::InvalidArgument,
            "the request carries no scaledObjectRef"
        )
    );
    let elsewhere = ScaledObjectRef {
        namespace: "other".into(),
        ..web()
    };
    let message = "no InterceptorRoute other/web is known";
    server
        .assert_all_fail(elsewhere, Code::NotFound, message)
        .await;
    // Keys that nobody knows are logged, not refused.
    let odd = reference(&[("interceptorRoute", "web"), ("targetPendingRequests", "5")]);
    assert!(server.client.is_active(odd).await.is_ok());
}

#[tokio::test]
async fn specs_are_those_of_the_add_on() {
    let (mut server, _source) = Server::with(both(10, 20)).await;
    let specs = server
        .client
        .get_metric_spec(web())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        named(&specs),
        [
            ("http_web_concurrency", 10, 10.0),
            ("http_web_rate", 20, 20.0)
        ]
    );
    let only_rate = reference(&[("interceptorRoute", "web"), ("metric", "requestRate")]);
    let specs = server
        .client
        .get_metric_spec(only_rate.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(named(&specs), [("http_web_rate", 20, 20.0)]);
    let status = server
        .metric(only_rate, "http_web_concurrency")
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "metric \"http_web_concurrency\" is unknown: this trigger has \"http_web_rate\""
    );
}

#[tokio::test]
async fn values_are_what_is_asked_of_the_target() {
    let (mut server, source) = Server::with(both(10, 20)).await;
    assert_eq!(
        server.metric(web(), "http_web_concurrency").await.unwrap(),
        (0, 0.0)
    );
    assert_eq!(
        server.metric(web(), "http_web_rate").await.unwrap(),
        (0, 0.0)
    );
    source.hold(7);
    assert_eq!(
        server.metric(web(), "http_web_concurrency").await.unwrap(),
        (7, 7.0)
    );
    let (integer, float) = server.metric(web(), "http_web_rate").await.unwrap();
    assert!(
        float > 0.0 && integer == float.ceil() as i64,
        "{integer} {float}"
    );
    for unknown in ["", "s0-http_web_rate", "HTTP_WEB_RATE"] {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(web()),
            metric_name: unknown.into(),
        };
        let status = server.client.get_metrics(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            format!(
                "metric \"{unknown}\" is unknown: this trigger has \"http_web_concurrency\", \
                 \"http_web_rate\""
            )
        );
    }
}

#[tokio::test]
async fn is_active_follows_the_demand() {
    let (mut server, source) = Server::with(concurrency(10)).await;
    assert!(
        !server
            .client
            .is_active(web())
            .await
            .unwrap()
            .into_inner()
            .result
    );
    source.hold(1);
    assert!(
        server
            .client
            .is_active(web())
            .await
            .unwrap()
            .into_inner()
            .result
    );
    assert_eq!(server.count("IsActive", "OK"), 2);
}

#[tokio::test]
async fn a_stream_opens_with_the_state_of_now_whenever_the_last_sample_was() {
    let (mut server, source) = Server::with(concurrency(10)).await;
    source.hold(1); // nobody was told, and no sampler runs
    let mut stream = server.activity(web()).await;
    assert!(next(&mut stream).await.result);
}

#[tokio::test]
async fn a_wait_reaches_every_stream() {
    let (mut server, source) = Server::with(concurrency(10)).await;
    let mut one = server.activity(web()).await;
    let mut two = server.activity(web()).await;
    assert!(!next(&mut one).await.result);
    assert!(!next(&mut two).await.result);
    source.hold(1);
    server.ledger.waiting(&TargetId::new("ns", "web"));
    assert!(next(&mut one).await.result);
    assert!(next(&mut two).await.result);
    assert_eq!(
        server.metrics.snapshot().open_streams,
        OpenStreams {
            activity: 2,
            specs: 0
        }
    );
}

#[tokio::test]
async fn a_scaling_edit_reaches_the_spec_stream_exactly_once() {
    let (mut server, source) = Server::with(concurrency(10)).await;
    let mut stream = server.specs(web()).await;
    assert_eq!(
        named(&next(&mut stream).await),
        [("http_web_concurrency", 10, 10.0)]
    );
    let edit = |scaling| {
        server
            .ledger
            .set_targets(vec![entry("web", &source, scaling)])
    };
    edit(concurrency(10)); // the same
    edit(both(10, 20));
    assert_eq!(
        named(&next(&mut stream).await),
        [
            ("http_web_concurrency", 10, 10.0),
            ("http_web_rate", 20, 20.0)
        ]
    );
    let mut wider = RateTarget::new(20);
    wider.window = Duration::from_secs(300); // no part of the specs
    edit(TargetScaling {
        request_rate: Some(wider),
        ..concurrency(10)
    });
    edit(both(10, 20));
    edit(concurrency(11));
    // Had anything been sent twice, it would come before this.
    assert_eq!(
        named(&next(&mut stream).await),
        [("http_web_concurrency", 11, 11.0)]
    );
    assert_eq!(server.metrics.snapshot().spec_updates, 2);
}

#[tokio::test]
async fn a_spec_stream_of_one_metric_is_never_left_empty() {
    let (mut server, source) = Server::with(both(10, 20)).await;
    let only_rate = reference(&[("interceptorRoute", "web"), ("metric", "requestRate")]);
    let mut stream = server.specs(only_rate).await;
    assert_eq!(
        named(&next(&mut stream).await),
        [("http_web_rate", 20, 20.0)]
    );
    server
        .ledger
        .set_targets(vec![entry("web", &source, concurrency(10))]);
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "`metric: requestRate`: InterceptorRoute ns/web does not set that metric, only concurrency"
    );
}

#[tokio::test]
async fn a_route_can_go_and_come_back() {
    let (mut server, source) = Server::with(concurrency(10)).await;
    let (mut activity, mut specs) = (server.activity(web()).await, server.specs(web()).await);
    next(&mut activity).await;
    next(&mut specs).await;
    server.ledger.set_targets(Vec::new());
    for status in [
        activity.message().await.unwrap_err(),
        specs.message().await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "no InterceptorRoute ns/web is known");
    }
    let message = "no InterceptorRoute ns/web is known";
    server.assert_all_fail(web(), Code::NotFound, message).await;

    server
        .ledger
        .set_targets(vec![entry("web", &source, concurrency(12))]);
    let (mut activity, mut specs) = (server.activity(web()).await, server.specs(web()).await);
    assert!(!next(&mut activity).await.result);
    assert_eq!(
        named(&next(&mut specs).await),
        [("http_web_concurrency", 12, 12.0)]
    );
    server.ledger.waiting(&TargetId::new("ns", "web"));
    assert!(next(&mut activity).await.result);
}

#[tokio::test]
async fn shutdown_ends_streams_with_ok_and_returns() {
    let (mut server, _source) = Server::with(concurrency(10)).await;
    let (mut activity, mut specs) = (server.activity(web()).await, server.specs(web()).await);
    next(&mut activity).await;
    next(&mut specs).await;
    server.stop.send(()).expect("serving");
    // `Ok(None)` is the status OK; anything else would be an error.
    assert!(activity.message().await.expect("OK").is_none());
    assert!(specs.message().await.expect("OK").is_none());
    server.served.await.expect("no panic").expect("a clean end");
    let calls = server.metrics.snapshot();
    assert_eq!(calls.open_streams, OpenStreams::default());
    assert!(
        calls.calls.iter().all(|call| call.code == "OK"),
        "{calls:?}"
    );
    assert!(
        server.client.is_active(web()).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn an_oversized_request_is_refused() {
    let (mut server, _source) = Server::with(concurrency(10)).await;
    let long = "x".repeat(65 * 1024);
    let status = server
        .client
        .is_active(reference(&[("interceptorRoute", &long)]))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::OutOfRange);
}

/// Paused: the time passes as soon as nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_sent_in_full_is_given_up() {
    let (server, _source) = Server::with(concurrency(10)).await;
    let endpoint = Endpoint::from_shared(server.address.clone()).expect("an address");
    let mut raw = tonic::client::Grpc::new(endpoint.connect().await.expect("connects"));
    raw.ready().await.expect("ready");
    let never = Request::new(tokio_stream::pending::<ScaledObjectRef>());
    let codec = tonic_prost::ProstCodec::<ScaledObjectRef, IsActiveResponse>::default();
    let path = PathAndQuery::from_static("/externalscaler.ExternalScaler/IsActive");
    let started = Instant::now();
    let status = raw.client_streaming(never, path, codec).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::Cancelled,
            "the request did not arrive in full within 2s"
        )
    );
    assert!(
        started.elapsed() <= Duration::from_millis(2_100),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_the_deadline_of_answers() {
    let (mut server, _source) = Server::with(concurrency(10)).await;
    let mut stream = server.activity(web()).await;
    assert!(!next(&mut stream).await.result);
    tokio::time::sleep(Duration::from_secs(10)).await;
    server.ledger.waiting(&TargetId::new("ns", "web"));
    assert!(next(&mut stream).await.result);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_react_cannot_stop_the_shutdown() {
    let (server, _source) = Server::with(concurrency(10)).await;
    let address = server.address.trim_start_matches("http://");
    let mute = TcpStream::connect(address).await.expect("connects");
    // Accepted in order: when this answer is there, the mute one is, too.
    let mut second = Server::client(&server.address).await;
    second.is_active(web()).await.expect("an answer");
    let started = Instant::now();
    server.stop.send(()).expect("serving");
    server.served.await.expect("no panic").expect("a clean end");
    assert!(
        started.elapsed() <= Duration::from_millis(5_100),
        "{:?}",
        started.elapsed()
    );
    drop(mute);
}

#[tokio::test]
async fn a_thousand_streams_share_one_connection() {
    let (mut server, _source) = Server::with(concurrency(10)).await;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(server.activity(web()).await);
    }
    for stream in &mut streams {
        assert!(!next(stream).await.result);
    }
    server.ledger.waiting(&TargetId::new("ns", "web"));
    for stream in &mut streams {
        assert!(next(stream).await.result);
    }
    assert_eq!(server.metrics.snapshot().edges, 1_000);
}
