//! Kubernetes objects, read strictly: by their types in k8s-openapi, which are
//! made from the API server's own description. A field that the type does not
//! know is an error.

use control::crd::{HTTPScaledObject, InterceptorRoute};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Kinds that others define; what is checked of them is elsewhere: by
/// `reveille check`, or by their tests.
const OF_OTHERS: [(&str, &str); 8] = [
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("keda.sh/v1alpha1", "TriggerAuthentication"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
    ("local.reveille.dev/v1alpha1", "Process"),
];

/// One document.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// All of it.
    pub(crate) value: Value,
}

impl Object {
    /// All documents of a text.
    ///
    /// # Panics
    /// On what is no YAML, no known kind, or has a field that its kind lacks.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"));
        let found = documents.into_iter().filter(|value| !value.is_null());
        found.map(Self::read).collect()
    }

    fn read(value: Value) -> Self {
        let text = |pointer: &str| match value.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            other => panic!("{pointer} is {other:?} in {value:#}"),
        };
        let (api, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let what = format!("{kind} {name}");
        match (api.as_str(), kind.as_str()) {
            ("v1", "ConfigMap") => strictly::<ConfigMap>(&value, &what),
            ("v1", "Namespace") => strictly::<Namespace>(&value, &what),
            ("v1", "Service") => strictly::<Service>(&value, &what),
            ("v1", "ServiceAccount") => strictly::<ServiceAccount>(&value, &what),
            ("apps/v1", "Deployment") => strictly::<Deployment>(&value, &what),
            ("networking.k8s.io/v1", "Ingress") => strictly::<Ingress>(&value, &what),
            ("networking.k8s.io/v1", "NetworkPolicy") => strictly::<NetworkPolicy>(&value, &what),
            ("policy/v1", "PodDisruptionBudget") => strictly::<PodDisruptionBudget>(&value, &what),
            ("rbac.authorization.k8s.io/v1", "ClusterRole") => {
                strictly::<ClusterRole>(&value, &what);
            }
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
                strictly::<ClusterRoleBinding>(&value, &what);
            }
            ("rbac.authorization.k8s.io/v1", "Role") => strictly::<Role>(&value, &what),
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => {
                strictly::<RoleBinding>(&value, &what);
            }
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
                strictly::<CustomResourceDefinition>(&value, &what);
            }
            ("http.keda.sh/v1beta1", "InterceptorRoute") => {
                strictly::<InterceptorRoute>(&value, &what);
            }
            ("http.keda.sh/v1alpha1", "HTTPScaledObject") => {
                strictly::<HTTPScaledObject>(&value, &what);
            }
            other => assert!(OF_OTHERS.contains(&other), "{what}: nobody knows {other:?}"),
        }
        Self { kind, name, value }
    }

    /// What is at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        let found = self.value.pointer(pointer);
        found.unwrap_or_else(|| panic!("no {pointer} in {} {}", self.kind, self.name))
    }

    /// The text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let value = self.at(pointer);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{pointer}: {value}"))
    }

    /// The list at a JSON pointer; empty if there is none.
    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        let found = self.value.pointer(pointer).and_then(Value::as_array);
        found.map_or(&[], Vec::as_slice)
    }
}

/// The object of that kind and name.
pub(crate) fn one<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let mut found = objects.iter().filter(|o| o.kind == kind && o.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no {kind} {name}"));
    assert!(found.next().is_none(), "{kind} {name} twice");
    first
}

/// Decodes by the type, and finds everything again in what the type writes.
fn strictly<T: DeserializeOwned + Serialize>(value: &Value, what: &str) {
    let typed: T = serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{what}: {error} in {value:#}"));
    let back = serde_json::to_value(&typed).expect("JSON");
    if let Some(path) = lost(value, &back) {
        panic!("{what}: its type knows no {path}");
    }
}

/// The first path of a value that is not in another.
fn lost(wanted: &Value, got: &Value) -> Option<String> {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => wanted.iter().find_map(|(name, value)| {
            let inner = match got.get(name) {
                Some(got) => lost(value, got)?,
                None => String::new(),
            };
            Some(format!("/{name}{inner}"))
        }),
        (Value::Array(wanted), Value::Array(got)) => {
            let pairs = wanted.iter().zip(got).enumerate();
            let mut inner = pairs
                .filter_map(|(at, (wanted, got))| Some(format!("/{at}{}", lost(wanted, got)?)));
            inner
                .next()
                .or_else(|| (wanted.len() != got.len()).then(String::new))
        }
        // A whole number comes back as a floating one where the type has those.
        (Value::Number(wanted), Value::Number(got)) => {
            (wanted.as_f64() != got.as_f64()).then(String::new)
        }
        (wanted, got) => (wanted != got).then(String::new),
    }
}

#[test]
fn a_field_that_the_type_lacks_is_found() {
    let object =
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1, prot: x}]}";
    let failed = std::panic::catch_unwind(|| Object::all(object)).expect_err("it is refused");
    let message = failed.downcast_ref::<String>().expect("a message");
    assert_eq!(message, "Service a: its type knows no /spec/ports/0/prot");
}
