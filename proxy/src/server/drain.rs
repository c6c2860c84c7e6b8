//! Drain: the end of serving as a state that everybody can watch.
//!
//! `Serving → Announced → Draining → Deadline`. In `Announced` answers say that
//! it is time to leave, in `Draining` no connection takes another request, in
//! `Deadline` whoever still waits or runs is cut off.

use std::future::Future;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Over HTTP/1, each answer says that its connection closes.
    Announced,
    /// No connection takes another request.
    Draining,
    /// Whoever still waits or runs is cut off.
    Deadline,
}

/// The phase, and the connections that are still open.
#[derive(Debug)]
pub(crate) struct Drain {
    phase: watch::Sender<Phase>,
    connections: TaskTracker,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Serving),
            connections: TaskTracker::new(),
        }
    }

    /// Counts a connection until the future ends.
    pub(crate) fn track<F: Future>(
        &self,
        connection: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        self.connections.track_future(connection)
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Draining is near. A client that asks again over HTTP/1 is told to leave
    /// with the answer, so that draining need not close its connection at the
    /// very moment at which it sends a request. (HTTP/2 has GOAWAY for that.)
    pub(crate) fn announce(&self) {
        self.advance(Phase::Announced);
    }

    /// Idle connections close now, the others after their request. Resolves
    /// when all are closed. Cancel safe.
    pub(crate) async fn begin(&self) {
        self.advance(Phase::Draining);
        self.connections.close();
        self.connections.wait().await;
    }

    /// Cuts off what is left.
    pub(crate) fn cut_off(&self) {
        self.advance(Phase::Deadline);
    }

    /// The phase, to be watched. One for each worker, not one for each
    /// connection: the channel behind it is shared by all of them.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Resolves when draining begins.
    pub(crate) async fn begun(&self) {
        reached(self.phase.subscribe(), Phase::Draining).await;
    }

    /// Resolves when what is left is cut off.
    pub(crate) fn deadline(&self) -> impl Future<Output = ()> + use<> {
        let reached = reached(self.phase.subscribe(), Phase::Deadline);
        async {
            reached.await;
        }
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            *phase = to.max(*phase);
            later
        });
    }
}

async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) -> Phase {
    if phase.wait_for(|phase| *phase >= wanted).await.is_err() {
        // The sender lives as long as the proxy; without it nothing drains.
        std::future::pending().await
    }
    wanted
}
