//! The world that manifests describe: targets, services, processes, and what
//! scales them.

use super::connectors::Connectors;
use crate::{
    autoscaler::{ScaledObject, Trigger, Workload},
    discovery::{Service, Speaks},
    manifest::{
        AppProtocol, InterceptorRouteSpec, Manifests, Object, ProcessSpec, ScaledObjectSpec,
        TriggerKind,
    },
    routes::{self, ConfigMaps},
    workload::ProcessPool,
};
use proxy::{
    Proxy, Target,
    route::{Fallback, RouteTable},
    tls::Connector,
};
use scaler::Ledger;
use std::{collections::HashMap, sync::Arc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A target, the service behind it, and the pool behind that.
#[derive(Debug)]
pub struct Wired {
    /// The proxy's side.
    pub target: Arc<Target>,
    /// Who serves it.
    pub service: Arc<Service>,
    /// What can be scaled; `None` for a Backend.
    pub pool: Option<Arc<ProcessPool>>,
    /// The ScaledObject (`namespace/name`) that scales the pool, if any.
    pub scaled_object: Option<String>,
}

/// Everything that the manifests of a local run describe.
#[derive(Debug)]
pub struct World {
    wired: Vec<Wired>,
    pools: Vec<(Arc<ProcessPool>, ProcessSpec, Arc<Service>)>,
    scaled: Vec<(ScaledObject, Arc<ProcessPool>)>,
}

/// `namespace/name`.
type Key = (String, String);

fn key<S>(object: &Object<S>) -> Key {
    (object.meta.namespace.clone(), object.meta.name.clone())
}

fn full_name((namespace, name): &Key) -> String {
    format!("{namespace}/{name}")
}

impl World {
    /// Builds it, gives the proxy its routes and the ledger its targets.
    /// Nothing is started yet.
    ///
    /// `program` replaces a leading `reveille` of a Process's command;
    /// `connectors` are those of the services that speak TLS.
    #[must_use]
    pub fn build(
        manifests: Manifests,
        proxy: &Arc<Proxy>,
        ledger: &Ledger,
        program: &str,
        connectors: &Connectors,
    ) -> Self {
        let config_maps = ConfigMaps::new(manifests.config_maps);
        let mut services: HashMap<Key, Arc<Service>> = HashMap::new();
        let mut pools_by_key: HashMap<Key, Arc<ProcessPool>> = HashMap::new();
        let mut pools = Vec::new();
        for process in manifests.processes {
            let key = key(&process);
            let service = Arc::new(Service::new(
                full_name(&key),
                speaks(&process.spec.protocol, connectors.get(&key)),
                proxy.clone(),
            ));
            let pool = ProcessPool::new(full_name(&key));
            services.insert(key.clone(), service.clone());
            pools_by_key.insert(key, pool.clone());
            pools.push((pool, with_program(process.spec, program), service));
        }
        for backend in manifests.backends {
            let key = key(&backend);
            let service = Arc::new(Service::new(
                full_name(&key),
                speaks(&backend.spec.protocol, connectors.get(&key)),
                proxy.clone(),
            ));
            for addr in &backend.spec.addresses {
                service.add(*addr, &addr.to_string());
            }
            services.insert(key, service);
        }

        let mut scaled_by: HashMap<Key, String> = HashMap::new();
        let mut scaled = Vec::new();
        for object in manifests.scaled_objects {
            let workload = (
                object.meta.namespace.clone(),
                object.spec.scale_target_ref.name.clone(),
            );
            let Some(pool) = pools_by_key.get(&workload) else {
                continue;
            };
            scaled_by.insert(workload, full_name(&key(&object)));
            scaled.push((scaled_object(object), pool.clone()));
        }

        let (mut wired, mut specs, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for route in &manifests.routes {
            let service_key = (
                route.meta.namespace.clone(),
                route.spec.target.service.clone(),
            );
            let Some(service) = services.get(&service_key) else {
                continue;
            };
            let target = proxy.target(routes::target_id(route));
            target.set_max_concurrency(route.meta.max_concurrency_per_replica());
            service.attach(target.clone());
            specs.push(routes::route_spec(
                route,
                target.clone(),
                fallback(route, &services),
                proxy.session_key(target.id()),
                &config_maps,
            ));
            entries.push(routes::target_entry(route, target.clone()));
            wired.push(Wired {
                target,
                service: service.clone(),
                pool: pools_by_key.get(&service_key).cloned(),
                scaled_object: scaled_by.get(&service_key).cloned(),
            });
        }
        ledger.set_targets(entries);
        proxy.set_routes(RouteTable::build(specs));
        Self {
            wired,
            pools,
            scaled,
        }
    }

    /// Every route with what stands behind it.
    #[must_use]
    pub fn wired(&self) -> &[Wired] {
        &self.wired
    }

    /// All process pools.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<ProcessPool>> {
        self.pools.iter().map(|(pool, ..)| pool)
    }

    /// What the autoscaler scales.
    #[must_use]
    pub fn scaled(&self) -> Vec<(ScaledObject, Arc<dyn Workload>)> {
        let workload = |pool: &Arc<ProcessPool>| -> Arc<dyn Workload> { pool.clone() };
        self.scaled
            .iter()
            .map(|(object, pool)| (object.clone(), workload(pool)))
            .collect()
    }

    /// Runs the process pools until `stop`; each task ends when its last
    /// replica has.
    #[must_use]
    pub fn run_pools(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (pool, spec, service) in &self.pools {
            tasks.spawn(
                pool.clone()
                    .run(spec.clone(), service.clone(), stop.clone()),
            );
        }
        tasks
    }
}

/// The endpoints of the service that a route falls back to.
fn fallback(
    route: &Object<InterceptorRouteSpec>,
    services: &HashMap<Key, Arc<Service>>,
) -> Option<Arc<Fallback>> {
    let wanted = route.spec.cold_start.as_ref()?.fallback.as_ref()?;
    let service = services.get(&(route.meta.namespace.clone(), wanted.service.clone()))?;
    let fallback = Arc::new(Fallback::new());
    service.attach_fallback(fallback.clone());
    Some(fallback)
}

fn speaks(protocol: &AppProtocol, connector: Option<&Arc<Connector>>) -> Speaks {
    match protocol {
        AppProtocol::Clear(protocol) => Speaks::Clear(*protocol),
        AppProtocol::Tls { .. } => {
            let connector = connector.expect("a connector was loaded for each service with TLS");
            Speaks::Tls(connector.clone())
        }
    }
}

fn with_program(mut spec: ProcessSpec, program: &str) -> ProcessSpec {
    if let Some(first) = spec.command.first_mut()
        && first == "reveille"
    {
        program.clone_into(first);
    }
    spec
}

fn scaled_object(object: Object<ScaledObjectSpec>) -> ScaledObject {
    let Object { meta, spec, .. } = object;
    let trigger = |trigger: crate::manifest::Trigger| {
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
