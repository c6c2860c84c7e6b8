//! The ledger with real counters and paused time.

use super::*;
use crate::{
    fake::Fake,
    sampler,
    source::{RateTarget, TargetScaling},
};
use tokio::time::{advance, sleep};

const SCALING: TargetScaling = TargetScaling {
    concurrency: Some(10),
    request_rate: None,
};

fn id(name: &str) -> TargetId {
    TargetId::new("ns", name)
}

struct Fixture {
    ledger: Arc<Ledger>,
    source: Arc<Fake>,
    id: TargetId,
}

impl Fixture {
    /// A ledger with one target, without a sampler.
    fn still() -> Self {
        let clock = Clock::start();
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
        let (source, id) = (Fake::new(clock), id("web"));
        ledger.set_targets(vec![source.entry(&id, SCALING)]);
        Self { ledger, source, id }
    }

    /// The same with a sampler.
    fn sampled() -> Self {
        let fixture = Self::still();
        tokio::spawn(sampler::run(
            Arc::clone(&fixture.ledger),
            std::future::pending(),
        ));
        fixture
    }

    fn now(&self) -> DemandReading {
        self.ledger
            .demand(&self.id)
            .expect("the target is in the set")
    }

    fn active(&self) -> bool {
        self.ledger
            .find(&self.id)
            .expect("known")
            .follow_activity()
            .borrow()
            .active
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_ledger_knows_that_it_knows_nothing() {
    let ledger = Ledger::new(LedgerConfig::default(), Clock::start());
    ledger.waiting(&id("web"));
    assert!(!ledger.is_loaded());
    assert_eq!(ledger.find(&id("web")).unwrap_err(), Missing::NotLoaded);
    ledger.set_targets(Vec::new());
    assert!(ledger.is_loaded());
    assert_eq!(ledger.find(&id("web")).unwrap_err(), Missing::Unknown);
    assert_eq!(ledger.demand(&id("web")), None);
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_the_mean_but_never_below_what_is_held() {
    let web = Fixture::sampled();
    seconds(10).await;
    for _ in 0..4 {
        web.source.begin();
    }
    sleep(Duration::from_millis(2_500)).await;
    let reading = web.now();
    assert_eq!((reading.in_flight, reading.held), (4, 0));
    assert!(
        (reading.concurrency - 2.0).abs() < 0.02,
        "{}",
        reading.concurrency
    );
    web.source.set_held(4);
    assert_eq!(web.now().concurrency, 4.0);
}

#[tokio::test(start_paused = true)]
async fn the_rate_follows_the_route_s_window() {
    let web = Fixture::sampled();
    let rate = RateTarget {
        window: Duration::from_secs(10),
        ..RateTarget::new(5)
    };
    let scaling = TargetScaling {
        request_rate: Some(rate),
        ..SCALING
    };
    web.ledger
        .set_targets(vec![web.source.entry(&web.id, scaling)]);
    for _ in 0..300 {
        sleep(Duration::from_millis(100)).await;
        web.source.begin();
        web.source.end();
    }
    assert!((web.now().request_rate - 10.0).abs() < 0.1);
    seconds(11).await;
    assert_eq!(web.now().request_rate, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_activates_at_once_and_the_rest_at_the_next_tick() {
    let web = Fixture::sampled();
    seconds(1).await;
    assert!(!web.active());
    web.ledger.waiting(&web.id);
    assert!(web.active());
    seconds(31).await;
    assert!(!web.active());
    web.source.begin();
    sleep(Duration::from_millis(101)).await;
    assert!(web.active());
}

#[tokio::test(start_paused = true)]
async fn a_rare_short_request_keeps_a_route_active_and_silence_ends_it() {
    let web = Fixture::sampled();
    for _ in 0..12 {
        web.source.begin();
        sleep(Duration::from_millis(5)).await;
        web.source.end();
        seconds(9).await;
        assert!(web.active() && web.now().active);
        sleep(Duration::from_millis(995)).await;
    }
    seconds(19).await;
    assert!(web.active());
    seconds(2).await;
    assert!(!web.active());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_or_in_flight_is_active_for_as_long_as_it_takes() {
    let web = Fixture::sampled();
    web.source.begin();
    seconds(3_600).await;
    assert!(web.active());
    web.source.end();
    web.source.set_held(1);
    seconds(3_600).await;
    assert!(web.active());
    web.source.set_held(0);
    seconds(31).await;
    assert!(!web.active());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_asks_for_is_looked_at_no_more_until_somebody_does() {
    let web = Fixture::sampled();
    web.source.tells(&web.ledger);
    seconds(1).await;
    web.source.looks();
    for _ in 0..3 {
        seconds(3_600).await;
        assert_eq!(web.source.looks(), 0);
        web.source.begin();
        sleep(Duration::from_millis(101)).await;
        assert!(web.active());
        web.source.end();
        seconds(29).await;
        assert!(web.active() && web.source.looks() > 250);
        seconds(2).await;
        assert!(!web.active());
        web.source.looks();
    }
    // A look that somebody else takes does not end the rest, if nothing is new.
    assert!(!web.now().active);
    web.source.looks();
    seconds(10).await;
    assert_eq!(web.source.looks(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_says_that_something_is_asked_ends_the_rest() {
    let web = Fixture::sampled();
    web.source.tells(&web.ledger);
    let rests = async || {
        seconds(33).await;
        web.source.looks();
        seconds(10).await;
        assert_eq!(web.source.looks(), 0);
        assert!(!web.active());
    };
    rests().await;
    // Somebody who waits, and was not counted.
    web.ledger.waiting(&web.id);
    assert!(web.active());
    rests().await;
    // Somebody who looks before the sampler does, at what it was not told of.
    web.source.begin_untold();
    assert_eq!(web.now().in_flight, 1);
    web.source.end();
    assert!(web.active());
    rests().await;
    // Other counters under the same name.
    let fresh = Fake::new(web.ledger.clock);
    web.ledger.set_targets(vec![fresh.entry(&web.id, SCALING)]);
    fresh.begin();
    sleep(Duration::from_millis(101)).await;
    assert!(web.active());
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_name_never_rests() {
    let web = Fixture::sampled();
    web.source.tells(&web.ledger);
    let twin = id("twin");
    let entries = [&web.id, &twin].map(|id| web.source.entry(id, SCALING));
    web.ledger.set_targets(entries.to_vec());
    seconds(60).await;
    web.source.begin();
    sleep(Duration::from_millis(101)).await;
    for id in [&web.id, &twin] {
        let tracked = web.ledger.find(id).expect("known");
        assert!(tracked.follow_activity().borrow().active, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_finds_activity_without_a_sampler() {
    let web = Fixture::still();
    let tracked = web.ledger.find(&web.id).unwrap();
    assert!(!tracked.answer_active(web.ledger.now_us()));
    web.source.begin();
    web.source.end();
    assert!(tracked.answer_active(web.ledger.now_us()));
}

#[tokio::test(start_paused = true)]
async fn demand_between_two_polls_is_not_lost() {
    let web = Fixture::sampled();
    let tracked = web.ledger.find(&web.id).unwrap();
    assert!(!tracked.answer_active(web.ledger.now_us()));
    seconds(10).await;
    web.source.begin();
    web.source.end();
    seconds(110).await;
    assert!(!web.active());
    assert!(tracked.answer_active(web.ledger.now_us()));
    // The trigger's other metric, whose answer is the one that KEDA believes.
    assert!(tracked.answer_active(web.ledger.now_us()));
    seconds(120).await;
    assert!(!tracked.answer_active(web.ledger.now_us()));
}

#[tokio::test(start_paused = true)]
async fn targets_that_stay_keep_their_history() {
    let web = Fixture::sampled();
    for _ in 0..3 {
        web.source.begin();
    }
    seconds(10).await;
    let before = web.ledger.find(&web.id).unwrap();
    let other = Fake::new(Clock::start());
    let entries = vec![
        other.entry(&id("other"), SCALING),
        web.source.entry(&web.id, SCALING),
    ];
    web.ledger.set_targets(entries);
    assert!(Arc::ptr_eq(&before, &web.ledger.find(&web.id).unwrap()));
    assert!((web.now().concurrency - 3.0).abs() < 0.01);
    assert!(web.active());
    web.ledger
        .set_targets(vec![other.entry(&id("other"), SCALING)]);
    assert_eq!(web.ledger.demand(&web.id), None);
    assert!(before.follow_activity().borrow().removed);
}

#[tokio::test(start_paused = true)]
async fn a_new_source_with_fresh_counters_starts_a_new_history() {
    let web = Fixture::sampled();
    for _ in 0..1_000 {
        web.source.begin();
        web.source.end();
    }
    seconds(10).await;
    let fresh = Fake::new(web.ledger.clock);
    web.ledger.set_targets(vec![fresh.entry(&web.id, SCALING)]);
    seconds(1).await;
    let reading = web.now();
    assert_eq!(
        (reading.in_flight, reading.concurrency, reading.request_rate),
        (0, 0.0, 0.0)
    );
    fresh.begin();
    seconds(1).await;
    assert!((web.now().request_rate - 0.5).abs() < 0.05);
}

#[tokio::test(start_paused = true)]
async fn demand_that_is_there_when_a_target_enters_activates_it() {
    let clock = Clock::start();
    let (ledger, source) = (
        Ledger::new(LedgerConfig::default(), clock),
        Fake::new(clock),
    );
    source.begin();
    ledger.waiting(&id("web")); // too early: not in the set
    ledger.set_targets(vec![source.entry(&id("web"), SCALING)]);
    assert!(ledger.demand(&id("web")).unwrap().active);
}

#[tokio::test(start_paused = true)]
async fn of_two_entries_with_one_name_the_later_counts() {
    let web = Fixture::still();
    let later = TargetScaling {
        concurrency: Some(77),
        request_rate: None,
    };
    web.ledger.set_targets(vec![
        web.source.entry(&web.id, SCALING),
        web.source.entry(&web.id, later),
    ]);
    assert_eq!(web.ledger.find(&web.id).unwrap().scaling(), later);
}

#[tokio::test(start_paused = true)]
async fn waits_may_come_from_any_thread() {
    let web = Fixture::still();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| web.ledger.waiting(&web.id)));
        }
    });
    let signal = *web.ledger.find(&web.id).unwrap().follow_activity().borrow();
    assert_eq!((signal.active, signal.waits), (true, 400));
}

#[tokio::test(start_paused = true)]
async fn a_busy_target_takes_less_than_four_kibibytes_and_an_idle_one_less_than_one() {
    let web = Fixture::still();
    let bytes = || web.ledger.find(&web.id).unwrap().bytes();
    let tick = |_| {
        web.source.begin();
        web.ledger
            .find(&web.id)
            .unwrap()
            .observe(web.ledger.now_us());
        advance(Duration::from_millis(100))
    };
    for n in 0..1_300 {
        tick(n).await;
    }
    assert!(bytes() < 4 * 1024, "{} bytes", bytes());
    let idle = Fixture::still();
    for _ in 0..100 {
        idle.ledger
            .find(&idle.id)
            .unwrap()
            .observe(idle.ledger.now_us());
        advance(Duration::from_millis(100)).await;
    }
    let bytes = idle.ledger.find(&idle.id).unwrap().bytes();
    assert!(bytes < 1024, "{bytes} bytes");
}

#[tokio::test(start_paused = true)]
async fn the_sampler_stops_when_told() {
    let web = Fixture::still();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let sampler = tokio::spawn(sampler::run(Arc::clone(&web.ledger), async {
        stopped.await.expect("told");
    }));
    seconds(1).await;
    stop.send(()).expect("the sampler listens");
    sampler.await.expect("a clean end");
}
