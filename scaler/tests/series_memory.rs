//! What a series costs, and what a selection touches, with 100,000 of them.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use prost::Message;
use scaler::{
    ingest::{
        IngestCounters, Source,
        otlp::{Otlp, OtlpLimits, ResourceLabels},
    },
    series::{Limits, MatchOp, Matcher, Select, Store},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SERIES: u32 = 100_000;
const NOW: i64 = 1_700_000_000_000;

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// 1,000 points of one pod, with the labels of Dapr's counter of calls.
fn batch(pod: u32) -> Vec<u8> {
    let point = |n: u32| NumberDataPoint {
        attributes: vec![
            pair("app_id", "nodeapp"),
            pair("src_app_id", &format!("caller-{n}")),
        ],
        time_unix_nano: u64::try_from(NOW).expect("after 1970") * 1_000_000,
        value: Some(number_data_point::Value::AsDouble(1.0)),
        ..NumberDataPoint::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![
                    pair("service.name", "nodeapp"),
                    pair("k8s.pod.name", &format!("nodeapp-7d4b9c6f5-{pod:05}")),
                ],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                metrics: vec![Metric {
                    name: "runtime/service_invocation/req_recv_total".to_owned(),
                    data: Some(Data::Sum(Sum {
                        data_points: (0..1_000).map(point).collect(),
                        aggregation_temporality: 2,
                        is_monotonic: true,
                    })),
                    ..Metric::default()
                }],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec()
}

#[test]
fn an_idle_series_takes_less_than_400_bytes_and_is_counted_as_what_it_takes() {
    let batches: Vec<_> = (0..SERIES / 1_000).map(batch).collect();
    let region = Region::new(ALLOCATOR);
    let store = Arc::new(Store::new(Limits::default()));
    let otlp = Otlp::new(
        store.clone(),
        Arc::new(IngestCounters::default()),
        ResourceLabels::default(),
        OtlpLimits::default(),
    );
    for bytes in &batches {
        let outcome = otlp.take(Source::OtlpGrpc, bytes, NOW).expect("good");
        assert_eq!(outcome.accepted(), 1_000);
    }
    let change = region.change();
    let taken = change.bytes_allocated - change.bytes_deallocated;
    let stats = store.stats();
    assert_eq!(stats.series, SERIES as usize);
    let (each, counted) = (taken / stats.series, stats.bytes / stats.series);
    println!("{each} bytes a series, counted as {counted}");
    assert!(each < 400, "{each} bytes a series");
    // The limit of bytes means something: it is not far from the truth.
    assert!(
        counted * 10 > each * 8 && counted * 8 < each * 10,
        "{counted} for {each}"
    );

    // A known stream costs no allocation; a request some for itself.
    let region = Region::new(ALLOCATOR);
    otlp.take(Source::OtlpGrpc, &batches[0], NOW).expect("good");
    let allocations = region.change().allocations;
    assert!(
        allocations < 20,
        "{allocations} allocations for 1,000 points"
    );

    let one = [
        ("__name__", "dapr_runtime_service_invocation_req_recv_total"),
        ("pod", "nodeapp-7d4b9c6f5-00042"),
        ("src_app_id", "caller-7"),
    ];
    let one = one.map(|(name, value)| Matcher::new(name, MatchOp::Equal, value).expect("good"));
    let mut found = 0;
    store.select(&one, i64::MIN, i64::MAX, &mut |_, _| found += 1);
    assert_eq!(found, 1);
}
