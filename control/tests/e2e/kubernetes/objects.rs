//! Objects of a cluster, as short as tests want them.

use crate::support::{Pod, Reveille, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A route of `NAME.test` to the Service of its name.
pub(crate) fn route(name: &str) -> Value {
    json!({
        "kind": "InterceptorRoute",
        "metadata": {"name": name},
        "spec": {
            "target": {"service": name, "port": 80},
            "rules": [{"hosts": [format!("{name}.test")]}],
            "scalingMetric": {"concurrency": {"targetValue": 10}},
        },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
    })
}

pub(crate) fn scaled_object(name: &str) -> Value {
    json!({
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": 0, "maxReplicaCount": 5,
            "triggers": [{"type": "external-push",
                "metadata": {"scalerAddress": "reveille.keda:9090", "interceptorRoute": name}}],
        },
    })
}

/// An endpoint of a slice.
pub(crate) fn endpoint(name: &str, addr: SocketAddr, conditions: &Value) -> Value {
    json!({"addresses": [addr.ip().to_string()], "conditions": conditions,
        "targetRef": {"kind": "Pod", "name": name}})
}

/// The slice `SERVICE-INDEX`, of one port.
pub(crate) fn slice(service: &str, index: usize, port: u16, endpoints: &[Value]) -> Value {
    json!({
        "kind": "EndpointSlice",
        "metadata": {"name": format!("{service}-{index}"),
            "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// The slice with that Pod alone, ready.
pub(crate) fn serving(service: &str, index: usize, pod: &Pod) -> Value {
    in_state(service, index, pod, &json!({"ready": true}))
}

/// The slice with that Pod alone, in that state.
pub(crate) fn in_state(service: &str, index: usize, pod: &Pod, conditions: &Value) -> Value {
    let endpoint = endpoint(&pod.name, pod.addr(), conditions);
    slice(service, index, pod.addr().port(), &[endpoint])
}

/// A route, its Service and one ready Pod.
pub(crate) fn all_of(name: &str, pod: &Pod) -> [Value; 3] {
    [route(name), service(name), serving(name, 0, pod)]
}

pub(crate) fn answers(reveille: &Reveille, target: &str, with: &str) -> bool {
    let answer = reveille.client(target).get("/");
    answer.status == 200 && answer.body == with
}

pub(crate) fn until_answers(reveille: &Reveille, target: &str, with: &str) {
    wait_until(&format!("{target} answers {with}"), || {
        answers(reveille, target, with)
    });
}
