//! Reloads of manifests.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use std::fmt;

/// How reloads went, and since when what is served is what it is.
pub(super) fn manifests(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let Some(reloads) = admin.scene.reloads() else {
        return Ok(());
    };
    page.family(
        "reveille_manifest_reloads",
        "Changes of the manifests: applied, and refused as a whole because of an error",
        MetricType::Counter,
        |family| {
            for (result, count) in [
                ("applied", reloads.applied()),
                ("refused", reloads.refused()),
            ] {
                family.counter(&[("result", result.to_owned())], count)?;
            }
            Ok(())
        },
    )?;
    page.family(
        "reveille_manifest_last_reload_successful",
        "Whether the manifests as they are now are served (1), or others from before (0)",
        MetricType::Gauge,
        |family| family.gauge(&NONE, u64::from(reloads.pending().is_none())),
    )?;
    page.gauge_seconds(
        "reveille_manifest_last_applied_timestamp",
        "When the manifests that are served were read, in Unix time",
        |family| family.gauge(&NONE, reloads.applied_at()),
    )
}
