//! What one other replica has of the demand for one target.
//!
//! Fed by [`super::shares`] with its reports, read with every reading of the
//! target. Pure: times come in, on our clock. It keeps windows of its own, made
//! of the sender's exact sums, so that mean and rate are what the sender itself
//! would say, however many frames were dropped in between.
//!
//! Between reports nothing changed: what was in flight still is. A replica that
//! is lost counts on for the grace, one that said goodbye does not; arrivals
//! happened and stay in their window in any case.

use super::{
    replica::Replica,
    report::{Past, Report},
};
use crate::{
    source::RateTarget,
    window::{Arrivals, Window},
};
use proxy::Totals;
use std::{sync::Arc, time::Duration};

/// Readings are kept this much later than our clock says: it starts with the
/// process, and what others report goes back further.
const AHEAD_US: u64 = 1 << 46;

/// How the windows of a share are shaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) concurrency_window: Duration,
    pub(crate) sample_interval: Duration,
    pub(crate) rate: Option<RateTarget>,
}

/// One replica's part of the demand.
#[derive(Debug)]
pub(crate) struct Share {
    replica: Arc<Replica>,
    revision: u64,
    born_us: u64,
    /// The last reading, on our clock, [`AHEAD_US`] later.
    last: Totals,
    held: u64,
    ready_endpoints: usize,
    waits: u64,
    concurrency: Window<Totals>,
    arrivals: Window<Arrivals>,
    /// The target was removed there, at this time of our clock.
    removed_us: u64,
    /// What was in flight was given up.
    settled: bool,
}

/// What a report told that did not show before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// For how long nothing had been asked when it was read, if ever anything
    /// was.
    pub(crate) idle_us: Option<u64>,
    /// Somebody started to wait there.
    pub(crate) waited: bool,
}

/// A share at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ShareReading {
    pub(crate) begun: u64,
    pub(crate) in_flight: u64,
    pub(crate) held: u64,
    pub(crate) ready_endpoints: usize,
    pub(crate) concurrency: f64,
    pub(crate) request_rate: f64,
}

impl Share {
    /// The first report of `replica`, read at `at_us` of our clock.
    pub(crate) fn new(
        replica: Arc<Replica>,
        report: &Report,
        at_us: u64,
        shape: &Shape,
    ) -> (Self, Heard) {
        let mut share = Self {
            replica,
            revision: report.revision,
            born_us: report.born_us,
            last: told(report, at_us),
            held: report.held,
            ready_endpoints: report.ready_endpoints,
            waits: report.waits,
            concurrency: Window::concurrency(shape.concurrency_window, shape.sample_interval),
            arrivals: Window::rate(shape.rate.as_ref()),
            removed_us: u64::MAX,
            settled: false,
        };
        share.fill(report);
        let heard = Heard {
            idle_us: report.idle_us,
            // How often somebody waited before we listened is history; who
            // waits now is not.
            waited: report.held > 0 || (report.waits > 0 && !report.whole),
        };
        (share, heard)
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// When its counts began: others are other counts.
    pub(crate) fn born_us(&self) -> u64 {
        self.born_us
    }

    /// Requests begun there.
    pub(crate) fn begun(&self) -> u64 {
        self.last.begun
    }

    /// A further report, read at `at_us` of our clock. One that is older than
    /// the last, or the same once more, changes nothing.
    pub(crate) fn take(&mut self, report: &Report, at_us: u64, shape: &Shape) -> Heard {
        // What was given up counts again when it is told again, as it was.
        let told_before = report.revision == self.revision && !self.settled;
        if report.revision < self.revision || told_before {
            return Heard::default();
        }
        if report.born_us != self.born_us {
            // Another life of the counters: what was read before means nothing.
            let waited = report.waits != self.waits;
            let (fresh, heard) = Self::new(Arc::clone(&self.replica), report, at_us, shape);
            *self = fresh;
            return Heard { waited, ..heard };
        }
        if self.settled {
            // It counts again. What was given up was not: start from its own
            // account of the window.
            self.concurrency = Window::concurrency(shape.concurrency_window, shape.sample_interval);
            self.settled = false;
        }
        self.removed_us = u64::MAX;
        self.revision = report.revision;
        // Frames may be anchored a little differently: time never runs back.
        self.last = told(report, at_us).unchanged_until(self.last.at_us);
        self.held = report.held;
        self.ready_endpoints = report.ready_endpoints;
        let waited = report.waits != self.waits;
        self.waits = report.waits;
        self.fill(report);
        Heard {
            idle_us: report.idle_us,
            waited,
        }
    }

    /// Puts the report's readings into the windows, oldest first.
    fn fill(&mut self, report: &Report) {
        let now = self.last;
        let past = |past: Past| {
            Totals::from_parts(
                now.at_us.saturating_sub(past.elapsed_us),
                now.begun.saturating_sub(past.begun),
                now.ended.saturating_sub(past.ended),
                now.busy_us().wrapping_sub(past.busy_us),
            )
        };
        let earlier = || report.earlier.into_iter().flatten();
        // One of the same microsecond tells what arrived within it, and nothing
        // of how long anything was there.
        let before = earlier().filter(|past| past.elapsed_us > 0);
        for earlier in report.mean_from.into_iter().chain(before).map(past) {
            self.concurrency.push_if_next(earlier);
        }
        for earlier in report.rate_from.into_iter().chain(earlier()).map(past) {
            self.arrivals.push_if_next(Arrivals::from(&earlier));
        }
        self.concurrency.push(now);
        self.arrivals.push(Arrivals::from(&now));
    }

    /// The target is gone at that replica, as of this revision.
    pub(crate) fn remove(&mut self, revision: u64, now_us: u64) {
        if revision > self.revision {
            self.revision = revision;
            self.removed_us = now_us;
        }
    }

    /// The replica sent its whole state, and the target was not in it.
    pub(crate) fn absent(&mut self, now_us: u64) {
        self.removed_us = self.removed_us.min(now_us);
    }

    /// Another window of the rate from now on.
    pub(crate) fn reshape(&mut self, rate: Option<&RateTarget>) {
        self.arrivals.reshape(rate);
    }

    /// The share at `now_us`.
    pub(crate) fn read(&mut self, now_us: u64) -> ShareReading {
        self.settle(now_us);
        let now = self.last.unchanged_until(now_us + AHEAD_US);
        self.concurrency.rest(self.last, now.at_us);
        self.arrivals.rest(Arrivals::from(&self.last), now.at_us);
        let in_flight = now.in_flight();
        ShareReading {
            begun: now.begun,
            in_flight,
            held: self.held,
            ready_endpoints: self.ready_endpoints,
            concurrency: self.concurrency.mean(&now).unwrap_or(in_flight as f64),
            request_rate: self.arrivals.per_second(&Arrivals::from(&now)),
        }
    }

    /// Nothing of it counts any more, nor will.
    pub(crate) fn is_over(&self, now_us: u64) -> bool {
        let window = self.arrivals.length_us().max(self.concurrency.length_us());
        self.settled && (now_us + AHEAD_US).saturating_sub(self.last.at_us) > window
    }

    /// Gives up what was in flight at a replica that is gone.
    fn settle(&mut self, now_us: u64) {
        let until = self.replica.counts_until_us().min(self.removed_us);
        if self.settled || now_us < until {
            return;
        }
        let end = self.last.unchanged_until(until + AHEAD_US);
        self.concurrency.push(end);
        let ended = Totals::from_parts(end.at_us, end.begun, end.begun, end.busy_us());
        self.concurrency.push(ended);
        self.last = ended;
        (self.held, self.ready_endpoints) = (0, 0);
        self.settled = true;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let windows = size_of::<Window<Totals>>() + size_of::<Window<Arrivals>>();
        size_of::<Self>() - windows + self.concurrency.bytes() + self.arrivals.bytes()
    }
}

/// The reading of a report, at `at_us` of our clock.
fn told(report: &Report, at_us: u64) -> Totals {
    let at_us = at_us + AHEAD_US;
    Totals::from_parts(at_us, report.begun, report.ended, report.busy_us)
}
