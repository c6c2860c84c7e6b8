//! A batch of points on its way into the store, under one hold of its lock.
//!
//! Made by [`Store::write`](super::Store::write) for receivers and for what
//! other replicas tell (`merge.rs`). Parse first: it must never be held across
//! an `await`.

use super::{
    DropReason, Labels, Point,
    need::NeedId,
    slots::{Series, SeriesRef},
    store::Inner,
};
use parking_lot::RwLockWriteGuard;

/// After so many points a writer lets others in.
const BREATHE: u32 = 128;

/// What the value of a point means for the values before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// Nothing: a level, such as a gauge or a sum that may fall.
    Level,
    /// Counted since that time (milliseconds; `None`: not known). A new start
    /// within what is kept puts a zero there, so that the first value counts
    /// as growth.
    Since(Option<i64>),
    /// Growth since that time, added up by the store.
    Delta {
        /// When the sender began to count it, where it says so.
        since: Option<i64>,
        /// Never falls: then the first one counts from zero, as with
        /// [`Growth::Since`].
        monotonic: bool,
    },
}

/// Why [`Writer::append`] did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The series is not there any more: ask [`Writer::intern`] for it again.
    Gone,
    /// The point cannot be stored.
    Dropped(DropReason),
}

impl From<DropReason> for AppendError {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}

/// A batch on its way into the store. Queries that need its points are told
/// when it is dropped, and so are other replicas.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) inner: RwLockWriteGuard<'a, Inner>,
    pub(super) now_ms: i64,
    touched: Vec<NeedId>,
    since_pause: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(inner: RwLockWriteGuard<'a, Inner>, now_ms: i64) -> Self {
        Self {
            inner,
            now_ms,
            touched: Vec::new(),
            since_pause: 0,
        }
    }
}

impl Writer<'_> {
    /// When the batch arrived.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The series of these labels, a new one if there is none.
    ///
    /// # Errors
    /// There is no room, and none can be made: all series are needed.
    pub fn intern(&mut self, labels: Labels) -> Result<SeriesRef, DropReason> {
        self.inner.add(labels, self.now_ms)
    }

    /// Whether a reference still leads to its series.
    #[must_use]
    pub fn is_there(&self, series: SeriesRef) -> bool {
        self.inner.slots.get(series).is_some()
    }

    /// Whether a series has no point, or its last one is its end.
    #[must_use]
    pub fn has_ended(&self, series: SeriesRef) -> bool {
        let held = self.inner.slots.get(series);
        let last = held.and_then(|held| held.ring.last());
        last.is_none_or(Point::is_stale)
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.inner.slots.count()
    }

    /// Gives a series without points the last value of another one, at its
    /// time: of a bucket that appears, what it would have held before. Does
    /// nothing where there is no such value before `at_ms`.
    pub fn seed(&mut self, series: SeriesRef, from: SeriesRef, at_ms: i64) {
        let inner = &mut *self.inner;
        let Some(model) = inner.slots.get(from) else {
            return;
        };
        let (start_ms, last) = (model.start_ms, model.ring.last().copied());
        let Some(held) = inner.slots.get_mut(series) else {
            return;
        };
        let Some(last) = last.filter(|last| !last.is_stale() && last.at_ms < at_ms) else {
            return;
        };
        if held.ring.len() > 0 {
            return;
        }
        held.start_ms = start_ms;
        let need = held.need;
        let keep = inner.keep(need);
        // Refused only where there is no room; then it starts without a past.
        if inner.put(series.slot, last, keep, self.now_ms).is_ok() {
            inner.tap(series, need, last, false);
        }
    }

    /// Adds a point. `at_ms` is when it was measured; points may come in any
    /// order.
    ///
    /// # Errors
    /// The series is gone, or what is wrong with the point.
    pub fn append(
        &mut self,
        series: SeriesRef,
        at_ms: i64,
        value: f64,
        growth: Growth,
    ) -> Result<(), AppendError> {
        self.pause();
        let inner = &mut *self.inner;
        let need = inner.slots.get(series).ok_or(AppendError::Gone)?.need;
        let keep = inner.keep(need);
        inner.check_time(at_ms, keep, self.now_ms)?;
        let from_ms = self.now_ms - keep;
        let held = inner.slots.get_mut(series).ok_or(AppendError::Gone)?;
        held.arrived_ms = self.now_ms;
        let point = Point::new(at_ms, value);
        match growth {
            Growth::Level => {
                inner.put(series.slot, point, keep, self.now_ms)?;
                inner.tap(series, need, point, false);
            }
            Growth::Since(start) => {
                let zero = start.and_then(|start| held.opens(start, at_ms, from_ms));
                if let Some(zero) = zero {
                    inner.put(series.slot, zero, keep, self.now_ms)?;
                    inner.tap(series, need, zero, false);
                }
                inner.put(series.slot, point, keep, self.now_ms)?;
                inner.tap(series, need, point, false);
            }
            Growth::Delta { since, monotonic } => {
                held.is_summed = true;
                let place = held.ring.place(at_ms);
                // The zero that a later delta put where this one ended.
                let is_zero = held.ring.at(place).is_some_and(|at| at.at_ms == at_ms)
                    && held.increment(place) == Some(0.0);
                if is_zero && value != 0.0 {
                    held.ring.raise_from(place, value);
                    inner.tap(series, need, point, true);
                    self.touch(need);
                    return Ok(());
                }
                let before = held.ring.before(place).copied();
                if before.is_none() && held.ring.len() > 0 {
                    let first = held.ring.first().map(|first| first.at_ms);
                    return Err(if first == Some(at_ms) {
                        DropReason::Duplicate.into()
                    } else {
                        DropReason::OutOfOrder.into()
                    });
                }
                let counted = before.filter(|before| !before.is_stale());
                let zero = since
                    .filter(|_| counted.is_none() && monotonic)
                    .and_then(|start| held.opens(start, at_ms, from_ms));
                if let Some(zero) = zero {
                    inner.put(series.slot, zero, keep, self.now_ms)?;
                    inner.tap(series, need, zero, true);
                }
                let sum = counted.map_or(0.0, |before| before.value) + value;
                let placed = inner.put(series.slot, Point::new(at_ms, sum), keep, self.now_ms)?;
                if let Some(held) = inner.slots.get_mut(series) {
                    held.ring.raise_from(placed + 1, value);
                }
                inner.tap(series, need, point, true);
            }
        }
        self.touch(need);
        Ok(())
    }

    /// Ends the series: from that time on it is not there, until a later point.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn end(&mut self, series: SeriesRef, at_ms: i64) -> Result<(), AppendError> {
        let held = self.inner.slots.get_mut(series).ok_or(AppendError::Gone)?;
        if held.ring.last().is_some_and(Point::is_stale) {
            return Ok(());
        }
        self.append(series, at_ms, Point::stale(at_ms).value, Growth::Level)
    }

    pub(super) fn touch(&mut self, need: NeedId) {
        if self.inner.needs.is_needed(need) && self.touched.last() != Some(&need) {
            self.touched.push(need);
        }
    }

    /// Lets those in who wait for the lock, now and then.
    pub(super) fn pause(&mut self) {
        self.since_pause += 1;
        if self.since_pause >= BREATHE {
            self.since_pause = 0;
            // The numbers of sets are only good under one hold of the lock.
            self.inner.needs.tell(&mut self.touched);
            self.inner.tap.tell();
            RwLockWriteGuard::bump(&mut self.inner);
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.inner.needs.tell(&mut self.touched);
        self.inner.tap.tell();
    }
}

impl Series {
    /// The zero that a count which started at `start_ms` begins with, if it is
    /// not there and belongs there; from then on that start is known.
    fn opens(&mut self, start_ms: i64, at_ms: i64, from_ms: i64) -> Option<Point> {
        if self.start_ms == start_ms || start_ms <= 0 {
            return None;
        }
        // A start before the last point is a clock that moves, or another
        // sender: whether the value falls will tell.
        self.start_ms = start_ms;
        let last = self.ring.last().map_or(i64::MIN, |last| last.at_ms);
        (last < start_ms && start_ms >= from_ms && start_ms < at_ms)
            .then(|| Point::new(start_ms, 0.0))
    }
}
