//! Who goes: series that ended, and those that make room.
//!
//! A series that a registered query needs never goes before one that none
//! needs; among those, the one that was silent the longest goes first.

use super::{Store, store::Inner};

/// So many series are looked at under one hold of the lock.
const AT_ONCE: u32 = 4096;

/// Room is made for one part in so many of what is allowed, so that a flood of
/// new series does not look through all of them for each one.
const PART: usize = 64;

impl Store {
    /// Lets go of series whose last point is older than what is kept of them,
    /// and of older points of the others. Called every few seconds.
    pub fn expire(&self, now_ms: i64) {
        let mut from = 0;
        loop {
            let mut inner = self.inner.write();
            let end = inner.slots.end();
            let to = end.min(from + AT_ONCE);
            inner.expire(from..to, now_ms);
            if to == end {
                return;
            }
            from = to;
        }
    }
}

impl Inner {
    fn expire(&mut self, numbers: std::ops::Range<u32>, now_ms: i64) {
        let mut ended = Vec::new();
        for number in numbers {
            let Some(need) = self.slots.at(number).map(|series| series.need) else {
                continue;
            };
            let from = now_ms - self.keep(need);
            let series = self.slots.at_mut(number).expect("it was there");
            // Without a point: it came with one that was dropped.
            let last = series.ring.last().map(|point| point.at_ms);
            if last.unwrap_or(series.arrived_ms) < from {
                ended.push(number);
                continue;
            }
            let bytes = series.ring.bytes();
            series.is_cut |= series.ring.forget_before(from);
            series.ring.shrink();
            self.stats.bytes -= bytes - series.ring.bytes();
        }
        self.stats.expired += ended.len() as u64;
        self.remove(&ended);
    }

    /// Makes room for at least one more series; false if all are needed.
    pub(super) fn make_room_for_series(&mut self) -> bool {
        let gone = self.let_go((self.limits.series / PART).max(1), None);
        self.stats.evicted_for_series += gone as u64;
        gone > 0
    }

    /// Makes room for so many bytes, without the series `spared`; false if too
    /// much of what is there is needed.
    pub(super) fn make_room(&mut self, bytes: usize, spared: Option<u32>) -> bool {
        let mut at_once = (self.slots.count() / PART).max(1);
        while self.stats.bytes + bytes > self.limits.bytes {
            let gone = self.let_go(at_once, spared);
            self.stats.evicted_for_bytes += gone as u64;
            if gone == 0 {
                return false;
            }
            at_once *= 2;
        }
        true
    }

    /// Lets up to `count` series go that no query needs, the longest silent
    /// ones; returns how many.
    fn let_go(&mut self, count: usize, spared: Option<u32>) -> usize {
        if self.slots.count() == self.needs.needed() {
            return 0;
        }
        let mut silent: Vec<(i64, u32)> = self
            .slots
            .from(0)
            .filter(|(number, series)| {
                !self.needs.is_needed(series.need) && spared != Some(*number)
            })
            .map(|(number, series)| (series.arrived_ms, number))
            .collect();
        if silent.len() > count {
            silent.select_nth_unstable(count);
            silent.truncate(count);
        }
        let numbers: Vec<u32> = silent.into_iter().map(|(_, number)| number).collect();
        self.remove(&numbers);
        numbers.len()
    }
}
