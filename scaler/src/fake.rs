//! A source of demand that tests play by hand. Never compiled into the
//! product.

use crate::source::{DemandSource, TargetEntry, TargetScaling};
use proxy::{Clock, Demand, TargetId, Totals};
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Real counters, and knobs for what the gate and the endpoints would say.
pub(crate) struct Fake {
    target: TargetId,
    clock: Clock,
    demand: Demand,
    held: AtomicU64,
    ready: AtomicUsize,
}

impl Fake {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let demand = Demand::new(2);
        Arc::new(Self {
            target: TargetId::new("ns", "web"),
            clock,
            demand,
            held: AtomicU64::new(0),
            ready: AtomicUsize::new(0),
        })
    }

    pub(crate) fn begin(&self) {
        self.demand.begin(0, self.clock.now_us());
    }

    pub(crate) fn end(&self) {
        self.demand.end(1, self.clock.now_us());
    }

    pub(crate) fn set_held(&self, held: u64) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub(crate) fn set_ready(&self, ready: usize) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    pub(crate) fn entry(self: &Arc<Self>, id: &TargetId, scaling: TargetScaling) -> TargetEntry {
        TargetEntry {
            id: id.clone(),
            source: Arc::clone(self) as _,
            scaling,
        }
    }
}

impl DemandSource for Fake {
    fn totals(&self) -> Totals {
        self.demand.totals(self.clock.now_us())
    }
    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
    fn ready_endpoints(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }
    fn target(&self) -> Option<&TargetId> {
        Some(&self.target)
    }
}
