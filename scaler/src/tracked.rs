//! One target as the ledger keeps it: its source, its windows, its activity.
//!
//! Made, updated and removed by [`crate::Ledger::set_targets`]; read by the
//! sampler, by the RPCs and by the streams. The lock is held for one reading
//! of the counters and some arithmetic, never across anything that waits.
//! [`Tracked::waiting`] must never take it.

use crate::{
    activation::{Activation, Signal},
    ledger::{DemandReading, LedgerConfig},
    source::{DemandSource, TargetEntry, TargetScaling},
    window::{Arrivals, Window},
};
use parking_lot::Mutex;
use proxy::{TargetId, Totals};
use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// Who waits for a target, and whether anybody could serve them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Requests that wait.
    pub(crate) held: u64,
    /// Endpoints that could take them.
    pub(crate) ready_endpoints: usize,
}

/// One target.
pub(crate) struct Tracked {
    id: TargetId,
    activation: Activation,
    scaling: watch::Sender<TargetScaling>,
    sampled: Mutex<Sampled>,
}

struct Sampled {
    source: Arc<dyn DemandSource>,
    /// Requests begun at the last reading.
    begun: u64,
    concurrency: Window<Totals>,
    arrivals: Window<Arrivals>,
}

impl Tracked {
    /// Takes its first reading at once: the windows start here.
    pub(crate) fn new(entry: TargetEntry, config: &LedgerConfig, now_us: u64) -> Self {
        let begun = entry.source.totals().begun;
        let tracked = Self {
            activation: Activation::new(config.activity_window),
            scaling: watch::Sender::new(entry.scaling),
            sampled: Mutex::new(Sampled {
                source: entry.source,
                begun,
                concurrency: Window::concurrency(config.concurrency_window, config.sample_interval),
                arrivals: Window::rate(entry.scaling.request_rate.as_ref()),
            }),
            id: entry.id,
        };
        tracked.observe(now_us);
        tracked
    }

    pub(crate) fn id(&self) -> &TargetId {
        &self.id
    }

    /// The target stays, perhaps with another source or scaling.
    pub(crate) fn update(&self, source: Arc<dyn DemandSource>, scaling: TargetScaling) {
        {
            let mut sampled = self.sampled.lock();
            sampled.source = source;
            sampled.arrivals.reshape(scaling.request_rate.as_ref());
        }
        self.scaling.send_if_modified(|current| {
            let changed = *current != scaling;
            *current = scaling;
            changed
        });
    }

    /// The target is gone: streams end.
    pub(crate) fn remove(&self) {
        self.activation.remove();
    }

    /// Somebody started to wait. From any thread; takes no lock of ours.
    pub(crate) fn waiting(&self, now_us: u64) {
        self.activation.waiting(now_us);
    }

    /// Reads the counters: feeds the windows, moves the activity.
    pub(crate) fn observe(&self, now_us: u64) {
        self.look(&mut self.sampled.lock(), now_us);
    }

    /// What is asked of the target now.
    pub(crate) fn demand(&self, now_us: u64) -> DemandReading {
        let mut sampled = self.sampled.lock();
        let (totals, held) = self.look(&mut sampled, now_us);
        let in_flight = totals.in_flight();
        let mean = sampled
            .concurrency
            .mean(&totals)
            .unwrap_or(in_flight as f64);
        DemandReading {
            in_flight,
            held,
            // Who waits now must count in full now: a mean over seconds would
            // let a burst ask for its replicas in instalments.
            concurrency: mean.max(held as f64),
            request_rate: sampled.arrivals.per_second(&Arrivals::from(&totals)),
            active: self.activation.active(),
        }
    }

    /// The answer to KEDA's `IsActive`; see [`Activation::answer`].
    pub(crate) fn answer_active(&self, now_us: u64) -> bool {
        self.observe(now_us);
        self.activation.answer(now_us)
    }

    /// Who waits now.
    pub(crate) fn queue(&self) -> Queue {
        let sampled = self.sampled.lock();
        Queue {
            held: sampled.source.held(),
            ready_endpoints: sampled.source.ready_endpoints(),
        }
    }

    /// What the route scales by.
    pub(crate) fn scaling(&self) -> TargetScaling {
        *self.scaling.borrow()
    }

    /// Follows the activity.
    pub(crate) fn follow_activity(&self) -> watch::Receiver<Signal> {
        self.activation.subscribe()
    }

    /// Follows what the route scales by.
    pub(crate) fn follow_scaling(&self) -> watch::Receiver<TargetScaling> {
        self.scaling.subscribe()
    }

    fn look(&self, sampled: &mut Sampled, now_us: u64) -> (Totals, u64) {
        let waits = self.activation.waits(); // before the counters: see `observe` there
        let totals = sampled.source.totals();
        let held = sampled.source.held();
        let busy = held > 0 || totals.in_flight() > 0 || totals.begun != sampled.begun;
        sampled.begun = totals.begun;
        sampled.concurrency.push(totals);
        sampled.arrivals.push(Arrivals::from(&totals));
        self.activation.observe(now_us, busy, waits);
        (totals, held)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let sampled = self.sampled.lock();
        let windows = size_of::<Window<Totals>>() + size_of::<Window<Arrivals>>();
        size_of::<Self>() - windows + sampled.concurrency.bytes() + sampled.arrivals.bytes()
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
