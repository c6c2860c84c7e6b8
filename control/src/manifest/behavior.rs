//! How fast a workload may be scaled: the `behavior` of an HPA, with the defaults of
//! autoscaling/v2 filled in.
//!
//! Decoded for `scaled_object`. Defaults and limits are those of the Kubernetes API, field by field:
//! a policy list replaces the default one, everything else keeps its default.

use std::time::Duration;

use super::decode::Field;

/// Rules for both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// When more replicas are wanted.
    pub scale_up: ScalingRules,
    /// When fewer are.
    pub scale_down: ScalingRules,
}

/// Rules for one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// The recommendations of this long count (`stabilizationWindowSeconds`, 0 to 3600).
    pub stabilization_window: Duration,
    /// Which policy decides.
    pub select_policy: SelectPolicy,
    /// The policies, at least one.
    pub policies: Vec<ScalingPolicy>,
    /// Deviation from the target that changes nothing, as a share: 0.1 is 10 %. `None`: the global.
    pub tolerance: Option<f64>,
}

/// Which of several policies decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the greatest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// The greatest change within a period.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// The greatest change, at least 1.
    pub value: u32,
    /// The period (`periodSeconds`, 1 to 1800).
    pub period: Duration,
}

/// What the value of a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Replicas.
    Pods,
    /// Per cent of the current replicas.
    Percent,
}

impl Default for Behavior {
    fn default() -> Self {
        let policy = |kind, value| ScalingPolicy {
            kind,
            value,
            period: Duration::from_secs(15),
        };
        let rules = |window, policies| ScalingRules {
            stabilization_window: Duration::from_secs(window),
            select_policy: SelectPolicy::Max,
            policies,
            tolerance: None,
        };
        let percent = policy(PolicyKind::Percent, 100);
        Self {
            scale_up: rules(0, vec![percent.clone(), policy(PolicyKind::Pods, 4)]),
            scale_down: rules(300, vec![percent]),
        }
    }
}

impl Behavior {
    /// Decodes `behavior`.
    pub fn decode(behavior: &Field<'_>) -> Option<Self> {
        let fields = behavior.map()?;
        let Self {
            scale_up,
            scale_down,
        } = Self::default();
        let rules = |name, default: ScalingRules| match fields.optional(name) {
            Some(field) => ScalingRules::decode(&field, default),
            None => Some(default),
        };
        let scale_up = rules("scaleUp", scale_up);
        let scale_down = rules("scaleDown", scale_down);
        fields.finish();
        Some(Self {
            scale_up: scale_up?,
            scale_down: scale_down?,
        })
    }
}

impl ScalingRules {
    fn decode(rules: &Field<'_>, default: Self) -> Option<Self> {
        let fields = rules.map()?;
        let stabilization_window = match fields.optional("stabilizationWindowSeconds") {
            Some(field) => field.seconds(0..=3600),
            None => Some(default.stabilization_window),
        };
        let select_policy = match fields.optional("selectPolicy") {
            Some(field) => field.choice(&[
                ("Max", SelectPolicy::Max),
                ("Min", SelectPolicy::Min),
                ("Disabled", SelectPolicy::Disabled),
            ]),
            None => Some(default.select_policy),
        };
        let policies = match fields.optional("policies") {
            Some(field) => {
                if field.list_is_empty() {
                    field.error("must have at least one policy; leave it out for the defaults");
                }
                field.list_of(|policy| ScalingPolicy::decode(&policy))
            }
            None => default.policies,
        };
        let tolerance = match fields.optional("tolerance") {
            Some(field) => tolerance(&field),
            None => default.tolerance,
        };
        fields.finish();
        Some(Self {
            stabilization_window: stabilization_window?,
            select_policy: select_policy?,
            policies,
            tolerance,
        })
    }
}

impl ScalingPolicy {
    fn decode(policy: &Field<'_>) -> Option<Self> {
        let fields = policy.map()?;
        let kind = fields.required("type").and_then(|field| {
            field.choice(&[("Pods", PolicyKind::Pods), ("Percent", PolicyKind::Percent)])
        });
        let value = fields
            .required("value")
            .and_then(|field| field.int(1..=i64::from(i32::MAX)));
        let period = fields
            .required("periodSeconds")
            .and_then(|field| field.seconds(1..=1800));
        fields.finish();
        Some(Self {
            kind: kind?,
            value: value?,
            period: period?,
        })
    }
}

fn tolerance(field: &Field<'_>) -> Option<f64> {
    let tolerance = field.quantity()?;
    if tolerance < 0.0 {
        field.error("must not be negative");
    }
    Some(tolerance)
}
