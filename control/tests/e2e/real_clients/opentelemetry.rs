//! OpenTelemetry's Python SDK sends what each of its instruments measures, over
//! OTLP/gRPC and OTLP/HTTP, in both temporalities, in the clear and with client
//! certificates; what arrived is read with `reveille query`.

use super::{python, run};
use crate::{
    support::{Marker, Reveille, Starter, command},
    tls::{authority, issue},
};
use std::process::Command;

/// Its arguments: the port of OTLP/gRPC, of OTLP/HTTP, and `clear` or `mtls`.
const SENDER: &str = r#"
import sys
import grpc
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as over_grpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import metric_exporter as over_http
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import (
    Counter, Histogram, MeterProvider, ObservableCounter)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality, MetricExportResult, PeriodicExportingMetricReader)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

grpc_port, http_port, mode = sys.argv[1:]

def read(name):
    with open(name, "rb") as file:
        return file.read()

def exporter(protocol, preferred):
    if protocol == "grpc":
        settings = {"endpoint": f"localhost:{grpc_port}", "insecure": mode == "clear"}
        if mode == "mtls":
            settings["compression"] = grpc.Compression.Gzip
            settings["credentials"] = grpc.ssl_channel_credentials(
                read("ca.crt"), read("client.key"), read("client.crt"))
        return over_grpc.OTLPMetricExporter(preferred_temporality=preferred, **settings)
    settings = {"endpoint": f"http://localhost:{http_port}/v1/metrics"}
    if mode == "mtls":
        settings = {
            "endpoint": f"https://localhost:{http_port}/v1/metrics",
            "compression": Compression.Gzip, "certificate_file": "ca.crt",
            "client_key_file": "client.key", "client_certificate_file": "client.crt"}
    return over_http.OTLPMetricExporter(preferred_temporality=preferred, **settings)

class Counted:
    """The exporter, and whether all that it sent was taken."""
    def __init__(self, inner):
        self.inner, self.taken = inner, []
        self._preferred_temporality = inner._preferred_temporality
        self._preferred_aggregation = inner._preferred_aggregation
    def export(self, data, timeout_millis=10_000, **more):
        result = self.inner.export(data, timeout_millis=timeout_millis, **more)
        self.taken.append(result is MetricExportResult.SUCCESS)
        return result
    def force_flush(self, timeout_millis=10_000):
        return self.inner.force_flush(timeout_millis)
    def shutdown(self, timeout_millis=30_000, **more):
        return self.inner.shutdown(timeout_millis=timeout_millis, **more)

def send(protocol, temporality):
    kind = AggregationTemporality[temporality.upper()]
    preferred = {Counter: kind, Histogram: kind, ObservableCounter: kind}
    counted = Counted(exporter(protocol, preferred))
    reader = PeriodicExportingMetricReader(counted, export_interval_millis=float("inf"))
    provider = MeterProvider(
        metric_readers=[reader],
        resource=Resource.create({"service.name": f"{protocol}-{temporality}-{mode}"}),
        views=[View(instrument_name="it.exponential",
                    aggregation=ExponentialBucketHistogramAggregation())])
    meter = provider.get_meter("it")
    seen = {"requests": 10, "depth": 4, "open": -3}
    def observed(name):
        return lambda options: [Observation(seen[name], {"k": "o"})]
    meter.create_observable_counter("it.observed.counter", [observed("requests")])
    meter.create_observable_gauge("it.observed.gauge", [observed("depth")])
    meter.create_observable_up_down_counter("it.observed.updown", [observed("open")])
    counter = meter.create_counter("it.counter")
    updown = meter.create_up_down_counter("it.updown")
    gauge = meter.create_gauge("it.gauge")
    histogram = meter.create_histogram("it.histogram")
    exponential = meter.create_histogram("it.exponential")
    counter.add(3, {"k": "a"})
    counter.add(4, {"k": "b"})
    updown.add(5)
    gauge.set(-1.5)
    for value in (1, 20, 300):
        histogram.record(value)
        exponential.record(1)
    provider.force_flush()
    counter.add(5, {"k": "a"})
    updown.add(-7)
    gauge.set(2.25)
    histogram.record(20)
    exponential.record(1)
    seen.update(requests=25, depth=6, open=-1)
    provider.force_flush()
    print(protocol, temporality, counted.taken)
    provider.shutdown()

for protocol in ("grpc", "http"):
    for temporality in ("cumulative", "delta"):
        send(protocol, temporality)
"#;

/// What each of them must come to, whatever way it came. `JOB` is the sender's
/// name.
const WANTED: [(&str, &str); 14] = [
    (r#"it_counter{job="JOB", k="a"}"#, "8"),
    (r#"sum(it_counter{job="JOB"})"#, "12"),
    (r#"sum(it_updown{job="JOB"})"#, "-2"),
    (r#"sum(it_gauge{job="JOB"})"#, "2.25"),
    (r#"sum(it_histogram_count{job="JOB"})"#, "4"),
    (r#"sum(it_histogram_sum{job="JOB"})"#, "341"),
    // Two of the four are in the bucket from 10 to 25: its middle.
    (
        r#"histogram_quantile(0.5, it_histogram_bucket{job="JOB"})"#,
        "17.5",
    ),
    (r#"sum(it_histogram_max{job="JOB"}) >= bool 20"#, "1"),
    (r#"sum(it_exponential_count{job="JOB"})"#, "4"),
    (r#"sum(it_exponential_sum{job="JOB"})"#, "4"),
    (
        r#"histogram_quantile(1, it_exponential_bucket{job="JOB"})"#,
        "1",
    ),
    (r#"sum(it_observed_counter{job="JOB", k="o"})"#, "25"),
    (r#"sum(it_observed_gauge{job="JOB"})"#, "6"),
    (r#"sum(it_observed_updown{job="JOB"})"#, "-1"),
];

fn starter() -> Starter {
    Reveille::bare()
        .arg("--otlp-grpc-addr", "127.0.0.1:0")
        .arg("--otlp-http-addr", "127.0.0.1:0")
}

/// What `reveille query` prints as the value.
pub(super) fn value(reveille: &Reveille, expression: &str) -> String {
    let admin = reveille.admin().to_string();
    let mut query = command(&Marker::new());
    let output = query
        .args(["query", "--admin", &admin, expression])
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let said = String::from_utf8_lossy(&output.stderr);
    // The labels of a series go before it.
    let first = text.lines().next();
    let value = first.and_then(|line| line.rsplit(' ').next());
    value
        .unwrap_or_else(|| panic!("{expression}: {said}"))
        .to_owned()
}

fn sends(reveille: &Reveille, mode: &str) {
    let (grpc, http) = reveille.otlp();
    let port = |addr: Option<std::net::SocketAddr>| addr.expect("it was asked for").port();
    let ports = [port(grpc).to_string(), port(http).to_string()];
    let mut sender = Command::new(python());
    sender
        .args(["-B", "-c", SENDER])
        .args(ports)
        .arg(mode)
        // They would go before the authority that the exporter is given.
        .env_remove("REQUESTS_CA_BUNDLE")
        .env_remove("CURL_CA_BUNDLE")
        .current_dir(reveille.path("."));
    let output = run(&mut sender);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "grpc cumulative [True, True]",
            "grpc delta [True, True]",
            "http cumulative [True, True]",
            "http delta [True, True]",
        ],
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for protocol in ["grpc", "http"] {
        for temporality in ["cumulative", "delta"] {
            let job = format!("{protocol}-{temporality}-{mode}");
            for (expression, wanted) in WANTED {
                let expression = expression.replace("JOB", &job);
                assert_eq!(value(reveille, &expression), wanted, "{expression}");
            }
        }
    }
}

#[test]
fn every_instrument_arrives_by_every_way() {
    sends(&starter().start(), "clear");
}

#[test]
fn the_same_with_certificates_on_both_sides() {
    let starter = starter()
        .arg("--ingest-tls-cert", "server.crt")
        .arg("--ingest-tls-key", "server.key")
        .arg("--ingest-tls-client-ca", "ca.crt")
        .arg("--ingest-tls-client-auth", "required");
    authority(starter.path());
    issue(starter.path(), "server", "DNS:localhost");
    issue(starter.path(), "client", "DNS:client");
    let reveille = starter.start();
    sends(&reveille, "mtls");
    let metrics = reveille.ask("/metrics").body;
    for text in [
        r#"reveille_certificate_expiry_timestamp_seconds{path="server.crt",role="server""#,
        r#"reveille_tls_handshakes_total{listener="otlp-grpc"} "#,
        r#"reveille_tls_handshakes_total{listener="otlp-http"} "#,
    ] {
        assert!(metrics.contains(text), "{text}:\n{metrics}");
    }
}
