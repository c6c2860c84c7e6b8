//! A ScaledObject, as far as a route needs to know it: which workload it
//! scales, between which bounds, and whether KEDA was told to leave it alone.
//!
//! KEDA decodes and checks it; here only what is asked for is looked at, so
//! that a field of a later KEDA hides nothing. Of one that was made of an
//! HTTPScaledObject more is kept: `made.rs` compares it.

use super::{
    decode::decode,
    kind::HTTP_SCALED_OBJECT,
    route::{legacy_target_of, target_of},
    store::Key,
};
use crate::manifest::HttpScaledObjectSpec;
use proxy::TargetId;
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
    /// What its triggers name.
    pub(super) targets: Vec<TargetId>,
    /// `None`: it belongs to no HTTPScaledObject.
    pub(super) owned: Option<Box<Owned>>,
}

/// A ScaledObject that an HTTPScaledObject owns, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    /// The API server's identity of that HTTPScaledObject.
    pub(super) owner: String,
    /// And of itself.
    pub(super) uid: String,
    pub(super) metadata: Value,
    pub(super) spec: Value,
}

/// What a ScaledObject scales.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Workload {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
}

impl Workload {
    /// What is left out is as KEDA has it.
    fn new(api_version: Option<String>, kind: Option<String>, name: String) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            api_version: filled(api_version).unwrap_or_else(|| "apps/v1".to_owned()),
            kind: filled(kind).unwrap_or_else(|| "Deployment".to_owned()),
            name,
        }
    }

    /// What an HTTPScaledObject wants to be scaled, if anything.
    pub(super) fn of(spec: &HttpScaledObjectSpec) -> Option<Self> {
        let (api_version, kind) = (&spec.workload_api_version, &spec.workload_kind);
        let name = spec.workload.clone()?;
        Some(Self::new(api_version.clone(), kind.clone(), name))
    }
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
struct Whole {
    metadata: Value,
    spec: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    annotations: BTreeMap<String, String>,
    owner_references: Vec<OwnerReference>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerReference {
    api_version: String,
    kind: String,
    uid: String,
    controller: bool,
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
    /// From its JSON text.
    pub(super) fn read(key: &Key, json: &str) -> Result<Self, String> {
        let Raw { metadata, spec } = decode(json)?;
        let target = spec.scale_target_ref;
        let named = |trigger: &Trigger| {
            let name = |field: &str| {
                let name = trigger.metadata.get(field)?.as_str()?;
                Some(Key::new(&key.namespace, name))
            };
            // In the order in which the scaler looks.
            let route = name("interceptorRoute").as_ref().map(target_of);
            route.or_else(|| name("httpScaledObject").as_ref().map(legacy_target_of))
        };
        let owner = metadata.owner_references.into_iter().find(|owner| {
            let group = owner.api_version.split('/').next();
            owner.controller
                && owner.kind == HTTP_SCALED_OBJECT.name
                && group == Some(HTTP_SCALED_OBJECT.group)
        });
        let owned = owner.map(|owner| {
            // Few are: only of these all is kept.
            let Whole { metadata, spec } = decode(json)?;
            Ok::<_, String>(Box::new(Owned {
                owner: owner.uid,
                uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
                metadata: steady(metadata),
                spec,
            }))
        });
        Ok(Self {
            workload: Workload::new(target.api_version, target.kind, target.name),
            min_replicas: spec.min_replica_count.unwrap_or(0),
            max_replicas: spec.max_replica_count.unwrap_or(100),
            cooldown: Duration::from_secs(spec.cooldown_period.unwrap_or(300).into()),
            paused: paused(&metadata.annotations),
            targets: spec.triggers.iter().filter_map(named).collect(),
            owned: owned.transpose()?,
        })
    }
}

/// Metadata without what changes with every write of a status.
fn steady(mut metadata: Value) -> Value {
    metadata["resourceVersion"].take();
    for entry in metadata["managedFields"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        entry["time"].take();
        if entry["subresource"] == "status" {
            entry["fieldsV1"].take();
        }
    }
    metadata
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
        ScaledObject::read(&Key::new("shop", "web"), &json.to_string()).expect("readable")
    }

    #[test]
    fn what_is_left_out_has_kedas_defaults() {
        let object = object(&json!({}));
        assert_eq!(object.workload.kind, "Deployment");
        assert_eq!(object.workload.api_version, "apps/v1");
        assert_eq!((object.min_replicas, object.max_replicas), (0, 7));
        assert_eq!(object.cooldown, Duration::from_secs(300));
        assert_eq!(object.targets, [TargetId::new("shop", "web")]);
        assert_eq!(object.owned, None);
        assert_eq!(object.paused, None);
    }

    #[test]
    fn an_http_scaled_object_is_its_controller_or_it_is_somebody_elses() {
        let read = |api_version: &str, controller: bool| {
            let json = json!({
                "metadata": {"uid": "2", "resourceVersion": "9", "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x", "uid": "0"},
                    {"apiVersion": api_version, "kind": "HTTPScaledObject", "name": "web",
                        "uid": "1", "controller": controller},
                ]},
                "spec": {"triggers": [{"metadata": {"httpScaledObject": "web"}}]},
            });
            ScaledObject::read(&Key::new("shop", "web"), &json.to_string()).expect("readable")
        };
        let ours = read("http.keda.sh/v1alpha1", true);
        assert_eq!(ours.targets, [scaler::http_scaled_object("shop", "web")]);
        let owned = ours.owned.expect("it is owned");
        assert_eq!((owned.owner.as_str(), owned.uid.as_str()), ("1", "2"));
        assert_eq!(owned.metadata["resourceVersion"], Value::Null);
        assert_eq!(read("http.keda.sh/v1alpha1", false).owned, None);
        assert_eq!(read("elsewhere/v1", true).owned, None);
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
