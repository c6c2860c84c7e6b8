//! The services of a local run, and what stands behind each: a process pool or
//! fixed addresses.
//!
//! Changed by the [`World`](super::World) when manifests are applied. A service
//! that stays is the same object, so that its endpoints, their connections and
//! its replicas survive. It must never know routes.

use super::{connectors::Connectors, full_name, key, world::Key};
use crate::{
    crew::CrewHandle,
    discovery::{Service, Speaks},
    manifest::{AppProtocol, BackendSpec, Object, ProcessSpec},
    workload::ProcessPool,
};
use proxy::Proxy;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What services are made with.
pub(super) struct Ground {
    pub(super) proxy: Arc<Proxy>,
    /// Replaces a leading `reveille` of a Process's command.
    pub(super) program: String,
    /// Runs the pools.
    pub(super) crew: CrewHandle,
    /// Stops all pools.
    pub(super) stop: CancellationToken,
}

/// A service and what stands behind it.
pub(super) struct Standing {
    pub(super) service: Arc<Service>,
    pub(super) behind: Behind,
    protocol: AppProtocol,
}

pub(super) enum Behind {
    Pool {
        pool: Arc<ProcessPool>,
        stop: CancellationToken,
    },
    Addresses,
}

/// All services by their names.
#[derive(Default)]
pub(super) struct Services(HashMap<Key, Standing>);

/// Services that are no longer described. Their routes go first.
#[must_use = "their processes run until they are told to stop"]
pub(super) struct Leaving(Vec<Standing>);

impl Services {
    pub(super) fn get(&self, key: &Key) -> Option<&Standing> {
        self.0.get(key)
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<ProcessPool>> {
        self.0.values().filter_map(Standing::pool)
    }

    /// From now on they are these. Says who leaves, and which Processes get
    /// other replicas.
    pub(super) fn apply(
        &mut self,
        processes: Vec<Object<ProcessSpec>>,
        backends: Vec<Object<BackendSpec>>,
        connectors: &Connectors,
        ground: &Ground,
    ) -> (Leaving, usize) {
        let mut before = std::mem::take(&mut self.0);
        let mut replaced = 0;
        for process in processes {
            let key = key(&process);
            let speaks = speaks(&process.spec.protocol, connectors, &key);
            let spec = with_program(process.spec, &ground.program);
            let standing = match before.remove(&key) {
                Some(known) if known.pool().is_some() => {
                    replaced += usize::from(known.edit_pool(spec, speaks));
                    known
                }
                other => {
                    // It was a Backend: that one leaves.
                    if let Some(other) = other {
                        before.insert(key.clone(), other);
                    }
                    ground.start_pool(&key, spec, speaks)
                }
            };
            self.0.insert(key, standing);
        }
        for backend in backends {
            let key = key(&backend);
            let speaks = speaks(&backend.spec.protocol, connectors, &key);
            let known = before.remove(&key);
            let (known, other) = match known {
                Some(known) if known.pool().is_none() => (Some(known), None),
                other => (None, other),
            };
            let BackendSpec {
                addresses,
                protocol,
            } = backend.spec;
            let mut standing =
                known.unwrap_or_else(|| ground.addresses(&key, speaks.clone(), &protocol));
            standing.set_addresses(&addresses, protocol, speaks);
            self.0.insert(key.clone(), standing);
            if let Some(other) = other {
                before.insert(key, other);
            }
        }
        (Leaving(before.into_values().collect()), replaced)
    }
}

impl Ground {
    fn start_pool(&self, key: &Key, spec: ProcessSpec, speaks: Speaks) -> Standing {
        let name = full_name(key);
        let protocol = spec.protocol.clone();
        let service = Service::new(name.clone(), speaks, self.proxy.clone());
        let service = Arc::new(service);
        let pool = ProcessPool::new(name.clone(), spec);
        let stop = self.stop.child_token();
        let run = pool.clone().run(service.clone(), stop.clone());
        self.crew.spawn(&name, run);
        Standing {
            service,
            behind: Behind::Pool { pool, stop },
            protocol,
        }
    }

    fn addresses(&self, key: &Key, speaks: Speaks, protocol: &AppProtocol) -> Standing {
        let service = Service::new(full_name(key), speaks, self.proxy.clone());
        Standing {
            service: Arc::new(service),
            behind: Behind::Addresses,
            protocol: protocol.clone(),
        }
    }
}

impl Standing {
    pub(super) fn pool(&self) -> Option<&Arc<ProcessPool>> {
        match &self.behind {
            Behind::Pool { pool, .. } => Some(pool),
            Behind::Addresses => None,
        }
    }

    /// True if its replicas are replaced.
    fn edit_pool(&self, spec: ProcessSpec, speaks: Speaks) -> bool {
        let replaces = self.pool().is_some_and(|pool| pool.edit(spec));
        // After that: whoever gets ready in between is one of the old ones.
        self.service.set_speaks(speaks);
        replaces
    }

    fn set_addresses(&mut self, addresses: &[SocketAddr], protocol: AppProtocol, speaks: Speaks) {
        let speaks_other = self.protocol != protocol;
        if speaks_other {
            self.service.set_speaks(speaks);
            self.protocol = protocol;
        }
        let endpoints = self.service.endpoints();
        let known = endpoints.iter().map(|endpoint| endpoint.addr());
        if speaks_other || !known.eq(addresses.iter().copied()) {
            let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let names = names.iter().map(String::as_str);
            let addresses = addresses.iter().copied().zip(names);
            self.service.set_addresses(addresses, speaks_other);
        }
    }
}

impl Leaving {
    /// Replicas stop, each when its requests have ended or its grace is over.
    pub(super) fn stop(self) {
        for standing in self.0 {
            match standing.behind {
                Behind::Pool { stop, .. } => stop.cancel(),
                Behind::Addresses => {}
            }
        }
    }
}

fn speaks(protocol: &AppProtocol, connectors: &Connectors, key: &Key) -> Speaks {
    match protocol {
        AppProtocol::Clear(protocol) => Speaks::Clear(*protocol),
        AppProtocol::Tls { .. } => {
            let connector = connectors.get(key);
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
