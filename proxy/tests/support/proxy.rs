//! The proxy under test, with its targets and the sink.

use super::{Wire, count_panics, eventually, worker_panics};
use parking_lot::Mutex;
use proxy::{
    Clock, DemandSink, Endpoint, EndpointSet, Protocol, Proxy, ProxyConfig, RefusedFor,
    RuntimeKind, Target, TargetId,
    route::{HeaderRule, Route, RouteSpec, RouteTable, Rule, Timeouts},
    tls::{Tls, TlsConfig, UpstreamTls},
};
use std::{net::SocketAddr, sync::Arc};

/// A rule for these hosts and paths, and headers as `name: value` or `name`.
pub(crate) fn rule(hosts: &[&str], paths: &[&str], headers: &[&str]) -> Rule {
    let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
    let header = |line: &&str| {
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) => (name, Some(value)),
            None => (*line, None),
        };
        HeaderRule {
            name: name.parse().expect("a header name"),
            value: value.map(|value| value.parse().expect("a header value")),
        }
    };
    Rule {
        hosts: owned(hosts),
        paths: owned(paths),
        headers: headers.iter().map(header).collect(),
    }
}

/// A proxy that is being set up: one worker and one route for all requests to
/// the target `web`, unless said otherwise.
#[derive(Clone)]
pub(crate) struct Setup {
    config: ProxyConfig,
    timeouts: Timeouts,
    shape: Arc<dyn Fn(Route) -> Route>,
    routes: Vec<(&'static str, Rule)>,
    tls: TlsConfig,
}

impl Setup {
    /// Changes every route.
    pub(crate) fn shape(mut self, shape: impl Fn(Route) -> Route + 'static) -> Self {
        self.shape = Arc::new(shape);
        self
    }

    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    pub(crate) fn shared(mut self) -> Self {
        self.config.runtime = RuntimeKind::Shared;
        self
    }

    pub(crate) fn configure(mut self, change: impl FnOnce(&mut ProxyConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Limits of every route.
    pub(crate) fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sends what `rule` matches to `target`, in place of the default route.
    pub(crate) fn route(mut self, target: &'static str, rule: Rule) -> Self {
        self.routes.push((target, rule));
        self
    }

    /// TLS; with certificates, there is a listener.
    pub(crate) fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    pub(crate) fn start(mut self) -> TestProxy {
        count_panics();
        if self.routes.is_empty() {
            self.routes.push(("web", Rule::default()));
        }
        let sink = Arc::new(Edges::default());
        let (tls, problems) = Tls::load(self.tls);
        assert_eq!(problems, []);
        let clock = Clock::start();
        let proxy = Proxy::with_tls(self.config, clock, sink.clone(), Arc::new(tls));
        let proxy = proxy.expect("workers");
        let mut targets: Vec<Arc<Target>> = Vec::new();
        let mut specs = Vec::new();
        for (name, rule) in self.routes {
            let id = TargetId::new("default", name);
            let known = targets.iter().find(|target| *target.id() == id);
            let target = known.cloned().unwrap_or_else(|| proxy.target(id));
            targets.push(target.clone());
            specs.push(RouteSpec {
                route: Arc::new((self.shape)(Route {
                    timeouts: self.timeouts,
                    ..Route::new(target)
                })),
                rules: vec![rule],
                created: 0,
            });
        }
        proxy.set_routes(RouteTable::build(specs));
        let addr = proxy
            .listen(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let tls_addr = proxy.tls().serves().then(|| {
            let listener = proxy::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
            let addr = listener.local_addr().expect("bound");
            proxy.accept_tls(listener).expect("certificates");
            addr
        });
        TestProxy {
            proxy,
            addr,
            tls_addr,
            targets,
            sink,
            endpoints: Mutex::default(),
            finished: false,
        }
    }
}

/// A running proxy. Every test must end with [`TestProxy::finish`].
pub(crate) struct TestProxy {
    pub(crate) proxy: Proxy,
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    targets: Vec<Arc<Target>>,
    sink: Arc<Edges>,
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    finished: bool,
}

#[derive(Default)]
struct Edges {
    waits: Mutex<Vec<TargetId>>,
    stirs: Mutex<Vec<TargetId>>,
}

impl DemandSink for Edges {
    fn waiting(&self, target: &TargetId) {
        self.waits.lock().push(target.clone());
    }
    fn stirred(&self, target: &TargetId, _at_us: u64) {
        self.stirs.lock().push(target.clone());
    }
}

impl TestProxy {
    #[expect(clippy::new_ret_no_self, reason = "a proxy starts as its setup")]
    pub(crate) fn new() -> Setup {
        Setup {
            config: ProxyConfig::default(),
            timeouts: Timeouts::default(),
            shape: Arc::new(|route| route),
            routes: Vec::new(),
            tls: TlsConfig::default(),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where clients connect with TLS.
    pub(crate) fn tls_addr(&self) -> SocketAddr {
        self.tls_addr.expect("certificates")
    }

    /// A new HTTP/1.1 client.
    pub(crate) async fn client(&self) -> Wire {
        Wire::connect(self.addr).await
    }

    pub(crate) fn target(&self, name: &str) -> &Arc<Target> {
        let mut all = self.targets.iter();
        all.find(|target| target.id().name() == name)
            .expect("a target of that name")
    }

    /// The default target.
    pub(crate) fn web(&self) -> &Arc<Target> {
        self.target("web")
    }

    /// Publishes these addresses as the endpoints of `target`. An address
    /// that was published before stays the same endpoint.
    pub(crate) fn publish<const N: usize>(
        &self,
        target: &str,
        addrs: [SocketAddr; N],
    ) -> [Arc<Endpoint>; N] {
        let mut known = self.endpoints.lock();
        let all = addrs.map(|addr| {
            let found = known.iter().find(|endpoint| endpoint.addr() == addr);
            found.cloned().unwrap_or_else(|| {
                let made = self.proxy.endpoint(addr, "replica");
                known.push(made.clone());
                made
            })
        });
        let set = EndpointSet::new(all.to_vec());
        self.target(target).set_endpoints(Arc::new(set));
        all
    }

    /// Publishes one endpoint of the default target.
    pub(crate) fn serve(&self, addr: SocketAddr) -> Arc<Endpoint> {
        let [endpoint] = self.publish("web", [addr]);
        endpoint
    }

    /// Likewise, one that speaks HTTP/2.
    pub(crate) fn serve_h2c(&self, addr: SocketAddr) -> Arc<Endpoint> {
        let made = self.proxy.endpoint_speaking(Protocol::H2c, addr, "replica");
        self.endpoints.lock().push(made);
        self.serve(addr)
    }

    /// Likewise, one of the service `web.default` that speaks TLS.
    pub(crate) fn serve_tls(&self, addr: SocketAddr, settings: &UpstreamTls) -> Arc<Endpoint> {
        self.add_tls(addr, settings, false);
        self.serve(addr)
    }

    /// Makes `addr` an endpoint that speaks TLS, for whoever publishes it.
    pub(crate) fn add_tls(&self, addr: SocketAddr, settings: &UpstreamTls, http1_only: bool) {
        let tls = self.proxy.tls();
        let connector = tls.connector(settings, "web.default", http1_only);
        let connector = connector.expect("good settings");
        let made = self.proxy.endpoint_over_tls(connector, addr, "replica");
        self.endpoints.lock().push(made);
    }

    /// How often the sink was told that somebody waits for `target`.
    pub(crate) fn edges(&self, target: &str) -> usize {
        let edges = self.sink.waits.lock();
        edges.iter().filter(|id| id.name() == target).count()
    }

    /// How often the sink was told that somebody asks for `target` again.
    pub(crate) fn stirs(&self, target: &str) -> usize {
        let stirs = self.sink.stirs.lock();
        stirs.iter().filter(|id| id.name() == target).count()
    }

    /// Waits until exactly `count` requests are held for the default target.
    pub(crate) async fn until_held(&self, count: usize) {
        let web = self.web();
        eventually(&format!("{count} held"), || web.held() == count).await;
    }

    /// Requests to the default target that were counted with this status.
    pub(crate) fn counted(&self, method: &str, code: u16) -> u64 {
        let all = self.web().metrics().requests.read();
        let those = all
            .iter()
            .filter(|series| series.method.as_str() == method && series.code == code);
        those.map(|series| series.durations.count()).sum()
    }

    /// Requests that found no route and were answered with this status.
    pub(crate) fn unrouted(&self, code: u16) -> u64 {
        let all = self.proxy.unrouted().read();
        let those = all.iter().filter(|series| series.code == code);
        those.map(|series| series.durations.count()).sum()
    }

    /// Whatever happened: nothing is left behind. No demand, nobody held, no
    /// claim on an endpoint, each request measured once, and no panic.
    pub(crate) async fn settled(&self) {
        for target in &self.targets {
            let name = target.id();
            eventually(&format!("no demand for {name}"), || {
                target.totals().in_flight() == 0
            })
            .await;
            assert_eq!(target.held(), 0, "held for {name}");
            let totals = target.totals();
            let measured = || -> u64 {
                let all = target.metrics().requests.read();
                all.iter().map(|series| series.durations.count()).sum()
            };
            // A static route's request is measured, but is no demand.
            eventually("each request is measured", || measured() >= totals.begun).await;
        }
        let endpoints = self.endpoints.lock().clone();
        for endpoint in endpoints {
            eventually("no claim on an endpoint", || endpoint.in_flight() == 0).await;
        }
        assert_eq!(worker_panics(), 0, "panics on worker threads");
    }

    /// The end of every test: see [`TestProxy::settled`].
    pub(crate) async fn finish(mut self) {
        self.settled().await;
        self.finished = true;
    }

    /// How often clients were refused something for this reason.
    pub(crate) fn refused(&self, reason: RefusedFor) -> u64 {
        self.proxy.refused().read(reason)
    }

    /// Waits until clients were refused something for this reason so often.
    pub(crate) async fn until_refused(&self, reason: RefusedFor, count: u64) {
        let what = format!("{count} refused for {reason:?}");
        eventually(&what, || self.refused(reason) == count).await;
    }

    /// Waits until exactly so many client connections are open.
    pub(crate) async fn until_connections(&self, count: usize) {
        let what = format!("{count} open connections");
        eventually(&what, || self.proxy.connections() == count).await;
    }

    /// Waits until exactly so many requests of the default target are in
    /// flight.
    pub(crate) async fn until_in_flight(&self, count: u64) {
        let web = self.web();
        let what = format!("{count} in flight");
        eventually(&what, || web.totals().in_flight() == count).await;
    }

    /// Waits until all client connections are closed.
    pub(crate) async fn until_no_connections(&self) {
        eventually("no open connections", || self.proxy.connections() == 0).await;
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        assert!(
            self.finished || std::thread::panicking(),
            "a test must end with finish()"
        );
    }
}
