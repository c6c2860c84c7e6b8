//! Hostile input on the sockets of every receiver: each kind is refused by a
//! name, takes a bounded amount of memory, and touches no other series.

#[allow(dead_code, reason = "a part of it is for the other receivers")]
mod receivers;

use bytes::Bytes;
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, Histogram, HistogramDataPoint, NumberDataPoint, metric::Data,
    },
};
use prost::Message;
use receivers::{JSON, PROTOBUF, Rig, bomb, field, frame, gauges, node, number, oc_gauge};
use scaler::{
    ingest::Source,
    series::{Limits, MatchOp, Matcher, Selector},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, io::Read, time::Duration};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OTLP: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const OPENCENSUS: &str = "/opencensus.proto.agent.metrics.v1.MetricsService/Export";

/// All that a request may allocate on its way, by both sides together and
/// whether it is freed again: far more than it may hold at a time, and far less
/// than a bomb of 100 MB would.
const MOST_ALLOCATED: usize = 48 << 20;

/// Where it is sent, and what is answered.
enum To {
    /// Headers; the status.
    Http(&'static str, u16),
    /// `grpc-encoding`; the status' number.
    Grpc(&'static str, i32),
    OpenCensus(&'static str, i32),
}

/// What is sent, its bytes, and a part of what is said about it. What
/// OpenCensus drops has no answer and is counted.
type Case = (&'static str, To, Vec<u8>, &'static str);

fn zstd_bomb() -> Vec<u8> {
    zstd::encode_all(std::io::repeat(0).take(100 << 20), 1).expect("memory")
}

/// A gauge whose one point was changed.
fn changed(change: impl FnOnce(&mut NumberDataPoint)) -> ExportMetricsServiceRequest {
    let mut request = gauges(&[("hostile", 1.0)]);
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    if let Some(Data::Gauge(gauge)) = &mut metric.data {
        change(&mut gauge.data_points[0]);
    }
    request
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

fn many_bounds() -> ExportMetricsServiceRequest {
    let mut request = gauges(&[("hostile", 1.0)]);
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    metric.data = Some(Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            explicit_bounds: (0..50_000).map(f64::from).collect(),
            bucket_counts: vec![0; 50_001],
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
    }));
    request
}

/// As many series as fit into a message.
fn many_series() -> ExportMetricsServiceRequest {
    let mut request = changed(|_| ());
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    if let Some(Data::Gauge(gauge)) = &mut metric.data {
        let point = gauge.data_points[0].clone();
        gauge.data_points = (0..15_000)
            .map(|number| NumberDataPoint {
                attributes: vec![pair("id", text(&number.to_string()))],
                ..point.clone()
            })
            .collect();
    }
    request
}

/// The same over both ways of OTLP, where the answer is partial success.
fn dropped(
    name: &'static str,
    request: &ExportMetricsServiceRequest,
    text: &'static str,
) -> [Case; 2] {
    let bytes = request.encode_to_vec();
    let framed = frame(false, &bytes).to_vec();
    [
        (name, To::Http(PROTOBUF, 200), bytes, text),
        (name, To::Grpc("identity", 0), framed, text),
    ]
}

fn from_opencensus(message: &[u8]) -> Vec<u8> {
    [frame(false, &node()), frame(false, message)].concat()
}

/// An OpenCensus gauge of that time.
fn oc_at(seconds: &[u8]) -> Vec<u8> {
    let descriptor = [field(1, b"hostile"), number(4, 1)].concat();
    let time = [vec![8], seconds.to_vec()].concat();
    let point = [field(1, &time), number(2, 1)].concat();
    let metric = [field(1, &descriptor), field(2, &field(3, &point))].concat();
    field(2, &metric)
}

fn cases() -> Vec<Case> {
    let name = "k".repeat(1_000_000);
    let json = |body: String| body.into_bytes();
    let gzip_bomb = bomb();
    let zstd_bomb = zstd_bomb();
    let mut all = vec![
        (
            "100 MB of zeros in gzip",
            To::Http(
                "Content-Type: application/json\r\nContent-Encoding: gzip",
                413,
            ),
            gzip_bomb.clone(),
            "1048576 bytes",
        ),
        (
            "100 MB of zeros in zstd",
            To::Http(
                "Content-Type: application/x-protobuf\r\nContent-Encoding: zstd",
                413,
            ),
            zstd_bomb.clone(),
            "1048576 bytes",
        ),
        (
            "100 MB of zeros in gzip",
            To::Grpc("gzip", 8),
            frame(true, &gzip_bomb).to_vec(),
            "limit",
        ),
        (
            "100 MB of zeros in zstd",
            To::Grpc("zstd", 8),
            frame(true, &zstd_bomb).to_vec(),
            "limit",
        ),
        (
            "100 MB of zeros in gzip",
            To::OpenCensus("gzip", 8),
            frame(true, &gzip_bomb).to_vec(),
            "1048576 bytes",
        ),
        (
            "100 MB of zeros in zstd",
            To::OpenCensus("zstd", 8),
            frame(true, &zstd_bomb).to_vec(),
            "1048576 bytes",
        ),
        (
            "deep JSON",
            To::Http(JSON, 400),
            json("[".repeat(500_000)),
            "invalid type",
        ),
        (
            "deep JSON where it is read",
            To::Http(JSON, 400),
            json(format!(
                r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"a","value":{}"#,
                r#"{"arrayValue":{"values":["#.repeat(20_000)
            )),
            "recursion limit",
        ),
        (
            "deep JSON where it is skipped",
            To::Http(JSON, 400),
            json(format!(r#"{{"x":{}"#, "[".repeat(500_000))),
            "EOF while parsing",
        ),
        (
            "wrong types in JSON",
            To::Http(JSON, 400),
            json(r#"{"resourceMetrics":7}"#.to_owned()),
            "cannot be a number",
        ),
        (
            "wrong types in JSON",
            To::Http(JSON, 400),
            json(
                r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":{}}]}]}]}"#.to_owned(),
            ),
            "cannot be an object",
        ),
        (
            "a huge array in JSON",
            To::Http(JSON, 200),
            json(format!(
                r#"{{"resourceMetrics":[{}{{}}]}}"#,
                "{},".repeat(300_000)
            )),
            "{}",
        ),
        (
            "a huge array of empty messages",
            To::Http(PROTOBUF, 200),
            [10, 0].repeat(500_000),
            "",
        ),
        (
            "a huge array of empty messages",
            To::Grpc("identity", 0),
            frame(false, &[10, 0].repeat(500_000)).to_vec(),
            "",
        ),
        (
            "a huge array of empty messages",
            To::OpenCensus("identity", 0),
            from_opencensus(&[18, 0].repeat(500_000)),
            "",
        ),
        (
            "truncated protobuf",
            To::Http(PROTOBUF, 400),
            vec![10, 5],
            "ends in the middle",
        ),
        (
            "truncated protobuf",
            To::Grpc("identity", 3),
            frame(false, &[10, 5]).to_vec(),
            "ends in the middle",
        ),
        (
            "truncated protobuf",
            To::OpenCensus("identity", 3),
            from_opencensus(&[18, 5]),
            "ends in the middle",
        ),
        (
            "unknown compression",
            To::Http(
                "Content-Type: application/json\r\nContent-Encoding: br",
                415,
            ),
            json("{}".to_owned()),
            "gzip, zstd",
        ),
        (
            "unknown compression",
            To::Grpc("br", 12),
            frame(true, b"").to_vec(),
            "br",
        ),
        (
            "unknown compression",
            To::OpenCensus("br", 12),
            frame(true, b"").to_vec(),
            "gzip, zstd",
        ),
        (
            "a label's name of 1 MB",
            To::OpenCensus("identity", 0),
            from_opencensus(&oc_gauge("hostile", &[&name], &["v"], 1)),
            "name_too_long",
        ),
        (
            "a label's value of 1 MB",
            To::OpenCensus("identity", 0),
            from_opencensus(&oc_gauge("hostile", &["k"], &[&name], 1)),
            "value_too_long",
        ),
        (
            "duplicate labels",
            To::OpenCensus("identity", 0),
            from_opencensus(&oc_gauge("hostile", &["a.b", "a/b"], &["1", "2"], 1)),
            "duplicate_label",
        ),
        (
            "a time far in the past",
            To::OpenCensus("identity", 0),
            from_opencensus(&oc_at(&[1])),
            "too_old",
        ),
        (
            "a time far in the future",
            To::OpenCensus("identity", 0),
            from_opencensus(&oc_at(&[255, 255, 255, 255, 255, 255, 255, 127])),
            "too_far_ahead",
        ),
    ];
    let attribute = |key: &str, value: Value| {
        let pair = pair(key, value);
        changed(|point| point.attributes.push(pair))
    };
    all.extend(dropped(
        "a label's name of 1 MB",
        &attribute(&name, text("v")),
        "name_too_long",
    ));
    all.extend(dropped(
        "a label's value of 1 MB",
        &attribute("k", text(&name)),
        "value_too_long",
    ));
    let numbers = vec![
        AnyValue {
            value: Some(Value::IntValue(1))
        };
        100_000
    ];
    let list = Value::ArrayValue(ArrayValue { values: numbers });
    all.extend(dropped(
        "a huge array as a label",
        &attribute("k", list),
        "value_too_long",
    ));
    all.extend(dropped(
        "a histogram of 50,000 bounds",
        &many_bounds(),
        "malformed",
    ));
    let twice = changed(|point| {
        point.attributes = vec![pair("a.b", text("1")), pair("a/b", text("2"))];
    });
    all.extend(dropped("duplicate labels", &twice, "duplicate_label"));
    let past = changed(|point| point.time_unix_nano = 1);
    all.extend(dropped("a time far in the past", &past, "too_old"));
    let future = changed(|point| point.time_unix_nano = u64::MAX);
    all.extend(dropped(
        "a time far in the future",
        &future,
        "too_far_ahead",
    ));
    all
}

/// What was said: the status' number, and the text.
async fn send(rig: &Rig, to: &To, body: Vec<u8>) -> (i64, String) {
    match to {
        To::Http(headers, _) => {
            let (status, _, body) = rig.post(headers, &body).await;
            (status.into(), String::from_utf8_lossy(&body).into_owned())
        }
        To::Grpc(encoding, _) => {
            let body = Full::new(Bytes::from(body));
            let (code, message, body) = Rig::call(rig.grpc, OTLP, encoding, body).await;
            let answer = body.get(5..).unwrap_or_default();
            let answer = ExportMetricsServiceResponse::decode(answer).expect("an answer");
            let partial = answer.partial_success.unwrap_or_default().error_message;
            (i64::from(i32::from(code)), message + &partial)
        }
        To::OpenCensus(encoding, _) => {
            let before = drops(rig);
            let body = Full::new(Bytes::from(body));
            let (code, message, _) = Rig::call(rig.opencensus, OPENCENSUS, encoding, body).await;
            let after = drops(rig);
            let new: String = after
                .into_iter()
                .filter(|drop| !before.contains(drop))
                .collect();
            (i64::from(i32::from(code)), message + &new)
        }
    }
}

fn drops(rig: &Rig) -> Vec<String> {
    let source = &rig.counters.read().sources[Source::OpenCensus as usize].1;
    let drop = source.dropped.iter();
    drop.map(|(reason, count)| format!("{} {count} ", reason.as_str()))
        .collect()
}

#[tokio::test]
async fn it_is_refused_by_name_within_bounds_and_harms_nobody() {
    let limits = Limits {
        series: 500,
        bytes: 4 << 20,
        ..Limits::default()
    };
    let rig = Rig::start(limits).await;
    let selector = Selector {
        matchers: vec![Matcher::new("__name__", MatchOp::Equal, "good").expect("no expression")],
        back: Duration::from_secs(60),
    };
    let _needed = rig.store.register(&[selector]);
    let mut client = rig.metrics().await;
    client
        .export(gauges(&[("good", 42.0)]))
        .await
        .expect("stored");
    for (what, to, body, text) in cases() {
        let wanted = match to {
            To::Http(_, status) => i64::from(status),
            To::Grpc(_, code) | To::OpenCensus(_, code) => i64::from(code),
        };
        let region = Region::new(ALLOCATOR);
        let (status, said) = send(&rig, &to, body).await;
        let allocated = region.change().bytes_allocated;
        assert_eq!(status, wanted, "{what}: {said}");
        assert!(said.contains(text), "{what}: {said}");
        assert!(said.len() < 1000, "{what}: {said}");
        assert!(allocated < MOST_ALLOCATED, "{what}: {allocated} bytes");
        assert_eq!(rig.stored(), ["good 42"], "{what}");
    }
    // More series than there is room for push each other out, and nothing that
    // is needed.
    for case in dropped("a cardinality bomb", &many_series(), "") {
        let (status, said) = send(&rig, &case.1, case.2).await;
        assert!(matches!(status, 200 | 0), "{said}");
        let stats = rig.store.stats();
        assert!(
            stats.series <= limits.series && stats.bytes <= limits.bytes,
            "{stats:?}"
        );
        assert!(stats.evicted_for_series > 10_000, "{stats:?}");
        assert!(rig.stored().contains(&"good 42".to_owned()));
    }
    rig.stop().await;
}
