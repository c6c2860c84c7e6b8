//! From objects to what is served: targets, routes, and the table of them.
//!
//! Owned by the cluster's loop (`cluster.rs`). [`Reconciler::take`] notes what
//! has changed, `settle_endpoints` and `settle_routes` act on that and on
//! nothing else. A route that stays is the same target: its demand, its queue
//! and its endpoints survive whatever changes around it.

mod statuses;

use super::{
    backend::{Backend, BackendKey},
    backends::Backends,
    host_policy::HostPolicy,
    news::News,
    route::RouteObject,
    scaled::ScaledObject,
    store::{Change, Key, Store},
    waker::{Sleeper, Waker},
};
use crate::{
    crew::CrewHandle,
    discovery::{Bounds, Wired},
    manifest::{ConfigMapSpec, InterceptorRouteSpec, Object},
    routes::{self, ConfigMaps},
};
use proxy::{
    Proxy, Target, TargetId,
    route::{Fallback, Route, RouteSpec, RouteTable, Rule},
};
use scaler::{Ledger, TargetEntry};
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

/// What is served, and the objects that it is made from.
pub(super) struct Reconciler {
    proxy: Arc<Proxy>,
    ledger: Arc<Ledger>,
    crew: CrewHandle,
    /// `None`: KEDA wakes.
    waker: Option<Arc<Waker>>,
    policy: HostPolicy,
    backends: Backends,
    routes: Store<Box<RouteObject>>,
    scaled: Store<ScaledObject>,
    config_maps: Store<Arc<ConfigMapSpec>>,
    bodies: ConfigMaps,
    /// The ScaledObject that each route is a trigger of.
    woken_by: HashMap<Key, Key>,
    placed: HashMap<Key, Placed>,
    /// Routes to be looked at.
    dirty: HashSet<Key>,
    is_filled: bool,
    has_stale_statuses: bool,
}

/// A route that is served.
struct Placed {
    target: Arc<Target>,
    backend: Arc<Backend>,
    fallback: Option<Arc<Backend>>,
    route: Arc<Route>,
    rules: Vec<Rule>,
    created: u64,
    entry: TargetEntry,
}

impl Reconciler {
    /// Serves nothing yet. Tasks run in `crew`; with a `waker`, workloads are
    /// woken by us as well; `policy` says which namespace may have which hosts.
    pub(super) fn new(
        proxy: Arc<Proxy>,
        ledger: Arc<Ledger>,
        crew: CrewHandle,
        waker: Option<Arc<Waker>>,
        policy: HostPolicy,
    ) -> Self {
        Self {
            backends: Backends::new(proxy.clone(), crew.clone()),
            proxy,
            ledger,
            crew,
            waker,
            policy,
            routes: Store::default(),
            scaled: Store::default(),
            config_maps: Store::default(),
            bodies: ConfigMaps::default(),
            woken_by: HashMap::new(),
            placed: HashMap::new(),
            dirty: HashSet::new(),
            is_filled: false,
            has_stale_statuses: false,
        }
    }

    /// Notes what has changed.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Routes(change) => self.take_routes(change),
            News::ScaledObjects(change) => self.take_scaled_objects(change),
            News::Services(change) => self.backends.take_services(change),
            News::Slices(change) => self.backends.take_slices(change),
            News::ConfigMaps(change) => self.take_config_maps(change),
        }
    }

    fn take_routes(&mut self, change: Change<Box<RouteObject>>) {
        for (key, before) in self.routes.apply(change) {
            let was_served = before.as_ref().and_then(|before| before.served.clone());
            let served = self.routes.get_mut(&key).and_then(|now| {
                let is_known = before
                    .as_ref()
                    .is_some_and(|one| one.problems == now.problems);
                if let Some(served) = &mut now.served {
                    now.refused = self.policy.restrict(&key.namespace, &mut served.spec.rules);
                }
                now.take_over(before.map(|before| *before));
                if !is_known && now.is_broken() {
                    for problem in &now.problems {
                        tracing::warn!("{problem}");
                    }
                }
                now.served.as_ref()
            });
            self.has_stale_statuses = true;
            // Its status changes more often than itself.
            if served != was_served.as_ref() {
                self.dirty.insert(key);
            }
        }
    }

    fn take_scaled_objects(&mut self, change: Change<ScaledObject>) {
        for (key, before) in self.scaled.apply(change) {
            // KEDA writes into its status all the time.
            if before.as_ref() == self.scaled.get(&key) {
                continue;
            }
            let route = |name: &String| Key::new(&key.namespace, name);
            for route in before.iter().flat_map(|before| &before.routes).map(route) {
                if self.woken_by.get(&route) == Some(&key) {
                    self.woken_by.remove(&route);
                }
                self.dirty.insert(route);
            }
            let now = self.scaled.get(&key);
            for route in now.iter().flat_map(|now| &now.routes).map(route) {
                self.woken_by.insert(route.clone(), key.clone());
                self.dirty.insert(route);
            }
        }
    }

    fn take_config_maps(&mut self, change: Change<Arc<ConfigMapSpec>>) {
        for (key, before) in self.config_maps.apply(change) {
            if before.as_ref() == self.config_maps.get(&key) {
                continue;
            }
            let now = self.config_maps.get(&key).cloned();
            self.bodies.set(&key.namespace, &key.name, now);
            let users = self.routes.iter().filter(|(route, object)| {
                let served = object.served.as_ref();
                route.namespace == key.namespace
                    && served.is_some_and(|served| names_body(&served.spec, &key.name))
            });
            self.dirty.extend(users.map(|(route, _)| route.clone()));
        }
    }

    /// Somebody began to wait for these.
    pub(super) fn woken(&self, targets: HashSet<TargetId>) {
        for id in targets {
            let key = Key::new(id.namespace(), id.name());
            if let Some(placed) = self.placed.get(&key) {
                self.backends.woken(&placed.backend);
                self.wake(&key, placed);
            }
        }
    }

    /// Wakes the workload behind a route, if that is for us to do.
    fn wake(&self, route: &Key, placed: &Placed) {
        let (Some(waker), Some((key, object))) = (&self.waker, self.scaled_object(route)) else {
            return;
        };
        if object.paused.is_some() {
            return;
        }
        let sleeper = Sleeper {
            namespace: key.namespace.clone(),
            workload: object.workload.clone(),
            replicas: object.min_replicas.max(1),
        };
        if waker.begins(&sleeper) {
            let target = placed.target.clone();
            let name = format!("the wake of {}", sleeper.workload);
            let waking = waker.clone().wake(sleeper, move || target.held() > 0);
            self.crew.spawn(&name, waking);
        }
    }

    /// Brings endpoints up to date. Requests that wait are released at once.
    pub(super) fn settle_endpoints(&mut self) {
        self.has_stale_statuses |= self.backends.settle();
    }

    /// Is there anything for [`Reconciler::settle_routes`] to do?
    pub(super) fn has_dirty_routes(&self) -> bool {
        !self.dirty.is_empty() || !self.is_filled
    }

    /// May a status be another than the last [`Reconciler::statuses`] had it?
    pub(super) fn has_stale_statuses(&self) -> bool {
        self.has_stale_statuses
    }

    /// Brings routes up to date. For clients it happens in one step, from one
    /// route table to the next; who waits for a route that goes gets 404.
    pub(super) fn settle_routes(&mut self) {
        self.is_filled = true;
        self.has_stale_statuses = true;
        let mut gone = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let object = self.routes.get(&key).and_then(|route| route.served.clone());
            let known = self.placed.remove(&key);
            match object {
                Some(object) => {
                    let placed = self.place(&key, &object, known);
                    self.placed.insert(key, placed);
                }
                None => gone.extend(known),
            }
        }
        // The ledger first: whoever waits for a new target is known there.
        let entries = self.placed.values().map(|placed| placed.entry.clone());
        self.ledger.set_targets(entries.collect());
        let spec = |placed: &Placed| RouteSpec {
            route: placed.route.clone(),
            rules: placed.rules.clone(),
            created: placed.created,
        };
        let specs = self.placed.values().map(spec).collect();
        self.proxy.set_routes(RouteTable::build(specs));

        // Only now: until the step, requests came.
        for placed in gone {
            placed.backend.service().detach(&placed.target);
            placed.target.retire();
        }
        let used = self.placed.values().flat_map(|placed| {
            let fallback = placed.fallback.iter();
            fallback.chain([&placed.backend]).map(|one| one.key())
        });
        self.backends.keep_only(&used.collect());
    }

    fn place(
        &mut self,
        key: &Key,
        object: &Object<InterceptorRouteSpec>,
        known: Option<Placed>,
    ) -> Placed {
        let spec = &object.spec;
        let backend = self.backends.get_or_make(BackendKey {
            service: Key::new(&key.namespace, &spec.target.service),
            port: spec.target.port.clone(),
            probe: object.meta.probe_not_ready(),
        });
        let target = match known {
            Some(known) if Arc::ptr_eq(&known.backend, &backend) => known.target,
            Some(known) => {
                known.backend.service().detach(&known.target);
                backend.service().attach(known.target.clone());
                known.target
            }
            None => {
                let target = self.proxy.target(routes::target_id(object));
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
            .scaled_object(key)
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
                service: Key::new(&key.namespace, &wanted.service),
                port: wanted.port.clone(),
                probe: None,
            });
            backend.service().attach_fallback(&fallback);
            (fallback, backend)
        });
        let (fallback, fallback_backend) = fallback.unzip();
        let session_key = self.proxy.session_key(target.id());
        let spec = routes::route_spec(object, target.clone(), fallback, session_key, &self.bodies);
        Placed {
            entry: routes::target_entry(object, target.clone()),
            target,
            backend,
            fallback: fallback_backend,
            route: spec.route,
            rules: spec.rules,
            created: spec.created,
        }
    }

    fn scaled_object(&self, route: &Key) -> Option<(&Key, &ScaledObject)> {
        let key = self.woken_by.get(route)?;
        Some((key, self.scaled.get(key)?))
    }

    /// Every route with what stands behind it, for people.
    pub(super) fn wired(&self) -> Arc<[Wired]> {
        let one = |(key, placed): (&Key, &Placed)| {
            let scaled = self.scaled_object(key);
            Wired {
                target: placed.target.clone(),
                service: placed.backend.service().clone(),
                workload: None,
                scaled_object: scaled.map(|(key, _)| key.to_string()),
                bounds: scaled.map(|(_, object)| Bounds {
                    min: object.min_replicas,
                    max: object.max_replicas,
                    cooldown: object.cooldown,
                    paused: object.paused.as_deref().map(Into::into),
                }),
            }
        };
        let mut placed: Vec<_> = self.placed.iter().collect();
        placed.sort_unstable_by_key(|(key, _)| *key);
        placed.into_iter().map(one).collect()
    }
}

/// Does a route name this ConfigMap?
fn names_body(spec: &InterceptorRouteSpec, name: &str) -> bool {
    let cold_start = spec.cold_start.iter();
    let placeholders = cold_start.filter_map(|cold| cold.placeholder.as_ref());
    let fixed = spec.static_routes.iter().map(|route| &route.response);
    placeholders.chain(fixed).any(|response| {
        let body = response.body_from_config_map.as_ref();
        body.is_some_and(|body| body.name == name)
    })
}
