//! Waiting for a replica, and for a place on one.

use super::page::{Page, route_labels};
use crate::admin::Admin;
use std::{fmt, sync::atomic::Ordering};

/// Holding and cold starts.
pub(super) fn holds(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    page.per_target(
        admin,
        "reveille_held_requests",
        "Requests that wait for an endpoint",
        |wired| wired.target.held() as u64,
    )?;
    page.seconds(
        "reveille_hold_duration",
        "How long requests waited for an endpoint, by how the wait ended",
        |family| {
            for wired in admin.scene.wired().iter() {
                let holds = &wired.target.metrics().holds;
                let ends = [
                    ("ready", &holds.ready),
                    ("refused", &holds.refused),
                    ("cancelled", &holds.cancelled),
                ];
                for (outcome, durations) in ends {
                    let [name, namespace] = route_labels(wired);
                    let labels = [("outcome", outcome.to_owned()), name, namespace];
                    family.histogram(&labels, &durations.read())?;
                }
            }
            Ok(())
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_hold_rejections",
        "Requests not held because a bound was reached",
        |wired| {
            wired
                .target
                .metrics()
                .holds
                .rejected
                .load(Ordering::Relaxed)
        },
    )?;
    page.per_target_counter(
        admin,
        "reveille_cold_starts",
        "Requests that waited and were then served",
        |wired| wired.target.metrics().holds.ready.read().count(),
    )?;
    page.seconds(
        "reveille_limit_wait_duration",
        "How long requests waited for a place: every replica had as many as it may",
        |family| {
            for wired in admin.scene.wired().iter() {
                let placed = wired.target.metrics().holds.placed.read();
                family.histogram(&route_labels(wired), &placed)?;
            }
            Ok(())
        },
    )
}
