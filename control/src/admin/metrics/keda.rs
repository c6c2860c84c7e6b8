//! What KEDA asked, and what it was told.

use super::page::Page;
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use std::{collections::HashMap, fmt};

/// What KEDA asked and was told.
pub(super) fn keda(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
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
