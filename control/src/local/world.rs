//! The world that manifests describe: targets, services, processes, and what
//! scales them.
//!
//! Made once by the composition root, and changed as a whole with each set of
//! manifests: first everything that can fail ([`World::plan`]), then, by
//! difference, what cannot ([`World::apply`]). What stays in the set stays the
//! same object: a target keeps its demand, its queue and its endpoints.

use super::{
    connectors::Connectors,
    full_name, key,
    scaled::scaled_object,
    services::{Ground, Services},
    sources::sources,
};
use crate::{
    autoscaler::{ScaledObject, Workload},
    crew::CrewHandle,
    discovery::{Service, Wired},
    manifest::{InterceptorRouteSpec, Manifests, Object, ScaledObjectSpec},
    routes::{self, ConfigMaps},
    workload::ProcessPool,
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proxy::{
    Proxy, Target, TargetId,
    route::{Fallback, RouteTable},
};
use scaler::{Ledger, ingest::prometheus::Scraper};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    num::NonZeroUsize,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Everything that the manifests of a local run describe.
pub struct World {
    ground: Ground,
    ledger: Arc<Ledger>,
    scraper: Arc<Scraper>,
    /// Taken while the world changes, and never by who looks at it.
    state: Mutex<State>,
    shown: ArcSwap<Shown>,
}

#[derive(Default)]
struct State {
    services: Services,
    connectors: Connectors,
    targets: HashMap<TargetId, Placed>,
}

/// A target and the service that it is attached to.
struct Placed {
    target: Arc<Target>,
    service: Arc<Service>,
}

/// What others see of it.
#[derive(Default)]
struct Shown {
    wired: Arc<[Wired]>,
    pools: Arc<[Arc<ProcessPool>]>,
    scaled: Vec<(ScaledObject, Arc<ProcessPool>)>,
}

/// `namespace/name`.
pub(super) type Key = (String, String);

/// A set of manifests that can be applied.
#[derive(Debug)]
pub struct Plan {
    manifests: Manifests,
    connectors: Connectors,
}

impl Plan {
    /// Of manifests and the connectors that were loaded for them.
    #[must_use]
    pub fn new(manifests: Manifests, connectors: Connectors) -> Self {
        Self {
            manifests,
            connectors,
        }
    }

    /// The ScaledObjects in it, as `namespace/name`.
    #[must_use]
    pub fn scaled_objects(&self) -> HashSet<String> {
        let objects = self.manifests.scaled_objects.iter();
        objects.map(|object| full_name(&key(object))).collect()
    }
}

/// What a set of manifests has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Routes there are now.
    pub routes: usize,
    /// Routes that were not there before.
    pub added: usize,
    /// Routes that are no longer there.
    pub removed: usize,
    /// Processes whose replicas are replaced.
    pub replaced: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// A world without anything in it. `program` replaces a leading `reveille`
    /// of a Process's command; pools run in `crew` until `stop`.
    #[must_use]
    pub fn new(
        proxy: Arc<Proxy>,
        ledger: Arc<Ledger>,
        scraper: Arc<Scraper>,
        program: String,
        crew: CrewHandle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            ground: Ground {
                proxy,
                program,
                crew,
                stop,
            },
            ledger,
            scraper,
            state: Mutex::default(),
            shown: ArcSwap::default(),
        }
    }

    /// Everything about `manifests` that can fail, without changing anything.
    /// Reads the files of TLS settings: blocks.
    ///
    /// # Errors
    /// All problems, each with the object and the field.
    pub fn plan(&self, manifests: Manifests) -> Result<Plan, Vec<String>> {
        let state = self.state.lock();
        let tls = self.ground.proxy.tls();
        let connectors = Connectors::load(&manifests, tls, &state.connectors)?;
        Ok(Plan::new(manifests, connectors))
    }

    /// From now on the world is as `plan` has it. For clients it changes in one
    /// step, from one route table to the next: a route that stays serves all
    /// the time, requests under way go on, and who waits for a route that goes
    /// gets 404. Must be called within a Tokio runtime.
    pub fn apply(&self, plan: Plan) -> Applied {
        let mut state = self.state.lock();
        let state = &mut *state;
        let proxy = &self.ground.proxy;
        let manifests = plan.manifests;
        state.connectors = plan.connectors;

        // 1. Who serves.
        let (leaving, replaced) = state.services.apply(
            manifests.processes,
            manifests.backends,
            &state.connectors,
            &self.ground,
        );
        let (scaled, scaled_by) = scaled(manifests.scaled_objects, &state.services);

        // 2. Targets and their routes; nobody sees them yet.
        let config_maps = ConfigMaps::new(manifests.config_maps);
        let (mut wired, mut specs, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let (routed, shadowed) =
            routes::with_http_scaled_objects(manifests.routes, &manifests.http_scaled_objects);
        let mut targets: HashMap<TargetId, Placed> = HashMap::with_capacity(routed.len());
        let mut added = 0;
        for (id, route) in &routed {
            let service_key = (
                route.meta.namespace.clone(),
                route.spec.target.service.clone(),
            );
            let Some(standing) = state.services.get(&service_key) else {
                continue;
            };
            let known = state.targets.remove(id);
            added += usize::from(known.is_none());
            let target = place(known, &standing.service, || proxy.target(id.clone()));
            let limit = route.meta.max_concurrency_per_replica();
            if target.max_concurrency() != limit.map(NonZeroUsize::get) {
                target.set_max_concurrency(limit);
            }
            specs.push(routes::route_spec(
                route,
                target.clone(),
                fallback(route, &state.services),
                proxy.session_key(target.id()),
                &config_maps,
            ));
            entries.push(routes::target_entry(route, target.clone()));
            let placed = Placed {
                target: target.clone(),
                service: standing.service.clone(),
            };
            targets.insert(id.clone(), placed);
            wired.push(Wired {
                target,
                service: standing.service.clone(),
                workload: standing.pool().cloned().map(workload),
                scaled_object: scaled_by.get(&service_key).cloned(),
                bounds: None,
            });
        }

        entries.extend(shadowed.entries(|id| Some(targets.get(id)?.target.clone())));

        // 3. The step. The ledger first: whoever waits for a new target is
        //    known there.
        let applied = Applied {
            routes: wired.len(),
            added,
            removed: state.targets.len(),
            replaced,
        };
        self.ledger.set_targets(entries);
        let sources = sources(manifests.metric_sources, &state.connectors);
        self.scraper.set_sources(sources);
        proxy.set_routes(RouteTable::build(specs));
        self.shown.store(Arc::new(Shown {
            wired: wired.into(),
            pools: state.services.pools().cloned().collect(),
            scaled,
        }));

        // 4. What is no longer needed. Only now: until the step, requests came.
        for gone in std::mem::replace(&mut state.targets, targets).into_values() {
            gone.service.detach(&gone.target);
            gone.target.retire();
        }
        leaving.stop();
        applied
    }

    /// Every route with what stands behind it, in the order of the manifests.
    #[must_use]
    pub fn wired(&self) -> Arc<[Wired]> {
        self.shown.load().wired.clone()
    }

    /// All process pools.
    #[must_use]
    pub fn pools(&self) -> Arc<[Arc<ProcessPool>]> {
        self.shown.load().pools.clone()
    }

    /// What the autoscaler scales.
    #[must_use]
    pub fn scaled(&self) -> Vec<(ScaledObject, Arc<dyn Workload>)> {
        let shown = self.shown.load();
        let scaled = shown.scaled.iter();
        scaled
            .map(|(object, pool)| (object.clone(), workload(pool.clone())))
            .collect()
    }
}

fn workload(pool: Arc<ProcessPool>) -> Arc<dyn Workload> {
    pool
}

/// The target of a route, attached to `service` and to no other.
fn place(
    known: Option<Placed>,
    service: &Arc<Service>,
    make: impl FnOnce() -> Arc<Target>,
) -> Arc<Target> {
    match known {
        Some(placed) if Arc::ptr_eq(&placed.service, service) => placed.target,
        Some(placed) => {
            placed.service.detach(&placed.target);
            service.attach(placed.target.clone());
            placed.target
        }
        None => {
            let target = make();
            service.attach(target.clone());
            target
        }
    }
}

/// The ScaledObjects with their pools, and the names of both.
type Scaled = (Vec<(ScaledObject, Arc<ProcessPool>)>, HashMap<Key, String>);

fn scaled(objects: Vec<Object<ScaledObjectSpec>>, services: &Services) -> Scaled {
    let (mut scaled, mut scaled_by) = (Vec::new(), HashMap::new());
    for object in objects {
        let workload = (
            object.meta.namespace.clone(),
            object.spec.scale_target_ref.name.clone(),
        );
        let Some(pool) = services.get(&workload).and_then(|one| one.pool()) else {
            continue;
        };
        scaled_by.insert(workload, full_name(&key(&object)));
        scaled.push((scaled_object(object), pool.clone()));
    }
    (scaled, scaled_by)
}

/// The endpoints of the service that a route falls back to.
fn fallback(route: &Object<InterceptorRouteSpec>, services: &Services) -> Option<Arc<Fallback>> {
    let wanted = route.spec.cold_start.as_ref()?.fallback.as_ref()?;
    let standing = services.get(&(route.meta.namespace.clone(), wanted.service.clone()))?;
    let fallback = Arc::new(Fallback::new());
    standing.service.attach_fallback(&fallback);
    Some(fallback)
}
