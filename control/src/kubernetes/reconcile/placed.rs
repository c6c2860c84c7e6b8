//! A route that is served: its target, what stands behind it, and its entries
//! in the route table and in the ledger.

use super::{Backend, BackendKey, Key, Reconciler};
use crate::{
    manifest::{InterceptorRouteSpec, Object},
    routes::{route_spec, target_entry},
};
use proxy::{
    Target, TargetId,
    route::{Fallback, Route, Rule},
};
use scaler::TargetEntry;
use std::{num::NonZeroUsize, sync::Arc};

/// A route that is served.
pub(super) struct Placed {
    pub(super) target: Arc<Target>,
    pub(super) backend: Arc<Backend>,
    pub(super) fallback: Option<Arc<Backend>>,
    pub(super) route: Arc<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) created: u64,
    pub(super) entry: TargetEntry,
}

impl Reconciler {
    /// Serves `object` from now on, as `known` was.
    pub(super) fn place(
        &mut self,
        id: &TargetId,
        object: &Object<InterceptorRouteSpec>,
        known: Option<Placed>,
    ) -> Placed {
        let spec = &object.spec;
        let namespace = id.namespace();
        let via = object.meta.via().unwrap_or(self.ways.via);
        let backend = self.backends.get_or_make(BackendKey {
            service: Key::new(namespace, &spec.target.service),
            port: spec.target.port.clone(),
            probe: object.meta.probe_not_ready(),
            via,
        });
        let target = match known {
            Some(known) if Arc::ptr_eq(&known.backend, &backend) => known.target,
            Some(known) => {
                known.backend.service().detach(&known.target);
                backend.service().attach(known.target.clone());
                known.target
            }
            None => {
                let target = self.proxy.target(id.clone());
                backend.service().attach(target.clone());
                target
            }
        };
        // Whoever waits came along.
        self.backends.woken(&backend);
        let limit = object.meta.max_concurrency_per_replica();
        if target.max_concurrency() != limit.map(NonZeroUsize::get) {
            target.set_max_concurrency(limit);
        }
        let paused = self
            .scaled_object(id)
            .and_then(|(_, one)| one.paused.as_ref());
        let paused = paused.map(|why| format!("asleep, and KEDA was told not to wake it: {why}"));
        let paused = paused.map(Into::into);
        backend.service().set_target_failing(&target, paused);

        let wanted = spec
            .cold_start
            .as_ref()
            .and_then(|cold| cold.fallback.as_ref());
        let fallback = wanted.map(|wanted| {
            let fallback = Arc::new(Fallback::new());
            let backend = self.backends.get_or_make(BackendKey {
                service: Key::new(namespace, &wanted.service),
                port: wanted.port.clone(),
                probe: None,
                via,
            });
            backend.service().attach_fallback(&fallback);
            (fallback, backend)
        });
        let (fallback, fallback_backend) = fallback.unzip();
        let session_key = self.proxy.session_key(target.id());
        let spec = route_spec(object, target.clone(), fallback, session_key, &self.bodies);
        Placed {
            entry: target_entry(object, target.clone()),
            target,
            backend,
            fallback: fallback_backend,
            route: spec.route,
            rules: spec.rules,
            created: spec.created,
        }
    }

    /// Who asks for a shadowed HTTPScaledObject is told what is asked of the
    /// route in its place, by its own metric.
    pub(super) fn shadowed_entries(&self) -> impl Iterator<Item = TargetEntry> {
        self.routes.shadowed().filter_map(|(id, by, object)| {
            let target = self.placed.get(&by)?.target.clone();
            let entry = target_entry(object, target);
            Some(TargetEntry { id, ..entry })
        })
    }
}
