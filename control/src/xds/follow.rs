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
use proxy::{EndpointSet, Protocol, Proxy, Target, TargetId, route::RouteTable};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
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
    /// The targets of the table, each once.
    followed: Vec<Followed>,
}

/// A target of the table.
struct Followed {
    target: Arc<Target>,
    /// `None`: it has just come.
    known: Option<Known>,
}

/// A target as it was compiled.
struct Known {
    endpoints: Arc<EndpointSet>,
    /// The last that was seen: what sleeps will speak it again.
    protocol: Option<Protocol>,
    cluster: Arc<Resource>,
    assignment: Arc<Resource>,
}

/// What is other than before.
#[derive(Default)]
struct News {
    resources: Vec<Arc<Resource>>,
    gone: Vec<(Kind, Arc<str>)>,
    targets: Option<Arc<HashMap<String, TargetId>>>,
}

impl News {
    /// Says whether anything became other than it was.
    fn become_of(self, served: &mut Served) -> bool {
        let mut changed = false;
        for resource in self.resources {
            changed |= served.snapshot.put(resource);
        }
        for (kind, name) in self.gone {
            changed |= served.snapshot.remove(kind, &name);
        }
        if let Some(targets) = self.targets {
            served.targets = targets;
        }
        changed
    }
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
            followed: Vec::new(),
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
            if !addresses.is_empty() {
                let news = self.look(addresses);
                // In place: a copy of ten thousand for one would cost more than
                // all else.
                served.send_if_modified(|served| news.become_of(served.get_or_insert_default()));
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = proxies.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Compiles what is other than before.
    fn look(&mut self, proxies: Vec<SocketAddr>) -> News {
        let table = self.proxy.routes();
        let moved = self.proxies != proxies;
        self.proxies = proxies;
        let mut news = News::default();
        if !Arc::ptr_eq(&table, &self.table) {
            self.look_at_routes(&table, &mut news);
            self.table = table;
        }
        self.look_at_targets(moved, &mut news);
        if moved {
            let ours = self.proxies.iter().copied();
            let config = self.proxy.config();
            news.resources.extend([
                endpoints::endpoints(names::PROXY, ours, &[]),
                cluster::cluster(names::PROXY, None, config),
            ]);
            news.resources.extend(self.listener.clone());
        }
        news
    }

    /// Targets that came are followed, and those that went are gone.
    fn look_at_routes(&mut self, table: &RouteTable, news: &mut News) {
        let before = std::mem::take(&mut self.followed).into_iter();
        let mut before: HashMap<TargetId, Option<Known>> = before
            .map(|followed| (followed.target.id().clone(), followed.known))
            .collect();
        let mut named = HashMap::new();
        for route in table.routes() {
            let target = &route.target;
            let id = target.id();
            if named.insert(names::cluster(id), id.clone()).is_none() {
                self.followed.push(Followed {
                    target: target.clone(),
                    known: before.remove(id).flatten(),
                });
            }
        }
        for gone in before.into_values().flatten() {
            for resource in [gone.cluster, gone.assignment] {
                news.gone.push((resource.kind(), resource.name().clone()));
            }
        }
        news.targets = Some(Arc::new(named));
        let request_timeout = self.proxy.config().request_timeout;
        news.resources.push(hosts::routes(table, request_timeout));
    }

    /// Those that have other endpoints; if our proxies `moved`, all of them.
    fn look_at_targets(&mut self, moved: bool, news: &mut News) {
        let mut all = std::mem::take(&mut self.followed);
        for Followed { target, known } in &mut all {
            let is_same = |known: &Known| target.has_endpoints(&known.endpoints);
            if moved || !known.as_ref().is_some_and(is_same) {
                let fresh = self.compile(target.id(), target.endpoints(), known.as_ref());
                news.resources
                    .extend([fresh.assignment.clone(), fresh.cluster.clone()]);
                *known = Some(fresh);
            }
        }
        self.followed = all;
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
        let ready = now
            .iter()
            .filter(|endpoint| protocol.is_some() && endpoint.clear_protocol() == protocol);
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
