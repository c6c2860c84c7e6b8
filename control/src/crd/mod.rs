//! The CustomResourceDefinitions that Reveille and KEDA's HTTP add-on share,
//! generated from the types in this folder.
//!
//! `deploy/crds/` keeps them, `reveille crds` prints those, and a test compares.
//! Field by field they are the add-on's, so that one may replace the other's;
//! they must never refuse an object that the add-on accepts. Only schemas come
//! from here: `manifest` decodes objects, and says what is wrong with them.

#![expect(
    unreachable_pub,
    reason = "KubeSchema writes a copy of each struct into the body of a function"
)]

pub mod http_scaled_object;
pub mod interceptor_route;
pub mod response;
pub mod routing;
#[cfg(test)]
mod tests;

pub use http_scaled_object::HTTPScaledObject;
pub use interceptor_route::InterceptorRoute;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// All of them, in the order in which they are printed.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut all = vec![InterceptorRoute::crd(), HTTPScaledObject::crd()];
    for crd in &mut all {
        for version in &mut crd.spec.versions {
            let schema = version.schema.as_mut();
            if let Some(root) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                require_metadata(root);
                forbid_null(root);
            }
        }
    }
    all
}

/// All of them as YAML documents.
pub const YAML: [&str; 2] = [
    include_str!("../../../deploy/crds/http.keda.sh_interceptorroutes.yaml"),
    include_str!("../../../deploy/crds/http.keda.sh_httpscaledobjects.yaml"),
];

/// An object has metadata, as the add-on's definitions say.
fn require_metadata(root: &mut JSONSchemaProps) {
    let required = root.required.get_or_insert_default();
    if !required.iter().any(|name| name == "metadata") {
        required.insert(0, "metadata".to_owned());
    }
}

/// A field that is null is a field that is not there: the API server drops it
/// before it looks at rules and defaults, as with the add-on's definitions.
fn forbid_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|all| all.values_mut())
    {
        forbid_null(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => forbid_null(items),
        Some(JSONSchemaPropsOrArray::Schemas(all)) => all.iter_mut().for_each(forbid_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forbid_null(values);
    }
}
