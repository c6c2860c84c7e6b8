//! A process that is woken and scaled by metrics that are sent, not by
//! requests.

use crate::{
    ingest::{gauge, post},
    support::{Reveille, Target},
};
use std::net::SocketAddr;

/// The target `web`, scaled by the length of a queue and by nothing else.
fn scaled_by_queue(more: &str) -> Reveille {
    let query = format!("metricQuery: queue.depth, targetValue: '2'{more}");
    let manifest = Target::hello().to_string();
    let manifest = manifest.replace("interceptorRoute: web", &query);
    Reveille::of(manifest)
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .start()
}

fn queue(reveille: &Reveille, value: i64) {
    let (_, otlp) = reveille.otlp();
    let otlp: SocketAddr = otlp.expect("it was asked for");
    let answer = post(otlp, &gauge("queue.depth", "a", value));
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
}

#[test]
fn a_gauge_wakes_and_scales_a_process_and_zero_puts_it_to_sleep() {
    let reveille = scaled_by_queue("");
    reveille.until_asleep("web");
    queue(&reveille, 6);
    reveille.until("web", "three replicas serve", |now| {
        now.replicas() == (3, 3)
    });
    queue(&reveille, 0);
    reveille.until_asleep("web");
    reveille.until_workloads(0);
    reveille.stop();
}

#[test]
fn a_process_without_a_route_is_scaled_by_metrics_alone() {
    let manifest = "\
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: worker}
spec: {command: [reveille, hello, --addr, \"127.0.0.1:{port}\"]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: worker}
spec:
  scaleTargetRef: {name: worker}
  pollingInterval: 1
  cooldownPeriod: 0
  triggers:
  - type: external-push
    metadata: {scalerAddress: \"reveille-scaler.keda:9090\", metricQuery: queue.depth, targetValue: '2'}
";
    let reveille = Reveille::of(manifest)
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .start();
    assert!(reveille.targets().is_empty());
    queue(&reveille, 4);
    reveille.until_replicas("worker", 2);
    queue(&reveille, 0);
    reveille.until_replicas("worker", 0);
    reveille.until_workloads(0);
    reveille.stop();
}

#[test]
fn a_gauge_that_is_no_longer_sent_counts_as_zero_after_its_window() {
    let reveille = scaled_by_queue(", window: 1s");
    reveille.until("web", "it is woken", |now| {
        queue(&reveille, 1);
        now.replicas() == (1, 1)
    });
    reveille.until_asleep("web");
    reveille.stop();
}
