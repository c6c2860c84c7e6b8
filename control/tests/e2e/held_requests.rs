//! Requests that wait: in order of arrival, within bounds, until they give up.

use crate::support::{Answer, Connection, Reveille, Target};

/// A target that is on its way up and never arrives.
fn never_ready() -> Target {
    Target::new("web", "[sleep, '1000']")
}

fn assert_refused(answer: &Answer, status: u16, retry_after: &str, body: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some(retry_after));
    assert_eq!(answer.body, body);
    assert_eq!(answer.cold_start(), None);
}

#[test]
fn three_hundred_reach_the_workload_in_the_order_of_their_arrival() {
    let gated = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let target = Target::new("web", gated).scaled("maxReplicaCount: 1");
    let reveille = Reveille::of(target).arg("--workers", "1").start();
    let client = reveille.client("web");
    let mut held: Vec<Connection> = Vec::new();
    for number in 0..300 {
        held.push(client.begin("GET", &format!("/close/{number}")));
        reveille.until_held("web", number + 1);
    }
    reveille.touch("go");
    for connection in &mut held {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    }
    let wanted: Vec<String> = (0..300)
        .map(|number| format!("GET /close/{number}"))
        .collect();
    assert_eq!(reveille.lines("requests"), wanted);
}

#[test]
fn a_client_that_leaves_frees_its_place_and_its_request_goes_nowhere() {
    let gated = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let reveille = Reveille::of(Target::new("web", gated))
        .arg("--max-held-per-target", "2")
        .start();
    let client = reveille.client("web");
    let leaves = client.begin("GET", "/leaves");
    reveille.until_held("web", 1);
    // With a body that nobody has read: hyper alone would not notice.
    let mut leaves_too = client.connect();
    leaves_too
        .send(b"POST /leaves-too HTTP/1.1\r\nHost: web.test\r\nContent-Length: 4\r\n\r\nbody");
    reveille.until_held("web", 2);
    assert_eq!(client.get("/no-place").status, 503);

    leaves.leave();
    reveille.until_held("web", 1);
    leaves_too.leave();
    reveille.until_held("web", 0);
    let mut first = client.begin("GET", "/first");
    reveille.until_held("web", 1);
    let mut second = client.begin("GET", "/second");
    reveille.until_held("web", 2);
    reveille.touch("go");
    assert_eq!(first.answer().status, 200);
    assert_eq!(second.answer().status, 200);
    let mut served = reveille.lines("requests");
    served.sort();
    assert_eq!(served, ["GET /first", "GET /second"]);
    let metrics = reveille.ask("/metrics").body;
    assert!(metrics.contains(r#"interceptor_request_count_total{code="499",method="GET""#));
    assert!(metrics.contains(r#"interceptor_request_count_total{code="499",method="POST""#));
}

#[test]
fn the_third_of_two_places_is_refused_at_once() {
    let reveille = Reveille::of(never_ready())
        .arg("--max-held-per-target", "2")
        .start();
    let client = reveille.client("web");
    let held = [client.begin("GET", "/"), client.begin("GET", "/")];
    reveille.until_held("web", 2);
    assert_refused(&client.get("/"), 503, "1", "too many pending requests\n");
    assert_eq!(reveille.target("web").held, 2);
    drop(held);
}

#[test]
fn the_bound_on_all_targets_counts_their_sum() {
    let two = format!(
        "{}{}",
        Target::new("a", "[sleep, '1000']"),
        Target::new("b", "[sleep, '1000']")
    );
    let reveille = Reveille::of(two).arg("--max-held", "2").start();
    let held = ["a", "b"].map(|name| reveille.client(name).begin("GET", "/"));
    reveille.until_held("a", 1);
    reveille.until_held("b", 1);
    let refused = reveille.client("a").get("/");
    assert_refused(&refused, 503, "1", "too many pending requests\n");
    drop(held);
}

#[test]
fn the_readiness_timeout_ends_the_wait() {
    let target = never_ready().route("timeouts: {readiness: 200ms}");
    let reveille = Reveille::of(target).start();
    let answer = reveille.client("web").get("/");
    assert_refused(&answer, 504, "1", "Gateway Timeout\n");
    reveille.until_held("web", 0);
}

#[test]
fn the_default_readiness_timeout_holds_where_the_route_has_none() {
    let reveille = Reveille::of(never_ready())
        .arg("--readiness-timeout", "200ms")
        .start();
    let answer = reveille.client("web").get("/");
    assert_refused(&answer, 504, "1", "Gateway Timeout\n");
}
