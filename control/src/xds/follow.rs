//! The one task that makes snapshots: after each change of the routes, of
//! endpoints, or of where our proxies are.
//!
//! Run by [`super::Xds::start`]. It looks at everything by identity first, so that a
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
use proxy::{EndpointSet, Proxy, Target, TargetId, route::RouteTable, tls::Spoken};
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
    /// The targets of the table, each once.
    followed: Vec<Followed>,
    /// Targets whose connections our proxy alone can switch.
    keep_upgrades: BTreeSet<TargetId>,
    /// Whom endpoints are trusted by, by the names of their secrets.
    authorities: BTreeMap<String, Arc<str>>,
    greetings: Greetings,
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
    /// What those of them chose that speak TLS.
    chosen: Vec<Option<Spoken>>,
    /// The last that was seen: what sleeps will be reached so again.
    way: Option<Way>,
    /// Likewise.
    obstacle: Option<Indirect>,
    cluster: Arc<Resource>,
    assignment: Arc<Resource>,
}

/// What is other than before.
#[derive(Default)]
struct News {
    resources: Vec<Arc<Resource>>,
    gone: Vec<(Kind, Arc<str>)>,
    targets: Option<Arc<HashMap<String, TargetId>>>,
    obstacles: Option<Arc<BTreeMap<TargetId, Indirect>>>,
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
        if let Some(obstacles) = self.obstacles {
            changed |= served.obstacles != obstacles;
            served.obstacles = obstacles;
        }
        changed
    }

    /// And what was other after that.
    fn extend(&mut self, later: Self) {
        self.resources.extend(later.resources);
        self.gone.extend(later.gone);
        self.targets = later.targets.or(self.targets.take());
        self.obstacles = later.obstacles.or(self.obstacles.take());
    }
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
            followed: Vec::new(),
            keep_upgrades: BTreeSet::new(),
            authorities: BTreeMap::new(),
            greetings: Greetings::new(connect_timeout),
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
                let mut news = self.look(addresses.clone());
                let is_first = served.borrow().is_none();
                // An Envoy that was served before we started must not lose its
                // way to endpoints whose choice we have not heard yet.
                if is_first && self.greetings.are_over().await {
                    news.extend(self.look(addresses));
                }
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
        let rerouted = !Arc::ptr_eq(&table, &self.table);
        if rerouted {
            self.look_at_routes(&table, &mut news);
            self.table = table;
        }
        let stirred = self.look_at_targets(moved, &mut news);
        self.look_at_authorities(&mut news);
        if rerouted || stirred {
            news.obstacles = Some(self.obstacles());
        }
        if self.look_at_ways() || rerouted {
            let given = hosts::Given {
                request_timeout: self.proxy.config().request_timeout,
                keep_upgrades: &self.keep_upgrades,
            };
            news.resources.push(hosts::routes(&self.table, given));
        }
        if moved {
            let ours = self.proxies.iter().copied();
            let config = self.proxy.config();
            news.resources.extend([
                endpoints::endpoints(names::PROXY, ours, false, &[]),
                cluster::cluster(names::PROXY, None, config),
            ]);
            let given = [&self.certificate, &self.listener];
            news.resources.extend(given.into_iter().flatten().cloned());
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
    }

    /// Those that have other endpoints, or are reached otherwise; if our proxies
    /// `moved`, all of them. Says whether there are any, or were.
    fn look_at_targets(&mut self, moved: bool, news: &mut News) -> bool {
        let mut stirred = !news.gone.is_empty();
        let mut all = std::mem::take(&mut self.followed);
        for Followed { target, known } in &mut all {
            let is_same =
                |known: &Known| target.has_endpoints(&known.endpoints) && known.is_as_chosen();
            if !moved && known.as_ref().is_some_and(is_same) {
                continue;
            }
            stirred = true;
            let now = target.endpoints();
            self.greetings.begin(&now);
            let fresh = self.compile(target.id(), now, known.as_ref());
            news.resources
                .extend([fresh.assignment.clone(), fresh.cluster.clone()]);
            if let Some(before) = known.replace(fresh)
                && let Some(now) = known
                && before.assignment.name() != now.assignment.name()
            {
                let name = before.assignment.name().clone();
                news.gone.push((Kind::Endpoints, name));
            }
        }
        self.followed = all;
        stirred
    }

    fn known(&self) -> impl Iterator<Item = (&TargetId, &Known)> {
        let all = self.followed.iter();
        all.filter_map(|one| Some((one.target.id(), one.known.as_ref()?)))
    }

    /// Those who are trusted now. Files are renewed while the endpoints stay.
    fn look_at_authorities(&mut self, news: &mut News) {
        let mut all = BTreeMap::new();
        for (_, known) in self.known() {
            if let Some(Way::Tls(_, connector)) = &known.way
                && let Some(name) = names::authorities(&connector.terms().trust)
                && let Some(pem) = connector.anchors()
            {
                all.insert(name, pem);
            }
        }
        for (name, pem) in &all {
            if self.authorities.get(name) != Some(pem) {
                news.resources.push(tls::authorities(name, pem));
            }
        }
        let gone = self
            .authorities
            .keys()
            .filter(|name| !all.contains_key(*name));
        news.gone
            .extend(gone.map(|name| (Kind::Secret, name.as_str().into())));
        self.authorities = all;
    }

    /// Says whether routes lead to targets in other ways.
    fn look_at_ways(&mut self) -> bool {
        let keep = self
            .known()
            .filter(|(_, known)| known.way.as_ref().is_some_and(Way::keeps_upgrades));
        let keep = keep.map(|(id, _)| id.clone()).collect();
        let before = std::mem::replace(&mut self.keep_upgrades, keep);
        before != self.keep_upgrades
    }

    fn obstacles(&self) -> Arc<BTreeMap<TargetId, Indirect>> {
        let all = self
            .known()
            .filter_map(|(id, known)| Some((id.clone(), known.obstacle?)));
        Arc::new(all.collect())
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

impl Known {
    /// Is what those chose that speak TLS what it was compiled of?
    fn is_as_chosen(&self) -> bool {
        self.chosen.is_empty() || self.chosen == direct::chosen(&self.endpoints)
    }
}
