//! Whether a ScaledObject is as it should be. Others may add to it: what they
//! add is none of ours.

use crate::kubernetes::{scaled::Owned, writer::MANAGER};
use serde_json::{Map, Value};

/// Fields that an HTTPScaledObject may leave to KEDA's defaults.
const MAY_BE_ABSENT: [&str; 4] = [
    "minReplicaCount",
    "maxReplicaCount",
    "cooldownPeriod",
    "initialCooldownPeriod",
];
/// Is the ScaledObject as `document` has it? What others add is none of ours.
pub(super) fn is_so(document: &Value, owned: &Owned) -> bool {
    let wanted = &document["metadata"];
    let has = |field: &str| {
        let wanted = &wanted[field];
        wanted.is_null() || is_within(wanted, &owned.metadata[field])
    };
    let spec = document["spec"].as_object();
    let mut fields = spec.into_iter().flatten();
    has("labels")
        && has("annotations")
        && !has_left_over(wanted, &owned.metadata)
        && fields.all(|(name, wanted)| is_within(wanted, &owned.spec[name]))
        && too_much(document, &owned.spec).is_empty()
}

fn is_within(wanted: &Value, actual: &Value) -> bool {
    match wanted {
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.all(|(name, wanted)| is_within(wanted, &actual[name]))
        }
        wanted => wanted == actual,
    }
}

/// Does it have labels or annotations that we gave it, and that are not wanted
/// any more? The API server knows whose they are.
fn has_left_over(wanted: &Value, metadata: &Value) -> bool {
    let managers = metadata["managedFields"].as_array();
    let mut ours = managers.into_iter().flatten().filter(|entry| {
        let of_all = entry["subresource"].as_str().unwrap_or("").is_empty();
        of_all && entry["manager"] == MANAGER && entry["operation"] == "Apply"
    });
    ours.any(|entry| {
        ["labels", "annotations"].iter().any(|field| {
            let names = entry["fieldsV1"]["f:metadata"][format!("f:{field}")].as_object();
            let mut names = names.into_iter().flatten();
            names.any(|(name, _)| {
                let name = name.strip_prefix("f:");
                name.is_some_and(|name| wanted[field][name].is_null())
            })
        })
    })
}

/// Fields of `spec` that should be absent, each as null. What another manager,
/// such as the add-on's operator, has set does not go by being left out.
pub(super) fn too_much(document: &Value, spec: &Value) -> Map<String, Value> {
    let wanted = &document["spec"];
    let is_odd = |wanted: &Value, actual: &Value| wanted.is_null() && !actual.is_null();
    let odd = MAY_BE_ABSENT.into_iter();
    let odd = odd.filter(|name| is_odd(&wanted[*name], &spec[*name]));
    let mut odd: Map<_, _> = odd.map(|name| (name.to_owned(), Value::Null)).collect();
    let (wanted, actual) = (&wanted["scaleTargetRef"], &spec["scaleTargetRef"]);
    let parts = ["apiVersion", "kind"].into_iter();
    let parts = parts.filter(|name| is_odd(&wanted[*name], &actual[*name]));
    let parts: Map<_, _> = parts.map(|name| (name.to_owned(), Value::Null)).collect();
    if !parts.is_empty() {
        odd.insert("scaleTargetRef".to_owned(), parts.into());
    }
    odd
}
