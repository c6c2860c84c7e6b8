//! Processes that are edited: replaced where they would be others, and left
//! alone where not.

use super::{edit, following};
use crate::support::{Reveille, Target};
use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

const CLIENTS: usize = 4;

fn two(line: &str) -> Target {
    Target::python().scaled("minReplicaCount: 2").process(line)
}

fn two_replicas() -> Reveille {
    let reveille = following(two("env: {GENERATION: '1'}")).start();
    reveille.until("web", "two replicas serve", |now| now.replicas() == (2, 2));
    reveille
}

fn pids(reveille: &Reveille) -> HashSet<u32> {
    let living = reveille.workloads().into_iter();
    living.map(|process| process.pid).collect()
}

#[test]
fn another_command_or_environment_replaces_all_replicas_without_a_lost_request() {
    let reveille = two_replicas();
    let before = pids(&reveille);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = || {
        let mut connection = reveille.client("web").connect();
        while !stop.load(Ordering::Relaxed) {
            connection.request("GET", "/");
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{answer:?}");
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for edited in [
            two("env: {GENERATION: '2'}").to_string(),
            two("env: {GENERATION: '2'}")
                .to_string()
                .replace("[python3, -B, server.py]", "[python3, -B, -u, server.py]"),
        ] {
            let old = pids(&reveille);
            edit(&reveille, edited);
            let at_edit = done.load(Ordering::Relaxed);
            reveille.until("web", "others have taken over", |now| {
                assert!(now.replicas().1 >= 2, "never fewer: {now:?}");
                assert!(
                    !clients.iter().any(thread::ScopedJoinHandle::is_finished),
                    "a request failed"
                );
                let living = pids(&reveille);
                now.replicas() == (2, 2) && living.len() == 2 && living.is_disjoint(&old)
            });
            reveille.until("web", "traffic runs on them", |_| {
                done.load(Ordering::Relaxed) > at_edit + 100
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(pids(&reveille).is_disjoint(&before));
    assert!(!reveille.log().contains("ended on its own"));
    reveille.stop();
}

#[test]
fn a_request_under_way_ends_on_the_replica_that_it_is_on() {
    let grace = "terminationGracePeriod: 60s";
    let target = || Target::python().process(grace);
    let reveille = following(target()).start();
    let mut slow = reveille.client("web").begin("GET", "/wait/finish");
    reveille.until("web", "it is on its way", |now| {
        now.endpoints.iter().any(|endpoint| endpoint.in_flight == 1)
    });
    let old = reveille.workloads()[0].pid;
    edit(&reveille, target().process("env: {A: b}"));
    reveille.until("web", "another one serves", |now| {
        now.endpoints.iter().all(|endpoint| endpoint.in_flight == 0)
    });
    assert!(pids(&reveille).contains(&old));
    let fresh = reveille.client("web").get("/fresh").body;
    assert!(!fresh.contains(&format!(" {old} ")), "{fresh}");
    reveille.touch("finish");
    assert_eq!(slow.answer().body, format!("GET /wait/finish {old} \n"));
    reveille.until("web", "it is gone", |_| !pids(&reveille).contains(&old));
}

#[test]
fn bounds_and_times_restart_nobody() {
    let reveille = two_replicas();
    let before = pids(&reveille);
    let edited = Target::python()
        .process("env: {GENERATION: '1'}")
        .process("startTimeout: 30s")
        .process("terminationGracePeriod: 1s")
        .scaled("minReplicaCount: 3")
        .scaled("maxReplicaCount: 4");
    edit(&reveille, edited);
    reveille.until("web", "there is one more", |now| now.replicas() == (3, 3));
    assert!(pids(&reveille).is_superset(&before));
    edit(
        &reveille,
        two("env: {GENERATION: '1'}").scaled("maxReplicaCount: 2"),
    );
    reveille.until("web", "there is one less", |now| now.replicas() == (2, 2));
    reveille.until_workloads(2);
    assert_eq!(pids(&reveille), before);
}

#[test]
fn one_whose_starts_keep_failing_gets_a_fresh_try() {
    let reveille = following(Target::new("web", "['false']")).start();
    let mut held = reveille.client("web").begin("GET", "/");
    assert_eq!(held.answer().status, 503);
    reveille.until("web", "it is given up", |now| now.state == "failing");
    edit(&reveille, Target::python());
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
}

#[test]
fn one_that_becomes_a_backend_leaves_its_name_to_it() {
    let backend = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = Target::python().scaled("minReplicaCount: 1");
    let manifest = target.to_string();
    let reveille = following(manifest.clone()).start();
    reveille.until_warm("web");
    let route = manifest
        .split("---\n")
        .nth(1)
        .expect("the route comes first");
    let addr = backend.local_addr().expect("bound");
    let fixed = format!(
        "{route}---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: web}}
spec: {{addresses: ['{addr}']}}
"
    );
    edit(&reveille, fixed);
    let now = reveille.target("web");
    assert!(now.replicas.is_none() && now.scaled_object.is_none());
    assert_eq!(now.endpoints[0].address, addr.to_string());
    reveille.until_workloads(0);
    edit(&reveille, manifest);
    reveille.until("web", "its process is back", |now| now.replicas() == (1, 1));
}
