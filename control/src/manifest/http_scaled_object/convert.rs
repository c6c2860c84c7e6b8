//! What an HTTPScaledObject stands for: the InterceptorRoute and the ScaledObject that the HTTP
//! add-on's interceptor and operator make of it.
//!
//! Called for files by `cross` and the local world, and for API objects. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::interceptor_route::{ColdStart, InterceptorRouteSpec, Overflow, Timeouts};
use super::super::meta::{Object, ObjectMeta};
use super::super::scaled_object::{ScaleTargetRef, ScaledObjectSpec};
use super::super::trigger::{Trigger, TriggerKind};
use super::{HttpScaledObjectSpec, SKIP_SCALED_OBJECT};
use crate::autoscaler::{Behavior, MetricType};

/// How often KEDA polls a ScaledObject that the add-on's operator has made.
pub(super) const POLLING_INTERVAL: Duration = Duration::from_secs(15);

/// The key of trigger metadata that names an HTTPScaledObject.
pub(super) const TRIGGER_KEY: &str = "httpScaledObject";

/// Another object's own: it says what `kubectl apply` was given for that one.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Object<HttpScaledObjectSpec> {
    /// The route that it is, under its own name, namespace and age. An InterceptorRoute of that
    /// name wins: then this one gets no traffic.
    #[must_use]
    pub fn interceptor_route(&self) -> Object<InterceptorRouteSpec> {
        let spec = &self.spec;
        let failover = spec.failover.as_ref();
        let cold_start = failover.map(|(service, _)| ColdStart {
            fallback: Some(service.clone()),
            placeholder: None,
            max_pending_requests: None,
            overflow: Overflow::Reject,
        });
        let failover_after = failover.map(|(_, after)| *after);
        Object {
            meta: self.meta.clone(),
            spec: InterceptorRouteSpec {
                target: spec.service.clone(),
                rules: vec![spec.rule.clone()],
                scaling_metric: spec.scaling_metric.clone(),
                cold_start,
                timeouts: Timeouts {
                    request: None,
                    response_header: spec.response_header,
                    readiness: failover_after
                        .filter(|after| !after.is_zero())
                        .or(spec.condition_wait),
                },
                static_routes: Vec::new(),
                session_persistence: None,
            },
            source: self.source.clone(),
        }
    }

    /// The ScaledObject that the add-on's operator makes of it, under its own name; its trigger
    /// names this HTTPScaledObject. `None` if it names no workload or its annotation
    /// `httpscaledobject.keda.sh/skip-scaledobject-creation` is `true`.
    #[must_use]
    pub fn scaled_object(&self, scaler_address: &str) -> Option<Object<ScaledObjectSpec>> {
        let spec = &self.spec;
        if self.skips_scaled_object() {
            return None;
        }
        let trigger = Trigger {
            kind: TriggerKind::ExternalPush,
            name: None,
            metric_type: MetricType::AverageValue,
            metadata: BTreeMap::from(
                [
                    ("scalerAddress", scaler_address),
                    (TRIGGER_KEY, &self.meta.name),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
            ),
        };
        Some(Object {
            meta: self.derived_meta(),
            spec: ScaledObjectSpec {
                scale_target_ref: ScaleTargetRef {
                    api_version: spec.workload_api_version.clone(),
                    kind: spec.workload_kind.clone(),
                    name: spec.workload.clone()?,
                },
                min_replica_count: spec.min_replicas.unwrap_or(0),
                max_replica_count: spec.max_replicas.unwrap_or(100),
                idle_replica_count: None,
                polling_interval: POLLING_INTERVAL,
                cooldown_period: spec.scaledown_period.unwrap_or(Duration::from_secs(300)),
                initial_cooldown_period: spec.initial_cooldown_period.unwrap_or_default(),
                behavior: Behavior::default(),
                triggers: vec![trigger],
            },
            source: self.source.clone(),
        })
    }

    pub(super) fn skips_scaled_object(&self) -> bool {
        let skips = self.meta.annotations.get(SKIP_SCALED_OBJECT);
        skips.is_some_and(|value| value == "true")
    }

    /// The metadata of what is made of it: its labels and annotations go along.
    pub(super) fn derived_meta(&self) -> ObjectMeta {
        let mut meta = self.meta.clone();
        meta.annotations.remove(LAST_APPLIED);
        meta.created = None;
        meta.generation = None;
        meta
    }
}
