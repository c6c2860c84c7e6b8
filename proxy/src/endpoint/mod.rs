//! Endpoint: one address that serves a target, and the set of them.
//!
//! Control makes endpoints and publishes sets of them to targets; the hot
//! path reads the present set from a snapshot. An endpoint that stays in the
//! set over a publication is the same object, so its connections, its load
//! and its ejection survive.

mod eject;
mod outlier;
mod pick;
mod probe;
mod protocol;
mod slow_start;

pub(crate) use outlier::Strike;
pub use outlier::{EjectReason, OutlierConfig};
pub(crate) use pick::PlaceLimit;
pub use probe::ProbePace;
pub(crate) use probe::probe_once;
pub use protocol::Protocol;

use crate::{
    tls::Connector,
    upstream::{Connection, Connections},
};
use arc_swap::ArcSwapOption;
use crossbeam_utils::CachePadded;
use eject::Ejection;
use outlier::Strikes;
use slow_start::Youth;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// One address that serves a target.
#[derive(Debug)]
pub struct Endpoint {
    addr: SocketAddr,
    name: Arc<str>,
    in_flight: CachePadded<AtomicUsize>,
    ejection: Ejection,
    strikes: Strikes,
    youth: Youth,
    /// Whether anybody is in `watchers`.
    is_watched: AtomicBool,
    /// Who is told when a request on it has ended: gates whose target has a
    /// limit for each endpoint.
    watchers: ArcSwapOption<Vec<Arc<Notify>>>,
    connections: Connections,
}

impl Endpoint {
    /// An endpoint at `addr`; `name` is what logs call it (a replica, a pod).
    /// `workers` is the number of workers that keep connections to it.
    #[must_use]
    pub fn new(addr: SocketAddr, name: &str, protocol: Protocol, workers: usize) -> Self {
        Self::with(addr, name, Connections::new(protocol, workers))
    }

    /// Likewise, one that speaks TLS, and in it what `connector` agrees on.
    #[must_use]
    pub fn over_tls(
        addr: SocketAddr,
        name: &str,
        connector: Arc<Connector>,
        workers: usize,
    ) -> Self {
        Self::with(addr, name, Connections::over_tls(connector, workers))
    }

    fn with(addr: SocketAddr, name: &str, connections: Connections) -> Self {
        Self {
            addr,
            name: name.into(),
            in_flight: CachePadded::new(AtomicUsize::new(0)),
            ejection: Ejection::default(),
            strikes: Strikes::default(),
            youth: Youth::default(),
            is_watched: AtomicBool::new(false),
            watchers: ArcSwapOption::empty(),
            connections,
        }
    }

    /// It came at `now_us`, and beside older ones gets a growing share until
    /// `window` has passed.
    #[must_use]
    pub(crate) fn born(mut self, now_us: u64, window: Duration) -> Self {
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        self.youth = Youth {
            born_us: now_us,
            ends_us: now_us.saturating_add(window_us),
        };
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// May it speak HTTP/2? Then it can say of a request that it did nothing.
    pub(crate) fn may_speak_h2(&self) -> bool {
        self.connections.may_speak_h2()
    }

    /// Does it speak nothing but HTTP/2?
    pub(crate) fn speaks_h2_only(&self) -> bool {
        self.connections.speaks_h2_only()
    }

    /// What logs call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Requests that it is serving now, of all targets that share it.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Likewise, in one order with the ends of leases.
    fn claimed(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Idle connections to it, over all workers.
    #[must_use]
    pub fn idle_connections(&self) -> usize {
        self.connections.idle()
    }

    /// Closes idle connections that were not used for `age`, and those that
    /// the other side closed.
    pub fn close_idle(&self, age: std::time::Duration) {
        self.connections.close_older_than(age);
    }

    /// Is it out of the rotation at `now_us`?
    #[must_use]
    pub fn is_ejected(&self, now_us: u64) -> bool {
        self.ejection.is_active(now_us)
    }

    /// Is it out of the rotation at `now_us` for what it answered? It accepts
    /// connections, so it is used when there is no other.
    #[must_use]
    pub fn is_ejected_for_answers(&self, now_us: u64) -> bool {
        self.ejection.is_for_answers(now_us)
    }

    /// May it be picked, if `all_ejected` says whether all of its set are out?
    fn is_usable(&self, now_us: u64, all_ejected: bool) -> bool {
        !self.is_ejected(now_us) || (all_ejected && self.is_ejected_for_answers(now_us))
    }

    /// A connection to it failed: out of the rotation, each time for longer.
    /// Its other connections get no more requests: their peer is most likely
    /// gone too. True if it was in the rotation.
    pub(crate) fn eject(&self, now_us: u64) -> bool {
        let was_in = self.ejection.extend(now_us);
        self.connections.clear();
        was_in
    }

    /// Its answers are failures: out of the rotation, each time for longer.
    /// True if it was in.
    pub(crate) fn eject_for_answers(&self, now_us: u64) -> bool {
        self.strikes.clear();
        self.ejection.extend_for_answers(now_us)
    }

    /// It answered as it should.
    pub(crate) fn answered_well(&self) {
        self.strikes.clear();
    }

    /// It failed; says which limit it reached, if any. Forgets the failures
    /// when one is.
    pub(crate) fn struck(&self, strike: Strike, limits: &OutlierConfig) -> Option<EjectReason> {
        let reached = self.strikes.add(strike, limits);
        if reached.is_some() {
            self.strikes.clear();
        }
        reached
    }

    /// From now on `changed` is told of every request on it that ends.
    pub(crate) fn watch(&self, changed: &Arc<Notify>) {
        self.watchers.rcu(|known| {
            let mut all = known.as_deref().cloned().unwrap_or_default();
            if !all.iter().any(|other| Arc::ptr_eq(other, changed)) {
                all.push(changed.clone());
            }
            Some(Arc::new(all))
        });
        // Before anybody looks for places on it; see the end of a lease.
        self.is_watched.store(true, Ordering::SeqCst);
    }

    /// No longer.
    pub(crate) fn unwatch(&self, changed: &Arc<Notify>) {
        if !self.is_watched.load(Ordering::SeqCst) {
            return;
        }
        self.watchers.rcu(|known| {
            let mut all = known.as_deref().cloned().unwrap_or_default();
            all.retain(|other| !Arc::ptr_eq(other, changed));
            Some(Arc::new(all))
        });
    }

    #[cold]
    fn tell_watchers(&self) {
        if let Some(watchers) = &*self.watchers.load() {
            watchers.iter().for_each(|changed| changed.notify_one());
        }
    }

    /// Of its present streak of TLS handshakes that end in disagreement, is
    /// this the first?
    pub(crate) fn is_first_disagreement(&self) -> bool {
        self.connections.is_first_disagreement()
    }

    /// It accepts connections again.
    pub(crate) fn readmit(&self) {
        self.ejection.end();
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Keeps a connection of `worker`'s whose last exchange is complete.
    pub(crate) fn give_back(&self, worker: usize, connection: Connection) {
        self.connections.give_back(worker, connection);
    }
}

/// An immutable set of endpoints.
#[derive(Debug)]
pub struct EndpointSet {
    endpoints: Box<[Arc<Endpoint>]>,
    /// Until when their ages matter.
    slow_until_us: u64,
}

impl EndpointSet {
    /// Nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            endpoints: Box::new([]),
            slow_until_us: 0,
        }
    }

    /// These, in this order.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
            slow_until_us: slow_start::matters_until(&endpoints),
            endpoints: endpoints.into(),
        }
    }

    /// How many there are, ejected ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Is there none at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// Is this very one among them?
    pub(crate) fn contains(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints
            .iter()
            .any(|known| Arc::ptr_eq(known, endpoint))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// How many can be picked at `now_us`: those that are not ejected. If all
    /// are, those that are out for nothing but their answers.
    #[must_use]
    pub fn pickable(&self, now_us: u64) -> usize {
        let mut all = self.endpoints.iter();
        match all.clone().filter(|e| !e.is_ejected(now_us)).count() {
            0 => all
                .by_ref()
                .filter(|endpoint| endpoint.is_ejected_for_answers(now_us))
                .count(),
            count => count,
        }
    }

    fn is_all_ejected(&self, now_us: u64) -> bool {
        let mut all = self.endpoints.iter();
        all.all(|endpoint| endpoint.is_ejected(now_us))
    }

    /// How many more requests its endpoints may have at `now_us`.
    pub(crate) fn free_places(&self, now_us: u64, limit: usize) -> usize {
        let all_ejected = self.is_all_ejected(now_us);
        let mut usable = self.endpoints.iter();
        usable
            .by_ref()
            .filter(|endpoint| endpoint.is_usable(now_us, all_ejected))
            .map(|endpoint| limit.saturating_sub(endpoint.claimed()))
            .fold(0, usize::saturating_add)
    }

    /// When the first endpoint that is out at `now_us` comes back by itself.
    pub(crate) fn next_return_us(&self, now_us: u64) -> Option<u64> {
        let ends = self.endpoints.iter();
        ends.filter_map(|endpoint| endpoint.ejection.ends_us(now_us))
            .min()
    }

    /// May `endpoint` be ejected for its answers at `now_us`? Only while at
    /// most `max_percent` of the set are, and another one is left.
    pub(crate) fn may_spare(&self, endpoint: &Endpoint, now_us: u64, max_percent: u8) -> bool {
        let is_it = |other: &Arc<Endpoint>| std::ptr::eq(&raw const **other, endpoint);
        let mut all = self.endpoints.iter();
        let out = all
            .by_ref()
            .filter(|other| other.is_ejected_for_answers(now_us))
            .count();
        let mut others = self.endpoints.iter().filter(|other| !is_it(other));
        self.endpoints.iter().any(is_it)
            && (out + 1) * 100 <= self.len() * usize::from(max_percent)
            && others.any(|other| !other.is_ejected(now_us))
    }

    /// Could somebody else be picked at `now_us`?
    pub(crate) fn has_other_than(&self, endpoint: &Endpoint, now_us: u64) -> bool {
        let mut all = self.endpoints.iter();
        all.any(|other| !std::ptr::eq(&raw const **other, endpoint) && !other.is_ejected(now_us))
    }

    /// Picks the endpoint for one request, and counts it there.
    pub(crate) fn pick(&self, now_us: u64, limit: PlaceLimit) -> Option<Lease> {
        pick::pick(self, now_us, limit)
    }

    /// Likewise, another one than `avoid`.
    pub(crate) fn pick_other(
        &self,
        now_us: u64,
        limit: PlaceLimit,
        avoid: &Endpoint,
    ) -> Option<Lease> {
        pick::pick_other(self, now_us, limit, avoid)
    }

    /// The endpoint at `index`, if it is in the rotation and has a place.
    pub(crate) fn claim(&self, index: usize, now_us: u64, limit: PlaceLimit) -> Claimed {
        match self.endpoints.get(index) {
            Some(endpoint) if !endpoint.is_ejected(now_us) => match limit.get() {
                None => Claimed::Lease(Lease::new(endpoint)),
                Some(limit) => Lease::claim(endpoint, limit).map_or(Claimed::Full, Claimed::Lease),
            },
            _ => Claimed::Gone,
        }
    }
}

/// What became of the wish for one certain endpoint.
#[derive(Debug)]
pub(crate) enum Claimed {
    Lease(Lease),
    /// It has as many requests as it may.
    Full,
    /// It is out of the rotation.
    Gone,
}

/// One request's claim on an endpoint: counted from the pick until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
}

impl Lease {
    fn new(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            endpoint: endpoint.clone(),
        }
    }

    /// Only if fewer than `limit` are counted there: exact, whoever else
    /// claims at the same time.
    fn claim(endpoint: &Arc<Endpoint>, limit: usize) -> Option<Self> {
        let one_more = |count| (count < limit).then_some(count + 1);
        let claimed =
            endpoint
                .in_flight
                .fetch_update(Ordering::SeqCst, Ordering::Relaxed, one_more);
        claimed.ok().map(|_| Self {
            endpoint: endpoint.clone(),
        })
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // In one order with `watch` and `claimed`: either a watcher sees the
        // place free, or it is told.
        self.endpoint.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.endpoint.is_watched.load(Ordering::SeqCst) {
            self.endpoint.tell_watchers();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: PlaceLimit = PlaceLimit::NONE;

    fn set(count: u16) -> EndpointSet {
        let endpoint = |port| {
            let addr = ([127, 0, 0, 1], port).into();
            Arc::new(Endpoint::new(addr, "e", Protocol::Http1, 1))
        };
        EndpointSet::new((1..=count).map(endpoint).collect())
    }

    #[test]
    fn a_lease_counts_until_it_is_dropped() {
        let set = set(1);
        let lease = set.pick(0, NO_LIMIT).expect("one endpoint");
        assert_eq!(lease.endpoint().in_flight(), 1);
        drop(lease);
        assert_eq!(set.iter().next().expect("one endpoint").in_flight(), 0);
    }

    #[test]
    fn an_ejected_endpoint_is_not_picked_until_its_time_is_up_or_it_is_readmitted() {
        let set = set(2);
        let (first, second) = (&set.endpoints[0], &set.endpoints[1]);
        first.eject(0);
        for _ in 0..50 {
            assert_eq!(
                set.pick(1, NO_LIMIT)
                    .expect("one is left")
                    .endpoint()
                    .addr(),
                second.addr()
            );
        }
        second.eject(0);
        assert!(set.pick(1, NO_LIMIT).is_none());
        assert_eq!(set.pickable(1), 0);
        second.readmit();
        assert_eq!(
            set.pick(1, NO_LIMIT).expect("readmitted").endpoint().addr(),
            second.addr()
        );
        assert_eq!(set.pickable(60_000_000), 2);
    }

    #[test]
    fn who_stopped_watching_is_not_kept() {
        let set = set(1);
        let endpoint = &set.endpoints[0];
        let [first, second] = [Notify::new(), Notify::new()].map(Arc::new);
        endpoint.unwatch(&first);
        endpoint.watch(&first);
        endpoint.watch(&second);
        endpoint.unwatch(&first);
        assert_eq!(Arc::strong_count(&first), 1);
        assert_eq!(Arc::strong_count(&second), 2);
    }

    #[test]
    fn load_spreads_over_all_endpoints() {
        let set = set(4);
        let leases: Vec<Lease> = (0..400)
            .map(|_| set.pick(0, NO_LIMIT).expect("four endpoints"))
            .collect();
        for endpoint in set.iter() {
            assert!(
                (60..=140).contains(&endpoint.in_flight()),
                "{}",
                endpoint.in_flight()
            );
        }
        drop(leases);
    }

    #[test]
    fn nobody_claims_more_than_the_limit_from_several_threads() {
        let set = set(3);
        let limit = PlaceLimit::new(4);
        let claimed: usize = std::thread::scope(|scope| {
            let claim = || {
                (0..100)
                    .filter_map(|_| set.pick(0, limit))
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
            let leases = threads.into_iter().map(|t| t.join().expect("no panic"));
            leases.collect::<Vec<_>>().iter().map(Vec::len).sum()
        });
        assert_eq!(claimed, 12, "all places, and no more");
        assert_eq!(set.free_places(0, 4), 12);
    }

    #[test]
    fn who_is_out_for_answers_is_used_when_nobody_else_is_left() {
        let set = set(2);
        let (first, second) = (&set.endpoints[0], &set.endpoints[1]);
        first.eject_for_answers(0);
        assert_eq!(set.pickable(1), 1);
        second.eject(0);
        assert_eq!(set.pickable(1), 1);
        for limit in [NO_LIMIT, PlaceLimit::new(1)] {
            let lease = set.pick(1, limit).expect("better than nobody");
            assert_eq!(lease.endpoint().addr(), first.addr());
        }
    }

    #[test]
    fn at_most_a_share_is_spared_and_never_the_last() {
        let set = set(4);
        let all = &set.endpoints;
        assert!(set.may_spare(&all[0], 1, 50));
        all[0].eject_for_answers(0);
        assert!(set.may_spare(&all[1], 1, 50));
        all[1].eject_for_answers(0);
        assert!(!set.may_spare(&all[2], 1, 50));
        assert!(set.may_spare(&all[2], 1, 100));
        all[3].eject(0);
        assert!(!set.may_spare(&all[2], 1, 100), "it is the last one");
        assert!(!self::set(1).may_spare(&all[2], 1, 100), "of another set");
    }

    #[test]
    fn a_retry_goes_to_another_endpoint_where_there_is_one() {
        let set = set(3);
        let avoid = set.endpoints[1].clone();
        for _ in 0..50 {
            let lease = set.pick_other(0, NO_LIMIT, &avoid).expect("two others");
            assert_ne!(lease.endpoint().addr(), avoid.addr());
        }
        assert!(self::set(1).pick_other(0, NO_LIMIT, &avoid).is_some());
        set.endpoints[0].eject(0);
        set.endpoints[2].eject(0);
        assert!(set.pick_other(1, NO_LIMIT, &avoid).is_none());
    }

    /// The share of 10,000 picks that the last of `ages_s` gets.
    fn share_of_last(ages_s: &[u64]) -> f64 {
        let now_us = 1_000_000_000;
        let endpoint = |(port, age_s): (u16, &u64)| {
            let addr = ([127, 0, 0, 1], port).into();
            let born_us = now_us - age_s * 1_000_000;
            let made = Endpoint::new(addr, "e", Protocol::Http1, 1);
            Arc::new(made.born(born_us, Duration::from_secs(10)))
        };
        let set = EndpointSet::new((1..).zip(ages_s).map(endpoint).collect());
        let last = set.endpoints.last().expect("one").addr();
        let picks = (0..10_000).filter_map(|_| set.pick(now_us, NO_LIMIT));
        let hits = picks.filter(|lease| lease.endpoint().addr() == last);
        hits.count() as f64 / 10_000.0
    }

    #[test]
    fn the_share_of_a_fresh_endpoint_grows() {
        let near = |share: f64, wanted: f64| {
            assert!((share - wanted).abs() < 0.03, "{share}, not {wanted}");
        };
        near(share_of_last(&[100, 0]), 0.05);
        near(share_of_last(&[100, 5]), 0.25);
        near(share_of_last(&[100, 10]), 0.5);
        near(share_of_last(&[100, 100, 100, 0]), 0.025);
        // Nobody is older, or there is nobody else.
        near(share_of_last(&[0, 0]), 0.5);
        near(share_of_last(&[2, 2, 2, 2]), 0.25);
        near(share_of_last(&[0]), 1.0);
    }
}
