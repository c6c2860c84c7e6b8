//! Target: one scalable backend, as one InterceptorRoute names it.
//!
//! Made by control, kept over route edits so that its demand and its queue
//! survive them. `forward.rs` counts requests here, picks endpoints from its
//! snapshot and waits at its gate; the scaler reads its demand.

use crate::{
    clock::Clock,
    demand::{Demand, Totals},
    endpoint::EndpointSet,
    gate::{self, Began, Gate, HeldLimit},
    metrics::TargetMetrics,
    sink::DemandSink,
};
use arc_swap::ArcSwap;
use std::{fmt, sync::Arc};

/// The name of a target: the namespace and name of its InterceptorRoute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl TargetId {
    /// The target of the InterceptorRoute `namespace/name`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The namespace of the InterceptorRoute.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the InterceptorRoute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What all targets of a proxy share.
#[derive(Clone)]
pub struct TargetContext {
    /// The proxy's clock; demand is in its microseconds.
    pub clock: Clock,
    /// Workers that count, one shard each.
    pub workers: usize,
    /// Most requests held for one target.
    pub max_held: usize,
    /// Most requests held for all targets.
    pub held_limit: Arc<HeldLimit>,
    /// Who is told that somebody waits.
    pub sink: Arc<dyn DemandSink>,
}

impl fmt::Debug for TargetContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetContext")
            .field("max_held", &self.max_held)
            .finish_non_exhaustive()
    }
}

/// One scalable backend and the state of its traffic.
#[derive(Debug)]
pub struct Target {
    id: TargetId,
    demand: Demand,
    gate: Arc<Gate>,
    endpoints: ArcSwap<EndpointSet>,
    metrics: TargetMetrics,
    context: TargetContext,
}

impl Target {
    /// A target that nobody serves yet.
    #[must_use]
    pub fn new(id: TargetId, context: TargetContext) -> Self {
        Self {
            id,
            demand: Demand::new(context.workers),
            gate: Arc::new(Gate::new(context.max_held, context.held_limit.clone())),
            endpoints: ArcSwap::from_pointee(EndpointSet::empty()),
            metrics: TargetMetrics::new(context.workers),
            context,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &TargetId {
        &self.id
    }

    /// Replaces the endpoints. Requests that wait are released as soon as the
    /// set allows it; those that run on a removed endpoint go on.
    pub fn set_endpoints(&self, endpoints: Arc<EndpointSet>) {
        self.endpoints.store(endpoints);
        self.gate.endpoints_changed();
    }

    /// The present endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.endpoints.load_full()
    }

    /// Gives the target up: whoever waits and whoever comes while there is no
    /// endpoint gets 503 with `reason` at once. `None` lifts it.
    pub fn set_failing(&self, reason: Option<Arc<str>>) {
        self.gate.refuse(reason);
    }

    /// A consistent reading of its demand.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.demand.totals(self.context.clock.now_us())
    }

    /// Requests that wait for an endpoint now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.gate.held()
    }

    /// Endpoints that a request could be sent to now (not ejected).
    #[must_use]
    pub fn ready_endpoints(&self) -> usize {
        self.endpoints.load().pickable(self.context.clock.now_us())
    }

    /// Its counters and histograms.
    #[must_use]
    pub fn metrics(&self) -> &TargetMetrics {
        &self.metrics
    }

    pub(crate) fn endpoints_guard(&self) -> arc_swap::Guard<Arc<EndpointSet>> {
        self.endpoints.load()
    }

    pub(crate) fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The clock of its demand and its ejections.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Somebody wants this target and nobody serves it.
    pub(crate) fn wake(&self) {
        self.context.sink.waiting(&self.id);
    }

    /// Somebody began to wait: tell the sink on the edge, and see to it that
    /// the queue is released once there is an endpoint.
    pub(crate) fn began_to_wait(self: &Arc<Self>, began: Began) {
        if began.first {
            self.wake();
        }
        if began.start_pacer {
            tokio::spawn(gate::run_pacer(self.clone()));
        }
    }
}
