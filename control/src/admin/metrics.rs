//! `/metrics`: the HTTP add-on's three metrics under their names and labels,
//! and Reveille's own.
//!
//! Nothing is kept for the scrape: every value is read from the part that
//! counts it, at the moment it is asked for.

use super::Admin;
use crate::{autoscaler::Workload, local::Wired};
use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
        NoLabelSet, text,
    },
    metrics::MetricType,
    registry::{Registry, Unit},
};
use proxy::metrics::{DURATION_BOUNDS_US, DurationsReading, RequestsReading};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

/// What `/metrics` says it is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, String); N];

/// The whole page.
pub(super) fn render(admin: &Arc<Admin>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collector(admin.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Collector(Arc<Admin>);

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let admin = &self.0;
        let mut page = Page(&mut encoder);
        requests(admin, &mut page)?;
        holds(admin, &mut page)?;
        upstream(admin, &mut page)?;
        workloads(admin, &mut page)?;
        keda(admin, &mut page)
    }
}

/// Labels of a route, as the add-on calls them.
fn route_labels(wired: &Wired) -> Labels<2> {
    let id = wired.target.id();
    [
        ("route_name", id.name().to_owned()),
        ("route_namespace", id.namespace().to_owned()),
    ]
}

/// The add-on's metrics.
fn requests(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let mut all: Vec<(Labels<4>, RequestsReading)> = Vec::new();
    let mut add = |route: Labels<2>, readings: Vec<RequestsReading>| {
        for reading in readings {
            let code = ("code", reading.code.to_string());
            let method = ("method", reading.method.as_str().to_owned());
            let [name, namespace] = route.clone();
            all.push(([code, method, name, namespace], reading));
        }
    };
    for wired in admin.world.wired() {
        add(route_labels(wired), wired.target.metrics().requests.read());
    }
    let nowhere = [
        ("route_name", String::new()),
        ("route_namespace", String::new()),
    ];
    add(nowhere, admin.proxy.unrouted().read());

    page.family(
        "interceptor_request_count",
        "Requests answered, by status code and method",
        MetricType::Counter,
        |family| {
            all.iter()
                .try_for_each(|(labels, reading)| family.counter(labels, reading.durations.count()))
        },
    )?;
    page.seconds(
        "interceptor_request_duration",
        "How long requests took, the hold included",
        |family| {
            all.iter()
                .try_for_each(|(labels, reading)| family.histogram(labels, &reading.durations))
        },
    )?;
    page.per_target(
        admin,
        "interceptor_request_concurrency",
        "Requests in flight, held ones included",
        |wired| wired.target.totals().in_flight(),
    )
}

/// Holding and cold starts.
fn holds(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.per_target(
        admin,
        "reveille_held_requests",
        "Requests that wait for an endpoint",
        |wired| wired.target.held() as u64,
    )?;
    page.seconds(
        "reveille_hold_duration",
        "How long requests waited for an endpoint, by how the wait ended",
        |family| {
            for wired in admin.world.wired() {
                let holds = &wired.target.metrics().holds;
                let ends = [
                    ("ready", &holds.ready),
                    ("refused", &holds.refused),
                    ("cancelled", &holds.cancelled),
                ];
                for (outcome, durations) in ends {
                    let [name, namespace] = route_labels(wired);
                    let labels = [("outcome", outcome.to_owned()), name, namespace];
                    family.histogram(&labels, &durations.read())?;
                }
            }
            Ok(())
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_hold_rejections",
        "Requests not held because a bound was reached",
        |wired| {
            wired
                .target
                .metrics()
                .holds
                .rejected
                .load(Ordering::Relaxed)
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_cold_starts",
        "Requests that waited and were then served",
        |wired| wired.target.metrics().holds.ready.read().count(),
    )
}

/// Endpoints and the connections to them.
fn upstream(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.per_target(
        admin,
        "reveille_ready_endpoints",
        "Endpoints that requests can be sent to",
        |wired| wired.target.ready_endpoints() as u64,
    )?;
    page.family(
        "reveille_upstream_connections",
        "Connections to endpoints: in use (one request each) and idle",
        MetricType::Gauge,
        |family| {
            for wired in admin.world.wired() {
                let endpoints = wired.target.endpoints();
                let in_use = endpoints
                    .iter()
                    .map(|endpoint| endpoint.in_flight())
                    .sum::<usize>();
                let idle = endpoints
                    .iter()
                    .map(|endpoint| endpoint.idle_connections())
                    .sum::<usize>();
                for (state, count) in [("in_use", in_use), ("idle", idle)] {
                    let [name, namespace] = route_labels(wired);
                    family.gauge(
                        &[name, namespace, ("state", state.to_owned())],
                        count as u64,
                    )?;
                }
            }
            Ok(())
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_upstream_connect_failures",
        "Connections to endpoints that could not be made",
        |wired| {
            wired
                .target
                .metrics()
                .connect_failures
                .load(Ordering::Relaxed)
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_upstream_retries",
        "Requests sent again after their connection broke without an answer",
        |wired| wired.target.metrics().retries.load(Ordering::Relaxed),
    )?;
    page.family(
        "reveille_client_connections",
        "Connections of clients that are open",
        MetricType::Gauge,
        |family| family.gauge(&[] as &Labels<0>, admin.proxy.connections() as u64),
    )?;
    let counts = admin.proxy.connection_counts();
    page.family(
        "reveille_client_connections_parked",
        "Connections of clients that are open, idle, and gave their memory back",
        MetricType::Gauge,
        |family| family.gauge(&[] as &Labels<0>, counts.parked),
    )?;
    page.family(
        "reveille_client_connections_woken",
        "Parked connections of clients that were used again",
        MetricType::Counter,
        |family| family.counter(&[] as &Labels<0>, counts.woken),
    )?;
    page.family(
        "reveille_client_connections_timed_out",
        "Connections of clients that were closed for a head that took too long, or for idleness",
        MetricType::Counter,
        |family| {
            family.counter(&[("reason", "header".to_owned())], counts.slow_closed)?;
            family.counter(&[("reason", "idle".to_owned())], counts.idle_closed)
        },
    )
}

/// Child processes.
fn workloads(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.family(
        "reveille_replicas",
        "Replicas of a workload: wanted and ready",
        MetricType::Gauge,
        |family| {
            for pool in admin.world.pools() {
                for (state, count) in [("wanted", pool.replicas()), ("ready", pool.ready())] {
                    let labels = [("state", state.to_owned()), ("workload", pool.name())];
                    family.gauge(&labels, u64::from(count))?;
                }
            }
            Ok(())
        },
    )?;
    page.family(
        "reveille_replica_starts",
        "Replicas started",
        MetricType::Counter,
        |family| {
            admin
                .world
                .pools()
                .try_for_each(|pool| family.counter(&[("workload", pool.name())], pool.starts()))
        },
    )?;
    page.family(
        "reveille_replica_failures",
        "Replicas that ended on their own or never got ready",
        MetricType::Counter,
        |family| {
            admin
                .world
                .pools()
                .try_for_each(|pool| family.counter(&[("workload", pool.name())], pool.failures()))
        },
    )
}

/// What KEDA asked and was told.
fn keda(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let keda = admin.keda.snapshot();
    page.family(
        "reveille_scaler_calls",
        "Calls of KEDA's, by method and gRPC status",
        MetricType::Counter,
        |family| {
            keda.calls.iter().try_for_each(|call| {
                let labels = [
                    ("code", call.code.to_owned()),
                    ("method", call.method.to_owned()),
                ];
                family.counter(&labels, call.count)
            })
        },
    )?;
    page.family(
        "reveille_scaler_open_streams",
        "Streams that KEDA holds open",
        MetricType::Gauge,
        |family| {
            let streams = keda.open_streams;
            family.gauge(&[("kind", "activity".to_owned())], streams.activity)?;
            family.gauge(&[("kind", "specs".to_owned())], streams.specs)
        },
    )?;
    page.family(
        "reveille_scaler_activity_messages",
        "Activity sent on streams: on open, on a change, repeated while somebody waits",
        MetricType::Counter,
        |family| {
            let sent = HashMap::from([
                ("open", keda.states_on_open),
                ("edge", keda.edges),
                ("repeat", keda.repeats),
            ]);
            ["open", "edge", "repeat"].iter().try_for_each(|reason| {
                family.counter(&[("reason", (*reason).to_owned())], sent[reason])
            })
        },
    )
}

/// Writes families.
struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        values(&mut Family(
            self.0.encode_descriptor(name, help, None, kind)?,
        ))
    }

    /// A histogram of seconds; the unit is appended to `name`.
    fn seconds(
        &mut self,
        name: &str,
        help: &str,
        values: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        values(&mut Family(self.0.encode_descriptor(
            name,
            help,
            unit,
            MetricType::Histogram,
        )?))
    }

    fn per_target(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        value: impl Fn(&Wired) -> u64,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |family| {
            let mut all = admin.world.wired().iter();
            all.try_for_each(|wired| family.gauge(&route_labels(wired), value(wired)))
        })
    }

    fn per_target_counter(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        value: impl Fn(&Wired) -> u64,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            let mut all = admin.world.wired().iter();
            all.try_for_each(|wired| family.counter(&route_labels(wired), value(wired)))
        })
    }
}

/// Writes the values of one family.
struct Family<'e>(MetricEncoder<'e>);

impl Family<'_> {
    fn gauge<const N: usize>(&mut self, labels: &Labels<N>, value: u64) -> fmt::Result {
        if N == 0 {
            return self.0.encode_gauge(&Count(value));
        }
        self.0.encode_family(labels)?.encode_gauge(&Count(value))
    }

    fn counter<const N: usize>(&mut self, labels: &Labels<N>, value: u64) -> fmt::Result {
        let exemplar = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>;
        if N == 0 {
            return self.0.encode_counter(&Count(value), exemplar);
        }
        self.0
            .encode_family(labels)?
            .encode_counter(&Count(value), exemplar)
    }

    fn histogram(
        &mut self,
        labels: &impl EncodeLabelSet,
        reading: &DurationsReading,
    ) -> fmt::Result {
        let bounds = DURATION_BOUNDS_US
            .iter()
            .map(|&us| us as f64 / 1e6)
            .chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(reading.buckets).collect();
        let sum = reading.sum_us as f64 / 1e6;
        self.0
            .encode_family(labels)?
            .encode_histogram::<NoLabelSet>(sum, reading.count(), &buckets, None)
    }
}

/// A whole number as a gauge or a counter.
struct Count(u64);

impl EncodeGaugeValue for Count {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::GaugeValueEncoder<'_>,
    ) -> fmt::Result {
        EncodeGaugeValue::encode(&i64::try_from(self.0).unwrap_or(i64::MAX), encoder)
    }
}

impl EncodeCounterValue for Count {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::CounterValueEncoder<'_>,
    ) -> fmt::Result {
        EncodeCounterValue::encode(&self.0, encoder)
    }
}
