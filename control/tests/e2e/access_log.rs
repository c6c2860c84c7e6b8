//! The access log as operators see it: on standard output, in a file that is
//! rotated, and in the metrics.

use crate::support::{Reveille, Target, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;

#[test]
fn a_file_is_opened_anew_at_sighup() {
    let awake = Target::hello().scaled("cooldownPeriod: 300");
    let mut reveille = Reveille::of(awake)
        .arg("--access-log", "json")
        .arg("--access-log-file", "access.log")
        .start();
    assert_eq!(reveille.client("web").get("/?one").status, 200);
    let (path, rotated) = (reveille.path("access.log"), reveille.path("access.log.1"));
    wait_for("the first line", || {
        Some(()).filter(|()| !fs::read_to_string(&path).expect("there").is_empty())
    });
    fs::rename(&path, &rotated).expect("renamed");
    reveille.signal(Signal::HUP);
    reveille.until_logged("access log opened anew");
    assert_eq!(reveille.client("web").get("/?two").status, 200);
    reveille.signal(Signal::TERM);
    reveille.wait_for_orderly_end();
    for (file, target, cold) in [(rotated, "/?one", true), (path, "/?two", false)] {
        let text = fs::read_to_string(file).expect("there");
        let line: Value = serde_json::from_str(&text).expect("one line of JSON");
        assert_eq!(
            (&line["target"], &line["cold_start"]),
            (&target.into(), &cold.into())
        );
        assert_eq!(line["endpoint"], "default/web-0");
    }
}

#[test]
fn the_http_add_ons_variable_writes_the_combined_form_to_standard_output() {
    let reveille = Reveille::of(Target::hello())
        .env("KEDA_HTTP_LOG_REQUESTS", "true")
        .start();
    assert_eq!(reveille.client("web").get("/?y=1").status, 200);
    let line = reveille.until_logged("\"GET /?y=1 HTTP/1.1\" 200 ");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let metrics = reveille.ask("/metrics").body;
    for sample in [
        "reveille_access_log_lines_total{outcome=\"written\"} 1\n",
        "reveille_access_log_lines_total{outcome=\"lost\"} 0\n",
        "reveille_proxy_protocol_headers_total 0\n",
        "reveille_proxy_protocol_refused_connections_total{reason=\"malformed\"} 0\n",
    ] {
        assert!(metrics.contains(sample), "{sample} is not in {metrics}");
    }
    reveille.stop();
}

#[test]
fn a_file_that_cannot_be_opened_fails_the_start() {
    let ended = Reveille::of(Target::hello())
        .arg("--access-log", "common")
        .arg("--access-log-file", "/no/such/folder/log")
        .run();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    let message = "reveille: --access-log-file /no/such/folder/log: No such file or directory";
    assert!(ended.log.contains(message), "{}", ended.log);
}
