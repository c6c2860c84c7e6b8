//! A replica that dies in the middle of traffic costs no request that may be
//! sent again.

use crate::support::{Connection, Reveille, Target, wait_until};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

const CLIENTS: usize = 8;

/// Two replicas, both at work.
fn two_replicas() -> Reveille {
    let reveille = Reveille::of(Target::python().scaled("minReplicaCount: 2")).start();
    reveille.until("web", "two replicas serve", |now| now.replicas() == (2, 2));
    reveille
}

#[test]
fn killing_one_and_then_the_other_costs_no_get() {
    let reveille = two_replicas();
    let (done, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Traffic goes on until both were killed and came back, then 20 more each.
    let client = || {
        let mut connection = reveille.client("web").connect();
        let mut left = 20;
        while left > 0 {
            connection.request("GET", "/");
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{answer:?}");
            done.fetch_add(1, Ordering::Relaxed);
            left -= usize::from(killed.load(Ordering::Relaxed) == 2);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for victim in reveille.until_workloads(2) {
            let before = done.load(Ordering::Relaxed);
            reveille.until("web", "traffic runs on two replicas", |now| {
                let gone_on = done.load(Ordering::Relaxed) >= before + 100;
                assert!(
                    !clients.iter().any(thread::ScopedJoinHandle::is_finished),
                    "a request failed"
                );
                gone_on && now.replicas() == (2, 2)
            });
            reveille.kill(&victim);
            reveille.until("web", "one of them is known to be dead", |now| {
                now.replicas().1 < 2
            });
        }
        reveille.until("web", "both are back", |now| now.replicas() == (2, 2));
        killed.store(2, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) >= 200);
    assert_eq!(reveille.log().matches("ended on its own").count(), 2);
}

#[test]
fn gets_under_way_on_a_killed_replica_are_answered_by_the_other() {
    let reveille = two_replicas();
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..200)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    reveille.until("web", "all are on endpoints", |now| {
        now.endpoints.iter().map(|e| e.in_flight).sum::<u64>() == 200
    });
    reveille.kill(&reveille.until_workloads(2)[0]);
    reveille.until("web", "all are on endpoints again", |now| {
        now.replicas().1 == 2 && now.endpoints.iter().map(|e| e.in_flight).sum::<u64>() == 200
    });
    reveille.touch("answer-all");
    for connection in &mut open {
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn when_all_are_killed_requests_wait_for_the_next_one() {
    let reveille = two_replicas();
    let client = reveille.client("web");
    // Warm connections to both, which the kill breaks.
    let mut open: Vec<Connection> = (0..20).map(|_| client.begin("GET", "/")).collect();
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    for victim in reveille.until_workloads(2) {
        reveille.kill(&victim);
    }
    for connection in &mut open {
        connection.request("GET", "/");
    }
    for connection in &mut open {
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn idle_connections_that_break_one_after_the_other_cost_a_get_nothing() {
    // As a process that dies: each of its first four connections takes a
    // second request and breaks.
    let brittle = "
import itertools, server, socket
whole, number = server.talk, itertools.count()
def talk(connection, reader, request):
    if next(number) >= 4:
        return whole(connection, reader, request)
    (method, path), body = request
    server.answer(connection, method, path, body)
    server.read_request(reader)
    connection.shutdown(socket.SHUT_RDWR)
server.talk = talk
server.serve()
";
    let target = Target::new("web", "[python3, -B, brittle.py]").scaled("minReplicaCount: 1");
    let reveille = Reveille::of(target)
        .file("brittle.py", brittle)
        .arg("--workers", "1")
        .start();
    reveille.until_warm("web");
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..4).map(|_| client.begin("GET", "/wait/go")).collect();
    reveille.until("web", "all are on the endpoint", |now| {
        now.endpoints.iter().all(|e| e.in_flight == 4)
    });
    reveille.touch("go");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    wait_until("four connections are idle", || {
        let page = reveille.ask("/metrics").body;
        page.contains("state=\"idle\"} 4\n")
    });
    let answer = client.get("/");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_post_under_way_is_not_sent_twice() {
    let reveille = Reveille::of(Target::python().scaled("maxReplicaCount: 1")).start();
    let mut post = reveille.client("web").begin("POST", "/wait/never");
    reveille.until("web", "it is on the endpoint", |now| {
        now.endpoints.iter().any(|endpoint| endpoint.in_flight == 1)
    });
    wait_until("the workload has it", || {
        !reveille.lines("requests").is_empty()
    });
    reveille.kill(&reveille.until_workloads(1)[0]);
    let answer = post.answer();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (502, "Bad Gateway\n")
    );
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.lines("requests"), ["POST /wait/never", "GET /"]);
}
