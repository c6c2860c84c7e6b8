//! An InterceptorRoute of the cluster: as it is, and as it is served; and by
//! which name its target, or that of an HTTPScaledObject (`legacy.rs`), goes.
//!
//! A route that becomes malformed goes on to be served as it last was, until it
//! is mended or deleted, and says so in its status.

use super::store::Key;
use crate::manifest::{
    InterceptorRouteSpec, Object, Problem, Severity,
    api::{self, FromApi},
};
use proxy::TargetId;
use serde_json::Value;

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
    pub(super) conditions: Vec<Value>,
}

impl RouteObject {
    pub(super) fn read(json: Value) -> Self {
        Self::decode(json, api::interceptor_route)
    }

    /// What stands in `json`, whose spec is for `decode`.
    pub(super) fn decode(
        mut json: Value,
        decode: impl FnOnce(Value) -> FromApi<InterceptorRouteSpec>,
    ) -> Self {
        let meta = |field: &str| {
            let text = json
                .get("metadata")
                .and_then(|meta| meta.get(field)?.as_str());
            text.unwrap_or_default().to_owned()
        };
        let (uid, version) = (meta("uid"), meta("resourceVersion"));
        let generation = json.pointer("/metadata/generation");
        let generation = generation.and_then(Value::as_i64).unwrap_or(0);
        let conditions = json.pointer_mut("/status/conditions").map(Value::take);
        let conditions = match conditions {
            Some(Value::Array(conditions)) => conditions,
            _ => Vec::new(),
        };
        let FromApi { object, problems } = decode(json);
        Self {
            uid,
            version,
            generation,
            served: object,
            refused: Vec::new(),
            problems,
            conditions,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(uid: &str, host: &Value) -> RouteObject {
        RouteObject::read(json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": uid},
            "spec": {
                "target": {"service": "web", "port": 80},
                "rules": [{"hosts": [host]}],
                "scalingMetric": {"concurrency": {"targetValue": 10}},
            },
        }))
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
