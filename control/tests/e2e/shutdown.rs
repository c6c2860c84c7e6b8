//! SIGTERM and SIGINT: what runs and what waits ends well, nobody is left
//! behind, and a second signal does not wait.

use crate::support::{Client, Reveille, Target, wait_until};
use rustix::process::Signal;

/// Ready once the file `go` is there.
fn gated() -> Target {
    let script = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    Target::new("web", script)
}

fn a_running_and_a_held_request_end_well(signal: Signal) {
    let mut gated = gated().to_string().replace("web", "gated");
    gated.push_str(&Target::python().to_string());
    let mut reveille = Reveille::of(gated).start();
    let mut running = reveille.client("web").begin("GET", "/stream/second-half");
    let (status, headers) = running.head().expect("a head");
    assert_eq!(status, 200);
    let mut held = reveille.client("gated").begin("GET", "/");
    reveille.until_held("gated", 1);

    reveille.signal(signal);
    Reveille::until_closed(reveille.proxy());
    // Both still go on.
    reveille.until("web", "it runs", |now| now.in_flight == 1);
    reveille.until("gated", "it waits", |now| now.held == 1);
    reveille.touch("go");
    let answer = held.answer();
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert_eq!(held.rest().expect("closed in order"), b"");
    reveille.touch("second-half");
    let body = running.rest_of(&headers).expect("the rest");
    assert!(body.starts_with(b"GET /stream/second-half "));
    assert_eq!(running.rest().expect("closed in order"), b"");
    reveille.wait_for_orderly_end();
}

#[test]
fn sigterm_lets_a_running_and_a_held_request_end_well() {
    a_running_and_a_held_request_end_well(Signal::TERM);
}

#[test]
fn sigint_does_the_same() {
    a_running_and_a_held_request_end_well(Signal::INT);
}

#[test]
fn at_the_drain_deadline_held_requests_get_503_and_running_ones_are_cut_off() {
    let mut targets = gated().to_string().replace("web", "gated");
    targets.push_str(&Target::python().to_string());
    let mut reveille = Reveille::of(targets)
        .arg("--drain-timeout", "300ms")
        .start();
    let mut running = reveille.client("web").begin("GET", "/stream/never");
    let (_, headers) = running.head().expect("a head");
    let mut held = reveille.client("gated").begin("GET", "/");
    reveille.until_held("gated", 1);
    reveille.signal(Signal::TERM);
    let answer = held.answer();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "Service Unavailable\n")
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("connection"), Some("close"));
    running
        .rest_of(&headers)
        .expect_err("cut off in the middle");
    reveille.wait_for_orderly_end();
    reveille.until_logged("the drain deadline passed");
}

#[test]
fn a_second_signal_ends_it_at_once_and_nobody_is_left() {
    for second in [Signal::TERM, Signal::INT] {
        let mut reveille = Reveille::of(Target::python()).start();
        let mut running = reveille.client("web").begin("GET", "/stream/never");
        running.head().expect("a head");
        reveille.until_workloads(1);
        reveille.begin_stop();
        reveille.signal(second);
        let status = reveille.wait();
        assert_eq!(status.code(), Some(1), "{status}");
        reveille.until_workloads(0);
        reveille.until_logged("during shutdown: exiting at once");
    }
}

#[test]
fn clients_of_any_port_that_never_finish_their_request_do_not_hold_up_the_end() {
    let mut reveille = Reveille::of(Target::hello())
        .arg("--drain-timeout", "300ms")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let addrs = [reveille.proxy(), reveille.grpc(), reveille.admin()];
    let silent = addrs.map(|addr| Client::new(addr, "x").connect());
    let half_said = addrs.map(|addr| {
        let mut connection = Client::new(addr, "x").connect();
        connection.send(b"GET /li");
        connection
    });
    let idle = addrs.map(|addr| {
        let mut connection = Client::new(addr, "x").connect();
        connection.send(b"GET /livez HTTP/1.1\r\nHost: web.test\r\n\r\n");
        connection
    });
    wait_until("the proxy knows its clients", || {
        let metrics = reveille.ask("/metrics").body;
        metrics.contains("reveille_client_connections 3\n")
    });
    reveille.signal(Signal::TERM);
    reveille.wait_for_orderly_end();
    drop((silent, half_said, idle));
}

#[test]
fn what_a_workload_says_on_its_way_out_is_logged() {
    let script = "trap 'echo good bye; exit 0' TERM; python3 -B server.py & wait";
    let target =
        Target::new("web", &format!("[sh, -c, \"{script}\"]")).scaled("minReplicaCount: 1");
    let mut reveille = Reveille::of(target).start();
    reveille.until_warm("web");
    reveille.signal(Signal::TERM);
    reveille.wait_for_orderly_end();
    assert!(reveille.log().contains("good bye"), "not logged");
}
