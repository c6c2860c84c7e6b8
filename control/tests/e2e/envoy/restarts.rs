//! An Envoy that is killed and started again, as the same node.

use super::{StopOnDrop, until_direct, with_envoy};
use crate::support::{Bootstrap, Connection, Envoy, Reveille, Target, wait_until};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Reports that came.
fn reports(reveille: &Reveille) -> f64 {
    let reports = reveille.metric("reveille_xds_load_reports_total");
    reports.unwrap_or(0.0)
}

fn until_reported(reveille: &Reveille, more: f64) {
    let before = reports(reveille);
    wait_until("Envoy has reported since", || {
        reports(reveille) >= before + more
    });
}

fn open(envoy: &Envoy, count: usize) -> Vec<Connection> {
    let client = envoy.client("web");
    let open = (0..count).map(|_| client.begin("GET", "/wait/answer-all"));
    open.collect()
}

#[test]
fn what_a_restarted_envoy_has_in_flight_is_counted_once_and_keeps_its_target_awake() {
    // What the first process had would count on for longer than the test waits.
    let reveille = with_envoy(Target::python())
        .set("--xds-load-grace", "60s")
        .start();
    let mut envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    let lost = open(&envoy, 30);
    let at_once = |count: f64| {
        reveille.until("web", &format!("{count} are in flight"), |now| {
            (now.concurrency - count).abs() < 0.1
        });
    };
    at_once(30.0);
    envoy.restart();
    until_direct(&envoy.client("web"));
    let _open = open(&envoy, 20);
    at_once(20.0);
    until_reported(&reveille, 10.0);
    at_once(20.0);
    assert!(!reveille.target("web").is_asleep());
    assert_eq!(reveille.metric("reveille_xds_clients"), Some(1.0));
    assert_eq!(reveille.metric("reveille_xds_reporting"), Some(1.0));
    drop(lost);
}

#[test]
fn a_restarted_envoy_is_served_again_and_harms_no_other() {
    let reveille = with_envoy(Target::python()).start();
    for variant in [Bootstrap::clone, |fleet: &Bootstrap| {
        fleet.clone().whole_states()
    }] {
        let fleet = variant(&Bootstrap::fleet(reveille.xds()));
        let (mut restarted, other) = (fleet.start("restarted"), fleet.start("other"));
        until_direct(&restarted.client("web"));
        until_direct(&other.client("web"));
        let steady = other.client("web");
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stops = StopOnDrop(&stop);
            scope.spawn(|| {
                let mut connection = steady.connect();
                while !stop.load(Ordering::Relaxed) {
                    connection.request("GET", "/");
                    let answer = connection.answer();
                    assert_eq!((answer.status, answer.cold_start()), (200, None));
                }
            });
            for _ in 0..3 {
                let lost = open(&restarted, 5);
                until_reported(&reveille, 4.0);
                restarted.restart();
                until_direct(&restarted.client("web"));
                wait_until("both report", || {
                    reveille.metric("reveille_xds_reporting") == Some(2.0)
                });
                drop(lost);
            }
        });
        // Nothing that the killed ones had keeps it awake.
        reveille.until_asleep("web");
        reveille.until_workloads(0);
        assert_eq!(restarted.client("web").get("/").status, 200);
        reveille.until_asleep("web");
    }
}

#[test]
fn an_envoy_that_is_gone_for_good_keeps_nothing_awake() {
    let reveille = with_envoy(Target::python()).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    let lost = open(&envoy, 5);
    reveille.until("web", "they are in flight", |now| {
        (now.concurrency - 5.0).abs() < 0.1
    });
    drop(envoy);
    reveille.until_asleep("web");
    reveille.until_workloads(0);
    drop(lost);
}
