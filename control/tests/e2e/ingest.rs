//! Metrics that are sent to the running program are in its store.

use crate::{
    support::{Answer, Client, Reveille, wait_until},
    tls::{authority, issue},
};
use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
};

pub(crate) fn post(addr: SocketAddr, body: &str) -> Answer {
    let mut connection = Client::new(addr, "otlp").connect();
    let length = body.len();
    connection.send(
        format!(
            "POST /v1/metrics HTTP/1.1\r\nHost: otlp\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    connection.answer()
}

pub(crate) fn gauge(name: &str, pod: &str, value: i64) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"k8s.pod.name","value":{{"stringValue":"{pod}"}}}}]}},
           "scopeMetrics":[{{"metrics":[{{"name":"{name}","gauge":{{"dataPoints":[
            {{"asInt":"{value}"}}]}}}}]}}]}}]}}"#
    )
}

#[test]
fn without_its_flags_nothing_listens_for_metrics() {
    let reveille = Reveille::bare().start();
    assert_eq!(reveille.otlp(), (None, None));
    let answer = reveille.ask("/api/v1/series");
    assert_eq!((answer.status, &*answer.body), (200, r#"{"series":[]}"#));
}

#[test]
fn what_is_sent_is_listed_page_by_page_and_counted() {
    let reveille = Reveille::bare()
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .arg("--otlp-grpc-addr", "127.0.0.1:0")
        .start();
    let (grpc, http) = reveille.otlp();
    let http = http.expect("it was asked for");
    TcpStream::connect(grpc.expect("it was asked for")).expect("it listens");
    for (name, pod, value) in [
        ("queue.depth", "a", 7),
        ("queue.depth", "b", -1),
        ("dapr/other", "a", 2),
    ] {
        let answer = post(http, &gauge(name, pod, value));
        assert_eq!((answer.status, &*answer.body), (200, "{}"));
    }
    let refused = post(http, r#"{"resourceMetrics":7}"#);
    assert_eq!(refused.status, 400, "{refused:?}");

    let first = reveille.ask("/api/v1/series?name=queue/depth&limit=1");
    assert!(
        first.body.contains(r#""__name__":"queue_depth""#),
        "{first:?}"
    );
    assert!(first.body.contains(r#""pod":"a""#), "{first:?}");
    assert!(first.body.contains(r#""value":"7""#), "{first:?}");
    assert!(first.body.contains(r#""next":1"#), "{first:?}");
    let second = reveille.ask("/api/v1/series?name=queue_depth&limit=1&from=1");
    assert!(second.body.contains(r#""value":"-1""#), "{second:?}");
    assert!(!second.body.contains("next"), "{second:?}");
    let wrong = reveille.ask("/api/v1/series?limit=0");
    assert_eq!(wrong.status, 400, "{wrong:?}");

    let metrics = reveille.ask("/metrics").body;
    for line in [
        r#"reveille_ingest_points_total{source="otlp_http"} 3"#,
        r#"reveille_ingest_refused_requests_total{source="otlp_http"} 1"#,
        r#"reveille_ingest_points_total{source="otlp_grpc"} 0"#,
        "reveille_series 3",
        "reveille_series_limit 100000",
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line}:\n{metrics}"
        );
    }
    let arrival = r#"reveille_ingest_last_arrival_timestamp_seconds{source="otlp_http"}"#;
    assert!(metrics.contains(arrival), "{metrics}");
}

#[test]
fn selectors_choose_what_is_listed() {
    let reveille = Reveille::bare()
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .start();
    let http = reveille.otlp().1.expect("it was asked for");
    for (name, pod) in [("a", "1"), ("a", "2"), ("b", "1"), ("dapr_c", "3")] {
        assert_eq!(post(http, &gauge(name, pod, 1)).status, 200);
    }
    let count = |parameters: &str| {
        let answer = reveille.ask(&format!("/api/v1/series?{parameters}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.matches("__name__").count()
    };
    assert_eq!(count("match[]=a"), 2);
    assert_eq!(count("match[]=a&match%5B%5D=b"), 3);
    assert_eq!(count("match[]=%7Bpod%3D~%221%7C3%22%7D"), 3);
    assert_eq!(count("match[]=%7Bpod%3D%221%22%7D&name=b"), 1);
    assert_eq!(count("match[]=dapr_c&match[]=a&limit=2"), 2);
    for (parameters, said) in [
        ("match[]=rate(a[1m])", "match[]: column 1: a selector alone"),
        ("match[]=%7B", "match[]: column 2"),
        ("match=a", "\"match\" is not known"),
        ("from=x", "from: "),
    ] {
        let wrong = reveille.ask(&format!("/api/v1/series?{parameters}"));
        assert_eq!(wrong.status, 400, "{wrong:?}");
        assert!(wrong.body.contains(said), "{wrong:?}");
    }
}

#[test]
fn everything_that_is_wrong_with_tls_is_said_once() {
    let ended = Reveille::bare()
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .arg("--ingest-tls-cert", "missing.crt")
        .arg("--ingest-tls-client-auth", "required")
        .run();
    assert!(!ended.status.success());
    for said in [
        "--ingest-tls-cert, --ingest-tls-key: ",
        "--ingest-tls-client-auth: ",
    ] {
        assert_eq!(ended.log.matches(said).count(), 1, "{}", ended.log);
    }
}

/// Whether curl, which trusts the folder's authority, can send something.
fn curl_can_send(reveille: &Reveille) -> bool {
    let port = reveille.otlp().1.expect("it was asked for").port();
    let sent = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "20", "--noproxy", "*"])
        .args(["--cacert", "ca.crt", "--data", "{}"])
        .args(["--header", "Content-Type: application/json"])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/v1/metrics"))
        .current_dir(reveille.path("."))
        .output();
    sent.expect("curl runs").status.success()
}

#[test]
fn certificates_are_renewed_while_it_runs() {
    let starter = Reveille::bare()
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .arg("--ingest-tls-cert", "server.crt")
        .arg("--ingest-tls-key", "server.key")
        .arg("--tls-reload-interval", "20ms");
    authority(starter.path());
    issue(starter.path(), "server", "DNS:localhost");
    let reveille = starter.start();
    assert!(curl_can_send(&reveille));
    authority(&reveille.path("."));
    assert!(!curl_can_send(&reveille), "another authority");
    issue(&reveille.path("."), "server", "DNS:localhost");
    wait_until("the new certificate is shown", || curl_can_send(&reveille));
}

#[test]
fn an_address_that_is_taken_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    let ended = Reveille::bare().arg("--otlp-http-addr", &addr).run();
    assert!(!ended.status.success());
    assert!(
        ended.log.contains(&format!("--otlp-http-addr {addr}")),
        "{}",
        ended.log
    );
}
