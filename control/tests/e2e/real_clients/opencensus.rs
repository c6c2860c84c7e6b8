//! OpenCensus' agent exporter for Python, and the protocol as Dapr speaks it,
//! by gRPC's own library with the messages of `opencensus-proto`.

use super::{opentelemetry::value, python, run};
use crate::{
    support::{Reveille, wait_until},
    tls::{authority, issue},
};
use std::process::Command;

/// Its argument: the port.
const EXPORTER: &str = r#"
import sys
from opencensus.ext.ocagent import stats_exporter
from opencensus.stats import aggregation, measure, stats, view
from opencensus.tags import tag_key, tag_map, tag_value
address = f"127.0.0.1:{sys.argv[1]}"
key = tag_key.TagKey("k")
calls = measure.MeasureInt("calls", "", "1")
latency = measure.MeasureFloat("latency", "", "ms")
manager = stats.stats.view_manager
for name, kind, of in (
    ("it/calls", aggregation.SumAggregation(), calls),
    ("it/count", aggregation.CountAggregation(), calls),
    ("it/latency", aggregation.DistributionAggregation([10.0, 100.0]), latency),
    ("it/last", aggregation.LastValueAggregation(), latency)):
    manager.register_view(view.View(name, "", [key], of, kind))
measured = stats.stats.stats_recorder.new_measurement_map()
tags = tag_map.TagMap()
tags.insert(key, tag_value.TagValue("v"))
for number, time_taken in ((2, 5.0), (3, 50.0), (4, 70.0)):
    measured.measure_int_put(calls, number)
    measured.measure_float_put(latency, time_taken)
    measured.record(tags)
exporter = stats_exporter.new_stats_exporter(
    "shop", hostname="pod-1", endpoint=address, interval=0.1)
print("sending", flush=True)
sys.stdin.read()
"#;

/// Its arguments: the port, and `clear` or `mtls`.
const DAPR: &str = r#"
import sys
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from opencensus.proto.agent.common.v1 import common_pb2
from opencensus.proto.agent.metrics.v1 import metrics_service_pb2 as service
from opencensus.proto.agent.metrics.v1 import metrics_service_pb2_grpc as stubs
from opencensus.proto.agent.trace.v1 import trace_service_pb2 as trace
from opencensus.proto.agent.trace.v1 import trace_service_pb2_grpc as trace_stubs
from opencensus.proto.metrics.v1 import metrics_pb2 as metrics
import time

port, mode = sys.argv[1:]

def read(name):
    with open(name, "rb") as file:
        return file.read()

if mode == "clear":
    channel = grpc.insecure_channel(f"localhost:{port}")
else:
    channel = grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(
        read("ca.crt"), read("client.key"), read("client.crt")))

def node(pod, pid):
    return common_pb2.Node(
        identifier=common_pb2.ProcessIdentifier(
            host_name=pod, pid=pid, start_timestamp=Timestamp(seconds=int(time.time()) - 60)),
        library_info=common_pb2.LibraryInfo(
            language=common_pb2.LibraryInfo.GO_LANG, exporter_version="0.0.1"),
        service_info=common_pb2.ServiceInfo())

def metric(name, keys, rows, kind=metrics.MetricDescriptor.CUMULATIVE_INT64):
    now = Timestamp(seconds=int(time.time()))
    start = Timestamp(seconds=now.seconds - 60)
    return metrics.Metric(
        metric_descriptor=metrics.MetricDescriptor(
            name=name, unit="1", type=kind,
            label_keys=[metrics.LabelKey(key=key) for key in keys]),
        timeseries=[metrics.TimeSeries(
            start_timestamp=start,
            # As the exporter does it: what is empty is left out.
            label_values=[metrics.LabelValue(value=value, has_value=True)
                          for value in values if value],
            points=[metrics.Point(timestamp=now, int64_value=number)])
            for values, number in rows])

# An exporter opens both of these before it sends a metric.
config = trace_stubs.TraceServiceStub(channel).Config(iter([
    trace.CurrentLibraryConfig(node=node("pythonapp-1", 1))]))
spans = trace_stubs.TraceServiceStub(channel).Export(iter([
    trace.ExportTraceServiceRequest(node=node("pythonapp-1", 1)),
    trace.ExportTraceServiceRequest()]))
print(list(config), list(spans))

RESILIENCY = ["app_id", "flow_direction", "name", "namespace", "policy", "status", "target"]
caller = metric("resiliency/count", RESILIENCY, [
    (["pythonapp", "outbound", "nodeapp-resiliency", "default", "retry", "", "app_nodeapp"], 103),
    (["pythonapp", "outbound", "nodeapp-resiliency", "default", "timeout", "", "app_nodeapp"], 103),
    (["pythonapp", "outbound", "nodeapp-resiliency", "default", "circuitbreaker", "closed",
      "app_nodeapp"], 103)])
sent = metric("runtime/service_invocation/req_sent_total", ["app_id", "dst_app_id", "type"], [
    (["pythonapp", "nodeapp", "unary"], 100),
    (["pythonapp", "", "unary"], 7)])
http = metric("http/server/request_count", ["app_id", "method", "path", "status"], [
    (["pythonapp", "POST", "/neworder", "500"], 3),
    (["pythonapp", "", "", "204"], 60)])
received = metric("runtime/service_invocation/req_recv_total", ["app_id", "src_app_id"], [
    (["nodeapp", "pythonapp"], 100)])

def export(pod, pid, *batches):
    first = service.ExportMetricsServiceRequest(node=node(pod, pid))
    rest = [service.ExportMetricsServiceRequest(metrics=[batch]) for batch in batches]
    print(pod, list(stubs.MetricsServiceStub(channel).Export(iter([first, *rest]))))

export("pythonapp-1", 1, caller, sent, http)
export("nodeapp-1", 1, received)
try:
    list(stubs.MetricsServiceStub(channel).Export(iter([
        service.ExportMetricsServiceRequest(metrics=[received])])))
except grpc.RpcError as error:
    print(error.code().name, error.details())
"#;

fn opencensus(script: &str, reveille: &Reveille, args: &[&str]) -> Command {
    let mut command = Command::new(python());
    command
        .args(["-B", "-c", script])
        .arg(reveille.opencensus().port().to_string())
        .args(args)
        .current_dir(reveille.path("."))
        // Its generated code is older than the fast implementation takes.
        .env("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python");
    command
}

#[test]
fn the_agent_exporter_sends_each_aggregation() {
    let reveille = Reveille::bare()
        .arg("--opencensus-addr", "127.0.0.1:0")
        .start();
    let mut exporter = opencensus(EXPORTER, &reveille, &[])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    wait_until("all four have come", || {
        let all = reveille.ask("/api/v1/series?match[]=it_last&match[]=it_latency_sum");
        all.body.matches("__name__").count() == 2
    });
    for (expression, wanted) in [
        (r#"it_calls{job="shop", host_name="pod-1", k="v"}"#, "9"),
        (r#"it_count{k="v"}"#, "3"),
        ("it_latency_count", "3"),
        ("it_latency_sum", "125"),
        (r#"it_latency_bucket{le="10"}"#, "1"),
        (r#"it_latency_bucket{le="100"}"#, "3"),
        ("it_last", "70"),
    ] {
        assert_eq!(value(&reveille, expression), wanted, "{expression}");
    }
    drop(exporter.stdin.take());
    exporter.wait().expect("it ends with its input");
}

fn as_dapr_sends(reveille: &Reveille, mode: &str) {
    let output = run(&mut opencensus(DAPR, reveille, &[mode]));
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "[] []",
            "pythonapp-1 []",
            "nodeapp-1 []",
            "INVALID_ARGUMENT the first message of a stream must have a node",
        ]
    );
    for (expression, wanted) in [
        // The demonstration's queries: what is pushed has no dapr_ before it.
        (
            r#"sum(runtime_service_invocation_req_recv_total{app_id="nodeapp",src_app_id="pythonapp"})"#,
            "100",
        ),
        (
            r#"sum(dapr_resiliency_count{app_id="pythonapp",flow_direction="outbound",policy="retry",target="app_nodeapp"})"#,
            "103",
        ),
        (
            r#"max(resiliency_count{target="app_nodeapp",status="closed"})"#,
            "103",
        ),
        (r#"count(resiliency_count)"#, "3"),
        (
            r#"http_server_request_count{path="/neworder",method="POST",status="500"}"#,
            "3",
        ),
        (
            r#"http_server_request_count{status="204",path="",method=""}"#,
            "60",
        ),
        (
            r#"sum(dapr_runtime_service_invocation_req_sent_total{dst_app_id="nodeapp",host_name="pythonapp-1"})"#,
            "100",
        ),
        // Which of two values is missing cannot be known.
        ("count(runtime_service_invocation_req_sent_total)", "1"),
    ] {
        assert_eq!(value(reveille, expression), wanted, "{expression}");
    }
    let metrics = reveille.ask("/metrics").body;
    for line in [
        r#"reveille_ingest_dropped_points_total{reason="misaligned",source="opencensus"} 1"#,
        r#"reveille_ingest_points_total{source="opencensus"} 7"#,
        r#"reveille_ingest_discarded_messages_total{source="opencensus"} 3"#,
        r#"reveille_ingest_refused_requests_total{source="opencensus"} 1"#,
    ] {
        let is_there = metrics.lines().any(|other| other == line);
        assert!(is_there, "{line}:\n{metrics}");
    }
}

#[test]
fn what_daprs_sidecars_push_is_put_right() {
    let reveille = Reveille::bare()
        .arg("--opencensus-addr", "127.0.0.1:0")
        .start();
    as_dapr_sends(&reveille, "clear");
}

#[test]
fn the_same_with_certificates_on_both_sides() {
    let starter = Reveille::bare()
        .arg("--opencensus-addr", "127.0.0.1:0")
        .arg("--ingest-tls-cert", "server.crt")
        .arg("--ingest-tls-key", "server.key")
        .arg("--ingest-tls-client-ca", "ca.crt")
        .arg("--ingest-tls-client-auth", "required");
    authority(starter.path());
    issue(starter.path(), "server", "DNS:localhost");
    issue(starter.path(), "client", "DNS:client");
    as_dapr_sends(&starter.start(), "mtls");
}
