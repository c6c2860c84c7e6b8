//! `/api/v1/events` and the past of a target, as whoever looks on sees them.

use crate::support::{Client, Connection, PATIENCE, Reveille, Target, wait_for};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use tokio::time::Instant;

/// A reader of server-sent events.
struct Reader {
    lines: BufReader<TcpStream>,
    /// Everything that was told so far.
    seen: Vec<(String, Value)>,
}

impl Reader {
    fn of(reveille: &Reveille) -> Self {
        let mut stream = TcpStream::connect(reveille.admin()).expect("it listens");
        stream
            .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: admin\r\n\r\n")
            .expect("sent");
        let timeout = Some(PATIENCE);
        stream.set_read_timeout(timeout).expect("set");
        Self {
            lines: BufReader::new(stream),
            seen: Vec::new(),
        }
    }

    /// The next event and its data; `None` at the end.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut event = None;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(name) = line.strip_prefix("event: ") {
                event = Some(name.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).expect("JSON");
                return Some((event.expect("named before its data"), data));
            }
        }
    }

    /// The first event of that name, of those that were told or will be, for which
    /// `is_it` holds.
    fn until(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            for (event, data) in &self.seen[looked_at..] {
                if event == name && is_it(data) {
                    return data.clone();
                }
            }
            looked_at = self.seen.len();
            assert!(
                Instant::now() < deadline,
                "no such {name}: {:#?}",
                self.seen
            );
            let told = self.next().expect("it goes on");
            self.seen.push(told);
        }
    }

    /// What happened so far, without changes of replicas.
    fn kinds(&self) -> Vec<&str> {
        let happened = self.seen.iter().filter(|(event, _)| event == "happened");
        let kinds = happened.filter_map(|(_, data)| data["kind"].as_str());
        kinds.filter(|kind| *kind != "scaled").collect()
    }
}

fn changed_to(state: &'static str) -> impl Fn(&Value) -> bool {
    move |data: &Value| {
        let all = data.as_array().expect("a list");
        all.iter().any(|one| one["target"]["state"] == state)
    }
}

#[test]
fn a_wake_is_told_as_it_happens_and_the_end_is_an_end() {
    let reveille = Reveille::of(Target::python()).start();
    let mut reader = Reader::of(&reveille);
    let all = reader.until("targets", |_| true);
    let first = &all["targets"][0];
    assert_eq!(
        (&all["first"], &first["state"]),
        (&true.into(), &"cold".into())
    );
    reader.until("events", |past| past.as_array().is_some_and(Vec::is_empty));

    let mut waits = reveille.client("web").begin("GET", "/wait/answer");
    let woken = reader.until("happened", |one| one["kind"] == "woken");
    assert_eq!(woken["target"], "default/web");
    let warm = reader.until("changed", changed_to("warm"));
    assert_eq!(warm[0]["target"]["name"], "default/web");
    assert!(warm[0]["row"][0].as_u64().expect("a time") > 1_700_000_000);
    reveille.touch("answer");
    assert_eq!(waits.answer().status, 200);
    reader.until("happened", |one| one["kind"] == "asleep");
    assert_eq!(reader.kinds(), ["woken", "ready", "released", "asleep"]);

    let mut late = Reader::of(&reveille);
    let past = late.until("events", |_| true);
    assert_eq!(past[0]["kind"], "woken");
    // Readers do not hold up the stop, and see the end of it.
    reveille.stop();
    while late.next().is_some() {}
}

#[test]
fn the_past_of_a_target_has_a_row_for_each_second_in_which_something_happened() {
    let reveille = Reveille::of(Target::hello()).start();
    let path = "/api/v1/targets/default/web/timeline";
    assert_eq!(reveille.client("web").get("/").status, 200);
    let timeline: Value = wait_for("the cold start is in it", || {
        let timeline: Value = serde_json::from_str(&reveille.ask(path).body).expect("JSON");
        let rows = timeline["rows"].as_array().expect("a list");
        let sum = |at: usize| rows.iter().filter_map(|row| row[at].as_u64()).sum::<u64>();
        (sum(1) == 1 && sum(6) == 1 && sum(7) == 1).then_some(timeline)
    });
    assert_eq!(timeline["seconds"], 900);
    let columns = [
        "at",
        "requests",
        "inFlight",
        "held",
        "replicas",
        "endpoints",
        "activations",
        "coldStarts",
    ];
    assert_eq!(timeline["columns"], Value::from(columns.to_vec()));
    assert_eq!(
        reveille
            .ask("/api/v1/targets/default/nobody/timeline")
            .status,
        404
    );
}

#[test]
fn refused_requests_and_refused_manifests_are_events() {
    let target = Target::new("web", "[sleep, '60']").route("timeouts: {readiness: 100ms}");
    let reveille = Reveille::of(target).start();
    assert_eq!(reveille.client("web").get("/").status, 504);
    let mut reader = Reader::of(&reveille);
    let is_refusal = |one: &Value| one["kind"] == "refused";
    let past = reader.until("events", |_| true);
    let known = past
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| is_refusal(one))
        .cloned();
    let refused = known.unwrap_or_else(|| reader.until("happened", is_refusal));
    assert_eq!(refused["text"], "refused: no endpoint became ready in time");
    std::fs::write(reveille.path("test.yaml"), "kind: Nothing\n").expect("written");
    let event = reader.until("happened", |one| one["kind"] == "reloadRefused");
    let said = event["text"].as_str().expect("a text");
    assert!(said.starts_with("manifests not reloaded"), "{said}");
}

#[test]
fn readers_are_bounded_and_a_place_that_is_left_is_free_again() {
    let reveille = Reveille::of(Target::hello()).start();
    let mut readers: Vec<Connection> = (0..32)
        .map(|_| {
            let mut connection =
                Client::new(reveille.admin(), "admin").begin("GET", "/api/v1/events");
            let (status, _) = connection.head().expect("an answer");
            assert_eq!(status, 200);
            connection
        })
        .collect();
    let refused = reveille.ask("/api/v1/events");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("10"))
    );
    readers.pop().expect("there are 32").leave();
    wait_for("a place is free", || {
        let mut connection = Client::new(reveille.admin(), "admin").begin("GET", "/api/v1/events");
        let (status, _) = connection.head().expect("an answer");
        (status == 200).then_some(())
    });
}
