//! The ledger: every target and the demand for it.
//!
//! Made once by the composition root, which fills it with
//! [`Ledger::set_targets`] whenever the routes change. The proxy tells it of
//! waits ([`proxy::DemandSink`]), the sampler keeps its windows going,
//! [`crate::peers`] adds what other replicas count, KEDA's RPCs and the admin
//! API read it. All of it is memory: no call here waits for anything outside of
//! the process.
//!
//! A ledger that was never filled, or that has yet to hear from other replicas,
//! knows nothing, which is not the same as knowing that there is no demand: its
//! readers must answer with an error, not with zero.

use crate::{
    attention::Attention,
    direct::{Reporter, Reporters},
    peers::{Aside, Outbox, Shape, ToldToPeers},
    source::{RateTarget, TargetEntry, TargetScaling},
    tracked::Tracked,
};
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use proxy::{Clock, DemandSink, TargetId};
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How the ledger averages and remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Concurrency is the mean over this time.
    pub concurrency_window: Duration,
    /// A target stays active for this long after its last request.
    pub activity_window: Duration,
    /// How often the sampler reads every target that does not rest.
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

impl LedgerConfig {
    /// The windows of what other replicas count for a target.
    pub(crate) fn shape(&self, rate: Option<RateTarget>) -> Shape {
        Shape {
            concurrency_window: self.concurrency_window,
            sample_interval: self.sample_interval,
            rate,
        }
    }
}

/// The demand for one target at one moment, on all replicas together.
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

/// Requests of a target in one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Begun and not ended, held ones among them.
    pub in_flight: u64,
    /// Those that wait because nobody can serve them.
    pub held: u64,
}

/// The demand for one target by where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemandParts {
    /// On this replica.
    pub here: Part,
    /// On all others together.
    pub elsewhere: Part,
    /// As [`DemandReading::active`].
    pub active: bool,
    /// Since something was last asked of it, on whatever replica; `None`: never.
    pub idle: Option<Duration>,
    /// For how long it stays active after that.
    pub activity_window: Duration,
    /// What it scales by.
    pub scaling: TargetScaling,
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
    /// What other replicas say about targets that are not in the table. Locked
    /// while the table is replaced, so that two writers cannot undo each other.
    /// Readers never take it.
    aside: Mutex<Aside>,
    /// What other replicas are told.
    outbox: Outbox,
    /// Other replicas were not heard yet.
    blind: watch::Sender<bool>,
    /// Who is silent that there should be: bits of [`Doubt`]. Written under the
    /// lock of `aside`, so that no target misses it.
    doubts: AtomicU8,
    /// What other proxies report, if that is expected.
    direct: OnceLock<Arc<Reporters>>,
    /// Whom the sampler has to look at.
    attention: Arc<Attention>,
}

/// Who may have demand that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Doubt {
    /// Another replica.
    Peers = 1,
    /// Another proxy that reports.
    Direct = 2,
}

impl Ledger {
    /// An empty ledger. `clock` must be the clock of the sources.
    #[must_use]
    pub fn new(config: LedgerConfig, clock: Clock) -> Self {
        Self {
            config,
            clock,
            table: ArcSwapOption::empty(),
            aside: Mutex::default(),
            outbox: Outbox::new(),
            blind: watch::Sender::new(false),
            doubts: AtomicU8::new(0),
            direct: OnceLock::new(),
            attention: Arc::default(),
        }
    }

    /// Other proxies will report requests that they sent to endpoints
    /// themselves. One that falls silent counts on for `grace`, and for so
    /// long nobody is told of an idle target; likewise from now on, as nobody
    /// knows who will report. Call it before the first
    /// [`Ledger::set_targets`].
    pub fn expect_reports(&self, grace: Duration) {
        let attention = Arc::clone(&self.attention);
        let reporters = Arc::new(Reporters::new(grace, self.clock.now_us(), attention));
        if self.direct.set(reporters).is_err() {
            tracing::error!("reports are expected already: the first grace counts");
        }
        self.look_for_silence();
    }

    /// A proxy called `name` reports from now on, if that is expected.
    #[must_use]
    pub fn reporter(&self, name: &str) -> Option<Reporter> {
        Some(self.direct.get()?.join(name, self.clock))
    }

    /// Notices proxies that fell silent, and those that came back.
    pub(crate) fn look_for_silence(&self) {
        if let Some(reporters) = self.direct.get() {
            self.set_unsure(Doubt::Direct, reporters.is_unsure(self.clock.now_us()));
        }
    }

    /// Replaces the whole set of targets. Targets that stay keep their history
    /// and their streams; a changed scaling is pushed on them; the streams of
    /// targets that go end with `NOT_FOUND`. Of two entries with one id the
    /// later counts.
    pub fn set_targets(&self, entries: Vec<TargetEntry>) {
        let mut aside = self.aside.lock();
        let now_us = self.clock.now_us();
        let before = self.table.load_full();
        let mut table = Table::with_capacity(entries.len());
        for mut entry in entries {
            if let Some(reporters) = self.direct.get() {
                entry.source = reporters.joined(entry.source);
            }
            let known = table
                .get(&entry.id)
                .or_else(|| before.as_ref()?.get(&entry.id));
            let tracked = match known {
                Some(tracked) => {
                    tracked.update(Arc::clone(&entry.source), entry.scaling);
                    Arc::clone(tracked)
                }
                None => {
                    let elsewhere = aside.give(&entry.id).unwrap_or_default();
                    let (config, attention) = (&self.config, Arc::clone(&self.attention));
                    let fresh = Tracked::new(entry.clone(), config, attention, elsewhere, now_us);
                    fresh.set_unsure(self.is_unsure());
                    Arc::new(fresh)
                }
            };
            if table.insert(entry.id, Arc::clone(&tracked)).is_some() {
                tracing::warn!(target_id = %tracked.id(), "two entries for one target, the later counts");
            }
        }
        let table = Arc::new(table);
        self.table.store(Some(Arc::clone(&table)));
        // After the swap, too: the sampler must find whom it is called to.
        table.values().for_each(|tracked| tracked.attend());
        // After the swap: a stream that ends because its target is gone may be
        // opened again at once and must not find it again.
        for (id, tracked) in before.iter().flat_map(|before| before.iter()) {
            if !table.contains_key(id) {
                tracked.remove();
                aside.keep(id.clone(), tracked.give_shares());
            }
        }
        drop(before);
        if let Some(reporters) = self.direct.get() {
            reporters.forget();
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
        let tracked = self.known(target)?;
        Some(tracked.demand(self.clock.now_us()))
    }

    /// The same by where it comes from, for people.
    #[must_use]
    pub fn demand_parts(&self, target: &TargetId) -> Option<DemandParts> {
        let tracked = self.known(target)?;
        Some(tracked.parts(self.clock.now_us()))
    }

    /// Requests for `target` begun so far: here since it entered the set, and
    /// on each other replica that was heard since it began to count there.
    /// Where all replicas were heard it is the same on all of them: the
    /// requests that were sent. `None` for a target that is not in the set.
    #[must_use]
    pub fn requests_begun(&self, target: &TargetId) -> Option<u64> {
        let tracked = self.known(target)?;
        Some(tracked.requests_begun(self.clock.now_us()))
    }

    /// Whether somebody else than KEDA scales `target` from zero, as far as it
    /// is in the set. Then KEDA's streams are told of waits only if they last;
    /// whatever KEDA asks is answered as ever.
    pub fn set_woken_elsewhere(&self, target: &TargetId, elsewhere: bool) {
        if let Some(tracked) = self.known(target) {
            tracked.set_woken_elsewhere(elsewhere);
        }
    }

    /// Is the ledger waiting to hear from other replicas?
    #[must_use]
    pub fn is_blind(&self) -> bool {
        *self.blind.borrow()
    }

    /// Follows [`Ledger::is_blind`].
    #[must_use]
    pub fn follow_blindness(&self) -> watch::Receiver<bool> {
        self.blind.subscribe()
    }

    /// What other replicas were told of this one.
    #[must_use]
    pub fn told_to_peers(&self) -> ToldToPeers {
        self.outbox.told()
    }

    /// Is somebody silent that there should be? Then nobody is told that
    /// nothing is asked of a target.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.doubts.load(Ordering::Acquire) != 0
    }

    /// Returns whether that is news.
    pub(crate) fn set_unsure(&self, doubt: Doubt, unsure: bool) -> bool {
        let bit = doubt as u8;
        if (self.doubts.load(Ordering::Acquire) & bit != 0) == unsure {
            return false; // the common case takes no lock
        }
        let _table_stays = self.aside.lock();
        let before = if unsure {
            self.doubts.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.doubts.fetch_and(!bit, Ordering::AcqRel)
        };
        let now = self.is_unsure();
        if (before != 0) != now {
            for tracked in self.targets().iter().flat_map(|table| table.values()) {
                tracked.set_unsure(now);
            }
        }
        (before & bit != 0) != unsure
    }

    pub(crate) fn set_blind(&self, blind: bool) {
        self.blind.send_replace(blind);
    }

    /// The target, for whoever answers KEDA.
    pub(crate) fn find(&self, target: &TargetId) -> Result<Arc<Tracked>, Missing> {
        let table = self.table.load();
        let table = table.as_ref().ok_or(Missing::NotLoaded)?;
        table.get(target).cloned().ok_or(Missing::Unknown)
    }

    /// The target, for whoever does not.
    pub(crate) fn known(&self, target: &TargetId) -> Option<Arc<Tracked>> {
        self.table.load().as_ref()?.get(target).cloned()
    }

    /// What other replicas say about targets that are not in the table.
    pub(crate) fn aside(&self) -> &Mutex<Aside> {
        &self.aside
    }

    /// Whom the sampler has to look at.
    pub(crate) fn attention(&self) -> &Attention {
        &self.attention
    }

    /// What other replicas are told.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
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
            self.outbox.edge(tracked);
        }
    }

    fn stirred(&self, target: &TargetId, at_us: u64) {
        if let Some(tracked) = self.table.load().as_ref().and_then(|t| t.get(target)) {
            tracked.stirred(at_us);
        }
    }
}

#[cfg(test)]
mod tests;
