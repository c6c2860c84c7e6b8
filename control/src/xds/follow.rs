//! The one task that makes snapshots: after each change of the routes, of
//! endpoints, or of where our proxies are.
//!
//! Run by [`super::serve`]. It looks at everything by identity first, so that a
//! changed endpoint among ten thousand targets compiles one resource.

use super::{
    EnvoyListener, Kind, Resource, Snapshot,
    compile::{
        certificate, cluster,
        direct::{self, Indirect, Way},
        endpoints, hosts, listener, tls,
    },
    greet::Greetings,
    names,
};
use proxy::{EndpointSet, Proxy, TargetId, route::RouteTable, tls::Spoken};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};
use tokio::sync::watch;

/// What is served now.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    /// The resources.
    pub(super) snapshot: Snapshot,
    /// The clusters of targets.
    pub(super) targets: Arc<HashMap<String, TargetId>>,
    /// What stands in the way of those that Envoys may send to no endpoint.
    pub(super) obstacles: Arc<BTreeMap<TargetId, Indirect>>,
}

/// Makes snapshots of a proxy.
pub(super) struct Follower {
    proxy: Arc<Proxy>,
    listener: Option<Arc<Resource>>,
    /// What that speaks TLS with.
    certificate: Option<Arc<Resource>>,
    /// Where our proxies are.
    proxies: Vec<SocketAddr>,
    table: Arc<RouteTable>,
    known: BTreeMap<TargetId, Known>,
    /// Targets whose connections our proxy alone can switch.
    keep_upgrades: BTreeSet<TargetId>,
    greetings: Greetings,
    served: Served,
}

/// A target as it was compiled.
struct Known {
    endpoints: Arc<EndpointSet>,
    /// What those of them chose that speak TLS.
    chosen: Vec<Option<Spoken>>,
    /// The last that was seen: what sleeps will be reached so again.
    way: Option<Way>,
    /// Likewise.
    obstacle: Option<Indirect>,
    cluster: Arc<Resource>,
    assignment: Arc<Resource>,
}

impl Follower {
    /// Of a proxy whose routes are known. With `listener`, Envoys are given
    /// that.
    pub(super) fn new(proxy: Arc<Proxy>, listener: Option<&EnvoyListener>) -> Self {
        let connect_timeout = proxy.config().connect_timeout;
        let limits = &proxy.config().connections;
        let certificate = listener.and_then(|given| given.certificate.as_ref());
        Self {
            listener: listener.map(|given| listener::listener(given, limits)),
            certificate: certificate.map(certificate::certificate),
            proxy,
            proxies: Vec::new(),
            table: Arc::default(),
            known: BTreeMap::new(),
            keep_upgrades: BTreeSet::new(),
            greetings: Greetings::new(connect_timeout),
            served: Served::default(),
        }
    }

    /// Follows for ever, and tells `served` of every change. Nothing is served
    /// before it is known where our proxies are. Cancellation safe.
    pub(super) async fn run(
        mut self,
        mut proxies: watch::Receiver<Vec<SocketAddr>>,
        served: watch::Sender<Option<Served>>,
    ) {
        let mut changes = self.proxy.follow_changes();
        loop {
            changes.borrow_and_update();
            let addresses = proxies.borrow_and_update().clone();
            if !addresses.is_empty() && self.look(addresses.clone()) {
                let is_first = served.borrow().is_none();
                // An Envoy that was served before we started must not lose its
                // way to endpoints whose choice we have not heard yet.
                if is_first && self.greetings.are_over().await {
                    self.look(addresses);
                }
                served.send_replace(Some(self.served.clone()));
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = proxies.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Compiles what is other than before; says whether anything is.
    fn look(&mut self, proxies: Vec<SocketAddr>) -> bool {
        let table = self.proxy.routes();
        let moved = self.proxies != proxies;
        self.proxies = proxies;
        let mut rerouted = !Arc::ptr_eq(&table, &self.table) || moved;
        let stirred = self.look_at_targets(&table, moved);
        let mut changed = self.look_at_authorities();
        if !(rerouted || stirred) {
            return changed;
        }
        rerouted |= self.look_at_ways();
        changed |= self.look_at_obstacles();
        let snapshot = &mut self.served.snapshot;
        let assignments = self.known.values().map(|known| known.assignment.clone());
        let ours = self.proxies.iter().copied();
        let ours = endpoints::endpoints(names::PROXY, ours, false, &[]);
        changed |= snapshot.replace(Kind::Endpoints, assignments.chain([ours]));
        let config = self.proxy.config();
        let clusters = self.known.values().map(|known| known.cluster.clone());
        let ours = cluster::cluster(names::PROXY, None, config);
        changed |= snapshot.replace(Kind::Cluster, clusters.chain([ours]));
        if rerouted {
            let given = hosts::Given {
                request_timeout: config.request_timeout,
                keep_upgrades: &self.keep_upgrades,
            };
            let routes = hosts::routes(&table, given);
            changed |= snapshot.replace(Kind::Routes, [routes]);
            changed |= snapshot.replace(Kind::Listener, self.listener.clone());
            let named = |id: &TargetId| (names::cluster(id), id.clone());
            self.served.targets = Arc::new(self.known.keys().map(named).collect());
            self.table = table;
        }
        changed
    }

    /// Says whether any has other endpoints.
    fn look_at_targets(&mut self, table: &Arc<RouteTable>, moved: bool) -> bool {
        let mut stirred = false;
        let mut present = BTreeMap::new();
        for route in table.routes() {
            let target = &route.target;
            let now = target.endpoints();
            let known = self.known.remove(target.id());
            let same = known.as_ref().is_some_and(|known| {
                Arc::ptr_eq(&known.endpoints, &now) && known.chosen == direct::chosen(&now)
            });
            let fresh = match known {
                Some(known) if same && !moved => known,
                known => {
                    stirred = true;
                    self.greetings.begin(&now);
                    self.compile(target.id(), now, known.as_ref())
                }
            };
            present.insert(target.id().clone(), fresh);
        }
        stirred |= !self.known.is_empty();
        self.known = present;
        stirred
    }

    /// Says whether others are trusted now. Files are renewed while the
    /// endpoints stay.
    fn look_at_authorities(&mut self) -> bool {
        let mut all = BTreeMap::new();
        for known in self.known.values() {
            if let Some(Way::Tls(_, connector)) = &known.way
                && let Some(name) = names::authorities(&connector.terms().trust)
                && let Some(pem) = connector.anchors()
            {
                all.insert(name, pem);
            }
        }
        let secrets = all.iter().map(|(name, pem)| tls::authorities(name, pem));
        let secrets = secrets.chain(self.certificate.clone());
        self.served.snapshot.replace(Kind::Secret, secrets)
    }

    /// Says whether routes lead to targets in other ways.
    fn look_at_ways(&mut self) -> bool {
        let keep = self
            .known
            .iter()
            .filter(|(_, known)| known.way.as_ref().is_some_and(Way::keeps_upgrades));
        let keep = keep.map(|(id, _)| id.clone()).collect();
        let before = std::mem::replace(&mut self.keep_upgrades, keep);
        before != self.keep_upgrades
    }

    /// Says whether there are others.
    fn look_at_obstacles(&mut self) -> bool {
        let all = self.known.iter();
        let all: BTreeMap<_, _> = all
            .filter_map(|(id, known)| Some((id.clone(), known.obstacle?)))
            .collect();
        let changed = *self.served.obstacles != all;
        if changed {
            self.served.obstacles = Arc::new(all);
        }
        changed
    }

    fn compile(&self, id: &TargetId, now: Arc<EndpointSet>, before: Option<&Known>) -> Known {
        let name = names::cluster(id);
        let was = before.and_then(|known| known.way.clone());
        let way = Way::of(&now).or(was);
        let obstacle = if now.is_empty() {
            before.and_then(|known| known.obstacle)
        } else {
            let no_handshake = || way.is_none().then_some(Indirect::NoHandshake);
            Indirect::of_endpoints(&now).or_else(no_handshake)
        };
        let cluster = before.filter(|known| known.way == way).map_or_else(
            || cluster::cluster(&name, way.as_ref(), self.proxy.config()),
            |known| known.cluster.clone(),
        );
        // Of who is going away our proxy knows first that it is gone.
        let ready = now.iter().filter(|endpoint| {
            let leads_there = |way: &Way| way.leads_to(endpoint);
            !now.is_leaving() && way.as_ref().is_some_and(leads_there)
        });
        let ready = ready.map(|endpoint| endpoint.addr());
        let over_tls = way.as_ref().is_some_and(Way::is_tls);
        let called = names::endpoints(&name, over_tls);
        let assignment = endpoints::endpoints(&called, ready, over_tls, &self.proxies);
        Known {
            chosen: direct::chosen(&now),
            endpoints: now,
            way,
            obstacle,
            cluster,
            assignment,
        }
    }
}
