//! `/api/v1/targets`: what is shown is what is.

use crate::support::{PATIENCE, Reveille, Target, wait_until};

#[test]
fn a_target_is_seen_cold_waking_warm_and_cold_again() {
    let script = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let target = Target::new("web", script).scaled("cooldownPeriod: 1");
    let reveille = Reveille::of(target).start();
    let cold = reveille.target("web");
    assert_eq!(
        (cold.name.as_str(), cold.state.as_str()),
        ("default/web", "cold")
    );
    assert_eq!((cold.held, cold.in_flight, cold.active), (0, 0, false));
    assert_eq!((cold.concurrency, cold.request_rate), (0.0, 0.0));
    assert_eq!(cold.replicas(), (0, 0));
    assert!(cold.endpoints.is_empty() && cold.reason.is_none());
    assert_eq!(
        (cold.last_cold_start_seconds, cold.sleeps_in_seconds),
        (None, None)
    );
    assert_eq!(cold.scaled_object.as_deref(), Some("default/web"));

    let mut held = reveille.client("web").begin("GET", "/wait/answer");
    let waking = reveille.until("web", "it wakes", |now| now.replicas() == (1, 0));
    assert_eq!((waking.state.as_str(), waking.held), ("waking", 1));
    assert_eq!((waking.in_flight, waking.active), (1, true));
    assert!(waking.concurrency >= 1.0, "who waits counts in full");
    assert!(waking.request_rate > 0.0);

    reveille.touch("go");
    let warm = reveille.until("web", "its endpoint is busy", |now| {
        now.endpoints.iter().any(|endpoint| endpoint.in_flight == 1)
    });
    assert_eq!(
        (warm.state.as_str(), warm.held, warm.in_flight),
        ("warm", 0, 1)
    );
    assert_eq!((warm.replicas(), warm.endpoints.len()), ((1, 1), 1));
    let endpoint = &warm.endpoints[0];
    assert_eq!(
        (endpoint.name.as_str(), endpoint.ejected),
        ("default/web-0", false)
    );
    assert!(endpoint.address.starts_with("127.0.0.1:"));
    assert!(warm.last_cold_start_seconds.expect("there was one") > 0.0);
    assert!(warm.sleeps_in_seconds.is_some());
    let told = warm.told.expect("the autoscaler asks");
    assert_eq!((told.active, told.error), (Some(true), None));
    assert!(told.ago_seconds < PATIENCE.as_secs_f64());
    reveille.until("web", "the autoscaler read its metric", |now| {
        let told = now.told.as_ref().expect("the autoscaler asks");
        told.metrics.contains_key("http_web_concurrency")
    });

    reveille.touch("answer");
    assert_eq!(held.answer().status, 200);
    let asleep = reveille.until_asleep("web");
    assert_eq!((asleep.in_flight, asleep.active), (0, false));
    assert!(asleep.endpoints.is_empty());
    assert!(asleep.last_cold_start_seconds.is_some());
    reveille.until_workloads(0);
}

#[test]
fn an_endpoint_that_refuses_connections_is_shown_as_ejected_and_its_target_as_failing() {
    // The discard port: below the range that anything here listens on.
    let refuses = "127.0.0.1:9";
    let manifest = format!(
        "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: web}}
spec:
  target: {{service: web, port: 80}}
  rules: [{{hosts: [web.test]}}]
  scalingMetric: {{concurrency: {{targetValue: 1}}}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: web}}
spec: {{addresses: [\"{refuses}\"]}}
"
    );
    let reveille = Reveille::of(manifest).start();
    let held = reveille.client("web").begin("GET", "/");
    let failing = reveille.until("web", "it is failing", |now| now.state == "failing");
    assert_eq!(
        failing.reason.as_deref(),
        Some("all endpoints refuse connections")
    );
    let endpoint = &failing.endpoints[0];
    assert!(endpoint.ejected && !endpoint.ejected_for_answers);
    reveille.until_held("web", 1);
    held.leave();
    reveille.until_held("web", 0);
    wait_until("it is measured", || {
        let page = reveille.ask("/metrics").body;
        page.contains("reveille_upstream_connect_failures_total{route_name=\"web\"")
    });
}
