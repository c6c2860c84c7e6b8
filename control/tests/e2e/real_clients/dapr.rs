//! The samples of Dapr's metrics (`../python/dapr/`): pushed over OpenCensus as
//! a patched sidecar does it, and over OTLP as a collector does that scraped
//! them. The queries of the demonstration come to the same over both.

use super::{opentelemetry::value, python, run};
use crate::support::Reveille;
use std::process::Command;

/// What happened: three calls while the callee slept, then a hundred good ones.
const WANTED: [(&str, &str); 11] = [
    // Calls that arrived, for the size.
    (
        r#"sum(runtime_service_invocation_req_recv_total{app_id="nodeapp",src_app_id="pythonapp"})"#,
        "100",
    ),
    (
        r#"sum(dapr_runtime_service_invocation_req_sent_total{dst_app_id="nodeapp"})"#,
        "100",
    ),
    // Calls that failed, for the first replica: approach one.
    (
        r#"sum(http_server_response_count{app_id="pythonapp",method="POST",path="/neworder",status="500"})"#,
        "3",
    ),
    // Retries that began: approach two, which asks for labels behind one that
    // is empty.
    (
        r#"sum(dapr_resiliency_activations_total{app_id="pythonapp",flow_direction="outbound",name="nodeapp-service-resiliency",namespace="default",policy="retry",target="app_nodeapp"})"#,
        "3",
    ),
    // Calls of any outcome, as they arrive: the demand meter.
    (
        r#"max(sum by (policy) (resiliency_count{flow_direction="outbound",target=~"app_nodeapp(\\..*)?"}))"#,
        "103",
    ),
    (r#"max(resiliency_cb_state{status="closed"})"#, "1"),
    (r#"max(resiliency_cb_state{status="open"})"#, "0"),
    (r#"count(resiliency_cb_state)"#, "4"),
    // How long a call takes, for its concurrency: 309 ms in 100 calls.
    (
        r#"sum(http_client_roundtrip_latency_sum{app_id="nodeapp",path="/neworder"}) / sum(http_client_roundtrip_latency_count{app_id="nodeapp",path="/neworder"})"#,
        "3.09",
    ),
    // A label whose value is always empty.
    (
        r#"sum(http_client_sent_bytes_sum{method="POST",path="/neworder",status=""})"#,
        "2498",
    ),
    // What kubelet asks can be left out.
    (
        r#"sum(http_server_request_count{path!="/v1.0/healthz"})"#,
        "203",
    ),
];

fn replayed(how: &str, flag: &str) -> Reveille {
    let reveille = Reveille::bare()
        .arg(flag, "127.0.0.1:0")
        .file("replay.py", include_str!("../python/replay.py"))
        .file("caller.prom", include_str!("../python/dapr/caller.prom"))
        .file("callee.prom", include_str!("../python/dapr/callee.prom"))
        .start();
    let port = match how {
        "otlp" => reveille.otlp().1.expect("it was asked for").port(),
        _ => reveille.opencensus().port(),
    };
    let mut replay = Command::new(python());
    replay
        .args(["-B", "replay.py", how, &port.to_string()])
        .args(["caller.prom", "callee.prom"])
        .current_dir(reveille.path("."))
        // OpenCensus' generated code is older than the fast one takes.
        .env("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python");
    run(&mut replay);
    reveille
}

fn all_come_to_what_they_should(reveille: &Reveille, source: &str) {
    for (expression, wanted) in WANTED {
        assert_eq!(value(reveille, expression), wanted, "{expression}");
    }
    let metrics = reveille.ask("/metrics").body;
    let dropped = format!(r#",source="{source}"}}"#);
    let dropped: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("reveille_ingest_dropped") && line.contains(&dropped))
        .collect();
    assert_eq!(dropped, [""; 0], "all of it is stored");
}

#[test]
fn the_samples_over_opencensus() {
    let reveille = replayed("opencensus", "--opencensus-addr");
    all_come_to_what_they_should(&reveille, "opencensus");
}

#[test]
fn the_samples_over_otlp() {
    let reveille = replayed("otlp", "--otlp-http-addr");
    all_come_to_what_they_should(&reveille, "otlp_http");
}
