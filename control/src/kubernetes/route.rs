//! An InterceptorRoute of the cluster: as it is, and as it is served; and by
//! which name its target, or that of an HTTPScaledObject (`legacy.rs`), goes.
//!
//! A route that becomes malformed goes on to be served as it last was, until it
//! is mended or deleted, and says so in its status.

use super::{condition::Present, store::Key};
use crate::manifest::{
    InterceptorRouteSpec, Object, Problem, Severity,
    api::{self, FromApi},
    is_ours,
};
use proxy::TargetId;
use serde::Deserialize;

/// An InterceptorRoute that was seen, or what an HTTPScaledObject stands for.
#[derive(Debug)]
pub(super) struct RouteObject {
    /// The API server's identity of the object.
    pub(super) uid: String,
    /// Its resourceVersion.
    pub(super) version: String,
    /// Counted up with each change of its spec.
    pub(super) generation: i64,
    /// What is served of it: its spec, or its last sound one.
    pub(super) served: Option<Object<InterceptorRouteSpec>>,
    /// Hosts that it claims, and its namespace may not have.
    pub(super) refused: Vec<String>,
    /// What is wrong with it as it is.
    pub(super) problems: Vec<Problem>,
    /// What stands in its status.
    pub(super) conditions: Box<[Present]>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: RawMeta,
    status: Option<RawStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    uid: String,
    resource_version: String,
    generation: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    conditions: Option<Box<[Present]>>,
}

impl RouteObject {
    /// From its JSON text.
    pub(super) fn read(json: &str) -> Self {
        Self::decode(json, |json| {
            let mut read = api::interceptor_route(json);
            if let Some(object) = &mut read.object {
                // Of thousands of routes, nothing is kept that nobody asks for.
                object.meta.labels.clear();
                object.meta.annotations.retain(|name, _| is_ours(name));
            }
            read
        })
    }

    /// What stands in `json`, whose spec is for `decode`.
    pub(super) fn decode(
        json: &str,
        decode: impl FnOnce(&str) -> FromApi<InterceptorRouteSpec>,
    ) -> Self {
        let Raw { metadata, status } = raw(json);
        let FromApi { object, problems } = decode(json);
        Self {
            uid: metadata.uid,
            version: metadata.resource_version,
            generation: metadata.generation,
            served: object,
            refused: Vec::new(),
            problems,
            conditions: status
                .and_then(|status| status.conditions)
                .unwrap_or_default(),
        }
    }

    /// Is it as broken as it is written?
    pub(super) fn is_broken(&self) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.severity == Severity::Error)
    }

    /// If it is broken, it is served as it was before.
    pub(super) fn take_over(&mut self, before: Option<Self>) {
        if let Some(before) = before
            && before.uid == self.uid
            && self.served.is_none()
        {
            self.served = before.served;
            self.refused = before.refused;
        }
    }
}

/// The target of the InterceptorRoute of that name.
pub(super) fn target_of(key: &Key) -> TargetId {
    TargetId::new(&key.namespace, &key.name)
}

/// The target of the HTTPScaledObject of that name.
pub(super) fn legacy_target_of(key: &Key) -> TargetId {
    scaler::http_scaled_object(&key.namespace, &key.name)
}

/// The name of the object that a target is made of.
pub(super) fn key_of(target: &TargetId) -> Key {
    Key::new(target.namespace(), scaler::object_name(target))
}

/// Is it made of an HTTPScaledObject?
pub(super) fn is_legacy(target: &TargetId) -> bool {
    scaler::object_name(target) != target.name()
}

/// What identifies it and what stands in its status. A status that is not as it
/// is written here is as good as none.
fn raw(json: &str) -> Raw {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct WithoutStatus {
        metadata: RawMeta,
    }
    serde_json::from_str(json).unwrap_or_else(|_| {
        let known: WithoutStatus = serde_json::from_str(json).unwrap_or_default();
        Raw {
            metadata: known.metadata,
            status: None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn route(uid: &str, host: &Value) -> RouteObject {
        let json = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": uid},
            "spec": {
                "target": {"service": "web", "port": 80},
                "rules": [{"hosts": [host]}],
                "scalingMetric": {"concurrency": {"targetValue": 10}},
            },
        });
        RouteObject::read(&json.to_string())
    }

    #[test]
    fn a_status_that_makes_no_sense_is_as_good_as_none() {
        for status in [
            json!(5),
            json!({"conditions": {}}),
            json!({"conditions": [7]}),
        ] {
            let json =
                json!({"metadata": {"name": "a", "uid": "u", "generation": 2}, "status": status});
            let read = RouteObject::read(&json.to_string());
            assert_eq!((read.uid.as_str(), read.generation), ("u", 2), "{status}");
            assert!(read.conditions.is_empty(), "{status}");
        }
    }

    #[test]
    fn a_route_that_breaks_is_served_as_it_was() {
        let good = route("1", &json!("a.test"));
        assert!(!good.is_broken());
        let mut broken = route("1", &json!(5));
        assert!(broken.is_broken() && broken.served.is_none());
        broken.take_over(Some(good));
        let served = broken.served.as_ref().expect("taken over");
        assert_eq!(served.spec.rules[0].hosts, ["a.test"]);
        let mut recreated = route("2", &json!(5));
        recreated.take_over(Some(broken));
        assert!(recreated.served.is_none(), "it is another object");
    }
}
