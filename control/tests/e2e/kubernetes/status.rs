//! What statuses say, who writes them, and when.

use super::objects::{all_of, route, scaled_object, service, serving};
use crate::support::{ApiServer, Pod, Reveille, wait_for, wait_until};
use serde_json::{Value, json};

/// The condition of a route's status, once it has that reason.
fn until_reason(api: &ApiServer, place: (&str, &str), kind: &str, reason: &str) -> Value {
    let (namespace, name) = place;
    wait_for(&format!("{kind} of {name} is {reason}"), || {
        let route = api.get("InterceptorRoute", namespace, name)?;
        let conditions = route["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|one| one["type"] == kind)?;
        (condition["reason"] == reason).then(|| condition.clone())
    })
}

const WEB: (&str, &str) = ("default", "web");

/// How often statuses were written.
fn writes(api: &ApiServer) -> usize {
    let asked = api.asked();
    asked
        .iter()
        .filter(|asked| asked.path.ends_with("/status"))
        .count()
}

#[test]
fn a_status_tells_the_truth_and_is_written_only_when_that_changes() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put(route("web"));
    let reveille = Reveille::in_cluster(&api).start();
    let missing = until_reason(&api, WEB, "Ready", "TargetNotFound");
    assert_eq!(missing["status"], "False");
    assert_eq!(missing["message"], "Service default/web does not exist");
    assert_eq!(missing["observedGeneration"], 1);
    until_reason(&api, WEB, "ScaledObjectFound", "NotFound");

    api.put_all([service("web"), scaled_object("web")]);
    let ready = until_reason(&api, WEB, "Ready", "Reconciled");
    assert_eq!(
        (&ready["status"], &ready["message"]),
        (&json!("True"), &json!(""))
    );
    until_reason(&api, WEB, "TargetResolved", "Resolved");
    until_reason(&api, WEB, "HostsAccepted", "Accepted");
    let found = until_reason(&api, WEB, "ScaledObjectFound", "Found");
    assert_eq!(found["message"], "ScaledObject default/web");

    // What concerns no status writes none, and a new generation writes one.
    let before = writes(&api);
    api.put(serving("web", 0, &pod));
    wait_until("it is served", || {
        reveille.client("web").get("/").status == 200
    });
    let mut edited = route("web");
    edited["spec"]["timeouts"] = json!({"request": "9s"});
    api.put(edited);
    wait_until("the generation is seen", || {
        until_reason(&api, WEB, "Ready", "Reconciled")["observedGeneration"] == 2
    });
    assert_eq!(writes(&api), before + 1);
    reveille.stop();
}

#[test]
fn a_broken_route_is_told_of_in_its_status_and_in_an_event() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    until_reason(&api, WEB, "Ready", "Reconciled");
    let mut broken = route("web");
    broken["spec"]["timeouts"] = json!({"request": "soon"});
    api.put(broken);
    let ready = until_reason(&api, WEB, "Ready", "Invalid");
    let message = ready["message"].as_str().expect("text");
    assert!(message.starts_with("spec.timeouts.request: "), "{message}");
    assert!(
        message.ends_with("(it is served as it was before)"),
        "{message}"
    );
    assert_eq!(reveille.client("web").get("/").body, "pod");
    let event = wait_for("there is an Event", || api.all("Event").pop());
    assert_eq!(event["regarding"]["name"], "web");
    assert_eq!(
        (&event["reason"], &event["type"]),
        (&json!("Invalid"), &json!("Warning"))
    );
    assert_eq!(event["note"], ready["message"]);
    api.put(route("web"));
    until_reason(&api, WEB, "Ready", "Reconciled");
    reveille.stop();
}

#[test]
fn an_event_is_as_short_as_the_api_server_wants_it() {
    let api = ApiServer::start();
    let name = "n".repeat(253);
    let mut broken = route(&name);
    broken["spec"]["rules"] = json!([{"hosts": ["web.test"]}]);
    broken["spec"]["timeouts"] = json!({"request": "\u{e4}".repeat(1000)});
    api.put(broken);
    let reveille = Reveille::in_cluster(&api).start();
    let event = wait_for("there is an Event", || api.all("Event").pop());
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    assert_eq!(length(&event["metadata"]["name"]), 253);
    assert!((1023..=1024).contains(&length(&event["note"])), "{event}");
    assert_eq!(event["regarding"]["name"], name);
    reveille.stop();
}

#[test]
fn whoever_loses_a_host_is_told_to_whom() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    for (namespace, created) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-02-01T00:00:00Z")] {
        for mut object in all_of("web", &pod) {
            object["metadata"]["namespace"] = namespace.into();
            object["metadata"]["creationTimestamp"] = created.into();
            api.put(object);
        }
    }
    let reveille = Reveille::in_cluster(&api).start();
    let lost = until_reason(&api, ("b", "web"), "HostsAccepted", "Conflict");
    let message = lost["message"].as_str().expect("text");
    assert!(
        message.starts_with("web.test / is served by InterceptorRoute a/web"),
        "{message}"
    );
    until_reason(&api, ("a", "web"), "HostsAccepted", "Accepted");
    api.delete("InterceptorRoute", "a", "web");
    until_reason(&api, ("b", "web"), "Ready", "Reconciled");
    reveille.stop();
}

#[test]
fn a_namespace_gets_only_the_hosts_that_it_may_have() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let mut both = route("both");
    both["spec"]["target"]["service"] = "web".into();
    both["spec"]["rules"] = json!([{"hosts": ["mine.test", "theirs.test"]}]);
    api.put(both);
    let reveille = Reveille::in_cluster(&api)
        .arg("--host-policy", "default=web.test,mine.test")
        .arg("--host-policy", "other=theirs.test")
        .start();
    reveille.until_ready();
    assert_eq!(reveille.client("mine").get("/").body, "pod");
    assert_eq!(reveille.client("theirs").get("/").status, 404);
    let refused = until_reason(&api, ("default", "both"), "HostsAccepted", "HostPolicy");
    assert_eq!(
        refused["message"],
        "this namespace may not claim theirs.test (--host-policy)"
    );
    until_reason(&api, WEB, "Ready", "Reconciled");
    reveille.stop();
}

#[test]
fn one_replica_writes_and_another_takes_over() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let first = Reveille::in_cluster(&api).start();
    first.until_logged("statuses are ours to write");
    let second = Reveille::in_cluster(&api).start();
    second.until_ready();
    until_reason(&api, WEB, "Ready", "Reconciled");
    let holder = || api.get("Lease", "default", "reveille").expect("there")["spec"].clone();
    let before = holder();
    // Given back at the stop, so nobody waits for its end.
    first.stop();
    second.until_logged("statuses are ours to write");
    let after = holder();
    assert_ne!(before["holderIdentity"], after["holderIdentity"]);
    assert_eq!(after["leaseTransitions"], 1);
    api.put_all(all_of("shop", &pod));
    until_reason(&api, ("default", "shop"), "Ready", "Reconciled");
    second.stop();
}

#[test]
fn without_the_permissions_all_is_served_and_what_is_missing_is_named() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.permit("create", "Lease", false);
    api.permit("patch", "InterceptorRoute", false);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.until_logged(
        "the permissions to get, create and update leases.coordination.k8s.io in namespace default",
    );
    api.permit("create", "Lease", true);
    reveille
        .until_logged("the permission to patch interceptorroutes.http.keda.sh/status is missing");
    api.permit("patch", "InterceptorRoute", true);
    until_reason(&api, WEB, "Ready", "Reconciled");
    reveille.stop();
}
