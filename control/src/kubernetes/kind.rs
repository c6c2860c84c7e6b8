//! The kinds of objects that are read: where the API server has them.

use super::store::Key;

/// Where a kind is, and what of it concerns us.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its name; where one kind is followed for two reasons, what it is for.
    pub(super) name: &'static str,
    /// API group; empty: the core group.
    pub(super) group: &'static str,
    /// Version of the group.
    pub(super) version: &'static str,
    /// Plural, as in paths and permissions.
    pub(super) plural: &'static str,
    /// Only objects with these labels.
    pub(super) labels: Option<&'static str>,
    /// A cluster may do without it.
    pub(super) optional: bool,
    /// Nothing is served before it was read.
    pub(super) awaited: bool,
}

/// Routes.
pub(super) const INTERCEPTOR_ROUTE: Kind = Kind {
    name: "InterceptorRoute",
    group: "http.keda.sh",
    version: "v1beta1",
    plural: "interceptorroutes",
    labels: None,
    optional: false,
    awaited: true,
};

/// Routes of the HTTP add-on's older kind.
pub(super) const HTTP_SCALED_OBJECT: Kind = Kind {
    name: "HTTPScaledObject",
    group: "http.keda.sh",
    version: "v1alpha1",
    plural: "httpscaledobjects",
    labels: None,
    optional: true,
    awaited: true,
};

/// What KEDA scales.
pub(super) const SCALED_OBJECT: Kind = Kind {
    name: "ScaledObject",
    group: "keda.sh",
    version: "v1alpha1",
    plural: "scaledobjects",
    labels: None,
    optional: true,
    awaited: true,
};

/// What routes name.
pub(super) const SERVICE: Kind = Kind {
    name: "Service",
    group: "",
    version: "v1",
    plural: "services",
    labels: None,
    optional: false,
    awaited: true,
};

/// Who serves.
pub(super) const ENDPOINT_SLICE: Kind = Kind {
    name: "EndpointSlice",
    group: "discovery.k8s.io",
    version: "v1",
    plural: "endpointslices",
    labels: Some(super::slice::SERVICE_NAME),
    optional: false,
    awaited: true,
};

/// Bodies of answers.
pub(super) const CONFIG_MAP: Kind = Kind {
    name: "ConfigMap",
    group: "",
    version: "v1",
    plural: "configmaps",
    labels: Some("http.keda.sh/response-body=true"),
    optional: false,
    awaited: true,
};

/// Where sidecars of Dapr are: its injector sets the label.
pub(super) const POD: Kind = Kind {
    name: "Pod",
    group: "",
    version: "v1",
    plural: "pods",
    labels: Some("dapr.io/sidecar-injected=true"),
    optional: false,
    awaited: false,
};

/// Dapr's trust bundle with its issuer: one object, which is asked for by name.
pub(super) const TRUST_BUNDLE_SECRET: Kind = Kind {
    name: "TrustBundleSecret",
    group: "",
    version: "v1",
    plural: "secrets",
    labels: None,
    optional: false,
    awaited: false,
};

/// The root of Dapr's trust bundle, likewise.
pub(super) const TRUST_BUNDLE_CONFIG_MAP: Kind = Kind {
    name: "TrustBundleConfigMap",
    group: "",
    version: "v1",
    plural: "configmaps",
    labels: None,
    optional: false,
    awaited: false,
};

impl Kind {
    /// The path of all its objects, in one namespace or in all.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let (group, version) = (self.group, self.version);
        let mut path = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        if let Some(namespace) = namespace {
            path.push_str("/namespaces/");
            path.push_str(namespace);
        }
        path.push('/');
        path.push_str(self.plural);
        path
    }

    /// The path of one object.
    pub(super) fn path_of(&self, key: &Key) -> String {
        format!("{}/{}", self.path(Some(&key.namespace)), key.name)
    }

    /// As objects name it: `v1`, `keda.sh/v1alpha1`.
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As permissions name it: `services`, `interceptorroutes.http.keda.sh`.
    pub(super) fn resource(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_kinds_are() {
        assert_eq!(SERVICE.path(None), "/api/v1/services");
        assert_eq!(
            INTERCEPTOR_ROUTE.path(Some("shop")),
            "/apis/http.keda.sh/v1beta1/namespaces/shop/interceptorroutes"
        );
        let key = Key::new("shop", "web");
        assert_eq!(
            SCALED_OBJECT.path_of(&key),
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web"
        );
        assert_eq!(SERVICE.api_version(), "v1");
        assert_eq!(SCALED_OBJECT.api_version(), "keda.sh/v1alpha1");
        assert_eq!(SERVICE.resource(), "services");
        assert_eq!(ENDPOINT_SLICE.resource(), "endpointslices.discovery.k8s.io");
    }
}
