//! Answers that are written in an object.
//!
//! Schemas of `interceptor_route`: placeholders and static routes.

use super::routing::RoutingRule;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests that are answered without the target.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticRoute {
    /// Which requests; one rule must match, and {} matches all.
    #[schemars(length(min = 1))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub rules: Vec<RoutingRule>,
    /// The answer; its status code is 200 unless it says another.
    pub response: StaticResponse,
    /// Always, or only while no replica is ready.
    #[serde(default)]
    pub response_mode: ResponseMode,
}

/// When a static route answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
pub enum ResponseMode {
    #[allow(
        missing_docs,
        reason = "a description here would make the enum a oneOf"
    )]
    Always,
    #[default]
    #[allow(missing_docs, reason = "as above")]
    WhenUnavailable,
}

/// An answer that needs no replica.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.body) && has(self.bodyFromConfigMap))").message("at most one of 'body' or 'bodyFromConfigMap' may be set"))]
pub struct StaticResponse {
    /// Status code.
    #[schemars(range(min = 100, max = 599))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i32>,
    /// The body. Excludes bodyFromConfigMap.
    #[schemars(length(max = 32768))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Where the body is: a ConfigMap of the route's namespace with the label
    /// http.keda.sh/response-body: "true". Excludes body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_from_config_map: Option<ConfigMapKey>,
    /// Headers by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
}

/// A ConfigMap and one of its keys.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The key. Unset: the path of the request without its first slash,
    /// index.html for /.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
