//! An HTTPScaledObject and the ScaledObject that is made of it, under the API server's
//! own rules of who owns which field.

use super::{installed, pod, reveille, until_reason, whole};
use crate::{
    kubernetes::objects::{service, serving},
    support::{wait_for, wait_until},
};
use serde_json::{Value, json};

const LEGACY: &str = "/apis/http.keda.sh/v1alpha1/namespaces/default/httpscaledobjects/web";
const MADE: &str = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects/web";
const FINALIZER: &str = "httpscaledobject.http.keda.sh";

fn http_scaled_object() -> Value {
    whole(json!({
        "kind": "HTTPScaledObject",
        "metadata": {"name": "web", "labels": {"team": "a"}, "annotations": {"note": "keep"}},
        "spec": {
            "hosts": ["web.test"],
            "scaleTargetRef": {"name": "web", "kind": "Deployment", "apiVersion": "apps/v1",
                "service": "web", "port": 80},
            "replicas": {"min": 0, "max": 5},
            "scaledownPeriod": 60,
            "scalingMetric": {"concurrency": {"targetValue": 10}},
        },
    }))
}

#[test]
fn its_scaled_object_is_made_and_kept_and_it_may_go() {
    let Some(plane) = installed() else { return };
    let client = plane.client();
    client.apply(&http_scaled_object());
    client.apply(&whole(service("web")));
    let pod = pod("pod");
    client.apply(&whole(serving("web", 0, &pod)));
    let reveille = reveille(&plane).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");

    until_reason(client, LEGACY, "ScaledObjectFound", "Found");
    let owner = client.get(LEGACY).expect("there");
    assert_eq!(owner["status"]["targetWorkload"], "apps/v1/Deployment/web");
    let made = || client.get(MADE);
    let first = made().expect("there");
    let owners = json!([{"apiVersion": "http.keda.sh/v1alpha1", "kind": "HTTPScaledObject",
        "name": "web", "uid": owner["metadata"]["uid"], "controller": true}]);
    assert_eq!(first["metadata"]["ownerReferences"], owners);
    let scaler = &first["spec"]["triggers"][0]["metadata"]["scalerAddress"];
    assert_eq!(scaler, "reveille-scaler.keda:9090");

    // KEDA adds what is its own, and somebody meddles with what is ours.
    let theirs = json!({
        "metadata": {"labels": {"scaledobject.keda.sh/name": "web"},
            "finalizers": ["finalizer.keda.sh"]},
        "spec": {"fallback": {"failureThreshold": 3, "replicas": 2}, "maxReplicaCount": 99},
    });
    client.merge_as("keda", MADE, &theirs);
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    client.merge_as("keda", &format!("{MADE}/status"), &status);
    wait_until("it is put right", || {
        made().expect("there")["spec"]["maxReplicaCount"] == 5
    });
    // What is taken away goes, and what is left to KEDA's default.
    let mut edited = http_scaled_object();
    edited["metadata"]["labels"] = json!({"unit": "b"});
    edited["spec"]["replicas"] = json!({"max": 7});
    client.apply(&edited);
    let followed = wait_for("it follows", || {
        made().filter(|made| made["spec"]["maxReplicaCount"] == 7)
    });
    let labels = json!({"unit": "b", "scaledobject.keda.sh/name": "web"});
    assert_eq!(followed["metadata"]["labels"], labels);
    assert_eq!(followed["spec"]["minReplicaCount"], Value::Null);
    assert_eq!(followed["spec"]["fallback"]["replicas"], 2);
    assert_eq!(followed["metadata"]["uid"], first["metadata"]["uid"]);

    // The add-on's operator has left its finalizer.
    let finalizers = json!({"metadata": {"finalizers": [FINALIZER]}});
    client.merge_as("operator", LEGACY, &finalizers);
    client.delete(LEGACY);
    wait_until("it is gone", || client.get(LEGACY).is_none());
    reveille.stop();
}
