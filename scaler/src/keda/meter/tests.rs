//! Metric triggers through the RPCs, with a clock that the test moves.

use super::*;
use crate::metric_sources::ALIVE_FOR_MS;
use crate::{
    externalscaler::{GetMetricsRequest, external_scaler_server::ExternalScaler},
    fake::Fake,
    ingest::{Outcome, Source},
    keda::{
        KedaMetrics,
        service::{KedaService, Memory},
        stream::ActivityStream,
    },
    ledger::{Ledger, LedgerConfig},
    series::{Growth, Labels},
    source::TargetScaling,
};
use futures_util::{FutureExt, StreamExt};
use proxy::{Clock, DemandSink, TargetId};
use std::cell::Cell;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic::{Code, Request, Status};

thread_local! {
    static NOW_MS: Cell<i64> = const { Cell::new(1_800_000_000_000) };
}

fn pass(seconds: i64) {
    NOW_MS.set(NOW_MS.get() + seconds * 1000);
}

struct Fixture {
    sources: MetricSources,
    ledger: Arc<Ledger>,
    route: Arc<Fake>,
    service: KedaService,
    close: watch::Sender<bool>,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

const JOBS: Pairs<'_> = &[("metricQuery", "jobs"), ("targetValue", "2.5")];
const BOTH: Pairs<'_> = &[
    ("interceptorRoute", "web"),
    ("metricQuery", "jobs"),
    ("targetValue", "2"),
];

impl Fixture {
    fn new() -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let route = Fake::new(clock);
        let scaling = TargetScaling {
            concurrency: Some(10),
            request_rate: None,
        };
        ledger.set_targets(vec![route.entry(&TargetId::new("ns", "web"), scaling)]);
        let sources = MetricSources::default();
        let metrics = Arc::new(KedaMetrics::default());
        let mut memory = Memory::new(ledger.clone(), metrics, sources.clone());
        memory.meters = Meters::with_clock(sources.clone(), || NOW_MS.get());
        let (close, closing) = watch::channel(false);
        Self {
            sources,
            ledger,
            route,
            service: KedaService::new(Arc::new(memory), closing),
            close,
        }
    }

    /// A point, a millisecond later than anything before.
    fn put(&self, metric: &str, pod: &str, value: f64) {
        let now_ms = NOW_MS.get() + 1;
        NOW_MS.set(now_ms);
        let mut writer = self.sources.store.write(now_ms);
        let labels = Labels::new([("__name__", metric), ("pod", pod)]).unwrap();
        let series = writer.intern(labels).unwrap();
        let put = writer.append(series, now_ms, value, Growth::Level);
        put.unwrap();
        drop(writer);
        let mut outcome = Outcome::default();
        outcome.accept();
        let counters = &self.sources.counters;
        counters.took(Source::OtlpHttp, &outcome, now_ms);
    }

    /// 30 requests wait for the route: three replicas of it.
    fn hold_thirty(&self) {
        self.route.begin();
        self.route.set_held(30);
        self.ledger.waiting(&TargetId::new("ns", "web"));
    }

    async fn specs(&self, of: ScaledObjectRef) -> Result<Vec<(String, i64, f64)>, Status> {
        let answer = self.service.get_metric_spec(Request::new(of)).await?;
        let specs = answer.into_inner().metric_specs.into_iter();
        Ok(specs
            .map(|spec| (spec.metric_name, spec.target_size, spec.target_size_float))
            .collect())
    }

    async fn value_of(&self, of: ScaledObjectRef, name: &str) -> Result<(i64, f64), Status> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(of),
            metric_name: name.into(),
        };
        let answer = self.service.get_metrics(Request::new(request)).await?;
        let values = answer.into_inner().metric_values;
        assert_eq!((values.len(), values[0].metric_name.as_str()), (1, name));
        Ok((values[0].metric_value, values[0].metric_value_float))
    }

    async fn value(&self, pairs: Pairs<'_>) -> Result<(i64, f64), Status> {
        let specs = self.specs(shop(pairs)).await?;
        assert_eq!(specs.len(), 1, "{specs:?}");
        self.value_of(shop(pairs), &specs[0].0).await
    }

    async fn is_active(&self, pairs: Pairs<'_>) -> Result<bool, Status> {
        let answer = self.service.is_active(Request::new(shop(pairs))).await?;
        Ok(answer.into_inner().result)
    }

    async fn open(&self, pairs: Pairs<'_>) -> Result<ActivityStream, Status> {
        let request = Request::new(shop(pairs));
        Ok(self.service.stream_is_active(request).await?.into_inner())
    }

    fn queries(&self) -> usize {
        self.sources.store.stats().queries
    }
}

fn reference(name: &str, pairs: Pairs<'_>) -> ScaledObjectRef {
    ScaledObjectRef {
        name: name.into(),
        namespace: "ns".into(),
        scaler_metadata: pairs.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
    }
}

fn shop(pairs: Pairs<'_>) -> ScaledObjectRef {
    reference("shop", pairs)
}

fn with<'a>(pairs: Pairs<'a>, more: Pairs<'a>) -> Vec<(&'a str, &'a str)> {
    [pairs, more].concat()
}

/// The message that is there now, without waiting.
fn now(stream: &mut ActivityStream) -> Option<bool> {
    let item = stream.next().now_or_never()?;
    Some(item.expect("the stream goes on").expect("no error").result)
}

fn said<T>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.err().expect("an error");
    (status.code(), status.message().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_query_alone_is_one_metric_evaluated_when_it_is_read() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 7.25);
    let specs = fixture.specs(shop(JOBS)).await.unwrap();
    assert_eq!(specs, [("ns-shop".to_owned(), 3, 2.5)]);
    assert_eq!(fixture.value(JOBS).await.unwrap(), (8, 7.25));
    fixture.put("jobs", "b", 1.0);
    assert_eq!(fixture.value(JOBS).await.unwrap(), (9, 8.25));
    let clamped = with(JOBS, &[("clampMax", "4")]);
    assert_eq!(fixture.value(&clamped).await.unwrap(), (4, 4.0));
    // The points grow older than the window, without new ones.
    pass(61);
    assert_eq!(fixture.value(JOBS).await.unwrap(), (0, 0.0));
    let (code, text) = said(fixture.value_of(shop(JOBS), "jobs").await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("this trigger has \"ns-shop\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn it_is_active_above_the_activation_value() {
    let fixture = Fixture::new();
    let above_five = with(JOBS, &[("activationTargetValue", "5")]);
    for (value, by_default, above) in [(0.0, false, false), (5.0, true, false), (5.5, true, true)] {
        pass(1);
        fixture.put("jobs", "a", value);
        assert_eq!(fixture.is_active(JOBS).await.unwrap(), by_default);
        assert_eq!(fixture.is_active(&above_five).await.unwrap(), above);
    }
}

#[tokio::test(start_paused = true)]
async fn no_data_is_zero_only_while_a_source_is_alive() {
    let fixture = Fixture::new();
    let number = with(JOBS, &[("onNoData", "3")]);
    let error = with(JOBS, &[("onNoData", "error")]);
    for _ in 0..2 {
        let (code, text) = said(fixture.value(JOBS).await);
        assert_eq!(code, Code::Unavailable);
        assert!(text.contains("no source of metrics is alive"), "{text}");
        assert_eq!(said(fixture.is_active(JOBS).await).0, Code::Unavailable);
        assert_eq!(fixture.value(&number).await.unwrap(), (3, 3.0));

        // Somebody sends, though not this.
        fixture.put("other", "a", 1.0);
        pass(ALIVE_FOR_MS / 1000);
        assert_eq!(fixture.value(JOBS).await.unwrap(), (0, 0.0));
        assert!(!fixture.is_active(JOBS).await.unwrap());
        assert_eq!(fixture.value(&number).await.unwrap(), (3, 3.0));
        let (code, text) = said(fixture.value(&error).await);
        assert_eq!(code, Code::Unavailable);
        assert!(text.contains("onNoData is error"), "{text}");
        pass(1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_at_first_sight_in_every_rpc() {
    let fixture = Fixture::new();
    let cases: [(Pairs<'_>, &str); 7] = [
        (&[("metricQuery", "jobs")], "`targetValue`: is missing"),
        (
            &[
                ("metricQuery", "sum(jobs) + topk(1, x)"),
                ("targetValue", "1"),
            ],
            "`metricQuery`: column 13: ",
        ),
        (&with(JOBS, &[("clampMin", "x")]), "`clampMin`: "),
        (&with(JOBS, &[("onNoData", "zero")]), "`onNoData`: "),
        (&with(JOBS, &[("merge", "avg")]), "`merge`: \"avg\""),
        (
            &with(JOBS, &[("metric", "concurrency")]),
            "`metric: concurrency`: a trigger with `metricQuery` does not set that metric, only \
             demand",
        ),
        (
            &with(JOBS, &[("interceptorTargetPendingRequests", "5")]),
            "`interceptorTargetPendingRequests` and `metricQuery` contradict",
        ),
    ];
    for (pairs, wanted) in cases {
        let specs = Request::new(shop(pairs));
        for (code, text) in [
            said(fixture.specs(shop(pairs)).await),
            said(fixture.value_of(shop(pairs), "ns-shop").await),
            said(fixture.is_active(pairs).await),
            said(fixture.open(pairs).await),
            said(fixture.service.stream_metric_spec(specs).await),
        ] {
            assert_eq!(code, Code::InvalidArgument);
            assert!(text.starts_with(wanted), "{text}");
        }
    }
    assert_eq!(fixture.queries(), 0, "none was registered");
}

#[tokio::test(start_paused = true)]
async fn a_long_value_makes_a_short_error() {
    let long = "x".repeat(10_000);
    let long = [("clampMin", long.as_str())];
    let pairs = with(JOBS, &long);
    let (_, text) = said(Fixture::new().value(&pairs).await);
    assert!(text.len() < 600, "{}", text.len());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_gives_several_series_says_in_what_they_differ() {
    let fixture = Fixture::new();
    let pairs = [("metricQuery", "jobs > 0"), ("targetValue", "1")];
    fixture.put("jobs", "a", 1.0);
    assert_eq!(fixture.value(&pairs).await.unwrap(), (1, 1.0));
    fixture.put("jobs", "b", 1.0);
    let (code, text) = said(fixture.value(&pairs).await);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.contains("differ in pod"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_when_points_come_and_when_they_grow_old() {
    let fixture = Fixture::new();
    let mut stream = fixture.open(JOBS).await.unwrap();
    assert_eq!(now(&mut stream), None, "blind: nothing is known");
    sleep(LOOK_GAP).await;
    fixture.put("other", "a", 1.0);
    assert_eq!(
        now(&mut stream),
        None,
        "not its series: the next look tells"
    );
    sleep(LOOK_EACH).await;
    assert_eq!(now(&mut stream), Some(false));
    sleep(LOOK_GAP).await;
    // No time passes between the point and the message.
    fixture.put("jobs", "a", 1.0);
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(now(&mut stream), None);
    pass(61);
    sleep(LOOK_EACH).await;
    assert_eq!(now(&mut stream), Some(false));
    // The ingest goes blind: the stream says nothing and stays.
    pass(600);
    sleep(LOOK_EACH * 60).await;
    assert_eq!(now(&mut stream), None);
    sleep(LOOK_GAP).await;
    fixture.put("jobs", "a", 1.0);
    assert_eq!(now(&mut stream), Some(true));
    // KEDA may have lost it.
    sleep(LOOK_EACH * 29).await;
    assert_eq!(now(&mut stream), None);
    sleep(LOOK_EACH).await;
    assert_eq!(now(&mut stream), Some(true));
    fixture.close.send_replace(true);
    let ended = stream.next().now_or_never();
    assert!(matches!(ended, Some(None)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_batches_is_looked_at_in_turns() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 0.0);
    let mut stream = fixture.open(JOBS).await.unwrap();
    assert_eq!(now(&mut stream), Some(false));
    assert_eq!(now(&mut stream), None);
    fixture.put("jobs", "a", 1.0);
    assert_eq!(now(&mut stream), Some(true), "no points came before these");
    fixture.put("jobs", "a", 0.0);
    assert_eq!(now(&mut stream), None, "it looked a moment ago");
    sleep(LOOK_GAP).await;
    assert_eq!(now(&mut stream), Some(false));
    fixture.put("jobs", "a", 2.0);
    sleep(LOOK_GAP).await;
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(now(&mut stream), None);
    // Something else wakes the stream meanwhile: the points are not forgotten.
    fixture.put("jobs", "a", 0.0);
    assert_eq!(now(&mut stream), None);
    fixture.close.send_replace(false);
    assert_eq!(now(&mut stream), None);
    sleep(LOOK_GAP).await;
    assert_eq!(now(&mut stream), Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_route_and_a_query_are_one_metric_in_replicas() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 8.0);
    fixture.hold_thirty();
    let specs = fixture.specs(shop(BOTH)).await.unwrap();
    assert_eq!(specs, [("demand".to_owned(), 1, 1.0)]);
    // 30 requests at 10 each, 8 jobs at 2 each.
    assert_eq!(fixture.value(BOTH).await.unwrap(), (4, 4.0));
    let sum = with(BOTH, &[("merge", "sum")]);
    assert_eq!(fixture.value(&sum).await.unwrap(), (7, 7.0));
    let (code, text) = said(fixture.value_of(shop(BOTH), "http_web_concurrency").await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("this trigger has \"demand\""), "{text}");
    // Of a route alone, on request.
    let route = [("interceptorRoute", "web"), ("metric", "demand")];
    assert_eq!(fixture.value(&route).await.unwrap(), (3, 3.0));
    let own = Request::new(shop(BOTH));
    let stream = fixture.service.stream_metric_spec(own).await.unwrap();
    let first = stream.into_inner().next().await.unwrap().unwrap();
    assert_eq!(first.metric_specs[0].metric_name, "demand");
}

#[tokio::test(start_paused = true)]
async fn either_source_wakes_and_one_that_is_unknown_makes_no_zero() {
    let fixture = Fixture::new();
    // Blind, and nobody asks: not known.
    assert_eq!(said(fixture.is_active(BOTH).await).0, Code::Unavailable);
    let mut stream = fixture.open(BOTH).await.unwrap();
    assert_eq!(now(&mut stream), None);
    // Somebody asks: active, but how many replicas is not known.
    fixture.hold_thirty();
    assert!(fixture.is_active(BOTH).await.unwrap());
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(said(fixture.value(BOTH).await).0, Code::Unavailable);

    let quiet = Fixture::new();
    quiet.put("jobs", "a", 0.0);
    assert!(!quiet.is_active(BOTH).await.unwrap());
    let mut stream = quiet.open(BOTH).await.unwrap();
    assert_eq!(now(&mut stream), Some(false));
    sleep(LOOK_GAP).await;
    quiet.put("jobs", "a", 1.0);
    assert_eq!(now(&mut stream), Some(true));
    assert!(quiet.is_active(BOTH).await.unwrap());
    pass(1);
    quiet.put("jobs", "a", 0.0);
    sleep(LOOK_GAP).await;
    assert_eq!(now(&mut stream), Some(false));
}

#[tokio::test(start_paused = true)]
async fn two_scaled_objects_have_nothing_to_do_with_each_other() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 4.0);
    fixture.put("mails", "a", 9.0);
    let mails = [("metricQuery", "mails"), ("targetValue", "1")];
    let bad = [("metricQuery", "sum("), ("targetValue", "1")];
    for _ in 0..3 {
        assert_eq!(fixture.value(JOBS).await.unwrap(), (4, 4.0));
        let other = reference("other", &mails);
        assert_eq!(fixture.value_of(other, "ns-other").await.unwrap(), (9, 9.0));
        let broken = reference("broken", &bad);
        let (code, _) = said(fixture.value_of(broken, "ns-broken").await);
        assert_eq!(code, Code::InvalidArgument);
        // Nor have two triggers of one.
        assert_eq!(fixture.value(&mails).await.unwrap(), (9, 9.0));
    }
    assert_eq!(fixture.queries(), 3, "each is registered once");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_let_go_but_by_streams() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 1.0);
    let stream = fixture.open(JOBS).await.unwrap();
    assert_eq!(fixture.queries(), 1);
    let mails = [("metricQuery", "mails"), ("targetValue", "1")];
    fixture.is_active(&mails).await.unwrap();
    sleep(KEPT_FOR / 2).await;
    fixture.is_active(&mails).await.unwrap();
    sleep(KEPT_FOR / 2).await;
    fixture.is_active(&mails).await.unwrap();
    assert_eq!(fixture.queries(), 2, "mails, and the stream");
    drop(stream);
    assert_eq!(fixture.queries(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_not_endlessly_many_of_them() {
    let fixture = Fixture::new();
    let meters = Meters::new(fixture.sources.clone());
    for number in 0..MOST {
        let name = number.to_string();
        meters.of(&reference(&name, JOBS)).unwrap().unwrap();
    }
    let one_more = reference("more", JOBS);
    let error = meters.of(&one_more).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    // Those that are known are served.
    meters.of(&reference("7", JOBS)).unwrap().unwrap();
    sleep(KEPT_FOR).await;
    meters.of(&one_more).unwrap().unwrap();
    assert_eq!(fixture.queries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_query_has_no_value_until_other_replicas_have_told_but_not_for_ever() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 4.0);
    let place = fixture.sources.store.expect_from_elsewhere();
    let (code, message) = said(fixture.value(JOBS).await);
    assert_eq!(code, Code::Unavailable);
    assert!(message.contains("other replicas"), "{message}");
    let mut stream = fixture.open(JOBS).await.unwrap();
    assert!(stream.next().now_or_never().is_none(), "nothing is known");
    // The other one has told: the stream is, without a tick.
    place.told(fixture.sources.store.asked().all().0);
    let asked = Instant::now();
    assert!(stream.next().await.unwrap().unwrap().result);
    assert!(asked.elapsed() <= LOOK_GAP);
    assert_eq!(fixture.value(JOBS).await.unwrap(), (4, 4.0));
    // One that is asked about something else, and never tells.
    let mails = [("metricQuery", "mails"), ("targetValue", "1")];
    let (code, _) = said(fixture.value(&mails).await);
    assert_eq!(code, Code::Unavailable);
    sleep(GATHER_WITHIN).await;
    assert_eq!(fixture.value(&mails).await.unwrap(), (0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_not_heard_its_peers_says_nothing_of_metrics() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 4.0);
    fixture.ledger.set_blind(true);
    let (code, _) = said(fixture.value(JOBS).await);
    assert_eq!(code, Code::Unavailable);
    assert_eq!(said(fixture.is_active(JOBS).await).0, Code::Unavailable);
    fixture.ledger.set_blind(false);
    assert_eq!(fixture.value(JOBS).await.unwrap(), (4, 4.0));
}

#[tokio::test(start_paused = true)]
async fn points_that_come_right_after_a_look_do_not_wait_for_the_next() {
    let fixture = Fixture::new();
    fixture.put("jobs", "a", 0.0);
    let mut stream = fixture.open(JOBS).await.unwrap();
    assert!(!stream.next().await.unwrap().unwrap().result);
    // It has looked at the tick just now.
    assert!(timeout(LOOK_EACH, stream.next()).await.is_err());
    pass(1);
    let asked = Instant::now();
    fixture.put("jobs", "a", 3.0);
    assert!(stream.next().await.unwrap().unwrap().result);
    assert_eq!(asked.elapsed(), Duration::ZERO);
}
