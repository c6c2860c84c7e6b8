//! Whatever happens between Reveille and the API server, what was last seen is
//! served, and what changes in the meantime is seen in the end.

use super::objects::{
    all_of, answers, in_state, route, scaled_object, service, serving, until_answers,
};
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use serde_json::{Value, json};

#[test]
fn a_thousand_routes_are_there_when_it_is_ready() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all((0..1000).flat_map(|index| all_of(&format!("r{index}"), &pod)));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.targets().len(), 1000);
    for index in [0, 499, 999] {
        assert!(answers(&reveille, &format!("r{index}"), "pod"));
    }
    assert_eq!(reveille.client("r1000").get("/").status, 404);
    // In pages, and then not again.
    let lists = api.asked();
    let lists = lists.iter().filter(|asked| {
        asked.path.ends_with("/interceptorroutes") && !asked.query.contains("watch")
    });
    assert_eq!(lists.count(), 2);
    reveille.stop();
}

#[test]
fn without_its_objects_it_is_not_ready_and_nobody_gets_404() {
    let (mut api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.leave();
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged("the API server cannot be reached");
    assert_eq!(reveille.ask("/readyz").status, 503);
    assert_eq!(reveille.ask("/livez").status, 200);
    // Waits at the door until the routes are known.
    let mut early = reveille.client("web").begin("GET", "/");
    api.come_back();
    assert_eq!(early.answer().body, "pod");
    reveille.until_ready();
    reveille.stop();
}

#[test]
fn changes_are_seen_and_survive_cut_watches() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    api.put(serving("web", 0, &pods[1]));
    until_answers(&reveille, "web", "b");
    api.cut_watches();
    api.put_all(all_of("shop", &pods[0]));
    until_answers(&reveille, "shop", "a");
    api.delete("InterceptorRoute", "default", "web");
    wait_until("the route is gone", || {
        reveille.client("web").get("/").status == 404
    });
    assert!(answers(&reveille, "shop", "a"));
    reveille.stop();
}

#[test]
fn an_api_server_that_is_away_changes_nothing() {
    let (mut api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    api.leave();
    reveille.until_logged("what was last seen is served on");
    assert!(answers(&reveille, "web", "a"));
    assert_eq!(reveille.ask("/readyz").status, 200);
    // Much happens, and nobody remembers it.
    api.delete("InterceptorRoute", "default", "web");
    api.put_all(all_of("shop", &pods[1]));
    api.forget_history();
    api.come_back();
    until_answers(&reveille, "shop", "b");
    wait_until("the route is gone", || {
        reveille.client("web").get("/").status == 404
    });
    reveille.until_logged("followed again");
    reveille.stop();
}

#[test]
fn an_api_server_that_starts_is_not_taken_for_a_missing_permission() {
    let (mut api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged("statuses are ours to write");
    api.leave();
    reveille.until_logged("what was last seen is served on");
    api.come_back();
    let said = reveille.until_logged("may not have read its roles yet");
    assert!(said.contains("is forbidden"), "{said}");
    api.put_all(all_of("shop", &pods[1]));
    until_answers(&reveille, "shop", "b");
    let log = reveille.log();
    assert!(!log.contains("missing"), "{log}");
    // Each trouble once, in words of ours.
    assert!(!log.contains("ERROR"), "{log}");
    let asked = api.asked();
    let ours = |agent: &str| agent.starts_with("reveille/");
    assert!(asked.iter().all(|asked| ours(&asked.agent)), "{asked:?}");
    reveille.stop();
}

#[test]
fn an_api_server_that_is_restored_from_a_backup_is_read_anew() {
    let (mut api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let backup = api.backup();
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    api.put(serving("web", 0, &pods[1]));
    until_answers(&reveille, "web", "b");
    api.put_all((0..100).map(|index| service(&format!("s{index}"))));
    api.put_all(all_of("lost", &pods[1]));
    until_answers(&reveille, "lost", "b");
    api.leave();
    reveille.until_logged("what was last seen is served on");
    api.restore(&backup);
    api.come_back();
    until_answers(&reveille, "web", "a");
    wait_until("the route is gone", || {
        reveille.client("lost").get("/").status == 404
    });
    api.put_all(all_of("shop", &pods[1]));
    until_answers(&reveille, "shop", "b");
    reveille.stop();
}

#[test]
fn a_version_that_is_too_old_is_no_reason_to_forget() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    for round in 0..3 {
        api.forget_history();
        api.cut_watches();
        api.put_all(all_of(&format!("r{round}"), &pod));
        until_answers(&reveille, &format!("r{round}"), "pod");
        assert!(answers(&reveille, "web", "pod"));
    }
    assert!(!reveille.log().contains("WARN"), "it happens every day");
    reveille.stop();
}

#[test]
fn throttling_is_waited_out() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.throttle(7, 1);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert!(answers(&reveille, "web", "pod"));
    assert!(reveille.log().contains("throttled (429), for 1s"));
    reveille.stop();
}

#[test]
fn a_cluster_without_keda_serves_all_the_same() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.define("ScaledObject", false);
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert!(answers(&reveille, "web", "pod"));
    let log = reveille.log();
    let said = log
        .matches("the cluster has no scaledobjects.keda.sh")
        .count();
    assert_eq!(said, 1);
    let view: Value = serde_json::from_str(&reveille.ask("/api/v1/cluster").body).expect("JSON");
    let watch = |kind: &str| {
        let mut watches = view.as_array().expect("a list").iter();
        watches
            .find(|watch| watch["kind"] == kind)
            .expect("it is followed")
    };
    assert_eq!(watch("ScaledObject")["absent"], true);
    assert_eq!(
        (&watch("Service")["synced"], &watch("Service")["absent"]),
        (&json!(true), &json!(false))
    );
    let page = reveille.ask("/metrics").body;
    assert!(
        page.contains("reveille_kubernetes_synced{kind=\"Service\",namespace=\"\"} 1\n"),
        "{page}"
    );
    reveille.stop();
}

#[test]
fn only_the_namespaces_that_are_watched_count() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    for namespace in ["one", "two", "three"] {
        for mut object in all_of(namespace, &pod) {
            object["metadata"]["namespace"] = namespace.into();
            api.put(object);
        }
    }
    let reveille = Reveille::in_cluster(&api)
        .arg("--watch-namespace", "one")
        .arg("--watch-namespace", "two")
        .start();
    reveille.until_ready();
    assert!(answers(&reveille, "one", "pod"));
    assert!(answers(&reveille, "two", "pod"));
    assert_eq!(reveille.client("three").get("/").status, 404);
    let asked = api.asked();
    assert!(
        asked
            .iter()
            .all(|asked| !asked.path.contains("/namespaces/three/"))
    );
    assert!(
        asked
            .iter()
            .all(|asked| asked.path.contains("/namespaces/"))
    );
    reveille.stop();
}

#[test]
fn what_a_scaled_object_says_is_shown() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    let not_there = in_state(
        "web",
        0,
        &pod,
        &json!({"ready": false, "terminating": true}),
    );
    api.put_all([
        route("web"),
        service("web"),
        not_there,
        scaled_object("web"),
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let now = reveille.target("web");
    assert_eq!(now.scaled_object.as_deref(), Some("default/web"));
    let bounds = now.bounds.expect("shown");
    assert_eq!((bounds.min, bounds.max, bounds.paused), (0, 5, None));
    // Told to leave it asleep, KEDA wakes nobody: no reason to wait.
    let mut waiting = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    let mut paused = scaled_object("web");
    paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused-replicas": "0"});
    api.put(paused);
    let answer = waiting.answer();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("paused-replicas is 0"), "{answer:?}");
    reveille.stop();
}

#[test]
fn it_stops_in_order_before_it_was_ever_ready() {
    let mut api = ApiServer::start();
    api.leave();
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged("the API server cannot be reached");
    let _at_the_door = reveille.client("web").begin("GET", "/");
    reveille.stop();
}
