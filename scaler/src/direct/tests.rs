//! Reports through the ledger, with paused time.

use crate::{
    DemandReading, DirectReport, Ledger, LedgerConfig, RateTarget, Reporter, TargetScaling,
    fake::Fake, sampler,
};
use proxy::{Clock, TargetId};
use std::{sync::Arc, time::Duration};
use tokio::time::{advance, sleep};

const GRACE: Duration = Duration::from_secs(15);

struct Fixture {
    ledger: Ledger,
    source: Arc<Fake>,
    id: TargetId,
}

impl Fixture {
    fn new() -> Self {
        let clock = Clock::start();
        let ledger = Ledger::new(LedgerConfig::default(), clock);
        ledger.expect_reports(GRACE);
        let (source, id) = (Fake::new(clock), TargetId::new("ns", "web"));
        let scaling = TargetScaling {
            concurrency: Some(10),
            request_rate: Some(RateTarget::new(10)),
        };
        // Under the name of another object, too, as a migration has it.
        let twin = crate::http_scaled_object("ns", "web");
        ledger.set_targets(vec![
            source.entry(&id, scaling),
            source.entry(&twin, scaling),
        ]);
        Self { ledger, source, id }
    }

    fn reporter(&self, name: &str) -> Reporter {
        self.ledger.reporter(name).expect("reports are expected")
    }

    fn report(&self, reporter: &Reporter, issued: u64, in_progress: u64) {
        let report = DirectReport {
            issued,
            in_progress,
        };
        reporter.report([(self.id.clone(), report)]);
    }

    fn now(&self) -> DemandReading {
        self.ledger.demand(&self.id).expect("it is known")
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_reported_is_added_to_what_is_counted() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.reporter("one"), fixture.reporter("other"));
    fixture.source.begin();
    for _ in 0..10 {
        fixture.report(&one, 20, 4);
        fixture.report(&other, 10, 2);
        advance(Duration::from_millis(500)).await;
        fixture.ledger.demand(&fixture.id).expect("it is known");
    }
    let now = fixture.now();
    assert_eq!(now.in_flight, 7);
    assert!((now.concurrency - 7.0).abs() < 0.01, "{now:?}");
    // 30 each half a second, and one of our own in five.
    assert!((now.request_rate - 60.2).abs() < 6.1, "{now:?}");
    assert!(now.active);
    let twin = crate::http_scaled_object("ns", "web");
    assert_eq!(fixture.ledger.demand(&twin), Some(now));
}

#[tokio::test(start_paused = true)]
async fn what_a_target_has_in_flight_ends_when_it_is_not_named_any_more() {
    let fixture = Fixture::new();
    let reporter = fixture.reporter("one");
    fixture.report(&reporter, 0, 3);
    // Older than the first report, and begun nevertheless.
    assert_eq!(fixture.now().in_flight, 3);
    reporter.report([]);
    assert_eq!(fixture.now().in_flight, 0);
    reporter.report([(TargetId::new("ns", "unknown"), DirectReport::default())]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reporter_counts_for_the_grace_and_one_that_leaves_does_not() {
    let fixture = Fixture::new();
    let (lost, left) = (fixture.reporter("lost"), fixture.reporter("left"));
    fixture.report(&lost, 0, 3);
    fixture.report(&left, 0, 4);
    left.leave();
    assert_eq!(fixture.now().in_flight, 3);
    drop(lost);
    advance(GRACE - Duration::from_millis(1)).await;
    assert_eq!(fixture.now().in_flight, 3);
    advance(Duration::from_millis(1)).await;
    assert_eq!(fixture.now().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reporter_that_comes_back_goes_on_where_it_was() {
    let fixture = Fixture::new();
    let reporter = fixture.reporter("one");
    fixture.report(&reporter, 3, 3);
    drop(reporter);
    advance(Duration::from_secs(5)).await;
    let again = fixture.reporter("one");
    fixture.report(&again, 0, 3);
    assert_eq!(fixture.now().in_flight, 3);
    assert_eq!(fixture.ledger.requests_begun(&fixture.id), Some(3));
    // Also where it has nothing to say of the target any more.
    drop(again);
    fixture.reporter("one").report([]);
    assert_eq!(fixture.now().in_flight, 0);
    advance(GRACE * 2).await;
    assert_eq!(fixture.now().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn idle_is_not_said_at_the_start_nor_while_a_reporter_is_silent() {
    let fixture = Fixture::new();
    let unsure = || {
        fixture.ledger.look_for_silence();
        fixture.ledger.is_unsure()
    };
    assert!(unsure());
    advance(GRACE).await;
    assert!(!unsure());
    let reporter = fixture.reporter("one");
    assert!(!unsure());
    reporter.fell_silent();
    assert!(unsure());
    fixture.report(&reporter, 0, 0);
    assert!(!unsure());
    drop(reporter);
    assert!(unsure());
    advance(GRACE).await;
    assert!(!unsure());
    fixture.reporter("two").leave();
    assert!(!unsure());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let reporter = fixture.reporter("one");
    fixture.report(&reporter, 3, 3);
    fixture.ledger.set_targets(vec![]);
    let scaling = TargetScaling::default();
    fixture
        .ledger
        .set_targets(vec![fixture.source.entry(&fixture.id, scaling)]);
    assert_eq!(fixture.now().in_flight, 0);
    fixture.report(&reporter, 1, 1);
    assert_eq!(fixture.now().in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_ends_the_rest_of_a_target() {
    let clock = Clock::start();
    let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
    ledger.expect_reports(GRACE);
    let (source, id) = (Fake::new(clock), TargetId::new("ns", "web"));
    source.tells(&ledger);
    ledger.set_targets(vec![source.entry(&id, TargetScaling::default())]);
    tokio::spawn(sampler::run(Arc::clone(&ledger), std::future::pending()));
    sleep(Duration::from_secs(60)).await;
    source.looks();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(source.looks(), 0);
    let reporter = ledger.reporter("one").expect("reports are expected");
    let mut activity = ledger.find(&id).expect("known").follow_activity();
    let issued = DirectReport {
        issued: 1,
        in_progress: 0,
    };
    reporter.report([(id.clone(), issued)]);
    activity
        .wait_for(|signal| signal.active)
        .await
        .expect("told");
    activity
        .wait_for(|signal| !signal.active)
        .await
        .expect("told");
}

#[tokio::test(start_paused = true)]
async fn a_steady_rate_is_steady_wherever_the_window_begins() {
    let fixture = Fixture::new();
    let scaling = TargetScaling {
        request_rate: Some(RateTarget {
            window: Duration::from_secs(5),
            ..RateTarget::new(10)
        }),
        ..TargetScaling::default()
    };
    let entry = fixture.source.entry(&fixture.id, scaling);
    fixture.ledger.set_targets(vec![entry]);
    let reporter = fixture.reporter("one");
    for hundredth in 0..1_500 {
        if hundredth % 50 == 0 {
            fixture.report(&reporter, 50, 2);
        }
        advance(Duration::from_millis(10)).await;
        let now = fixture.now();
        // The first report is of nobody knows how much time.
        if hundredth >= 700 {
            let seen = now.request_rate;
            assert!((seen - 100.0).abs() < 2.0, "{seen} at {hundredth}0 ms");
        }
    }
    // All of it is told, to the last request.
    advance(Duration::from_secs(1)).await;
    let begun = fixture.ledger.requests_begun(&fixture.id);
    assert_eq!(begun, Some(30 * 50));
}

#[tokio::test(start_paused = true)]
async fn one_request_is_told_at_once() {
    let fixture = Fixture::new();
    let reporter = fixture.reporter("one");
    fixture.report(&reporter, 0, 0);
    advance(Duration::from_millis(500)).await;
    fixture.report(&reporter, 1, 0);
    assert_eq!(fixture.ledger.requests_begun(&fixture.id), Some(1));
    assert!(fixture.now().active);
}
