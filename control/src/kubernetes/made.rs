//! The ScaledObject that is made of an HTTPScaledObject, as the HTTP add-on's
//! operator makes it: under the same name, owned by it, kept as it should be.
//!
//! [`decide`] is pure: from what is seen to what should be done and said.
//! It must never touch a ScaledObject that belongs to somebody else.

use super::{
    api::Api,
    board::Wanted,
    failure::Failure,
    kind::{HTTP_SCALED_OBJECT, SCALED_OBJECT},
    legacy::{FINALIZER, LegacyObject},
    scaled::{Owned, ScaledObject},
    store::Key,
    writer::{Errand, MANAGER},
};
use http::Method;
use proxy::TargetId;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Fields that an HTTPScaledObject may leave to KEDA's defaults.
const MAY_BE_ABSENT: [&str; 4] = [
    "minReplicaCount",
    "maxReplicaCount",
    "cooldownPeriod",
    "initialCooldownPeriod",
];
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// An HTTPScaledObject, and what there is of ScaledObjects around it.
pub(super) struct View<'a> {
    pub(super) key: &'a Key,
    pub(super) legacy: &'a LegacyObject,
    /// The ScaledObject of its name.
    pub(super) named: Option<&'a ScaledObject>,
    /// The one with a trigger that names it.
    pub(super) waker: Option<&'a Key>,
    /// Another one for the same workload.
    pub(super) rival: Option<&'a Key>,
    /// Where KEDA finds us.
    pub(super) scaler_address: &'a str,
    /// Why the last write was refused.
    pub(super) refusal: Option<&'a str>,
}

/// How its scaling stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This ScaledObject wakes its workload.
    Found(Key),
    /// This one does, and is not of this object.
    Theirs(Key),
    /// One is being made.
    Awaited,
    /// It cannot be written, for this reason.
    Refused(String),
    /// Somebody else's is in the way: which, and why.
    Taken(String),
    /// None is wanted, for this reason.
    Unwanted(&'static str),
}

/// What should be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// The ScaledObject should be so.
    Apply { document: Value, is_new: bool },
    /// It should not be there.
    Delete { uid: String },
    /// It should be nobody's: these are its other owners.
    Release { uid: String, owners: Vec<Value> },
    /// The HTTPScaledObject may go, as far as the add-on is concerned.
    LetGo {
        version: String,
        finalizers: Vec<String>,
    },
}

/// What should be done about one HTTPScaledObject.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) key: Key,
    /// The resourceVersion of what is changed.
    pub(super) follows_from: Option<u64>,
    pub(super) act: Act,
}

/// What should be done, if anything, and how its scaling stands.
pub(super) fn decide(view: &View<'_>) -> (Option<Act>, Standing) {
    let legacy = view.legacy;
    let owned = view.named.and_then(|named| named.owned.as_deref());
    let owned = owned.filter(|owned| owned.owner == legacy.route.uid);
    let found = view.waker.cloned().map(|waker| match owned {
        Some(_) if waker == *view.key => Standing::Found(waker),
        _ => Standing::Theirs(waker),
    });
    let release = || {
        let owned = owned.filter(|_| legacy.orphans())?;
        Some(Act::Release {
            uid: owned.uid.clone(),
            owners: other_owners(owned),
        })
    };
    if legacy.is_deleted {
        // A ScaledObject that stays must be nobody's before its owner goes.
        let act = release().or_else(|| let_go(legacy));
        return (
            act,
            found.unwrap_or(Standing::Unwanted("it is being deleted")),
        );
    }
    let Some(object) = &legacy.object else {
        let standing = Standing::Unwanted("the HTTPScaledObject cannot be understood");
        return (None, found.unwrap_or(standing));
    };
    if legacy.orphans() {
        let standing = Standing::Unwanted("its annotation says that none is owned");
        return (release(), found.unwrap_or(standing));
    }
    let Some(mut document) = object.scaled_object_document(view.scaler_address) else {
        let act = owned.map(|owned| Act::Delete {
            uid: owned.uid.clone(),
        });
        let others = found.filter(|_| owned.is_none());
        let why = match object.spec.workload {
            Some(_) => "its annotation says that none is made",
            None => "it names no workload (spec.scaleTargetRef.name)",
        };
        return (act, others.unwrap_or(Standing::Unwanted(why)));
    };
    document["metadata"]["ownerReferences"] = json!([{
        "apiVersion": HTTP_SCALED_OBJECT.api_version(),
        "kind": HTTP_SCALED_OBJECT.name,
        "name": &*view.key.name,
        "uid": legacy.route.uid,
        "controller": true,
    }]);
    let refused = view.refusal.map(|why| Standing::Refused(why.to_owned()));
    match (owned, view.named, view.rival) {
        (Some(owned), ..) if is_so(&document, owned) => (None, found.unwrap_or(Standing::Awaited)),
        (Some(owned), ..) => {
            // Not another one of its name.
            document["metadata"]["uid"] = owned.uid.as_str().into();
            let is_new = false;
            let act = Act::Apply { document, is_new };
            (Some(act), refused.or(found).unwrap_or(Standing::Awaited))
        }
        (None, Some(_), _) => {
            let taken = format!(
                "ScaledObject {} is not of this object and stays as it is, without a trigger \
                 httpScaledObject: {}",
                view.key, view.key.name
            );
            (None, found.unwrap_or(Standing::Taken(taken)))
        }
        (None, None, Some(rival)) => {
            let taken = format!(
                "ScaledObject {rival} scales the same workload already, without a trigger \
                 httpScaledObject: {}",
                view.key.name
            );
            (None, found.unwrap_or(Standing::Taken(taken)))
        }
        (None, None, None) => {
            let act = Act::Apply {
                document,
                is_new: true,
            };
            (Some(act), refused.unwrap_or(Standing::Awaited))
        }
    }
}

fn let_go(legacy: &LegacyObject) -> Option<Act> {
    let finalizers = &legacy.finalizers;
    finalizers.iter().any(|name| name == FINALIZER).then(|| {
        let others = finalizers.iter().filter(|name| *name != FINALIZER);
        Act::LetGo {
            version: legacy.route.version.clone(),
            finalizers: others.cloned().collect(),
        }
    })
}

fn other_owners(owned: &Owned) -> Vec<Value> {
    let owners = owned.metadata["ownerReferences"].as_array();
    let others = owners.into_iter().flatten();
    let others = others.filter(|owner| owner["uid"] != owned.owner);
    others.cloned().collect()
}

/// Is the ScaledObject as `document` has it? What others add is none of ours.
fn is_so(document: &Value, owned: &Owned) -> bool {
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
fn too_much(document: &Value, spec: &Value) -> Map<String, Value> {
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

impl Wanted for Made {
    fn is_written(&self) -> bool {
        // Only what is to be done is wanted.
        false
    }

    fn follows_from(&self) -> Option<u64> {
        self.follows_from
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.act.hash(&mut hasher);
        hasher.finish()
    }
}

impl Errand for Made {
    fn resource(&self) -> &'static str {
        match self.act {
            Act::LetGo { .. } => HTTP_SCALED_OBJECT.plural,
            _ => SCALED_OBJECT.plural,
        }
    }

    async fn write(&self, api: &Api, _: &TargetId) -> Result<Option<u64>, Failure> {
        let key = &self.key;
        let path = SCALED_OBJECT.path_of(key);
        let written = match &self.act {
            Act::Apply { document, is_new } => {
                // By force only what is ours: another one that came meanwhile stays.
                let force = !is_new;
                let path_and_query = format!("{path}?fieldManager={MANAGER}&force={force}");
                let call = api.write(Method::PATCH, &path_and_query, APPLY, document);
                let mut written = call.await?;
                let odd = too_much(document, &written["spec"]);
                if !odd.is_empty() {
                    let uid = &written["metadata"]["uid"];
                    let patch = json!({"metadata": {"uid": uid}, "spec": odd});
                    written = api.write(Method::PATCH, &path, MERGE, &patch).await?;
                }
                let what = if *is_new {
                    "made"
                } else {
                    "brought up to date"
                };
                tracing::info!(scaled_object = %key, "{what}, as the HTTPScaledObject of its name says");
                written
            }
            Act::Delete { uid } => {
                let options = json!({"preconditions": {"uid": uid}});
                let json = "application/json";
                api.write(Method::DELETE, &path, json, &options).await?;
                tracing::info!(
                    scaled_object = %key,
                    "deleted: the HTTPScaledObject of its name wants none any more"
                );
                return Ok(None);
            }
            Act::Release { uid, owners } => {
                let patch = json!({"metadata": {"uid": uid, "ownerReferences": owners}});
                let written = api.write(Method::PATCH, &path, MERGE, &patch).await?;
                tracing::info!(
                    scaled_object = %key,
                    "belongs to no HTTPScaledObject any more, as its annotation says"
                );
                written
            }
            Act::LetGo {
                version,
                finalizers,
            } => {
                let path = HTTP_SCALED_OBJECT.path_of(key);
                let patch =
                    json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
                api.write(Method::PATCH, &path, MERGE, &patch).await?
            }
        };
        let version = &written["metadata"]["resourceVersion"];
        Ok(version.as_str().and_then(|version| version.parse().ok()))
    }

    fn is_overtaken(&self, failure: &Failure) -> bool {
        match (&self.act, failure) {
            (_, Failure::Conflict(_)) => true,
            // What is to be made cannot be missing: its kind is.
            (Act::Apply { is_new, .. }, Failure::Missing) => !is_new,
            (_, failure) => *failure == Failure::Missing,
        }
    }

    fn describe(&self, failure: &Failure) -> String {
        let (verbs, are, kind) = match self.act {
            Act::Apply { .. } => ("permissions to create and patch", "are", &SCALED_OBJECT),
            Act::Delete { .. } => ("permission to delete", "is", &SCALED_OBJECT),
            Act::Release { .. } => ("permission to patch", "is", &SCALED_OBJECT),
            Act::LetGo { .. } => ("permission to patch", "is", &HTTP_SCALED_OBJECT),
        };
        let (resource, namespace) = (kind.resource(), &self.key.namespace);
        match failure {
            // KEDA's, for one: it says what is wrong with the object.
            Failure::Denied(said) if said.contains("admission webhook") => {
                format!("{} {} was refused: {said}", kind.name, self.key)
            }
            Failure::Denied(said) => format!(
                "the {verbs} {resource} in namespace {namespace} {are} missing: grant that in the \
                 role of this service account ({said})"
            ),
            Failure::Missing => format!("the cluster has no {resource}: install KEDA"),
            other => format!("{} {} cannot be written: {other}", kind.name, self.key),
        }
    }
}

#[cfg(test)]
mod tests;
