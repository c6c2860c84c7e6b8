//! All other replicas: who there is, and whether they were heard.
//!
//! Made and run by the composition root. Starts and stops one follower per
//! address as discovery says, and opens the ledger's eyes: until every known
//! peer told its whole state, or the timeout passed, no RPC of KEDA's is
//! answered. After that the eyes stay open whoever is lost: one dead replica
//! must not blind KEDA for ever, and what it last told counts for the grace.
//! But a replica that is still named and gives no sign at all is not known to
//! be dead: while there is one, nobody is told that a target is idle.

use super::{
    division::Division,
    follow::Follower,
    hear::Replicas,
    line::{Line, PeerState, PeerView},
};
use crate::{
    grpc::Connect,
    ledger::{Doubt, Ledger},
    metric_sources::MetricSources,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

/// Addresses that are followed at once.
pub(crate) const MAX_PEERS: usize = 256;

/// Addresses of replicas (`host:port`), this one possibly among them. `None`:
/// not known yet.
pub type Addresses = Option<BTreeSet<String>>;

/// How peers are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeersConfig {
    /// What this replica calls itself, for operators of the others.
    pub name: String,
    /// So long at most are RPCs refused because a peer was not heard yet.
    pub timeout: Duration,
    /// So long do the requests in flight at a lost peer count.
    pub grace: Duration,
}

/// The peers of a ledger.
#[derive(Debug)]
pub struct Peers {
    ledger: Arc<Ledger>,
    sources: MetricSources,
    config: PeersConfig,
    replicas: Arc<Replicas>,
    lines: Mutex<BTreeMap<String, Followed>>,
    stirred: Arc<watch::Sender<u64>>,
    division: watch::Sender<Division>,
}

#[derive(Debug)]
struct Followed {
    line: Arc<Line>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peers {
    /// Peers of `ledger`, which is blind from now on, until [`Peers::run`] heard
    /// them. Points that they have and that our queries need enter `sources`.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, sources: MetricSources, config: PeersConfig) -> Arc<Self> {
        ledger.outbox().set_name(&config.name);
        ledger.set_blind(true);
        let division = Division::alone(ledger.outbox().identity());
        Arc::new(Self {
            division: watch::Sender::new(division),
            ledger,
            sources,
            config,
            replicas: Arc::default(),
            lines: Mutex::default(),
            stirred: Arc::new(watch::Sender::new(0)),
        })
    }

    /// Follows whoever `addresses` names, connecting as `connect` does, until
    /// `shutdown` is ready.
    ///
    /// Cancellation safe: dropping it ends all connections.
    pub async fn run(
        self: Arc<Self>,
        mut addresses: watch::Receiver<Addresses>,
        connect: Connect,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let _ended = EndOnDrop(&self);
        let mut shutdown = pin!(shutdown);
        let mut stirred = self.stirred.subscribe();
        let deadline = Instant::now() + self.config.timeout;
        let mut discovering = true;
        loop {
            let known = addresses.borrow_and_update().clone();
            if let Some(known) = &known {
                self.follow_these(known, &connect);
            }
            self.look(known.is_some(), Instant::now() >= deadline);
            let divided_until = self.divide();
            self.listen_for_silence();
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                changed = addresses.changed(), if discovering => discovering = changed.is_ok(),
                // The sender lives in this.
                _ = stirred.changed() => {}
                () = sleep_until(deadline), if self.ledger.is_blind() => {}
                () = sleep_until(divided_until.unwrap_or(deadline)), if divided_until.is_some() => {}
            }
        }
    }

    /// Follows how work is divided over this replica and those that are
    /// connected.
    #[must_use]
    pub fn follow_division(&self) -> watch::Receiver<Division> {
        self.division.subscribe()
    }

    /// Divides work among those that are connected now. Until when that holds
    /// if nothing else happens.
    fn divide(&self) -> Option<Instant> {
        let connected = {
            let lines = self.lines.lock();
            lines
                .values()
                .filter_map(|one| one.line.connected())
                .collect()
        };
        let mut next = None;
        self.division.send_if_modified(|division| {
            let changed = division.becomes(connected, Instant::now());
            next = division.next_change();
            changed
        });
        next
    }

    /// Every address that is followed, in order.
    #[must_use]
    pub fn view(&self) -> Vec<PeerView> {
        let lines = self.lines.lock();
        lines.values().map(|one| one.line.view()).collect()
    }

    fn follow_these(&self, known: &BTreeSet<String>, connect: &Connect) {
        if known.len() > MAX_PEERS {
            tracing::warn!(
                "{} peers are named: the first {MAX_PEERS} are followed",
                known.len()
            );
        }
        let known: BTreeSet<&String> = known.iter().take(MAX_PEERS).collect();
        let mut lines = self.lines.lock();
        lines.retain(|address, _| {
            let stays = known.contains(address);
            if !stays {
                tracing::info!(peer = %address, "a peer is not named any more");
            }
            stays
        });
        for address in known {
            if lines.contains_key(address) {
                continue;
            }
            let line = Arc::new(Line::new(address, Arc::clone(&self.stirred)));
            let follower = Follower {
                ledger: Arc::clone(&self.ledger),
                sources: self.sources.clone(),
                replicas: Arc::clone(&self.replicas),
                connect: connect.clone(),
                grace: self.config.grace,
                line: Arc::clone(&line),
            };
            let task = tokio::spawn(follower.run()).abort_handle();
            lines.insert(address.clone(), Followed { line, task });
        }
    }

    /// Makes the ledger unsure while somebody is silent.
    fn listen_for_silence(&self) {
        let lines = self.lines.lock();
        let silent = lines.values().filter(|one| one.line.is_silent());
        let silent: Vec<&str> = silent.map(|one| one.line.address()).collect();
        if !self.ledger.set_unsure(Doubt::Peers, !silent.is_empty()) {
            return;
        }
        if silent.is_empty() {
            tracing::info!("no peer is silent any more: idle targets are called idle again");
        } else {
            tracing::warn!(
                "peers are silent that may have requests: {}. Until they answer, or are not named \
                 any more, KEDA is told of no target that it is idle",
                silent.join(", ")
            );
        }
    }

    /// Opens the eyes if it is time.
    fn look(&self, known: bool, overdue: bool) {
        if !self.ledger.is_blind() {
            return;
        }
        let lines = self.lines.lock();
        let unheard: Vec<&str> = lines
            .values()
            .filter(|one| !one.line.was_heard())
            .map(|one| one.line.address())
            .collect();
        if known && unheard.is_empty() {
            let peers = lines
                .values()
                .filter(|one| one.line.view().state != PeerState::Myself)
                .count();
            tracing::info!(peers, "all peers were heard: KEDA is answered from now on");
        } else if overdue {
            let missing = if known {
                unheard.join(", ")
            } else {
                "their addresses are not known".to_owned()
            };
            tracing::warn!(
                timeout = ?self.config.timeout,
                "not all peers were heard in time: KEDA is answered without them. Missing: {missing}"
            );
        } else {
            return;
        }
        self.ledger.set_blind(false);
    }
}

/// Ends all followers: their replicas are lost.
struct EndOnDrop<'p>(&'p Peers);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lines.lock().clear();
    }
}
