//! Replicas follow demand: up to what the HPA's formula says, down to zero
//! after the cooldown, and never while somebody is served.

use crate::support::{Connection, Reveille, Target, wait_until};

#[test]
fn concurrency_of_300_at_100_each_makes_three_replicas_and_silence_none() {
    let target = Target::python().scaled("maxReplicaCount: 10");
    let reveille = Reveille::of(target).start();
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..300)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    reveille.until("web", "three replicas serve", |now| {
        now.replicas() == (3, 3)
    });
    // All of them came through, and the number stays what the formula says.
    reveille.until("web", "all are on endpoints", |now| {
        now.held == 0 && now.endpoints.iter().map(|e| e.in_flight).sum::<u64>() == 300
    });
    reveille.until("web", "the window is full of them", |now| {
        (now.concurrency - 300.0).abs() < 0.001
    });
    assert_eq!(reveille.target("web").replicas(), (3, 3));
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    reveille.until_asleep("web");
    reveille.until_workloads(0);
    reveille.stop();
}

#[test]
fn a_burst_at_a_fresh_target_makes_as_many_replicas_as_its_rate_over_a_second_needs() {
    let rate = "requestRate: {targetValue: 20, window: 10s}";
    let target = Target::python().metric(rate).scaled("maxReplicaCount: 50");
    let reveille = Reveille::of(target).start();
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..58)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    reveille.until("web", "more than one replica serves", |now| {
        let (wanted, ready) = now.replicas();
        wanted > 1 && wanted == ready
    });
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    // How much of the first second was over when the HPA looked is the
    // machine's choice; the formula, and the most that 58 requests can be per
    // second, are not.
    let line = reveille.until_logged("http_web_rate is ");
    let seen: f64 = field(&line, "http_web_rate is ").parse().expect("a rate");
    let to: f64 = field(&line, " to=").parse().expect("replicas");
    assert!(seen <= 58.0, "{line}");
    assert_eq!(to, (seen / 20.0).ceil(), "{line}");
    reveille.until_asleep("web");
}

/// The word that follows `name` in a log line.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(name).expect("it is there");
    rest.split([' ', ',']).next().unwrap_or_default()
}

#[test]
fn a_slow_answer_keeps_its_target_awake_until_it_ends() {
    let reveille = Reveille::of(Target::python()).start();
    let mut slow = reveille.client("web").begin("GET", "/stream/second-half");
    let (status, headers) = slow.head().expect("the head comes at once");
    assert_eq!(status, 200, "{headers:?}");
    // Without the request the target would be put to sleep by the first poll
    // that is later than the activity window; let several pass.
    let polls = |reveille: &Reveille| -> u64 {
        let metrics = reveille.ask("/metrics").body;
        let line = metrics
            .lines()
            .find(|line| {
                line.starts_with("reveille_scaler_calls_total") && line.contains(r#""IsActive""#)
            })
            .map(|line| line.rsplit_once(' ').expect("a value").1.to_owned());
        line.map_or(0, |count| count.parse().expect("a count"))
    };
    let before = polls(&reveille);
    wait_until("KEDA has asked three times", || {
        let now = reveille.target("web");
        assert_eq!((now.state.as_str(), now.in_flight), ("warm", 1), "{now:#?}");
        polls(&reveille) >= before + 3
    });
    let process = reveille.until_workloads(1);
    reveille.touch("second-half");
    let body = String::from_utf8(slow.rest_of(&headers).expect("the rest")).expect("text");
    assert_eq!(
        body,
        format!("GET /stream/second-half {} \n", process[0].pid)
    );
    reveille.until_asleep("web");
    reveille.until_workloads(0);
}

#[test]
fn the_cooldown_delays_sleep() {
    let target = Target::hello().scaled("cooldownPeriod: 1");
    let reveille = Reveille::of(target).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    reveille.until("web", "it is idle but awake", |now| {
        !now.active && now.state == "warm" && now.sleeps_in_seconds.is_some()
    });
    reveille.until_asleep("web");
    let why = reveille.until_logged("no demand for");
    assert!(!why.contains("no demand for 0 s"), "{why}");
}
