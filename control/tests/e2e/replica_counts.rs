//! The counts that a ScaledObject sets: minimum, idle, maximum.

use crate::support::{Connection, Reveille, Target, TargetNow};

#[test]
fn a_minimum_of_one_is_started_at_boot_and_stays() {
    let reveille = Reveille::of(Target::hello().scaled("minReplicaCount: 1")).start();
    reveille.until("web", "one serves", |now| now.replicas() == (1, 1));
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("false")));
    // Idle, and polled since: it stays.
    reveille.until("web", "it is idle", |now| !now.active);
    assert_eq!(reveille.target("web").replicas(), (1, 1));
    assert_eq!(reveille.target("web").sleeps_in_seconds, None);
    reveille.stop();
}

#[test]
fn an_idle_count_of_zero_jumps_to_the_minimum_and_back() {
    let target = Target::hello()
        .scaled("idleReplicaCount: 0")
        .scaled("minReplicaCount: 2");
    let reveille = Reveille::of(target).start();
    assert!(reveille.target("web").is_asleep());
    assert_eq!(reveille.client("web").get("/").status, 200);
    reveille.until("web", "the minimum serves", |now| now.replicas() == (2, 2));
    let scaled = reveille.until_logged("scaled target=");
    assert!(scaled.contains("from=0 to=2"), "{scaled}");
    reveille.until_asleep("web");
    reveille.until_workloads(0);
}

#[test]
fn the_maximum_is_not_exceeded_whatever_is_asked() {
    let target = Target::python()
        .metric("concurrency: {targetValue: 1}")
        .scaled("maxReplicaCount: 2");
    let reveille = Reveille::of(target).start();
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..50)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    let all_served = |now: &TargetNow| now.held == 0 && now.replicas() == (2, 2);
    reveille.until("web", "two serve all", all_served);
    reveille.until("web", "the window is full of them", |now| {
        now.concurrency > 49.9
    });
    assert_eq!(reveille.target("web").replicas(), (2, 2));
    assert_eq!(reveille.workloads().len(), 2);
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
}
