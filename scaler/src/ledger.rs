//! The ledger: every target and the demand for it.
//!
//! Made once by the composition root, which fills it with
//! [`Ledger::set_targets`] whenever the routes change. The proxy tells it of
//! waits ([`proxy::DemandSink`]), the sampler keeps its windows going, KEDA's
//! RPCs and the admin API read it. All of it is memory: no call here waits for
//! anything outside of the process.
//!
//! A ledger that was never filled knows nothing, which is not the same as
//! knowing that there is no demand: its readers must answer with an error, not
//! with zero.

use crate::{source::TargetEntry, tracked::Tracked};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use proxy::{Clock, DemandSink, TargetId};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How the ledger averages and remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Concurrency is the mean over this time.
    pub concurrency_window: Duration,
    /// A target stays active for this long after its last request.
    pub activity_window: Duration,
    /// How often the sampler reads every target.
    pub sample_interval: Duration,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            concurrency_window: Duration::from_secs(5),
            activity_window: Duration::from_secs(30),
            sample_interval: Duration::from_millis(100),
        }
    }
}

/// The demand for one target at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemandReading {
    /// Requests begun and not ended, held ones among them.
    pub in_flight: u64,
    /// Requests that wait because nobody can serve them.
    pub held: u64,
    /// Requests at once: the mean over the concurrency window, never below
    /// `held`. Finite, never negative.
    pub concurrency: f64,
    /// Requests per second over the route's window. Finite, never negative.
    pub request_rate: f64,
    /// Something is held or in flight, or was within the activity window.
    pub active: bool,
}

/// Why a target cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The ledger was never filled.
    NotLoaded,
    /// The ledger does not know such a target.
    Unknown,
}

/// The targets by their names.
pub(crate) type Table = HashMap<TargetId, Arc<Tracked>>;

/// The registry of targets and their demand. Share it in an `Arc`.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    clock: Clock,
    /// `None` until the first `set_targets`.
    table: ArcSwapOption<Table>,
    /// Held while the table is replaced, so that two writers cannot undo each
    /// other. Readers never take it.
    writing: Mutex<()>,
}

impl Ledger {
    /// An empty ledger. `clock` must be the clock of the sources.
    #[must_use]
    pub fn new(config: LedgerConfig, clock: Clock) -> Self {
        Self {
            config,
            clock,
            table: ArcSwapOption::empty(),
            writing: Mutex::new(()),
        }
    }

    /// Replaces the whole set of targets. Targets that stay keep their history
    /// and their streams; a changed scaling is pushed on them; the streams of
    /// targets that go end with `NOT_FOUND`. Of two entries with one id the
    /// later counts.
    pub fn set_targets(&self, entries: Vec<TargetEntry>) {
        let _writing = self.writing.lock();
        let now_us = self.clock.now_us();
        let before = self.table.load_full();
        let mut table = Table::with_capacity(entries.len());
        for entry in entries {
            let known = table
                .get(&entry.id)
                .or_else(|| before.as_ref()?.get(&entry.id));
            let tracked = match known {
                Some(tracked) => {
                    tracked.update(Arc::clone(&entry.source), entry.scaling);
                    Arc::clone(tracked)
                }
                None => Arc::new(Tracked::new(entry.clone(), &self.config, now_us)),
            };
            if table.insert(entry.id, Arc::clone(&tracked)).is_some() {
                tracing::warn!(target_id = %tracked.id(), "two entries for one target, the later counts");
            }
        }
        let table = Arc::new(table);
        self.table.store(Some(Arc::clone(&table)));
        // After the swap: a stream that ends because its target is gone may be
        // opened again at once and must not find it again.
        for (id, tracked) in before.iter().flat_map(|before| before.iter()) {
            if !table.contains_key(id) {
                tracked.remove();
            }
        }
    }

    /// Was the ledger ever filled?
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.table.load().is_some()
    }

    /// What is asked of `target` now. `None` for a target that is not in the
    /// set. Counts as a look, not as an answer to KEDA.
    #[must_use]
    pub fn demand(&self, target: &TargetId) -> Option<DemandReading> {
        let tracked = self.find(target).ok()?;
        Some(tracked.demand(self.clock.now_us()))
    }

    pub(crate) fn find(&self, target: &TargetId) -> Result<Arc<Tracked>, Missing> {
        let table = self.table.load();
        let table = table.as_ref().ok_or(Missing::NotLoaded)?;
        table.get(target).cloned().ok_or(Missing::Unknown)
    }

    /// All targets, as they are now.
    pub(crate) fn targets(&self) -> Option<Arc<Table>> {
        self.table.load_full()
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    pub(crate) fn config(&self) -> &LedgerConfig {
        &self.config
    }
}

// === impl DemandSink for Ledger ===

impl DemandSink for Ledger {
    fn waiting(&self, target: &TargetId) {
        // A target that is not in the set (yet) is told of by its counters
        // when it enters the set.
        if let Some(tracked) = self.table.load().as_ref().and_then(|t| t.get(target)) {
            tracked.waiting(self.clock.now_us());
        }
    }
}

#[cfg(test)]
mod tests;
