//! Drain: the end of serving as a state that everybody can watch.
//!
//! `Serving → Draining → Deadline`. In `Draining` no connection takes another
//! request; in `Deadline` whoever still waits or runs is cut off.

use futures_util::stream::FuturesUnordered;
use std::future::Future;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No connection takes another request.
    Draining,
    /// Whoever still waits or runs is cut off.
    Deadline,
}

/// See [`Drain::phases`].
pub(crate) type Phases<F> = FuturesUnordered<F>;

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

    /// Both later phases, each when it is reached, for one connection.
    ///
    /// Looking at them takes no lock: a connection looks each time that
    /// anything happens on it, and the channel behind them is shared by all
    /// workers. So they are asked only when they have something to say.
    pub(crate) fn phases(&self) -> Phases<impl Future<Output = Phase> + use<>> {
        [Phase::Draining, Phase::Deadline]
            .into_iter()
            .map(|phase| reached(self.phase.subscribe(), phase))
            .collect()
    }

    /// Resolves when draining begins.
    pub(crate) async fn draining(&self) {
        reached(self.phase.subscribe(), Phase::Draining).await;
    }

    /// Resolves when what is left is cut off.
    pub(crate) async fn deadline(&self) {
        reached(self.phase.subscribe(), Phase::Deadline).await;
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
