//! The objects of the cluster, as an API server sends them: with all that a
//! `kubectl apply` and the controllers leave in them.
//!
//! Written from numbers, so that nothing but their state needs to be kept.

use std::net::Ipv4Addr;

/// Namespaces that the Services are spread over.
const NAMESPACES: usize = 50;

/// How large the cluster is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) routes: usize,
    pub(crate) services: usize,
    /// Of each Service.
    pub(crate) pods: usize,
    /// Where each Pod listens.
    pub(crate) port: u16,
}

/// The host of a route.
pub(crate) fn host(route: usize) -> String {
    format!("route-{route}.apps.example.test")
}

/// Where a Pod is: all on the loopback network.
pub(crate) fn pod_address(pod: usize) -> Ipv4Addr {
    let octet = |number: usize| u8::try_from(number % 250).unwrap_or_default() + 1;
    let high = u8::try_from(pod / (250 * 250)).unwrap_or_default();
    Ipv4Addr::new(127, 10 + high, octet(pod / 250), octet(pod))
}

pub(crate) fn route_name(route: usize) -> String {
    format!("route-{route}")
}

fn service_name(service: usize) -> String {
    format!("web-{service}")
}

impl World {
    fn service_of(self, route: usize) -> usize {
        route % self.services
    }

    pub(crate) fn namespace(service: usize) -> String {
        format!("team-{}", service % NAMESPACES)
    }

    /// The namespace of a route.
    pub(crate) fn namespace_of(self, route: usize) -> String {
        Self::namespace(self.service_of(route))
    }

    /// The Service of a route.
    pub(crate) fn target_of(self, route: usize) -> usize {
        self.service_of(route)
    }

    /// An InterceptorRoute; `status` is what was written into it.
    pub(crate) fn route(self, route: usize, version: u64, status: Option<&str>) -> String {
        let service = self.service_of(route);
        let (name, target, host) = (route_name(route), service_name(service), host(route));
        let namespace = Self::namespace(service);
        let spec = format!(
            r#"{{"target":{{"service":"{target}","port":80}},"rules":[{{"hosts":["{host}"],"paths":[{{"value":"/"}}]}}],"scalingMetric":{{"concurrency":{{"targetValue":100}}}},"timeouts":{{"request":"60s","readiness":"30s"}}}}"#
        );
        let meta = meta(
            "http.keda.sh/v1beta1",
            "InterceptorRoute",
            &namespace,
            &name,
            version,
            &spec,
            &["f:rules", "f:scalingMetric", "f:target", "f:timeouts"],
        );
        let status = status
            .map(|status| format!(r#","status":{status}"#))
            .unwrap_or_default();
        format!(
            r#"{{"apiVersion":"http.keda.sh/v1beta1","kind":"InterceptorRoute",{meta},"spec":{spec}{status}}}"#
        )
    }

    pub(crate) fn service(self, service: usize, version: u64) -> String {
        let (name, namespace) = (service_name(service), Self::namespace(service));
        let spec = format!(
            r#"{{"clusterIP":"10.96.{}.{}","clusterIPs":["10.96.{0}.{1}"],"internalTrafficPolicy":"Cluster","ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","ports":[{{"name":"http","port":80,"protocol":"TCP","targetPort":"http"}},{{"name":"metrics","port":9090,"protocol":"TCP","targetPort":"metrics"}}],"selector":{{"app.kubernetes.io/name":"{name}"}},"sessionAffinity":"None","type":"ClusterIP"}}"#,
            service / 250,
            service % 250
        );
        let meta = meta(
            "v1",
            "Service",
            &namespace,
            &name,
            version,
            &spec,
            &["f:ports", "f:selector", "f:type"],
        );
        format!(r#"{{{meta},"spec":{spec},"status":{{"loadBalancer":{{}}}}}}"#)
    }

    /// The EndpointSlice of a Service; `is_ready` says whether its last Pod is.
    pub(crate) fn slice(self, service: usize, version: u64, is_ready: bool) -> String {
        let (name, namespace) = (service_name(service), Self::namespace(service));
        let endpoint = |pod: usize| {
            let ready = is_ready || pod + 1 < self.pods;
            let address = pod_address(service * self.pods + pod);
            format!(
                r#"{{"addresses":["{address}"],"conditions":{{"ready":{ready},"serving":{ready},"terminating":false}},"nodeName":"node-{}","targetRef":{{"kind":"Pod","name":"{name}-7d9c5f7b6-{pod:05}","namespace":"{namespace}","uid":"00000000-0000-4000-8000-{service:06}{pod:06}"}},"zone":"zone-{}"}}"#,
                pod % 20,
                pod % 3
            )
        };
        let endpoints: Vec<String> = (0..self.pods).map(endpoint).collect();
        format!(
            r#"{{"addressType":"IPv4","endpoints":[{}],"metadata":{{"annotations":{{"endpoints.kubernetes.io/last-change-trigger-time":"2026-01-01T00:00:00Z"}},"creationTimestamp":"2026-01-01T00:00:00Z","generateName":"{name}-","generation":3,"labels":{{"app.kubernetes.io/name":"{name}","endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io","kubernetes.io/service-name":"{name}"}},"managedFields":[{}],"name":"{name}-x7k2p","namespace":"{namespace}","ownerReferences":[{{"apiVersion":"v1","blockOwnerDeletion":true,"controller":true,"kind":"Service","name":"{name}","uid":"00000000-0000-4000-9000-{service:012}"}}],"resourceVersion":"{version}","uid":"00000000-0000-4000-a000-{service:012}"}},"ports":[{{"name":"http","port":{},"protocol":"TCP"}},{{"name":"metrics","port":9090,"protocol":"TCP"}}]}}"#,
            endpoints.join(","),
            managed(
                "kube-controller-manager",
                "discovery.k8s.io/v1",
                &["f:addressType", "f:endpoints", "f:ports"]
            ),
            self.port
        )
    }

    /// The ScaledObject of a Service: a trigger for each of its routes.
    pub(crate) fn scaled_object(self, service: usize, version: u64) -> String {
        let (name, namespace) = (service_name(service), Self::namespace(service));
        let routes = (service..self.routes).step_by(self.services);
        let trigger = |route: usize| {
            format!(
                r#"{{"type":"external-push","metadata":{{"scalerAddress":"reveille-scaler.keda:9090","interceptorRoute":"{}"}}}}"#,
                route_name(route)
            )
        };
        let triggers: Vec<String> = routes.map(trigger).collect();
        let spec = format!(
            r#"{{"scaleTargetRef":{{"name":"{name}"}},"minReplicaCount":0,"maxReplicaCount":20,"cooldownPeriod":300,"triggers":[{}]}}"#,
            triggers.join(",")
        );
        let meta = meta(
            "keda.sh/v1alpha1",
            "ScaledObject",
            &namespace,
            &name,
            version,
            &spec,
            &["f:scaleTargetRef", "f:triggers"],
        );
        format!(
            r#"{{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject",{meta},"spec":{spec},"status":{{"conditions":[{{"message":"ScaledObject is defined correctly and is ready for scaling","reason":"ScaledObjectReady","status":"True","type":"Ready"}},{{"message":"Scaling is not performed because triggers are not active","reason":"ScalerNotActive","status":"False","type":"Active"}}],"hpaName":"keda-hpa-{name}","originalReplicaCount":1,"scaleTargetKind":"apps/v1.Deployment"}}}}"#
        )
    }
}

/// The metadata of an object that was applied by kubectl.
fn meta(
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    version: u64,
    spec: &str,
    fields: &[&str],
) -> String {
    let applied = format!(
        r#"{{"apiVersion":"{api_version}","kind":"{kind}","metadata":{{"annotations":{{}},"labels":{{"app.kubernetes.io/managed-by":"argocd","app.kubernetes.io/name":"{name}"}},"name":"{name}","namespace":"{namespace}"}},"spec":{spec}}}"#
    );
    let applied = serde_json::Value::String(applied);
    format!(
        r#""metadata":{{"annotations":{{"kubectl.kubernetes.io/last-applied-configuration":{applied}}},"creationTimestamp":"2026-01-01T00:00:00Z","generation":1,"labels":{{"app.kubernetes.io/managed-by":"argocd","app.kubernetes.io/name":"{name}"}},"managedFields":[{}],"name":"{name}","namespace":"{namespace}","resourceVersion":"{version}","uid":"00000000-0000-4000-b000-{:012}"}}"#,
        managed("kubectl-client-side-apply", api_version, fields),
        name.len() + version as usize
    )
}

/// What a server notes of who wrote which field.
fn managed(manager: &str, api_version: &str, fields: &[&str]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| format!(r#""{field}":{{}}"#))
        .collect();
    format!(
        r#"{{"apiVersion":"{api_version}","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:kubectl.kubernetes.io/last-applied-configuration":{{}}}},"f:labels":{{".":{{}},"f:app.kubernetes.io/managed-by":{{}},"f:app.kubernetes.io/name":{{}}}}}},"f:spec":{{".":{{}},{}}}}},"manager":"{manager}","operation":"Update","time":"2026-01-01T00:00:00Z"}}"#,
        fields.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    const WORLD: World = World {
        routes: 7,
        services: 3,
        pods: 2,
        port: 8080,
    };

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn objects_are_json_and_belong_together() {
        let route = json(&WORLD.route(4, 9, Some(r#"{"conditions":[]}"#)));
        assert_eq!(route["metadata"]["resourceVersion"], "9");
        let service = json(&WORLD.service(1, 1));
        assert_eq!(
            route["spec"]["target"]["service"],
            service["metadata"]["name"]
        );
        assert_eq!(
            route["metadata"]["namespace"],
            service["metadata"]["namespace"]
        );
        let slice = json(&WORLD.slice(1, 1, false));
        assert_eq!(
            slice["metadata"]["labels"]["kubernetes.io/service-name"],
            service["metadata"]["name"]
        );
        let ready: Vec<_> = slice["endpoints"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["conditions"]["ready"].clone())
            .collect();
        assert_eq!(ready, [true, false]);
        let scaled = json(&WORLD.scaled_object(1, 1));
        let triggers = scaled["spec"]["triggers"].as_array().expect("a list");
        let routes: Vec<_> = triggers
            .iter()
            .map(|one| one["metadata"]["interceptorRoute"].as_str())
            .collect();
        assert_eq!(routes, [Some("route-1"), Some("route-4")]);
    }

    #[test]
    fn every_pod_has_its_own_address() {
        let all: BTreeSet<_> = (0..100_000).map(pod_address).collect();
        assert_eq!(all.len(), 100_000);
        assert!(all.iter().all(Ipv4Addr::is_loopback));
    }
}
