//! All backends, and what Services and EndpointSlices say of them.
//!
//! Changed by the reconciler. A change of one Service or slice touches the
//! backends of that Service and nothing else.

use super::{
    backend::{Backend, BackendKey},
    dns,
    service::{Resolved, ServiceObject},
    slice::{self, Slice},
    store::{Change, Key, Store},
};
use crate::{
    crew::CrewHandle,
    discovery::{Service, Speaks},
    manifest::AppProtocol,
};
use proxy::{
    Protocol, Proxy,
    tls::{Tls, UpstreamTls},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The news of a Service may come so much later than those of its route.
const PATIENCE: Duration = Duration::from_secs(1);

/// All backends with what they are made from.
pub(super) struct Backends {
    proxy: Arc<Proxy>,
    crew: CrewHandle,
    services: Store<ServiceObject>,
    slices: Store<Slice>,
    /// The slices of each Service.
    slices_of: HashMap<Key, HashSet<Key>>,
    backends: HashMap<BackendKey, Arc<Backend>>,
    /// The backends of each Service.
    backends_of: HashMap<Key, Vec<Arc<Backend>>>,
    /// Services of which something has changed.
    dirty: HashSet<Key>,
    /// A port may lead elsewhere than before.
    has_new_ports: bool,
    /// All that was listed at the start is there.
    is_filled: bool,
}

impl Backends {
    pub(super) fn new(proxy: Arc<Proxy>, crew: CrewHandle) -> Self {
        Self {
            proxy,
            crew,
            services: Store::default(),
            slices: Store::default(),
            slices_of: HashMap::new(),
            backends: HashMap::new(),
            backends_of: HashMap::new(),
            dirty: HashSet::new(),
            has_new_ports: false,
            is_filled: false,
        }
    }

    /// Takes in what has changed of Services; [`Backends::settle`] acts on it.
    pub(super) fn take_services(&mut self, change: Change<ServiceObject>) {
        let changed = self.services.apply(change).into_iter();
        let differs = |(key, before): &(Key, Option<_>)| before.as_ref() != self.services.get(key);
        let changed = changed.filter(differs).map(|(key, _)| key);
        for key in changed.collect::<Vec<_>>() {
            self.dirty.insert(key);
            self.has_new_ports = true;
        }
    }

    /// Likewise of EndpointSlices.
    pub(super) fn take_slices(&mut self, change: Change<Slice>) {
        for (key, before) in self.slices.apply(change) {
            if before.as_ref() == self.slices.get(&key) {
                continue;
            }
            let now = self.slices.get(&key).map(|slice| slice.service.clone());
            let before = before.map(|slice| slice.service);
            if let Some(service) = before.filter(|before| now.as_ref() != Some(before)) {
                if let Some(slices) = self.slices_of.get_mut(&service) {
                    slices.remove(&key);
                    if slices.is_empty() {
                        self.slices_of.remove(&service);
                    }
                }
                self.dirty.insert(service);
            }
            if let Some(service) = now {
                self.slices_of
                    .entry(service.clone())
                    .or_default()
                    .insert(key);
                self.dirty.insert(service);
            }
        }
    }

    /// Brings the backends of changed Services up to date; true if a port may
    /// lead elsewhere than before.
    pub(super) fn settle(&mut self) -> bool {
        for service in std::mem::take(&mut self.dirty) {
            for backend in self.backends_of.get(&service).into_iter().flatten() {
                self.refresh(backend);
            }
        }
        std::mem::take(&mut self.has_new_ports)
    }

    /// The backend of that key, up to date.
    pub(super) fn get_or_make(&mut self, key: BackendKey) -> Arc<Backend> {
        if let Some(backend) = self.backends.get(&key) {
            return backend.clone();
        }
        let speaks = Speaks::Clear(Protocol::Http1);
        let service = Service::new(key.service.to_string(), speaks, self.proxy.clone());
        let backend = Backend::new(key.clone(), Arc::new(service), self.is_filled);
        let backend = Arc::new(backend);
        self.refresh(&backend);
        if self.is_filled && backend.nowhere().is_some() {
            let (name, backend) = (format!("the wait for {}", key.service), backend.clone());
            self.crew.spawn(&name, async move {
                sleep(PATIENCE).await;
                backend.give_up();
            });
        }
        let of_service = self.backends_of.entry(key.service.clone()).or_default();
        of_service.push(backend.clone());
        self.backends.insert(key, backend.clone());
        backend
    }

    /// Forgets all but these. What was listed at the start is served by now.
    pub(super) fn keep_only(&mut self, used: &HashSet<&BackendKey>) {
        self.is_filled = true;
        self.backends.retain(|key, _| used.contains(key));
        self.backends_of.retain(|_, backends| {
            backends.retain(|backend| used.contains(backend.key()));
            !backends.is_empty()
        });
    }

    /// Somebody waits: looks for who could serve.
    pub(super) fn woken(&self, backend: &Arc<Backend>) {
        if backend.begins_to_try() {
            let name = format!("probes of {}", backend.key().service);
            self.crew.spawn(&name, backend.clone().try_addresses());
        }
    }

    fn refresh(&self, backend: &Arc<Backend>) {
        let BackendKey { service, port, .. } = backend.key();
        let resolved = match self.services.get(service) {
            Some(object) => object.resolve(port),
            None => Err("does not exist".to_owned()),
        };
        let resolved = resolved.and_then(|resolved| {
            let (Resolved::Slices { protocol, .. } | Resolved::External { protocol, .. }) =
                &resolved;
            // The name that a certificate must have goes with it.
            let has_moved = match &resolved {
                Resolved::External { host, port, .. } => !backend.follows(host, *port),
                Resolved::Slices { .. } => false,
            };
            if has_moved || backend.protocol().as_ref() != Some(protocol) {
                let speaks = speaks(protocol, &resolved, service, self.proxy.tls())?;
                backend.set_speaks(protocol.clone(), speaks);
            }
            Ok(resolved)
        });
        match resolved {
            Err(why) => backend.set_broken(&format!("Service {service} {why}")),
            Ok(Resolved::Slices {
                port_name,
                prefers_ipv6,
                ..
            }) => {
                backend.follow(None);
                let slices = self.slices_of.get(service).into_iter().flatten();
                let slices = slices.filter_map(|key| self.slices.get(key));
                backend.set_addresses(slice::addresses(slices, &port_name, prefers_ipv6));
                self.woken(backend);
            }
            Ok(Resolved::External { host, port, .. }) => {
                if !backend.follows(&host, port) {
                    let stop = CancellationToken::new();
                    let following = dns::follow(Arc::downgrade(backend), host.clone(), port);
                    let name = format!("addresses of {service}");
                    let stopped = stop.clone();
                    self.crew.spawn(&name, async move {
                        stopped.run_until_cancelled(following).await;
                    });
                    backend.follow(Some((host, port, stop.drop_guard())));
                }
            }
        }
    }
}

fn speaks(
    protocol: &AppProtocol,
    resolved: &Resolved,
    service: &Key,
    tls: &Tls,
) -> Result<Speaks, String> {
    let AppProtocol::Tls {
        http1_only,
        settings,
    } = protocol
    else {
        let AppProtocol::Clear(protocol) = protocol else {
            unreachable!("it is either")
        };
        return Ok(Speaks::Clear(*protocol));
    };
    let settings = UpstreamTls {
        server_name: match resolved {
            Resolved::External { host, .. } => Some(host.clone()),
            Resolved::Slices { .. } => None,
        },
        ..settings.clone()
    };
    // As the HTTP add-on names it in its URLs.
    let name = format!("{}.{}", service.name, service.namespace);
    let connector = tls.connector(&settings, &name, *http1_only);
    let connector = connector.map_err(|found| {
        let found: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
        format!("speaks TLS, which cannot be used: {}", found.join("; "))
    })?;
    Ok(Speaks::Tls(connector))
}

#[cfg(test)]
mod tests;
