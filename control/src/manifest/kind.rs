//! From a document to an object: which kind it is, and who decodes it.
//!
//! Called by `load` for every document. It must never drop an object without a word: what is not
//! decoded here is named in a problem.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::annotation;
use super::backend::BackendSpec;
use super::config_map::{self, ConfigMapSpec};
use super::decode::Field;
use super::draft::{Broken, Draft, Drafts};
use super::http_scaled_object::HttpScaledObjectSpec;
use super::interceptor_route::InterceptorRouteSpec;
use super::meta::{DEFAULT_NAMESPACE, Object, ObjectMeta, Source};
use super::metric_source::MetricSourceSpec;
use super::names;
use super::node::{Node, Value};
use super::process::ProcessSpec;
use super::report::{Report, Scope};
use super::resiliency;
use super::scaled_object::ScaledObjectSpec;
use super::yaml::Document;

/// The kinds that local mode reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    InterceptorRoute,
    HttpScaledObject,
    ScaledObject,
    Process,
    Backend,
    ConfigMap,
    MetricSource,
    Resiliency,
}

const KINDS: [Kind; 8] = [
    Kind::InterceptorRoute,
    Kind::HttpScaledObject,
    Kind::ScaledObject,
    Kind::Process,
    Kind::Backend,
    Kind::ConfigMap,
    Kind::MetricSource,
    Kind::Resiliency,
];

const UNDERSTOOD: &str = "InterceptorRoute (http.keda.sh/v1beta1), HTTPScaledObject \
    (http.keda.sh/v1alpha1), ScaledObject (keda.sh/v1alpha1), Process, Backend and \
    MetricSource (local.reveille.dev/v1alpha1), ConfigMap (v1), Resiliency (dapr.io/v1alpha1)";

/// Kinds that stand in the same files for a cluster and mean nothing here.
const OF_A_CLUSTER: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTriggerAuthentication",
    "Component",
    "Configuration",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "Endpoints",
    "Gateway",
    "GatewayClass",
    "GRPCRoute",
    "HorizontalPodAutoscaler",
    "HTTPEndpoint",
    "HTTPRoute",
    "Ingress",
    "IngressClass",
    "Job",
    "Kustomization",
    "LimitRange",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReferenceGrant",
    "ReplicaSet",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "ScaledJob",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "StatefulSet",
    "Subscription",
    "TriggerAuthentication",
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InterceptorRoute => "InterceptorRoute",
            Self::HttpScaledObject => "HTTPScaledObject",
            Self::ScaledObject => "ScaledObject",
            Self::Process => "Process",
            Self::Backend => "Backend",
            Self::ConfigMap => "ConfigMap",
            Self::MetricSource => "MetricSource",
            Self::Resiliency => "Resiliency",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::InterceptorRoute => "http.keda.sh/v1beta1",
            Self::HttpScaledObject => "http.keda.sh/v1alpha1",
            Self::ScaledObject => "keda.sh/v1alpha1",
            Self::Process | Self::Backend | Self::MetricSource => "local.reveille.dev/v1alpha1",
            Self::ConfigMap => "v1",
            Self::Resiliency => "dapr.io/v1alpha1",
        }
    }

    fn max_name(self) -> usize {
        match self {
            Self::ScaledObject => names::MAX_LABEL,
            _ => names::MAX_SUBDOMAIN,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes one document into `drafts`. `base_dir` is the folder of the file.
pub(super) fn read(document: Document, file: &Arc<str>, base_dir: &Path, drafts: &mut Drafts) {
    let Document { root, flaws } = document;
    if root.value == Value::Null && flaws.is_empty() {
        return;
    }
    let report = Report::new(Arc::clone(file), Scope::Local).with_base_dir(base_dir);
    if let Some(label) = label(&root) {
        report.set_object(label);
    }
    for flaw in flaws {
        report.error(flaw.line, &flaw.path, flaw.message);
    }
    let kind = kind_of(&root, &report);
    if let Some(kind) = kind {
        decode(kind, root, &report, file, base_dir, drafts);
    }
    drafts.problems.extend(report.into_problems());
}

fn decode(
    kind: Kind,
    root: Node,
    report: &Report,
    file: &Arc<str>,
    base_dir: &Path,
    drafts: &mut Drafts,
) {
    let source = Source {
        file: Arc::clone(file),
        line: root.line,
    };
    let decoded = match kind {
        Kind::InterceptorRoute => {
            object(kind, &root, report, source, InterceptorRouteSpec::decode).map(Decoded::Route)
        }
        Kind::HttpScaledObject => {
            object(kind, &root, report, source, HttpScaledObjectSpec::decode).map(Decoded::Http)
        }
        Kind::ScaledObject => {
            object(kind, &root, report, source, ScaledObjectSpec::decode).map(Decoded::Scaled)
        }
        Kind::Process => {
            let spec = |field: &Field<'_>| ProcessSpec::decode(field, base_dir);
            object(kind, &root, report, source, spec).map(Decoded::Process)
        }
        Kind::Backend => {
            let spec = |field: &Field<'_>| BackendSpec::decode(field, base_dir);
            object(kind, &root, report, source, spec).map(Decoded::Backend)
        }
        Kind::MetricSource => {
            let spec = |field: &Field<'_>| MetricSourceSpec::decode(field, base_dir);
            object(kind, &root, report, source, spec).map(Decoded::MetricSource)
        }
        Kind::ConfigMap => match config_map(&root, report, source) {
            Some(ConfigMap::WithBodies(object)) => Some(Decoded::ConfigMap(object)),
            Some(ConfigMap::Other(meta)) => {
                drafts.unlabelled.push((meta.namespace, meta.name));
                return;
            }
            None => None,
        },
        Kind::Resiliency => {
            // Dapr's: it may be here for its warnings, and is nothing to us.
            resiliency::check(&Field::root(&root, report));
            return;
        }
    };
    match decoded {
        Some(Decoded::Route(object)) => drafts.routes.push(Draft { kind, object, root }),
        Some(Decoded::Http(object)) => {
            drafts
                .http_scaled_objects
                .push(Draft { kind, object, root });
        }
        Some(Decoded::Scaled(object)) => drafts.scaled_objects.push(Draft { kind, object, root }),
        Some(Decoded::Process(object)) => drafts.processes.push(Draft { kind, object, root }),
        Some(Decoded::Backend(object)) => drafts.backends.push(Draft { kind, object, root }),
        Some(Decoded::ConfigMap(object)) => drafts.config_maps.push(Draft { kind, object, root }),
        Some(Decoded::MetricSource(object)) => {
            drafts.metric_sources.push(Draft { kind, object, root });
        }
        None => {
            if let Some(name) = text(&root, &["metadata", "name"]) {
                let namespace = namespace(&root).to_owned();
                let scales = text(&root, &["spec", "scaleTargetRef", "name"]).map(str::to_owned);
                drafts.broken.push(Broken {
                    kind,
                    namespace,
                    name: name.to_owned(),
                    scales,
                });
            }
        }
    }
}

enum Decoded {
    Route(Object<InterceptorRouteSpec>),
    Http(Object<HttpScaledObjectSpec>),
    Scaled(Object<ScaledObjectSpec>),
    Process(Object<ProcessSpec>),
    Backend(Object<BackendSpec>),
    ConfigMap(Object<ConfigMapSpec>),
    MetricSource(Object<MetricSourceSpec>),
}

pub(super) enum ConfigMap {
    WithBodies(Object<ConfigMapSpec>),
    /// Somebody else's.
    Other(ObjectMeta),
}

/// A ConfigMap, which has no spec.
pub(super) fn config_map(root: &Node, report: &Report, source: Source) -> Option<ConfigMap> {
    let fields = Field::root(root, report).map()?;
    fields.ignore(&["apiVersion", "immutable"]);
    let meta = fields
        .required("metadata")
        .and_then(|field| ObjectMeta::decode(&field, Kind::ConfigMap.max_name()));
    let (data, binary) = (fields.optional("data"), fields.optional("binaryData"));
    let kind = fields.optional("kind");
    let meta = meta?;
    if !config_map::is_labelled(&meta) {
        if let Some(kind) = kind {
            kind.warning("ConfigMap is ignored in local mode");
        }
        return Some(ConfigMap::Other(meta));
    }
    fields.finish();
    let spec = ConfigMapSpec::decode(data.as_ref(), binary.as_ref());
    let object = Object { meta, spec, source };
    (!report.failed()).then_some(ConfigMap::WithBodies(object))
}

/// The object, unless anything in it is an error.
pub(super) fn object<S>(
    kind: Kind,
    root: &Node,
    report: &Report,
    source: Source,
    spec: impl FnOnce(&Field<'_>) -> Option<S>,
) -> Option<Object<S>> {
    let fields = Field::root(root, report).map()?;
    fields.ignore(&["apiVersion", "kind", "status"]);
    let metadata = fields.required("metadata");
    let meta = metadata
        .as_ref()
        .and_then(|field| ObjectMeta::decode(field, kind.max_name()));
    match (kind, &metadata, report.failed()) {
        (Kind::ScaledObject, Some(metadata), false) => {
            ScaledObjectSpec::check_annotations(metadata);
        }
        (Kind::InterceptorRoute | Kind::HttpScaledObject, Some(metadata), false) => {
            annotation::check_route(metadata);
        }
        _ => {}
    }
    let spec = fields.required("spec").and_then(|field| spec(&field));
    fields.finish();
    let object = Object {
        meta: meta?,
        spec: spec?,
        source,
    };
    (!report.failed()).then_some(object)
}

/// The kind of a document, or a problem and `None`.
fn kind_of(root: &Node, report: &Report) -> Option<Kind> {
    let fields = Field::root(root, report).map()?;
    let api_field = fields.required("apiVersion");
    let kind_field = fields.required("kind");
    let api = api_field.and_then(|field| field.non_empty());
    let kind_field = kind_field?;
    let name = kind_field.non_empty()?;
    let api = api?;
    if let Some(kind) = KINDS.into_iter().find(|kind| kind.name() == name) {
        if kind.api_version() == api {
            return Some(kind);
        }
        let right = kind.api_version();
        report.error(
            root.line_of("apiVersion"),
            "apiVersion",
            format!("must be {right} for kind {kind}, not {api}"),
        );
    } else if OF_A_CLUSTER.contains(&name) {
        kind_field.warning(format!("{name} is ignored in local mode"));
    } else if name == "List" {
        kind_field.error("a List is not read: write its items as documents separated by ---");
    } else {
        kind_field.error(format!(
            "{name} ({api}) is not understood; known here: {UNDERSTOOD}"
        ));
    }
    None
}

/// How the object is called in problems, as far as it says it.
fn label(root: &Node) -> Option<String> {
    let kind = text(root, &["kind"])?;
    Some(match text(root, &["metadata", "name"]) {
        Some(name) => format!("{kind} {}/{name}", namespace(root)),
        None => kind.to_owned(),
    })
}

fn namespace(root: &Node) -> &str {
    text(root, &["metadata", "namespace"]).unwrap_or(DEFAULT_NAMESPACE)
}

fn text<'a>(root: &'a Node, path: &[&str]) -> Option<&'a str> {
    root.at(path)
        .and_then(Node::as_str)
        .filter(|text| !text.is_empty() && text.len() <= 253)
}
