//! Who is connected, and what became of what they were sent.
//!
//! Written by the streams, read by the admin server and `/metrics`. Never on
//! anybody's way: a client's state is copied here after each step.

mod view;

use super::{
    Kind,
    stream::{Flavour, Instead, Message, Refusal, Session, Standing, Verdicts},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::time::Instant;
pub use view::{ClientView, KindView, QuarantinedView, RefusalView};

/// So many names are written in a log line at most.
const MOST_LOGGED: usize = 8;

/// What was counted for one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    /// Responses sent.
    pub responses: u64,
    /// Resources in them.
    pub resources: u64,
    /// Responses that clients refused.
    pub refused: u64,
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    next: AtomicU64,
    counts: [Counts; Kind::COUNT],
}

#[derive(Debug, Default)]
struct Counts {
    responses: AtomicU64,
    resources: AtomicU64,
    refused: AtomicU64,
}

/// One stream of a client.
#[derive(Debug)]
pub(super) struct Client {
    node: String,
    address: Option<SocketAddr>,
    flavour: Flavour,
    since: Instant,
    state: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    standings: [Standing; Kind::COUNT],
    versions: [String; Kind::COUNT],
    refusals: [Option<Refusal>; Kind::COUNT],
    quarantined: Arc<Verdicts>,
}

/// A client while it is connected.
#[derive(Debug)]
pub(super) struct Connected {
    id: u64,
    client: Arc<Client>,
    clients: Arc<Clients>,
}

impl Clients {
    /// A client that was let in.
    pub(super) fn join(
        self: &Arc<Self>,
        node: String,
        address: Option<SocketAddr>,
        flavour: Flavour,
    ) -> Connected {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            node,
            ?address,
            protocol = name(flavour),
            "an Envoy connected"
        );
        let client = Arc::new(Client {
            node,
            address,
            flavour,
            since: Instant::now(),
            state: Mutex::default(),
        });
        self.connected.lock().insert(id, client.clone());
        Connected {
            id,
            client,
            clients: self.clone(),
        }
    }

    /// Those that are connected, the longest first.
    #[must_use]
    pub fn view(&self) -> Vec<ClientView> {
        let connected: Vec<_> = self.connected.lock().values().cloned().collect();
        connected.iter().map(|client| client.view()).collect()
    }

    /// How many virtual hosts are refused, at each client that does.
    #[must_use]
    pub fn quarantined(&self) -> usize {
        let connected = self.connected.lock();
        let counts = connected
            .values()
            .map(|client| client.state.lock().quarantined.len());
        counts.sum()
    }

    /// How many streams there are.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.connected.lock().len()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> [(Kind, KindCounts); Kind::COUNT] {
        Kind::ALL.map(|kind| {
            let counts = self.of(kind);
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let counts = KindCounts {
                responses: read(&counts.responses),
                resources: read(&counts.resources),
                refused: read(&counts.refused),
            };
            (kind, counts)
        })
    }

    fn of(&self, kind: Kind) -> &Counts {
        &self.counts[kind as usize]
    }
}

impl Connected {
    /// A response is on its way.
    pub(super) fn sent(&self, message: &Message, session: &Session) {
        let counts = self.clients.of(message.kind);
        counts.responses.fetch_add(1, Ordering::Relaxed);
        let resources = message.resources.len() as u64;
        counts.resources.fetch_add(resources, Ordering::Relaxed);
        self.heard(session);
        let mut state = self.client.state.lock();
        state.versions[message.kind as usize].clone_from(&message.version);
    }

    /// The client said something.
    pub(super) fn heard(&self, session: &Session) {
        let mut state = self.client.state.lock();
        state.standings = session.standings();
        let now = session.quarantined();
        if !Arc::ptr_eq(&state.quarantined, now) {
            let before = std::mem::replace(&mut state.quarantined, now.clone());
            drop(state);
            self.log_quarantine(&before, now);
        }
    }

    fn log_quarantine(&self, before: &Verdicts, now: &Verdicts) {
        for instead in [Instead::Proxy, Instead::Nothing, Instead::Former] {
            let fresh = now.iter().filter(|(host, verdict)| {
                verdict.instead == instead && before.get(*host) != Some(*verdict)
            });
            let fresh: Vec<_> = fresh.collect();
            let Some((_, first)) = fresh.first() else {
                continue;
            };
            let hosts = fresh.iter().take(MOST_LOGGED).map(|(host, _)| host);
            let becomes = match instead {
                Instead::Proxy => "their requests come to this proxy until their routes change",
                Instead::Nothing => "it does without them until their routes change",
                Instead::Former => "it keeps what it had of them until their routes change",
            };
            tracing::warn!(
                node = self.client.node,
                hosts = ?hosts.collect::<Vec<_>>(),
                count = fresh.len(),
                reason = &*first.reason,
                "an Envoy refuses virtual hosts: {becomes}"
            );
        }
    }

    /// It refused a response.
    pub(super) fn refused(&self, kind: Kind, refusal: Refusal) {
        if refusal.is_expected {
            tracing::debug!(
                node = self.client.node,
                reason = refusal.reason,
                "an Envoy refused routes that it was sent to find the bad ones"
            );
        } else {
            tracing::warn!(
                node = self.client.node,
                kind = kind.as_str(),
                resources = ?refusal.resources,
                reason = refusal.reason,
                "an Envoy refused what it was sent; it goes on with what it had"
            );
        }
        self.clients
            .of(kind)
            .refused
            .fetch_add(1, Ordering::Relaxed);
        self.client.state.lock().refusals[kind as usize] = Some(refusal);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.clients.connected.lock().remove(&self.id);
        let client = &self.client;
        tracing::info!(node = client.node, address = ?client.address, "an Envoy is gone");
    }
}

fn name(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::StateOfTheWorld => "stateOfTheWorld",
        Flavour::Delta => "delta",
    }
}
