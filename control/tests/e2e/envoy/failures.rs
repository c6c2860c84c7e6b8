//! Whoever dies, no client sees it.

use super::{StopOnDrop, both, seen_by_us, until_direct, with_envoy};
use crate::support::{Envoy, Target, backend_manifest, named_backend, wait_until};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

const WEB_ROUTE: &str = "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: web}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [web.test]}]
  scalingMetric: {concurrency: {targetValue: 100}}
";

#[test]
fn a_killed_backend_costs_no_get() {
    let reveille = with_envoy(Target::python().scaled("minReplicaCount: 1")).start();
    for envoy in both(&reveille) {
        until_direct(&envoy.client("web"));
        let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let client = || {
            let mut connection = envoy.client("web").connect();
            while !stop.load(Ordering::Relaxed) {
                connection.request("GET", "/");
                let answer = connection.answer();
                assert_eq!(answer.status, 200, "{answer:?}");
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            let _stops = StopOnDrop(&stop);
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
            for _ in 0..3 {
                let before = done.load(Ordering::Relaxed);
                wait_until("traffic runs, and goes straight", || {
                    let failed = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                    assert!(!failed, "a request failed");
                    done.load(Ordering::Relaxed) > before + 100
                        && envoy.client("web").get("/").cold_start().is_none()
                });
                let victims = reveille.workloads();
                victims.iter().for_each(|victim| reveille.kill(victim));
            }
            let before = done.load(Ordering::Relaxed);
            wait_until("traffic goes on", || {
                done.load(Ordering::Relaxed) > before + 100
            });
        });
    }
}

#[test]
fn warm_traffic_does_not_need_us() {
    let manifest = format!(
        "{}{WEB_ROUTE}",
        backend_manifest("web", named_backend("web"))
    );
    let start = |xds: &str| with_envoy(manifest.as_str()).set("--xds-addr", xds).start();
    let reveille = start("127.0.0.1:0");
    let xds = reveille.xds();
    let envoy = Envoy::of_fleet(xds);
    let client = envoy.client("web");
    until_direct(&client);
    drop(reveille);
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    let (cds, lds) = (
        "cluster_manager.cds.update_success",
        "listener_manager.lds.update_success",
    );
    let before = [envoy.stat(cds), envoy.stat(lds)];
    let again = start(&xds.to_string());
    wait_until("Envoy is back", || {
        again.metric("reveille_xds_clients") == Some(1.0)
    });
    wait_until("it reports again", || {
        again.metric("reveille_xds_reporting") == Some(1.0)
    });
    for _ in 0..10 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.cold_start()), (200, None));
    }
    // It had all of it, so nothing was sent but where our proxy is now.
    assert_eq!(envoy.stat(lds), before[1]);
    assert!(envoy.stat(cds) >= before[0]);
}

#[test]
fn fifty_times_to_sleep_and_awake_under_traffic_cost_no_request() {
    // One is asked all the time; ten others fall asleep after each request.
    let command = r#"[reveille, hello, --addr, "127.0.0.1:{port}"]"#;
    let sleepers: Vec<String> = (0..10).map(|nth| format!("naps{nth}")).collect();
    let sleeping = sleepers
        .iter()
        .map(|name| Target::new(name, command).to_string());
    let sleeping = sleeping.collect::<String>();
    let manifest = format!("{}{sleeping}", Target::python());
    let reveille = with_envoy(manifest)
        .set("--xds-load-grace", "100ms")
        .start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    let stop = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let _stops = StopOnDrop(&stop);
        let clients: Vec<_> = ["GET", "POST"]
            .into_iter()
            .map(|method| {
                let (envoy, stop, done) = (&envoy, &stop, &done);
                scope.spawn(move || {
                    let mut connection = envoy.client("web").connect();
                    while !stop.load(Ordering::Relaxed) {
                        connection.request(method, "/");
                        let answer = connection.answer();
                        assert_eq!(answer.status, 200, "{method}: {answer:?}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for cycle in 0..5 {
            let begin = |name: &String| envoy.client(name).begin("GET", "/");
            for mut connection in sleepers.iter().map(begin).collect::<Vec<_>>() {
                let answer = connection.answer();
                assert_eq!(answer.status, 200, "cycle {cycle}: {answer:?}");
            }
            for name in &sleepers {
                wait_until("it sleeps", || {
                    let failed = clients.iter().any(thread::ScopedJoinHandle::is_finished);
                    assert!(!failed, "a request failed");
                    reveille.target(name).is_asleep()
                });
            }
        }
    });
    assert!(done.load(Ordering::Relaxed) > 100);
}

#[test]
fn two_envoys_and_two_replicas_of_ours_agree() {
    let manifest = || {
        format!(
            "{}{}",
            backend_manifest("web", named_backend("web")),
            WEB_ROUTE
        )
    };
    let one = with_envoy(manifest()).start();
    let other = with_envoy(manifest())
        .arg("--peers", &one.grpc().to_string())
        .start();
    let envoys = [&one, &other].map(|reveille| Envoy::of_fleet(reveille.xds()));
    for (envoy, reveille) in envoys.iter().zip([&one, &other]) {
        until_direct(&envoy.client("web"));
        // Envoy reports what it sends from its first report on.
        wait_until("Envoy reports", || {
            reveille.metric("reveille_xds_load_reports_total") >= Some(3.0)
        });
        for _ in 0..50 {
            assert_eq!(envoy.client("web").get("/").status, 200);
        }
    }
    let ours = seen_by_us(&one) + seen_by_us(&other);
    let direct = |reveille: &crate::support::Reveille| {
        reveille
            .metric("reveille_xds_direct_requests_total")
            .unwrap_or(0.0)
    };
    wait_until("all is reported", || {
        direct(&one) + direct(&other) + ours >= 100.0
    });
}
