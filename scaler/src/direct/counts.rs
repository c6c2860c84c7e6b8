//! The sums of one target over all reporters.
//!
//! Kept by [`super::Reporters`], read by the ledger beside our own counters.

use super::{DirectReport, Life};
use parking_lot::Mutex;
use proxy::Totals;
use std::sync::{Arc, atomic::Ordering};

/// The sums of one target.
#[derive(Debug, Default)]
pub(crate) struct Direct(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// As of its own time.
    totals: Totals,
    parts: Vec<Part>,
}

/// What one reporter has in flight, and what of its last report is not told yet.
#[derive(Debug)]
struct Part {
    life: Arc<Life>,
    in_flight: u64,
    untold: Untold,
}

/// Requests that began and ended, which are told evenly over some time.
#[derive(Debug, Default)]
struct Untold {
    requests: u64,
    from_us: u64,
    until_us: u64,
}

impl Untold {
    /// Those that are told until then.
    fn take(&mut self, now_us: u64) -> u64 {
        if now_us >= self.until_us {
            return std::mem::take(&mut self.requests);
        }
        let (gone, all) = (
            now_us.saturating_sub(self.from_us),
            self.until_us - self.from_us,
        );
        let due = u128::from(self.requests) * u128::from(gone) / u128::from(all);
        let due = u64::try_from(due).unwrap_or(self.requests);
        if due > 0 {
            self.requests -= due;
            self.from_us = now_us;
        }
        due
    }
}

impl Direct {
    /// What it comes to at `now_us`: what was in flight still is.
    pub(super) fn totals(&self, now_us: u64) -> Totals {
        let mut counts = self.0.lock();
        counts.settle(now_us);
        counts.totals.unchanged_until(now_us)
    }

    /// Is everything told that was reported?
    pub(super) fn is_told(&self) -> bool {
        let counts = self.0.lock();
        counts.parts.iter().all(|part| part.untold.requests == 0)
    }

    pub(super) fn tell(&self, life: &Arc<Life>, report: DirectReport, now_us: u64, spread_us: u64) {
        let mut counts = self.0.lock();
        counts.settle(now_us);
        let part = counts.part_mut(life);
        let was = std::mem::replace(&mut part.in_flight, report.in_progress);
        // What is in flight has begun: counters of many threads are not read
        // at one instant, and requests may be older than the first report.
        let begun = report.issued.max(report.in_progress.saturating_sub(was));
        let ended = begun + was - report.in_progress;
        // The first at once: that something is asked must be known now.
        let untold = begun.min(ended).saturating_sub(1);
        let fresh = Untold {
            requests: untold,
            from_us: now_us,
            until_us: now_us.saturating_add(spread_us),
        };
        // What is left of the report before: this one came a little early.
        let left = std::mem::replace(&mut part.untold, fresh).requests;
        counts.advance(now_us, begun - untold + left, ended - untold + left);
        counts.settle(now_us);
        counts
            .parts
            .retain(|part| part.in_flight > 0 || part.untold.requests > 0);
    }
}

impl Counts {
    /// Tells what is due, and ends what lost reporters had in flight, each when
    /// its grace was over.
    fn settle(&mut self, now_us: u64) {
        while let Some(at) = self.parts.iter().position(|part| part.life.is_over(now_us)) {
            let part = self.parts.swap_remove(at);
            let over_us = part.life.counts_until_us.load(Ordering::Acquire);
            let untold = part.untold.requests;
            self.advance(over_us, untold, untold + part.in_flight);
        }
        let due = self.parts.iter_mut().map(|part| part.untold.take(now_us));
        let due = due.sum();
        self.advance(now_us, due, due);
    }

    fn advance(&mut self, at_us: u64, begun: u64, ended: u64) {
        let then = self.totals.unchanged_until(at_us);
        self.totals = Totals::from_parts(
            then.at_us,
            then.begun + begun,
            then.ended + ended,
            then.busy_us(),
        );
    }

    fn part_mut(&mut self, life: &Arc<Life>) -> &mut Part {
        let known = self.parts.iter().position(|p| Arc::ptr_eq(&p.life, life));
        let at = known.unwrap_or_else(|| {
            self.parts.push(Part {
                life: Arc::clone(life),
                in_flight: 0,
                untold: Untold::default(),
            });
            self.parts.len() - 1
        });
        &mut self.parts[at]
    }
}
