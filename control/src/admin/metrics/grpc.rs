//! The gRPC port: who is connected, and why connections end.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use std::fmt;

/// Connections and requests of the gRPC port.
pub(super) fn grpc(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let grpc = admin.grpc.snapshot();
    let gauge = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    page.family(
        "reveille_grpc_connections",
        "Connections on the gRPC port",
        MetricType::Gauge,
        |family| family.gauge(&NONE, gauge(grpc.connections)),
    )?;
    page.family(
        "reveille_grpc_connections_ended",
        "Connections on the gRPC port that ended, or never began, by reason",
        MetricType::Counter,
        |family| {
            grpc.ended.iter().try_for_each(|&(reason, count)| {
                family.counter(&[("reason", reason.to_owned())], count)
            })
        },
    )?;
    page.family(
        "reveille_grpc_connections_cut_off",
        "Connections on the gRPC port that did not end in time when told to",
        MetricType::Counter,
        |family| family.total(grpc.cut_off),
    )?;
    page.family(
        "reveille_grpc_requests",
        "Requests under way on the gRPC port, open streams among them",
        MetricType::Gauge,
        |family| family.gauge(&NONE, gauge(grpc.requests)),
    )?;
    page.family(
        "reveille_grpc_requests_refused",
        "Requests on the gRPC port that were refused because there were too many",
        MetricType::Counter,
        |family| family.total(grpc.refused_requests),
    )
}
