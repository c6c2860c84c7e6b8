//! A bounded window over counters that only grow: how much they gained per
//! unit of time, lately.
//!
//! The same ring serves both metrics. Over [`Totals`] the gain is
//! request-microseconds, so gain per time is the exact mean concurrency; over
//! [`Arrivals`] the gain is requests, so gain per time is the request rate.
//!
//! Fed and read by [`crate::tracked`], under its lock. Pure: time comes in
//! with the readings. It never guesses at what happened before the first
//! reading: a window that is not yet full is averaged over the time that it
//! covers, so a rate is right from the first second on and does not creep up.
//! A rate is averaged over a second at least: one request in the first
//! millisecond of a target is not a thousand a second.
//!
//! The far end of the window usually falls between two readings. The piece
//! that it cuts through is taken at that piece's own mean; everything after is
//! exact. A quiet stretch is kept as its two ends, whatever its length, so an
//! idle target costs two readings and the sampler one comparison.

use crate::source::RateTarget;
use proxy::Totals;
use std::{collections::VecDeque, time::Duration};

/// A very long window is kept more coarsely than its granularity says, so
/// that one route cannot take more than about 10 KiB.
const MAX_READINGS: u64 = 600;

/// A rate is per second: over less than this it would be an extrapolation.
const LEAST_RATE_TIME_US: u64 = 1_000_000;

/// One reading of something that only grows.
pub(crate) trait Reading: Copy {
    /// When it was read, in microseconds of the proxy's clock.
    fn at_us(&self) -> u64;
    /// How much was gained after `earlier`.
    fn gained_since(&self, earlier: &Self) -> f64;
    /// Nothing was gained after `earlier`, and nothing is being gained now.
    fn quiet_since(&self, earlier: &Self) -> bool;
    /// The same counters, later. False when they started anew.
    fn continues(&self, earlier: &Self) -> bool;
}

impl Reading for Totals {
    fn at_us(&self) -> u64 {
        self.at_us
    }
    fn gained_since(&self, earlier: &Self) -> f64 {
        self.busy_us_since(earlier) as f64
    }
    fn quiet_since(&self, earlier: &Self) -> bool {
        self.in_flight() == 0
            && earlier.in_flight() == 0
            && self.begun == earlier.begun
            && self.busy_us_since(earlier) == 0
    }
    fn continues(&self, earlier: &Self) -> bool {
        self.at_us >= earlier.at_us && self.begun >= earlier.begun && self.ended >= earlier.ended
    }
}

/// How many requests had begun at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrivals {
    at_us: u64,
    begun: u64,
}

impl Arrivals {
    /// Requests begun until then.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }
}

impl From<&Totals> for Arrivals {
    fn from(totals: &Totals) -> Self {
        Self {
            at_us: totals.at_us,
            begun: totals.begun,
        }
    }
}

impl Reading for Arrivals {
    fn at_us(&self) -> u64 {
        self.at_us
    }
    fn gained_since(&self, earlier: &Self) -> f64 {
        self.begun.saturating_sub(earlier.begun) as f64
    }
    fn quiet_since(&self, earlier: &Self) -> bool {
        self.begun == earlier.begun
    }
    fn continues(&self, earlier: &Self) -> bool {
        self.at_us >= earlier.at_us && self.begun >= earlier.begun
    }
}

/// The readings of one target over one window.
#[derive(Debug)]
pub(crate) struct Window<R> {
    length_us: u64,
    /// Readings closer than this to the newest kept one are not kept.
    spacing_us: u64,
    /// The shortest time that a gain is averaged over.
    least_us: u64,
    ring: VecDeque<R>,
}

impl Window<Totals> {
    /// The window of the mean concurrency, read every `interval`.
    pub(crate) fn concurrency(length: Duration, interval: Duration) -> Self {
        // Of any time, however short, the mean is exact.
        Self::new(micros(length), micros(interval), 0)
    }

    /// Requests at once: the mean over the window until `now`. `None` before
    /// any time has passed.
    pub(crate) fn mean(&self, now: &Totals) -> Option<f64> {
        self.gain_per_us(now)
    }
}

impl Window<Arrivals> {
    /// The window of the request rate that a route asks for.
    pub(crate) fn rate(target: Option<&RateTarget>) -> Self {
        let (length, spacing) = Self::rate_shape(target);
        Self::new(length, spacing, LEAST_RATE_TIME_US)
    }

    /// Another window or granularity from now on. The readings stay: a longer
    /// window is simply not full at once.
    pub(crate) fn reshape(&mut self, target: Option<&RateTarget>) {
        let (length, spacing) = Self::rate_shape(target);
        *self = Self {
            ring: std::mem::take(&mut self.ring),
            ..Self::new(length, spacing, LEAST_RATE_TIME_US)
        };
    }

    /// Requests per second over the window until `now`.
    pub(crate) fn per_second(&self, now: &Arrivals) -> f64 {
        self.gain_per_us(now).unwrap_or(0.0) * 1e6
    }

    fn rate_shape(target: Option<&RateTarget>) -> (u64, u64) {
        let or_default = |asked: Option<Duration>, default: Duration| {
            micros(asked.filter(|d| !d.is_zero()).unwrap_or(default))
        };
        let length = or_default(target.map(|t| t.window), RateTarget::DEFAULT_WINDOW);
        let granularity = or_default(
            target.map(|t| t.granularity),
            RateTarget::DEFAULT_GRANULARITY,
        );
        (length, granularity.min(length))
    }
}

impl<R: Reading> Window<R> {
    fn new(length_us: u64, spacing_us: u64, least_us: u64) -> Self {
        let length_us = length_us.max(1);
        // A tenth less: the sampler's ticks jitter, and a reading that comes a
        // little early must not be put off by a whole tick.
        let spacing_us = (spacing_us - spacing_us / 10)
            .max(length_us / MAX_READINGS)
            .max(1);
        Self {
            length_us,
            spacing_us,
            least_us,
            ring: VecDeque::new(),
        }
    }

    /// Takes a reading in. Readings come in the order of time.
    pub(crate) fn push(&mut self, reading: R) {
        let Some(newest) = self.ring.back().copied() else {
            return self.keep(reading);
        };
        if !reading.continues(&newest) {
            // The counters started anew: what was read before means nothing.
            self.ring.clear();
            return self.keep(reading);
        }
        let before = self
            .ring
            .len()
            .checked_sub(2)
            .and_then(|i| self.ring.get(i))
            .copied();
        let quiet = reading.quiet_since(&newest);
        match self.ring.back_mut() {
            // A quiet stretch goes on: move its end.
            Some(end) if quiet && before.is_some_and(|b| newest.quiet_since(&b)) => *end = reading,
            _ if reading.at_us() - newest.at_us() >= self.spacing_us => self.keep(reading),
            _ => {}
        }
        self.forget(reading.at_us());
    }

    /// Takes a reading in that may be older than the newest one or of counters
    /// that do not go on: then nothing happens.
    pub(crate) fn push_if_next(&mut self, reading: R) {
        if self
            .ring
            .back()
            .is_none_or(|newest| reading.continues(newest))
        {
            self.push(reading);
        }
    }

    /// Nothing has come after `newest`, and it is now `now_us`: keeps it however
    /// close it is to the one before, so that the quiet after it begins there.
    pub(crate) fn rest(&mut self, newest: R, now_us: u64) {
        let kept = self.ring.back();
        let is_newer = kept.is_some_and(|k| k.at_us() < newest.at_us() && newest.continues(k));
        if is_newer && now_us.saturating_sub(newest.at_us()) >= self.spacing_us {
            self.keep(newest);
            self.forget(newest.at_us());
        }
    }

    /// Has nothing been gained since the last reading that was kept?
    pub(crate) fn is_quiet_at(&self, reading: &R) -> bool {
        let kept = self.ring.back();
        kept.is_some_and(|kept| reading.quiet_since(kept))
    }

    /// The reading that is furthest back.
    pub(crate) fn oldest(&self) -> Option<R> {
        self.ring.front().copied()
    }

    /// The window's length.
    pub(crate) fn length_us(&self) -> u64 {
        self.length_us
    }

    fn keep(&mut self, reading: R) {
        if self.ring.len() == self.ring.capacity() {
            // Exactly: doubling would waste up to half of the memory budget.
            let room = if self.ring.len() < 2 {
                2
            } else {
                self.limit() + 1
            };
            self.ring
                .reserve_exact(room.saturating_sub(self.ring.len()));
        }
        self.ring.push_back(reading);
    }

    /// Drops what the window does not need: all but one of the readings that
    /// are older than it.
    fn forget(&mut self, now_us: u64) {
        let start = now_us.saturating_sub(self.length_us);
        while self.ring.len() > 2 && self.ring.get(1).is_some_and(|r| r.at_us() <= start) {
            self.ring.pop_front();
        }
        while self.ring.len() > self.limit() {
            self.ring.pop_front();
        }
        if self.ring.len() == 2 && self.ring.capacity() > 2 {
            self.ring.shrink_to(2);
        }
    }

    fn limit(&self) -> usize {
        let needed = (self.length_us / self.spacing_us).min(MAX_READINGS);
        // One beyond the far end, the newest, and the two ends of a stretch.
        usize::try_from(needed)
            .unwrap_or(usize::MAX)
            .saturating_add(4)
    }

    /// The mean gain per microsecond from the window's far end (or the first
    /// reading, if that is later) until `now`.
    fn gain_per_us(&self, now: &R) -> Option<f64> {
        let oldest = self.ring.front()?;
        if now.at_us() <= oldest.at_us() {
            return None;
        }
        let start = now.at_us().saturating_sub(self.length_us);
        if oldest.at_us() >= start {
            let elapsed = (now.at_us() - oldest.at_us()).max(self.least_us);
            return Some(now.gained_since(oldest) / elapsed as f64);
        }
        let after = self.ring.partition_point(|r| r.at_us() <= start);
        let cut_from = self.ring.get(after.saturating_sub(1)).unwrap_or(oldest);
        let cut_to = self.ring.get(after).unwrap_or(now);
        let piece = cut_to.at_us().saturating_sub(cut_from.at_us()).max(1) as f64;
        let inside = cut_to.at_us().saturating_sub(start) as f64;
        let gained =
            now.gained_since(cut_to) + cut_to.gained_since(cut_from) * (inside / piece).min(1.0);
        Some(gained / self.length_us as f64)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.ring.capacity() * size_of::<R>()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
