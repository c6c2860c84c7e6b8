//! What was answered, to whom: the HTTP add-on's three metrics, under its
//! names and labels.

use super::page::{Labels, Page, route_labels};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use proxy::metrics::RequestsReading;
use std::fmt;

/// The add-on's metrics.
pub(super) fn requests(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let mut all: Vec<(Labels<4>, RequestsReading)> = Vec::new();
    let mut add = |route: Labels<2>, readings: Vec<RequestsReading>| {
        for reading in readings {
            let code = ("code", reading.code.to_string());
            let method = ("method", reading.method.as_str().to_owned());
            let [name, namespace] = route.clone();
            all.push(([code, method, name, namespace], reading));
        }
    };
    for wired in admin.scene.wired().iter() {
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
