//! Who serves: what EndpointSlices and Services say, and what is found out
//! before they say it.

use super::objects::{all_of, endpoint, in_state, route, service, serving, slice};
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn names(reveille: &Reveille, target: &str) -> Vec<String> {
    let endpoints = reveille.target(target).endpoints;
    let mut names: Vec<String> = endpoints.into_iter().map(|one| one.name).collect();
    names.sort();
    names
}

fn until_names(reveille: &Reveille, target: &str, wanted: &[&str]) {
    wait_until(&format!("{target} has {wanted:?}"), || {
        names(reveille, target) == wanted
    });
}

#[test]
fn several_slices_are_one_service() {
    let (api, pods) = (ApiServer::start(), ["a", "b", "c"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    api.put(serving("web", 1, &pods[1]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    until_names(&reveille, "web", &["a", "b"]);
    api.put(serving("web", 1, &pods[2]));
    until_names(&reveille, "web", &["a", "c"]);
    api.delete("EndpointSlice", "default", "web-0");
    until_names(&reveille, "web", &["c"]);
    // A slice may change hands.
    let mut moved = serving("web", 1, &pods[2]);
    moved["metadata"]["labels"]["kubernetes.io/service-name"] = "other".into();
    api.put(moved);
    until_names(&reveille, "web", &[]);
    reveille.stop();
}

#[test]
fn who_is_leaving_serves_only_where_nobody_else_does() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    api.put(serving("web", 1, &pods[1]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    api.put(in_state("web", 0, &pods[0], &leaving));
    until_names(&reveille, "web", &["b"]);
    api.put(in_state("web", 1, &pods[1], &leaving));
    until_names(&reveille, "web", &["a", "b"]);
    let gone = json!({"ready": false, "serving": false, "terminating": true});
    api.put(in_state("web", 0, &pods[0], &gone));
    until_names(&reveille, "web", &["b"]);
    reveille.stop();
}

#[test]
fn an_address_that_is_not_ready_yet_serves_whoever_waits() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    let not_ready = json!({"ready": false, "serving": false, "terminating": false});
    api.put_all([
        route("web"),
        service("web"),
        in_state("web", 0, &pod, &not_ready),
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    // Nobody waits, nobody asks.
    assert!(names(&reveille, "web").is_empty());
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "pod"));
    assert_eq!(answer.cold_start(), Some("true"));
    // It stays, and is the same endpoint when the cluster has seen it too.
    until_names(&reveille, "web", &["pod"]);
    api.put(serving("web", 0, &pod));
    assert_eq!(reveille.client("web").get("/").cold_start(), Some("false"));
    // When another one is seen that came later, this was seen as well.
    let later = Pod::start("later");
    api.put(serving("web", 1, &later));
    until_names(&reveille, "web", &["later", "pod"]);
    api.delete("EndpointSlice", "default", "web-1");
    // But the cluster's word counts once it was ready.
    api.put(in_state("web", 0, &pod, &json!({"ready": false})));
    until_names(&reveille, "web", &[]);
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    let seen = pod.requests();
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "pod");
    assert_eq!(pod.requests(), seen + 1);
    reveille.stop();
}

#[test]
fn a_route_may_have_only_the_clusters_word() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    let mut careful = route("web");
    careful["metadata"]["annotations"] = json!({"reveille.dev/probe-not-ready": "false"});
    let not_ready = in_state("web", 0, &pod, &json!({"ready": false}));
    api.put_all([careful, service("web"), not_ready]);
    // Another route to the same Service may look itself.
    let mut eager = route("eager");
    eager["spec"]["target"]["service"] = "web".into();
    api.put(eager);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    assert_eq!(reveille.client("eager").get("/").body, "pod");
    assert_eq!(reveille.target("web").held, 1);
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "pod");
    reveille.stop();
}

#[test]
fn a_port_by_its_name_and_what_is_missing() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let mut named = route("named");
    named["spec"]["target"] = json!({"service": "web", "portName": "http"});
    let mut wrong = route("wrong");
    wrong["spec"]["target"] = json!({"service": "web", "port": 81});
    api.put_all([named, wrong, route("alone")]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("named").get("/").body, "pod");
    let answer = reveille.client("wrong").get("/");
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .body
            .contains("Service default/web has no TCP port 81; it has 80 (http)")
    );
    let answer = reveille.client("alone").get("/");
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("Service default/alone does not exist"),
        "{answer:?}"
    );
    // What was missing may come.
    api.put_all([service("alone"), serving("alone", 0, &pod)]);
    wait_until("it is served", || {
        reveille.client("alone").get("/").body == "pod"
    });
    reveille.stop();
}

/// A Service whose ClusterIP leads to `behind`, as the cluster's own proxy would
/// have it.
fn with_cluster_ip(name: &str, behind: &Pod) -> Value {
    let mut service = service(name);
    service["spec"]["clusterIP"] = behind.addr().ip().to_string().into();
    service["spec"]["ports"][0]["port"] = behind.addr().port().into();
    service
}

#[test]
fn requests_go_to_the_cluster_ip_where_that_is_wanted() {
    let api = ApiServer::start();
    let [pod, web, page, plain] = ["pod", "web-ip", "page-ip", "plain-ip"].map(Pod::start);
    let route_to = |name: &str, behind: &Pod| {
        let mut route = route(name);
        route["spec"]["target"]["port"] = behind.addr().port().into();
        route
    };
    let mut asked = route_to("web", &web);
    asked["metadata"]["annotations"] = json!({"reveille.dev/endpoints": "cluster-ip"});
    asked["spec"]["coldStart"] = json!({"fallback":
        {"service": {"name": "page", "port": page.addr().port()}}});
    asked["spec"]["timeouts"] = json!({"readiness": "10ms"});
    api.put_all([asked, with_cluster_ip("web", &web), serving("web", 0, &pod)]);
    api.put_all([with_cluster_ip("page", &page), serving("page", 0, &pod)]);
    api.put_all([
        route_to("plain", &plain),
        with_cluster_ip("plain", &plain),
        serving("plain", 0, &pod),
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "web-ip");
    assert_eq!(reveille.client("plain").get("/").body, "pod");
    // Nobody is behind it: it is cold, and the fallback has an address like it.
    api.put(in_state("web", 0, &pod, &json!({"ready": false})));
    reveille.until("web", "it is cold", |now| now.state == "cold");
    assert_eq!(reveille.client("web").get("/").body, "page-ip");
    let before = web.requests();
    api.put(serving("web", 0, &pod));
    wait_until("it serves again", || {
        reveille.client("web").get("/").body == "web-ip"
    });
    assert_eq!(web.requests(), before + 1);
    reveille.stop();

    // All of them, but for a route that wants its Pods and a headless Service.
    let mut pods = route_to("web", &web);
    pods["metadata"]["annotations"] = json!({"reveille.dev/endpoints": "pods"});
    api.put_all([pods, route("headless"), serving("headless", 0, &pod)]);
    let mut headless = service("headless");
    headless["spec"]["clusterIP"] = "None".into();
    api.put(headless);
    let reveille = Reveille::in_cluster(&api)
        .arg("--endpoints", "cluster-ip")
        .start();
    reveille.until_ready();
    assert_eq!(reveille.client("plain").get("/").body, "plain-ip");
    assert_eq!(reveille.client("web").get("/").body, "pod");
    assert_eq!(reveille.client("headless").get("/").body, "pod");
    reveille.stop();
}

#[test]
fn an_external_name_is_resolved() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    let mut route = route("web");
    route["spec"]["target"]["port"] = pod.addr().port().into();
    let external = json!({"kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "ExternalName", "externalName": "localhost"}});
    api.put_all([route, external]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.stop();
}

#[test]
fn a_new_slice_leaves_other_targets_and_kept_pods_alone() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    api.put(service("cold"));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    // A request that waits for another target is not disturbed.
    api.put(route("cold"));
    wait_until("it is known", || reveille.targets().len() == 2);
    let mut held = reveille.client("cold").begin("GET", "/");
    reveille.until_held("cold", 1);
    let nobody: SocketAddr = "127.0.0.9:1".parse().expect("an address");
    for round in 0..20 {
        let gone = endpoint(
            &format!("p{round}"),
            nobody,
            &json!({"ready": false, "serving": false, "terminating": true}),
        );
        api.put(slice("web", 1, 1, &[gone]));
    }
    api.put(serving("web", 2, &pods[1]));
    until_names(&reveille, "web", &["a", "b"]);
    assert_eq!(reveille.target("cold").held, 1);
    api.put(serving("cold", 0, &pods[0]));
    assert_eq!(held.answer().body, "a");
    reveille.stop();
}
