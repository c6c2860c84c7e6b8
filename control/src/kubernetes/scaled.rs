//! A ScaledObject, as far as a route needs to know it: which workload it
//! scales, between which bounds, and whether KEDA was told to leave it alone.
//!
//! KEDA decodes and checks it; here only what is asked for is looked at, so
//! that a field of a later KEDA hides nothing.

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, time::Duration};

/// What of a ScaledObject concerns us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScaledObject {
    /// What is scaled, in its namespace.
    pub(super) workload: Workload,
    pub(super) min_replicas: u32,
    pub(super) max_replicas: u32,
    /// How long after the last activity it may sleep.
    pub(super) cooldown: Duration,
    /// Why KEDA does not scale it from zero now.
    pub(super) paused: Option<String>,
    /// The InterceptorRoutes that its triggers name.
    pub(super) routes: Vec<String>,
}

/// What a ScaledObject scales.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Workload {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: Meta,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    scale_target_ref: TargetRef,
    min_replica_count: Option<u32>,
    max_replica_count: Option<u32>,
    cooldown_period: Option<u32>,
    triggers: Vec<Trigger>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TargetRef {
    api_version: Option<String>,
    kind: Option<String>,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trigger {
    metadata: BTreeMap<String, Value>,
}

impl ScaledObject {
    pub(super) fn read(json: Value) -> Result<Self, String> {
        let Raw { metadata, spec } = Raw::deserialize(json).map_err(|error| error.to_string())?;
        let target = spec.scale_target_ref;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let named = |trigger: &Trigger| {
            let route = trigger.metadata.get("interceptorRoute")?;
            route.as_str().map(str::to_owned)
        };
        Ok(Self {
            workload: Workload {
                api_version: filled(target.api_version).unwrap_or_else(|| "apps/v1".to_owned()),
                kind: filled(target.kind).unwrap_or_else(|| "Deployment".to_owned()),
                name: target.name,
            },
            min_replicas: spec.min_replica_count.unwrap_or(0),
            max_replicas: spec.max_replica_count.unwrap_or(100),
            cooldown: Duration::from_secs(spec.cooldown_period.unwrap_or(300).into()),
            paused: paused(&metadata.annotations),
            routes: spec.triggers.iter().filter_map(named).collect(),
        })
    }
}

/// KEDA's annotations, in its words: pausing with a count of zero or with none
/// leaves a workload at zero asleep, whatever is asked of it.
fn paused(annotations: &BTreeMap<String, String>) -> Option<String> {
    const PREFIX: &str = "autoscaling.keda.sh/";
    let get = |name: &str| {
        annotations
            .get(&format!("{PREFIX}{name}"))
            .map(String::as_str)
    };
    if let Some(count) = get("paused-replicas") {
        let sleeps = count.trim() == "0";
        return sleeps.then(|| format!("{PREFIX}paused-replicas is 0"));
    }
    ["paused", "paused-scale-out"].into_iter().find_map(|name| {
        let is_on = get(name).is_some_and(|value| value != "false");
        is_on.then(|| format!("{PREFIX}{name} is set"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(annotations: &Value) -> ScaledObject {
        let json = json!({
            "metadata": {"annotations": annotations},
            "spec": {
                "scaleTargetRef": {"name": "web"},
                "maxReplicaCount": 7,
                "triggers": [
                    {"type": "cpu", "metadata": {"value": "80"}},
                    {"type": "external-push", "metadata": {"scalerAddress": "x:1", "interceptorRoute": "web"}},
                ],
                "somethingNew": {"x": 1},
            },
        });
        ScaledObject::read(json).expect("readable")
    }

    #[test]
    fn what_is_left_out_has_kedas_defaults() {
        let object = object(&json!({}));
        assert_eq!(object.workload.kind, "Deployment");
        assert_eq!(object.workload.api_version, "apps/v1");
        assert_eq!((object.min_replicas, object.max_replicas), (0, 7));
        assert_eq!(object.cooldown, Duration::from_secs(300));
        assert_eq!(object.routes, ["web"]);
        assert_eq!(object.paused, None);
    }

    #[test]
    fn annotations_that_keep_it_asleep() {
        let paused = |name: &str, value: &str| {
            object(&json!({ format!("autoscaling.keda.sh/{name}"): value }))
                .paused
                .is_some()
        };
        assert!(paused("paused", "true"));
        assert!(!paused("paused", "false"));
        assert!(paused("paused-replicas", "0"));
        assert!(!paused("paused-replicas", "2"));
        assert!(paused("paused-scale-out", "true"));
        assert!(!paused("paused-scale-in", "true"));
    }
}
