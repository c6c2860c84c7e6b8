//! `ScaledObject` (keda.sh/v1alpha1): what is scaled, between which bounds, by which triggers.
//!
//! KEDA's own object, decoded for the embedded autoscaler and for checks between objects. It must
//! never accept what KEDA's webhook refuses: the same manifest goes to a cluster.

use std::time::Duration;

use super::decode::{Field, Fields};
use super::trigger::Trigger;
use crate::autoscaler::Behavior;

/// Greatest count or number of seconds: these fields are int32 in KEDA's CRD.
const INT32: i64 = i32::MAX as i64;

/// Annotations by which KEDA pauses scaling.
const PAUSING: [&str; 4] = [
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-replicas",
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
];

/// What a ScaledObject asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaledObjectSpec {
    /// The workload: a Deployment or the like; locally the Process of that name.
    pub scale_target_ref: ScaleTargetRef,
    /// Fewest replicas; default 0.
    pub min_replica_count: u32,
    /// Most replicas, at least 1; default 100.
    pub max_replica_count: u32,
    /// Replicas while nothing is active, below the minimum.
    pub idle_replica_count: Option<u32>,
    /// How often triggers are polled, whole seconds; default 30 s.
    pub polling_interval: Duration,
    /// Quiet time before scaling to zero, whole seconds; default 300 s.
    pub cooldown_period: Duration,
    /// Time after creation in which nothing is scaled to zero, whole seconds; default 0.
    pub initial_cooldown_period: Duration,
    /// How fast it may be scaled (`advanced.horizontalPodAutoscalerConfig.behavior`).
    pub behavior: Behavior,
    /// Who is asked for demand; at least one.
    pub triggers: Vec<Trigger>,
}

/// The workload of a ScaledObject.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleTargetRef {
    /// API version; KEDA assumes `apps/v1`.
    pub api_version: Option<String>,
    /// Kind; KEDA assumes `Deployment`.
    pub kind: Option<String>,
    /// Name, in the namespace of the ScaledObject.
    pub name: String,
}

impl ScaledObjectSpec {
    /// Decodes `spec`. `None` only after an error was noted.
    pub fn decode(spec: &Field<'_>) -> Option<Self> {
        let fields = spec.map()?;
        let scale_target_ref = fields
            .required("scaleTargetRef")
            .and_then(|field| ScaleTargetRef::decode(&field));
        let (min, max, idle) = replica_counts(&fields);
        let seconds = |name, least, default| match fields.optional(name) {
            Some(field) => field.seconds(least..=INT32),
            None => Some(Duration::from_secs(default)),
        };
        let polling_interval = seconds("pollingInterval", 1, 30);
        let cooldown_period = seconds("cooldownPeriod", 0, 300);
        let initial_cooldown_period = seconds("initialCooldownPeriod", 0, 0);
        let behavior = match fields.optional("advanced") {
            Some(field) => advanced(&field),
            None => Some(Behavior::default()),
        };
        if let Some(field) = fields.optional("fallback") {
            field.not_served_locally("the embedded autoscaler has no fallback");
        }
        let triggers = fields
            .required("triggers")
            .map(|field| Trigger::decode_list(&field));
        fields.finish();
        Some(Self {
            scale_target_ref: scale_target_ref?,
            min_replica_count: min?,
            max_replica_count: max?,
            idle_replica_count: idle?,
            polling_interval: polling_interval?,
            cooldown_period: cooldown_period?,
            initial_cooldown_period: initial_cooldown_period?,
            behavior: behavior?,
            triggers: triggers?,
        })
    }

    /// Warns, in local mode, of annotations by which KEDA pauses scaling.
    pub fn check_annotations(metadata: &Field<'_>) {
        let annotations = metadata
            .map()
            .and_then(|fields| fields.optional("annotations"))
            .and_then(|field| field.entries())
            .unwrap_or_default();
        for (name, field) in annotations {
            if PAUSING.contains(&name) {
                field.not_served_locally("scaling is not paused");
            }
        }
    }
}

impl ScaleTargetRef {
    fn decode(target: &Field<'_>) -> Option<Self> {
        let fields = target.map()?;
        let text = |name| {
            fields
                .optional(name)
                .and_then(|field| field.string().map(str::to_owned))
        };
        let api_version = text("apiVersion");
        let kind = text("kind");
        let name = fields.required("name").and_then(|field| field.non_empty());
        fields.ignore(&["envSourceContainerName"]);
        fields.finish();
        Some(Self {
            api_version,
            kind,
            name: name?.to_owned(),
        })
    }
}

type Counts = (Option<u32>, Option<u32>, Option<Option<u32>>);

/// Minimum, maximum and idle count, by the rules of KEDA's webhook.
fn replica_counts(fields: &Fields<'_>) -> Counts {
    let min_field = fields.optional("minReplicaCount");
    let min: Option<u32> = match &min_field {
        Some(field) => field.int(0..=INT32),
        None => Some(0),
    };
    let max: Option<u32> = match fields.optional("maxReplicaCount") {
        Some(field) => field.int(1..=INT32),
        None => Some(100),
    };
    if let (Some(field), Some(min), Some(max)) = (&min_field, min, max)
        && min > max
    {
        field.error(format!(
            "must not be more than maxReplicaCount ({max}), but is {min}"
        ));
    }
    let Some(idle_field) = fields.optional("idleReplicaCount") else {
        return (min, max, Some(None));
    };
    let idle: Option<u32> = idle_field.int(0..=INT32);
    if let (Some(min), Some(idle)) = (min, idle)
        && idle >= min
    {
        idle_field.error(format!(
            "must be less than minReplicaCount ({min}), but is {idle}"
        ));
    }
    (min, max, idle.map(Some))
}

fn advanced(advanced: &Field<'_>) -> Option<Behavior> {
    let fields = advanced.map()?;
    if let Some(field) = fields.optional("restoreToOriginalReplicaCount")
        && field.bool() == Some(true)
    {
        field.not_served_locally("a Process ends with Reveille");
    }
    if let Some(field) = fields.optional("scalingModifiers") {
        field.not_served_locally("every trigger counts by itself, the greatest demand wins");
    }
    let behavior = match fields.optional("horizontalPodAutoscalerConfig") {
        Some(config) => hpa_config(&config),
        None => Some(Behavior::default()),
    };
    fields.finish();
    behavior
}

fn hpa_config(config: &Field<'_>) -> Option<Behavior> {
    let fields = config.map()?;
    let behavior = match fields.optional("behavior") {
        Some(field) => Behavior::decode(&field),
        None => Some(Behavior::default()),
    };
    fields.ignore(&["name"]);
    fields.finish();
    behavior
}
