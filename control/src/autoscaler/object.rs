//! What is autoscaled: a ScaledObject as the autoscaler needs it, and the
//! workload behind it.
//!
//! Built by whoever reads manifests and starts workloads; read by the driver.
//! Plain data and one trait: must never talk to a scaler or keep time.

use super::policy::Behavior;
use std::collections::BTreeMap;
use std::time::Duration;

/// One ScaledObject: whose demand is asked for, and how replicas follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaledObject {
    /// The namespace it is in.
    pub namespace: String,
    /// Its name, unique in the namespace.
    pub name: String,
    /// `minReplicaCount`. At 0 the workload sleeps when nothing is asked of
    /// it.
    pub min_replicas: u32,
    /// `maxReplicaCount`; raised to the minimum where it is lower.
    pub max_replicas: u32,
    /// `idleReplicaCount`: what an idle workload is reduced to although its
    /// minimum is higher.
    pub idle_replicas: Option<u32>,
    /// `pollingInterval`: how often every trigger is asked.
    pub polling_interval: Duration,
    /// `cooldownPeriod`: how long after the last activity it may sleep.
    pub cooldown_period: Duration,
    /// `initialCooldownPeriod`: the same, counted from the start, while there
    /// was no activity yet.
    pub initial_cooldown_period: Duration,
    /// The HPA's `behavior`.
    pub behavior: Behavior,
    /// Where demand is asked for. Any of them keeps the workload awake.
    pub triggers: Vec<Trigger>,
}

/// One trigger of type `external` or `external-push`.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Type `external-push`: the scaler's stream is listened to as well.
    pub push: bool,
    /// How its metrics relate to replicas.
    pub metric_type: MetricType,
    /// All of the trigger's metadata; it is sent along with every call.
    pub metadata: BTreeMap<String, String>,
    /// The trigger's own name, for people.
    pub name: Option<String>,
}

/// How a metric's target is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetricType {
    /// The target is per replica (the default).
    #[default]
    AverageValue,
    /// The target is for the whole, so that the result depends on how many
    /// replicas are ready.
    Value,
}

/// What is scaled. Implementations must not block and must not call back into
/// the autoscaler.
pub trait Workload: Send + Sync + 'static {
    /// For logs and status, such as `default/web`.
    fn name(&self) -> String;
    /// The replicas wanted now, which is what the last `scale` asked for: the
    /// new number must be visible as soon as `scale` returns.
    fn replicas(&self) -> u32;
    /// The replicas that can serve now.
    fn ready(&self) -> u32;
    /// Wants this many replicas from now on. `why` is for people.
    fn scale(&self, replicas: u32, why: &str);
}

/// Metadata keys that say in one word what a trigger is about, the most
/// telling first.
const TELLING_KEYS: [&str; 4] = [
    "interceptorRoute",
    "httpScaledObject",
    "interceptorTargetPendingRequests",
    "metricQuery",
];

impl ScaledObject {
    /// `namespace/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The trigger at `index`, for logs: `trigger 0 (interceptorRoute=web)`.
    pub(super) fn describe_trigger(&self, index: usize) -> String {
        let Some(trigger) = self.triggers.get(index) else {
            return format!("trigger {index}");
        };
        let telling = TELLING_KEYS.iter().find_map(|key| {
            trigger
                .metadata
                .get(*key)
                .map(|value| format!("{key}={value}"))
        });
        match (&trigger.name, telling) {
            (Some(name), _) => format!("trigger {index} ({name})"),
            (None, Some(telling)) => format!("trigger {index} ({telling})"),
            (None, None) => format!("trigger {index}"),
        }
    }
}
