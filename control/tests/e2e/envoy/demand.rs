//! Demand that only Envoy sees, and what KEDA makes of it.

use super::{seen_by_us, until_direct, with_envoy};
use crate::support::{Connection, Envoy, Target, wait_until};

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
