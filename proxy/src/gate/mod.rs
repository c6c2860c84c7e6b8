//! Gate: who waits for a target that nobody can serve yet.
//!
//! `forward.rs` calls [`Gate::hold`] when a request finds no endpoint. The
//! request waits in order of arrival until the pacer (`pacer.rs`) releases
//! it, its deadline passes, its client leaves (the future is dropped), or the
//! target is given up. The body of a held request is never read here: it
//! stays in the client's socket.

mod pacer;
mod queue;

pub(crate) use pacer::run as run_pacer;

use parking_lot::Mutex;
use queue::{Entered, Queue, Ticket};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::Notify;

/// The bound on held requests of all targets together.
#[derive(Debug)]
pub struct HeldLimit {
    held: AtomicUsize,
    limit: usize,
}

impl HeldLimit {
    /// At most `limit` requests are held at once over all targets.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            limit,
        }
    }

    fn take(self: &Arc<Self>) -> Option<HeldPlace> {
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < self.limit).then_some(held + 1)
            });
        taken.is_ok().then(|| HeldPlace {
            limit: self.clone(),
        })
    }

    /// A place for one who was admitted before, whatever the limit.
    fn take_again(self: &Arc<Self>) -> HeldPlace {
        self.held.fetch_add(1, Ordering::Relaxed);
        HeldPlace {
            limit: self.clone(),
        }
    }
}

/// One of the places of a [`HeldLimit`], given back on drop.
#[derive(Debug)]
struct HeldPlace {
    limit: Arc<HeldLimit>,
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.limit.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The queue of one target and what its pacer needs to know.
#[derive(Debug)]
pub(crate) struct Gate {
    queue: Queue,
    /// Most requests held for this target.
    limit: usize,
    total: Arc<HeldLimit>,
    /// Why held requests are refused at once, while that is so.
    refusing: Mutex<Option<Arc<str>>>,
    feedback: Feedback,
    /// Wakes the pacer: endpoints changed, or an answer came in.
    changed: Notify,
}

/// What became of the requests that were released.
#[derive(Debug, Default)]
struct Feedback {
    settled: AtomicUsize,
    failed: AtomicUsize,
}

/// What starts with a request that begins to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    /// Nobody waited before: the edge that wakes the target.
    pub(crate) first: bool,
    /// No pacer runs for this gate: start one.
    pub(crate) start_pacer: bool,
}

/// Why a request was not held.
#[derive(Debug)]
pub(crate) enum NotHeld {
    /// The target's limit, or the limit of all targets, is reached.
    Full,
    /// The target cannot be started, for this reason.
    Refusing(Arc<str>),
}

impl Gate {
    pub(crate) fn new(limit: usize, total: Arc<HeldLimit>) -> Self {
        Self {
            queue: Queue::new(),
            limit,
            total,
            refusing: Mutex::new(None),
            feedback: Feedback::default(),
            changed: Notify::new(),
        }
    }

    /// May a newcomer go straight through? Not while anybody waits: nobody is
    /// overtaken.
    pub(crate) fn is_clear(&self) -> bool {
        self.queue.is_empty()
    }

    /// Requests held now.
    pub(crate) fn held(&self) -> usize {
        self.queue.len()
    }

    /// Waits to be released. `again` is the pass of a request that was
    /// released before and met a dead endpoint: it gets its old place back.
    ///
    /// The caller must act on what [`Began`] says.
    ///
    /// Cancel safe: dropping the future gives the place up at once.
    pub(crate) fn hold<'a>(
        self: &'a Arc<Self>,
        again: Option<Pass>,
    ) -> Result<(Held<'a>, Began), NotHeld> {
        if let Some(reason) = self.refusing.lock().clone() {
            return Err(NotHeld::Refusing(reason));
        }
        let place = match &again {
            Some(_) => self.total.take_again(),
            None => self.total.take().ok_or(NotHeld::Full)?,
        };
        let entered = match again.map(|pass| pass.ticket) {
            Some(ticket) => self.queue.enter_again(ticket),
            None => self.queue.enter(self.limit),
        };
        match entered {
            Entered::Full => Err(NotHeld::Full),
            Entered::Queued {
                ticket,
                first,
                start_pacer,
            } => {
                // A pacer that waits for something else must see the newcomer.
                self.changed.notify_one();
                let held = Held {
                    gate: self,
                    ticket,
                    done: false,
                    _place: place,
                };
                Ok((held, Began { first, start_pacer }))
            }
        }
    }

    /// Refuses everybody who waits and everybody who comes, with `reason`,
    /// until called with `None`.
    pub(crate) fn refuse(&self, reason: Option<Arc<str>>) {
        let refused = reason.is_some();
        *self.refusing.lock() = reason;
        if refused {
            // They wake up, see the reason and answer. Who slips in between
            // is met by the pacer.
            self.queue.release(usize::MAX);
        }
    }

    fn is_refusing(&self) -> bool {
        self.refusing.lock().is_some()
    }

    /// Endpoints were added, removed, or are worth another look.
    pub(crate) fn endpoints_changed(&self) {
        self.changed.notify_one();
    }

    fn settle(&self, ok: bool) {
        if !ok {
            self.feedback.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.feedback.settled.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }
}

/// A place in the queue: resolves to a [`Pass`], or to the reason why the
/// target is given up.
#[derive(Debug)]
#[must_use = "a held request waits only while polled"]
pub(crate) struct Held<'a> {
    gate: &'a Arc<Gate>,
    ticket: Ticket,
    done: bool,
    _place: HeldPlace,
}

impl Future for Held<'_> {
    type Output = Result<Pass, Arc<str>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        std::task::ready!(self.gate.queue.poll_released(self.ticket, cx));
        self.done = true;
        self.gate.changed.notify_one();
        let refusing = self.gate.refusing.lock().clone();
        Poll::Ready(match refusing {
            Some(reason) => Err(reason),
            None => Ok(Pass {
                gate: self.gate.clone(),
                ticket: self.ticket,
                settled: false,
            }),
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.gate.queue.leave(self.ticket) {
            self.gate.settle(true);
        } else {
            // The pacer ends when the last one leaves.
            self.gate.changed.notify_one();
        }
    }
}

/// The right of a released request to try an endpoint. Tells the pacer how it
/// went: dropped = settled well enough, [`Pass::failed`] = the endpoint did
/// not even accept the connection.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    ticket: Ticket,
    settled: bool,
}

impl Pass {
    /// No connection could be made; the pacer slows down. The pass stays good
    /// for [`Gate::hold`], which gives the old place back.
    pub(crate) fn failed(&mut self) {
        if !self.settled {
            self.settled = true;
            self.gate.settle(false);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.settled {
            self.gate.settle(true);
        }
    }
}

#[cfg(test)]
mod tests;
