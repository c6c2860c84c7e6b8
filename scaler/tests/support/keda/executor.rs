//! KEDA's scale executor: what a poll or a streamed `true` does to the
//! replicas. From zero and to zero only; the rest is the HPA's.
//!
//! Called with the ScaledObject's scaling lock held. Reads replicas from a
//! cache that lags, as KEDA does.

use super::{
    log::{Event, Log},
    object::{ScaledObject, Workload},
};
use std::time::Duration;
use tokio::time::Instant;

/// What is known of activity.
#[derive(Debug)]
pub(super) struct Executor {
    created: Instant,
    last_active: Option<Instant>,
}

impl Executor {
    pub(super) fn new() -> Self {
        Self {
            created: Instant::now(),
            last_active: None,
        }
    }

    pub(super) fn request_scale(
        &mut self,
        object: &ScaledObject,
        workload: &Workload,
        lag: Duration,
        log: &Log,
        (active, failed): (bool, bool),
    ) {
        let now = Instant::now();
        let current = workload.cached(lag);
        let scale = |to, why| {
            let from = workload.replicas();
            workload.scale(to);
            log.add(&object.name, Event::Scaled { from, to, why });
        };
        if active {
            if current == 0 {
                scale(object.min_replicas.max(1), "activated");
                self.last_active = Some(now);
            } else if !failed {
                self.last_active = Some(now);
            }
            return;
        }
        // Without a fallback to zero replicas, an error takes nothing away.
        let to_zero_by_fallback = object.fallback.is_some_and(|f| f.replicas == 0);
        if failed && !to_zero_by_fallback {
            return;
        }
        if current > 0 && object.min_replicas == 0 {
            let (since, patience) = match self.last_active {
                Some(at) => (at, object.cooldown),
                None => (self.created, object.initial_cooldown),
            };
            if now.duration_since(since) > patience {
                scale(0, "quiet for the cooldown");
            }
        } else if current < object.min_replicas {
            scale(object.min_replicas, "below the minimum");
        }
    }
}
