//! `HTTPScaledObject` (http.keda.sh/v1alpha1), the HTTP add-on's older kind, as
//! the API server checks it.
//!
//! Only the schema comes from here. It must accept every object that is stored
//! in a cluster of the add-on, with a status of any age.

use super::{
    interceptor_route::{one_minute, one_second},
    routing::HeaderMatch,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests go to a service and scale its workload: a route and its
/// ScaledObject in one.
#[derive(Clone, Debug, CustomResource, Deserialize, KubeSchema, Serialize)]
#[kube(
    group = "http.keda.sh",
    version = "v1alpha1",
    kind = "HTTPScaledObject",
    namespaced,
    shortname = "httpso",
    status = "HTTPScaledObjectStatus",
    doc = "HTTPScaledObject is the HTTP add-on's older kind: a route and its ScaledObject in one. New ones are better written as an InterceptorRoute and a ScaledObject.",
    printcolumn = r#"{"name":"TargetWorkload","type":"string","jsonPath":".status.targetWorkload"}"#,
    printcolumn = r#"{"name":"TargetService","type":"string","jsonPath":".status.targetService"}"#,
    printcolumn = r#"{"name":"MinReplicas","type":"integer","jsonPath":".spec.replicas.min"}"#,
    printcolumn = r#"{"name":"MaxReplicas","type":"integer","jsonPath":".spec.replicas.max"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HTTPScaledObjectSpec {
    /// Hosts, as in an InterceptorRoute's rule. Unset: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Prefixes of the path, by whole segments. Unset: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefixes: Option<Vec<String>>,
    /// Headers that all must be there.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<HeaderMatch>>,
    /// What is scaled, and the Service that requests go to.
    pub scale_target_ref: ScaleTargetRef,
    /// Who serves requests whose wait ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_start_timeout_failover_ref: Option<FailoverRef>,
    /// How many replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Requests in flight for each replica (100). Deprecated: scalingMetric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_pending_requests: Option<i32>,
    /// The ScaledObject's cooldownPeriod, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaledown_period: Option<i32>,
    /// The ScaledObject's initialCooldownPeriod, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_cooldown_period: Option<i32>,
    /// What scaling is measured by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_metric: Option<LegacyScalingMetric>,
    /// Time limits of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<LegacyTimeouts>,
}

/// What is scaled, and the Service that requests go to.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.portName) != has(self.port)").message("must define either the 'portName' or the 'port'"))]
pub struct ScaleTargetRef {
    /// Name of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its apiVersion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the Service.
    pub service: String,
    /// Its port by number. Excludes portName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its port by name. Excludes port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
}

/// Who serves requests whose wait ran out.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.portName) != has(self.port)").message("must define either the 'portName' or the 'port'"))]
pub struct FailoverRef {
    /// Name of the Service.
    pub service: String,
    /// Its port by number. Excludes portName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its port by name. Excludes port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
    /// How long a request waits before it goes there.
    #[serde(default = "half_a_minute")]
    pub timeout_seconds: i32,
}

fn half_a_minute() -> i32 {
    30
}

/// How many replicas.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Replicas {
    /// At least (0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// At most (100).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
}

/// What scaling is measured by; one of the two.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyScalingMetric {
    /// Requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<LegacyConcurrency>,
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<LegacyRequestRate>,
}

/// Scaling by requests in flight.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyConcurrency {
    /// Requests in flight for each replica.
    #[serde(default = "one_hundred")]
    pub target_value: i32,
}

/// Scaling by requests per second.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyRequestRate {
    /// Requests per second for each replica.
    #[serde(default = "one_hundred")]
    pub target_value: i32,
    /// Time that the rate is averaged over.
    #[serde(default = "one_minute")]
    pub window: String,
    /// Size of its buckets.
    #[serde(default = "one_second")]
    pub granularity: String,
}

fn one_hundred() -> i32 {
    100
}

/// Time limits; 0 is as Reveille is configured.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyTimeouts {
    /// The wait for a replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition_wait: Option<String>,
    /// From the request sent to the head of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header: Option<String>,
}

/// What became of an object.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HTTPScaledObjectStatus {
    /// The workload, as apiVersion/kind/name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_workload: Option<String>,
    /// The Service, as name:port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_service: Option<String>,
    /// Its conditions.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<LegacyCondition>>,
}

/// A condition, of any version of the add-on: only what all of them wrote is
/// required.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyCondition {
    /// Which condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the status changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// The generation of the object that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it was written, by old versions of the add-on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}
