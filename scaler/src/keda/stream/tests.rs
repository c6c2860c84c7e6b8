//! Streams with paused time: whatever is told without a timer is there at the
//! next poll, without time passing.

use super::*;
use crate::{
    externalscaler::{ScaledObjectRef, external_scaler_server::ExternalScaler},
    fake::Fake,
    keda::{
        KedaMetrics, KedaMetricsSnapshot, MetricSources, OpenStreams,
        service::{KedaService, Memory},
    },
    ledger::{Ledger, LedgerConfig},
    sampler,
    source::TargetScaling,
};
use futures_util::FutureExt;
use proxy::{Clock, DemandSink, TargetId};
use std::time::Duration;
use tokio::time::sleep;
use tonic::Request;

const SCALING: TargetScaling = TargetScaling {
    concurrency: Some(10),
    request_rate: None,
};

struct Fixture {
    ledger: Arc<Ledger>,
    source: Arc<Fake>,
    id: TargetId,
    service: KedaService,
    metrics: Arc<KedaMetrics>,
    close: watch::Sender<bool>,
}

impl Fixture {
    fn new() -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let (source, id) = (Fake::new(clock), TargetId::new("ns", "web"));
        ledger.set_targets(vec![source.entry(&id, SCALING)]);
        tokio::spawn(sampler::run(Arc::clone(&ledger), pending()));
        let metrics = Arc::new(KedaMetrics::default());
        let (close, closing) = watch::channel(false);
        let service = KedaService::new(
            Arc::new(Memory::new(
                Arc::clone(&ledger),
                Arc::clone(&metrics),
                MetricSources::default(),
            )),
            closing,
        );
        Self {
            ledger,
            source,
            id,
            service,
            metrics,
            close,
        }
    }

    async fn open(&self) -> ActivityStream {
        let reference = ScaledObjectRef {
            name: "so".into(),
            namespace: "ns".into(),
            scaler_metadata: [("interceptorRoute".into(), "web".into())].into(),
        };
        let opened = self.service.stream_is_active(Request::new(reference)).await;
        opened.expect("the stream opens").into_inner()
    }

    /// A request arrives and finds nobody.
    fn hold(&self) {
        self.source.begin();
        self.source.set_held(1);
        self.ledger.waiting(&self.id);
    }

    /// The held request leaves.
    fn leave(&self) {
        self.source.set_held(0);
        self.source.end();
    }

    fn counted(&self) -> KedaMetricsSnapshot {
        self.metrics.snapshot()
    }
}

/// The message that is there now, without waiting.
fn now(stream: &mut ActivityStream) -> Option<bool> {
    let item = stream.next().now_or_never()?;
    Some(item.expect("the stream goes on").expect("no error").result)
}

/// What is sent within `ms`, and when (ms from now).
async fn within(stream: &mut ActivityStream, ms: u64) -> Vec<(u128, bool)> {
    let (start, mut sent) = (Instant::now(), Vec::new());
    let end = sleep(Duration::from_millis(ms));
    tokio::pin!(end);
    loop {
        tokio::select! {
            biased;
            item = stream.next() => {
                let result = item.expect("the stream goes on").expect("no error").result;
                sent.push((start.elapsed().as_millis(), result));
            }
            () = &mut end => return sent,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_present_state_comes_first() {
    let web = Fixture::new();
    let mut idle = web.open().await;
    assert_eq!(now(&mut idle), Some(false));
    assert_eq!(now(&mut idle), None);
    web.hold();
    let mut late = web.open().await;
    assert_eq!(now(&mut late), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_told_without_time_passing() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    let start = Instant::now();
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_wakes_a_stream_that_is_being_polled() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    let reader = tokio::spawn(async move {
        let item = stream.next().await;
        (
            item.expect("an item").expect("no error").result,
            Instant::now(),
        )
    });
    tokio::task::yield_now().await;
    let held_at = Instant::now();
    web.hold();
    let (active, told_at) = reader.await.unwrap();
    assert_eq!((active, told_at - held_at), (true, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn repeats_until_an_endpoint_is_ready() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    web.hold();
    let sent = within(&mut stream, 6_000).await;
    let at: Vec<u128> = sent.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(at, [0, 500, 1_500, 3_500, 5_500]);
    assert!(sent.iter().all(|(_, active)| *active));
    web.source.set_ready(1);
    assert_eq!(within(&mut stream, 20_000).await, []);
    let counted = web.counted();
    assert_eq!(
        (counted.states_on_open, counted.edges, counted.repeats),
        (1, 1, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn false_comes_once_and_only_after_the_activity_window() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    sleep(Duration::from_millis(50)).await;
    web.leave();
    let sent = within(&mut stream, 120_000).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (ms, active) = sent[0];
    assert!(
        !active && (29_900..=30_200).contains(&ms),
        "{active} after {ms} ms"
    );
}

#[tokio::test(start_paused = true)]
async fn warm_traffic_says_nothing_more() {
    let web = Fixture::new();
    web.source.set_ready(1);
    web.source.begin();
    let mut stream = web.open().await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(now(&mut stream), Some(true));
    for _ in 0..60 {
        web.source.begin();
        assert_eq!(within(&mut stream, 1_000).await, []);
        web.source.end();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_wait_while_still_active_is_told_at_once_and_once() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    web.source.set_ready(1);
    web.leave();
    assert_eq!(within(&mut stream, 10_000).await, []);
    // KEDA or somebody else scaled to zero; the target is active still.
    web.source.set_ready(0);
    assert_eq!(within(&mut stream, 5_000).await, []);
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(now(&mut stream), None);
    assert_eq!(within(&mut stream, 600).await, [(500, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_loses_its_last_endpoint_is_told_of() {
    let web = Fixture::new();
    web.source.set_ready(1);
    let mut stream = web.open().await;
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(within(&mut stream, 3_200).await, []);
    web.source.set_ready(0); // no new wait: the queue never was empty
    let sent = within(&mut stream, 600).await;
    assert_eq!(sent.len(), 1, "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn two_streams_are_told_alike() {
    let web = Fixture::new();
    let (mut one, mut two) = (web.open().await, web.open().await);
    assert_eq!((now(&mut one), now(&mut two)), (Some(false), Some(false)));
    web.hold();
    assert_eq!((now(&mut one), now(&mut two)), (Some(true), Some(true)));
    drop(one);
    assert_eq!(
        web.counted().open_streams,
        OpenStreams {
            activity: 1,
            specs: 0
        }
    );
    assert_eq!(within(&mut two, 600).await, [(500, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_finds_one_message() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    for _ in 0..5 {
        web.hold();
        sleep(Duration::from_secs(3)).await;
        web.leave();
        sleep(Duration::from_secs(40)).await;
    }
    web.hold();
    assert_eq!(now(&mut stream), Some(true));
    assert_eq!(now(&mut stream), None);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_with_ok() {
    let web = Fixture::new();
    let (mut reading, mut unread) = (web.open().await, web.open().await);
    assert_eq!(now(&mut reading), Some(false));
    web.close.send_replace(true);
    assert!(reading.next().await.is_none());
    assert!(reading.next().await.is_none());
    assert!(unread.next().await.is_none());
    let mut late = web.open().await;
    assert!(late.next().await.is_none());
    drop((reading, unread, late));
    let calls = web.counted().calls;
    assert_eq!((calls.len(), calls[0].code, calls[0].count), (1, "OK", 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_ends_its_streams_with_ok() {
    let mut web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    web.close = watch::channel(false).0;
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn removal_ends_with_not_found() {
    let web = Fixture::new();
    let mut stream = web.open().await;
    assert_eq!(now(&mut stream), Some(false));
    web.ledger.set_targets(Vec::new());
    let status = stream.next().await.expect("an item").expect_err("an error");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no InterceptorRoute ns/web is known");
    assert!(stream.next().await.is_none());
}
