//! One service: its endpoints, and the targets that they serve.

use parking_lot::Mutex;
use proxy::{Endpoint, EndpointSet, Protocol, Proxy, Target, route::Fallback, tls::Connector};
use std::{fmt, net::SocketAddr, sync::Arc};

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
    speaks: Speaks,
    proxy: Arc<Proxy>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    endpoints: Vec<Arc<Endpoint>>,
    targets: Vec<Arc<Target>>,
    fallbacks: Vec<Arc<Fallback>>,
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
        Self {
            name,
            speaks,
            proxy,
            state: Mutex::default(),
        }
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
        target.set_failing(state.failing.clone());
        state.targets.push(target);
    }

    /// From now on `fallback` gets this service's endpoints.
    pub fn attach_fallback(&self, fallback: Arc<Fallback>) {
        let mut state = self.state.lock();
        fallback.set_endpoints(state.set());
        state.fallbacks.push(fallback);
    }

    /// Adds an endpoint; requests that wait are released to it at once.
    pub fn add(&self, addr: SocketAddr, name: &str) -> Arc<Endpoint> {
        let endpoint = match &self.speaks {
            Speaks::Clear(protocol) => self.proxy.endpoint_speaking(*protocol, addr, name),
            Speaks::Tls(connector) => {
                let connector = connector.clone();
                self.proxy.endpoint_over_tls(connector, addr, name)
            }
        };
        let mut state = self.state.lock();
        state.endpoints.push(endpoint.clone());
        state.publish();
        endpoint
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
        for target in &state.targets {
            target.set_failing(reason.cloned());
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

impl State {
    fn set(&self) -> Arc<EndpointSet> {
        Arc::new(EndpointSet::new(self.endpoints.clone()))
    }

    fn publish(&self) {
        let set = self.set();
        for target in &self.targets {
            target.set_endpoints(set.clone());
        }
        for fallback in &self.fallbacks {
            fallback.set_endpoints(set.clone());
        }
    }
}
