//! Endpoint: one address that serves a target, and the set of them.
//!
//! Control makes endpoints and publishes sets of them to targets; the hot
//! path reads the present set from a snapshot. An endpoint that stays in the
//! set over a publication is the same object, so its connections, its load
//! and its ejection survive.

mod eject;
mod pick;
mod probe;
mod protocol;

pub use probe::ProbePace;
pub(crate) use probe::probe_once;
pub use protocol::Protocol;

use crate::{
    tls::Connector,
    upstream::{Connections, Used},
};
use crossbeam_utils::CachePadded;
use eject::Ejection;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// One address that serves a target.
#[derive(Debug)]
pub struct Endpoint {
    addr: SocketAddr,
    name: Arc<str>,
    in_flight: CachePadded<AtomicUsize>,
    ejection: Ejection,
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
            connections,
        }
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

    /// What logs call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests that it is serving now, of all targets that share it.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
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

    /// A connection to it failed: out of the rotation, each time for longer.
    /// Its other connections get no more requests: their peer is most likely
    /// gone too.
    pub(crate) fn eject(&self, now_us: u64) {
        self.ejection.extend(now_us);
        self.connections.clear();
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
    pub(crate) fn give_back(&self, worker: usize, used: Used) {
        self.connections.give_back(worker, used);
    }
}

/// An immutable set of endpoints.
#[derive(Debug)]
pub struct EndpointSet {
    endpoints: Box<[Arc<Endpoint>]>,
}

impl EndpointSet {
    /// Nobody.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            endpoints: Box::new([]),
        }
    }

    /// These, in this order.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self {
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

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// How many are not ejected at `now_us`.
    #[must_use]
    pub fn pickable(&self, now_us: u64) -> usize {
        self.endpoints
            .iter()
            .filter(|endpoint| !endpoint.is_ejected(now_us))
            .count()
    }

    /// Could somebody else be picked at `now_us`?
    pub(crate) fn has_other_than(&self, endpoint: &Endpoint, now_us: u64) -> bool {
        let mut all = self.endpoints.iter();
        all.any(|other| !std::ptr::eq(&raw const **other, endpoint) && !other.is_ejected(now_us))
    }

    /// Picks the endpoint for one request, and counts it there.
    pub(crate) fn pick(&self, now_us: u64) -> Option<Lease> {
        pick::least_loaded_of_two(&self.endpoints, now_us).map(Lease::new)
    }
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

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let lease = set.pick(0).expect("one endpoint");
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
                set.pick(1).expect("one is left").endpoint().addr(),
                second.addr()
            );
        }
        second.eject(0);
        assert!(set.pick(1).is_none());
        assert_eq!(set.pickable(1), 0);
        second.readmit();
        assert_eq!(
            set.pick(1).expect("readmitted").endpoint().addr(),
            second.addr()
        );
        assert_eq!(set.pickable(60_000_000), 2);
    }

    #[test]
    fn load_spreads_over_all_endpoints() {
        let set = set(4);
        let leases: Vec<Lease> = (0..400)
            .map(|_| set.pick(0).expect("four endpoints"))
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
}
