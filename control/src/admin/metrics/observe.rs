//! What was told of requests elsewhere: the access log, traces.

use super::page::Page;
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use std::fmt;

/// Lines and spans, written and lost.
pub(super) fn observe(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
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
