//! The arithmetic of `demand.rs`. (Its concurrency: `tests/loom.rs`, which
//! compiles that file anew, hence no tests inside it.)

use proptest::prelude::*;
use proxy::Demand;

#[test]
fn a_short_request_between_two_readings_is_seen() {
    let demand = Demand::new(2);
    let before = demand.totals(1_000_000);
    demand.begin(0, 1_100_000);
    demand.end(1, 1_105_000);
    let after = demand.totals(2_000_000);
    assert_eq!(after.in_flight(), 0);
    assert_eq!(after.begun_since(&before), 1);
    assert_eq!(after.busy_us_since(&before), 5_000);
    assert!((after.mean_concurrency_since(&before) - 0.005).abs() < 1e-12);
}

#[test]
fn what_is_still_in_flight_counts_until_now() {
    let demand = Demand::new(1);
    let before = demand.totals(0);
    demand.begin(0, 250_000);
    let after = demand.totals(1_000_000);
    assert_eq!(after.in_flight(), 1);
    assert_eq!(after.busy_us_since(&before), 750_000);
}

#[test]
fn an_empty_interval_gives_the_present_concurrency() {
    let demand = Demand::new(1);
    demand.begin(0, 5);
    let now = demand.totals(10);
    assert_eq!(now.mean_concurrency_since(&now), 1.0);
}

#[test]
fn a_begin_after_the_clock_was_read_leaves_no_negative_area() {
    let demand = Demand::new(1);
    let before = demand.totals(100);
    demand.begin(0, 150);
    let after = demand.totals(140);
    assert_eq!(after.busy_us_since(&before), 0);
}

proptest! {
    /// Any schedule of requests, on any workers, read at any times: the
    /// counters give what adding up the overlaps one by one gives, also
    /// late in the life of a process, where the sums have wrapped.
    #[test]
    fn equals_the_sum_of_overlaps(
        requests in prop::collection::vec((0u64..1_000_000, 0u64..1_000_000, 0usize..4, 0usize..4), 0..60),
        from in 0u64..1_000_000,
        length in 1u64..1_000_000,
        origin in prop_oneof![Just(0u64), Just(1u64 << 45), Just((1u64 << 51) - 500_000)],
    ) {
        let until = from + length;
        let demand = Demand::new(3);
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for &(begin, duration, a, b) in &requests {
            events.push((begin, true, a));
            events.push((begin + duration, false, b));
        }
        events.sort_by_key(|&(at, is_begin, _)| (at, !is_begin));
        let play = |range: std::ops::Range<u64>| {
            for &(at, is_begin, worker) in events.iter().filter(|e| range.contains(&e.0)) {
                if is_begin { demand.begin(worker, origin + at) } else { demand.end(worker, origin + at) }
            }
        };
        play(0..from);
        let before = demand.totals(origin + from);
        play(from..until);
        let after = demand.totals(origin + until);
        let overlap: u64 = requests.iter()
            .map(|&(begin, duration, ..)| (begin + duration).min(until).saturating_sub(begin.max(from)))
            .sum();
        prop_assert_eq!(after.busy_us_since(&before), overlap);
    }
}
