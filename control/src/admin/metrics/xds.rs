//! Beside Envoy: who is connected, what they were sent, what they report.

use super::page::{NONE, Page};
use crate::{
    admin::Admin,
    xds::{Kind, KindCounts},
};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The xDS port, if there is one.
pub(super) fn xds(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let Some(xds) = &admin.xds else {
        return Ok(());
    };
    let label = |kind: Kind| [("kind", kind.as_str().to_owned())];
    page.family(
        "reveille_xds_clients",
        "Envoys that are connected",
        MetricType::Gauge,
        |family| family.gauge(&NONE, xds.clients().connected() as u64),
    )?;
    page.family(
        "reveille_xds_resources",
        "Resources that Envoys are served, by kind",
        MetricType::Gauge,
        |family| {
            let mut kinds = xds.resources().into_iter();
            kinds.try_for_each(|(kind, _, count)| family.gauge(&label(kind), count as u64))
        },
    )?;
    let mut per_kind = |name, help, value: fn(KindCounts) -> u64| {
        page.family(name, help, MetricType::Counter, |family| {
            let mut counts = xds.clients().counts().into_iter();
            counts.try_for_each(|(kind, counts)| family.counter(&label(kind), value(counts)))
        })
    };
    per_kind(
        "reveille_xds_responses",
        "Responses sent to Envoys, by kind",
        |counts| counts.responses,
    )?;
    per_kind(
        "reveille_xds_resources_sent",
        "Resources in those responses",
        |counts| counts.resources,
    )?;
    per_kind(
        "reveille_xds_refused",
        "Responses that Envoys refused; they go on with what they had",
        |counts| counts.refused,
    )?;
    page.family(
        "reveille_xds_quarantined_hosts",
        "Virtual hosts that Envoys refuse, added up over Envoys; their requests come to this proxy",
        MetricType::Gauge,
        |family| family.gauge(&NONE, xds.clients().quarantined() as u64),
    )?;
    let grpc = xds.grpc().snapshot();
    page.family(
        "reveille_xds_connections",
        "Connections on the xDS port",
        MetricType::Gauge,
        |family| family.gauge(&NONE, grpc.connections as u64),
    )?;
    let loads = xds.loads();
    page.family(
        "reveille_xds_reporting",
        "Envoys that report their load",
        MetricType::Gauge,
        |family| family.gauge(&NONE, loads.reporting()),
    )?;
    page.family(
        "reveille_xds_load_reports",
        "Load reports of Envoys",
        MetricType::Counter,
        |family| family.total(loads.reports()),
    )?;
    page.family(
        "reveille_xds_direct_requests",
        "Requests that Envoys sent to endpoints themselves, as they report",
        MetricType::Counter,
        |family| family.total(loads.requests()),
    )?;
    page.family(
        "reveille_xds_load_losses",
        "How often an Envoy stopped to report its load",
        MetricType::Counter,
        |family| family.total(loads.losses()),
    )
}
