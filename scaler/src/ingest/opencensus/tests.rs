//! Messages as they are on the wire, and what is stored of them.

use super::*;
use crate::{
    ingest::{
        IngestCounters, encode,
        otlp::{OtlpLimits, ResourceLabels},
    },
    series::{DropReason, Limits, Select, Store},
};

const NOW: i64 = 1_700_000_000_000;
const START: i64 = 1_699_999_000;

/// Types of a `MetricDescriptor`.
const GAUGE_INT64: u64 = 1;
const GAUGE_DISTRIBUTION: u64 = 3;
const CUMULATIVE_INT64: u64 = 4;
const CUMULATIVE_DOUBLE: u64 = 5;
const CUMULATIVE_DISTRIBUTION: u64 = 6;
const SUMMARY: u64 = 7;

struct Rig {
    store: Arc<Store>,
    otlp: Arc<Otlp>,
}

impl Rig {
    fn new() -> Self {
        let store = Arc::new(Store::new(Limits::default()));
        let otlp = Otlp::new(
            store.clone(),
            Arc::new(IngestCounters::default()),
            ResourceLabels::new([("service.name", "job"), ("host.name", "pod")]),
            OtlpLimits::default(),
        );
        Self {
            store,
            otlp: Arc::new(otlp),
        }
    }

    fn stream(&self) -> Stream {
        Stream::new(self.otlp.clone())
    }

    /// Last values, without the hash of what the resource has besides.
    fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.store
            .select(&[], i64::MIN, i64::MAX, &mut |labels, points| {
                let last = points.last().expect("a point");
                let pairs = labels.iter().filter(|(name, _)| *name != "instance");
                let pairs: Vec<String> = pairs.map(|(n, v)| format!("{n}={v}")).collect();
                found.push(format!("{} {}", pairs.join(" "), last.value));
            });
        found.sort();
        found
    }
}

fn built(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn timestamp(out: &mut Vec<u8>, field: u8, seconds: i64) {
    encode::message(out, field, |out| {
        encode::varint(out, 1, seconds.cast_unsigned());
    });
}

/// A message with a node of this host.
fn node(host: &str) -> Vec<u8> {
    built(|out| {
        encode::message(out, 1, |out| {
            encode::message(out, 1, |out| {
                encode::bytes(out, 1, host.as_bytes());
                encode::varint(out, 2, 17);
                timestamp(out, 3, START);
            });
            encode::message(out, 2, |out| encode::varint(out, 1, 4));
        });
    })
}

fn resource(out: &mut Vec<u8>, field: u8, key: &str, value: &str) {
    encode::message(out, field, |out| {
        encode::message(out, 2, |out| {
            encode::bytes(out, 1, key.as_bytes());
            encode::bytes(out, 2, value.as_bytes());
        });
    });
}

/// A metric of one series whose start is `START`, of one point of `NOW`.
fn metric(
    name: &str,
    kind: u64,
    keys: &[&str],
    values: &[Option<&str>],
    value: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    built(|out| {
        encode::message(out, 1, |out| {
            encode::bytes(out, 1, name.as_bytes());
            encode::varint(out, 4, kind);
            for key in keys {
                encode::message(out, 5, |out| encode::bytes(out, 1, key.as_bytes()));
            }
        });
        encode::message(out, 2, |out| {
            timestamp(out, 1, START);
            for value in values {
                encode::message(out, 2, |out| {
                    if let Some(value) = value {
                        encode::bytes(out, 1, value.as_bytes());
                        encode::varint(out, 2, 1);
                    }
                });
            }
            encode::message(out, 3, |out| {
                timestamp(out, 1, NOW / 1000);
                value(out);
            });
        });
    })
}

fn whole(number: i64) -> impl FnOnce(&mut Vec<u8>) {
    move |out| encode::varint(out, 2, number.cast_unsigned())
}

fn double(number: f64) -> impl FnOnce(&mut Vec<u8>) {
    move |out| encode::fixed64(out, 3, number.to_bits())
}

fn distribution(counts: &'static [u64], bounds: &'static [f64]) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        encode::message(out, 4, |out| {
            encode::varint(out, 1, counts.iter().sum());
            encode::fixed64(out, 2, 12.5_f64.to_bits());
            encode::message(out, 4, |out| {
                encode::message(out, 1, |out| {
                    let packed = bounds.iter().flat_map(|bound| bound.to_le_bytes());
                    encode::bytes(out, 1, &packed.collect::<Vec<u8>>());
                });
            });
            for count in counts {
                encode::message(out, 5, |out| encode::varint(out, 1, *count));
            }
        });
    }
}

fn message(metrics: &[Vec<u8>]) -> Vec<u8> {
    built(|out| {
        for metric in metrics {
            encode::bytes(out, 2, metric);
        }
    })
}

/// Dropped points by reason, of one metric from `host`.
fn dropped(metric: Vec<u8>) -> Vec<(DropReason, u64)> {
    let rig = Rig::new();
    let mut stream = rig.stream();
    stream.take(&node("a"), NOW).expect("a node");
    let outcome = stream.take(&message(&[metric]), NOW).expect("readable");
    assert_eq!(rig.stored(), [""; 0]);
    outcome.dropped().collect()
}

#[test]
fn each_kind_of_metric_is_stored() {
    let rig = Rig::new();
    let mut stream = rig.stream();
    stream.take(&node("p"), NOW).expect("a node");
    let summary = |out: &mut Vec<u8>| {
        encode::message(out, 5, |out| {
            encode::message(out, 1, |out| encode::varint(out, 1, 9));
            encode::message(out, 2, |out| encode::fixed64(out, 1, 4.5_f64.to_bits()));
            encode::message(out, 3, |out| {
                encode::message(out, 3, |out| {
                    encode::fixed64(out, 1, 50.0_f64.to_bits());
                    encode::fixed64(out, 2, 0.25_f64.to_bits());
                });
            });
        });
    };
    let metrics = [
        metric("g", GAUGE_INT64, &[], &[], whole(-3)),
        metric("http/c", CUMULATIVE_INT64, &["k"], &[Some("v")], whole(7)),
        metric("d", CUMULATIVE_DOUBLE, &["k"], &[None], double(1.5)),
        metric(
            "h",
            CUMULATIVE_DISTRIBUTION,
            &[],
            &[],
            distribution(&[1, 2, 4], &[1.0, 10.0]),
        ),
        metric("s", SUMMARY, &[], &[], summary),
    ];
    let outcome = stream.take(&message(&metrics), NOW).expect("readable");
    assert_eq!(
        (outcome.accepted(), outcome.rejected()),
        (5, 0),
        "{}",
        outcome.message()
    );
    assert_eq!(
        rig.stored(),
        [
            "__name__=d pod=p 1.5",
            "__name__=g pod=p -3",
            "__name__=h_bucket le=+Inf pod=p 7",
            "__name__=h_bucket le=1 pod=p 1",
            "__name__=h_bucket le=10 pod=p 3",
            "__name__=h_count pod=p 7",
            "__name__=h_sum pod=p 12.5",
            "__name__=http_c k=v pod=p 7",
            "__name__=s pod=p quantile=0.5 0.25",
            "__name__=s_count pod=p 9",
            "__name__=s_sum pod=p 4.5",
        ]
    );
}

#[test]
fn who_sends_holds_until_it_is_told_anew() {
    let rig = Rig::new();
    let (mut one, mut two) = (rig.stream(), rig.stream());
    let gauge = |name: &str, value| metric(name, GAUGE_INT64, &[], &[], whole(value));
    let from_nobody = one.take(&message(&[gauge("a", 1)]), NOW);
    assert_eq!(from_nobody, Err(Problem::NoNode));
    let mut first = node("x");
    first.extend(message(&[gauge("a", 1)]));
    one.take(&first, NOW).expect("known");
    two.take(&node("y"), NOW).expect("known");
    one.take(&message(&[gauge("b", 2)]), NOW).expect("known");
    two.take(&message(&[gauge("b", 3)]), NOW).expect("known");
    one.take(&node("z"), NOW).expect("known");
    one.take(&message(&[gauge("b", 4)]), NOW).expect("known");
    assert_eq!(
        rig.stored(),
        [
            "__name__=a pod=x 1",
            "__name__=b pod=x 2",
            "__name__=b pod=y 3",
            "__name__=b pod=z 4"
        ]
    );
}

#[test]
fn a_metrics_own_resource_takes_the_place_of_the_streams() {
    let rig = Rig::new();
    let mut stream = rig.stream();
    let mut first = node("x");
    resource(&mut first, 3, "service.name", "shop");
    stream.take(&first, NOW).expect("known");
    let plain = metric("a", GAUGE_INT64, &[], &[], whole(1));
    let mut own = metric("a", GAUGE_INT64, &[], &[], whole(2));
    resource(&mut own, 3, "service.name", "other");
    let again = metric("b", GAUGE_INT64, &[], &[], whole(3));
    let taken = stream.take(&message(&[plain, own, again]), NOW);
    assert_eq!(taken.map(|outcome| outcome.accepted()), Ok(3));
    assert_eq!(
        rig.stored(),
        [
            "__name__=a job=other pod=x 2",
            "__name__=a job=shop pod=x 1",
            "__name__=b job=shop pod=x 3"
        ]
    );
}

#[test]
fn a_restart_is_another_series() {
    let rig = Rig::new();
    let mut later = node("x");
    // The same host, started later.
    encode::message(&mut later, 1, |out| {
        encode::message(out, 1, |out| {
            encode::bytes(out, 1, b"x");
            timestamp(out, 3, START + 60);
        });
    });
    for (host, value) in [(node("x"), 90), (later, 1)] {
        let mut stream = rig.stream();
        stream.take(&host, NOW).expect("known");
        let counter = metric("c", CUMULATIVE_INT64, &[], &[], whole(value));
        stream.take(&message(&[counter]), NOW).expect("readable");
    }
    assert_eq!(
        rig.stored(),
        ["__name__=c pod=x 1", "__name__=c pod=x 90"],
        "told apart by the hash of what is no label"
    );
}

#[test]
fn values_that_were_left_out_are_put_right_or_dropped() {
    let keys = [
        "app_id",
        "flow_direction",
        "name",
        "namespace",
        "policy",
        "status",
        "target",
    ];
    let rig = Rig::new();
    let mut stream = rig.stream();
    stream.take(&node("p"), NOW).expect("a node");
    let values = ["caller", "outbound", "res", "default", "retry", "app_node"].map(Some);
    let good = metric(
        "resiliency/count",
        CUMULATIVE_INT64,
        &keys,
        &values,
        whole(1),
    );
    let few = ["caller", "outbound", "app_node"].map(Some);
    let bad = metric("resiliency/count", CUMULATIVE_INT64, &keys, &few, whole(1));
    let outcome = stream.take(&message(&[good, bad]), NOW).expect("readable");
    let dropped: Vec<_> = outcome.dropped().collect();
    assert_eq!(dropped, [(DropReason::Misaligned, 1)]);
    assert_eq!(
        rig.stored(),
        [
            "__name__=resiliency_count app_id=caller flow_direction=outbound name=res \
             namespace=default pod=p policy=retry target=app_node 1"
        ]
    );
}

#[test]
fn what_cannot_be_stored_is_dropped_with_its_reason() {
    let gauge =
        |keys: &[&str], values: &[Option<&str>]| metric("m", GAUGE_INT64, keys, values, whole(1));
    let long = "x".repeat(2000);
    let names: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    let cases = [
        (gauge(&["a", "b"], &[Some("1")]), DropReason::Misaligned),
        (gauge(&["a"], &[Some("1"); 2]), DropReason::Misaligned),
        (
            gauge(&["a", "a"], &[Some("1"), Some("2")]),
            DropReason::DuplicateLabel,
        ),
        (gauge(&[&long], &[Some("1")]), DropReason::NameTooLong),
        (gauge(&["a"], &[Some(&long)]), DropReason::ValueTooLong),
        (gauge(&many, &[Some("1")]), DropReason::TooManyLabels),
        (
            metric(&long, GAUGE_INT64, &[], &[], whole(1)),
            DropReason::NameTooLong,
        ),
        (
            metric("", GAUGE_INT64, &[], &[], whole(1)),
            DropReason::NoName,
        ),
        (metric("m", 0, &[], &[], whole(1)), DropReason::Unsupported),
        (
            metric("m", GAUGE_DISTRIBUTION, &[], &[], distribution(&[1], &[])),
            DropReason::Unsupported,
        ),
        (
            metric("m", CUMULATIVE_DISTRIBUTION, &[], &[], whole(1)),
            DropReason::Malformed,
        ),
        (
            metric("m", GAUGE_INT64, &[], &[], distribution(&[1], &[])),
            DropReason::Malformed,
        ),
        (
            metric(
                "m",
                CUMULATIVE_DISTRIBUTION,
                &[],
                &[],
                distribution(&[1], &[1.0]),
            ),
            DropReason::Malformed,
        ),
        (
            metric("m", CUMULATIVE_INT64, &[], &[], whole(-1)),
            DropReason::Negative,
        ),
        (
            metric("m", GAUGE_INT64, &[], &[], double(f64::NAN)),
            DropReason::NotANumber,
        ),
        (
            metric("m", SUMMARY, &[], &[], |out| {
                encode::message(out, 5, |_| ())
            }),
            DropReason::Malformed,
        ),
    ];
    for (index, (metric, reason)) in cases.into_iter().enumerate() {
        assert_eq!(dropped(metric), [(reason, 1)], "case {index}");
    }
}

#[test]
fn times_before_and_after_all_times_are_refused() {
    let at = |seconds: i64| {
        built(|out| {
            encode::message(out, 1, |out| {
                encode::bytes(out, 1, b"m");
                encode::varint(out, 4, GAUGE_INT64);
            });
            encode::message(out, 2, |out| {
                encode::message(out, 3, |out| {
                    timestamp(out, 1, seconds);
                    encode::varint(out, 2, 1);
                });
            });
        })
    };
    for (seconds, reason) in [
        (1, DropReason::TooOld),
        (-5, DropReason::TooOld),
        (i64::MIN, DropReason::TooOld),
        (NOW / 1000 + 3600, DropReason::TooFarAhead),
        (i64::MAX, DropReason::TooFarAhead),
    ] {
        assert_eq!(dropped(at(seconds)), [(reason, 1)], "{seconds}");
    }
}

#[test]
fn what_would_grow_without_bound_ends_the_stream() {
    let rig = Rig::new();
    let mut stream = rig.stream();
    let large = built(|out| {
        encode::message(out, 1, |out| {
            encode::message(out, 4, |out| {
                encode::bytes(out, 1, b"k");
                encode::bytes(out, 2, &[b'v'; 9 << 10]);
            });
        });
    });
    let refused = stream.take(&large, NOW);
    assert_eq!(refused, Err(Problem::LargeIdentity("node")));
    stream.take(&node("p"), NOW).expect("a node");
    // Keys of 16 KiB, values of four bytes each, and point after point.
    let names: Vec<String> = (0..60).map(|n| format!("{n:0>250}")).collect();
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut series = metric("m", GAUGE_INT64, &keys, &[Some("v"); 60], whole(1));
    let point = built(|out| {
        encode::message(out, 2, |out| {
            for _ in 0..60 {
                encode::message(out, 2, |out| {
                    encode::bytes(out, 1, b"v");
                    encode::varint(out, 2, 1);
                });
            }
            for _ in 0..4000 {
                encode::message(out, 3, |_| ());
            }
        });
    });
    series.extend(point);
    assert_eq!(stream.take(&message(&[series]), NOW), Err(Problem::Grows));
    // A node of 4 KiB, and metrics that say nothing but an empty resource.
    let long = "h".repeat(4 << 10);
    stream.take(&node(&long), NOW).expect("not too long");
    let own = built(|out| encode::message(out, 3, |_| ()));
    let metrics = vec![own; 1000];
    assert_eq!(stream.take(&message(&metrics), NOW), Err(Problem::Grows));
}

#[test]
fn damaged_bytes_are_named() {
    let rig = Rig::new();
    let mut stream = rig.stream();
    let mut bytes = node("a");
    bytes.extend(message(&[metric(
        "m",
        GAUGE_INT64,
        &["k"],
        &[Some("v")],
        whole(1),
    )]));
    stream.take(&bytes, NOW).expect("whole");
    for end in 1..bytes.len() {
        // Never a panic; most are errors.
        let _taken = rig.stream().take(&bytes[..end], NOW);
    }
    let problem = stream.take(&bytes[..bytes.len() - 1], NOW);
    let problem = problem.expect_err("cut").to_string();
    assert!(
        problem.starts_with("not an ExportMetricsServiceRequest: "),
        "{problem}"
    );
}
