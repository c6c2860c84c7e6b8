//! How far one decision may go: the HPA's scale-up and scale-down policies.
//!
//! Used by the HPA after stabilisation. A policy allows a change relative to
//! the replicas at the start of its sliding period, which follow from the
//! replicas of now and the changes since. Only the HPA's own changes count,
//! as in Kubernetes: what KEDA or a person changed does not use up a policy.
//! Pure: the time is an argument.

use crate::autoscaler::policy::{PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The HPA's own changes within the longest period of any policy.
#[derive(Debug)]
pub(super) struct Changes {
    keep: Duration,
    /// Oldest first; how many replicas were added (removed, if negative).
    recent: VecDeque<(Instant, i64)>,
}

impl Changes {
    /// Remembers changes for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            keep,
            recent: VecDeque::new(),
        }
    }

    /// Remembers what `before` did.
    pub(super) fn inherit(&mut self, before: Self) {
        self.recent = before.recent;
    }

    /// Remembers one change, and forgets those that no period reaches back
    /// to: there is at most one per decision, so the size is bounded by
    /// decisions per period.
    pub(super) fn record(&mut self, now: Instant, from: u32, to: u32) {
        let keep = self.keep;
        while self
            .recent
            .front()
            .is_some_and(|&(at, _)| now.saturating_duration_since(at) >= keep)
        {
            self.recent.pop_front();
        }
        if from != to {
            self.recent
                .push_back((now, i64::from(to) - i64::from(from)));
        }
    }

    /// The replicas there would have been `period` ago, had only the HPA made
    /// changes since. Negative if somebody else took away what it had added.
    fn replicas_at_start(&self, now: Instant, current: u32, period: Duration) -> i64 {
        let since: i64 = self
            .recent
            .iter()
            .filter(|&&(at, _)| now.saturating_duration_since(at) < period)
            .map(|&(_, change)| change)
            .sum();
        i64::from(current) - since
    }
}

/// The most replicas that `rules` allow now; never below `current`.
pub(super) fn ceiling(rules: &ScalingRules, changes: &Changes, now: Instant, current: u32) -> u32 {
    let allowed = |policy: &ScalingPolicy| {
        let start = changes.replicas_at_start(now, current, policy.period);
        let value = i64::from(policy.value);
        match policy.kind {
            PolicyKind::Pods => start + value,
            // Rounded up, or 1 replica could never grow by 10 %. In integers,
            // where floating point would see 100 · 1.1 as more than 110.
            PolicyKind::Percent => start
                .saturating_mul(100 + value)
                .saturating_add(99)
                .div_euclid(100),
        }
    };
    let limits = rules.policies.iter().map(allowed);
    let limit = match rules.select_policy {
        SelectPolicy::Max => limits.max(),
        SelectPolicy::Min => limits.min(),
        SelectPolicy::Disabled => None,
    };
    within_u32(limit.unwrap_or(0)).max(current)
}

/// The fewest replicas that `rules` allow now; never above `current`.
pub(super) fn floor(rules: &ScalingRules, changes: &Changes, now: Instant, current: u32) -> u32 {
    let allowed = |policy: &ScalingPolicy| {
        let start = changes.replicas_at_start(now, current, policy.period);
        let value = i64::from(policy.value);
        match policy.kind {
            PolicyKind::Pods => start - value,
            // Rounded down, or 1 replica could never shrink by 10 %.
            PolicyKind::Percent => start.saturating_mul(100 - value) / 100,
        }
    };
    let limits = rules.policies.iter().map(allowed);
    let limit = match rules.select_policy {
        SelectPolicy::Max => limits.min(),
        SelectPolicy::Min => limits.max(),
        SelectPolicy::Disabled => None,
    };
    limit.map_or(current, within_u32).min(current)
}

fn within_u32(replicas: i64) -> u32 {
    u32::try_from(replicas.max(0)).unwrap_or(u32::MAX)
}
