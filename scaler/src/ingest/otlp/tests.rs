use super::*;
use crate::series::{DropReason, Limits, Select};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
        Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        Summary, SummaryDataPoint, exponential_histogram_data_point::Buckets, metric::Data,
        number_data_point, summary_data_point::ValueAtQuantile,
    },
    resource::v1::Resource,
};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

const NOW: i64 = 1_700_000_000_000;
const DELTA: i32 = AggregationTemporality::Delta as i32;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

type Stored = BTreeMap<String, Vec<(i64, f64)>>;

struct Rig {
    store: Arc<Store>,
    counters: Arc<IngestCounters>,
    otlp: Otlp,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let store = Arc::new(Store::new(limits));
        let counters = Arc::new(IngestCounters::default());
        let otlp = Otlp::new(
            store.clone(),
            counters.clone(),
            ResourceLabels::default(),
            OtlpLimits::default(),
        );
        Self {
            store,
            counters,
            otlp,
        }
    }

    fn take(&self, request: &ExportMetricsServiceRequest) -> Outcome {
        let taken = self
            .otlp
            .take(Source::OtlpGrpc, &request.encode_to_vec(), NOW);
        taken.expect("a good message")
    }

    fn metric(&self, name: &str, data: Data) -> Outcome {
        self.take(&request(&[], &[], vec![metric(name, data)]))
    }

    /// All points: time relative to `NOW`, and value; NaN as -1e9.
    fn stored(&self) -> Stored {
        let mut all = Stored::new();
        let value = |value: f64| if value.is_nan() { -1e9 } else { value };
        self.store
            .select(&[], i64::MIN, i64::MAX, &mut |labels, points| {
                let points = points.iter().map(|p| (p.at_ms - NOW, value(p.value)));
                all.insert(labels.to_string(), points.collect());
            });
        all
    }
}

/// The end of a series, as [`Rig::stored`] shows it.
const END: f64 = -1e9;

fn rig() -> Rig {
    Rig::new(Limits::default())
}

fn stored(pairs: &[(&str, &[(i64, f64)])]) -> Stored {
    let owned = |(labels, points): &(&str, &[(i64, f64)])| ((*labels).to_owned(), points.to_vec());
    pairs.iter().map(owned).collect()
}

fn nanos(at: i64) -> u64 {
    u64::try_from(NOW + at).unwrap() * 1_000_000
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue((*value).to_owned())),
        }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn request(
    resource: &[(&str, &str)],
    scope: &[(&str, &str)],
    metrics: Vec<Metric>,
) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: attributes(resource),
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    attributes: attributes(scope),
                    ..InstrumentationScope::default()
                }),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

fn number(at: i64, start: i64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: nanos(at),
        start_time_unix_nano: nanos(start),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn gauge(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points })
}

fn sum(temporality: i32, is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum {
        data_points,
        aggregation_temporality: temporality,
        is_monotonic,
    })
}

fn ended(mut point: NumberDataPoint) -> NumberDataPoint {
    point.flags = 1;
    point.value = None;
    point
}

#[test]
fn gauges_are_levels_whatever_their_sign_and_type() {
    let rig = rig();
    let int = NumberDataPoint {
        time_unix_nano: nanos(-10),
        value: Some(number_data_point::Value::AsInt(-3)),
        attributes: attributes(&[("pod.name", "a")]),
        ..NumberDataPoint::default()
    };
    let now = NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(f64::INFINITY)),
        attributes: attributes(&[("pod.name", "b")]),
        ..NumberDataPoint::default()
    };
    let outcome = rig.metric("queue/depth", gauge(vec![int, now, number(0, -50, -0.5)]));
    assert_eq!((outcome.accepted(), outcome.rejected()), (3, 0));
    assert_eq!(
        rig.stored(),
        stored(&[
            ("queue_depth", &[(0, -0.5)]),
            (r#"queue_depth{pod_name="a"}"#, &[(-10, -3.0)]),
            (r#"queue_depth{pod_name="b"}"#, &[(0, f64::INFINITY)]),
        ])
    );
}

#[test]
fn sums_follow_their_temporality() {
    let points = || vec![number(-20, -30, 2.0), number(-10, -20, 3.0)];
    let same_start = || vec![number(-20, -30, 2.0), number(-10, -30, 5.0)];
    let counted: &[(i64, f64)] = &[(-30, 0.0), (-20, 2.0), (-10, 5.0)];
    let level: &[(i64, f64)] = &[(-20, 2.0), (-10, 5.0)];
    for (data, wanted) in [
        (sum(CUMULATIVE, true, same_start()), counted),
        (sum(DELTA, true, points()), counted),
        (sum(CUMULATIVE, false, same_start()), level),
        (sum(DELTA, false, points()), level),
    ] {
        let rig = rig();
        rig.metric("dapr_x", data);
        assert_eq!(rig.stored(), stored(&[("x", wanted)]));
    }
}

#[test]
fn numbers_that_cannot_be_are_refused_by_reason() {
    let one = |value| vec![number(0, -1, value)];
    for (data, reason) in [
        (gauge(one(f64::NAN)), DropReason::NotANumber),
        (
            sum(CUMULATIVE, false, one(f64::INFINITY)),
            DropReason::NotANumber,
        ),
        (sum(DELTA, true, one(f64::NAN)), DropReason::NotANumber),
        (sum(DELTA, true, one(-1.0)), DropReason::Negative),
        (sum(CUMULATIVE, true, one(-1.0)), DropReason::Negative),
        (sum(0, true, one(1.0)), DropReason::Unsupported),
        (
            gauge(vec![NumberDataPoint::default()]),
            DropReason::Malformed,
        ),
        (
            gauge(vec![number(3_600_000, 0, 1.0)]),
            DropReason::TooFarAhead,
        ),
        (gauge(vec![number(-3_600_000, 0, 1.0)]), DropReason::TooOld),
        (
            gauge(vec![number(0, 0, 1.0), number(0, 0, 2.0)]),
            DropReason::Duplicate,
        ),
    ] {
        let rig = rig();
        let outcome = rig.metric("x", data);
        assert_eq!(outcome.dropped().collect::<Vec<_>>(), [(reason, 1)]);
        assert!(outcome.message().contains(reason.as_str()));
        let counted = &rig.counters.read().sources[0].1;
        assert_eq!(counted.dropped, [(reason, 1)]);
    }
}

#[test]
fn a_point_without_a_recorded_value_ends_its_series() {
    let rig = rig();
    rig.metric("x", gauge(vec![number(-10, 0, 1.0)]));
    rig.metric("x", gauge(vec![ended(number(0, 0, 0.0))]));
    // Of a series that nobody knows there is nothing to end.
    rig.metric("y", gauge(vec![ended(number(0, 0, 0.0))]));
    assert_eq!(rig.stored(), stored(&[("x", &[(-10, 1.0), (0, END)])]));
}

fn histogram(temporality: i32, data_points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram {
        data_points,
        aggregation_temporality: temporality,
    })
}

fn buckets(at: i64, start: i64, counts: &[u64]) -> HistogramDataPoint {
    HistogramDataPoint {
        time_unix_nano: nanos(at),
        start_time_unix_nano: nanos(start),
        count: counts.iter().sum(),
        sum: Some(4.5),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![0.5, 2.0],
        ..HistogramDataPoint::default()
    }
}

#[test]
fn histograms_become_buckets_sum_and_count() {
    let rig = rig();
    let mut point = buckets(-10, -20, &[1, 2, 3]);
    point.min = Some(0.1);
    point.max = Some(9.0);
    rig.metric("h", histogram(CUMULATIVE, vec![point]));
    assert_eq!(
        rig.stored(),
        stored(&[
            ("h_count", &[(-20, 0.0), (-10, 6.0)]),
            ("h_sum", &[(-20, 0.0), (-10, 4.5)]),
            ("h_min", &[(-10, 0.1)]),
            ("h_max", &[(-10, 9.0)]),
            (r#"h_bucket{le="0.5"}"#, &[(-20, 0.0), (-10, 1.0)]),
            (r#"h_bucket{le="2"}"#, &[(-20, 0.0), (-10, 3.0)]),
            (r#"h_bucket{le="+Inf"}"#, &[(-20, 0.0), (-10, 6.0)]),
        ])
    );
}

#[test]
fn histograms_of_deltas_add_up() {
    let rig = rig();
    let first = buckets(-10, -20, &[1, 2, 3]);
    let second = buckets(0, -10, &[1, 0, 0]);
    rig.metric("h", histogram(DELTA, vec![first, second]));
    let stored = rig.stored();
    assert_eq!(stored["h_count"], [(-20, 0.0), (-10, 6.0), (0, 7.0)]);
    assert_eq!(
        stored[r#"h_bucket{le="2"}"#],
        [(-20, 0.0), (-10, 3.0), (0, 4.0)]
    );
}

#[test]
fn a_histogram_that_ends_or_changes_its_bounds_ends_its_series() {
    let rig = rig();
    rig.metric(
        "h",
        histogram(CUMULATIVE, vec![buckets(-30, 0, &[1, 2, 3])]),
    );
    let mut other = buckets(-20, 0, &[1, 5]);
    other.explicit_bounds = vec![2.0];
    rig.metric("h", histogram(CUMULATIVE, vec![other]));
    let end = HistogramDataPoint {
        time_unix_nano: nanos(-10),
        flags: 1,
        ..HistogramDataPoint::default()
    };
    rig.metric("h", histogram(CUMULATIVE, vec![end]));
    let stored = rig.stored();
    assert_eq!(stored[r#"h_bucket{le="0.5"}"#], [(-30, 1.0), (-20, END)]);
    assert_eq!(
        stored[r#"h_bucket{le="2"}"#],
        [(-30, 3.0), (-20, 1.0), (-10, END)]
    );
    assert_eq!(stored["h_count"].last(), Some(&(-10, END)));
}

#[test]
fn histograms_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut HistogramDataPoint)| {
        let mut point = buckets(0, 0, &[1, 2, 3]);
        change(&mut point);
        let outcome = rig().metric("h", histogram(CUMULATIVE, vec![point]));
        let dropped: Vec<_> = outcome.dropped().collect();
        assert_eq!(dropped, [(DropReason::Malformed, 1)]);
    };
    refused(|point| point.count = 7);
    refused(|point| point.explicit_bounds = vec![1.0]);
    refused(|point| point.explicit_bounds = vec![2.0, 1.0]);
    refused(|point| point.explicit_bounds = vec![f64::NAN, 1.0]);
    refused(|point| point.bucket_counts = vec![u64::MAX, 1, 1]);
    refused(|point| {
        point.explicit_bounds = (0..1_000).map(f64::from).collect();
        point.bucket_counts = vec![0; 1_001];
        point.count = 0;
    });
    // Without buckets there is still a count.
    let mut point = buckets(0, 0, &[]);
    point.explicit_bounds.clear();
    point.count = 3;
    let rig = rig();
    rig.metric("h", histogram(CUMULATIVE, vec![point]));
    assert_eq!(rig.stored()[r#"h_bucket{le="+Inf"}"#], [(0, 3.0)]);
}

#[test]
fn a_label_of_the_sender_called_le_is_refused() {
    let rig = rig();
    let mut point = buckets(0, 0, &[1, 2, 3]);
    point.attributes = attributes(&[("le", "1")]);
    let outcome = rig.metric("h", histogram(CUMULATIVE, vec![point]));
    assert_eq!(
        outcome.dropped().collect::<Vec<_>>(),
        [(DropReason::DuplicateLabel, 1)]
    );
}

fn exponential(at: i64, start: i64, offset: i32, counts: &[u64]) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram {
        aggregation_temporality: DELTA,
        data_points: vec![ExponentialHistogramDataPoint {
            time_unix_nano: nanos(at),
            start_time_unix_nano: nanos(start),
            count: counts.iter().sum(),
            positive: Some(Buckets {
                offset,
                bucket_counts: counts.to_vec(),
            }),
            ..ExponentialHistogramDataPoint::default()
        }],
    })
}

#[test]
fn buckets_of_an_exponential_histogram_that_appear_later_have_a_past() {
    let rig = rig();
    // (1, 2] holds one; then (4, 8] holds two.
    rig.metric("h", exponential(-20, -30, 0, &[1]));
    rig.metric("h", exponential(-10, -20, 2, &[2]));
    let stored = rig.stored();
    let bucket = |le: &str| stored[&format!("h_bucket{{le={le:?}}}")].clone();
    assert_eq!(bucket("2"), [(-30, 0.0), (-20, 1.0), (-10, 1.0)]);
    assert_eq!(bucket("8"), [(-20, 1.0), (-10, 3.0)]);
    assert_eq!(bucket("+Inf"), [(-30, 0.0), (-20, 1.0), (-10, 3.0)]);
    assert_eq!(bucket("1"), [(-30, 0.0), (-20, 0.0), (-10, 0.0)]);
}

#[test]
fn summaries_become_quantiles_sum_and_count() {
    let rig = rig();
    let quantile = |quantile, value| ValueAtQuantile { quantile, value };
    let point = |at, quantile_values| SummaryDataPoint {
        time_unix_nano: nanos(at),
        start_time_unix_nano: nanos(-30),
        count: 3,
        sum: 10.0,
        quantile_values,
        ..SummaryDataPoint::default()
    };
    let data = Data::Summary(Summary {
        data_points: vec![
            point(-20, vec![quantile(0.5, 3.0), quantile(0.99, 4.0)]),
            point(-10, vec![quantile(0.5, f64::NAN), quantile(0.99, 4.0)]),
        ],
    });
    rig.metric("s", data);
    assert_eq!(
        rig.stored(),
        stored(&[
            ("s_count", &[(-30, 0.0), (-20, 3.0), (-10, 3.0)]),
            ("s_sum", &[(-30, 0.0), (-20, 10.0), (-10, 10.0)]),
            (r#"s{quantile="0.5"}"#, &[(-20, 3.0), (-10, END)]),
            (r#"s{quantile="0.99"}"#, &[(-20, 4.0), (-10, 4.0)]),
        ])
    );
}

#[test]
fn resources_and_scopes_keep_their_series_apart() {
    let rig = rig();
    let send = |resource: &[(&str, &str)], scope: &[(&str, &str)]| {
        rig.take(&request(
            resource,
            scope,
            vec![metric("x", gauge(vec![number(0, 0, 1.0)]))],
        ));
    };
    send(&[("service.name", "a"), ("k8s.pod.name", "p1")], &[]);
    send(&[("service.name", "a"), ("k8s.pod.name", "p2")], &[]);
    send(&[("service.name", "a"), ("unknown", "1")], &[]);
    send(&[("service.name", "a"), ("unknown", "2")], &[]);
    send(&[], &[("lib", "1")]);
    send(&[], &[("lib", "2")]);
    let stored = rig.stored();
    assert_eq!(stored.len(), 6, "{stored:?}");
    assert!(stored.contains_key(r#"x{job="a", pod="p1"}"#));
    assert!(stored.contains_key(r#"x{otel_scope_lib="2"}"#));
}

#[test]
fn a_metric_without_data_costs_the_others_nothing() {
    let rig = rig();
    let nothing = Metric {
        name: "nothing".to_owned(),
        ..Metric::default()
    };
    let long = metric(&"n".repeat(1 << 20), gauge(vec![number(0, 0, 1.0)]));
    let unnamed = metric("", gauge(vec![number(0, 0, 1.0)]));
    let mut labelled = number(0, 0, 1.0);
    labelled.attributes = attributes(&[(&"k".repeat(1 << 20), "v")]);
    let mut twice = number(0, 0, 1.0);
    twice.attributes = attributes(&[("a", "1"), ("a", "2")]);
    let good = metric("x", gauge(vec![labelled, twice, number(0, 0, 1.0)]));
    let outcome = rig.take(&request(&[], &[], vec![nothing, long, unnamed, good]));
    assert_eq!(
        outcome.dropped().collect::<Vec<_>>(),
        [
            (DropReason::NoName, 1),
            (DropReason::NameTooLong, 2),
            (DropReason::DuplicateLabel, 1),
            (DropReason::Unsupported, 1),
        ]
    );
    assert!(outcome.message().len() < 1_000);
    assert_eq!(rig.stored(), stored(&[("x", &[(0, 1.0)])]));
}

#[test]
fn a_flood_of_series_stays_within_the_limit_and_is_told() {
    let rig = Rig::new(Limits {
        series: 100,
        ..Limits::default()
    });
    let _needed = rig.store.register(&[crate::series::Selector {
        matchers: Vec::new(),
        back: Duration::from_secs(60),
    }]);
    let flood = |from: u32| {
        let point = |n: u32| NumberDataPoint {
            attributes: attributes(&[("n", &n.to_string())]),
            ..number(0, 0, 1.0)
        };
        gauge((from..from + 1_000).map(point).collect())
    };
    let outcome = rig.metric("x", flood(0));
    assert_eq!((outcome.accepted(), outcome.rejected()), (100, 900));
    assert!(!outcome.is_full());
    assert!(rig.metric("x", flood(1_000)).is_full());
    assert_eq!(rig.store.stats().series, 100);
}

#[test]
fn streams_are_found_again_after_their_series_were_let_go() {
    let rig = rig();
    rig.metric("x", gauge(vec![number(0, 0, 1.0)]));
    rig.store.expire(NOW + 1_000_000);
    assert_eq!(rig.store.stats().series, 0);
    rig.metric("x", gauge(vec![number(0, 0, 2.0)]));
    assert_eq!(rig.stored(), stored(&[("x", &[(0, 2.0)])]));
}

#[test]
fn a_message_that_is_cut_is_an_error() {
    let rig = rig();
    let metrics = vec![
        metric("x", gauge(vec![number(0, 0, 1.0)])),
        metric("y", gauge(vec![number(0, 0, 1.0)])),
    ];
    let bytes = request(&[], &[], metrics).encode_to_vec();
    let cut = &bytes[..bytes.len() - 3];
    let taken = rig.otlp.take(Source::OtlpGrpc, cut, NOW);
    assert_eq!(taken, Err(WireError::Cut));
    assert_eq!(rig.store.stats().series, 0);
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let rig = rig();
        let _either = rig.otlp.take(Source::OtlpGrpc, &bytes, NOW);
        prop_assert!(rig.store.stats().series <= bytes.len());
    }

    /// A good message with bytes changed: whatever comes of it, the counts add
    /// up and the store is sound.
    #[test]
    fn damaged_messages_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let rig = rig();
        let metrics = vec![
            metric("h", histogram(CUMULATIVE, vec![buckets(-10, -20, &[1, 2, 3])])),
            metric("e", exponential(-20, -30, 0, &[1, 2])),
            metric("c", sum(DELTA, true, vec![number(-20, -30, 2.0)])),
        ];
        let mut bytes = request(&[("service.name", "a")], &[], metrics).encode_to_vec();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let _either = rig.otlp.take(Source::OtlpGrpc, &bytes, NOW);
        for points in rig.stored().values() {
            prop_assert!(points.windows(2).all(|two| two[0].0 < two[1].0));
        }
    }

    /// Deltas, in whatever order they arrive, end as the sum of all of them.
    #[test]
    fn deltas_in_any_order_have_one_sum(values in prop::collection::vec(0_u32..100, 2..30), seed in any::<u64>()) {
        let rig = rig();
        let mut points: Vec<_> = (0_i64..).zip(&values)
            .map(|(n, value)| number(n * 10 + 10 - 1_000, n * 10 - 1_000, f64::from(*value)))
            .collect();
        // The first must come first: what is before all that is kept is refused.
        let rest = &mut points[1..];
        for index in 0..rest.len() {
            rest.swap(index, (seed >> (index % 60)) as usize % rest.len());
        }
        rig.metric("x", sum(DELTA, true, points));
        let stored = rig.stored();
        let total: u32 = values.iter().sum();
        prop_assert_eq!(stored["x"].last().map(|last| last.1), Some(f64::from(total)));
        prop_assert!(stored["x"].windows(2).all(|two| two[0].1 <= two[1].1));
    }
}
