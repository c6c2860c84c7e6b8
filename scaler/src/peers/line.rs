//! The state of one address: what operators see of it, and what blindness
//! depends on.
//!
//! Written by [`super::follow`], read by the roster and by the admin API.

use super::identity::Identity;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::{sync::watch, time::Instant};

/// What is known of the replica at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It was never reached.
    Unreached,
    /// It is connected, its whole state is on its way.
    Joining,
    /// It is connected, and what it tells counts.
    Connected,
    /// Its connection broke.
    Lost,
    /// It said goodbye.
    Left,
    /// It is this replica itself.
    Myself,
}

impl PeerState {
    /// In one word, for metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreached => "unreached",
            Self::Joining => "joining",
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::Left => "left",
            Self::Myself => "myself",
        }
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unreached,
        Self::Joining,
        Self::Connected,
        Self::Lost,
        Self::Left,
        Self::Myself,
    ];
}

/// One address, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Where it is.
    pub address: String,
    /// What is known of it.
    pub state: PeerState,
    /// Its identity, in hexadecimal, once it said hello.
    pub identity: Option<String>,
    /// What it calls itself.
    pub name: Option<String>,
    /// Since the last frame from it; `None` before the first.
    pub silent: Option<std::time::Duration>,
    /// Frames that came from it.
    pub frames: u64,
    /// How often it was connected to.
    pub connects: u64,
    /// How often it was lost.
    pub losses: u64,
    /// Reports of targets that were refused.
    pub refused: u64,
    /// Why it is not connected.
    pub problem: Option<String>,
}

/// One address.
#[derive(Debug)]
pub(crate) struct Line {
    address: String,
    inner: Mutex<Inner>,
    /// Goes up when the state of any line changes.
    stirred: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Inner {
    state: PeerState,
    /// Its whole state was known once.
    heard: bool,
    /// It broke off, or does not answer at all: it may be there, and be asked.
    silent: bool,
    identity: Option<Identity>,
    name: String,
    last_frame: Option<Instant>,
    frames: u64,
    connects: u64,
    losses: u64,
    refused: u64,
    problem: Option<String>,
}

impl Line {
    pub(crate) fn new(address: &str, stirred: Arc<watch::Sender<u64>>) -> Self {
        Self {
            address: address.to_owned(),
            inner: Mutex::new(Inner {
                state: PeerState::Unreached,
                heard: false,
                silent: false,
                identity: None,
                name: String::new(),
                last_frame: None,
                frames: 0,
                connects: 0,
                losses: 0,
                refused: 0,
                problem: None,
            }),
            stirred,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its whole state was known once, or it is ourselves.
    pub(crate) fn was_heard(&self) -> bool {
        let inner = self.inner.lock();
        inner.heard || inner.state == PeerState::Myself
    }

    /// Who it is, while it is connected and its whole state is known.
    pub(crate) fn connected(&self) -> Option<Identity> {
        let inner = self.inner.lock();
        let is_connected = inner.state == PeerState::Connected;
        inner.identity.filter(|_| is_connected)
    }

    /// It broke off, or does not answer at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.inner.lock().silent
    }

    pub(crate) fn joining(&self, identity: Identity, name: &str) {
        let mut inner = self.inner.lock();
        inner.identity = Some(identity);
        name.clone_into(&mut inner.name);
        inner.connects += 1;
        inner.problem = None;
        drop(inner);
        self.set(PeerState::Joining);
    }

    pub(crate) fn complete(&self) {
        {
            let mut inner = self.inner.lock();
            (inner.heard, inner.silent) = (true, false);
        }
        self.set(PeerState::Connected);
    }

    pub(crate) fn frame(&self, refused: u64) {
        let mut inner = self.inner.lock();
        inner.frames += 1;
        inner.refused += refused;
        inner.last_frame = Some(Instant::now());
    }

    pub(crate) fn myself(&self) {
        self.inner.lock().silent = false;
        self.set(PeerState::Myself);
    }

    pub(crate) fn left(&self) {
        self.inner.lock().silent = false;
        self.set(PeerState::Left);
    }

    /// The connection could not be made, or broke; `silent`: nobody said that
    /// there is no such replica. True if it is news: it was connected, or
    /// something else was wrong before.
    pub(crate) fn failed(&self, problem: &str, silent: bool) -> bool {
        let mut inner = self.inner.lock();
        // Who said goodbye is gone, however silent its address is.
        inner.silent = silent && inner.state != PeerState::Left;
        let was_connected = matches!(inner.state, PeerState::Joining | PeerState::Connected);
        let news = was_connected || inner.problem.as_deref() != Some(problem);
        inner.problem = Some(problem.to_owned());
        inner.losses += u64::from(was_connected);
        let state = match inner.state {
            PeerState::Unreached => PeerState::Unreached,
            _ if was_connected => PeerState::Lost,
            before => before,
        };
        drop(inner);
        self.set(state);
        news
    }

    fn set(&self, state: PeerState) {
        self.inner.lock().state = state;
        self.stirred
            .send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(crate) fn view(&self) -> PeerView {
        let inner = self.inner.lock();
        PeerView {
            address: self.address.clone(),
            state: inner.state,
            identity: inner.identity.map(|identity| identity.to_string()),
            name: Some(inner.name.clone()).filter(|name| !name.is_empty()),
            silent: inner.last_frame.map(|at| at.elapsed()),
            frames: inner.frames,
            connects: inner.connects,
            losses: inner.losses,
            refused: inner.refused,
            problem: inner.problem.clone(),
        }
    }
}
