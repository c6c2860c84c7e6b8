//! One service: its endpoints, and the targets that they serve.

use parking_lot::Mutex;
use proxy::{Endpoint, EndpointSet, Protocol, Proxy, Target, route::Fallback, tls::Connector};
use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Weak},
};

/// What the endpoints of a service speak.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// This, in clear text.
    Clear(Protocol),
    /// TLS, and in it what is agreed on.
    Tls(Arc<Connector>),
}

/// The endpoints of one service.
pub struct Service {
    name: String,
    proxy: Arc<Proxy>,
    state: Mutex<State>,
}

struct State {
    speaks: Speaks,
    endpoints: Vec<Arc<Endpoint>>,
    /// All of them are going away.
    is_leaving: bool,
    targets: Vec<Attached>,
    /// A fallback is its route's, and ends with it.
    fallbacks: Vec<Weak<Fallback>>,
    failing: Option<Arc<str>>,
}

struct Attached {
    target: Arc<Target>,
    /// Why nobody will serve this one.
    failing: Option<Arc<str>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service without endpoints; `name` is `namespace/name`, `speaks`
    /// what its endpoints will speak.
    #[must_use]
    pub fn new(name: String, speaks: Speaks, proxy: Arc<Proxy>) -> Self {
        let state = State {
            speaks,
            endpoints: Vec::new(),
            is_leaving: false,
            targets: Vec::new(),
            fallbacks: Vec::new(),
            failing: None,
        };
        Self {
            name,
            proxy,
            state: Mutex::new(state),
        }
    }

    /// What endpoints speak that are made from now on.
    pub fn set_speaks(&self, speaks: Speaks) {
        self.state.lock().speaks = speaks;
    }

    /// `namespace/name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From now on `target` gets this service's endpoints.
    pub fn attach(&self, target: Arc<Target>) {
        let mut state = self.state.lock();
        target.set_endpoints(state.set());
        let attached = Attached {
            target,
            failing: None,
        };
        attached.tell(state.failing.as_ref());
        state.targets.push(attached);
    }

    /// From now on `target` hears nothing of this service; it keeps the
    /// endpoints that it has until another one gives it others.
    pub fn detach(&self, target: &Arc<Target>) {
        let mut state = self.state.lock();
        state
            .targets
            .retain(|known| !Arc::ptr_eq(&known.target, target));
    }

    /// From now on `fallback` gets this service's endpoints, while somebody
    /// keeps it.
    pub fn attach_fallback(&self, fallback: &Arc<Fallback>) {
        let mut state = self.state.lock();
        fallback.set_endpoints(state.set());
        state.fallbacks.retain(|known| known.strong_count() > 0);
        state.fallbacks.push(Arc::downgrade(fallback));
    }

    /// Adds an endpoint; requests that wait are released to it at once.
    pub fn add(&self, addr: SocketAddr, name: &str) -> Arc<Endpoint> {
        let mut state = self.state.lock();
        let endpoint = state.endpoint(&self.proxy, addr, name);
        state.endpoints.push(endpoint.clone());
        state.publish();
        endpoint
    }

    /// From now on its endpoints are these, in one step, each an address and
    /// what logs call it. Those that stay keep their connections, their load and
    /// their ejection, unless `all_anew`: they speak something else now.
    pub fn set_addresses<'a>(
        &self,
        addresses: impl IntoIterator<Item = (SocketAddr, &'a str)>,
        all_anew: bool,
    ) {
        self.replace(addresses, all_anew, false);
    }

    /// Likewise, but all of them are going away, and are used while there is
    /// nobody else.
    pub fn set_leaving<'a>(
        &self,
        addresses: impl IntoIterator<Item = (SocketAddr, &'a str)>,
        all_anew: bool,
    ) {
        self.replace(addresses, all_anew, true);
    }

    fn replace<'a>(
        &self,
        addresses: impl IntoIterator<Item = (SocketAddr, &'a str)>,
        all_anew: bool,
        is_leaving: bool,
    ) {
        let mut state = self.state.lock();
        state.is_leaving = is_leaving;
        let mut known: HashMap<SocketAddr, Arc<Endpoint>> = HashMap::new();
        if !all_anew {
            let endpoints = std::mem::take(&mut state.endpoints);
            known.extend(endpoints.into_iter().map(|one| (one.addr(), one)));
        }
        let one = |(addr, name): (SocketAddr, &str)| {
            // An address that went to somebody else is another endpoint.
            let stays = known.remove(&addr).filter(|known| known.name() == name);
            stays.unwrap_or_else(|| state.endpoint(&self.proxy, addr, name))
        };
        let endpoints = addresses.into_iter().map(one).collect();
        state.endpoints = endpoints;
        state.publish();
    }

    /// Does anybody wait for it?
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        state.targets.iter().any(|one| one.target.held() > 0)
    }

    /// Nobody will serve `target`, as long as this service has no endpoint, for
    /// a reason of the target's own. `None` lifts it.
    pub fn set_target_failing(&self, target: &Arc<Target>, reason: Option<Arc<str>>) {
        let mut state = self.state.lock();
        let failing = state.failing.clone();
        let mut known = state.targets.iter_mut();
        if let Some(attached) = known.find(|known| Arc::ptr_eq(&known.target, target)) {
            attached.failing = reason;
            attached.tell(failing.as_ref());
        }
    }

    /// Takes an endpoint out of the rotation. Requests on it go on.
    pub fn remove(&self, endpoint: &Arc<Endpoint>) {
        let mut state = self.state.lock();
        state
            .endpoints
            .retain(|known| !Arc::ptr_eq(known, endpoint));
        state.publish();
    }

    /// Nobody will serve this for now, for this reason: whoever waits is told
    /// at once. `None` lifts it.
    pub fn set_failing(&self, reason: Option<&Arc<str>>) {
        let mut state = self.state.lock();
        state.failing = reason.cloned();
        for attached in &state.targets {
            attached.tell(reason);
        }
    }

    /// Why nobody serves it, if that is known.
    #[must_use]
    pub fn failing(&self) -> Option<Arc<str>> {
        self.state.lock().failing.clone()
    }

    /// The present endpoints.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.state.lock().endpoints.clone()
    }
}

impl Attached {
    fn tell(&self, service: Option<&Arc<str>>) {
        self.target
            .set_failing(service.or(self.failing.as_ref()).cloned());
    }
}

impl State {
    fn endpoint(&self, proxy: &Proxy, addr: SocketAddr, name: &str) -> Arc<Endpoint> {
        match &self.speaks {
            Speaks::Clear(protocol) => proxy.endpoint_speaking(*protocol, addr, name),
            Speaks::Tls(connector) => proxy.endpoint_over_tls(connector.clone(), addr, name),
        }
    }

    fn set(&self) -> Arc<EndpointSet> {
        let endpoints = self.endpoints.clone();
        Arc::new(if self.is_leaving {
            EndpointSet::leaving(endpoints)
        } else {
            EndpointSet::new(endpoints)
        })
    }

    fn publish(&self) {
        let set = self.set();
        for attached in &self.targets {
            attached.target.set_endpoints(set.clone());
        }
        for fallback in self.fallbacks.iter().filter_map(Weak::upgrade) {
            fallback.set_endpoints(set.clone());
        }
    }
}
