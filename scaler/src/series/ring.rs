//! The points of one series: sorted by time, bounded, each time once.

use super::{DropReason, Point, Points};
use std::collections::VecDeque;

/// Room of a new series: most idle ones never need more.
const FIRST: usize = 2;

/// Points in the order of their time.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Point>);

impl Ring {
    pub(super) fn points(&self) -> Points<'_> {
        let (head, tail) = self.0.as_slices();
        Points::new(head, tail)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<&Point> {
        self.0.front()
    }

    pub(super) fn last(&self) -> Option<&Point> {
        self.0.back()
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Point>()
    }

    /// What one more point would add to [`Ring::bytes`].
    pub(super) fn growth(&self) -> usize {
        if self.0.len() < self.0.capacity() {
            0
        } else {
            self.0.capacity().max(FIRST) * size_of::<Point>()
        }
    }

    /// Takes the point in at its place. Of a full ring's points (`may_grow` is
    /// false, or `most` are there) the oldest goes. Returns its index.
    ///
    /// # Errors
    /// There is a point of that time; or it would be the one to go.
    pub(super) fn insert(
        &mut self,
        point: Point,
        most: usize,
        may_grow: bool,
    ) -> Result<usize, DropReason> {
        let mut index = match self.0.back() {
            None => 0,
            Some(last) if last.at_ms < point.at_ms => self.0.len(),
            Some(_) => match self.0.binary_search_by_key(&point.at_ms, |held| held.at_ms) {
                Ok(_) => return Err(DropReason::Duplicate),
                Err(index) => index,
            },
        };
        let full = self.0.len() == self.0.capacity();
        if self.0.len() >= most.max(1) || (full && !may_grow && !self.0.is_empty()) {
            if index == 0 {
                return Err(DropReason::TooOld);
            }
            self.0.pop_front();
            index -= 1;
        } else if full {
            self.0.reserve_exact(self.0.capacity().max(FIRST));
        }
        self.0.insert(index, point);
        Ok(index)
    }

    /// Adds to the values of the points from `index` on, as far as an end of
    /// the series (a stale marker): after that it counts anew.
    pub(super) fn raise_from(&mut self, index: usize, by: f64) {
        for point in self.0.range_mut(index..) {
            if point.is_stale() {
                return;
            }
            point.value += by;
        }
    }

    /// The point before the one at `index`.
    pub(super) fn before(&self, index: usize) -> Option<&Point> {
        self.0.get(index.checked_sub(1)?)
    }

    /// Where a point of that time would go.
    pub(super) fn place(&self, at_ms: i64) -> usize {
        match self.0.back() {
            Some(last) if last.at_ms < at_ms => self.0.len(),
            _ => self.0.partition_point(|held| held.at_ms < at_ms),
        }
    }

    /// Forgets points before `from_ms`, but never the last one. Whether there
    /// were some.
    pub(super) fn forget_before(&mut self, from_ms: i64) -> bool {
        let before = self.0.len();
        while self.0.len() > 1 && self.0.front().is_some_and(|first| first.at_ms < from_ms) {
            self.0.pop_front();
        }
        self.0.len() < before
    }

    /// The point at `index`.
    pub(super) fn at(&self, index: usize) -> Option<&Point> {
        self.0.get(index)
    }

    /// Gives room back that is more than twice what is used.
    pub(super) fn shrink(&mut self) {
        let wanted = self.0.len().max(FIRST);
        if self.0.capacity() > 2 * wanted {
            self.0.shrink_to(wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(ring: &Ring) -> Vec<i64> {
        ring.points().iter().map(|point| point.at_ms).collect()
    }

    fn filled(times: &[i64]) -> Ring {
        let mut ring = Ring::default();
        for &at in times {
            ring.insert(Point::new(at, 1.0), 100, true).unwrap();
        }
        ring
    }

    #[test]
    fn points_that_come_late_find_their_place() {
        let ring = filled(&[10, 30, 20, 5]);
        assert_eq!(times(&ring), [5, 10, 20, 30]);
    }

    #[test]
    fn a_time_is_there_once() {
        let mut ring = filled(&[10, 20]);
        let again = ring.insert(Point::new(10, 9.0), 100, true);
        assert_eq!(again, Err(DropReason::Duplicate));
        assert_eq!(times(&ring), [10, 20]);
    }

    #[test]
    fn a_full_ring_forgets_the_oldest() {
        let mut ring = filled(&[10, 20, 30]);
        assert_eq!(ring.insert(Point::new(40, 1.0), 3, true), Ok(2));
        assert_eq!(times(&ring), [20, 30, 40]);
        let late = ring.insert(Point::new(15, 1.0), 3, true);
        assert_eq!(late, Err(DropReason::TooOld));
        assert_eq!(ring.insert(Point::new(35, 1.0), 3, true), Ok(1));
        assert_eq!(times(&ring), [30, 35, 40]);
    }

    #[test]
    fn a_ring_that_may_not_grow_keeps_its_size() {
        let mut ring = filled(&[10, 20]);
        let bytes = ring.bytes();
        ring.insert(Point::new(30, 1.0), 100, false).unwrap();
        assert_eq!((times(&ring), ring.bytes()), (vec![20, 30], bytes));
        let mut empty = Ring::default();
        empty.insert(Point::new(1, 1.0), 100, false).unwrap();
        assert_eq!(times(&empty), [1]);
    }

    #[test]
    fn growth_is_told_beforehand() {
        let mut ring = Ring::default();
        for at in 0..100 {
            let (before, growth) = (ring.bytes(), ring.growth());
            ring.insert(Point::new(at, 1.0), 1000, true).unwrap();
            assert_eq!(ring.bytes(), before + growth, "at {at}");
        }
    }

    #[test]
    fn the_last_point_is_never_forgotten() {
        let mut ring = filled(&[10, 20, 30]);
        ring.forget_before(20);
        assert_eq!(times(&ring), [20, 30]);
        ring.forget_before(1000);
        assert_eq!(times(&ring), [30]);
    }

    #[test]
    fn room_is_given_back() {
        let mut ring = filled(&(0..64).collect::<Vec<_>>());
        ring.forget_before(63);
        ring.shrink();
        assert_eq!(ring.bytes(), FIRST * size_of::<Point>());
    }

    proptest! {
        /// In whatever order points come, the ring is sorted, without
        /// doubles and within its bound.
        #[test]
        fn always_sorted(times_in in prop::collection::vec(0_i64..200, 0..300), most in 1_usize..50) {
            let mut ring = Ring::default();
            for at in times_in {
                let _kept = ring.insert(Point::new(at, 1.0), most, true);
                let held = times(&ring);
                prop_assert!(held.windows(2).all(|two| two[0] < two[1]));
                prop_assert!(held.len() <= most);
            }
        }
    }
}
