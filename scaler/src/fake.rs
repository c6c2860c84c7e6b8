//! A source of demand that tests play by hand. Never compiled into the
//! product.

use crate::{
    ledger::Ledger,
    source::{DemandSource, TargetEntry, TargetScaling},
};
use proxy::{Clock, Demand, DemandSink, TargetId, Totals};
use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

/// Real counters, and knobs for what the gate and the endpoints would say.
pub(crate) struct Fake {
    target: TargetId,
    clock: Clock,
    demand: Demand,
    held: AtomicU64,
    ready: AtomicUsize,
    /// Who is told of the first request after a rest.
    told: OnceLock<Weak<Ledger>>,
    is_looked_at: AtomicBool,
    looks: AtomicUsize,
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
            told: OnceLock::new(),
            is_looked_at: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
        })
    }

    /// From now on `ledger` is told of the first request after a rest.
    pub(crate) fn tells(&self, ledger: &Arc<Ledger>) {
        let told = self.told.set(Arc::downgrade(ledger));
        told.expect("it is said once");
    }

    /// How often its counters were read since the last time.
    pub(crate) fn looks(&self) -> usize {
        self.looks.swap(0, Ordering::Relaxed)
    }

    /// A request of which nobody is told.
    pub(crate) fn begin_untold(&self) {
        self.demand.begin(0, self.clock.now_us());
    }

    pub(crate) fn begin(&self) {
        self.begin_untold();
        if let Some(ledger) = self.told.get().and_then(Weak::upgrade)
            && !self.is_looked_at.swap(true, Ordering::Relaxed)
        {
            ledger.stirred(&self.target, self.clock.now_us());
        }
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
        self.looks.fetch_add(1, Ordering::Relaxed);
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
    fn tell_of_next(&self) -> bool {
        self.is_looked_at.store(false, Ordering::Relaxed);
        self.told.get().is_some()
    }
}
