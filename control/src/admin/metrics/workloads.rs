//! Workloads and their replicas.

use super::page::Page;
use crate::{admin::Admin, autoscaler::Workload};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// Child processes.
pub(super) fn workloads(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.family(
        "reveille_replicas",
        "Replicas of a workload: wanted and ready",
        MetricType::Gauge,
        |family| {
            for pool in admin.scene.pools().iter() {
                for (state, count) in [("wanted", pool.replicas()), ("ready", pool.ready())] {
                    let labels = [("state", state.to_owned()), ("workload", pool.name())];
                    family.gauge(&labels, u64::from(count))?;
                }
            }
            Ok(())
        },
    )?;
    page.family(
        "reveille_replica_starts",
        "Replicas started",
        MetricType::Counter,
        |family| {
            admin
                .scene
                .pools()
                .iter()
                .try_for_each(|pool| family.counter(&[("workload", pool.name())], pool.starts()))
        },
    )?;
    page.family(
        "reveille_replica_failures",
        "Replicas that ended on their own or never got ready",
        MetricType::Counter,
        |family| {
            admin
                .scene
                .pools()
                .iter()
                .try_for_each(|pool| family.counter(&[("workload", pool.name())], pool.failures()))
        },
    )
}
