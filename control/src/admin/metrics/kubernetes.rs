//! How we stand with the API server of a cluster.

use super::page::Page;
use crate::{admin::Admin, kubernetes::LineView};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The watches; nothing outside of a cluster.
pub(super) fn kubernetes(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let Some(cluster) = admin.scene.cluster() else {
        return Ok(());
    };
    let lines = cluster.contact().view();
    let labels = |line: &LineView| {
        let namespace = line.namespace.as_deref().unwrap_or_default().to_owned();
        [("kind", line.kind.to_owned()), ("namespace", namespace)]
    };
    page.family(
        "reveille_kubernetes_synced",
        "Whether all objects of a kind were read once (1)",
        MetricType::Gauge,
        |family| {
            lines
                .iter()
                .try_for_each(|line| family.gauge(&labels(line), u64::from(line.is_synced)))
        },
    )?;
    page.family(
        "reveille_kubernetes_lists",
        "How often all objects of a kind were listed",
        MetricType::Counter,
        |family| {
            lines
                .iter()
                .try_for_each(|line| family.counter(&labels(line), line.lists))
        },
    )?;
    page.family(
        "reveille_kubernetes_failures",
        "Lists and watches that failed",
        MetricType::Counter,
        |family| {
            for line in &lines {
                for (reason, count) in &line.failures {
                    let [kind, namespace] = labels(line);
                    let labels = [kind, namespace, ("reason", (*reason).to_owned())];
                    family.counter(&labels, *count)?;
                }
            }
            Ok(())
        },
    )?;
    page.gauge_seconds(
        "reveille_kubernetes_last_contact_age",
        "How long ago the API server was heard about a kind: above 30 it is away",
        |family| {
            for line in &lines {
                if let Some(silent) = line.silent_seconds {
                    family.fraction(&labels(line), silent)?;
                }
            }
            Ok(())
        },
    )
}
