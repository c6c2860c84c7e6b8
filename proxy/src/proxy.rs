//! The proxy as a whole: made once by control, which gives it routes and
//! endpoints, starts and drains it.

use crate::{
    clock::Clock,
    config::{ProxyConfig, SessionSecret},
    endpoint::{Endpoint, Protocol},
    forward::UpgradeLimit,
    gate::HeldLimit,
    journal::Observe,
    metrics::{ConnectionCounts, RequestShards},
    route::{RouteTable, SessionKey},
    runtime::Workers,
    server::{self, Drain, ProxyProtocol, ProxyProtocolCounters, Refused, Sweep, Transport},
    sink::DemandSink,
    target::{Target, TargetContext, TargetId},
    tls::{Connector, Tls},
};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::{collections::HashSet, fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// What every connection shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ProxyConfig,
    pub(crate) clock: Clock,
    pub(crate) routes: ArcSwap<RouteTable>,
    pub(crate) unrouted: RequestShards,
    pub(crate) drain: Drain,
    /// One for each worker.
    pub(crate) sweeps: Box<[Arc<Sweep>]>,
    pub(crate) refused: Refused,
    pub(crate) upgrades: Arc<UpgradeLimit>,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) observe: Arc<Observe>,
    pub(crate) tls: Arc<Tls>,
}

/// The data plane.
pub struct Proxy {
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    targets: TargetContext,
    /// Tasks that end when draining begins: acceptors, housekeeping.
    background: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy without routes whose workers run. `clock` must be the one that
    /// the scaler reads demand with; `sink` is told when somebody waits.
    ///
    /// # Errors
    /// Workers that cannot be started.
    pub fn new(config: ProxyConfig, clock: Clock, sink: Arc<dyn DemandSink>) -> io::Result<Self> {
        Self::with_tls(config, clock, sink, Arc::new(Tls::none()))
    }

    /// Likewise, with what was loaded for TLS. Its files are looked at again
    /// until the drain.
    ///
    /// # Errors
    /// As [`Proxy::new`].
    pub fn with_tls(
        config: ProxyConfig,
        clock: Clock,
        sink: Arc<dyn DemandSink>,
        tls: Arc<Tls>,
    ) -> io::Result<Self> {
        let workers = Arc::new(Workers::start(config.runtime, config.workers)?);
        let targets = TargetContext {
            clock,
            workers: config.workers,
            max_held: config.max_held_per_target,
            held_limit: Arc::new(HeldLimit::new(config.max_held)),
            sink,
            stories: config.observe.stories.clone(),
            changes: Arc::default(),
        };
        let drain = Drain::new();
        let sweep = |_worker| Sweep::new(config.connections.clone(), drain.subscribe());
        let sweeps = (0..workers.count()).map(sweep).collect();
        let shared = Arc::new(Shared {
            clock,
            routes: ArcSwap::default(),
            unrouted: RequestShards::new(config.workers),
            drain,
            sweeps,
            refused: Refused::default(),
            upgrades: UpgradeLimit::new(config.clients.upgrades),
            proxy_protocol: ProxyProtocol::new(
                config.client_address.proxy_protocol,
                config.client_address.proxy_protocol_timeout,
            ),
            observe: Arc::new(Observe::new(config.observe.clone(), clock)),
            tls: tls.clone(),
            config,
        });
        let sweep = workers.first().spawn(close_idle_upstreams(shared.clone()));
        // Not among what ends with the drain: the gRPC port and upstreams shake
        // hands until the very end. It ends with its worker.
        let watching = tls.watch(targets.changes.clone());
        workers.first().spawn(watching);
        Ok(Self {
            shared,
            workers,
            targets,
            background: Mutex::new(vec![sweep]),
        })
    }

    /// A target of this proxy. Keep it for as long as its route exists: its
    /// demand and its queue live in it.
    #[must_use]
    pub fn target(&self, id: TargetId) -> Arc<Target> {
        Arc::new(Target::new(id, self.targets.clone()))
    }

    /// An endpoint that speaks HTTP/1.1, with room for this proxy's
    /// connections.
    #[must_use]
    pub fn endpoint(&self, addr: SocketAddr, name: &str) -> Arc<Endpoint> {
        self.endpoint_speaking(Protocol::Http1, addr, name)
    }

    /// Likewise, one that speaks `protocol`.
    #[must_use]
    pub fn endpoint_speaking(
        &self,
        protocol: Protocol,
        addr: SocketAddr,
        name: &str,
    ) -> Arc<Endpoint> {
        let workers = self.shared.config.workers;
        self.fresh(Endpoint::new(addr, name, protocol, workers))
    }

    /// What session cookies of `route` are made with.
    #[must_use]
    pub fn session_key(&self, route: &TargetId) -> SessionKey {
        let secret = self.shared.config.endpoints.session_secret.as_ref();
        SessionKey::new(secret.map(SessionSecret::bytes), route)
    }

    /// Likewise, one that speaks TLS, and in it what `connector` agrees on.
    #[must_use]
    pub fn endpoint_over_tls(
        &self,
        connector: Arc<Connector>,
        addr: SocketAddr,
        name: &str,
    ) -> Arc<Endpoint> {
        let workers = self.shared.config.workers;
        let changes = self.targets.changes.clone();
        self.fresh(Endpoint::over_tls(addr, name, connector, workers, changes))
    }

    /// An endpoint that starts slowly from now on.
    fn fresh(&self, endpoint: Endpoint) -> Arc<Endpoint> {
        let now_us = self.shared.clock.now_us();
        let slow_start = self.shared.config.endpoints.slow_start;
        Arc::new(endpoint.born(now_us, slow_start))
    }

    /// Replaces all routes at once. Requests under way keep theirs.
    pub fn set_routes(&self, table: RouteTable) {
        self.shared.routes.store(Arc::new(table));
        self.targets.changes.tell();
    }

    /// All routes, as they are now.
    #[must_use]
    pub fn routes(&self) -> Arc<RouteTable> {
        self.shared.routes.load_full()
    }

    /// Told after each change of the routes, or of some target's endpoints.
    #[must_use]
    pub fn follow_changes(&self) -> watch::Receiver<u64> {
        self.targets.changes.follow()
    }

    /// What can be set about it, as it was set.
    #[must_use]
    pub fn config(&self) -> &ProxyConfig {
        &self.shared.config
    }

    /// Accepts connections on `addr` (port 0: any); gives the bound address.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let listener = bind(addr)?;
        let bound = listener.local_addr()?;
        self.accept(listener)?;
        Ok(bound)
    }

    /// Accepts connections on a listener of [`bind`]'s.
    ///
    /// # Errors
    /// A listener that cannot be watched.
    pub fn accept(&self, listener: std::net::TcpListener) -> io::Result<()> {
        self.accept_over(Transport::Clear, listener)
    }

    /// Likewise, connections that begin with a TLS handshake.
    ///
    /// # Errors
    /// A listener that cannot be watched; no certificate to serve with.
    pub fn accept_tls(&self, listener: std::net::TcpListener) -> io::Result<()> {
        if !self.shared.tls.serves() {
            return Err(io::Error::other("there is no certificate to serve with"));
        }
        self.accept_over(Transport::Tls, listener)
    }

    fn accept_over(&self, transport: Transport, listener: std::net::TcpListener) -> io::Result<()> {
        let first = self.workers.first();
        let _runtime = first.handle().enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accept = server::accept_loop(
            listener,
            transport,
            self.shared.clone(),
            self.workers.clone(),
        );
        self.background.lock().push(first.spawn(accept));
        Ok(())
    }

    /// [`Proxy::drain`] is near: from now on every answer over HTTP/1 says that
    /// its connection closes, so that clients leave by themselves, between two
    /// requests. Everything is accepted and served as before.
    pub fn announce_drain(&self) {
        self.shared.drain.announce();
    }

    /// Closes the listeners, lets every request end, and resolves when none is
    /// left or `limit` has passed; then whoever is still held gets 503 and
    /// the rest is cut off. True if nothing had to be cut off.
    pub async fn drain(&self, limit: Duration) -> bool {
        let background = std::mem::take(&mut *self.background.lock());
        for task in background {
            task.abort();
            // Only now is its listener closed, and nobody is accepted after
            // the count of connections was found to be zero.
            let _aborted = task.await;
        }
        let drained = tokio::time::timeout(limit, self.shared.drain.begin())
            .await
            .is_ok();
        if !drained {
            self.shared.observe.cut_off();
            self.shared.drain.cut_off();
            self.shared.drain.begin().await;
        }
        drained
    }

    /// Requests that found no route.
    #[must_use]
    pub fn unrouted(&self) -> &RequestShards {
        &self.shared.unrouted
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What became of client connections because of their age.
    #[must_use]
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.shared.sweeps.iter().map(|sweep| sweep.counts()).sum()
    }

    /// What clients were refused because of how they asked.
    #[must_use]
    pub fn refused(&self) -> &Refused {
        &self.shared.refused
    }

    /// What PROXY protocol headers came to.
    #[must_use]
    pub fn proxy_protocol(&self) -> &ProxyProtocolCounters {
        &self.shared.proxy_protocol.counters
    }

    /// TLS: certificates in use, and what is counted.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.shared.tls
    }

    /// Tasks that live on the workers now: one for each connection, and a few.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.workers.tasks()
    }

    /// Client connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.drain.connections()
    }
}

/// Binds an address without accepting on it yet, so that whoever starts can
/// bind everything first and report all errors at once.
///
/// # Errors
/// What the operating system says.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    server::bind(addr)
}

/// Idle upstream connections cost memory here and there; the oldest go.
async fn close_idle_upstreams(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(SWEEP);
    loop {
        every.tick().await;
        // Many routes may lead to the same endpoints.
        let mut seen = HashSet::new();
        for route in shared.routes.load_full().routes() {
            for endpoint in route.target.endpoints().iter() {
                if seen.insert(Arc::as_ptr(endpoint)) {
                    endpoint.close_idle(shared.config.upstream_idle_timeout);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::UpstreamTls;

    #[tokio::test]
    async fn an_endpoint_starts_slowly_whatever_it_speaks() {
        let proxy = Proxy::new(ProxyConfig::default(), Clock::start(), Arc::new(()));
        let proxy = proxy.expect("a worker can be started");
        let connector = proxy
            .tls()
            .connector(&UpstreamTls::default(), "web.default", false);
        let connector = connector.expect("good settings");
        let addr = ([127, 0, 0, 1], 1).into();
        for endpoint in [
            proxy.endpoint(addr, "a"),
            proxy.endpoint_speaking(Protocol::H2c, addr, "b"),
            proxy.endpoint_over_tls(connector, addr, "c"),
        ] {
            assert!(endpoint.starts_slowly(), "{}", endpoint.name());
        }
    }
}
