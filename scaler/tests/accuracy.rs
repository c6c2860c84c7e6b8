//! Known schedules of requests through the real counters, sampler and ledger,
//! against the truth that is computed from the schedule. Time is paused.

use proxy::{Clock, Demand, DemandSink, TargetId, Totals};
use scaler::{DemandSource, Ledger, LedgerConfig, RateTarget, TargetEntry, TargetScaling, sampler};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

struct Source {
    target: TargetId,
    clock: Clock,
    demand: Demand,
    /// Whether it tells of the first request after a rest.
    tells: bool,
    is_looked_at: AtomicBool,
}

impl Source {
    fn begin(&self, ledger: &Ledger) {
        let now_us = self.clock.now_us();
        self.demand.begin(0, now_us);
        if self.tells && !self.is_looked_at.swap(true, Ordering::SeqCst) {
            ledger.stirred(&self.target, now_us);
        }
    }
}

impl DemandSource for Source {
    fn totals(&self) -> Totals {
        self.demand.totals(self.clock.now_us())
    }
    fn target(&self) -> Option<&TargetId> {
        Some(&self.target)
    }
    fn tell_of_next(&self) -> bool {
        self.is_looked_at.store(false, Ordering::SeqCst);
        self.tells
    }
    fn held(&self) -> u64 {
        0
    }
    fn ready_endpoints(&self) -> usize {
        1
    }
}

/// A request: when it begins and ends, in milliseconds.
type Span = (u64, u64);

/// A request every `period`, each `duration` long.
fn every(period: u64, duration: u64, until: u64) -> Vec<Span> {
    let starts = (0..until / period).map(|n| n * period);
    starts.map(|at| (at, at + duration)).collect()
}

/// The mean number of requests between two times.
fn true_mean(spans: &[Span], from: u64, until: u64) -> f64 {
    let inside = |&(begin, end): &Span| end.min(until).saturating_sub(begin.max(from));
    spans.iter().map(inside).sum::<u64>() as f64 / (until - from) as f64
}

/// Requests per second that began between two times.
fn true_rate(spans: &[Span], from: u64, until: u64) -> f64 {
    let began = spans
        .iter()
        .filter(|(begin, _)| (from..until).contains(begin));
    began.count() as f64 * 1_000.0 / (until - from) as f64
}

const CONCURRENCY_MS: u64 = 5_000;
const RATE_MS: u64 = 20_000;

/// Plays the schedule for a minute and compares at each look; returns whether
/// the target was active at all of them, and at the last. It is the same
/// whether the target rests in between or not.
async fn play(spans: &[Span]) -> (bool, bool) {
    let seen = play_with(spans, true).await;
    assert_eq!(play_with(spans, false).await, seen);
    seen
}

async fn play_with(spans: &[Span], tells: bool) -> (bool, bool) {
    let clock = Clock::start();
    let start = Instant::now();
    let ledger = Arc::new(Ledger::new(LedgerConfig::default(), clock));
    let id = TargetId::new("ns", "web");
    let source = Arc::new(Source {
        target: id.clone(),
        clock,
        demand: Demand::new(2),
        tells,
        is_looked_at: AtomicBool::new(false),
    });
    let mut rate = RateTarget::new(1);
    rate.window = Duration::from_millis(RATE_MS);
    ledger.set_targets(vec![TargetEntry {
        id: id.clone(),
        source: source.clone(),
        scaling: TargetScaling {
            concurrency: Some(1),
            request_rate: Some(rate),
        },
    }]);
    tokio::spawn(sampler::run(ledger.clone(), std::future::pending()));

    // A look comes before what happens at its time: 0 < 1 < 2.
    let mut events: Vec<(u64, u8)> = (1..60).map(|n| (n * 1_037, 0)).collect();
    events.extend(spans.iter().map(|&(begin, _)| (begin, 1)));
    events.extend(spans.iter().map(|&(_, end)| (end, 2)));
    events.sort_unstable();
    let (mut always, mut last) = (true, false);
    for (at, what) in events {
        sleep_until(start + Duration::from_millis(at)).await;
        match what {
            1 => source.begin(&ledger),
            2 => source.demand.end(1, clock.now_us()),
            _ => {
                let seen = ledger.demand(&id).expect("known");
                let from = at.saturating_sub(CONCURRENCY_MS);
                let truths = far_ends(from, 100).map(|from| true_mean(spans, from, at));
                near(
                    "concurrency",
                    seen.concurrency,
                    &truths.collect::<Vec<_>>(),
                    0.002,
                    at,
                );
                // Before the window is full, over the time that it covers.
                if at >= RATE_MS {
                    let from = at - RATE_MS;
                    // The default granularity, and a tenth for the ticks.
                    let truths = far_ends(from, 1_100).map(|from| {
                        true_rate(spans, from, at) * (at - from) as f64 / RATE_MS as f64
                    });
                    let one = 1_000.0 / RATE_MS as f64;
                    near(
                        "rate",
                        seen.request_rate,
                        &truths.collect::<Vec<_>>(),
                        one,
                        at,
                    );
                }
                always &= seen.active;
                last = seen.active;
            }
        }
    }
    (always, last)
}

/// Where the window may begin: it is cut between two readings, and only between
/// those the demand is taken as even.
fn far_ends(from: u64, apart: u64) -> impl Iterator<Item = u64> {
    (from.saturating_sub(apart)..=from + apart).step_by(10)
}

/// Within 1 % of the truth, or what a request at the very edge makes.
fn near(what: &str, seen: f64, truths: &[f64], edge: f64, at: u64) {
    let least = truths.iter().copied().fold(f64::INFINITY, f64::min);
    let most = truths.iter().copied().fold(0.0, f64::max);
    let (below, above) = (edge.max(least * 0.01), edge.max(most * 0.01));
    assert!(
        least - below <= seen && seen <= most + above,
        "{what} at {at} ms: {seen}, in truth {least} to {most}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_constant_load() {
    assert_eq!(play(&every(50, 400, 60_000)).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn five_millisecond_requests() {
    assert_eq!(play(&every(10, 5, 60_000)).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn bursts() {
    let mut spans = Vec::new();
    for at in (0..60_000).step_by(7_000) {
        spans.extend((0..200).map(|n| (at + n, at + n + 300)));
    }
    assert_eq!(play(&spans).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn requests_that_outlive_the_window() {
    let spans: Vec<Span> = (0..10).map(|n| (n * 500, n * 500 + 40_000)).collect();
    assert_eq!(play(&spans).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_mix_of_all() {
    let mut spans = every(100, 250, 60_000);
    spans.extend(every(33, 5, 60_000));
    spans.extend([(1_000, 31_000), (20_000, 59_000)]);
    assert_eq!(play(&spans).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_rare_short_request_keeps_a_target_awake_and_silence_does_not() {
    assert_eq!(play(&every(10_000, 5, 60_000)).await, (true, true));
    assert_eq!(play(&[(0, 5)]).await, (false, false));
}

#[tokio::test(start_paused = true)]
async fn a_burst_after_a_rest_counts_as_what_it_is() {
    let mut spans = vec![(0, 5)];
    spans.extend((0..200).map(|n| (45_003 + n, 45_003 + n + 700)));
    assert_eq!(play(&spans).await, (false, true));
}
