//! Whole ScaledObjects on paused time: what is asked of the scaler, when the
//! workload is scaled, and what people are told.

mod logged;

use crate::autoscaler::fake::{Answers, FakeScaler, FakeWorkload, StreamScript};
use crate::autoscaler::spawn::{Autoscaler, Crashed};
use crate::autoscaler::{Behavior, MetricType, ScaledObject, ScalingRules, Trigger, Workload};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

fn trigger(route: &str) -> Trigger {
    Trigger {
        push: true,
        metric_type: MetricType::AverageValue,
        metadata: BTreeMap::from([
            ("interceptorRoute".to_owned(), route.to_owned()),
            ("scalerAddress".to_owned(), "reveille:9090".to_owned()),
        ]),
        name: None,
    }
}

/// min 0, max 10, polled every 10 s, cooldown 60 s, one push trigger.
fn web() -> ScaledObject {
    ScaledObject {
        namespace: "default".into(),
        name: "web".into(),
        min_replicas: 0,
        max_replicas: 10,
        idle_replicas: None,
        polling_interval: 10 * SECOND,
        cooldown_period: 60 * SECOND,
        initial_cooldown_period: Duration::ZERO,
        behavior: Behavior::default(),
        triggers: vec![trigger("web")],
    }
}

/// A scaler that answers like this for the route `web`.
fn answering(change: impl FnOnce(&mut Answers)) -> FakeScaler {
    let scaler = FakeScaler::new();
    scaler.answer("web", change);
    scaler
}

/// An autoscaler of one ScaledObject over doubles.
struct Stage {
    scaler: Arc<FakeScaler>,
    workload: Arc<FakeWorkload>,
    autoscaler: Autoscaler,
    stop: CancellationToken,
    start: Instant,
}

impl Stage {
    fn new(object: ScaledObject, replicas: u32, scaler: FakeScaler) -> Self {
        let scaler = Arc::new(scaler);
        let workload = Arc::new(FakeWorkload::new(replicas));
        let stop = CancellationToken::new();
        let objects = vec![(object, workload.clone() as Arc<dyn Workload>)];
        let autoscaler = Autoscaler::spawn_with(&scaler, SECOND, objects, &stop);
        Self {
            scaler,
            workload,
            autoscaler,
            stop,
            start: Instant::now(),
        }
    }

    /// Lets (paused) time pass until just after this second.
    async fn until(&self, second: u64) {
        let just_after = self.start + Duration::from_millis(second * 1000 + 1);
        tokio::time::sleep_until(just_after).await;
    }

    async fn end(mut self) -> Result<(), Crashed> {
        self.stop.cancel();
        self.autoscaler.join().await
    }
}

#[tokio::test(start_paused = true)]
async fn polls_at_once_and_then_every_interval() {
    let stage = Stage::new(web(), 0, FakeScaler::new());
    stage.until(30).await;
    assert_eq!(stage.scaler.calls("IsActive", stage.start), [0, 10, 20, 30]);
    assert_eq!(stage.workload.changes(), []);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sends_all_of_the_metadata_along() {
    let stage = Stage::new(web(), 0, FakeScaler::new());
    stage.until(0).await;
    let asked = stage.scaler.asked();
    assert!(!asked.is_empty());
    for of in asked {
        assert_eq!(
            (of.namespace.as_str(), of.name.as_str()),
            ("default", "web")
        );
        assert_eq!(
            of.scaler_metadata,
            trigger("web").metadata.into_iter().collect()
        );
    }
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_day_in_the_life() {
    // Removing waits 5 s instead of 300 s, so that the HPA gets its turn.
    let scale_down = ScalingRules {
        stabilization_window: 5 * SECOND,
        ..ScalingRules::default_down()
    };
    let object = ScaledObject {
        behavior: Behavior {
            scale_down,
            ..Behavior::default()
        },
        ..web()
    };
    let stage = Stage::new(object, 0, FakeScaler::new());

    stage.until(14).await;
    stage
        .scaler
        .answer("web", |web| (web.active, web.value) = (true, 35.0));
    stage.until(30).await;
    stage.scaler.answer("web", |web| web.value = 0.0);
    stage.until(42).await;
    stage.scaler.answer("web", |web| web.active = false);
    stage.until(200).await;

    // Woken by the poll at 20, raised by the sync at 20 or 21 to ceil(3.5);
    // quiet since 30, so that the 4 of 30 are forgotten at 35. Last active at
    // the poll of 40, hence asleep at 100.
    assert_eq!(
        stage.workload.changes(),
        [(20, 1), (20, 4), (35, 1), (100, 0)]
    );
    let why: Vec<_> = stage
        .workload
        .log()
        .into_iter()
        .map(|scaled| scaled.why)
        .collect();
    assert_eq!(
        why,
        [
            "demand reported by polling trigger 0 (interceptorRoute=web)",
            "s0-concurrency is 35, target 10 per replica",
            "s0-concurrency is 0, target 10 per replica; limited by minReplicaCount",
            "no demand for 60 s",
        ]
    );
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pushed_true_wakes_at_once_while_a_poll_hangs() {
    let scaler = answering(|web| web.hangs = true);
    let reports = scaler.live_stream();
    let stage = Stage::new(web(), 0, scaler);
    // The poll of second 0 has been waiting for 3 of its 5 seconds.
    stage.until(3).await;
    let sent = Instant::now();
    reports.send(true).unwrap();
    stage.workload.reaches(1).await;
    assert_eq!(sent.elapsed(), Duration::ZERO);
    let woken = &stage.workload.log()[0];
    assert_eq!(
        woken.why,
        "demand reported by trigger 0 (interceptorRoute=web)"
    );
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_reports_scale_once_and_false_never() {
    let scaler = FakeScaler::new();
    let reports = scaler.live_stream();
    let stage = Stage::new(web(), 0, scaler);
    for active in [false, true, true, false, true] {
        reports.send(active).unwrap();
    }
    stage.until(59).await;
    assert_eq!(stage.workload.changes(), [(0, 1)]);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_push_during_a_slow_quiet_poll_is_not_undone_by_it() {
    let object = ScaledObject {
        cooldown_period: Duration::ZERO,
        ..web()
    };
    let scaler = answering(|web| web.slow = 4 * SECOND);
    let reports = scaler.live_stream();
    let stage = Stage::new(object, 0, scaler);
    stage.until(2).await;
    reports.send(true).unwrap();
    // The poll of second 0 answers "quiet" at 4; the one of 10 is believed.
    stage.until(20).await;
    assert_eq!(stage.workload.changes(), [(2, 1), (14, 0)]);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_takes_nothing_away() {
    let stage = Stage::new(
        web(),
        0,
        answering(|web| (web.active, web.value) = (true, 30.0)),
    );
    stage.until(5).await;
    stage.scaler.answer("web", |web| *web = failing());
    stage.until(5_000).await;
    assert_eq!(stage.workload.changes(), [(0, 1), (0, 3)], "frozen");
    let error = stage.autoscaler.status()[0].last_error.clone().unwrap();
    assert!(error.ongoing);
    assert_eq!(
        error.message,
        "trigger 0 (interceptorRoute=web): GetMetricSpec: The service is currently unavailable: \
         down"
    );

    stage.scaler.answer("web", |web| *web = Default::default());
    stage.until(5_011).await;
    assert_eq!(
        stage.workload.changes().last(),
        Some(&(5_010, 0)),
        "quiet, and known to be"
    );
    assert!(
        !stage.autoscaler.status()[0]
            .last_error
            .clone()
            .unwrap()
            .ongoing
    );
    stage.end().await.unwrap();
}

fn failing() -> Answers {
    Answers {
        fails: true,
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_scaler_is_an_error_after_its_deadline() {
    let stage = Stage::new(web(), 2, answering(|web| web.hangs = true));
    stage.until(4).await;
    assert_eq!(stage.autoscaler.status()[0].last_error, None);
    stage.until(5).await;
    let error = stage.autoscaler.status()[0].last_error.clone().unwrap();
    assert!(
        error
            .message
            .ends_with("GetMetricSpec: no answer within 5s"),
        "{}",
        error.message
    );
    stage.until(1_000).await;
    assert_eq!(stage.workload.changes(), [], "neither asleep nor scaled");
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_metric_that_cannot_be_read_fails_its_trigger() {
    let stage = Stage::new(web(), 2, answering(|web| web.blind = true));
    stage.until(1_000).await;
    assert_eq!(stage.workload.changes(), []);
    assert_eq!(
        stage.scaler.calls("IsActive", stage.start),
        [0; 0],
        "as in KEDA: not asked"
    );
    assert_eq!(stage.autoscaler.status()[0].metrics[0].value, None);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn asleep_only_polls_ask() {
    let stage = Stage::new(web(), 0, FakeScaler::new());
    stage.until(35).await;
    assert_eq!(
        stage.scaler.calls("GetMetrics", stage.start),
        [0, 10, 20, 30]
    );
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn awake_the_hpa_reads_every_second_and_never_asks_for_activity() {
    let object = ScaledObject {
        min_replicas: 1,
        polling_interval: 100 * SECOND,
        ..web()
    };
    let stage = Stage::new(object, 1, FakeScaler::new());
    stage.until(5).await;
    // Second 0 twice: the poll and the first sync.
    assert_eq!(
        stage.scaler.calls("GetMetrics", stage.start),
        [0, 0, 1, 2, 3, 4, 5]
    );
    assert_eq!(stage.scaler.calls("IsActive", stage.start), [0]);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_active_trigger_of_two_keeps_it_awake_and_the_higher_metric_counts() {
    let object = ScaledObject {
        triggers: vec![trigger("quiet"), trigger("busy")],
        ..web()
    };
    let scaler = FakeScaler::new();
    scaler.answer("quiet", |quiet| quiet.value = 5.0);
    scaler.answer("busy", |busy| (busy.active, busy.value) = (true, 18.0));
    let stage = Stage::new(object, 0, scaler);
    stage.until(1_000).await;
    assert_eq!(stage.workload.changes(), [(0, 1), (0, 2)]);
    assert_eq!(
        stage.workload.log()[1].why,
        "s1-concurrency is 18, target 10 per replica"
    );
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_failing_trigger_of_two_forbids_sleep_and_removal_but_not_growth() {
    let object = ScaledObject {
        triggers: vec![trigger("down"), trigger("web")],
        ..web()
    };
    let scaler = FakeScaler::new();
    scaler.answer("down", |down| *down = failing());
    let stage = Stage::new(object, 2, scaler);
    stage.until(1_000).await;
    assert_eq!(stage.workload.changes(), []);
    stage.scaler.answer("web", |web| web.value = 50.0);
    stage.until(1_001).await;
    assert_eq!(stage.workload.changes(), [(1_001, 5)]);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn idle_replicas_are_left_alone_by_the_hpa() {
    let object = ScaledObject {
        min_replicas: 3,
        idle_replicas: Some(1),
        ..web()
    };
    let stage = Stage::new(object, 3, FakeScaler::new());
    stage.until(500).await;
    assert_eq!(stage.workload.changes(), [(0, 1)]);
    stage.scaler.answer("web", |web| web.active = true);
    stage.until(510).await;
    assert_eq!(stage.workload.changes(), [(0, 1), (510, 3)]);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_workload_below_its_minimum_is_raised() {
    let stage = Stage::new(
        ScaledObject {
            min_replicas: 2,
            ..web()
        },
        0,
        FakeScaler::new(),
    );
    stage.until(1).await;
    assert_eq!(stage.workload.changes(), [(0, 2)]);
    assert_eq!(stage.workload.log()[0].why, "fewer than minReplicaCount 2");
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tells_what_it_thinks() {
    let stage = Stage::new(
        web(),
        0,
        answering(|web| (web.active, web.value) = (true, 12.5)),
    );
    stage.until(5).await;
    stage.scaler.answer("web", |web| web.active = false);
    stage.until(20).await;
    let status = stage.autoscaler.status_reader().status().remove(0);
    assert_eq!(
        (status.namespace.as_str(), status.name.as_str()),
        ("default", "web")
    );
    assert_eq!(
        (status.workload.as_str(), status.desired_replicas),
        ("default/web", 2)
    );
    assert_eq!(status.last_active.unwrap().as_secs(), 20);
    assert_eq!(
        status.sleeps_in.unwrap().as_secs(),
        39,
        "60 s after second 0, and 1 ms is gone"
    );
    assert_eq!(status.last_error, None);
    let metric = &status.metrics[0];
    assert_eq!((metric.trigger, metric.name.as_str()), (0, "concurrency"));
    assert_eq!((metric.value, metric.target), (Some(12.5), 10.0));

    stage.until(60).await;
    let status = stage.autoscaler.status().remove(0);
    assert_eq!((status.desired_replicas, status.sleeps_in), (0, None));
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_an_error_until_it_is_open_again() {
    let scaler = FakeScaler::new();
    scaler.script_streams(vec![StreamScript::Refuse, StreamScript::Refuse]);
    let _open = scaler.live_stream();
    let stage = Stage::new(web(), 0, scaler);
    let ongoing = || {
        stage.autoscaler.status()[0]
            .last_error
            .as_ref()
            .is_some_and(|e| e.ongoing)
    };
    stage.until(5).await;
    assert!(ongoing(), "refused at 0 and 2");
    stage.until(6).await;
    assert!(!ongoing(), "open since 6");
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ends_at_once_and_closes_its_streams() {
    let scaler = answering(|web| web.hangs = true);
    let reports = scaler.live_stream();
    let stage = Stage::new(web(), 1, scaler);
    stage.until(1).await;
    assert!(!reports.is_closed());
    let asked_to_end = Instant::now();
    let workload = stage.workload.clone();
    stage.end().await.unwrap();
    assert_eq!(asked_to_end.elapsed(), Duration::ZERO);
    assert!(reports.is_closed(), "the scaler sees that nobody listens");
    assert_eq!(workload.replicas(), 1, "replicas stay as they are");
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_the_owner_and_ends_the_others() {
    let scaler = Arc::new(FakeScaler::new());
    scaler.answer("web", |web| web.active = true);
    let mut explosive = FakeWorkload::new(0);
    explosive.explosive = true;
    let sound = Arc::new(FakeWorkload::new(0));
    let other = ScaledObject {
        name: "other".into(),
        triggers: vec![trigger("other")],
        ..web()
    };
    let stop = CancellationToken::new();
    let objects: Vec<(_, Arc<dyn Workload>)> =
        vec![(other, sound.clone()), (web(), Arc::new(explosive))];
    let mut autoscaler = Autoscaler::spawn_with(&scaler, SECOND, objects, &stop);

    let crash = autoscaler.join().await.unwrap_err();
    assert_eq!(crash.scaled_object, "default/web");
    assert!(crash.to_string().contains("boom"), "{crash}");
    autoscaler.join().await.unwrap();
    assert!(
        !stop.is_cancelled(),
        "the rest of the program decides for itself"
    );
}

#[tokio::test(start_paused = true)]
async fn objects_do_not_wait_for_each_other() {
    let scaler = Arc::new(FakeScaler::new());
    scaler.answer("stuck", |stuck| stuck.hangs = true);
    scaler.answer("web", |web| web.active = true);
    let stuck = ScaledObject {
        name: "stuck".into(),
        triggers: vec![trigger("stuck")],
        ..web()
    };
    let (one, two) = (
        Arc::new(FakeWorkload::new(0)),
        Arc::new(FakeWorkload::new(0)),
    );
    let stop = CancellationToken::new();
    let objects: Vec<(_, Arc<dyn Workload>)> = vec![(stuck, one.clone()), (web(), two.clone())];
    let mut autoscaler = Autoscaler::spawn_with(&scaler, SECOND, objects, &stop);
    sleep(SECOND).await;
    assert_eq!((one.changes(), two.changes()), (vec![], vec![(0, 1)]));
    stop.cancel();
    autoscaler.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_edit_counts_at_once_and_what_was_seen_is_not_forgotten() {
    let scaler = answering(|web| web.active = true);
    let stage = Stage::new(web(), 0, scaler);
    stage.until(5).await;
    assert_eq!(stage.workload.changes(), [(0, 1)]);
    stage.scaler.answer("web", |web| web.active = false);
    let edited = ScaledObject {
        min_replicas: 3,
        ..web()
    };
    let objects = stage.autoscaler.objects();
    objects.set(vec![(edited, stage.workload.clone())]);
    stage.until(6).await;
    assert_eq!(stage.workload.replicas(), 3);
    // Back to zero as the minimum: the cooldown counts from the last activity,
    // at second 0, not from the edit.
    objects.set(vec![(web(), stage.workload.clone())]);
    stage.until(58).await;
    assert_ne!(stage.workload.replicas(), 0);
    stage.until(70).await;
    assert_eq!(stage.workload.replicas(), 0);
    stage.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn objects_come_and_go_and_those_that_stay_are_not_disturbed() {
    let stage = Stage::new(web(), 0, FakeScaler::new());
    stage.until(5).await;
    let other = ScaledObject {
        name: "other".into(),
        triggers: vec![trigger("other")],
        ..web()
    };
    let second = Arc::new(FakeWorkload::new(0));
    stage.scaler.answer("other", |other| other.active = true);
    let objects = stage.autoscaler.objects();
    objects.set(vec![
        (web(), stage.workload.clone() as Arc<dyn Workload>),
        (other, second.clone()),
    ]);
    stage.until(20).await;
    assert_eq!(second.changes(), [(0, 1)]);
    let names = |stage: &Stage| -> Vec<String> {
        let status = stage.autoscaler.status().into_iter();
        status.map(|object| object.name).collect()
    };
    assert_eq!(names(&stage), ["web", "other"]);
    // Polled from the start every ten seconds, whatever happened beside it.
    let asked = stage.scaler.asked();
    let polls = asked.iter().filter(|of| of.name == "web").count();
    objects.set(vec![(web(), stage.workload.clone())]);
    stage.until(40).await;
    assert_eq!(names(&stage), ["web"]);
    let asked = stage.scaler.asked();
    let others = asked.iter().rev().take_while(|of| of.name != "other");
    assert!(others.count() >= 2, "nobody asks about the other any more");
    assert!(asked.iter().filter(|of| of.name == "web").count() > polls);
    assert_eq!(second.replicas(), 1, "it keeps its replicas");
    stage.end().await.unwrap();
}
