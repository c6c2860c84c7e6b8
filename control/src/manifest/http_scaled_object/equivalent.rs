//! The documents that stand for an HTTPScaledObject: the ScaledObject that the HTTP add-on's
//! operator writes, and what to write by hand in its place.
//!
//! Called for API objects and by `reveille check`. Pure. It must never say anything else than
//! `convert.rs` does: a test decodes these documents and compares.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::interceptor_route::{PortRef, ServicePort};
use super::super::meta::{DEFAULT_NAMESPACE, Object, ObjectMeta};
use super::super::rule::RoutingRule;
use super::super::scaling_metric::ScalingMetric;
use super::convert::{POLLING_INTERVAL, TRIGGER_KEY};
use super::{HttpScaledObjectSpec, ScalerRef, duration};

/// Annotations that speak to the add-on's operator about HTTPScaledObjects.
const TO_THE_OPERATOR: &str = "httpscaledobject.keda.sh/";

/// The scaler of Reveille's chart.
const SCALER_ADDRESS: &str = "reveille-scaler.keda:9090";

impl Object<HttpScaledObjectSpec> {
    /// The ScaledObject of [`Self::scaled_object`] as a document for a Kubernetes API, without
    /// owner; what the HTTPScaledObject leaves to KEDA's defaults is left out.
    #[must_use]
    pub fn scaled_object_document(&self, scaler: &ScalerRef) -> Option<Value> {
        let metadata = self.metadata(self.derived_meta());
        self.scaled_object_with(&metadata, TRIGGER_KEY, scaler)
    }

    /// What to write instead, as YAML: an InterceptorRoute and, where the operator would make one,
    /// a ScaledObject whose trigger names that route; `None`: KEDA finds the scaler where Reveille's
    /// chart has it.
    #[must_use]
    pub fn equivalent(&self, scaler: Option<&ScalerRef>) -> String {
        let mut meta = self.derived_meta();
        let annotations = &mut meta.annotations;
        annotations.retain(|name, _| !name.starts_with(TO_THE_OPERATOR));
        let metadata = self.metadata(meta);
        let route = self.route_document(&metadata);
        let of_the_chart = || Cow::Owned(ScalerRef::plain(SCALER_ADDRESS));
        let scaler = scaler.map_or_else(of_the_chart, Cow::Borrowed);
        let scaled_object = self.scaled_object_with(&metadata, "interceptorRoute", &scaler);
        let documents = std::iter::once(route).chain(scaled_object);
        documents
            .map(|document| {
                let yaml = serde_saphyr::to_string(&document);
                yaml.expect("a JSON value with string keys can be written as YAML")
            })
            .map(|yaml| format!("---\n{}\n", yaml.trim_end()))
            .collect()
    }

    fn scaled_object_with(&self, metadata: &Value, key: &str, scaler: &ScalerRef) -> Option<Value> {
        if self.skips_scaled_object() {
            return None;
        }
        let spec = &self.spec;
        let workload = entries([
            (
                "apiVersion",
                spec.workload_api_version.clone().map(Value::from),
            ),
            ("kind", spec.workload_kind.clone().map(Value::from)),
            ("name", Some(Value::from(spec.workload.clone()?))),
        ]);
        let seconds = |time: Option<Duration>| time.map(|time| Value::from(time.as_secs()));
        let trigger = scaler.trigger(key, &self.meta.name);
        Some(json!({
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": metadata,
            "spec": entries([
                ("scaleTargetRef", Some(workload)),
                ("pollingInterval", Some(Value::from(POLLING_INTERVAL.as_secs()))),
                ("minReplicaCount", spec.min_replicas.map(Value::from)),
                ("maxReplicaCount", spec.max_replicas.map(Value::from)),
                ("cooldownPeriod", seconds(spec.scaledown_period)),
                ("initialCooldownPeriod", seconds(spec.initial_cooldown_period)),
                ("advanced", Some(json!({"restoreToOriginalReplicaCount": true}))),
                ("triggers", Some(json!([trigger]))),
            ]),
        }))
    }

    fn route_document(&self, metadata: &Value) -> Value {
        let route = self.interceptor_route().spec;
        let fallback = route.cold_start.and_then(|cold| cold.fallback);
        let fallback = fallback.map(|to| json!({"fallback": {"service": service("name", &to)}}));
        let limit = |limit: Option<Duration>| Some(Value::from(duration::format(limit?)));
        let timeouts = entries([
            ("readiness", limit(route.timeouts.readiness)),
            ("responseHeader", limit(route.timeouts.response_header)),
        ]);
        let rules: Vec<Value> = route.rules.iter().map(rule).collect();
        json!({
            "apiVersion": "http.keda.sh/v1beta1",
            "kind": "InterceptorRoute",
            "metadata": metadata,
            "spec": entries([
                ("target", Some(service("service", &route.target))),
                ("rules", Some(Value::from(rules))),
                ("scalingMetric", Some(scaling_metric(&route.scaling_metric))),
                ("coldStart", fallback),
                ("timeouts", Some(timeouts).filter(|limits| limits != &json!({}))),
            ]),
        })
    }

    fn metadata(&self, meta: ObjectMeta) -> Value {
        let is_default = meta.namespace == DEFAULT_NAMESPACE && self.source.line > 0;
        let strings = |map: BTreeMap<String, String>| (!map.is_empty()).then(|| json!(map));
        entries([
            ("name", Some(Value::from(meta.name))),
            // A file that names none means the same without.
            (
                "namespace",
                (!is_default).then(|| Value::from(meta.namespace)),
            ),
            ("labels", strings(meta.labels)),
            ("annotations", strings(meta.annotations)),
        ])
    }
}

/// A map of those fields that are there.
fn entries<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

fn service(name_field: &str, service: &ServicePort) -> Value {
    let (port_field, port) = match &service.port {
        PortRef::Number(number) => ("port", Value::from(*number)),
        PortRef::Name(name) => ("portName", Value::from(name.as_str())),
    };
    json!({name_field: service.service, port_field: port})
}

fn rule(rule: &RoutingRule) -> Value {
    let paths: Vec<Value> = rule
        .paths
        .iter()
        // An InterceptorRoute has no empty paths; the root matches the same.
        .map(|path| json!({"value": if path.is_empty() { "/" } else { path.as_str() }}))
        .collect();
    let headers: Vec<Value> = rule
        .headers
        .iter()
        .map(|header| {
            let value = header.value.clone().map(Value::from);
            entries([
                ("name", Some(Value::from(header.name.as_str()))),
                ("value", value),
            ])
        })
        .collect();
    let unless_empty = |list: Value| Some(list).filter(|list| list != &json!([]));
    entries([
        ("hosts", unless_empty(json!(rule.hosts))),
        ("paths", unless_empty(Value::from(paths))),
        ("headers", unless_empty(Value::from(headers))),
    ])
}

fn scaling_metric(metric: &ScalingMetric) -> Value {
    let concurrency = metric
        .concurrency
        .map(|target| json!({"targetValue": target}));
    let rate = metric.request_rate.as_ref().map(|rate| {
        json!({
            "targetValue": rate.target_value,
            "window": duration::format(rate.window),
            "granularity": duration::format(rate.granularity),
        })
    });
    entries([("concurrency", concurrency), ("requestRate", rate)])
}
