//! `InterceptorRoute` (http.keda.sh/v1beta1) as the API server checks it.
//!
//! Only the schema comes from here; what a route means is in `manifest`, whose
//! messages these rules share letter by letter.

use super::{
    response::{StaticResponse, StaticRoute},
    routing::RoutingRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests go to a service, what its scaling is measured by, and what
/// happens while it sleeps.
#[derive(Clone, Debug, CustomResource, Deserialize, KubeSchema, Serialize)]
#[kube(
    group = "http.keda.sh",
    version = "v1beta1",
    kind = "InterceptorRoute",
    namespaced,
    status = "InterceptorRouteStatus",
    doc = "InterceptorRoute says which requests go to a service, what its scaling is measured by, and what happens while it sleeps at zero replicas.",
    printcolumn = r#"{"name":"TargetService","type":"string","jsonPath":".spec.target.service"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct InterceptorRouteSpec {
    /// The service that requests go to, and that is scaled.
    pub target: Target,
    /// Which requests; one rule must match. Without rules there is no traffic.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RoutingRule>>,
    /// What scaling is measured by.
    pub scaling_metric: ScalingMetric,
    /// What happens to requests while no replica is ready. Without it they are
    /// held until one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_start: Option<ColdStart>,
    /// Time limits of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Requests that are answered without the target: neither counted, nor do
    /// they wake it. The first one that matches wins.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub static_routes: Option<Vec<StaticRoute>>,
    /// Whether a client stays with one replica. Without it, it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// A Service of the route's namespace and one of its ports.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.port) != has(self.portName)").message("exactly one of 'port' or 'portName' must be set"))]
pub struct Target {
    /// Name of the Service.
    #[schemars(length(min = 1))]
    pub service: String,
    /// Its port by number. Excludes portName.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its port by name. Excludes port.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
}

/// The same, with the name that a fallback gives it.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.port) != has(self.portName)").message("exactly one of 'port' or 'portName' must be set"))]
pub struct FallbackService {
    /// Name of the Service.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its port by number. Excludes portName.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Its port by name. Excludes port.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
}

/// What scaling is measured by; both may be set.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.concurrency) || has(self.requestRate)").message("at least one of 'concurrency' or 'requestRate' must be set"))]
pub struct ScalingMetric {
    /// Requests in flight, held ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<RequestRate>,
}

/// Scaling by requests in flight.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// Requests in flight for each replica.
    #[schemars(range(min = 1))]
    pub target_value: i32,
}

/// Scaling by requests per second.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRate {
    /// Requests per second for each replica.
    #[schemars(range(min = 1))]
    pub target_value: i32,
    /// Time that the rate is averaged over, such as 30s or 1m; at most 1h.
    #[serde(default = "one_minute")]
    pub window: String,
    /// Size of its buckets, in whole seconds.
    #[serde(default = "one_second")]
    pub granularity: String,
}

pub(super) fn one_minute() -> String {
    "1m".to_owned()
}

pub(super) fn one_second() -> String {
    "1s".to_owned()
}

/// What happens to requests while no replica is ready.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.fallback) || has(self.placeholder) || has(self.maxPendingRequests)").message("at least one of 'fallback', 'placeholder' or 'maxPendingRequests' must be set"),
    validation = Rule::new("!has(self.overflow) || self.overflow != 'Placeholder' || has(self.placeholder)").message("'placeholder' must be set when 'overflow' is 'Placeholder'")
)]
pub struct ColdStart {
    /// Serves requests whose wait ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// Answers at once instead of holding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<Placeholder>,
    /// Most requests held for this route by each replica of Reveille.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<i32>,
    /// What a request beyond maxPendingRequests gets: 503, or the placeholder.
    #[serde(default)]
    pub overflow: Overflow,
}

/// Who serves requests whose wait ran out.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Fallback {
    /// A Service of the route's namespace.
    pub service: FallbackService,
}

/// An answer in place of the wait.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Placeholder {
    /// The answer; its status code is 503 unless it says another.
    pub response: StaticResponse,
}

/// What a request beyond `maxPendingRequests` gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum Overflow {
    #[default]
    #[allow(
        missing_docs,
        reason = "a description here would make the enum a oneOf"
    )]
    Reject,
    #[allow(missing_docs, reason = "as above")]
    Placeholder,
}

/// Time limits, such as 500ms, 30s or 1m.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// The whole request, the wait for a replica included; 0s: none. Unset:
    /// as Reveille is configured (--request-timeout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// From the request sent to the head of the answer; 0s: none. Unset: as
    /// Reveille is configured (--response-header-timeout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header: Option<String>,
    /// The wait for a replica; 0s: none of its own, or 30s with a fallback.
    /// Unset: as Reveille is configured (--readiness-timeout).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<String>,
}

/// How a client stays with one replica.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    /// By a cookie.
    #[serde(rename = "type")]
    pub kind: SessionKind,
    /// Greatest age of a session, from 1s. Unset: no limit.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("absoluteTimeout must be at least 1s"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<String>,
    /// The cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// What a session is kept in.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum SessionKind {
    #[allow(
        missing_docs,
        reason = "a description here would make the enum a oneOf"
    )]
    Cookie,
}

/// A session's cookie.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct Cookie {
    /// Its name. Unset: derived from the route.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
}

/// What became of a route.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, Serialize)]
pub struct InterceptorRouteStatus {
    /// Its conditions.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
}
