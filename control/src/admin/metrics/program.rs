//! The program itself.

use super::page::Page;
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use std::fmt;
use tokio::runtime::Handle;

/// Tasks: a number that only grows is a leak. Called within the runtime of
/// everything but requests.
pub(super) fn program(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.family(
        "reveille_tasks",
        "Tasks that live: of requests and connections, and of everything else",
        MetricType::Gauge,
        |family| {
            let control = Handle::current().metrics().num_alive_tasks();
            for (runtime, tasks) in [("control", control), ("workers", admin.proxy.tasks())] {
                family.gauge(&[("runtime", runtime.to_owned())], tasks as u64)?;
            }
            Ok(())
        },
    )
}
