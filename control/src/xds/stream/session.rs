//! One client's stream: its subscriptions, and the order between them.
//!
//! A cluster, its endpoints and whom it trusts go before the routes that lead to it, and stay
//! until no route does. Endpoints of a cluster that changed are sent once more:
//! Envoy warms it up as a new one.

use super::{
    quarantine::{Quarantine, Verdicts},
    subscription::{Flavour, Refusal, Standing, Subscription, Update},
};
use crate::xds::{Kind, Resource, Snapshot, names};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// So long at most do listeners and routes wait for clusters: a client that
/// does not ask for the endpoints of one must not be without routes for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer reasons of refusals are cut.
const LONGEST_REASON: usize = 4096;

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
    subscriptions: [Subscription; Kind::COUNT],
    quarantine: Quarantine,
    nonces: u64,
    /// Since when something waits for clusters.
    waits_since: Option<Instant>,
}

impl Session {
    pub(in crate::xds) fn new(flavour: Flavour) -> Self {
        Self {
            subscriptions: Kind::ALL.map(|kind| Subscription::new(kind, flavour)),
            quarantine: Quarantine::default(),
            nonces: 0,
            waits_since: None,
        }
    }

    /// What the client wants of one kind.
    pub(super) fn of(&mut self, kind: Kind) -> &mut Subscription {
        &mut self.subscriptions[kind as usize]
    }

    /// Where it stands with each kind.
    pub(in crate::xds) fn standings(&self) -> [Standing; Kind::COUNT] {
        self.subscriptions.each_ref().map(Subscription::standing)
    }

    /// The hosts that it refuses.
    pub(in crate::xds) fn quarantined(&self) -> &Arc<Verdicts> {
        self.quarantine.verdicts()
    }

    /// The client answered a response: with a reason, it refused it.
    pub(super) fn answered(&mut self, kind: Kind, nonce: &str, reason: Option<String>) -> Answered {
        let Some(reason) = reason else {
            if !self.of(kind).accepted(nonce) {
                return Answered::Other;
            }
            if kind == Kind::Routes {
                self.quarantine.accepted();
            }
            return Answered::Accepted;
        };
        let reason = reason.chars().take(LONGEST_REASON).collect();
        let Some(mut refusal) = self.of(kind).refused(nonce, reason) else {
            return Answered::Other;
        };
        if kind == Kind::Routes {
            refusal.is_expected = self.quarantine.is_searching();
            self.quarantine.refused(&refusal.reason);
        }
        Answered::Refused(refusal)
    }

    /// The next response, if anything is to be said now.
    pub(in crate::xds) fn next(&mut self, served: &Snapshot) -> Option<Message> {
        let had = self.of(Kind::Routes).had(names::ROUTES);
        let snapshot = &self.quarantine.apply(served, had);
        let routes = snapshot.of(Kind::Routes);
        let routed = self.of(Kind::Routes);
        let may_remove = !routed.is_asked() || routed.is_settled(routes);
        for kind in [Kind::Cluster, Kind::Secret, Kind::Endpoints] {
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
        let [clusters, secrets, endpoints, ..] = &self.subscriptions;
        if !clusters.is_asked() {
            return true;
        }
        let [present, assigned] = [Kind::Cluster, Kind::Endpoints].map(|kind| snapshot.of(kind));
        let known = clusters.accepted_names();
        let known = known.filter_map(|name| present.get(name));
        let mut named = known
            .map(|cluster| cluster.endpoints())
            .filter(|name| assigned.has(name));
        clusters.is_settled(present)
            && secrets.is_settled(snapshot.of(Kind::Secret))
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
            let fresh: Vec<Arc<str>> = fresh.map(|one| one.endpoints().clone()).collect();
            for name in &fresh {
                self.of(Kind::Endpoints).forget(name);
            }
        }
        if kind == Kind::Routes {
            self.quarantine.sent(&update.resources);
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
