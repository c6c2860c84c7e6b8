//! Connections of clients: how many, what became of them, what they were
//! refused for.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use proxy::{ProxyProtocolRefused, RefusedFor};
use std::fmt;

/// Connections of clients, up to their first request.
pub(super) fn clients(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.family(
        "reveille_client_connections",
        "Connections of clients that are open",
        MetricType::Gauge,
        |family| family.gauge(&NONE, admin.proxy.connections() as u64),
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
        |family| family.gauge(&NONE, counts.parked),
    )?;
    page.family(
        "reveille_client_connections_woken",
        "Parked connections of clients that were used again",
        MetricType::Counter,
        |family| family.counter(&NONE, counts.woken),
    )?;
    page.family(
        "reveille_client_connections_timed_out",
        "Connections of clients that were closed for a head that took too long, or for idleness",
        MetricType::Counter,
        |family| {
            family.counter(&[("reason", "header".to_owned())], counts.slow_closed)?;
            family.counter(&[("reason", "idle".to_owned())], counts.idle_closed)
        },
    )?;
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
    )
}
