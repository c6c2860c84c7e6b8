//! One client's stream: its subscriptions, and the order between them.
//!
//! A cluster and its endpoints go before the routes that lead to it, and stay
//! until no route does. Endpoints of a cluster that changed are sent once more:
//! Envoy warms it up as a new one.

use super::subscription::{Flavour, Refusal, Standing, Subscription, Update};
use crate::xds::{Kind, Resource, Snapshot};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// So long at most do listeners and routes wait for clusters: a client that
/// does not ask for the endpoints of one must not be without routes for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// A response, without its wire form.
#[derive(Debug)]
pub(in crate::xds) struct Message {
    pub(in crate::xds) kind: Kind,
    pub(in crate::xds) version: String,
    pub(in crate::xds) nonce: String,
    pub(in crate::xds) resources: Vec<Arc<Resource>>,
    pub(in crate::xds) removed: Vec<Arc<str>>,
}

/// The state of one stream.
#[derive(Debug)]
pub(in crate::xds) struct Session {
    subscriptions: [Subscription; 4],
    nonces: u64,
    /// Since when something waits for clusters.
    waits_since: Option<Instant>,
}

impl Session {
    pub(in crate::xds) fn new(flavour: Flavour) -> Self {
        Self {
            subscriptions: Kind::ALL.map(|kind| Subscription::new(kind, flavour)),
            nonces: 0,
            waits_since: None,
        }
    }

    /// What the client wants of one kind.
    pub(super) fn of(&mut self, kind: Kind) -> &mut Subscription {
        let [clusters, endpoints, listeners, routes] = &mut self.subscriptions;
        match kind {
            Kind::Cluster => clusters,
            Kind::Endpoints => endpoints,
            Kind::Listener => listeners,
            Kind::Routes => routes,
        }
    }

    /// Where it stands with each kind.
    pub(in crate::xds) fn standings(&self) -> [Standing; 4] {
        self.subscriptions.each_ref().map(Subscription::standing)
    }

    /// The client answered a response: with a reason, it refused it.
    pub(super) fn answered(&mut self, kind: Kind, nonce: &str, reason: Option<String>) -> Answered {
        let subscription = self.of(kind);
        match reason {
            Some(reason) => subscription
                .refused(nonce, reason)
                .map_or(Answered::Other, Answered::Refused),
            None if subscription.accepted(nonce) => Answered::Accepted,
            None => Answered::Other,
        }
    }

    /// The next response, if anything is to be said now.
    pub(in crate::xds) fn next(&mut self, snapshot: &Snapshot) -> Option<Message> {
        let routes = snapshot.of(Kind::Routes);
        let routed = self.of(Kind::Routes);
        let may_remove = !routed.is_asked() || routed.is_settled(routes);
        for kind in [Kind::Cluster, Kind::Endpoints] {
            if let Some(update) = self.of(kind).update(snapshot.of(kind), may_remove) {
                return Some(self.message(kind, update, snapshot));
            }
        }
        let [.., listeners, routed] = &self.subscriptions;
        let is_settled = listeners.is_settled(snapshot.of(Kind::Listener))
            && routed.is_settled(snapshot.of(Kind::Routes));
        // Looks at all clusters: not for each endpoint that changes.
        let matters = !is_settled || self.waits_since.is_some();
        if matters && self.is_warm(snapshot) {
            self.waits_since = None;
        } else if !is_settled && self.is_busy() {
            self.waits_since = None;
            return None;
        } else if !is_settled && !self.waited_for_long() {
            self.waits_since.get_or_insert_with(Instant::now);
            return None;
        }
        for kind in [Kind::Listener, Kind::Routes] {
            if let Some(update) = self.of(kind).update(snapshot.of(kind), true) {
                return Some(self.message(kind, update, snapshot));
            }
        }
        None
    }

    /// When to ask again though nothing happened.
    pub(in crate::xds) fn deadline(&self) -> Option<Instant> {
        let deadline = self.waits_since? + PATIENCE;
        (deadline > Instant::now()).then_some(deadline)
    }

    /// Does the client have clusters or endpoints to answer? Thousands take an
    /// Envoy longer than our patience, which is for who does not ask.
    fn is_busy(&self) -> bool {
        let [clusters, endpoints, ..] = &self.subscriptions;
        clusters.standing().is_waiting || endpoints.standing().is_waiting
    }

    fn waited_for_long(&self) -> bool {
        self.waits_since
            .is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Does the client have all clusters, and their endpoints?
    fn is_warm(&self, snapshot: &Snapshot) -> bool {
        let [clusters, endpoints, ..] = &self.subscriptions;
        if !clusters.is_asked() {
            return true;
        }
        let present = snapshot.of(Kind::Endpoints);
        let mut named = clusters.accepted_names().filter(|name| present.has(name));
        clusters.is_settled(snapshot.of(Kind::Cluster))
            && named.all(|name| endpoints.is_done_with(name))
    }

    fn message(&mut self, kind: Kind, update: Update, snapshot: &Snapshot) -> Message {
        self.nonces += 1;
        let message = Message {
            kind,
            version: snapshot.of(kind).version().to_string(),
            nonce: self.nonces.to_string(),
            resources: update.resources.clone(),
            removed: update.removed.clone(),
        };
        if kind == Kind::Cluster {
            let known = &self.subscriptions[0];
            let fresh = update.resources.iter().filter(|one| known.is_news(one));
            let fresh: Vec<Arc<str>> = fresh.map(|one| one.name().clone()).collect();
            for name in &fresh {
                self.of(Kind::Endpoints).forget(name);
            }
        }
        self.of(kind).sent(message.nonce.clone(), update);
        message
    }
}

/// What a request was an answer to.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::xds) enum Answered {
    /// To none that is under way.
    Other,
    /// What was sent is used.
    Accepted,
    /// What was used before is still.
    Refused(Refusal),
}
