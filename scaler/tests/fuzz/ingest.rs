//! What senders of metrics may send: OTLP in JSON and protobuf, OpenCensus.
//! Whatever comes is stored or refused in a few words; never a panic, never
//! more than the store may hold, and never a touch on another's series. The
//! same request in both forms of OTLP is stored alike.

use crate::fuzz;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
        Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        Summary, SummaryDataPoint, exponential_histogram_data_point::Buckets, metric::Data,
        number_data_point::Value, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
};
use prost::Message;
use scaler::{
    ingest::{
        IngestCounters, Outcome, Source,
        opencensus::Stream,
        otlp::{Otlp, OtlpLimits, ResourceLabels},
    },
    series::{Limits, MatchOp, Matcher, Select, Selector, Store},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const NOW_MS: i64 = 1_700_000_000_000;

struct Rig {
    store: Arc<Store>,
    otlp: Arc<Otlp>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let store = Arc::new(Store::new(limits));
        let otlp = Otlp::new(
            store.clone(),
            Arc::new(IngestCounters::default()),
            ResourceLabels::default(),
            OtlpLimits::default(),
        );
        Self {
            store,
            otlp: Arc::new(otlp),
        }
    }

    fn protobuf(&self, bytes: &[u8]) -> Result<Outcome, String> {
        let taken = self.otlp.take(Source::OtlpGrpc, bytes, NOW_MS);
        taken.map_err(|error| error.to_string())
    }

    fn json(&self, bytes: &[u8]) -> Result<Outcome, String> {
        let taken = self.otlp.take_json(bytes, NOW_MS);
        taken.map_err(|error| error.to_string())
    }

    fn opencensus(&self, bytes: &[u8]) -> Result<Outcome, String> {
        let taken = Stream::new(self.otlp.clone()).take(bytes, NOW_MS);
        taken.map_err(|error| error.to_string())
    }

    fn stored(&self) -> BTreeMap<String, Vec<(i64, u64)>> {
        let mut all = BTreeMap::new();
        self.store
            .select(&[], i64::MIN, i64::MAX, &mut |labels, points| {
                let points = points
                    .iter()
                    .map(|point| (point.at_ms, point.value.to_bits()));
                all.insert(labels.to_string(), points.collect());
            });
        all
    }
}

/// Feeds what comes of `take` with each of these, changed at random.
fn endure(
    rounds: u64,
    samples: &[Vec<u8>],
    words: &[&[u8]],
    take: fn(&Rig, &[u8]) -> Result<Outcome, String>,
) {
    let limits = Limits {
        series: 50,
        bytes: 1 << 20,
        ..Limits::default()
    };
    let rig = Rig::new(limits);
    let name = Matcher::new("__name__", MatchOp::Equal, "untouched").expect("no expression");
    let _needed = rig.store.register(&[Selector {
        matchers: vec![name],
        back: Duration::from_secs(60),
    }]);
    let untouched = request(vec![metric("untouched", gauge(7.0))]);
    rig.protobuf(&untouched.encode_to_vec()).expect("stored");
    let before = rig.stored();
    fuzz(rounds, |random| {
        let mut bytes = random.choice(samples).expect("some").clone();
        for _ in 0..random.u8(..6) {
            mutate(random, &mut bytes, words);
        }
        let said = match take(&rig, &bytes) {
            Ok(outcome) => outcome.message(),
            Err(error) => error,
        };
        assert!(said.len() < 4096, "{said}");
        let stats = rig.store.stats();
        assert!(stats.series <= limits.series && stats.bytes <= limits.bytes);
        let now = rig.stored();
        for (labels, points) in &before {
            assert_eq!(now.get(labels), Some(points), "{labels}");
        }
    });
}

/// Changes bytes in one of several ways.
fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>, words: &[&[u8]]) {
    let at = random.usize(..=bytes.len());
    let end = random.usize(at..=bytes.len().min(at + 20));
    match random.u8(..8) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.insert(at, random.u8(..)),
        2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, copy);
        }
        4 => bytes.truncate(at.max(1)),
        _ => {
            let word: &[u8] = random.choice(words).expect("some");
            bytes.splice(at..at, word.iter().copied());
        }
    }
}

fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let resource = Resource {
        attributes: vec![pair("service.name", Any::StringValue("shop".to_owned()))],
        ..Resource::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![ScopeMetrics {
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn gauge(value: f64) -> Data {
    let point = NumberDataPoint {
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    Data::Gauge(Gauge {
        data_points: vec![point],
    })
}

fn attributes(random: &mut fastrand::Rng) -> Vec<KeyValue> {
    let mut keys = ["a", "b.c", "le", "ä"];
    random.shuffle(&mut keys);
    let value = |random: &mut fastrand::Rng| match random.u8(..5) {
        0 => Any::BoolValue(random.bool()),
        1 => Any::IntValue(random.i64(..)),
        2 => Any::DoubleValue(f64::from(random.i32(-9..9)) / 2.0),
        3 => Any::BytesValue(vec![0, 255]),
        _ => Any::StringValue("v \"w\"".to_owned()),
    };
    let count = random.usize(..3);
    keys.iter()
        .take(count)
        .map(|key| pair(key, value(random)))
        .collect()
}

/// A metric of any kind, most of the time one that can be stored.
fn any_metric(random: &mut fastrand::Rng) -> Metric {
    let nanos = |random: &mut fastrand::Rng| {
        let ms = NOW_MS.unsigned_abs() - random.u64(..30_000);
        random.choice([0, ms * 1_000_000]).expect("some")
    };
    let (start, time) = (nanos(random), nanos(random));
    let temporality = AggregationTemporality::try_from(random.i32(0..3)).expect("one of three");
    let temporality = temporality as i32;
    let attributes = attributes(random);
    let value = f64::from(random.i32(-20..200)) / 4.0;
    let counts: Vec<u64> = (0..3).map(|_| random.u64(..5)).collect();
    let number = NumberDataPoint {
        attributes: attributes.clone(),
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(match random.bool() {
            true => Value::AsDouble(value),
            false => Value::AsInt(random.i64(-5..1 << 40)),
        }),
        flags: u32::from(random.u8(..20) == 0),
        ..NumberDataPoint::default()
    };
    let data = match random.u8(..5) {
        0 => Data::Gauge(Gauge {
            data_points: vec![number],
        }),
        1 => Data::Sum(Sum {
            data_points: vec![number],
            aggregation_temporality: temporality,
            is_monotonic: random.bool(),
        }),
        2 => Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: counts.iter().sum(),
                sum: Some(value),
                bucket_counts: counts,
                explicit_bounds: vec![0.5, 2.0],
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: temporality,
        }),
        3 => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: counts.iter().sum(),
                scale: random.i32(-12..22),
                positive: Some(Buckets {
                    offset: random.i32(-50..50),
                    bucket_counts: counts,
                }),
                ..ExponentialHistogramDataPoint::default()
            }],
            aggregation_temporality: temporality,
        }),
        _ => Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: time,
                count: counts[0],
                sum: value,
                quantile_values: vec![ValueAtQuantile {
                    quantile: 0.5,
                    value,
                }],
                ..SummaryDataPoint::default()
            }],
        }),
    };
    metric(random.choice(["m", "x/y", "z.total"]).expect("some"), data)
}

fn any_request(random: &mut fastrand::Rng) -> ExportMetricsServiceRequest {
    let count = random.usize(1..4);
    request((0..count).map(|_| any_metric(random)).collect())
}

/// Some of every kind, the same each time.
fn samples() -> Vec<ExportMetricsServiceRequest> {
    let mut random = fastrand::Rng::with_seed(0);
    (0..40).map(|_| any_request(&mut random)).collect()
}

#[test]
fn both_forms_of_otlp_are_stored_alike() {
    let mut stored = 0;
    fuzz(500, |random| {
        let request = any_request(random);
        let (binary, json) = (Rig::new(Limits::default()), Rig::new(Limits::default()));
        let text = serde_json::to_vec(&request).expect("JSON");
        let one = binary.protobuf(&request.encode_to_vec()).expect("readable");
        let other = json.json(&text);
        let other = other.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)));
        assert_eq!(one, other);
        assert_eq!(binary.stored(), json.stored());
        stored += one.accepted();
    });
    assert!(stored > 0 || std::env::var("REVEILLE_FUZZ_SEED").is_ok());
}

#[test]
fn any_protobuf_is_refused_or_stored() {
    let samples: Vec<_> = samples().iter().map(Message::encode_to_vec).collect();
    let words: &[&[u8]] = &[
        &[10, 0],
        &[0x80; 10],
        &[255; 9],
        &[18, 255, 255, 255, 255, 15],
        &[61, 0, 0],
        &[0x3a, 2, 0x0a, 0],
        &[11],
    ];
    endure(3000, &samples, words, Rig::protobuf);
}

#[test]
fn any_json_is_refused_or_stored() {
    let samples = samples();
    let samples: Vec<_> = samples
        .iter()
        .map(|request| serde_json::to_vec(request).expect("JSON"))
        .collect();
    let words: &[&[u8]] = &[
        b"{",
        b"[",
        b"]}",
        b"null",
        b"\"NaN\"",
        b"1e999",
        b"-1",
        b"18446744073709551616",
        b"\\ud800",
        b"\"gauge\":{\"dataPoints\":[{}]}",
        b"\"asInt\":",
        b"\xff",
        b"[[[[[[[[",
    ];
    endure(3000, &samples, words, Rig::json);
}

/// A field of text, bytes or a message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut out).expect("into memory");
    out.extend(bytes);
    out
}

/// Messages of OpenCensus with each kind of point.
fn opencensus() -> Vec<Vec<u8>> {
    let double =
        |number: u8, value: f64| [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat();
    let bounds = [1.0_f64, 10.0].map(f64::to_le_bytes).concat();
    let bucket = field(5, &[8, 1]);
    let distribution = [
        vec![8, 3],
        double(2, 4.5),
        field(4, &field(1, &field(1, &bounds))),
        bucket.repeat(3),
    ];
    let percentile = [double(1, 50.0), double(2, 0.5)].concat();
    let summary = [
        field(1, &[8, 4]),
        field(2, &double(1, 2.5)),
        field(3, &field(3, &percentile)),
    ];
    let keys =
        ["app_id", "method", "path", "status"].map(|key| field(5, &field(1, key.as_bytes())));
    let value = |text: &str| field(2, &[field(1, text.as_bytes()), vec![16, 1]].concat());
    let rows = [
        ["app", "GET", "/x", "200"].map(value).concat(),
        ["app", "500"].map(value).concat(),
    ];
    let time = field(1, &[8, 0x80, 0xe2, 0xcf, 0xaa, 6]);
    let node = field(1, &field(1, &field(1, b"pod")));
    let resource = field(
        3,
        &field(2, &[field(1, b"service.name"), field(2, b"shop")].concat()),
    );
    let points = [
        (1, vec![16, 7]),
        (5, double(3, 1.5)),
        (6, field(4, &distribution.concat())),
        (7, field(5, &summary.concat())),
    ];
    let mut all = Vec::new();
    for (kind, value) in points {
        for row in &rows {
            let point = field(3, &[time.clone(), value.clone()].concat());
            let series = [time.clone(), row.clone(), point].concat();
            let name = field(1, b"http/server/latency");
            let descriptor = [name, vec![32, kind], keys.concat()].concat();
            let metric = [field(1, &descriptor), field(2, &series)].concat();
            all.push([node.clone(), resource.clone(), field(2, &metric)].concat());
        }
    }
    all
}

#[test]
fn any_opencensus_message_is_refused_or_stored() {
    let samples = opencensus();
    for sample in &samples {
        let rig = Rig::new(Limits::default());
        let outcome = rig.opencensus(sample).expect("readable");
        assert_eq!(
            (outcome.accepted(), outcome.rejected()),
            (1, 0),
            "{}",
            outcome.message()
        );
    }
    let words: &[&[u8]] = &[
        &[10, 0],
        &[18, 0],
        &[26, 0],
        &[0x80; 10],
        &[16, 1],
        &[18, 2, 16, 1],
        b"retry",
        b"/",
    ];
    endure(3000, &samples, words, Rig::opencensus);
}
