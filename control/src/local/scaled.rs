//! A ScaledObject of a manifest, as the embedded autoscaler needs it.

use crate::{
    autoscaler::{ScaledObject, Trigger},
    manifest::{self, Object, ScaledObjectSpec, TriggerKind},
};

/// Triggers that local mode does not serve are left out; whoever read the
/// manifest was warned of them.
pub(super) fn scaled_object(object: Object<ScaledObjectSpec>) -> ScaledObject {
    let Object { meta, spec, .. } = object;
    let trigger = |trigger: manifest::Trigger| {
        let push = match trigger.kind {
            TriggerKind::External => false,
            TriggerKind::ExternalPush => true,
            TriggerKind::NotServed(_) => return None,
        };
        Some(Trigger {
            push,
            metric_type: trigger.metric_type,
            metadata: trigger.metadata,
            name: trigger.name,
        })
    };
    ScaledObject {
        namespace: meta.namespace,
        name: meta.name,
        min_replicas: spec.min_replica_count,
        max_replicas: spec.max_replica_count,
        idle_replicas: spec.idle_replica_count,
        polling_interval: spec.polling_interval,
        cooldown_period: spec.cooldown_period,
        initial_cooldown_period: spec.initial_cooldown_period,
        behavior: spec.behavior,
        triggers: spec.triggers.into_iter().filter_map(trigger).collect(),
    }
}
