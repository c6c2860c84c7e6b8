//! Which requests: rules of hosts, paths and headers.
//!
//! Schemas of `interceptor_route`, and headers of `http_scaled_object`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule: one of its hosts, one of its paths, and all of its headers.
#[derive(Clone, Debug, Deserialize, KubeSchema, Serialize)]
pub struct RoutingRule {
    /// Hosts: exact, "*.suffix" of any depth, or "*" for all. Exact ones win,
    /// then the longest suffix. Unset: all.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// Prefixes of the path, by whole segments; the longest wins. Unset: all.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<PathMatch>>,
    /// Headers that all must be there.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<HeaderMatch>>,
}

/// A path.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct PathMatch {
    /// Prefix of the path, by whole segments.
    #[schemars(length(min = 1))]
    pub value: String,
}

/// A header.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
pub struct HeaderMatch {
    /// Its name; case does not matter.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its exact value. Unset: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}
