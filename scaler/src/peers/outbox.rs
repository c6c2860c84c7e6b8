//! What a ledger has to tell other replicas, and who it is to them.
//!
//! One per ledger. The ledger puts edges in, without a lock; [`super::publish`]
//! takes them out, keeps the board, and wakes the followers' streams.

use super::{board::Board, identity::Identity, service::MAX_FOLLOWERS};
use crate::{ledger::Ledger, tracked::Tracked};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    watch,
};

/// What other replicas were told, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldToPeers {
    /// Who this replica is to them.
    pub identity: Identity,
    /// How many follow it now.
    pub followers: usize,
    /// Frames sent to them since the start.
    pub frames: u64,
}

/// The sending side.
pub(crate) struct Outbox {
    identity: Identity,
    name: OnceLock<String>,
    board: Mutex<Board>,
    /// The board's revision. Streams wait on it.
    revision: watch::Sender<u64>,
    /// Targets at which somebody started to wait, each at most once: it has a
    /// flag that says whether it is in here.
    edges: UnboundedSender<Arc<Tracked>>,
    edges_out: Mutex<Option<UnboundedReceiver<Arc<Tracked>>>>,
    followers: watch::Sender<usize>,
    /// For those who ask for points.
    sharing: Arc<Semaphore>,
    frames: AtomicU64,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let (edges, edges_out) = mpsc::unbounded_channel();
        Self {
            identity: Identity::draw(),
            name: OnceLock::new(),
            board: Mutex::default(),
            revision: watch::Sender::new(0),
            edges,
            edges_out: Mutex::new(Some(edges_out)),
            followers: watch::Sender::new(0),
            sharing: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            frames: AtomicU64::new(0),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// What operators call this replica.
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// Names this replica. The first name counts.
    pub(crate) fn set_name(&self, name: &str) {
        self.name.get_or_init(|| name.to_owned());
    }

    /// Somebody started to wait. From any thread; takes no lock.
    pub(crate) fn edge(&self, tracked: &Arc<Tracked>) {
        // A follower that joins after this looks at all targets.
        if *self.followers.borrow() > 0 && tracked.enter_edges() {
            // Err: the publisher has ended, and with it every follower.
            let _told = self.edges.send(Arc::clone(tracked));
        }
    }

    /// For the publisher, once.
    pub(crate) fn take_edges(&self) -> Option<UnboundedReceiver<Arc<Tracked>>> {
        self.edges_out.lock().take()
    }

    /// Reads with the board.
    pub(crate) fn board<R>(&self, read: impl FnOnce(&Board) -> R) -> R {
        read(&self.board.lock())
    }

    /// Changes the board; wakes the followers if there is news on it then.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Board) -> R) -> R {
        let (result, revision) = {
            let mut board = self.board.lock();
            let result = change(&mut board);
            (result, board.revision())
        };
        self.revision.send_if_modified(|told| {
            let news = *told < revision;
            *told = revision.max(*told);
            news
        });
        result
    }

    /// Looks at these targets now.
    pub(crate) fn look<'t>(
        &self,
        targets: impl Iterator<Item = &'t Arc<Tracked>>,
        untouched_us: u64,
    ) {
        // The targets' locks are not taken under the board's: an edge must
        // not wait for a thousand of them.
        let looks: Vec<_> = targets.map(|tracked| (tracked, tracked.own())).collect();
        self.change(|board| {
            for (tracked, own) in looks {
                board.note(tracked, own, untouched_us);
            }
        });
    }

    /// Looks at all targets now.
    pub(crate) fn look_at_all(&self, ledger: &Ledger) {
        let Some(table) = ledger.targets() else {
            return;
        };
        let before_us = self.change(|board| {
            board.keep_only(|id| table.contains_key(id));
            board.look_begins(ledger.now_us())
        });
        self.look(table.values(), before_us);
    }

    /// Follows the board's revision.
    pub(crate) fn follow_revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Follows how many follow.
    pub(crate) fn follow_followers(&self) -> watch::Receiver<usize> {
        self.followers.subscribe()
    }

    /// One more follows, if it is not one too many.
    pub(crate) fn join(&self, most: usize) -> bool {
        self.followers.send_if_modified(|followers| {
            let room = *followers < most;
            *followers += usize::from(room);
            room
        })
    }

    /// One follows no more.
    pub(crate) fn leave(&self) {
        self.followers
            .send_modify(|followers| *followers = followers.saturating_sub(1));
    }

    /// One more asks for points, if it is not one too many.
    pub(crate) fn place_to_share(&self) -> Option<OwnedSemaphorePermit> {
        self.sharing.clone().try_acquire_owned().ok()
    }

    pub(crate) fn count_frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn told(&self) -> ToldToPeers {
        ToldToPeers {
            identity: self.identity,
            followers: *self.followers.borrow(),
            frames: self.frames.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
