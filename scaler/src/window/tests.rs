//! Windows against the truth, computed request by request.

use super::*;
use proptest::prelude::*;
use proxy::Demand;

const MS: u64 = 1_000;
const SECOND: u64 = 1_000 * MS;

/// (begin, end) in microseconds.
type Requests = Vec<(u64, u64)>;

/// Real counters that are played forward through a list of requests.
struct Play {
    demand: Demand,
    events: Vec<(u64, bool)>,
    next: usize,
}

impl Play {
    fn new(requests: &Requests) -> Self {
        let both = |&(begin, end): &(u64, u64)| [(begin, true), (end, false)];
        let mut events: Vec<_> = requests.iter().flat_map(both).collect();
        events.sort_by_key(|&(at, begins)| (at, !begins));
        Self {
            demand: Demand::new(1),
            events,
            next: 0,
        }
    }

    fn until(&mut self, now: u64) -> Totals {
        while let Some(&(at, begins)) = self.events.get(self.next).filter(|e| e.0 <= now) {
            if begins {
                self.demand.begin(0, at)
            } else {
                self.demand.end(0, at)
            }
            self.next += 1;
        }
        self.demand.totals(now)
    }
}

fn true_mean(requests: &Requests, from: u64, until: u64) -> f64 {
    let overlap = |&(begin, end): &(u64, u64)| end.min(until).saturating_sub(begin.max(from));
    requests.iter().map(overlap).sum::<u64>() as f64 / (until - from) as f64
}

fn true_rate(requests: &Requests, from: u64, until: u64) -> f64 {
    let begun = requests
        .iter()
        .filter(|r| r.0 > from && r.0 <= until)
        .count();
    begun as f64 * 1e6 / (until - from) as f64
}

fn every(period: u64, duration: u64, until: u64) -> Requests {
    (1..=until / period)
        .map(|i| (i * period, i * period + duration))
        .collect()
}

fn concurrency() -> Window<Totals> {
    Window::concurrency(Duration::from_secs(5), Duration::from_millis(100))
}

fn rate(window: u64, granularity: u64) -> Window<Arrivals> {
    Window::rate(Some(&RateTarget {
        target_value: 1,
        window: Duration::from_secs(window),
        granularity: Duration::from_secs(granularity),
    }))
}

fn assert_close(got: f64, truth: f64, at: u64) {
    assert!(
        (got - truth).abs() <= truth * 0.01 + 1e-9,
        "{got}, not {truth}, at {at} µs"
    );
}

/// Ticks every 100 ms; at each tick from `from` on the mean must be the truth.
fn check_mean(requests: &Requests, from: u64, until: u64) {
    let (mut play, mut window) = (Play::new(requests), concurrency());
    for now in (0..=until).step_by(100_000) {
        let totals = play.until(now);
        window.push(totals);
        if now >= from {
            let truth = true_mean(requests, now.saturating_sub(5 * SECOND), now);
            assert_close(window.mean(&totals).unwrap(), truth, now);
        }
    }
}

#[test]
fn constant_load_is_its_concurrency() {
    let ten_at_once = every(100 * MS, SECOND, 60 * SECOND);
    check_mean(&ten_at_once, 5 * SECOND, 60 * SECOND);
}

#[test]
fn five_millisecond_requests_are_seen_as_what_they_are() {
    check_mean(
        &every(10 * SECOND + 33 * MS, 5 * MS, 60 * SECOND),
        MS,
        60 * SECOND,
    );
    check_mean(&every(7 * MS, 5 * MS, 20 * SECOND), MS, 20 * SECOND);
}

#[test]
fn requests_that_outlive_the_window_count_in_full() {
    check_mean(&vec![(0, 3_600 * SECOND); 7], MS, 600 * SECOND);
}

#[test]
fn bursts_stay_for_the_window_and_then_leave() {
    let mut requests = Requests::new();
    for burst in 0..10u64 {
        requests.extend(vec![
            (burst * 3 * SECOND, burst * 3 * SECOND + 200 * MS);
            100
        ]);
    }
    requests.extend(vec![(200 * SECOND + 50 * MS, 201 * SECOND); 1000]);
    check_mean(&requests, MS, 230 * SECOND);
}

#[test]
fn a_reading_between_two_ticks_is_as_exact() {
    let requests = every(20 * MS, 50 * MS, 30 * SECOND);
    let (mut play, mut window) = (Play::new(&requests), concurrency());
    for tick in (0..=30 * SECOND).step_by(100_000) {
        window.push(play.until(tick));
        let now = tick + 37 * MS;
        let totals = play.until(now);
        if now > 6 * SECOND && now < 30 * SECOND {
            let truth = true_mean(&requests, now - 5 * SECOND, now);
            assert_close(window.mean(&totals).unwrap(), truth, now);
        }
    }
}

#[test]
fn before_any_time_has_passed_there_is_no_mean() {
    let (mut play, mut window) = (Play::new(&vec![(0, SECOND)]), concurrency());
    let totals = play.until(10);
    assert_eq!(window.mean(&totals), None);
    window.push(totals);
    assert_eq!(window.mean(&totals), None);
}

#[test]
fn the_rate_is_per_second_at_any_granularity() {
    for granularity in [1, 5, 10] {
        let requests = every(20 * MS, 5 * MS, 300 * SECOND);
        let (mut play, mut window) = (Play::new(&requests), rate(60, granularity));
        for now in (0..=300 * SECOND).step_by(100_000) {
            let arrivals = Arrivals::from(&play.until(now));
            window.push(arrivals);
            // Also in the first seconds, while the window is not yet full.
            if now >= 2 * SECOND {
                assert_close(window.per_second(&arrivals), 50.0, now);
            }
        }
    }
}

#[test]
fn a_burst_on_a_young_target_is_no_more_than_itself_per_second() {
    let burst: Requests = vec![(10 * MS, 20 * MS); 60];
    let (mut play, mut window) = (Play::new(&burst), rate(60, 1));
    window.push(Arrivals::from(&play.until(0)));
    for (now, truth) in [(11 * MS, 60.0), (SECOND, 60.0), (2 * SECOND, 30.0)] {
        let arrivals = Arrivals::from(&play.until(now));
        window.push(arrivals);
        assert_close(window.per_second(&arrivals), truth, now);
    }
}

#[test]
fn a_burst_stays_in_the_rate_for_the_window() {
    for granularity in [1, 5, 10] {
        let burst: Requests = vec![(100 * SECOND + 50 * MS, 101 * SECOND); 600];
        let (mut play, mut window) = (Play::new(&burst), rate(60, granularity));
        for now in (0..=300 * SECOND).step_by(100_000) {
            let arrivals = Arrivals::from(&play.until(now));
            window.push(arrivals);
            let got = window.per_second(&arrivals);
            let blurred = 160 * SECOND..(161 + granularity) * SECOND;
            if blurred.contains(&now) {
                assert!((0.0..=10.0).contains(&got));
            } else {
                let truth = true_rate(&burst, now.saturating_sub(60 * SECOND), now.max(1));
                assert_close(got, if now < 60 * SECOND { 0.0 } else { truth }, now);
            }
        }
    }
}

#[test]
fn zero_window_and_granularity_mean_the_defaults() {
    let default = rate(60, 1);
    for window in [rate(0, 0), Window::rate(None)] {
        assert_eq!(
            (window.length_us, window.spacing_us),
            (default.length_us, default.spacing_us)
        );
    }
    let wide = rate(2, 10);
    assert!(wide.spacing_us <= wide.length_us);
}

#[test]
fn another_window_keeps_the_readings() {
    let requests = every(100 * MS, MS, 120 * SECOND);
    let (mut play, mut window) = (Play::new(&requests), rate(10, 1));
    for now in (0..=60 * SECOND).step_by(100_000) {
        window.push(Arrivals::from(&play.until(now)));
    }
    window.reshape(Some(&RateTarget::new(1)));
    for now in (60 * SECOND..=120 * SECOND).step_by(100_000) {
        let arrivals = Arrivals::from(&play.until(now));
        window.push(arrivals);
        assert_close(window.per_second(&arrivals), 10.0, now);
    }
}

#[test]
fn counters_that_start_anew_start_the_window_anew() {
    let mut window = rate(60, 1);
    for second in 0..100 {
        window.push(Arrivals {
            at_us: second * SECOND,
            begun: 1_000 + second,
        });
    }
    let fresh = Arrivals {
        at_us: 100 * SECOND,
        begun: 0,
    };
    window.push(fresh);
    assert_eq!(window.per_second(&fresh), 0.0);
    let later = Arrivals {
        at_us: 102 * SECOND,
        begun: 6,
    };
    window.push(later);
    assert_eq!(window.per_second(&later), 3.0);
}

#[test]
fn an_idle_target_costs_two_readings() {
    let requests = every(10 * MS, 5 * MS, 10 * SECOND);
    let (mut play, mut window) = (Play::new(&requests), concurrency());
    for now in (0..=3_600 * SECOND).step_by(100_000) {
        window.push(play.until(now));
    }
    assert_eq!((window.ring.len(), window.ring.capacity()), (2, 2));
}

#[test]
fn a_long_window_is_bounded() {
    let requests = every(SECOND, MS, 7_200 * SECOND);
    let (mut play, mut window) = (Play::new(&requests), rate(3_600, 1));
    for now in (0..=7_200 * SECOND).step_by(100_000) {
        let arrivals = Arrivals::from(&play.until(now));
        window.push(arrivals);
        if now >= 200 * SECOND {
            assert_close(window.per_second(&arrivals), 1.0, now);
        }
    }
    assert!(window.bytes() < 10 * 1024, "{} bytes", window.bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any requests, ticks that jitter: both windows are the truth but for the
    /// one piece that the far end cuts through, and never negative.
    #[test]
    fn windows_equal_the_naive_sum(
        requests in prop::collection::vec((0..20 * SECOND, 0..8 * SECOND), 0..80),
        jitter in prop::collection::vec(60 * MS..140 * MS, 250),
        stray in 0..60 * MS,
    ) {
        let requests: Requests = requests.into_iter().map(|(b, d)| (b, b + d)).collect();
        let mut play = Play::new(&requests);
        let (mut busy, mut begun) = (concurrency(), rate(5, 1));
        let mut tick = 0;
        for step in jitter {
            let totals = play.until(tick);
            busy.push(totals);
            begun.push(Arrivals::from(&totals));
            let now = tick + stray;
            let totals = play.until(now);
            if now > 0 {
                let mean = busy.mean(&totals).unwrap_or_default();
                let per_second = begun.per_second(&Arrivals::from(&totals));
                let from = now.saturating_sub(5 * SECOND);
                // Longest piece: spacing and one tick. All requests might lie in it.
                let mean_slack = requests.len() as f64 * 0.23 / 5.0 + 1e-9;
                prop_assert!(mean >= 0.0 && per_second >= 0.0);
                let truth = true_mean(&requests, from, now);
                prop_assert!((mean - truth).abs() <= mean_slack, "{} {} {}", mean, truth, now);
                if now > 5 * SECOND {
                    let near = requests.iter()
                        .filter(|r| r.0.abs_diff(from) <= 1_040 * MS).count();
                    let truth = true_rate(&requests, from, now);
                    let slack = near as f64 / 5.0 + 1e-9;
                    prop_assert!((per_second - truth).abs() <= slack, "{} {}", per_second, truth);
                }
            }
            tick += step;
        }
    }

    /// Whatever the readings are, in whatever order: finite, never negative.
    #[test]
    fn a_rate_is_never_negative(
        readings in prop::collection::vec((0..100 * SECOND, 0u64..1_000), 1..100),
        granularity in 0u64..20,
    ) {
        let mut window = rate(10, granularity);
        for (at_us, begun) in readings {
            let arrivals = Arrivals { at_us, begun };
            window.push(arrivals);
            let got = window.per_second(&arrivals);
            prop_assert!(got.is_finite() && got >= 0.0, "{}", got);
        }
    }
}
