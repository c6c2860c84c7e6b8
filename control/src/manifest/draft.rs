//! Decoded objects on their way through the checks between objects.
//!
//! Filled by `kind`, finished by `cross`. A draft still has its tree, so that a check between
//! objects can name the line of a field.

use super::backend::BackendSpec;
use super::config_map::ConfigMapSpec;
use super::http_scaled_object::HttpScaledObjectSpec;
use super::interceptor_route::InterceptorRouteSpec;
use super::kind::Kind;
use super::meta::Object;
use super::metric_source::MetricSourceSpec;
use super::node::Node;
use super::problem::{Problem, Severity};
use super::process::ProcessSpec;
use super::scaled_object::ScaledObjectSpec;

/// All objects of a set of files, each by itself without an error.
#[derive(Default)]
pub(super) struct Drafts {
    /// InterceptorRoutes, and the routes that HTTPScaledObjects stand for (by their kind).
    pub(super) routes: Vec<Draft<InterceptorRouteSpec>>,
    pub(super) http_scaled_objects: Vec<Draft<HttpScaledObjectSpec>>,
    /// As with routes.
    pub(super) scaled_objects: Vec<Draft<ScaledObjectSpec>>,
    pub(super) processes: Vec<Draft<ProcessSpec>>,
    pub(super) backends: Vec<Draft<BackendSpec>>,
    pub(super) config_maps: Vec<Draft<ConfigMapSpec>>,
    pub(super) metric_sources: Vec<Draft<MetricSourceSpec>>,
    /// Namespaces and names of ConfigMaps without the label.
    pub(super) unlabelled: Vec<(String, String)>,
    /// Objects that are left out, so that whoever names one is told so instead of "there is none".
    pub(super) broken: Vec<Broken>,
    pub(super) problems: Vec<Problem>,
}

/// An object and the tree it was decoded from.
pub(super) struct Draft<S> {
    pub(super) kind: Kind,
    pub(super) object: Object<S>,
    pub(super) root: Node,
}

/// What is known of an object that is left out.
pub(super) struct Broken {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    /// `spec.scaleTargetRef.name`, if it has one.
    pub(super) scales: Option<String>,
}

impl<S> Draft<S> {
    /// Namespace and name.
    pub(super) fn id(&self) -> (&str, &str) {
        (&self.object.meta.namespace, &self.object.meta.name)
    }

    pub(super) fn namespace(&self) -> &str {
        &self.object.meta.namespace
    }

    /// Kind, namespace and name, as in problems.
    pub(super) fn label(&self) -> String {
        let (namespace, name) = self.id();
        format!("{} {namespace}/{name}", self.kind)
    }

    /// File and line, as in problems.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.object.source.file, self.object.source.line)
    }

    pub(super) fn error(&self, path: &str, message: String) -> Problem {
        self.problem(Severity::Error, path, message)
    }

    pub(super) fn warning(&self, path: &str, message: String) -> Problem {
        self.problem(Severity::Warning, path, message)
    }

    /// This object as one that is left out.
    pub(super) fn broken(&self) -> Broken {
        let scales = self
            .root
            .at(&["spec", "scaleTargetRef", "name"])
            .and_then(Node::as_str);
        Broken {
            kind: self.kind,
            namespace: self.object.meta.namespace.clone(),
            name: self.object.meta.name.clone(),
            scales: scales.map(str::to_owned),
        }
    }

    fn problem(&self, severity: Severity, path: &str, message: String) -> Problem {
        Problem {
            file: self.object.source.file.to_string(),
            line: self.root.line_of(path),
            object: Some(self.label()),
            path: path.to_owned(),
            severity,
            message,
        }
    }
}
