//! Replicas of Reveille that are replaced one after another under traffic of
//! all kinds: no request is lost, and no workload that is asked for is put to
//! sleep.

use super::{
    clients,
    cluster::{Cluster, Fleet, Image},
};
use crate::support::{Client, Reveille, keda::Event, wait_until};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// What balancers need to learn that a replica goes, with room to spare.
const DELAY: (&str, &str) = ("--shutdown-delay", "2s");

const CALLS: &str = r#"
calls = 0
while not os.path.exists(sys.argv[3]):
    sent = str(calls).encode()
    assert unary(sent, timeout=60) == sent
    assert [int(one) for one in count(b"3", timeout=60)] == [0, 1, 2]
    calls += 2
print(calls)
"#;

const TALKS: &str = r#"
talks = 0
while not os.path.exists(sys.argv[3]):
    with connect() as connection:
        assert connection.recv().startswith("hello from ")
        for word in ["one", "two", "three"]:
            connection.send(word)
            assert connection.recv() == word
    assert connection.close_code == 1000
    talks += 1
print(talks)
"#;

/// Requests of a client on one connection, if it is told nothing else.
const EACH: usize = 20;

/// Ends the traffic, also when the test fails.
struct End<'t> {
    is_over: &'t AtomicBool,
    path: &'t str,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        fs::write(self.path, "").expect("written");
    }
}

/// Asks until it is over.
fn ask(service: SocketAddr, is_over: &AtomicBool) {
    let client = Client::new(service, "web.test");
    while !is_over.load(Ordering::SeqCst) {
        let mut connection = client.connect();
        for number in 0..EACH {
            let body = format!("number {number}");
            if number % 2 == 0 {
                connection.request("GET", "/work");
            } else {
                let head = "POST /work HTTP/1.1\r\nHost: web.test\r\n";
                let length = body.len();
                let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
                connection.send(request.as_bytes());
            }
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(number % 2 == 0 || answer.body.ends_with(&format!("got {body}")));
            let is_last = answer.header("connection") == Some("close");
            if is_last || is_over.load(Ordering::SeqCst) {
                break;
            }
        }
    }
}

/// The count that a script ends with.
fn count(lines: &[String]) -> usize {
    let [count] = lines else {
        panic!("one line, not {lines:?}")
    };
    count.parse().expect("a number")
}

/// How many requests this replica has answered. Every answer was one that its
/// client had hoped for.
fn answered(replica: &Reveille) -> f64 {
    let page = replica.ask("/metrics").body;
    let counts = page.lines().filter_map(|line| {
        let (series, count) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix("interceptor_request_count_total{")?;
        let is_good = labels.starts_with("code=\"200\"") || labels.starts_with("code=\"101\"");
        assert!(is_good, "{line}");
        count.parse::<f64>().ok()
    });
    counts.sum()
}

#[test]
fn all_replicas_are_replaced_and_nobody_notices() {
    let cluster = Cluster::new();
    let mut fleet = Fleet::start(&cluster, 3, &[DELAY]);
    for (name, image) in [
        ("web", Image::Http),
        ("talks", Image::Http),
        ("calls", Image::Grpc),
    ] {
        fleet.deploy_scaled(name, image, &json!({"cooldownPeriod": 300}));
    }
    let service = cluster.proxy_service();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("end");
    let path = path.to_str().expect("UTF-8");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = End {
            is_over: &is_over,
            path,
        };
        let calls = scope.spawn(|| clients::grpc(service, "calls.test", CALLS, &[path]));
        let talks = scope.spawn(|| clients::websocket(service, "talks.test", TALKS, &[path]));
        let asking: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| ask(service, &is_over)))
            .collect();
        for name in ["web", "talks", "calls"] {
            cluster.until_pods(name, 1);
        }
        fleet.roll();
        // All of them by now are others, and each has its part.
        for replica in fleet.replicas() {
            wait_until("it has its part", || answered(replica) >= 20.0);
        }
        drop(end);
        for asking in asking {
            asking.join().expect("nothing but 200");
        }
        assert!(count(&calls.join().expect("no error")) > 0);
        assert!(count(&talks.join().expect("no error")) > 0);
    });
    for name in ["web", "talks", "calls"] {
        assert_eq!(cluster.scalings(name), [(0, 1, "activated")], "{name}");
    }
    fleet.stop();
}

#[test]
fn what_a_replica_holds_while_it_stops_is_demand_and_is_answered() {
    let cluster = Cluster::new();
    let mut fleet = Fleet::start(&cluster, 3, &[("--shutdown-delay", "100ms")]);
    fleet.deploy_scaled("web", Image::Http, &json!({"pollingInterval": 2}));
    wait_until("KEDA knows it", || {
        cluster
            .events("web")
            .iter()
            .any(|event| matches!(event, Event::Opened))
    });
    // The image takes its time, and meanwhile the replica is told to stop.
    cluster.kubelet().hold_image("web", true);
    let mut held = fleet[0].client("web").begin("GET", "/");
    fleet[0].until_held("web", 1);
    cluster.until_replicas("web", 1);
    let denials = cluster.denials("web");
    let leaving = fleet.dismiss(0);
    Reveille::until_closed(leaving.reveille().proxy());
    // For longer than what a lost replica has counts, and than the cooldown.
    let is_answered = |event: &Event| matches!(event, Event::Answered { .. });
    cluster.until_more("web", 30, is_answered);
    assert_eq!(cluster.denials("web"), denials, "it is still asked for");
    assert_eq!(leaving.reveille().target("web").held, 1);
    cluster.kubelet().hold_image("web", false);
    let answer = held.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "web-1"));
    assert_eq!(answer.header("connection"), Some("close"));
    fleet.finish(leaving);
    cluster.until_zero("web");
    fleet.stop();
}
