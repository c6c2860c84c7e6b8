//! What holds of every query, whatever the points.

use crate::{
    query::{Answer, Query, Value, memory::Memory},
    series::{Labels, Point},
};
use proptest::{collection::vec, prelude::*};

/// One series: two labels, and values with the milliseconds since the one
/// before.
type Series = (u8, u8, Vec<(i64, f64)>);

fn series(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<Series>> {
    let points = vec((1_i64..40_000, value), 0..20);
    vec((0_u8..3, 0_u8..3, points), 0..8)
}

fn memory(all: &[Series]) -> Memory {
    let mut memory = Memory::default();
    for (number, (a, b, steps)) in all.iter().enumerate() {
        let (a, b, id) = (a.to_string(), b.to_string(), number.to_string());
        let pairs = [("__name__", "m"), ("a", &*a), ("b", &*b), ("id", &*id)];
        let mut at_ms = 0;
        let point = |&(step, value): &(i64, f64)| {
            at_ms += step;
            Point::new(at_ms, value)
        };
        let points = steps.iter().map(point).collect();
        memory.push(Labels::new(pairs).expect("four labels"), points);
    }
    memory
}

fn answer(memory: &Memory, text: &str, at_ms: i64) -> Answer {
    let query = Query::promql(text).expect("a query");
    query.answer(memory, at_ms).expect("an answer")
}

fn values(memory: &Memory, text: &str, at_ms: i64) -> Vec<(String, f64)> {
    match answer(memory, text, at_ms).value {
        Value::Scalar(value) => vec![(String::new(), value)],
        Value::Vector(samples) => samples
            .iter()
            .map(|sample| (sample.labels.to_string(), sample.value))
            .collect(),
    }
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * (1.0 + one.abs().max(other.abs()))
}

proptest! {
    /// A counter never runs backwards, however often it was reset.
    #[test]
    fn rates_of_counters_are_never_negative(
        all in series(0.0..1e6_f64), at_ms in 0_i64..800_000,
    ) {
        let memory = memory(&all);
        for text in ["rate(m[5m])", "increase(m[1m])", "irate(m[5m])"] {
            for (labels, value) in values(&memory, text, at_ms) {
                prop_assert!(value >= 0.0 && value.is_finite(), "{text} {labels} {value}");
            }
        }
    }

    /// What is taken away at a reset does not change the increase: a counter
    /// with resets grows like the same counter without.
    #[test]
    fn a_reset_changes_nothing_but_the_start(
        steps in vec((1_i64..10_000, 0.0..100.0_f64), 3..20), reset in 1_usize..18,
    ) {
        let reset = reset.min(steps.len() - 1);
        let (mut whole, mut broken, mut at_ms) = (Vec::new(), Vec::new(), 0);
        // High enough that no counter is near its zero point.
        let (mut high, mut low) = (1e6, 1e6);
        for (number, (step, growth)) in steps.iter().enumerate() {
            at_ms += step;
            high += growth;
            low = if number == reset { *growth } else { low + growth };
            whole.push(Point::new(at_ms, high));
            broken.push(Point::new(at_ms, low));
        }
        let mut memory = Memory::default();
        memory.push(Labels::new([("__name__", "whole")]).expect("a label"), whole);
        memory.push(Labels::new([("__name__", "broken")]).expect("a label"), broken);
        let one = values(&memory, "increase(whole[10m])", at_ms);
        let other = values(&memory, "increase(broken[10m])", at_ms);
        prop_assert_eq!(one.len(), 1);
        prop_assert!(close(one[0].1, other[0].1), "{one:?} {other:?}");
    }

    /// Sums of sums are sums, counts of groups add up, extremes of extremes
    /// are extremes.
    #[test]
    fn aggregating_in_two_steps_is_aggregating_in_one(
        all in series(-1e6..1e6_f64), at_ms in 0_i64..800_000,
    ) {
        let memory = memory(&all);
        for (one, two) in [
            ("sum(m)", "sum(sum by (a) (m))"),
            ("sum by (a) (m)", "sum by (a) (sum by (a, b) (m))"),
            ("count(m)", "sum(count by (b) (m))"),
            ("max(m)", "max(max by (a) (m))"),
            ("min(m)", "min(min without (a) (m))"),
            ("avg(m)", "sum(m) / count(m)"),
        ] {
            let (one, two) = (values(&memory, one, at_ms), values(&memory, two, at_ms));
            prop_assert_eq!(one.len(), two.len());
            for (one, two) in one.iter().zip(&two) {
                prop_assert_eq!(&one.0, &two.0);
                prop_assert!(close(one.1, two.1), "{one:?} {two:?}");
            }
        }
    }

    /// All series have the labels a, b and id: what `by` keeps, `without`
    /// drops.
    #[test]
    fn by_and_without_are_complements(all in series(-1e6..1e6_f64), at_ms in 0_i64..800_000) {
        let memory = memory(&all);
        for (by, without) in [
            ("sum by (a) (m)", "sum without (b, id) (m)"),
            ("max by (a, b) (m)", "max without (id) (m)"),
            ("count(m)", "count without (a, b, id) (m)"),
        ] {
            prop_assert_eq!(values(&memory, by, at_ms), values(&memory, without, at_ms));
        }
    }

    /// A filter keeps a part, and its complement the rest.
    #[test]
    fn a_comparison_splits_a_vector(
        all in series(-10.0..10.0_f64), limit in -10.0..10.0_f64, at_ms in 0_i64..800_000,
    ) {
        let memory = memory(&all);
        let mut parts = values(&memory, &format!("m > {limit}"), at_ms);
        parts.extend(values(&memory, &format!("m <= {limit}"), at_ms));
        parts.sort_by(|one, other| one.0.cmp(&other.0));
        let mut whole = values(&memory, "m", at_ms);
        whole.sort_by(|one, other| one.0.cmp(&other.0));
        prop_assert_eq!(parts, whole);
    }

    /// Nothing after the time of evaluation has an influence.
    #[test]
    fn the_future_does_not_count(
        all in series(0.0..1e6_f64), at_ms in 0_i64..800_000, later in 1_i64..100_000,
    ) {
        let before = memory(&all);
        let mut after = memory(&all);
        after.push(
            Labels::new([("__name__", "m"), ("id", "late")]).expect("two labels"),
            vec![Point::new(at_ms + later, 1.0)],
        );
        for text in ["sum(rate(m[5m]))", "sum(m)", "max_over_time(m[10m])"] {
            prop_assert_eq!(answer(&before, text, at_ms), answer(&after, text, at_ms));
        }
    }

    /// The age is that of the newest point that was used.
    #[test]
    fn the_newest_point_is_told(all in series(0.0..9.0_f64), at_ms in 0_i64..800_000) {
        let memory = memory(&all);
        let mut newest = None;
        let mut matched = 0;
        for (_, _, steps) in &all {
            let mut at = 0;
            let times = steps.iter().map(|(step, _)| { at += step; at });
            let used = times.filter(|at| *at <= at_ms && *at > at_ms - 300_000).max();
            matched += usize::from(used.is_some());
            newest = newest.max(used);
        }
        let given = answer(&memory, "m", at_ms);
        prop_assert_eq!((given.newest_ms, given.matched), (newest, matched));
    }
}
