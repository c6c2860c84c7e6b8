//! Demand that only Envoy sees, and what KEDA makes of it.

use super::{seen_by_us, until_direct, with_envoy};
use crate::{
    kubernetes::keda::Keda,
    support::{Connection, Envoy, Pod, Reveille, Target, backend_manifest, wait_until},
};

/// What KEDA hears of that metric of a target.
fn told(keda: &mut Keda, metric: &str) -> f64 {
    let values = keda.metrics(metric).expect("an answer");
    values.first().expect("a value").metric_value_float
}

/// Waits until Envoy has counted all clusters for a while: it reports what it
/// sends to a new one from its next report on.
fn until_counting(reveille: &Reveille) {
    let reports = || reveille.metric("reveille_xds_load_reports_total");
    let before = reports().unwrap_or(0.0);
    wait_until("Envoy counts", || reports().unwrap_or(0.0) >= before + 2.0);
}

#[test]
fn the_rate_that_keda_hears_is_that_of_the_requests_at_the_backend() {
    // Of two targets as old as each other one is asked through Envoy alone and
    // one through our proxy, whose count is exact.
    let pods = ["web", "ours"].map(Pod::start);
    let route = |pod: &Pod| {
        let name = &pod.name;
        let backend = backend_manifest(name, pod.addr());
        format!(
            "{backend}---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {name}, port: 80}}
  rules: [{{hosts: [{name}.test]}}]
  scalingMetric: {{requestRate: {{targetValue: 20}}}}
"
        )
    };
    let reveille = with_envoy(pods.iter().map(route).collect::<String>()).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    until_counting(&reveille);
    let before = seen_by_us(&reveille);
    for client in [envoy.client("web"), reveille.client("ours")] {
        let mut connection = client.connect();
        for _ in 0..500 {
            connection.request("GET", "/");
            assert_eq!(connection.answer().status, 200);
        }
    }
    assert_eq!(seen_by_us(&reveille), before, "all of them went straight");
    wait_until("all is reported", || {
        reveille.metric("reveille_xds_direct_requests_total") >= Some(500.0)
    });
    // A report is told by when the next one comes.
    until_counting(&reveille);
    let of = |name| Keda::asks_for(&reveille, &[("interceptorRoute", name)]);
    let (mut web, mut ours) = (of("web"), of("ours"));
    // A rate falls while the window gets longer: the truth is between two.
    let earlier = told(&mut ours, "http_ours_rate");
    let rate = told(&mut web, "http_web_rate");
    let later = told(&mut ours, "http_ours_rate");
    let [at_web, at_ours] = pods.each_ref().map(|pod| pod.requests() as f64);
    let truth = |ours: f64| ours * at_web / at_ours;
    let (most, least) = (truth(earlier) * 1.02, truth(later) * 0.98);
    assert!(
        (least..=most).contains(&rate),
        "{rate}, not {least} to {most}: {at_web} and {at_ours} requests"
    );
    assert!(web.is_active().expect("an answer"));
}

#[test]
fn the_concurrency_that_keda_hears_is_what_the_backend_holds() {
    let reveille = with_envoy(Target::python()).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    until_direct(&client);
    let before = seen_by_us(&reveille);
    let mut open: Vec<Connection> = (0..50)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    let held = || {
        let lines = reveille.lines("requests");
        lines.iter().filter(|line| line.contains("/wait/")).count() as f64
    };
    wait_until("the backend holds all", || held() == 50.0);
    let mut keda = Keda::asks_for(&reveille, &[("interceptorRoute", "web")]);
    let mut most: f64 = 0.0;
    wait_until("KEDA hears of them", || {
        most = most.max(told(&mut keda, "http_web_concurrency"));
        most >= 0.9 * held()
    });
    assert!(most <= 1.1 * held(), "{most} of {}", held());
    assert_eq!(seen_by_us(&reveille), before, "all of them went straight");
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    wait_until("KEDA hears that they are gone", || {
        told(&mut keda, "http_web_concurrency") < 1.0
    });
}

#[test]
fn traffic_through_envoy_alone_keeps_a_target_awake_and_its_end_puts_it_to_sleep() {
    let reveille = with_envoy(Target::python().scaled("maxReplicaCount: 10")).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    until_direct(&client);
    let before = seen_by_us(&reveille);
    let mut open: Vec<Connection> = (0..250)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    reveille.until("web", "what is open at Envoy asks for three", |now| {
        now.replicas() == (3, 3)
    });
    reveille.until("web", "the window is full of them", |now| {
        (now.concurrency - 250.0).abs() < 1.0
    });
    assert_eq!(seen_by_us(&reveille), before, "all of them went straight");
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    reveille.until_asleep("web");
    reveille.until_workloads(0);
}

#[test]
fn what_envoy_passes_on_to_us_is_counted_once() {
    let reveille = with_envoy(Target::python()).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    // Held by us, and then on their way through us: Envoy knows of them, too.
    let open: Vec<Connection> = (0..5).map(|_| client.begin("GET", "/wait/never")).collect();
    reveille.until("web", "the window is full of them", |now| {
        now.held == 0 && (now.concurrency - 5.0).abs() < 0.01
    });
    let reports = || reveille.metric("reveille_xds_load_reports_total");
    let before = reports().unwrap_or(0.0);
    wait_until("Envoy has reported since", || {
        reports().unwrap_or(0.0) >= before + 20.0
    });
    let now = reveille.target("web");
    assert!((now.concurrency - 5.0).abs() < 0.01, "{now:#?}");
    assert_eq!(
        reveille.metric("reveille_xds_direct_requests_total"),
        Some(0.0)
    );
    drop(open);
}

#[test]
fn two_envoys_are_added_up() {
    let reveille = with_envoy(Target::python()).start();
    let envoys = [0, 1].map(|_| Envoy::of_fleet(reveille.xds()));
    let mut open = Vec::new();
    for envoy in &envoys {
        let client = envoy.client("web");
        until_direct(&client);
        open.extend((0..20).map(|_| client.begin("GET", "/wait/never")));
    }
    reveille.until("web", "40 are in flight", |now| {
        (now.concurrency - 40.0).abs() < 0.1
    });
    assert_eq!(reveille.metric("reveille_xds_reporting"), Some(2.0));
    let [gone, stays] = envoys;
    drop(gone);
    // First for the grace, then no more.
    reveille.until("web", "those of one Envoy are left", |now| {
        (now.concurrency - 20.0).abs() < 0.1
    });
    drop(stays);
}
