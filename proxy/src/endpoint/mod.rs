//! Endpoint: one address that serves a target, and the set of them (`set.rs`).
//!
//! Control makes endpoints and publishes sets of them to targets; the hot
//! path reads the present set from a snapshot. An endpoint that stays in the
//! set over a publication is the same object, so its connections, its load
//! and its ejection survive.

mod eject;
mod lease;
mod outlier;
mod pick;
mod probe;
mod protocol;
mod set;
mod slow_start;

pub(crate) use lease::{Claimed, Lease};
pub(crate) use outlier::Strike;
pub use outlier::{EjectReason, OutlierConfig};
pub(crate) use pick::PlaceLimit;
pub use probe::ProbePace;
pub(crate) use probe::probe_once;
pub use protocol::Protocol;
pub use set::EndpointSet;

use crate::{
    changes::Changes,
    tls::{Connector, Spoken},
    upstream::{Connection, Connections},
};
use arc_swap::ArcSwapOption;
use crossbeam_utils::CachePadded;
use eject::Ejection;
use outlier::Strikes;
use slow_start::Youth;
use std::{
    io,
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

    /// Likewise, one that speaks TLS, and in it what `connector` agrees on;
    /// `changes` is told of that.
    #[must_use]
    pub fn over_tls(
        addr: SocketAddr,
        name: &str,
        connector: Arc<Connector>,
        workers: usize,
        changes: Arc<Changes>,
    ) -> Self {
        let connections = Connections::over_tls(connector, workers, changes);
        Self::with(addr, name, connections)
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

    #[cfg(test)]
    pub(crate) fn starts_slowly(&self) -> bool {
        self.youth.ends_us > self.youth.born_us
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

    /// What it speaks in clear text; `None`: it speaks TLS.
    #[must_use]
    pub fn clear_protocol(&self) -> Option<Protocol> {
        self.connections.clear_protocol()
    }

    /// With what connections to it are made, and what it chose last when it was
    /// connected to, if that is known; `None`: it speaks in clear text.
    #[must_use]
    pub fn tls(&self) -> Option<(&Arc<Connector>, Option<Spoken>)> {
        self.connections.tls()
    }

    /// Finds out by a connection without a request what it chooses
    /// ([`Endpoint::tls`]), if that is not known and was not tried before: for
    /// whoever has to know before a request does. `limit` is the connection's;
    /// the handshake has its own.
    ///
    /// # Errors
    /// As with any connection to it.
    ///
    /// Cancel safe: the connection is closed.
    pub async fn greet(&self, limit: Duration) -> io::Result<()> {
        self.connections.greet(self.addr, limit).await
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

#[cfg(test)]
mod tests;
