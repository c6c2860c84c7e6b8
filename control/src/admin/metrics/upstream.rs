//! Endpoints, the connections to them, and requests that were sent again.

use super::page::{Page, route_labels};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use proxy::EjectReason;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Endpoints and the connections to them.
pub(super) fn upstream(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
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
            for wired in admin.scene.wired().iter() {
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
    )
}
