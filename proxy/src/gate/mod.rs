//! Gate: who waits for a target that nobody can serve yet.
//!
//! `forward.rs` calls [`Gate::hold`] when a request finds no endpoint. The
//! request waits in order of arrival until the pacer (`pacer.rs`) releases
//! it, its deadline passes, its client leaves (the future is dropped), or the
//! target is given up. The body of a held request is never read here: it
//! stays in the client's socket.

mod pacer;
mod queue;
mod window;

pub(crate) use pacer::run as run_pacer;
pub(crate) use window::Outcome;

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
use tokio::{sync::Notify, time::Instant};
use window::Window;

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
    window: Mutex<Window>,
    /// Wakes the pacer: endpoints changed, an answer came in, or a request on
    /// an endpoint with a limit has ended.
    changed: Arc<Notify>,
}

/// What a request that comes to the gate waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// An endpoint: there is none, or others wait for one already.
    Endpoint,
    /// A place on one of the endpoints: all have as many requests as they may.
    Place,
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
            window: Mutex::new(Window::new()),
            changed: Arc::new(Notify::new()),
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

    /// Is told of everything that the pacer must look at.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Waits to be released. `again` is the pass of a request that was
    /// released before and could not be served: it gets its old place back.
    ///
    /// The caller must act on what [`Began`] says.
    ///
    /// Cancel safe: dropping the future gives the place up at once.
    pub(crate) fn hold<'a>(
        self: &'a Arc<Self>,
        waits_for: WaitsFor,
        again: Option<Pass>,
    ) -> Result<(Held<'a>, Began), NotHeld> {
        if let Some(reason) = self.refusing.lock().clone() {
            return Err(NotHeld::Refusing(reason));
        }
        let place = match &again {
            Some(_) => self.total.take_again(),
            None => self.total.take().ok_or(NotHeld::Full)?,
        };
        let is_new = again.is_none();
        let entered = match again.map(Pass::into_ticket) {
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
                if first && is_new {
                    let mut window = self.window.lock();
                    match waits_for {
                        WaitsFor::Endpoint => window.restart(1),
                        // Who is let through is not news to a warm endpoint.
                        WaitsFor::Place => window.open(),
                    }
                }
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
            let released = self.queue.release(usize::MAX);
            self.window.lock().on_release(released);
        }
    }

    /// Why held requests are refused at once, while that is so.
    pub(crate) fn refusing(&self) -> Option<Arc<str>> {
        self.refusing.lock().clone()
    }

    fn is_refusing(&self) -> bool {
        self.refusing.lock().is_some()
    }

    /// Endpoints were added, removed, or are worth another look.
    pub(crate) fn endpoints_changed(&self) {
        self.changed.notify_one();
    }

    /// A released request is done with.
    fn settle(&self, outcome: Outcome, number: u64, released: Instant) {
        let latency = released.elapsed();
        self.window.lock().on_end(outcome, number, latency);
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
        let pass = Pass {
            gate: self.gate.clone(),
            ticket: self.ticket,
            number: self.gate.window.lock().number(),
            released: Instant::now(),
            outcome: Outcome::Unknown,
            is_seated: true,
            is_settled: false,
        };
        let refusing = self.gate.refusing.lock().clone();
        Poll::Ready(refusing.map_or(Ok(pass), Err))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.gate.queue.leave(self.ticket) {
            let number = self.gate.window.lock().number();
            self.gate.settle(Outcome::Unknown, number, Instant::now());
        } else {
            // The pacer ends when the last one leaves.
            self.gate.changed.notify_one();
        }
    }
}

/// The right of a released request to be sent. It keeps its place in the queue
/// until [`Pass::go`], and tells the pacer what came of it when it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    ticket: Ticket,
    number: u64,
    released: Instant,
    outcome: Outcome,
    is_seated: bool,
    is_settled: bool,
}

impl Pass {
    /// It has an endpoint: whoever is next may go.
    pub(crate) fn go(&mut self) {
        if std::mem::take(&mut self.is_seated) {
            self.gate.queue.leave(self.ticket);
            self.gate.changed.notify_one();
        }
    }

    /// The head of an answer came.
    pub(crate) fn answered(&mut self) {
        self.outcome = Outcome::Answered;
    }

    /// The endpoint had no room for it: the pacer slows down. The pass stays
    /// good for [`Gate::hold`], which gives the old place back.
    pub(crate) fn refused(&mut self) {
        self.outcome = Outcome::Refused;
        self.settle();
    }

    fn settle(&mut self) {
        if !std::mem::replace(&mut self.is_settled, true) {
            self.gate.settle(self.outcome, self.number, self.released);
        }
    }

    /// Gives it up for the place that it stands for.
    fn into_ticket(mut self) -> Ticket {
        self.is_seated = false;
        self.ticket
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.go();
        self.settle();
    }
}

#[cfg(test)]
mod tests;
