//! What came in, what did not, and what is stored.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use scaler::ingest::{Source, SourceReading};
use std::fmt;

/// One number of a source.
type Count = fn(&SourceReading) -> u64;

/// Receivers and series.
pub(super) fn ingest(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    received(admin, page)?;
    connected(admin, page)?;
    series(admin, page)
}

fn received(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let reading = admin.ingest.counters.read();
    let name = |source: Source| ("source", source.as_str().to_owned());
    let counts: [(&str, &str, Count); 4] = [
        (
            "reveille_ingest_requests",
            "Requests with metrics that were read",
            |of| of.requests,
        ),
        (
            "reveille_ingest_refused_requests",
            "Requests with metrics that were turned away: damaged, too large, too many",
            |of| of.refused,
        ),
        (
            "reveille_ingest_discarded_messages",
            "Messages that are no metrics, such as OpenCensus' traces: taken, and thrown away",
            |of| of.discarded,
        ),
        (
            "reveille_ingest_points",
            "Data points that were stored",
            |of| of.accepted,
        ),
    ];
    for (family, help, count) in counts {
        page.family(family, help, MetricType::Counter, |family| {
            let mut all = reading.sources.iter();
            all.try_for_each(|(source, of)| family.counter(&[name(*source)], count(of)))
        })?;
    }
    page.family(
        "reveille_ingest_dropped_points",
        "Data points that were not stored, by reason",
        MetricType::Counter,
        |family| {
            reading.sources.iter().try_for_each(|(source, of)| {
                of.dropped.iter().try_for_each(|(reason, count)| {
                    let labels = [("reason", reason.as_str().to_owned()), name(*source)];
                    family.counter(&labels, *count)
                })
            })
        },
    )?;
    page.gauge_seconds(
        "reveille_ingest_last_arrival_timestamp",
        "When a data point last was stored",
        |family| {
            reading.sources.iter().try_for_each(|(source, of)| {
                let Some(at_ms) = of.last_arrival_ms else {
                    return Ok(());
                };
                family.gauge(&[name(*source)], (at_ms / 1000).unsigned_abs())
            })
        },
    )
}

fn connected(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let ports = &admin.ingest.ports;
    let ports = [
        ("otlp-grpc", ports.otlp_grpc.snapshot()),
        ("opencensus", ports.opencensus.snapshot()),
    ];
    page.family(
        "reveille_ingest_connections",
        "Connections on the gRPC ports where metrics come in",
        MetricType::Gauge,
        |family| {
            ports.iter().try_for_each(|(port, now)| {
                let open = u64::try_from(now.connections).unwrap_or(u64::MAX);
                family.gauge(&[("listener", (*port).to_owned())], open)
            })
        },
    )?;
    page.family(
        "reveille_ingest_connections_ended",
        "Connections on these ports that ended, or never began, by reason",
        MetricType::Counter,
        |family| {
            ports.iter().try_for_each(|(port, now)| {
                now.ended.iter().try_for_each(|(reason, count)| {
                    let labels = [
                        ("listener", (*port).to_owned()),
                        ("reason", (*reason).to_owned()),
                    ];
                    family.counter(&labels, *count)
                })
            })
        },
    )
}

fn series(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let stats = admin.ingest.store.stats();
    let limits = admin.ingest.store.limits();
    let gauges = [
        ("reveille_series", "Series that are stored", stats.series),
        (
            "reveille_series_needed",
            "Series that a registered query needs",
            stats.needed,
        ),
        ("reveille_series_limit", "Most series", limits.series),
        (
            "reveille_series_memory_bytes",
            "Bytes of series and points, by the store's own count",
            stats.bytes,
        ),
        (
            "reveille_series_memory_limit_bytes",
            "Most bytes of series and points",
            limits.bytes,
        ),
        (
            "reveille_registered_queries",
            "Queries whose series are kept",
            stats.queries,
        ),
    ];
    for (name, help, value) in gauges {
        page.family(name, help, MetricType::Gauge, |family| {
            family.gauge(&NONE, value as u64)
        })?;
    }
    page.family(
        "reveille_series_removed",
        "Series that were let go, by reason",
        MetricType::Counter,
        |family| {
            for (reason, count) in [
                ("expired", stats.expired),
                ("series_limit", stats.evicted_for_series),
                ("bytes_limit", stats.evicted_for_bytes),
            ] {
                family.counter(&[("reason", reason.to_owned())], count)?;
            }
            Ok(())
        },
    )?;
    page.family(
        "reveille_series_overwritten_points",
        "Points that made room for a later one of their series",
        MetricType::Counter,
        |family| family.counter(&NONE, stats.overwritten_points),
    )
}
