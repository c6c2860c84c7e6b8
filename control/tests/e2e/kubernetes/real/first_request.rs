//! A first request, and all that is written about its route.

use super::{installed, pod, reveille, route_path, until_reason, whole};
use crate::{
    kubernetes::objects::{route, scaled_object, service, serving},
    support::{wait_for, wait_until},
};
use serde_json::{Value, json};

#[test]
fn a_first_request_is_held_and_served_and_its_route_is_told_of() {
    let Some(plane) = installed() else { return };
    let client = plane.client();
    client.apply(&whole(route("web")));
    let reveille = reveille(&plane).start();
    reveille.until_ready();
    let path = route_path("web");
    let missing = until_reason(client, &path, "Ready", "TargetNotFound");
    assert_eq!(missing["message"], "Service default/web does not exist");
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = wait_for("there is an Event", || client.all(events).pop());
    assert_eq!(event["note"], missing["message"]);
    assert_eq!(event["regarding"]["name"], "web");

    client.apply(&whole(service("web")));
    client.apply(&whole(scaled_object("web")));
    until_reason(client, &path, "Ready", "Reconciled");
    until_reason(client, &path, "ScaledObjectFound", "Found");
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    let pod = pod("pod");
    client.apply(&whole(serving("web", 0, &pod)));
    let answer = held.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "pod"));
    assert_eq!(answer.cold_start(), Some("true"));

    // Its fields are ours, and nothing but the status is.
    let written = client.get(&path).expect("there");
    let managers = written["metadata"]["managedFields"].as_array();
    let ours = managers.expect("a list").iter();
    let ours: Vec<&Value> = ours.filter(|one| one["manager"] == "reveille").collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert_eq!(ours[0]["operation"], "Apply");
    assert_eq!(ours[0]["subresource"], "status");
    // Others' conditions stay beside ours.
    let status = json!({"status": {"conditions": [{"type": "Audited", "status": "True",
        "reason": "Seen", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    client.merge_as("auditor", &format!("{path}/status"), &status);
    let mut edited = whole(route("web"));
    edited["spec"]["timeouts"] = json!({"request": "9s"});
    client.apply(&edited);
    wait_until("the generation is seen", || {
        until_reason(client, &path, "Ready", "Reconciled")["observedGeneration"] == 2
    });
    until_reason(client, &path, "Audited", "Seen");

    // Nothing is written while nothing changes: not in the time of two renewals.
    let before = client.get(&path).expect("there")["metadata"]["resourceVersion"].clone();
    let lease = "/apis/coordination.k8s.io/v1/namespaces/keda/leases/reveille";
    let renewed = || client.get(lease).expect("held")["spec"]["renewTime"].clone();
    for _ in 0..2 {
        let known = renewed();
        wait_until("the Lease is renewed", || renewed() != known);
    }
    let after = client.get(&path).expect("there")["metadata"]["resourceVersion"].clone();
    assert_eq!(before, after);
    reveille.stop();
    let left = client.get(lease).expect("it stays");
    assert_eq!(left["spec"]["holderIdentity"], "", "{left}");
    assert_eq!(left["metadata"]["managedFields"][0]["manager"], "reveille");
}
