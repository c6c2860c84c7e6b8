//! Manifests: YAML files with routes, ScaledObjects and local workloads, read and validated.
//!
//! [`load`] is for files, [`parse`] for built-in examples. Both give every object without an error
//! and every problem with its line, so that one bad object costs only itself. The typed objects are
//! decoded from a neutral tree ([`node::Node`]) that API objects can become as well.
//!
//! The way of a document: `yaml` (text to tree) → `kind` (which object) → the object's own file
//! (tree to type, through the cursors of `decode`) → `cross` (checks between objects).
//!
//! Nothing here looks at the machine beyond the manifest files, starts anything, or changes what the
//! user wrote (hosts and paths stay as written; routing normalises them).

pub mod api;
pub mod decode;
pub mod duration;
pub mod node;
pub mod report;

mod annotation;
mod app_protocol;
mod backend;
mod behavior;
mod body_file;
mod config_map;
mod cross;
mod derived;
mod draft;
mod files;
mod hint;
pub(crate) mod host;
mod http_scaled_object;
mod interceptor_route;
mod kind;
mod load;
mod meta;
mod metric_source;
mod names;
pub mod overlap;
mod path;
mod problem;
mod process;
mod resiliency;
mod response;
mod rule;
mod scalar;
mod scaled_object;
mod scaling_metric;
mod timestamp;
mod tree;
mod trigger;
mod yaml;

#[cfg(test)]
mod tests;

pub use annotation::{ENDPOINTS, MAX_CONCURRENCY_PER_REPLICA, PROBE_NOT_READY, Via, is_ours};
pub use app_protocol::AppProtocol;
pub use backend::BackendSpec;
pub use body_file::FileBody;
pub use config_map::{ConfigMapSpec, RESPONSE_BODY_LABEL};
pub use files::Files;
pub use hint::nearest;
pub use http_scaled_object::{AuthenticationRef, HttpScaledObjectSpec, ScalerRef};
pub use interceptor_route::{
    ColdStart, InterceptorRouteSpec, Overflow, PortRef, ServicePort, SessionPersistence, Timeouts,
};
pub use load::{load, parse};
pub use meta::{DEFAULT_NAMESPACE, Object, ObjectMeta, Source};
pub use metric_source::{FETCH_INTERVALS, MetricSourceSpec, MetricTargets};
pub use problem::{Problem, Severity};
pub use process::{ProcessSpec, Readiness};
pub use response::{ConfigMapRef, ResponseMode, StaticResponse, StaticRoute};
pub use rule::{HeaderMatch, RoutingRule};
pub use scaled_object::{ScaleTargetRef, ScaledObjectSpec};
pub use scaling_metric::{RequestRate, ScalingMetric};
pub use trigger::{Trigger, TriggerKind};

/// Every sound object of a set of manifests, and every problem found in them.
///
/// Objects are in the order of files and documents; problems in the order of file names and lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests {
    /// Routes, each with an existing target.
    pub routes: Vec<Object<InterceptorRouteSpec>>,
    /// HTTPScaledObjects, each a route with an existing target unless a route has its name.
    pub http_scaled_objects: Vec<Object<HttpScaledObjectSpec>>,
    /// ScaledObjects, each of another Process that exists; also those that HTTPScaledObjects stand
    /// for.
    pub scaled_objects: Vec<Object<ScaledObjectSpec>>,
    /// Local workloads.
    pub processes: Vec<Object<ProcessSpec>>,
    /// Local addresses that are always there.
    pub backends: Vec<Object<BackendSpec>>,
    /// ConfigMaps with bodies of answers.
    pub config_maps: Vec<Object<ConfigMapSpec>>,
    /// Pages of metrics that are fetched.
    pub metric_sources: Vec<Object<MetricSourceSpec>>,
    /// Errors (their objects are left out) and warnings.
    pub problems: Vec<Problem>,
}

impl Manifests {
    /// Nothing to route and nothing to scale: whoever runs it would wait for ever.
    #[must_use]
    pub fn do_nothing(&self) -> bool {
        self.routes.is_empty()
            && self.http_scaled_objects.is_empty()
            && self.scaled_objects.is_empty()
    }
}
