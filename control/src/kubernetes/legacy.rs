//! An HTTPScaledObject of the cluster: the route that it stands for, and what
//! is asked of its ScaledObject.
//!
//! Decoded as those in files are. `made.rs` says what becomes of its
//! ScaledObject, `status.rs` writes what became of it.

use super::route::RouteObject;
use crate::manifest::{
    HttpScaledObjectSpec, Object, PortRef,
    api::{self, FromApi},
};
use serde::Deserialize;

/// What the HTTP add-on's operator puts on its objects. We need none, but those
/// of a former install can be deleted by us alone.
pub(super) const FINALIZER: &str = "httpscaledobject.http.keda.sh";

/// Its ScaledObject is let go, and stays.
const ORPHAN: &str = "httpscaledobject.keda.sh/orphan-scaledobject";

/// An HTTPScaledObject that was seen.
#[derive(Debug)]
pub(super) struct LegacyObject {
    /// The route that it stands for.
    pub(super) route: RouteObject,
    /// Itself, while it is sound.
    pub(super) object: Option<Object<HttpScaledObjectSpec>>,
    /// It goes as soon as it has no finalizers.
    pub(super) is_deleted: bool,
    pub(super) finalizers: Vec<String>,
    /// What stands in its status beside conditions.
    pub(super) told: Option<Told>,
}

/// What the status of an HTTPScaledObject says of its spec, as the add-on
/// writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    /// `apiVersion/kind/name`, as they are written: what is left out is empty.
    pub(super) target_workload: String,
    /// `service:port`; of a port with a name: 0.
    pub(super) target_service: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: RawMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    deletion_timestamp: Option<String>,
    finalizers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct WithStatus {
    status: Told,
}

impl LegacyObject {
    /// From its JSON text.
    pub(super) fn read(json: &str) -> Self {
        let Raw { metadata } = serde_json::from_str(json).unwrap_or_default();
        let told = serde_json::from_str(json).ok();
        let told = told.map(|WithStatus { status }| status);
        let mut object = None;
        let route = RouteObject::decode(json, |json| {
            let read = api::http_scaled_object(json);
            object = read.object;
            FromApi {
                object: object.as_ref().map(Object::interceptor_route),
                problems: read.problems,
            }
        });
        Self {
            route,
            object,
            is_deleted: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            told,
        }
    }

    /// Should its ScaledObject have no owner?
    pub(super) fn orphans(&self) -> bool {
        let annotation = self
            .object
            .as_ref()
            .and_then(|object| object.meta.annotations.get(ORPHAN));
        annotation.is_some_and(|value| value == "true")
    }

    /// What should stand in its status beside conditions; `None`: it is broken.
    pub(super) fn tells(&self) -> Option<Told> {
        let spec = &self.object.as_ref()?.spec;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let port = match spec.service.port {
            PortRef::Number(number) => number,
            PortRef::Name(_) => 0,
        };
        Some(Told {
            target_workload: format!(
                "{}/{}/{}",
                part(&spec.workload_api_version),
                part(&spec.workload_kind),
                part(&spec.workload)
            ),
            target_service: format!("{}:{port}", spec.service.service),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_left_out_stays_empty_in_its_status() {
        let read = |target: Value| {
            let json = json!({
                "metadata": {"name": "web", "namespace": "shop", "uid": "1",
                    "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER]},
                "spec": {"scaleTargetRef": target},
                "status": {"targetWorkload": "//web", "targetService": "web:0", "more": 1},
            });
            LegacyObject::read(&json.to_string())
        };
        let named = read(json!({"name": "web", "service": "web", "portName": "http"}));
        assert_eq!(named.tells(), named.told);
        assert!(named.told.is_some());
        assert!(named.is_deleted && named.finalizers == [FINALIZER]);
        let full = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
            "service": "web", "port": 80});
        let told = read(full).tells().expect("it is sound");
        assert_eq!(told.target_workload, "apps/v1/StatefulSet/db");
        assert_eq!(told.target_service, "web:80");
        assert_eq!(read(json!({"service": "web"})).tells(), None);
    }
}
