//! Direct demand: requests that other proxies sent to endpoints without us,
//! as they report it.
//!
//! Control makes a [`Reporter`] per proxy and hands in what each says; the
//! ledger adds the sums to its own counters before anything else is made of
//! them, so windows, activity and what peers are told know no difference. A
//! proxy reports to one replica only: nothing is counted twice.
//!
//! A reporter that falls silent is a lost source, as a peer is: what it had in
//! flight counts on for the grace, and for as long nobody is told that a target
//! is idle. So it is after the start, too: nobody knows who will report. Times
//! come in, on the proxy's clock; nothing here waits.
//!
//! What a report says of the time before it is told evenly over as much time
//! after it: in one piece, a window of ten seconds would have one report more or
//! less in it, by chance.

mod counts;

use counts::Direct;

use crate::{attention::Attention, source::DemandSource};
use parking_lot::Mutex;
use proxy::{Clock, TargetId, Totals};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Most time over which a report is told.
const MOST_SPREAD_US: u64 = 1_000_000;

/// Its reports count without an end.
const ALIVE: u64 = u64::MAX;

/// What one proxy says of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectReport {
    /// Requests sent since the report before.
    pub issued: u64,
    /// Requests under way now.
    pub in_progress: u64,
}

/// All that is reported. A ledger has one once reports are expected.
#[derive(Debug)]
pub(crate) struct Reporters {
    grace_us: u64,
    /// So long after the start somebody may still turn up.
    started_until_us: u64,
    targets: Mutex<HashMap<TargetId, Arc<Direct>>>,
    /// Whoever rests does not rest on when something is reported of it.
    attention: Arc<Attention>,
    /// By their names, those that were lost lately.
    lost: Mutex<HashMap<String, Arc<Life>>>,
}

/// How long what a reporter said counts.
#[derive(Debug)]
struct Life {
    counts_until_us: AtomicU64,
    /// Where it has something in flight.
    busy: Mutex<HashSet<TargetId>>,
}

/// One proxy that reports. Dropping it is a loss; see [`Reporter::leave`].
#[derive(Debug)]
pub struct Reporter {
    name: String,
    /// When it reported last; zero: it has not.
    reported_us: AtomicU64,
    life: Arc<Life>,
    reporters: Arc<Reporters>,
    clock: Clock,
}

impl Reporters {
    pub(crate) fn new(grace: Duration, now_us: u64, attention: Arc<Attention>) -> Self {
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
        Self {
            grace_us,
            started_until_us: now_us.saturating_add(grace_us),
            targets: Mutex::default(),
            attention,
            lost: Mutex::default(),
        }
    }

    /// A proxy of that name reports from now on. One that was lost goes on
    /// where it was, so that what it has in flight is not there twice.
    pub(crate) fn join(self: &Arc<Self>, name: &str, clock: Clock) -> Reporter {
        let known = self.lost.lock().remove(name);
        let is_over = |life: &Arc<Life>| life.is_over(clock.now_us());
        let life = known.filter(|life| !is_over(life)).unwrap_or_default();
        life.counts_until_us.store(ALIVE, Ordering::Release);
        Reporter {
            name: name.to_owned(),
            reported_us: AtomicU64::new(0),
            life,
            reporters: Arc::clone(self),
            clock,
        }
    }

    /// Is somebody silent who may have requests in flight?
    pub(crate) fn is_unsure(&self, now_us: u64) -> bool {
        let mut lost = self.lost.lock();
        lost.retain(|_, life| !life.is_over(now_us));
        now_us < self.started_until_us || !lost.is_empty()
    }

    /// `source`, and what is reported of its target.
    pub(crate) fn joined(&self, source: Arc<dyn DemandSource>) -> Arc<dyn DemandSource> {
        let Some(target) = source.target().cloned() else {
            return source;
        };
        let direct = self.targets.lock().entry(target).or_default().clone();
        Arc::new(Joined { source, direct })
    }

    /// Forgets the targets that nobody else keeps.
    pub(crate) fn forget(&self) {
        let mut targets = self.targets.lock();
        targets.retain(|_, direct| Arc::strong_count(direct) > 1);
    }
}

impl Life {
    fn is_over(&self, now_us: u64) -> bool {
        self.counts_until_us.load(Ordering::Acquire) <= now_us
    }
}

impl Default for Life {
    fn default() -> Self {
        Self {
            counts_until_us: AtomicU64::new(ALIVE),
            busy: Mutex::default(),
        }
    }
}

impl Reporter {
    /// Everything that it says at this moment: a target that is not among it
    /// has nothing in flight there. Targets that are not known are passed over.
    pub fn report(&self, reports: impl IntoIterator<Item = (TargetId, DirectReport)>) {
        let now_us = self.clock.now_us();
        let spread_us = match self.reported_us.swap(now_us, Ordering::Relaxed) {
            0 => 0,
            before => now_us.saturating_sub(before).min(MOST_SPREAD_US),
        };
        self.revive();
        let mut busy = HashSet::new();
        for (target, report) in reports {
            self.tell(&target, report, now_us, spread_us);
            if report.in_progress > 0 {
                busy.insert(target);
            }
        }
        let mut known = self.life.busy.lock();
        for target in known.difference(&busy) {
            self.tell(target, DirectReport::default(), now_us, spread_us);
        }
        *known = busy;
    }

    /// It has said nothing for too long: lost, until it reports again.
    pub fn fell_silent(&self) {
        let until_us = self.clock.now_us().saturating_add(self.reporters.grace_us);
        self.life.counts_until_us.store(until_us, Ordering::Release);
        let mut lost = self.reporters.lost.lock();
        lost.insert(self.name.clone(), Arc::clone(&self.life));
    }

    /// It is gone in order: what it had in flight counts no more.
    pub fn leave(self) {
        let now_us = self.clock.now_us();
        self.life.counts_until_us.store(now_us, Ordering::Release);
    }

    fn revive(&self) {
        if self.life.counts_until_us.swap(ALIVE, Ordering::AcqRel) != ALIVE {
            let mut lost = self.reporters.lost.lock();
            if lost
                .get(&self.name)
                .is_some_and(|life| Arc::ptr_eq(life, &self.life))
            {
                lost.remove(&self.name);
            }
        }
    }

    fn tell(&self, target: &TargetId, report: DirectReport, now_us: u64, spread_us: u64) {
        let direct = self.reporters.targets.lock().get(target).cloned();
        if let Some(direct) = direct {
            direct.tell(&self.life, report, now_us, spread_us);
            if report != DirectReport::default() {
                self.reporters.attention.call(target);
            }
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if self.life.counts_until_us.load(Ordering::Acquire) == ALIVE {
            self.fell_silent();
        }
    }
}

/// Our own counters and those that were reported, as one source.
struct Joined {
    source: Arc<dyn DemandSource>,
    direct: Arc<Direct>,
}

impl DemandSource for Joined {
    fn totals(&self) -> Totals {
        let own = self.source.totals();
        let direct = self.direct.totals(own.at_us);
        Totals::from_parts(
            own.at_us,
            own.begun + direct.begun,
            own.ended + direct.ended,
            own.busy_us().wrapping_add(direct.busy_us()),
        )
    }

    fn held(&self) -> u64 {
        self.source.held()
    }

    fn ready_endpoints(&self) -> usize {
        self.source.ready_endpoints()
    }

    fn target(&self) -> Option<&TargetId> {
        self.source.target()
    }

    fn tell_of_next(&self) -> bool {
        self.direct.is_told() && self.source.tell_of_next()
    }
}

#[cfg(test)]
mod tests;
