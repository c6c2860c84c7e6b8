//! The queue of a gate: first come, first released, exactly as many as
//! allowed, and a place that is given up at once when its owner leaves.
//!
//! Pure synchronisation: no timers, no HTTP, no tokio. `gate/mod.rs` gives it
//! meaning; `tests/loom.rs` compiles this very file against loom and checks
//! that no waiter is lost and none is admitted without a release.
//!
//! Everything happens under one short lock. That is fine: only requests that
//! find nobody to serve them come here. [`Queue::is_empty`] is the one thing
//! that a warm request asks, and it is a single atomic load.

use crate::sync::{AtomicUsize, Mutex, Ordering};
use std::{
    collections::BTreeMap,
    task::{Context, Poll, Waker},
};

/// A place in the queue. Smaller means earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What [`Queue::enter`] answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// Queued. `first`: nobody waited before. `start_pacer`: the caller must
    /// see to it that a pacer runs, for the queue had none.
    Queued {
        ticket: Ticket,
        first: bool,
        start_pacer: bool,
    },
    /// The limit was reached; nothing was changed.
    Full,
}

/// Where a place stands.
#[derive(Debug)]
enum Place {
    Waiting(Option<Waker>),
    /// Released, but its owner has not gone yet. It still counts as waiting,
    /// so that no newcomer overtakes it.
    Released,
}

#[derive(Debug)]
struct State {
    places: BTreeMap<Ticket, Place>,
    /// How many of `places` are `Released`.
    released: usize,
    next: u64,
    pacing: bool,
}

/// FIFO queue with explicit release.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// `state.places.len()`, readable without the lock.
    len: AtomicUsize,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let state = State {
            places: BTreeMap::new(),
            released: 0,
            next: 0,
            pacing: false,
        };
        Self {
            state: Mutex::new(state),
            len: AtomicUsize::new(0),
        }
    }

    /// Does nobody wait? One load; a newcomer may pass only if so.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Places taken: waiting, or released and not yet left.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Takes the last place, unless `limit` places are taken.
    pub(crate) fn enter(&self, limit: usize) -> Entered {
        let mut state = self.state.lock();
        if state.places.len() >= limit {
            return Entered::Full;
        }
        let ticket = Ticket(state.next);
        state.next += 1;
        self.insert(&mut state, ticket)
    }

    /// Takes up the place of `ticket` again: its owner was released, but could
    /// not be served. Never refused: it was admitted once already.
    pub(crate) fn enter_again(&self, ticket: Ticket) -> Entered {
        let mut state = self.state.lock();
        self.insert(&mut state, ticket)
    }

    fn insert(&self, state: &mut State, ticket: Ticket) -> Entered {
        let first = state.places.is_empty();
        let before = state.places.insert(ticket, Place::Waiting(None));
        if matches!(before, Some(Place::Released)) {
            state.released -= 1;
        }
        self.len.store(state.places.len(), Ordering::Release);
        let start_pacer = !state.pacing;
        state.pacing = true;
        Entered::Queued {
            ticket,
            first,
            start_pacer,
        }
    }

    /// Ready once `ticket` was released. Its place stays taken until
    /// [`Queue::leave`], so that its owner can do what it waited for first.
    pub(crate) fn poll_released(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        match state.places.get_mut(&ticket) {
            Some(Place::Waiting(waker)) => {
                match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            // `None`: polled after `leave`; nothing to wait for.
            Some(Place::Released) | None => Poll::Ready(()),
        }
    }

    /// Gives the place up. True if it had been released: the pacer counts on
    /// hearing what became of that.
    pub(crate) fn leave(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        let place = state.places.remove(&ticket);
        self.len.store(state.places.len(), Ordering::Release);
        let was_released = matches!(place, Some(Place::Released));
        if was_released {
            state.released -= 1;
        }
        was_released
    }

    /// Releases the first `count` of those that still wait; says how many
    /// there were.
    pub(crate) fn release(&self, count: usize) -> usize {
        let mut wakers = Vec::new();
        let mut done = 0;
        {
            let mut state = self.state.lock();
            for place in state.places.values_mut() {
                if done == count {
                    break;
                }
                if let Place::Waiting(waker) = place {
                    wakers.extend(waker.take());
                    *place = Place::Released;
                    done += 1;
                }
            }
            state.released += done;
        }
        // Outside the lock: a woken task takes the lock at once.
        for waker in wakers {
            waker.wake();
        }
        done
    }

    /// How many are released and have not left their place yet.
    pub(crate) fn released(&self) -> usize {
        self.state.lock().released
    }

    /// How many wait and are not yet released.
    pub(crate) fn unreleased(&self) -> usize {
        let state = self.state.lock();
        state.places.len() - state.released
    }

    /// The pacer asks whether it may end: true if nobody waits. From then on
    /// the next one to enter is told to start a pacer.
    pub(crate) fn pacer_may_end(&self) -> bool {
        let mut state = self.state.lock();
        if state.places.is_empty() {
            state.pacing = false;
        }
        !state.pacing
    }

    /// The pacer died (its runtime is going away): whoever enters next starts
    /// another one.
    pub(crate) fn pacer_died(&self) {
        self.state.lock().pacing = false;
    }
}
