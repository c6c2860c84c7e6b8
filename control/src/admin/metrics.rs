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
use proxy::{
    EjectReason, ProxyProtocolRefused, RefusedFor,
    metrics::{DURATION_BOUNDS_US, DurationsReading, RequestsReading},
    tls::HandshakeFailure,
};
use scaler::peers::{PeerState, PeerView};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What `/metrics` says it is.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels<const N: usize> = [(&'static str, String); N];

const NONE: Labels<0> = [];

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
        edges(admin, &mut page)?;
        tls(admin, &mut page)?;
        workloads(admin, &mut page)?;
        keda(admin, &mut page)?;
        peers(admin, &mut page)
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
    )?;
    page.seconds(
        "reveille_limit_wait_duration",
        "How long requests waited for a place: every replica had as many as it may",
        |family| {
            for wired in admin.world.wired() {
                let placed = wired.target.metrics().holds.placed.read();
                family.histogram(&route_labels(wired), &placed)?;
            }
            Ok(())
        },
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
    page.per_target_reasons(
        admin,
        "reveille_upstream_retries",
        "Requests sent again: no connection, refused untouched (HTTP/2), broken without an answer",
        |wired| {
            let retries = &wired.target.metrics().retries;
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            vec![
                ("connect", count(&retries.connect)),
                ("refused", count(&retries.refused)),
                ("reset", count(&retries.reset)),
            ]
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_upstream_retry_budget_exhausted",
        "Requests not sent again because the retry budget was spent",
        |wired| {
            let retries = &wired.target.metrics().retries;
            retries.budget_exhausted.load(Ordering::Relaxed)
        },
    )?;
    page.per_target_reasons(
        admin,
        "reveille_endpoint_ejections",
        "Endpoints that left the rotation for a while",
        |wired| {
            let ejections = &wired.target.metrics().ejections;
            let reasons = EjectReason::ALL.into_iter();
            reasons
                .map(|reason| (reason.as_str(), ejections.count(reason)))
                .collect()
        },
    )?;
    page.per_target(
        admin,
        "reveille_ejected_endpoints",
        "Endpoints that are out of the rotation now",
        |wired| {
            let now_us = wired.target.clock().now_us();
            let endpoints = wired.target.endpoints();
            let ejected = endpoints.iter().filter(|e| e.is_ejected(now_us));
            ejected.count() as u64
        },
    )?;
    page.per_target_reasons(
        admin,
        "reveille_sessions",
        "Session cookies given: to clients without one, and because the endpoint was gone",
        |wired| {
            let sessions = &wired.target.metrics().sessions;
            vec![
                ("moved", sessions.moved.load(Ordering::Relaxed)),
                ("started", sessions.started.load(Ordering::Relaxed)),
            ]
        },
    )?;
    page.family(
        "reveille_client_connections",
        "Connections of clients that are open",
        MetricType::Gauge,
        |family| family.gauge(&[] as &Labels<0>, admin.proxy.connections() as u64),
    )?;
    page.family(
        "reveille_refused",
        "What clients were refused because of how they asked, by reason",
        MetricType::Counter,
        |family| {
            RefusedFor::ALL.into_iter().try_for_each(|reason| {
                let labels = [("reason", reason.as_str().to_owned())];
                family.counter(&labels, admin.proxy.refused().read(reason))
            })
        },
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

/// Before the first request of a connection, and after the last byte of an
/// answer.
fn edges(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let header = admin.proxy.proxy_protocol();
    page.family(
        "reveille_proxy_protocol_headers",
        "Connections that began with a valid PROXY protocol header",
        MetricType::Counter,
        |family| family.total(header.accepted()),
    )?;
    page.family(
        "reveille_proxy_protocol_refused_connections",
        "Connections refused because of their PROXY protocol header, by reason",
        MetricType::Counter,
        |family| {
            ProxyProtocolRefused::ALL.iter().try_for_each(|&reason| {
                let labels = [("reason", reason.as_str().to_owned())];
                family.counter(&labels, header.refused(reason))
            })
        },
    )?;
    if let Some(log) = &admin.access_log {
        page.family(
            "reveille_access_log_lines",
            "Lines of the access log: written, and lost because they could not be in time",
            MetricType::Counter,
            |family| {
                family.counter(&[("outcome", "written".to_owned())], log.written())?;
                family.counter(&[("outcome", "lost".to_owned())], log.lost())
            },
        )?;
    }
    if let Some(traces) = &admin.traces {
        page.family(
            "reveille_trace_spans",
            "Spans: exported, and lost because the queue was full or the collector did not take them",
            MetricType::Counter,
            |family| {
                for (outcome, count) in [
                    ("exported", traces.exported()),
                    ("queue_full", traces.queue_full()),
                    ("not_taken", traces.not_taken()),
                ] {
                    family.counter(&[("outcome", outcome.to_owned())], count)?;
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Handshakes and certificates.
fn tls(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let tls = admin.proxy.tls();
    let metrics = tls.metrics();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.family(
        "reveille_tls_handshakes",
        "TLS handshakes with clients that succeeded",
        MetricType::Counter,
        |family| family.counter(&NONE, count(&metrics.handshakes)),
    )?;
    page.family(
        "reveille_tls_handshake_failures",
        "TLS handshakes with clients that failed, by reason",
        MetricType::Counter,
        |family| {
            HandshakeFailure::ALL.iter().try_for_each(|&reason| {
                let labels = [("reason", reason.as_str().to_owned())];
                family.counter(&labels, metrics.failures(reason))
            })
        },
    )?;
    page.family(
        "reveille_tls_reloads",
        "Changes of certificates and keys that were taken over",
        MetricType::Counter,
        |family| family.counter(&NONE, count(&metrics.reloads)),
    )?;
    page.family(
        "reveille_tls_reload_failures",
        "Changes of certificates and keys that could not be used: the old ones serve on",
        MetricType::Counter,
        |family| family.counter(&NONE, count(&metrics.reload_failures)),
    )?;
    let unit = Some(&Unit::Seconds);
    let mut family = Family(page.0.encode_descriptor(
        "reveille_certificate_expiry_timestamp",
        "When a certificate in use expires, in Unix time",
        unit,
        MetricType::Gauge,
    )?);
    tls.certificates().iter().try_for_each(|certificate| {
        let labels = [
            ("path", certificate.path.display().to_string()),
            ("role", certificate.role.as_str().to_owned()),
            ("subject", certificate.subject.clone()),
        ];
        // One that ended before 1970 has expired as well.
        family.gauge(&labels, u64::try_from(certificate.not_after).unwrap_or(0))
    })
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

/// Other replicas.
fn peers(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let views = admin.peer_views();
    let told = admin.ledger.told_to_peers();
    page.family(
        "reveille_peers",
        "Addresses of other replicas, by what is known of each",
        MetricType::Gauge,
        |family| {
            PeerState::ALL.iter().try_for_each(|state| {
                let count = views.iter().filter(|peer| peer.state == *state).count();
                family.gauge(&[("state", state.as_str().to_owned())], count as u64)
            })
        },
    )?;
    page.family(
        "reveille_peer_followers",
        "Replicas that follow this one",
        MetricType::Gauge,
        |family| family.gauge(&NONE, told.followers as u64),
    )?;
    page.family(
        "reveille_peer_frames_sent",
        "Frames sent to other replicas",
        MetricType::Counter,
        |family| family.counter(&NONE, told.frames),
    )?;
    let mut per_peer = |name, help, value: fn(&PeerView) -> u64| {
        page.family(name, help, MetricType::Counter, |family| {
            views
                .iter()
                .try_for_each(|peer| family.counter(&[("peer", peer.address.clone())], value(peer)))
        })
    };
    per_peer(
        "reveille_peer_frames_received",
        "Frames that came from a replica",
        |peer| peer.frames,
    )?;
    per_peer(
        "reveille_peer_connects",
        "How often a replica was connected to",
        |peer| peer.connects,
    )?;
    per_peer(
        "reveille_peer_losses",
        "How often the connection to a replica broke",
        |peer| peer.losses,
    )?;
    per_peer(
        "reveille_peer_refused_reports",
        "Reports of targets that could not be true, or were too many",
        |peer| peer.refused,
    )?;
    let unit = Some(&Unit::Seconds);
    let mut family = Family(page.0.encode_descriptor(
        "reveille_peer_last_frame_age",
        "How long ago a replica was last heard: above 3 it is lost",
        unit,
        MetricType::Gauge,
    )?);
    for peer in &views {
        if let Some(silent) = peer.silent {
            family.gauge_f64(&[("peer", peer.address.clone())], silent.as_secs_f64())?;
        }
    }
    Ok(())
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

    /// A counter per target and reason.
    fn per_target_reasons(
        &mut self,
        admin: &Admin,
        name: &str,
        help: &str,
        values: impl Fn(&Wired) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |family| {
            for wired in admin.world.wired() {
                for (reason, count) in values(wired) {
                    let [name, namespace] = route_labels(wired);
                    family.counter(&[("reason", reason.to_owned()), name, namespace], count)?;
                }
            }
            Ok(())
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

    fn gauge_f64<const N: usize>(&mut self, labels: &Labels<N>, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
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

    /// A counter without labels.
    fn total(&mut self, value: u64) -> fmt::Result {
        let exemplar = None::<&prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>;
        self.0.encode_counter(&Count(value), exemplar)
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
