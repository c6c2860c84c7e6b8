//! The log: readable for machines where that is asked for.

use crate::{
    ingest::{gauge, post},
    support::{Reveille, Target},
};
use serde_json::Value;

#[test]
fn in_json_every_line_is_an_object_with_level_message_and_fields() {
    let script = "import server; print('a \\\"quoted\\\" line', flush=True); server.serve()";
    let target = Target::new("web", &format!("[python3, -B, -c, \"{script}\"]"));
    let mut reveille = Reveille::of(target).arg("--log-format", "json").start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    reveille.until_logged("quoted");
    reveille.signal(rustix::process::Signal::TERM);
    reveille.wait_for_orderly_end();
    let log = reveille.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(
            line["level"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
        assert!(line["message"].is_string(), "{line}");
    }
    let said = |message: &str| {
        let line = lines.iter().find(|line| line["message"] == message);
        line.unwrap_or_else(|| panic!("{message:?} is not logged"))
    };
    assert_eq!(said("a \"quoted\" line")["replica"], "default/web-0");
    assert_eq!(said("scaled")["to"], 1);
    said("stopped");
}

/// The lines of the log that are about that target.
fn story(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    lines
        .filter(|line| line["target_id"] == "default/web")
        .collect()
}

fn messages(story: &[Value]) -> Vec<&str> {
    story
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect()
}

#[test]
fn a_wake_is_four_lines_however_many_wait() {
    let script = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";
    let reveille = Reveille::of(Target::new("web", script))
        .arg("--log-format", "json")
        .start();
    let client = reveille.client("web");
    let mut held = vec![client.begin("GET", "/first/page?token=secret")];
    reveille.until_held("web", 1);
    held.extend((0..19).map(|_| client.begin("GET", "/")));
    reveille.until_held("web", 20);
    reveille.touch("go");
    for connection in &mut held {
        assert_eq!(connection.answer().status, 200);
    }
    drop(held);
    reveille.until_asleep("web");
    reveille.until_logged("\"asleep\"");
    let story = story(&reveille.log());
    assert_eq!(
        messages(&story),
        ["woken", "first endpoint ready", "released", "asleep"]
    );
    let [woken, ready, released, asleep] = &story[..] else {
        panic!("{story:?}");
    };
    assert_eq!(woken["by"], "GET web.test/first/page");
    assert_eq!(ready["endpoint"], "default/web-0");
    let seconds = |line: &Value, field: &str| line[field].as_f64().expect("a number");
    assert!(seconds(ready, "after_seconds") > 0.0);
    assert_eq!(
        (&released["requests"], &released["lost"]),
        (&20.into(), &0.into())
    );
    assert!(seconds(released, "longest_seconds") >= seconds(ready, "after_seconds"));
    assert!(seconds(asleep, "awake_seconds") > 0.0);
    assert!(
        !reveille.log().contains("secret"),
        "queries are nobody's business"
    );
}

#[test]
fn a_wake_by_a_metric_names_it() {
    let target = Target::hello().to_string();
    let target = target.replace(
        "interceptorRoute: web",
        "metricQuery: queue.depth, targetValue: '2'",
    );
    let reveille = Reveille::of(target)
        .arg("--log-format", "json")
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .start();
    let (_, otlp) = reveille.otlp();
    let otlp = otlp.expect("it was asked for");
    assert_eq!(post(otlp, &gauge("queue.depth", "a", 2)).status, 200);
    reveille.until("web", "it serves", |now| now.replicas() == (1, 1));
    assert_eq!(post(otlp, &gauge("queue.depth", "a", 0)).status, 200);
    reveille.until_asleep("web");
    reveille.until_logged("\"asleep\"");
    let story = story(&reveille.log());
    assert_eq!(
        messages(&story),
        ["woken", "first endpoint ready", "asleep"]
    );
    assert_eq!(story[0]["by"], "metricQuery=queue.depth is 2, target 2");
    assert!(story[1]["after_seconds"].is_number(), "{}", story[1]);
}

#[test]
fn clients_that_give_up_are_told_of_once_and_a_lost_replica_is_a_warning() {
    let reveille = Reveille::of(Target::new("web", "[sleep, '60']"))
        .arg("--log-format", "json")
        .start();
    for _ in 0..5 {
        let held = reveille.client("web").begin("GET", "/");
        reveille.until_held("web", 1);
        held.leave();
        reveille.until_held("web", 0);
    }
    assert_eq!(
        messages(&story(&reveille.log())),
        ["woken", "nobody waits any more"]
    );

    let reveille = Reveille::of(Target::python().scaled("minReplicaCount: 1"))
        .arg("--log-format", "json")
        .start();
    reveille.until_warm("web");
    let [replica] = &reveille.until_workloads(1)[..] else {
        panic!("one lives");
    };
    reveille.kill(replica);
    let lost = reveille.until_logged("last endpoint lost");
    assert!(lost.contains("\"WARN\""), "{lost}");
}

#[test]
fn the_level_decides_what_is_logged() {
    let reveille = Reveille::of(Target::hello())
        .arg("--log-level", "warn")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.log(), "");
}

#[test]
fn in_json_the_reason_of_an_end_is_an_object_too() {
    for (starter, why) in [
        (
            Reveille::of("kind: Nothing\n").arg("--log-level", "off"),
            "there is nothing to serve",
        ),
        (
            Reveille::of(Target::hello())
                .arg("--grpc-tls-cert", "none.crt")
                .arg("--grpc-tls-key", "none.key"),
            "none.crt",
        ),
    ] {
        let ended = starter.arg("--log-format", "json").run();
        assert!(!ended.status.success());
        let last = ended.log.lines().last().expect("a line");
        let last: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {last}"));
        assert_eq!(last["level"], "ERROR");
        let message = last["message"].as_str().expect("a text");
        assert!(message.contains(why), "{message}");
    }
}
