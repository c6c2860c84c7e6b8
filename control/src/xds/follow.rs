//! The one task that makes snapshots: after each change of the routes, of
//! endpoints, or of where our proxies are.
//!
//! Run by [`super::serve`]. It looks at everything by identity first, so that a
//! changed endpoint among ten thousand targets compiles one resource.

use super::{
    Kind, Resource, Snapshot,
    compile::{cluster, direct, endpoints, hosts, listener},
    names,
};
use proxy::{EndpointSet, Protocol, Proxy, TargetId, route::RouteTable};
use std::{
    collections::{BTreeMap, HashMap},
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
}

/// Makes snapshots of a proxy.
pub(super) struct Follower {
    proxy: Arc<Proxy>,
    listener: Option<Arc<Resource>>,
    /// Where our proxies are.
    proxies: Vec<SocketAddr>,
    table: Arc<RouteTable>,
    known: BTreeMap<TargetId, Known>,
    served: Served,
}

/// A target as it was compiled.
struct Known {
    endpoints: Arc<EndpointSet>,
    /// The last that was seen: what sleeps will speak it again.
    protocol: Option<Protocol>,
    cluster: Arc<Resource>,
    assignment: Arc<Resource>,
}

impl Follower {
    /// Of a proxy whose routes are known. With `listener`, Envoys are given one
    /// there.
    pub(super) fn new(proxy: Arc<Proxy>, listener: Option<SocketAddr>) -> Self {
        let limits = &proxy.config().connections;
        Self {
            listener: listener.map(|addr| listener::listener(addr, limits)),
            proxy,
            proxies: Vec::new(),
            table: Arc::default(),
            known: BTreeMap::new(),
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
            if !addresses.is_empty() && self.look(addresses) {
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
        let rerouted = !Arc::ptr_eq(&table, &self.table) || moved;
        let stirred = self.look_at_targets(&table, moved);
        if !(rerouted || stirred) {
            return false;
        }
        let snapshot = &mut self.served.snapshot;
        let assignments = self.known.values().map(|known| known.assignment.clone());
        let ours = endpoints::endpoints(names::PROXY, self.proxies.iter().copied(), &[]);
        let mut changed = snapshot.replace(Kind::Endpoints, assignments.chain([ours]));
        let config = self.proxy.config();
        let clusters = self.known.values().map(|known| known.cluster.clone());
        let ours = cluster::cluster(names::PROXY, None, config);
        changed |= snapshot.replace(Kind::Cluster, clusters.chain([ours]));
        if rerouted {
            let routes = hosts::routes(&table, config.request_timeout);
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
            let same = known
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(&known.endpoints, &now));
            let fresh = match known {
                Some(known) if same && !moved => known,
                known => {
                    stirred = true;
                    self.compile(target.id(), now, known.as_ref())
                }
            };
            present.insert(target.id().clone(), fresh);
        }
        stirred |= !self.known.is_empty();
        self.known = present;
        stirred
    }

    fn compile(&self, id: &TargetId, now: Arc<EndpointSet>, before: Option<&Known>) -> Known {
        let name = names::cluster(id);
        let speaks = direct::protocol(&now);
        let was = before.and_then(|known| known.protocol);
        let protocol = speaks.or(was);
        let cluster = before
            .filter(|known| known.protocol == protocol)
            .map_or_else(
                || cluster::cluster(&name, protocol, self.proxy.config()),
                |known| known.cluster.clone(),
            );
        // Of who is going away our proxy knows first that it is gone.
        let is_direct = protocol.is_some() && !now.is_leaving();
        let ready = now
            .iter()
            .filter(|endpoint| is_direct && endpoint.clear_protocol() == protocol);
        let ready = ready.map(|endpoint| endpoint.addr());
        let assignment = endpoints::endpoints(&name, ready, &self.proxies);
        Known {
            endpoints: now,
            protocol,
            cluster,
            assignment,
        }
    }
}
