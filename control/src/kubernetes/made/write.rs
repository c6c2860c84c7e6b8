//! Doing what was decided about a ScaledObject or its HTTPScaledObject.

use super::{Act, Made, likeness::too_much};
use crate::kubernetes::{
    api::Api,
    board::Wanted,
    failure::Failure,
    kind::{HTTP_SCALED_OBJECT, SCALED_OBJECT},
    writer::{Errand, MANAGER},
};
use http::Method;
use proxy::TargetId;
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

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
                api.write(Method::PATCH, &path, MERGE, &patch).await?;
                return Ok(None);
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
