//! The Horizontal Pod Autoscaler's decision for external metrics.
//!
//! Asked by the driver once per sync period, while there are replicas. It
//! takes what the metrics say and answers how many replicas there should be:
//! formula, then stabilisation windows, then rate policies, then the bounds,
//! as `autoscaling/v2` documents them. Pure but for its bounded history: it
//! must never read a clock, wait, or scale anything. From and to zero is not
//! its business but KEDA's (`keda.rs`).

mod rate;
#[cfg(test)]
mod tests;
mod window;

use super::object::MetricType;
use super::policy::{Behavior, ScalingRules};
use super::quantity::Quantity;
use rate::Changes;
use tokio::time::Instant;
use window::{Extreme, Window};

/// One metric, as read for this decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) kind: MetricType,
    /// Summed over everything that the scaler returned for the metric.
    pub(super) usage: Quantity,
    /// Never zero: the scaler client refuses such a spec.
    pub(super) target: Quantity,
}

/// What the HPA wants, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) replicas: u32,
    pub(super) cause: Cause,
    /// What kept it from doing all that the metric asked for.
    pub(super) limit: Option<Limit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// There are no replicas: the HPA does nothing.
    Asleep,
    /// There are more replicas than the maximum.
    AboveMax,
    /// There are fewer replicas than the minimum.
    BelowMin,
    /// The metric at this index asks for the most.
    Metric(usize),
    /// Metrics could not be read, and the others do not ask for more.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    MinReplicas,
    MaxReplicas,
    Stabilization,
    ScaleUpPolicy,
    ScaleDownPolicy,
}

/// The HPA of one ScaledObject.
#[derive(Debug)]
pub(super) struct Hpa {
    min: u32,
    max: u32,
    behavior: Behavior,
    /// Adding follows the lowest recommendation of its window.
    up: Window,
    /// Removing follows the highest recommendation of its window.
    down: Window,
    changes: Changes,
}

impl Hpa {
    /// `min` is raised to 1, `max` to `min`; missing policies are filled in
    /// as the API server does.
    pub(super) fn new(min: u32, max: u32, mut behavior: Behavior) -> Self {
        let min = min.max(1);
        if behavior.scale_up.policies.is_empty() {
            behavior.scale_up.policies = ScalingRules::default_up().policies;
        }
        if behavior.scale_down.policies.is_empty() {
            behavior.scale_down.policies = ScalingRules::default_down().policies;
        }
        let keep = behavior
            .scale_up
            .longest_period()
            .max(behavior.scale_down.longest_period());
        Self {
            min,
            max: max.max(min),
            up: Window::new(behavior.scale_up.stabilization_window, Extreme::Lowest),
            down: Window::new(behavior.scale_down.stabilization_window, Extreme::Highest),
            changes: Changes::new(keep),
            behavior,
        }
    }

    /// The ScaledObject was edited: what was recommended and changed lately
    /// goes on counting.
    pub(super) fn adopt(&mut self, min: u32, max: u32, behavior: Behavior) {
        let before = std::mem::replace(self, Self::new(min, max, behavior));
        self.up.inherit(before.up);
        self.down.inherit(before.down);
        self.changes.inherit(before.changes);
    }

    /// How many replicas there should be. `None` among the metrics is one
    /// that could not be read. The caller must apply the answer: a change is
    /// remembered as made, it uses up rate policies. `now` must not go
    /// backwards between calls.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        current: u32,
        ready: u32,
        metrics: &[Option<Metric>],
    ) -> Decision {
        let at_once = |replicas, cause| Decision {
            replicas,
            cause,
            limit: None,
        };
        let decision = if current == 0 {
            return at_once(0, Cause::Asleep);
        } else if current > self.max {
            at_once(self.max, Cause::AboveMax)
        } else if current < self.min {
            at_once(self.min, Cause::BelowMin)
        } else if let Some((index, wanted)) = self.recommend(current, ready, metrics) {
            self.normalize(now, current, index, wanted)
        } else {
            at_once(current, Cause::Unknown)
        };
        self.changes.record(now, current, decision.replicas);
        decision
    }

    /// The highest recommendation and the metric it comes from; `None` where
    /// what could not be read might have kept replicas that the rest would
    /// remove.
    fn recommend(
        &self,
        current: u32,
        ready: u32,
        metrics: &[Option<Metric>],
    ) -> Option<(usize, u32)> {
        let (index, wanted) = metrics
            .iter()
            .enumerate()
            .filter_map(|(index, metric)| Some((index, self.wanted(current, ready, (*metric)?))))
            // Of equals, the first: `max_by_key` alone would take the last.
            .rev()
            .max_by_key(|&(_, wanted)| wanted)?;
        let some_unknown = metrics.iter().any(Option::is_none);
        (!some_unknown || wanted >= current).then_some((index, wanted))
    }

    /// What one metric alone asks for.
    fn wanted(&self, current: u32, ready: u32, metric: Metric) -> u32 {
        let (usage, target) = (
            u128::from(metric.usage.milli()),
            u128::from(metric.target.milli()),
        );
        let (per, replicas) = match metric.kind {
            MetricType::AverageValue => (target * u128::from(current), usage.div_ceil(target)),
            MetricType::Value => (target, (usage * u128::from(ready)).div_ceil(target)),
        };
        if self.within_tolerance(usage as f64 / per as f64) {
            return current;
        }
        u32::try_from(replicas).unwrap_or(u32::MAX)
    }

    fn within_tolerance(&self, ratio: f64) -> bool {
        let (up, down) = (&self.behavior.scale_up, &self.behavior.scale_down);
        (1.0 - down.tolerance()..=1.0 + up.tolerance()).contains(&ratio)
    }

    /// From what the metric asks for to what may be done now.
    fn normalize(&mut self, now: Instant, current: u32, index: usize, wanted: u32) -> Decision {
        // Bounding before the windows instead of after them gives the same
        // result (both keep the order) and bounds what they remember.
        let bounded = wanted.clamp(self.min, self.max);
        let mut limit = match wanted {
            _ if wanted > bounded => Some(Limit::MaxReplicas),
            _ if wanted < bounded => Some(Limit::MinReplicas),
            _ => None,
        };

        let lowest = self.up.push(now, bounded);
        let highest = self.down.push(now, bounded);
        // `lowest <= bounded <= highest`, since both windows include it.
        let stable = current.clamp(lowest, highest);
        if stable != bounded {
            limit = Some(Limit::Stabilization);
        }

        let replicas = if stable > current {
            stable.min(rate::ceiling(
                &self.behavior.scale_up,
                &self.changes,
                now,
                current,
            ))
        } else {
            stable.max(rate::floor(
                &self.behavior.scale_down,
                &self.changes,
                now,
                current,
            ))
        };
        if replicas < stable {
            limit = Some(Limit::ScaleUpPolicy);
        } else if replicas > stable {
            limit = Some(Limit::ScaleDownPolicy);
        }
        Decision {
            replicas,
            cause: Cause::Metric(index),
            limit,
        }
    }
}
