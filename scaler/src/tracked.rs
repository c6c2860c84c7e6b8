//! One target as the ledger keeps it: its source, its windows, its activity,
//! and the shares of other replicas.
//!
//! Made, updated and removed by [`crate::Ledger::set_targets`]; told of other
//! replicas by [`crate::peers`]; read by the sampler, by the RPCs and by the
//! streams. The windows here are of this replica's own counters: what others
//! count is added when a reading is taken, and never told to others. The lock
//! is held for one reading of the counters and some arithmetic, never across
//! anything that waits.
//! [`Tracked::waiting`] and [`Tracked::stirred`] must never take it.
//!
//! A target of which nothing is asked rests: the sampler lets it alone until
//! its source, a peer or a reporter tells of something.

mod reading;
mod rest;

pub(crate) use reading::Queue;

use crate::{
    activation::{Activation, Signal},
    attention::Attention,
    ledger::LedgerConfig,
    peers::{Elsewhere, News, Origins, Own, Replica, Shape, Shares},
    source::{DemandSource, TargetEntry, TargetScaling},
    window::{Arrivals, Reading, Window},
};
use parking_lot::Mutex;
use proxy::{TargetId, Totals};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// What a route scales by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) by: TargetScaling,
    /// The target is gone for good.
    pub(crate) removed: bool,
}

/// One target.
pub(crate) struct Tracked {
    id: TargetId,
    activation: Activation,
    scaling: watch::Sender<Scaled>,
    /// How often somebody started to wait here, not elsewhere.
    own_waits: AtomicU64,
    /// It is among the edges that other replicas are to be told.
    in_edges: AtomicBool,
    attention: Arc<Attention>,
    /// The sampler looks at it, or is called to.
    has_attention: AtomicBool,
    /// When its source told of a request, plus one; zero: it has not since the
    /// target rests.
    stirred_at: AtomicU64,
    config: LedgerConfig,
    sampled: Mutex<Sampled>,
}

struct Sampled {
    source: Arc<dyn DemandSource>,
    /// The last reading.
    last: Totals,
    concurrency: Window<Totals>,
    arrivals: Window<Arrivals>,
    /// The reading that other replicas' counts of this one begin with.
    born: Totals,
    /// When something was last asked here.
    busy_at_us: Option<u64>,
    shares: Shares,
    /// Nothing is asked, and the source tells of the next request.
    is_resting: bool,
    /// Until when it last did.
    rested_until_us: u64,
}

/// What one look showed.
struct Look {
    totals: Totals,
    held: u64,
    elsewhere: Elsewhere,
}

impl Tracked {
    /// Takes its first reading at once: the windows start here. `shares` are
    /// those that were kept aside.
    pub(crate) fn new(
        entry: TargetEntry,
        config: &LedgerConfig,
        attention: Arc<Attention>,
        mut shares: Shares,
        now_us: u64,
    ) -> Self {
        let last = entry.source.totals();
        shares.reshape(entry.scaling.request_rate.as_ref());
        let tracked = Self {
            activation: Activation::new(config.activity_window),
            scaling: watch::Sender::new(Scaled {
                by: entry.scaling,
                removed: false,
            }),
            own_waits: AtomicU64::new(0),
            in_edges: AtomicBool::new(false),
            attention,
            has_attention: AtomicBool::new(false),
            stirred_at: AtomicU64::new(0),
            config: *config,
            sampled: Mutex::new(Sampled {
                source: entry.source,
                last,
                concurrency: Window::concurrency(config.concurrency_window, config.sample_interval),
                arrivals: Window::rate(entry.scaling.request_rate.as_ref()),
                born: last,
                busy_at_us: None,
                shares,
                is_resting: false,
                rested_until_us: 0,
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
            sampled.is_resting = false; // that source was not asked to tell
            sampled.arrivals.reshape(scaling.request_rate.as_ref());
            sampled.shares.reshape(scaling.request_rate.as_ref());
        }
        self.scaling.send_if_modified(|current| {
            let changed = current.by != scaling;
            current.by = scaling;
            changed
        });
    }

    /// The target is gone: streams end.
    pub(crate) fn remove(&self) {
        self.activation.remove();
        self.scaling.send_modify(|current| current.removed = true);
    }

    /// Whether other replicas may have demand that is not known here.
    pub(crate) fn set_unsure(&self, unsure: bool) {
        self.activation.set_unsure(unsure);
    }

    /// Whether somebody else than KEDA scales it from zero.
    pub(crate) fn set_woken_elsewhere(&self, elsewhere: bool) {
        self.activation.set_woken_elsewhere(elsewhere);
    }

    /// Somebody started to wait here. From any thread; takes no lock of ours.
    pub(crate) fn waiting(&self, now_us: u64) {
        self.own_waits.fetch_add(1, Ordering::Release);
        self.activation.waiting(now_us);
        self.attend();
    }

    /// Enters the edges that other replicas are to be told. False: it is in
    /// there.
    pub(crate) fn enter_edges(&self) -> bool {
        !self.in_edges.swap(true, Ordering::AcqRel)
    }

    /// They are about to be told.
    pub(crate) fn leave_edges(&self) {
        self.in_edges.store(false, Ordering::Release);
    }

    /// What `replica` says, read there at `at_us`: streams are told before this
    /// returns.
    pub(crate) fn hear(&self, replica: &Arc<Replica>, news: &News, at_us: u64, now_us: u64) {
        let waited = {
            let mut sampled = self.sampled.lock();
            let shape = self.shape();
            let heard = sampled.shares.hear(replica, news, at_us, now_us, &shape);
            if let Some(idle_us) = heard.idle_us {
                self.activation.was_busy(at_us.min(now_us), idle_us);
                self.look_who_is_ready(&sampled, now_us);
            }
            self.look(&mut sampled, now_us);
            heard.waited
        };
        if waited {
            self.activation.waiting(now_us);
            self.attend();
        }
    }

    /// `replica` has nothing of this target.
    pub(crate) fn absent(&self, replica: &Replica, now_us: u64) {
        self.sampled.lock().shares.absent(replica, now_us);
    }

    /// Gives away what others said: the target is not known any more.
    pub(crate) fn give_shares(&self) -> Shares {
        std::mem::take(&mut self.sampled.lock().shares)
    }

    /// What other replicas are told.
    pub(crate) fn own(&self) -> Own {
        let mut sampled = self.sampled.lock();
        let waits = self.own_waits.load(Ordering::Acquire); // before the counters
        self.look(&mut sampled, 0);
        Own {
            born_us: sampled.born.at_us,
            totals: sampled.since_born(&sampled.last),
            held: sampled.source.held(),
            ready_endpoints: sampled.source.ready_endpoints(),
            waits,
            busy_at_us: sampled.busy_at_us,
            rested_until_us: sampled.rested_until_us,
        }
    }

    /// The far ends of the windows, for a replica that knows nothing yet.
    pub(crate) fn origins(&self) -> Origins {
        let sampled = self.sampled.lock();
        let begun_before = sampled.born.ended;
        Origins {
            born_us: sampled.born.at_us,
            mean_from: sampled
                .concurrency
                .oldest()
                .map(|oldest| sampled.since_born(&oldest)),
            rate_from: sampled.arrivals.oldest().map(|oldest| {
                let begun = oldest.begun().saturating_sub(begun_before);
                (oldest.at_us(), begun)
            }),
        }
    }

    /// Requests begun here and on all replicas that were heard.
    pub(crate) fn requests_begun(&self, now_us: u64) -> u64 {
        let mut sampled = self.sampled.lock();
        let look = self.look(&mut sampled, now_us);
        sampled.since_born(&look.totals).begun + look.elsewhere.begun
    }

    /// Reads the counters: feeds the windows, moves the activity.
    pub(crate) fn observe(&self, now_us: u64) {
        self.look(&mut self.sampled.lock(), now_us);
    }

    /// What the route scales by.
    pub(crate) fn scaling(&self) -> TargetScaling {
        self.scaling.borrow().by
    }

    /// Follows the activity.
    pub(crate) fn follow_activity(&self) -> watch::Receiver<Signal> {
        self.activation.subscribe()
    }

    /// Follows what the route scales by.
    pub(crate) fn follow_scaling(&self) -> watch::Receiver<Scaled> {
        self.scaling.subscribe()
    }

    fn look(&self, sampled: &mut Sampled, now_us: u64) -> Look {
        let waits = self.activation.waits(); // before the counters: see `observe` there
        let totals = sampled.source.totals();
        let held = sampled.source.held();
        let now_us = now_us.max(totals.at_us);
        let begun = totals.begun != sampled.last.begun;
        let busy_here = held > 0 || totals.in_flight() > 0 || begun;
        if !totals.continues(&sampled.last) {
            // Other counters, perhaps read at the same microsecond.
            let born_us = totals.at_us.max(sampled.born.at_us + 1);
            sampled.born =
                Totals::from_parts(born_us, totals.begun, totals.ended, totals.busy_us());
        }
        if busy_here {
            sampled.busy_at_us = Some(now_us);
        }
        let elsewhere = sampled.shares.read(now_us);
        let busy = busy_here || elsewhere.is_busy();
        if sampled.is_resting && busy {
            // The last look may be hours ago, and the windows must not spread
            // what has just begun over all that time.
            let stirred_us = self.stirred_at.load(Ordering::SeqCst).checked_sub(1);
            sampled.rested_until(stirred_us.unwrap_or(u64::MAX).min(totals.at_us));
        }
        sampled.last = totals;
        sampled.concurrency.push(totals);
        sampled.arrivals.push(Arrivals::from(&totals));
        self.activation.observe(now_us, busy, waits);
        if busy || self.activation.active() {
            self.look_who_is_ready(sampled, now_us);
        }
        if sampled.is_resting && (busy || self.activation.active()) {
            sampled.is_resting = false;
            self.attend();
        }
        Look {
            totals,
            held,
            elsewhere,
        }
    }

    fn look_who_is_ready(&self, sampled: &Sampled, now_us: u64) {
        if sampled.source.ready_endpoints() > 0 {
            self.activation.was_ready(now_us);
        }
    }

    fn shape(&self) -> Shape {
        self.config.shape(self.scaling().request_rate)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let sampled = self.sampled.lock();
        let windows = size_of::<Window<Totals>>() + size_of::<Window<Arrivals>>();
        size_of::<Self>() - windows + sampled.concurrency.bytes() + sampled.arrivals.bytes()
    }
}

impl Sampled {
    /// A reading as other replicas are told it: counted since `born`, what was
    /// in flight then as begun since.
    fn since_born(&self, reading: &Totals) -> Totals {
        let born = &self.born;
        Totals::from_parts(
            reading.at_us.max(born.at_us),
            reading.begun.saturating_sub(born.ended),
            reading.ended.saturating_sub(born.ended),
            reading.busy_us().wrapping_sub(born.busy_us()),
        )
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
