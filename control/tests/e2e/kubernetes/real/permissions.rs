//! The chart's roles are enough, and each rule of them is needed for what it says.

use super::{installed, pod, reveille, route_path, until_reason, whole};
use crate::{
    kubernetes::objects::{all_of, answers, scaled_object, until_answers},
    support::wait_until,
};
use serde_json::{Value, json};

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/reveille";

#[test]
fn nothing_is_missing_and_what_is_taken_away_is_named() {
    let Some(plane) = installed() else { return };
    let client = plane.client();
    let pod = pod("pod");
    for object in all_of("web", &pod) {
        client.apply(&whole(object));
    }
    let enough = reveille(&plane).start();
    until_answers(&enough, "web", "pod");
    until_reason(client, &route_path("web"), "Ready", "Reconciled");
    let log = enough.log();
    assert!(
        !log.contains("is missing") && !log.contains("are missing"),
        "{log}"
    );
    enough.stop();

    let role = client.get(ROLE).expect("the chart's");
    let mut less = role["rules"].as_array().expect("rules").clone();
    less.retain(|rule| rule["resources"] != json!(["interceptorroutes"]));
    client.merge_as("test", ROLE, &json!({"rules": less}));
    let refused = reveille(&plane).start();
    let said = refused.until_logged("interceptorroutes.http.keda.sh in all namespaces is missing");
    assert!(
        said.contains("system:serviceaccount:keda:reveille"),
        "{said}"
    );
    assert_eq!(refused.ask("/readyz").status, 503);
    client.merge_as("test", ROLE, &json!({"rules": role["rules"]}));
    refused.until_ready();
    assert!(answers(&refused, "web", "pod"));
    refused.stop();
}

#[test]
fn a_workload_is_woken_by_its_scale_and_by_that_alone() {
    let Some(plane) = installed() else { return };
    let client = plane.client();
    let pod = pod("pod");
    for object in all_of("web", &pod).into_iter().take(2) {
        client.apply(&whole(object));
    }
    client.apply(&whole(scaled_object("web")));
    let labels = json!({"app": "web"});
    let container = json!({"name": "web", "image": "web"});
    client.apply(&whole(json!({
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
    })));
    let deployment = "/apis/apps/v1/namespaces/default/deployments/web";
    let replicas = || client.get(deployment).expect("there")["spec"]["replicas"].clone();
    let reveille = reveille(&plane).arg("--wake", "direct").start();
    reveille.until_ready();
    let held = reveille.client("web").begin("GET", "/");
    reveille.until_logged(
        "Deployment web in namespace default cannot be woken: the permissions to get and patch",
    );
    assert_eq!(replicas(), 0);
    // As the chart grants it with `wake: direct`.
    let mut rules: Vec<Value> = client.get(ROLE).expect("the chart's")["rules"]
        .as_array()
        .expect("rules")
        .clone();
    rules.push(
        json!({"apiGroups": ["apps"], "resources": ["deployments/scale"],
        "verbs": ["get", "patch"]}),
    );
    client.merge_as("test", ROLE, &json!({"rules": rules}));
    wait_until("it is woken", || replicas() == 1);
    drop(held);
    reveille.stop();
}
