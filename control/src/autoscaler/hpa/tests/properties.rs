//! What holds for all metrics, rules and histories.

use super::*;
use proptest::prelude::*;

fn a_metric() -> impl Strategy<Value = Option<Metric>> {
    let read = (any::<bool>(), 0u32..5_000, 1u32..200).prop_map(|(per_replica, usage, target)| {
        let kind = if per_replica {
            MetricType::AverageValue
        } else {
            MetricType::Value
        };
        metric(kind, f64::from(usage) / 10.0, f64::from(target) / 10.0)
    });
    prop_oneof![4 => read, 1 => Just(UNREAD)]
}

fn a_policy() -> impl Strategy<Value = ScalingPolicy> {
    (any::<bool>(), 1u32..150, 1u64..60).prop_map(|(by_percent, value, seconds)| {
        if by_percent {
            percent(value, seconds)
        } else {
            pods(value / 10 + 1, seconds)
        }
    })
}

fn some_rules() -> impl Strategy<Value = ScalingRules> {
    let select = prop_oneof![
        Just(SelectPolicy::Max),
        Just(SelectPolicy::Min),
        Just(SelectPolicy::Disabled)
    ];
    let tolerance = proptest::option::of(0.0..0.5f64);
    (
        0u64..90,
        select,
        proptest::collection::vec(a_policy(), 1..4),
        tolerance,
    )
        .prop_map(|(window, select, policies, tolerance)| ScalingRules {
            tolerance,
            ..rules(window, select, policies)
        })
}

/// The replicas that one policy leads to, by the words of the documentation:
/// value replicas or percent on top of (`sign` 1) or less than (-1) what there
/// was at the start of the period.
fn allowed(
    policy: &ScalingPolicy,
    sign: f64,
    now: u64,
    current: u32,
    history: &[(u64, i64)],
) -> i64 {
    let within = |at: u64| now - at < policy.period.as_secs();
    let since: i64 = history
        .iter()
        .filter(|&&(at, _)| within(at))
        .map(|&(_, by)| by)
        .sum();
    let start = i64::from(current) - since;
    match policy.kind {
        PolicyKind::Pods => start + sign as i64 * i64::from(policy.value),
        PolicyKind::Percent => {
            let exact = start as f64 * (100.0 + sign * f64::from(policy.value)) / 100.0;
            // Rounded in the direction of the change, so that there is one.
            if sign > 0.0 {
                exact.ceil() as i64
            } else {
                exact as i64
            }
        }
    }
}

proptest! {
    #[test]
    fn stays_within_bounds_and_policies_and_never_removes_blindly(
        bounds in (1u32..20, 1u32..60),
        scale_up in some_rules(),
        scale_down in some_rules(),
        first in 0u32..90,
        steps in proptest::collection::vec(
            (1u64..40, proptest::collection::vec(a_metric(), 0..4), proptest::option::weighted(0.1, 0u32..90)),
            1..40,
        ),
    ) {
        let (min, max) = (bounds.0, bounds.0.max(bounds.1));
        let behavior = Behavior { scale_up: scale_up.clone(), scale_down: scale_down.clone() };
        let mut hpa = Hpa::new(bounds.0, bounds.1, behavior);
        let start = Instant::now();
        let (mut second, mut current) = (0, first);
        let mut history: Vec<(u64, i64)> = Vec::new();
        for (wait, metrics, set_by_somebody) in steps {
            second += wait;
            current = set_by_somebody.unwrap_or(current);
            let now = start + Duration::from_secs(second);
            let wanted = hpa.decide(now, current, current, &metrics).replicas;

            if current == 0 {
                prop_assert_eq!(wanted, 0);
                continue;
            }
            prop_assert!((min..=max).contains(&wanted), "{} not in {}..={}", wanted, min, max);
            let in_bounds = (min..=max).contains(&current);
            if in_bounds && (metrics.is_empty() || metrics.iter().any(Option::is_none)) {
                prop_assert!(wanted >= current, "removed although a metric was unread");
            }
            if in_bounds && wanted > current {
                let limits = scale_up.policies.iter().map(|p| allowed(p, 1.0, second, current, &history));
                let limit = match scale_up.select_policy {
                    SelectPolicy::Max => limits.max(),
                    SelectPolicy::Min => limits.min(),
                    SelectPolicy::Disabled => None,
                };
                prop_assert!(limit.is_some_and(|limit| i64::from(wanted) <= limit), "too fast up");
            }
            if in_bounds && wanted < current {
                let limits = scale_down.policies.iter().map(|p| allowed(p, -1.0, second, current, &history));
                let limit = match scale_down.select_policy {
                    SelectPolicy::Max => limits.min(),
                    SelectPolicy::Min => limits.max(),
                    SelectPolicy::Disabled => None,
                };
                prop_assert!(limit.is_some_and(|limit| i64::from(wanted) >= limit), "too fast down");
            }
            history.push((second, i64::from(wanted) - i64::from(current)));
            current = wanted;
        }
    }

    #[test]
    fn without_rules_it_is_the_documented_formula(
        usage in 0u32..100_000,
        target in 1u32..1_000,
        current in 1u32..100,
    ) {
        let decision = Hpa::new(1, 100, free()).decide(
            Instant::now(),
            current,
            current,
            &[average(f64::from(usage), f64::from(target))],
        );
        let ratio = f64::from(usage) / (f64::from(target) * f64::from(current));
        let expected = if (0.9..=1.1).contains(&ratio) {
            current
        } else {
            (f64::from(usage) / f64::from(target)).ceil().clamp(1.0, 100.0) as u32
        };
        prop_assert_eq!(decision.replicas, expected);
    }
}
