//! Both paths, and what decides between them.

use super::{both, seen_by_us, until_direct, with_envoy};
use crate::support::{Envoy, Target, wait_until};

#[test]
fn a_cold_request_is_held_by_us_and_the_next_goes_straight_to_the_endpoint() {
    let reveille = with_envoy(Target::python()).start();
    for envoy in both(&reveille) {
        let client = envoy.client("web");
        let first = client.get("/");
        assert_eq!((first.status, first.cold_start()), (200, Some("true")));
        until_direct(&client);
        let before = seen_by_us(&reveille);
        assert!(before >= 1.0, "{before}");
        for _ in 0..10 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.cold_start()), (200, None));
        }
        assert_eq!(seen_by_us(&reveille), before);
        reveille.until_asleep("web");
        // Our proxy alone is left.
        envoy.until_members("web", 1);
    }
    let view = reveille.ask("/api/v1/xds").body;
    assert!(view.contains(r#""kind":"routes""#), "{view}");
}

#[test]
fn an_envoy_with_a_listener_of_its_own_takes_our_routes() {
    let reveille = with_envoy(Target::hello()).start();
    let envoy = Envoy::with_own_listener(reveille.xds());
    let client = envoy.client("web");
    wait_until("the routes are there", || client.get("/").status == 200);
    until_direct(&client);
    let unknown = envoy.client("other").get("/");
    assert_eq!(unknown.status, 404);
}

#[test]
fn routes_that_come_and_go_reach_envoy() {
    let reveille = with_envoy(Target::hello())
        .arg("--manifest-reload-interval", "50ms")
        .start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    let command = r#"[reveille, hello, --addr, "127.0.0.1:{port}"]"#;
    let both = format!("{}{}", Target::hello(), Target::new("more", command));
    std::fs::write(reveille.path("test.yaml"), both).expect("written");
    let more = envoy.client("more");
    wait_until("the new route is there", || more.get("/").status == 200);
    until_direct(&more);
    let only = Target::new("more", command).to_string();
    std::fs::write(reveille.path("test.yaml"), only).expect("written");
    let web = envoy.client("web");
    wait_until("the old route is gone", || web.get("/").status == 404);
    assert_eq!(more.get("/").status, 200);
    assert_eq!(envoy.stat("cluster_manager.cds.update_rejected"), 0);
}

#[test]
fn what_envoy_has_no_words_for_is_ours_and_harms_no_other() {
    let odd = "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: odd}
spec:
  target: {service: web, port: 80}
  rules:
  - {hosts: [odd.test], paths: [{value: \"/a?b\"}, {value: \"/a#b\"}, {value: \"/a b\"}, {value: /1/2/3/4/5/6/7/8/9}]}
  - {hosts: [odd.test], headers: [{name: x-a, value: \"1,2\"}]}
  - {hosts: [odd.test], headers: [{name: x-b, value: \"\"}]}
  scalingMetric: {concurrency: {targetValue: 100}}
";
    let manifest = format!("{}{odd}", Target::python().scaled("minReplicaCount: 1"));
    let reveille = with_envoy(manifest).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    let odd = envoy.client("odd");
    for path in ["/a%3Fb", "/a%23b/c", "/a%20b"] {
        let answer = odd.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.cold_start().is_some(), "{path} came through us");
    }
    assert_eq!(odd.get("/1/2/3/4/5/6/7/8/9/10").cold_start(), None);
    assert_eq!(odd.get("/a").status, 404);
    assert_eq!(envoy.stat("http.reveille.rds.reveille.update_rejected"), 0);
}
