//! Beside Envoy in a cluster: ready Pods get warm requests straight, those that
//! serve no more get none, and a replica that starts tells no less than it
//! knows.

use super::objects::{in_state, route, scaled_object, service, serving};
use crate::support::{ApiServer, Envoy, Pod, Reveille, Starter, wait_until};
use serde_json::json;

fn in_cluster(api: &ApiServer, xds: &str) -> Starter {
    Reveille::in_cluster(api)
        .arg("--xds-addr", xds)
        .arg("--xds-listener", "127.0.0.1:0")
        .arg("--xds-load-interval", "100ms")
        .arg("--xds-load-grace", "1s")
}

/// A cluster in which one Pod serves.
fn of_one_pod() -> (ApiServer, Pod, Reveille) {
    let api = ApiServer::start();
    let pod = Pod::start("web-1");
    api.put_all([route("web"), service("web"), scaled_object("web")]);
    api.put(serving("web", 0, &pod));
    let reveille = in_cluster(&api, "127.0.0.1:0").start();
    reveille.until_ready();
    (api, pod, reveille)
}

#[test]
fn envoy_follows_the_pods_of_a_cluster() {
    let (api, pod, reveille) = of_one_pod();
    let xds = reveille.xds();
    let envoy = Envoy::of_fleet(xds);
    let client = envoy.client("web");
    // The Pod and our proxy.
    envoy.until_members("web", 2);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, None));

    // A replica that starts knows the Pods before it says anything.
    drop(reveille);
    let reveille = in_cluster(&api, &xds.to_string()).start();
    wait_until("Envoy is back", || {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.cold_start()), (200, None));
        reveille.metric("reveille_xds_reporting") == Some(1.0)
    });

    let gone = json!({"ready": false, "serving": false, "terminating": true});
    api.put(in_state("web", 0, &pod, &gone));
    envoy.until_members("web", 1);
    reveille.stop();
}

#[test]
fn the_last_pod_is_ours_from_when_it_goes_away() {
    let (api, pod, reveille) = of_one_pod();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    envoy.until_members("web", 2);
    assert_eq!(client.get("/").cold_start(), None);

    // It serves on while there is nobody else, and through us alone.
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    api.put(in_state("web", 0, &pod, &leaving));
    envoy.until_members("web", 1);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.body.as_str()), (200, "web-1"));
    assert!(answer.cold_start().is_some(), "it came through us");

    // Somebody else comes, and is asked directly.
    let next = Pod::start("web-2");
    api.put(serving("web", 1, &next));
    envoy.until_members("web", 2);
    let answer = client.get("/");
    assert_eq!((answer.body.as_str(), answer.cold_start()), ("web-2", None));
    assert_eq!(pod.requests(), 2);
    reveille.stop();
}
