//! The log: readable for machines where that is asked for.

use crate::support::{Reveille, Target};
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
