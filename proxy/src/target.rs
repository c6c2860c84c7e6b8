//! Target: one scalable backend, as one InterceptorRoute names it.
//!
//! Made by control, kept over route edits so that its demand and its queue
//! survive them. `forward.rs` counts requests here, picks endpoints from its
//! snapshot and waits at its gate; the scaler reads its demand.

use crate::{
    changes::Changes,
    clock::Clock,
    demand::{Demand, Totals},
    endpoint::{EjectReason, Endpoint, EndpointSet, OutlierConfig, PlaceLimit, Strike},
    error::Refusal,
    forward::RetryBudget,
    gate::{self, Began, Gate, HeldLimit, WaitsFor},
    metrics::TargetMetrics,
    sink::DemandSink,
    story::{Happening, HoldRefusal, Story, StorySink},
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

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
    /// Who is told what becomes of targets, if anybody.
    pub stories: Option<Arc<dyn StorySink>>,
    /// Told when a target has other endpoints.
    pub changes: Arc<Changes>,
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
    /// Most requests at once on each endpoint; 0: no limit.
    place_limit: AtomicUsize,
    /// Its route is gone: nobody waits for it any more.
    is_retired: AtomicBool,
    /// The sink knows that requests come, and looks at the counters.
    is_looked_at: AtomicBool,
    retry_budget: RetryBudget,
    /// One at a time decides who leaves the rotation for its answers.
    ejecting: Mutex<()>,
    metrics: TargetMetrics,
    story: Story,
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
            place_limit: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
            is_looked_at: AtomicBool::new(false),
            retry_budget: RetryBudget::default(),
            ejecting: Mutex::new(()),
            metrics: TargetMetrics::new(context.workers),
            story: Story::new(context.stories.clone()),
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
        self.watch(&endpoints);
        // Told first: whoever is released is released to somebody.
        let first = endpoints.iter().next();
        let first = first.map(|endpoint| (endpoint.name(), endpoint.addr()));
        self.story.endpoints(&self.id, first);
        let before = self.endpoints.swap(endpoints);
        // Once more: a limit that was set in the meantime saw the old ones.
        let now = self.endpoints.load();
        self.watch(&now);
        let left = before.iter().filter(|known| !now.contains(known));
        left.for_each(|endpoint| endpoint.unwatch(self.gate.changed()));
        self.gate.endpoints_changed();
        self.context.changes.tell();
    }

    /// From now on each endpoint gets at most `limit` requests at once from
    /// this target, of whatever target its other requests are; who finds all
    /// of them at the limit waits in the queue. `None` lifts it.
    pub fn set_max_concurrency(&self, limit: Option<NonZeroUsize>) {
        let limit = limit.map_or(0, NonZeroUsize::get);
        self.place_limit.store(limit, Ordering::SeqCst);
        self.watch(&self.endpoints.load());
        self.gate.endpoints_changed();
    }

    /// Most requests at once on each endpoint, if there is a limit.
    #[must_use]
    pub fn max_concurrency(&self) -> Option<usize> {
        self.place_limit().get()
    }

    pub(crate) fn place_limit(&self) -> PlaceLimit {
        PlaceLimit::new(self.place_limit.load(Ordering::Relaxed))
    }

    /// Where there is a limit, the end of each request is news for the gate.
    fn watch(&self, endpoints: &EndpointSet) {
        if self.place_limit.load(Ordering::SeqCst) != 0 {
            let changed = self.gate.changed();
            endpoints
                .iter()
                .for_each(|endpoint| endpoint.watch(changed));
        }
    }

    /// `endpoint` failed a request; if it was one too many, it leaves the
    /// rotation for a while, unless too many others have.
    #[cold]
    pub(crate) fn struck(&self, endpoint: &Endpoint, strike: Strike, limits: &OutlierConfig) {
        let Some(reason) = endpoint.struck(strike, limits) else {
            return;
        };
        let now_us = self.context.clock.now_us();
        let _one_at_a_time = self.ejecting.lock();
        let endpoints = self.endpoints.load();
        if endpoints.may_spare(endpoint, now_us, limits.max_percent)
            && endpoint.eject_for_answers(now_us)
        {
            self.ejected(endpoint, reason);
        }
    }

    /// `endpoint` has left the rotation.
    pub(crate) fn ejected(&self, endpoint: &Endpoint, reason: EjectReason) {
        self.metrics
            .ejections
            .of(reason)
            .fetch_add(1, Ordering::Relaxed);
        self.story.tell(&self.id, || Happening::Ejected {
            endpoint: endpoint.name().to_owned(),
            reason,
        });
        if reason != EjectReason::Connect {
            tracing::warn!(
                target = %self.id, endpoint = endpoint.name(), addr = %endpoint.addr(),
                reason = reason.as_str(),
                "endpoint keeps failing requests: ejected for a while; look at its own log"
            );
        }
    }

    pub(crate) fn retry_budget(&self) -> &RetryBudget {
        &self.retry_budget
    }

    /// The present endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.endpoints.load_full()
    }

    /// Is `set`, this very object, what [`Self::endpoints`] gives? Cheaper than
    /// that, for who looks at thousands.
    #[must_use]
    pub fn has_endpoints(&self, set: &Arc<EndpointSet>) -> bool {
        Arc::ptr_eq(&self.endpoints.load(), set)
    }

    /// Gives the target up: whoever waits and whoever comes while there is no
    /// endpoint gets 503 with `reason` at once. `None` lifts it.
    pub fn set_failing(&self, reason: Option<Arc<str>>) {
        let before = self.gate.refusing();
        if let Some(reason) = reason
            .as_ref()
            .filter(|reason| before.as_ref() != Some(reason))
        {
            let reason = reason.clone();
            self.story.tell(&self.id, || Happening::Failing(reason));
        }
        self.gate.refuse(reason);
    }

    /// Its route is gone, for good: whoever waits, and whoever found the route
    /// just before and would have to wait, gets 404 at once, like everybody
    /// who comes from now on. Requests on endpoints go on to their end.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
        self.gate.refuse(Some("its route was removed".into()));
    }

    /// What a request gets that the gate gave up for `reason`.
    pub(crate) fn given_up(&self, reason: Arc<str>) -> Refusal {
        if self.is_retired.load(Ordering::SeqCst) {
            Refusal::NoRoute
        } else {
            Refusal::Failing(reason)
        }
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

    /// A request begins. If nobody looks at the counters, the sink is told.
    pub(crate) fn begin(&self, worker: usize, at_us: u64) {
        self.demand.begin(worker, at_us);
        if !self.is_looked_at.load(Ordering::Relaxed) {
            self.stir(at_us);
        }
    }

    /// A request ends.
    pub(crate) fn end(&self, worker: usize, at_us: u64) {
        self.demand.end(worker, at_us);
    }

    #[cold]
    fn stir(&self, at_us: u64) {
        if !self.is_looked_at.swap(true, Ordering::AcqRel) {
            self.context.sink.stirred(&self.id, at_us);
        }
    }

    /// Nobody looks at the counters from now on: the sink is to be told
    /// ([`DemandSink::stirred`]) when the next request begins. A request that
    /// begins at this very moment may still take the sink for looking, so the
    /// caller looks once more, a good while later: nothing orders a worker's
    /// look at this flag with its count, which would cost every request.
    pub fn tell_of_next(&self) {
        self.is_looked_at.store(false, Ordering::Release);
    }

    /// The clock of its demand and its ejections.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Somebody wants this target and nobody serves it; `by` is who.
    pub(crate) fn wake(&self, by: impl FnOnce() -> String) {
        self.story.woken(&self.id, by);
        self.context.sink.waiting(&self.id);
    }

    /// Something that was measured wants this target, and KEDA is told so. If
    /// nobody serves it, that is its wake, in the words of `by`.
    pub fn woken_by(&self, by: &str) {
        if self.endpoints.load().is_empty() {
            self.story.woken(&self.id, || by.to_owned());
        }
    }

    /// How often it was asked for while nobody served it.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.story.wakes()
    }

    /// For how long it is being woken; `None`: it is not.
    #[must_use]
    pub fn waking_for(&self) -> Option<Duration> {
        self.story.woken_at().map(|at| at.elapsed())
    }

    /// For how long it has had endpoints, if it got them since it is known.
    #[must_use]
    pub fn awake_for(&self) -> Option<Duration> {
        self.story.awake_since().map(|since| since.elapsed())
    }

    /// Requests that were refused while nobody served it, by reason.
    #[must_use]
    pub fn hold_refusals(&self) -> [(HoldRefusal, u64); HoldRefusal::ALL.len()] {
        let counts = self.story.refusals();
        std::array::from_fn(|at| (HoldRefusal::ALL[at], counts[at]))
    }

    pub(crate) fn story(&self) -> &Story {
        &self.story
    }

    /// Somebody began to wait: tell the sink on the edge, and see to it that
    /// the queue is released once there is an endpoint.
    ///
    /// Who waits for a place wakes nobody: it is demand, but no news.
    pub(crate) fn began_to_wait(
        self: &Arc<Self>,
        waits_for: WaitsFor,
        began: Began,
        by: impl FnOnce() -> String,
    ) {
        if began.first && waits_for == WaitsFor::Endpoint {
            self.wake(by);
        }
        if began.start_pacer {
            tokio::spawn(gate::run_pacer(self.clone()));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Endpoints may live on, and must not collect those who come and go.
        let endpoints = self.endpoints.load();
        endpoints
            .iter()
            .for_each(|endpoint| endpoint.unwatch(self.gate.changed()));
    }
}
