//! An InterceptorRoute of the cluster: as it is, and as it is served.
//!
//! A route that becomes malformed goes on to be served as it last was, until it
//! is mended or deleted, and says so in its status.

use crate::manifest::{
    InterceptorRouteSpec, Object, Problem, Severity,
    api::{self, FromApi},
};
use serde_json::Value;

/// An InterceptorRoute that was seen.
#[derive(Debug)]
pub(super) struct RouteObject {
    /// The API server's identity of the object.
    pub(super) uid: String,
    /// What is served of it: its spec, or its last sound one.
    pub(super) served: Option<Object<InterceptorRouteSpec>>,
    /// What is wrong with it as it is.
    pub(super) problems: Vec<Problem>,
}

impl RouteObject {
    pub(super) fn read(json: Value) -> Self {
        let uid = json.pointer("/metadata/uid").and_then(Value::as_str);
        let uid = uid.unwrap_or_default().to_owned();
        let FromApi { object, problems } = api::interceptor_route(json);
        Self {
            uid,
            served: object,
            problems,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(uid: &str, host: Value) -> RouteObject {
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
        let good = route("1", json!("a.test"));
        assert!(!good.is_broken());
        let mut broken = route("1", json!(5));
        assert!(broken.is_broken() && broken.served.is_none());
        broken.take_over(Some(good));
        let served = broken.served.as_ref().expect("taken over");
        assert_eq!(served.spec.rules[0].hosts, ["a.test"]);
        let mut recreated = route("2", json!(5));
        recreated.take_over(Some(broken));
        assert!(recreated.served.is_none(), "it is another object");
    }
}
