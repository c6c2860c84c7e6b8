//! How fast, and after how much patience, replicas may change: the HPA's
//! `behavior`, as data.
//!
//! Made by whoever reads manifests, applied by the HPA half of the
//! autoscaler. Must never decide anything itself: no clock, no replicas.
//! The defaults are those of Kubernetes' `autoscaling/v2`.

use std::time::Duration;

/// Both directions of the HPA's `behavior`.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    /// Rules for adding replicas.
    pub scale_up: ScalingRules,
    /// Rules for removing replicas, down to the minimum (to zero is KEDA's
    /// decision, which no rule here delays).
    pub scale_down: ScalingRules,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingRules {
    /// How far back recommendations are remembered: adding follows the lowest
    /// of them, removing the highest. Zero: only the newest counts.
    pub stabilization_window: Duration,
    /// Which of several policies limits the change.
    pub select_policy: SelectPolicy,
    /// How much may change per period. Empty means the default policies of
    /// the direction, which is what the API server would fill in.
    pub policies: Vec<ScalingPolicy>,
    /// How far from 1 the ratio of usage to target may be without a change in
    /// this direction. `None` means [`DEFAULT_TOLERANCE`].
    pub tolerance: Option<f64>,
}

/// Which policy applies when there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no change in this direction at all.
    Disabled,
}

/// At most this much change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalingPolicy {
    /// The unit of `value`.
    pub kind: PolicyKind,
    /// Replicas, or percent of the replicas at the start of the period.
    pub value: u32,
    /// The length of the period, which slides.
    pub period: Duration,
}

/// The unit of a policy's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// A number of replicas.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}

/// The ratio of usage to target may be off by 10 % without a change: the
/// default of `--horizontal-pod-autoscaler-tolerance`.
pub const DEFAULT_TOLERANCE: f64 = 0.1;

impl Default for Behavior {
    fn default() -> Self {
        Self {
            scale_up: ScalingRules::default_up(),
            scale_down: ScalingRules::default_down(),
        }
    }
}

impl ScalingRules {
    /// What `autoscaling/v2` applies to scale-up without rules: no
    /// stabilisation, the larger of 100 % and 4 replicas per 15 seconds.
    #[must_use]
    pub fn default_up() -> Self {
        let period = Duration::from_secs(15);
        Self {
            stabilization_window: Duration::ZERO,
            select_policy: SelectPolicy::Max,
            policies: vec![
                ScalingPolicy {
                    kind: PolicyKind::Percent,
                    value: 100,
                    period,
                },
                ScalingPolicy {
                    kind: PolicyKind::Pods,
                    value: 4,
                    period,
                },
            ],
            tolerance: None,
        }
    }

    /// What `autoscaling/v2` applies to scale-down without rules: the highest
    /// recommendation of the last 5 minutes, then all at once.
    #[must_use]
    pub fn default_down() -> Self {
        Self {
            stabilization_window: Duration::from_secs(300),
            select_policy: SelectPolicy::Max,
            policies: vec![ScalingPolicy {
                kind: PolicyKind::Percent,
                value: 100,
                period: Duration::from_secs(15),
            }],
            tolerance: None,
        }
    }

    /// The tolerance of this direction, never negative.
    pub(super) fn tolerance(&self) -> f64 {
        self.tolerance.unwrap_or(DEFAULT_TOLERANCE).max(0.0)
    }

    /// The longest period of any policy: changes older than this are history.
    pub(super) fn longest_period(&self) -> Duration {
        self.policies
            .iter()
            .map(|policy| policy.period)
            .max()
            .unwrap_or_default()
    }
}
