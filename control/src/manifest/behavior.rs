//! How the `behavior` of an HPA is written: decodes the autoscaler's own types.
//!
//! Decoded for `scaled_object`. Defaults and limits are those of the Kubernetes API, field by field:
//! a policy list replaces the default one, everything else keeps its default.

use super::decode::Field;
use crate::autoscaler::{Behavior, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy};

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
