//! Routes of the cluster: edited, broken, in each other's way, with bodies in
//! ConfigMaps.

use super::objects::{all_of, route, service, serving};
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use serde_json::json;

#[test]
fn a_route_that_breaks_is_served_as_it_was_until_it_is_deleted() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut broken = route("web");
    broken["spec"]["timeouts"] = json!({"request": "soon"});
    api.put(broken.clone());
    reveille.until_logged("InterceptorRoute default/web: spec.timeouts.request: ");
    assert_eq!(reveille.client("web").get("/").body, "pod");
    // Also after everything was listed anew.
    api.forget_history();
    api.cut_watches();
    api.put_all(all_of("shop", &pod));
    wait_until("the new one is served", || {
        reveille.client("shop").get("/").status == 200
    });
    assert_eq!(reveille.client("web").get("/").body, "pod");
    api.delete("InterceptorRoute", "default", "web");
    wait_until("it is gone", || {
        reveille.client("web").get("/").status == 404
    });
    reveille.stop();
}

#[test]
fn a_target_is_switched_for_whoever_waits() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all([route("web"), service("web")]);
    api.put_all([service("other"), serving("other", 0, &pod)]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    let mut switched = route("web");
    switched["spec"]["target"]["service"] = "other".into();
    api.put(switched);
    assert_eq!(held.answer().body, "pod");
    reveille.stop();
}

#[test]
fn who_waits_for_a_route_that_goes_gets_404() {
    let api = ApiServer::start();
    api.put_all([route("web"), service("web")]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    api.delete("InterceptorRoute", "default", "web");
    assert_eq!(held.answer().status, 404);
    reveille.stop();
}

#[test]
fn the_older_of_two_routes_to_a_host_wins() {
    let (api, pods) = (ApiServer::start(), ["old", "young"].map(Pod::start));
    for (namespace, created, pod) in [
        ("a", "2026-01-01T00:00:00Z", &pods[0]),
        ("b", "2026-02-01T00:00:00Z", &pods[1]),
    ] {
        for mut object in all_of("web", pod) {
            object["metadata"]["namespace"] = namespace.into();
            object["metadata"]["creationTimestamp"] = created.into();
            api.put(object);
        }
    }
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "old");
    api.delete("InterceptorRoute", "a", "web");
    wait_until("the other has it", || {
        reveille.client("web").get("/").body == "young"
    });
    reveille.stop();
}

#[test]
fn bodies_come_from_labelled_config_maps() {
    let api = ApiServer::start();
    let mut page = route("web");
    page["spec"]["coldStart"] = json!({"placeholder": {"response":
        {"statusCode": 202, "bodyFromConfigMap": {"name": "pages", "key": "asleep.html"}}}});
    api.put_all([page, service("web")]);
    let pages = |text: &str| {
        json!({"kind": "ConfigMap",
            "metadata": {"name": "pages", "labels": {"http.keda.sh/response-body": "true"}},
            "data": {"asleep.html": text}})
    };
    api.put(pages("soon"));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.body.as_str()), (202, "soon"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    api.put(pages("very soon"));
    wait_until("it has changed", || {
        reveille.client("web").get("/").body == "very soon"
    });
    api.delete("ConfigMap", "default", "pages");
    wait_until("it is missed", || {
        reveille.client("web").get("/").status == 500
    });
    reveille.stop();
}

#[test]
fn a_fallback_stands_in() {
    let (api, pod) = (ApiServer::start(), Pod::start("stand-in"));
    let mut route = route("web");
    route["spec"]["coldStart"] = json!({"fallback": {"service": {"name": "page", "port": 80}}});
    route["spec"]["timeouts"] = json!({"readiness": "10ms"});
    api.put_all([
        route,
        service("web"),
        service("page"),
        serving("page", 0, &pod),
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "stand-in");
    reveille.stop();
}
