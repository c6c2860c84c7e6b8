//! The HPA's decisions: a table worked by hand, and properties that hold for
//! all metrics, rules and histories.

mod properties;

use super::*;
use crate::autoscaler::policy::{PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};
use std::time::Duration;

/// A target per replica.
fn average(usage: f64, target: f64) -> Option<Metric> {
    metric(MetricType::AverageValue, usage, target)
}

/// A target for the whole.
fn whole(usage: f64, target: f64) -> Option<Metric> {
    metric(MetricType::Value, usage, target)
}

fn metric(kind: MetricType, usage: f64, target: f64) -> Option<Metric> {
    Some(Metric {
        kind,
        usage: Quantity::from_f64(usage),
        target: Quantity::from_f64(target),
    })
}

/// A metric that could not be read.
const UNREAD: Option<Metric> = None;

fn pods(value: u32, seconds: u64) -> ScalingPolicy {
    ScalingPolicy {
        kind: PolicyKind::Pods,
        value,
        period: Duration::from_secs(seconds),
    }
}

fn percent(value: u32, seconds: u64) -> ScalingPolicy {
    ScalingPolicy {
        kind: PolicyKind::Percent,
        value,
        period: Duration::from_secs(seconds),
    }
}

fn rules(window: u64, select: SelectPolicy, policies: Vec<ScalingPolicy>) -> ScalingRules {
    let stabilization_window = Duration::from_secs(window);
    ScalingRules {
        stabilization_window,
        select_policy: select,
        policies,
        tolerance: None,
    }
}

/// Nothing slows anything down: the bare formula.
fn free() -> Behavior {
    let unlimited = || rules(0, SelectPolicy::Max, vec![pods(1_000_000, 1)]);
    Behavior {
        scale_up: unlimited(),
        scale_down: unlimited(),
    }
}

fn up(scale_up: ScalingRules) -> Behavior {
    Behavior { scale_up, ..free() }
}

fn down(scale_down: ScalingRules) -> Behavior {
    Behavior {
        scale_down,
        ..free()
    }
}

struct Case {
    because: &'static str,
    bounds: (u32, u32),
    behavior: Behavior,
    /// Second, replicas before, metrics, replicas expected. All replicas are
    /// ready.
    steps: Vec<(u64, u32, Vec<Option<Metric>>, u32)>,
}

/// One decision by the bare formula, within 1..100.
fn formula(
    because: &'static str,
    current: u32,
    metrics: Vec<Option<Metric>>,
    expected: u32,
) -> Case {
    Case {
        because,
        bounds: (1, 100),
        behavior: free(),
        steps: vec![(0, current, metrics, expected)],
    }
}

/// Decisions over time with one metric, target 1 per replica: (second,
/// replicas before, usage, replicas expected).
fn over_time(because: &'static str, behavior: Behavior, steps: &[(u64, u32, f64, u32)]) -> Case {
    let steps = steps
        .iter()
        .map(|&(at, now, usage, then)| (at, now, vec![average(usage, 1.0)], then));
    Case {
        because,
        bounds: (1, 1000),
        behavior,
        steps: steps.collect(),
    }
}

fn cases() -> Vec<Case> {
    use SelectPolicy::{Disabled, Max, Min};
    let tolerant = |tolerance| ScalingRules {
        tolerance: Some(tolerance),
        ..free().scale_up
    };
    vec![
        // The formula
        formula("as much as wanted: stays", 5, vec![average(50.0, 10.0)], 5),
        formula(
            "twice as much: twice the replicas",
            5,
            vec![average(100.0, 10.0)],
            10,
        ),
        formula(
            "a started replica counts: ceil(3.1) = 4",
            1,
            vec![average(31.0, 10.0)],
            4,
        ),
        formula(
            "an exact multiple is not rounded up",
            1,
            vec![average(30.0, 10.0)],
            3,
        ),
        formula(
            "three tenths by one tenth are exactly 3",
            1,
            vec![average(0.3, 0.1)],
            3,
        ),
        formula("less: fewer", 10, vec![average(41.0, 10.0)], 5),
        formula(
            "no usage at all: the minimum",
            10,
            vec![average(0.0, 10.0)],
            1,
        ),
        formula(
            "fresh activation: straight to what is held",
            1,
            vec![average(1000.0, 20.0)],
            50,
        ),
        formula(
            "ratio exactly 1.1: tolerated",
            10,
            vec![average(110.0, 10.0)],
            10,
        ),
        formula(
            "ratio just above 1.1: ceil(11.01) = 12",
            10,
            vec![average(110.1, 10.0)],
            12,
        ),
        formula(
            "ratio exactly 0.9: tolerated",
            10,
            vec![average(90.0, 10.0)],
            10,
        ),
        formula(
            "ratio just below 0.9: ceil(8.99) = 9",
            10,
            vec![average(89.9, 10.0)],
            9,
        ),
        formula(
            "below tolerance but ceil gives the same: ceil(1.7) = 2",
            2,
            vec![average(17.0, 10.0)],
            2,
        ),
        formula(
            "a usage beyond u32 is the maximum, not an overflow",
            1,
            vec![average(1e15, 0.001)],
            100,
        ),
        // Targets for the whole
        formula(
            "Value: ratio 2 doubles the ready ones",
            4,
            vec![whole(20.0, 10.0)],
            8,
        ),
        formula("Value: ceil(1.5 * 3) = 5", 3, vec![whole(15.0, 10.0)], 5),
        formula(
            "Value: ratio exactly 1.1 is tolerated",
            10,
            vec![whole(11.0, 10.0)],
            10,
        ),
        formula(
            "Value: 1.2 of 10 is exactly 12",
            10,
            vec![whole(12.0, 10.0)],
            12,
        ),
        formula(
            "Value: nothing used: the minimum",
            4,
            vec![whole(0.0, 10.0)],
            1,
        ),
        // Several metrics
        formula(
            "the highest wins",
            2,
            vec![average(30.0, 10.0), average(70.0, 10.0)],
            7,
        ),
        formula(
            "one at rest keeps the other from removing",
            5,
            vec![average(50.0, 10.0), average(0.0, 10.0)],
            5,
        ),
        formula(
            "an unread metric forbids removing",
            5,
            vec![average(10.0, 10.0), UNREAD],
            5,
        ),
        formula(
            "an unread metric does not forbid adding",
            5,
            vec![average(90.0, 10.0), UNREAD],
            9,
        ),
        formula("all unread: stays", 5, vec![UNREAD, UNREAD], 5),
        formula("no metrics at all: stays", 5, vec![], 5),
        // Bounds
        formula(
            "never above the maximum",
            50,
            vec![average(9999.0, 10.0)],
            100,
        ),
        formula(
            "zero replicas: not the HPA's business",
            0,
            vec![average(100.0, 10.0)],
            0,
        ),
        formula(
            "above the maximum: to it, metrics or not",
            150,
            vec![UNREAD],
            100,
        ),
        Case {
            because: "below the minimum: to it, metrics or not",
            bounds: (3, 10),
            behavior: Behavior::default(),
            steps: vec![(0, 1, vec![UNREAD], 3)],
        },
        Case {
            because: "never below the minimum",
            bounds: (3, 10),
            behavior: free(),
            steps: vec![(0, 5, vec![average(0.0, 10.0)], 3)],
        },
        Case {
            because: "a minimum of 0 is 1 to the HPA, and a maximum below it is raised",
            bounds: (0, 0),
            behavior: free(),
            steps: vec![(0, 1, vec![average(50.0, 1.0)], 1)],
        },
        // Tolerance per direction
        over_time(
            "own tolerance upwards: 1.5 is tolerated",
            up(tolerant(0.5)),
            &[(0, 10, 15.0, 10)],
        ),
        over_time(
            "it does not apply downwards: 0.8",
            up(tolerant(0.5)),
            &[(0, 10, 8.0, 8)],
        ),
        over_time(
            "own tolerance downwards: 0.5 is tolerated",
            down(tolerant(0.5)),
            &[(0, 10, 5.0, 10)],
        ),
        over_time(
            "no tolerance: 1.01 adds one",
            up(tolerant(0.0)),
            &[(0, 100, 101.0, 101)],
        ),
        // Stabilisation
        over_time(
            "removing waits until the peak is 300 s old",
            Behavior::default(),
            &[(0, 8, 8.0, 8), (299, 8, 1.0, 8), (300, 8, 1.0, 1)],
        ),
        over_time(
            "removing goes to the highest of the window, not to the newest",
            down(rules(60, Max, vec![percent(100, 15)])),
            &[
                (0, 9, 9.0, 9),
                (30, 9, 5.0, 9),
                (59, 9, 2.0, 9),
                (60, 9, 2.0, 5),
                (90, 5, 2.0, 2),
            ],
        ),
        over_time(
            "adding goes to the lowest of the window",
            up(rules(60, Max, vec![pods(100, 15)])),
            &[
                (0, 2, 2.0, 2),
                (10, 2, 9.0, 2),
                (20, 2, 6.0, 2),
                (60, 2, 9.0, 6),
                (70, 6, 9.0, 6),
                (80, 6, 9.0, 9),
            ],
        ),
        over_time(
            "a dip within the window forgets nothing",
            Behavior::default(),
            &[
                (0, 5, 5.0, 5),
                (10, 5, 1.0, 5),
                (20, 5, 5.0, 5),
                (310, 5, 1.0, 5),
                (320, 5, 1.0, 1),
            ],
        ),
        // Rates upwards
        over_time(
            "by default from 1: +4, then +100 % per 15 s",
            Behavior::default(),
            &[
                (0, 1, 99.0, 5),
                (1, 5, 99.0, 5),
                (14, 5, 99.0, 5),
                (15, 5, 99.0, 10),
                (30, 10, 99.0, 20),
            ],
        ),
        over_time(
            "what is left of a period may still be used",
            up(rules(0, Max, vec![pods(4, 15)])),
            &[
                (0, 1, 3.0, 3),
                (5, 3, 99.0, 5),
                (15, 5, 99.0, 7),
                (20, 7, 99.0, 9),
            ],
        ),
        over_time(
            "percent rounds up: 10 % of 1",
            up(rules(0, Max, vec![percent(10, 15)])),
            &[(0, 1, 9.0, 2)],
        ),
        over_time(
            "10 % of 100 is 10, not 11",
            up(rules(0, Max, vec![percent(10, 15)])),
            &[(0, 100, 500.0, 110)],
        ),
        over_time(
            "Min takes the stricter policy",
            up(rules(0, Min, vec![percent(100, 15), pods(4, 15)])),
            &[
                (0, 1, 99.0, 2),
                (15, 2, 99.0, 4),
                (30, 4, 99.0, 8),
                (45, 8, 99.0, 12),
            ],
        ),
        over_time(
            "Disabled adds nothing",
            up(rules(0, Disabled, vec![pods(4, 15)])),
            &[(0, 1, 99.0, 1)],
        ),
        over_time(
            "removals within the period give room to add again",
            Behavior {
                scale_up: rules(0, Max, vec![pods(2, 60)]),
                scale_down: rules(0, Max, vec![pods(5, 60)]),
            },
            &[(0, 10, 5.0, 5), (10, 5, 99.0, 12)],
        ),
        over_time(
            "empty policies are the default ones",
            Behavior {
                scale_up: rules(0, Max, vec![]),
                scale_down: rules(0, Max, vec![]),
            },
            &[(0, 1, 99.0, 5), (1, 5, 1.0, 1)],
        ),
        // Rates downwards
        over_time(
            "two per minute",
            down(rules(0, Max, vec![pods(2, 60)])),
            &[(0, 10, 1.0, 8), (30, 8, 1.0, 8), (60, 8, 1.0, 6)],
        ),
        over_time(
            "what stays is rounded down: 90 % of 5 is 4",
            down(rules(0, Max, vec![percent(10, 60)])),
            &[(0, 5, 1.0, 4)],
        ),
        over_time(
            "Max removes the most",
            down(rules(0, Max, vec![pods(1, 60), percent(50, 60)])),
            &[(0, 10, 1.0, 5)],
        ),
        over_time(
            "Min removes the least",
            down(rules(0, Min, vec![pods(1, 60), percent(50, 60)])),
            &[(0, 10, 1.0, 9)],
        ),
        over_time(
            "Disabled removes nothing",
            down(rules(0, Disabled, vec![pods(4, 15)])),
            &[(0, 9, 1.0, 9)],
        ),
        over_time(
            "more pods than there are: not below the minimum",
            down(rules(0, Max, vec![pods(50, 60)])),
            &[(0, 9, 0.0, 1)],
        ),
        over_time(
            "woken by KEDA within the period: waits until its own addition is history",
            up(rules(0, Max, vec![pods(4, 15)])),
            &[(0, 1, 9.0, 5), (10, 1, 9.0, 1), (15, 1, 9.0, 5)],
        ),
    ]
}

#[test]
fn every_case_of_the_table() {
    for Case {
        because,
        bounds,
        behavior,
        steps,
    } in cases()
    {
        let mut hpa = Hpa::new(bounds.0, bounds.1, behavior);
        let start = Instant::now();
        for (second, current, metrics, expected) in steps {
            let now = start + Duration::from_secs(second);
            let decision = hpa.decide(now, current, current, &metrics);
            assert_eq!(
                decision.replicas, expected,
                "{because}: at {second} s ({decision:?})"
            );
        }
    }
}

#[test]
fn value_targets_count_ready_replicas_only() {
    let mut hpa = Hpa::new(1, 100, free());
    let decision = hpa.decide(Instant::now(), 6, 4, &[whole(20.0, 10.0)]);
    assert_eq!(
        decision.replicas, 8,
        "twice the 4 that are ready, not twice 6"
    );
}

#[test]
fn says_which_metric_and_what_held_it_back() {
    let now = Instant::now();
    let decide = |hpa: &mut Hpa, at: u64, current, metrics: &[Option<Metric>]| {
        let decision = hpa.decide(now + Duration::from_secs(at), current, current, metrics);
        (decision.cause, decision.limit)
    };
    let mut hpa = Hpa::new(2, 20, Behavior::default());
    assert_eq!(
        decide(&mut hpa, 0, 2, &[average(9.0, 1.0), average(9.0, 1.0)]),
        (Cause::Metric(0), Some(Limit::ScaleUpPolicy)),
        "of equal recommendations the first is named"
    );
    assert_eq!(
        decide(&mut hpa, 60, 10, &[average(99.0, 1.0)]),
        (Cause::Metric(0), Some(Limit::MaxReplicas))
    );
    assert_eq!(
        decide(&mut hpa, 61, 20, &[average(9.0, 1.0)]),
        (Cause::Metric(0), Some(Limit::Stabilization))
    );
    assert_eq!(decide(&mut hpa, 62, 21, &[UNREAD]), (Cause::AboveMax, None));
    assert_eq!(decide(&mut hpa, 63, 1, &[UNREAD]), (Cause::BelowMin, None));
    assert_eq!(decide(&mut hpa, 64, 5, &[UNREAD]), (Cause::Unknown, None));
    assert_eq!(decide(&mut hpa, 65, 0, &[UNREAD]), (Cause::Asleep, None));
    let mut slow = Hpa::new(1, 20, down(rules(0, SelectPolicy::Max, vec![pods(1, 60)])));
    assert_eq!(
        decide(&mut slow, 0, 9, &[average(1.0, 1.0)]),
        (Cause::Metric(0), Some(Limit::ScaleDownPolicy))
    );
    let mut low = Hpa::new(3, 20, free());
    assert_eq!(
        decide(&mut low, 0, 9, &[average(1.0, 1.0)]),
        (Cause::Metric(0), Some(Limit::MinReplicas))
    );
}
