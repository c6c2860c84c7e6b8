//! Points that arrived at another replica.
//!
//! Called by `crate::peers` for each series of a frame. A point is known by its
//! series and its time, so that one that comes twice, over two ways or late
//! does no harm: levels and counts are put beside those that are there; of
//! increments each time has one, the larger of two, and what stands here is
//! their sum. So two replicas that each got some of the deltas of one series
//! come to the same points, whatever was told first.

use super::{
    AppendError, DropReason, Point, Writer,
    slots::{Series, SeriesRef},
};

/// An increment is the difference of two sums: it is known only so well, as a
/// part of the sum.
const NOISE: f64 = 1e-14;

/// What the values of a piece are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Values {
    /// As they are to be read.
    Plain,
    /// Each what came since the point before.
    Increments,
    /// The same, with all that is kept: `sum` is what came before, and
    /// `is_whole` says that there was nothing.
    SinceSum { sum: f64, is_whole: bool },
}

/// Points of one series, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) points: &'a [Point],
    pub(crate) values: Values,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Points that are new.
    pub(crate) news: u64,
    /// Points that cannot be taken, and why the last of them.
    pub(crate) refused: u64,
    pub(crate) reason: Option<DropReason>,
}

impl Merged {
    fn count(&mut self, merged: Result<bool, DropReason>) {
        match merged {
            Ok(news) => self.news += u64::from(news),
            // It is there.
            Err(DropReason::Duplicate) => {}
            Err(reason) => {
                self.refused += 1;
                self.reason = Some(reason);
            }
        }
    }
}

impl Writer<'_> {
    /// Takes points in that arrived at another replica. They are not told on.
    ///
    /// # Errors
    /// The series is gone: [`AppendError::Gone`], and nothing else.
    pub(crate) fn merge(
        &mut self,
        series: SeriesRef,
        piece: Piece<'_>,
    ) -> Result<Merged, AppendError> {
        let held = self.inner.slots.get(series).ok_or(AppendError::Gone)?;
        let need = held.need;
        let mut merged = Merged::default();
        let adopts = self.adopts(series, &piece);
        for point in piece.points {
            self.pause();
            // It may make room for itself, but not by letting itself go.
            if self.inner.slots.get(series).is_none() {
                return Err(AppendError::Gone);
            }
            merged.count(match piece.values {
                Values::Plain => self.put_beside(series, *point),
                _ if point.is_stale() => self.put_beside(series, *point),
                _ => self.add_up(series, *point),
            });
        }
        if let (Some(sum), Some(held)) = (adopts, self.inner.slots.get_mut(series)) {
            held.ring.raise_from(0, sum);
            held.is_cut = true;
        }
        if merged.news > 0 {
            if let Some(held) = self.inner.slots.get_mut(series) {
                held.arrived_ms = self.now_ms;
            }
            self.touch(need);
        }
        Ok(merged)
    }

    /// The sum to add to all points, if all that is here is younger than what
    /// the other has already forgotten.
    fn adopts(&self, series: SeriesRef, piece: &Piece<'_>) -> Option<f64> {
        let Values::SinceSum {
            sum,
            is_whole: false,
        } = piece.values
        else {
            return None;
        };
        let held = self.inner.slots.get(series)?;
        let first = piece.points.first()?;
        let is_younger = !held.is_cut
            && held
                .ring
                .first()
                .is_none_or(|held| held.at_ms >= first.at_ms);
        is_younger.then_some(sum)
    }

    /// Whether it is news.
    fn put_beside(&mut self, series: SeriesRef, point: Point) -> Result<bool, DropReason> {
        let (inner, now_ms) = (&mut *self.inner, self.now_ms);
        let Some(held) = inner.slots.get(series) else {
            return Ok(false);
        };
        let keep = inner.keep(held.need);
        inner.check_time(point.at_ms, keep, now_ms)?;
        inner.put(series.slot, point, keep, now_ms)?;
        Ok(true)
    }

    /// Whether it is news.
    fn add_up(&mut self, series: SeriesRef, increment: Point) -> Result<bool, DropReason> {
        let (inner, now_ms) = (&mut *self.inner, self.now_ms);
        let Some(held) = inner.slots.get_mut(series) else {
            return Ok(false);
        };
        held.is_summed = true;
        let need = held.need;
        let place = held.ring.place(increment.at_ms);
        let there = held.ring.at(place);
        if there.is_some_and(|there| there.at_ms == increment.at_ms) {
            let Some(known) = held.increment(place) else {
                return Ok(false);
            };
            // A zero that a count began with, and what came up to that moment.
            let more = increment.value.abs() - known.abs();
            let is_more = match known == 0.0 {
                true => more > 0.0,
                false => more > NOISE * there.map_or(0.0, |there| there.value.abs()),
            };
            if is_more {
                held.ring.raise_from(place, increment.value - known);
            }
            return Ok(is_more);
        }
        if place == 0 && held.ring.len() > 0 && held.is_cut {
            // What came before it is not known here, and not needed.
            return Err(DropReason::OutOfOrder);
        }
        let before = held.ring.before(place).filter(|before| !before.is_stale());
        let sum = before.map_or(0.0, |before| before.value) + increment.value;
        let keep = inner.keep(need);
        inner.check_time(increment.at_ms, keep, now_ms)?;
        let point = Point::new(increment.at_ms, sum);
        let placed = inner.put(series.slot, point, keep, now_ms)?;
        if let Some(held) = inner.slots.get_mut(series) {
            held.ring.raise_from(placed + 1, increment.value);
        }
        Ok(true)
    }
}

impl Series {
    /// What came with the point at `index`, where that is known.
    pub(super) fn increment(&self, index: usize) -> Option<f64> {
        let at = self.ring.at(index)?;
        let before = match self.ring.before(index) {
            None if self.is_cut => return None,
            before => before.filter(|before| !before.is_stale()),
        };
        Some(at.value - before.map_or(0.0, |before| before.value))
    }
}

#[cfg(test)]
mod tests;
