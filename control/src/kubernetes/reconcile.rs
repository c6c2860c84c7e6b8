//! From objects to what is served: targets, routes, and the table of them.
//!
//! Owned by the cluster's loop (`cluster.rs`). [`Reconciler::take`] notes what
//! has changed, `settle_endpoints` and `settle_routes` act on that and on
//! nothing else. A route that stays is the same target: its demand, its queue
//! and its endpoints survive whatever changes around it. `reconcile/wanted.rs`
//! says what should be written about all of it.

mod placed;
mod routes;
mod waking;
mod wanted;

pub(super) use wanted::Operating;

use self::{placed::Placed, routes::Routes};
use super::{
    backend::{Backend, BackendKey},
    backends::Backends,
    event::Events,
    host_policy::HostPolicy,
    news::News,
    route::{is_legacy, key_of, legacy_target_of, target_of},
    scaled::ScaledObject,
    store::{Change, Key, Store},
    waker::Waker,
};
use crate::{
    crew::CrewHandle,
    discovery::{Bounds, Wired},
    manifest::{ConfigMapSpec, InterceptorRouteSpec, Via},
    routes::ConfigMaps,
};
use proxy::{
    Proxy, TargetId,
    route::{RouteSpec, RouteTable},
};
use scaler::Ledger;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What is served, and the objects that it is made from.
pub(super) struct Reconciler {
    proxy: Arc<Proxy>,
    ledger: Arc<Ledger>,
    crew: CrewHandle,
    /// `None`: KEDA wakes.
    waker: Option<Arc<Waker>>,
    backends: Backends,
    routes: Routes,
    scaled: Store<ScaledObject>,
    config_maps: Store<Arc<ConfigMapSpec>>,
    bodies: ConfigMaps,
    /// The ScaledObject that has a trigger for each of them.
    woken_by: HashMap<TargetId, Key>,
    placed: HashMap<TargetId, Placed>,
    /// Routes to be looked at.
    dirty: HashSet<TargetId>,
    is_filled: bool,
    has_stale_wishes: bool,
    ways: Ways,
    events: Arc<Events>,
}

/// What can be set about how it is done.
pub(super) struct Ways {
    /// Which namespace may have which hosts.
    pub(super) policy: HostPolicy,
    /// Where requests go, if a route does not say.
    pub(super) via: Via,
    /// Whose the rest of HTTPScaledObjects is.
    pub(super) operating: Operating,
}

impl Reconciler {
    /// Serves nothing yet. Tasks run in `crew`; with a `waker`, workloads are
    /// woken by us as well.
    pub(super) fn new(
        proxy: Arc<Proxy>,
        ledger: Arc<Ledger>,
        crew: CrewHandle,
        waker: Option<Arc<Waker>>,
        ways: Ways,
        events: Arc<Events>,
    ) -> Self {
        Self {
            backends: Backends::new(proxy.clone(), crew.clone()),
            proxy,
            ledger,
            crew,
            waker,
            routes: Routes::new(ways.policy.clone()),
            scaled: Store::default(),
            config_maps: Store::default(),
            bodies: ConfigMaps::default(),
            woken_by: HashMap::new(),
            placed: HashMap::new(),
            dirty: HashSet::new(),
            is_filled: false,
            has_stale_wishes: false,
            ways,
            events,
        }
    }

    /// Notes what has changed.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Routes(change) => {
                self.dirty.extend(self.routes.take(change));
                self.has_stale_wishes = true;
            }
            News::HttpScaledObjects(change) => {
                self.dirty
                    .extend(self.routes.take_http_scaled_objects(change));
                self.has_stale_wishes = true;
            }
            News::ScaledObjects(change) => self.take_scaled_objects(change),
            News::Services(change) => self.backends.take_services(change),
            News::Slices(change) => self.backends.take_slices(change),
            News::ConfigMaps(change) => self.take_config_maps(change),
        }
    }

    fn take_scaled_objects(&mut self, change: Change<ScaledObject>) {
        for (key, before) in self.scaled.apply(change) {
            // KEDA writes into its status all the time.
            if before.as_ref() == self.scaled.get(&key) {
                continue;
            }
            for target in before.iter().flat_map(|before| &before.targets) {
                if self.woken_by.get(target) == Some(&key) {
                    self.woken_by.remove(target);
                }
                self.dirty.insert(target.clone());
                self.dirty.insert(target_of(&key_of(target)));
            }
            let now = self.scaled.get(&key);
            for target in now.iter().flat_map(|now| &now.targets) {
                self.woken_by.insert(target.clone(), key.clone());
                self.dirty.insert(target.clone());
                // Which may shadow it.
                self.dirty.insert(target_of(&key_of(target)));
            }
            self.has_stale_wishes = true;
        }
    }

    fn take_config_maps(&mut self, change: Change<Arc<ConfigMapSpec>>) {
        for (key, before) in self.config_maps.apply(change) {
            if before.as_ref() == self.config_maps.get(&key) {
                continue;
            }
            let now = self.config_maps.get(&key).cloned();
            self.bodies.set(&key.namespace, &key.name, now);
            let served = self.routes.served_in(&key.namespace);
            let users = served.filter(|(_, served)| names_body(&served.spec, &key.name));
            self.dirty.extend(users.map(|(id, _)| id));
        }
    }

    /// Brings endpoints up to date. Requests that wait are released at once.
    pub(super) fn settle_endpoints(&mut self) {
        self.has_stale_wishes |= self.backends.settle();
    }

    /// Is there anything for [`Reconciler::settle_routes`] to do?
    pub(super) fn has_dirty_routes(&self) -> bool {
        !self.dirty.is_empty() || !self.is_filled
    }

    /// May something else be wanted than the last [`Reconciler::wishes`] had it?
    pub(super) fn has_stale_wishes(&self) -> bool {
        self.has_stale_wishes
    }

    /// What becomes of writes has changed.
    pub(super) fn heard_of_refusals(&mut self) {
        self.has_stale_wishes = true;
    }

    /// Brings routes up to date. For clients it happens in one step, from one
    /// route table to the next; who waits for a route that goes gets 404.
    pub(super) fn settle_routes(&mut self) {
        self.is_filled = true;
        self.has_stale_wishes = true;
        let mut gone = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let object = self.routes.served(&id).cloned();
            let known = self.placed.remove(&id);
            match object {
                Some(object) => {
                    let placed = self.place(&id, &object, known);
                    self.placed.insert(id, placed);
                }
                None => gone.extend(known),
            }
        }
        // The ledger first: whoever waits for a new target is known there.
        let entries = self.placed.values().map(|placed| placed.entry.clone());
        let entries = entries.chain(self.shadowed_entries()).collect();
        self.ledger.set_targets(entries);
        self.say_who_wakes();
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

    /// The ScaledObject with a trigger for a target; failing that, with one for
    /// the HTTPScaledObject in whose place it is served.
    fn scaled_object(&self, id: &TargetId) -> Option<(&Key, &ScaledObject)> {
        let key = self.woken_by.get(id).or_else(|| {
            let shadowed = !is_legacy(id);
            let legacy = shadowed.then(|| legacy_target_of(&key_of(id)))?;
            self.woken_by.get(&legacy)
        })?;
        Some((key, self.scaled.get(key)?))
    }

    /// Every route with what stands behind it, for people.
    pub(super) fn wired(&self) -> Arc<[Wired]> {
        let one = |(id, placed): (&TargetId, &Placed)| {
            let scaled = self.scaled_object(id);
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
        placed.sort_unstable_by_key(|(id, _)| (id.namespace(), id.name()));
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
