//! Objects of a Kubernetes API, decoded as the same kinds in files are.
//!
//! Called by Kubernetes mode for each object by itself: what is wrong with one
//! is said of that one. The API server has checked names and types already;
//! whatever it lets through must never do harm here.

use super::config_map::ConfigMapSpec;
use super::http_scaled_object::HttpScaledObjectSpec;
use super::interceptor_route::InterceptorRouteSpec;
use super::kind::{self, Kind};
use super::meta::{Object, Source};
use super::node::Node;
use super::problem::Problem;
use super::report::{Report, Scope};
use serde::Deserialize;
use std::sync::{Arc, LazyLock};

/// What problems call the place of an API object.
const ORIGIN: &str = "cluster";

/// An API object as far as it could be decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct FromApi<S> {
    /// The object; `None` if anything in it is an error.
    pub object: Option<Object<S>>,
    /// Errors, and warnings.
    pub problems: Vec<Problem>,
}

/// The name of an object of which nothing more can be read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    metadata: Name,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Name {
    namespace: String,
    name: String,
}

/// Decodes an `InterceptorRoute` (http.keda.sh/v1beta1) from its JSON text.
#[must_use]
pub fn interceptor_route(json: &str) -> FromApi<InterceptorRouteSpec> {
    read(Kind::InterceptorRoute, json, |root, report, source| {
        kind::object(
            Kind::InterceptorRoute,
            root,
            report,
            source,
            InterceptorRouteSpec::decode,
        )
    })
}

/// Decodes an `HTTPScaledObject` (http.keda.sh/v1alpha1) from its JSON text.
#[must_use]
pub fn http_scaled_object(json: &str) -> FromApi<HttpScaledObjectSpec> {
    read(Kind::HttpScaledObject, json, |root, report, source| {
        kind::object(
            Kind::HttpScaledObject,
            root,
            report,
            source,
            HttpScaledObjectSpec::decode,
        )
    })
}

/// Decodes a `ConfigMap` (v1) with the label of response bodies from its JSON text.
#[must_use]
pub fn config_map(json: &str) -> FromApi<ConfigMapSpec> {
    read(
        Kind::ConfigMap,
        json,
        |root, report, source| match kind::config_map(root, report, source)? {
            kind::ConfigMap::WithBodies(object) => Some(object),
            kind::ConfigMap::Other(_) => None,
        },
    )
}

/// All problems in one line, the errors first.
#[must_use]
pub fn in_one_line(problems: &[Problem]) -> String {
    let mut problems: Vec<&Problem> = problems.iter().collect();
    problems.sort_by_key(|problem| problem.severity);
    let one = |problem: &&Problem| match problem.path.as_str() {
        "" => problem.message.clone(),
        path => format!("{path}: {}", problem.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn read<S>(
    kind: Kind,
    json: &str,
    decode: impl FnOnce(&Node, &Report, Source) -> Option<Object<S>>,
) -> FromApi<S> {
    // One for all of thousands.
    static FILE: LazyLock<Arc<str>> = LazyLock::new(|| ORIGIN.into());
    let file = FILE.clone();
    let report = Report::new(file.clone(), Scope::Cluster);
    let root = match Node::from_json(json) {
        Ok(root) => root,
        Err(error) => {
            let Named { metadata } = serde_json::from_str(json).unwrap_or_default();
            report.set_object(format!("{kind} {}/{}", metadata.namespace, metadata.name));
            report.error(0, "", format!("cannot be read: {error}"));
            return FromApi {
                object: None,
                problems: report.into_problems(),
            };
        }
    };
    let text = |path| root.at(path).and_then(Node::as_str).unwrap_or_default();
    let (namespace, name) = (
        text(&["metadata", "namespace"]),
        text(&["metadata", "name"]),
    );
    report.set_object(format!("{kind} {namespace}/{name}"));
    let source = Source { file, line: 0 };
    let object = decode(&root, &report, source);
    FromApi {
        object,
        problems: report.into_problems(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(spec: &serde_json::Value) -> String {
        let object = json!({
            "apiVersion": "http.keda.sh/v1beta1", "kind": "InterceptorRoute",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "1-2", "resourceVersion": "7",
                "generation": 3, "creationTimestamp": "2026-01-31T12:00:00Z", "managedFields": [],
            },
            "spec": spec,
            "status": {"conditions": []},
        });
        object.to_string()
    }

    #[test]
    fn a_route_is_decoded_as_in_a_file() {
        let read = interceptor_route(&route(&json!({
            "target": {"service": "web", "port": 80},
            "rules": [{"hosts": ["web.test"]}],
            "scalingMetric": {"concurrency": {"targetValue": 10}},
        })));
        assert_eq!(read.problems, []);
        let object = read.object.expect("sound");
        assert_eq!(object.meta.namespace, "shop");
        assert_eq!(object.meta.generation, Some(3));
        assert_eq!(object.spec.target.service, "web");
    }

    #[test]
    fn a_broken_one_says_what_is_wrong_with_it() {
        let read = interceptor_route(&route(&json!({
            "target": {"service": "web", "port": 80, "portName": "http"},
            "scalingMetric": {"requestRate": {"targetValue": 1, "window": "soon"}},
        })));
        assert_eq!(read.object, None);
        let line = in_one_line(&read.problems);
        assert!(
            line.starts_with("spec.target: exactly one of 'port' or 'portName' must be set; "),
            "{line}"
        );
        assert!(
            line.contains("spec.scalingMetric.requestRate.window: "),
            "{line}"
        );
    }

    #[test]
    fn one_that_nests_too_deep_is_named_all_the_same() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let json = format!(r#"{{"metadata": {{"namespace": "a", "name": "b"}}, "spec": {deep}}}"#);
        let problem = interceptor_route(&json).problems[0].to_string();
        let wanted = "InterceptorRoute a/b: cannot be read: recursion limit exceeded";
        assert!(problem.contains(wanted), "{problem}");
    }

    #[test]
    fn a_config_map_needs_its_label() {
        let map = |labels: &serde_json::Value| {
            json!({"metadata": {"name": "a", "namespace": "b", "labels": labels}, "data": {"k": "v"}}).to_string()
        };
        let read = config_map(&map(&json!({"http.keda.sh/response-body": "true"})));
        let object = read.object.expect("sound");
        assert_eq!(object.spec.bodies["k"], b"v");
        assert_eq!(config_map(&map(&json!({}))).object, None);
    }
}
