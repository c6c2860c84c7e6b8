//! The whole circle: a request is held, KEDA is told, KEDA scales, the new Pod
//! is found before the cluster calls it ready, the request is served, and in
//! the end KEDA is told that it is quiet again.

use super::{
    keda::Keda,
    objects::{in_state, route, scaled_object, service, serving},
};
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use serde_json::json;
use tonic::Code;

#[test]
fn a_request_wakes_its_workload_and_is_served_by_a_pod_that_is_not_ready_yet() {
    let api = ApiServer::start();
    let deployment =
        json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}});
    api.put_all([
        route("web"),
        service("web"),
        scaled_object("web"),
        deployment,
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut keda = Keda::asks_for(&reveille, &[("interceptorRoute", "web")]);
    let mut stream = keda.stream();

    let mut held = reveille.client("web").begin("GET", "/");
    keda.until_active(&mut stream);
    reveille.until_held("web", 1);
    let values = keda.metrics("http_web_concurrency").expect("answered");
    assert!(values[0].metric_value_float >= 1.0, "{values:?}");

    // KEDA scales; the kubelet starts the Pod, whose address is published
    // before it listens.
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound")
    };
    let announced = super::objects::endpoint("web-1", addr, &json!({"ready": false}));
    api.put(super::objects::slice("web", 0, addr.port(), &[announced]));
    let pod = Pod::start_at("web-1", addr);
    let answer = held.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "web-1"));
    assert_eq!(answer.cold_start(), Some("true"));

    // The cluster sees it too; then it is quiet, and the Pod goes.
    api.put(serving("web", 0, &pod));
    reveille.until_warm("web");
    wait_until("it is quiet", || !keda.is_active().expect("answered"));
    api.put(in_state(
        "web",
        0,
        &pod,
        &json!({"ready": false, "serving": false, "terminating": true}),
    ));
    reveille.until("web", "it is cold", |now| now.state == "cold");
    reveille.stop();
}

#[test]
fn it_wakes_a_workload_itself_if_it_is_told_to() {
    let api = ApiServer::start();
    let deployment =
        json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}});
    api.put_all([
        route("web"),
        service("web"),
        scaled_object("web"),
        deployment,
    ]);
    api.permit("patch", "Deployment", false);
    let reveille = Reveille::in_cluster(&api).arg("--wake", "both").start();
    reveille.until_ready();
    let mut held = reveille.client("web").begin("GET", "/");
    reveille.until_logged(
        "Deployment web in namespace default cannot be woken: the permissions to get and patch",
    );
    api.permit("patch", "Deployment", true);
    let replicas = || {
        let deployment = api.get("Deployment", "default", "web").expect("there");
        deployment["spec"]["replicas"].as_u64()
    };
    wait_until("it is scaled", || replicas() == Some(1));
    let pod = Pod::start("web-1");
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "web-1");
    reveille.stop();
}

#[test]
fn it_wakes_a_workload_alone_and_keda_hears_only_where_that_fails() {
    let api = ApiServer::start();
    for name in ["web", "shop"] {
        let deployment =
            json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 0}});
        api.put_all([route(name), service(name), scaled_object(name), deployment]);
    }
    let reveille = Reveille::in_cluster(&api).arg("--wake", "direct").start();
    reveille.until_ready();
    let mut keda = Keda::asks_for(&reveille, &[("interceptorRoute", "web")]);
    let mut stream = keda.stream();
    let mut held = reveille.client("web").begin("GET", "/");
    wait_until("it is scaled", || {
        let deployment = api.get("Deployment", "default", "web").expect("there");
        deployment["spec"]["replicas"] == 1
    });
    assert!(keda.is_active().expect("answered"), "polls are answered");
    let pod = Pod::start("web-1");
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "web-1");

    api.permit("patch", "Deployment", false);
    let mut other = Keda::asks_for(&reveille, &[("interceptorRoute", "shop")]);
    let mut told = other.stream();
    let held = reveille.client("shop").begin("GET", "/");
    other.until_active(&mut told);
    reveille.until_logged("which --wake=direct and --wake=both need");
    drop((told, other, held));
    reveille.begin_stop();
    let said = keda.until_ended(&mut stream);
    assert!(!said.contains(&true), "{said:?}");
}

#[test]
fn a_workload_that_changes_while_it_is_woken_is_woken_all_the_same() {
    let api = ApiServer::start();
    let deployment =
        json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}});
    api.put_all([
        route("web"),
        service("web"),
        scaled_object("web"),
        deployment,
    ]);
    let reveille = Reveille::in_cluster(&api).arg("--wake", "both").start();
    reveille.until_ready();
    api.meddle_next("patch", "Deployment");
    let held = reveille.client("web").begin("GET", "/");
    reveille.until_logged("woken: somebody waits for it");
    let deployment = api.get("Deployment", "default", "web").expect("there");
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["metadata"]["annotations"]["meddled"], "true");
    assert!(!reveille.log().contains("cannot be woken"));
    drop(held);
    reveille.stop();
}

#[test]
fn before_the_first_sync_keda_gets_errors_and_not_zeros() {
    let api = ApiServer::start();
    api.put_all([route("web"), service("web")]);
    api.permit("list", "Service", false);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged("the permission to list services");
    let mut keda = Keda::asks_for(&reveille, &[("interceptorRoute", "web")]);
    let refused = keda.is_active().expect_err("not known");
    assert_eq!(refused.code(), Code::Unavailable);
    api.permit("list", "Service", true);
    reveille.until_ready();
    assert!(!keda.is_active().expect("known"));
    reveille.stop();
}
