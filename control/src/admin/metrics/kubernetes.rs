//! How we stand with the API server of a cluster, what we write there, and how
//! the routes are.

use super::page::{NONE, Page};
use crate::{
    admin::Admin,
    kubernetes::{Cluster, LineView},
};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// Nothing outside of a cluster.
pub(super) fn kubernetes(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let Some(cluster) = admin.scene.cluster() else {
        return Ok(());
    };
    watches(cluster, page)?;
    writes(cluster, page)?;
    page.family(
        "reveille_kubernetes_routes",
        "InterceptorRoutes and HTTPScaledObjects, by the reason of their condition Ready",
        MetricType::Gauge,
        |family| {
            cluster
                .census()
                .into_iter()
                .try_for_each(|(kind, reason, count)| {
                    let labels = [("kind", kind.to_owned()), ("reason", reason.to_owned())];
                    family.gauge(&labels, count as u64)
                })
        },
    )
}

fn writes(cluster: &Cluster, page: &mut Page<'_, '_>) -> fmt::Result {
    let duty = cluster.duty();
    page.family(
        "reveille_kubernetes_lease_holder",
        "Whether this replica holds the Lease, and writes for all of them (1)",
        MetricType::Gauge,
        |family| family.gauge(&NONE, u64::from(duty.holds())),
    )?;
    page.family(
        "reveille_kubernetes_lease_transitions",
        "How often this replica took the Lease or lost it",
        MetricType::Counter,
        |family| family.counter(&NONE, duty.transitions()),
    )?;
    page.family(
        "reveille_kubernetes_writes",
        "Writes of statuses, ScaledObjects, Events and the Lease: ok, or why not",
        MetricType::Counter,
        |family| {
            let writes = duty.writes();
            writes
                .into_iter()
                .try_for_each(|((resource, result), count)| {
                    let labels = [
                        ("resource", resource.to_owned()),
                        ("result", result.to_owned()),
                    ];
                    family.counter(&labels, count)
                })
        },
    )
}

fn watches(cluster: &Cluster, page: &mut Page<'_, '_>) -> fmt::Result {
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
